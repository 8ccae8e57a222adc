// A link carries frames between a Stack and something else: a device of the host, another Stack, a file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace leat {

struct Packet;
class PacketPool;
class Time;

enum class LinkKind : uint8_t {
  kIp,        // bare IP packets: TUN, loopback, memory pair
  kEthernet,  // Ethernet frames; ARP and ND are needed: TAP
};

struct LinkFeatures {
  uint32_t mtu = 1500;  // of the IP packet
  LinkKind kind = LinkKind::kIp;
  uint8_t mac[6] = {};  // kEthernet only
  bool is_loopback = false;
  bool verifies_checksums = false;       // received packets may be Checksum::kVerified
  bool takes_partial_checksums = false;  // transmit may be given Checksum::kPartial
  uint32_t max_gso_bytes = 0;            // 0: packets above the MTU must be split before transmit
};

// Ownership of packets goes with the call. Thread rule: receive from one thread at a time; transmit from any thread.
class Link {
 public:
  virtual ~Link() = default;
  virtual const LinkFeatures& features() const = 0;

  // Gives up to out.size() packets, with `received` set; 0 when there is none now. Never blocks. Packets are made
  // from `pool` or, from a peer in memory, brought along. They start at the IP header, or at the Ethernet header for
  // kEthernet. `now` is the turn's time.
  virtual size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) = 0;

  // Takes all packets. What cannot be sent is dropped and counted by the link (dropped()).
  virtual void transmit_batch(std::span<Packet*> packets, Time now) = 0;

  // The next time at which receive_batch will have something that it does not have now, when the link knows
  // (impairments, memory pairs); Time::never() otherwise.
  virtual Time next_event() const = 0;

  // The host descriptor to wait on for input (TUN, TAP), or -1.
  virtual int poll_fd() const { return -1; }

  virtual uint64_t dropped() const { return 0; }
};

}  // namespace leat
