// Merges the TCP segments of one receive batch (generic receive offload): segments of a flow that follow on each other
// become one packet, so that everything above pays once.
//
//   [ IP | TCP | a ] [ IP | TCP | b ] [ IP | TCP | c ]  →  [ IP | TCP | a ] + b + c     gso_size = |a|, nothing copied
//
// As Linux, it merges only what gso_split could take apart again: same addresses, ports, acknowledgement, window,
// options, TTL and TOS; the next sequence number; all of one size but the last; only ACK, PSH and FIN. A PSH, a shorter
// segment or anything else of the flow ends the packet. Checksums are verified first: a merged packet is kVerified.
// Not here: UDP, IPv4 options, extension headers, tunnels. Off by default, by interface (Netif::set_gro).
#pragma once

#include <array>
#include <cstdint>

#include "pkt/packet.h"

namespace leat::ip {

class Gro {
 public:
  static constexpr size_t kFlows = 8;  // Linux's MAX_GRO_SKBS

  explicit Gro(PacketPool& pool) : pool_(pool) {}
  // `packet` stands at its IP header. What may go up is appended to `out`; the order within a flow is kept.
  void add(PacketPtr packet, PacketQueue& out);
  void flush(PacketQueue& out);  // the batch is over

 private:
  struct Flow {
    PacketPtr head;
    Packet* last = nullptr;  // of the chain
    uint32_t next_seq = 0;
    uint16_t next_id = 0;
    uint16_t segment = 0;  // bytes
    uint16_t count = 0;
  };
  struct Segment;

  Flow* find(const Segment& s);
  bool may_merge(const Flow& f, const Segment& s) const;
  bool merge(Flow& f, PacketPtr& packet, const Segment& s);
  void begin(PacketPtr packet, const Segment& s, PacketQueue& out);
  static void finish(Flow& f, PacketQueue& out);

  PacketPool& pool_;
  std::array<Flow, kFlows> flows_;
  size_t oldest_ = 0;
};

}  // namespace leat::ip
