// Segments as the rooms of tcp pass them around: what was received, and what is queued for sending. Both lie in
// Packet::control of the packet that they describe.
#pragma once

#include <new>

#include "base/list.h"
#include "base/tree.h"
#include "pkt/packet.h"
#include "tcp/seq.h"
#include "wire/tcp.h"

namespace leat::tcp {

// A received segment that waits in the receive queue or out of order. packet.data is at its payload.
struct RxSegment {
  TreeNode node;  // out-of-order queue
  Seq seq = 0;
  Seq end_seq = 0;      // SYN and FIN counted
  uint8_t flags = 0;    // wire::kTcp*
  uint8_t dsfield = 0;  // TOS or traffic class
  bool has_timestamp = false;
  bool is_retransmission_suspect = false;
  bool is_fin() const { return flags & wire::kTcpFin; }
  Packet& packet() { return *reinterpret_cast<Packet*>(reinterpret_cast<uint8_t*>(this) - offsetof(Packet, control)); }
};
static_assert(sizeof(RxSegment) <= Packet::kControlBytes);

// Marks of a sent segment (Linux's TCP_SKB_CB()->sacked).
inline constexpr uint8_t kSacked = 0x01;         // S: the peer has it, out of order
inline constexpr uint8_t kRetransmitted = 0x02;  // R: a retransmission is in flight
inline constexpr uint8_t kLost = 0x04;           // L
inline constexpr uint8_t kTagBits = 0x07;
inline constexpr uint8_t kRepaired = 0x10;
inline constexpr uint8_t kEverRetransmitted = 0x80;
inline constexpr uint8_t kRetransBits = kRetransmitted | kEverRetransmitted | kRepaired;

// A segment of the write queue (not sent yet) or of the retransmit queue. Its payload lies in the packet's fragments;
// the headers are built anew for each transmission. May stand for several wire segments (segs > 1) of mss bytes each.
struct TxSegment {
  TreeNode node;              // retransmit queue, by seq
  ListNode by_time;           // sent and not yet sacked, in the order of (re)transmission: RACK walks it
  uint64_t sent_us = 0;       // when it was last sent
  uint64_t first_tx_us = 0;   // rate sample: start of the flight
  uint64_t delivered_us = 0;  // rate sample: time of the last delivery then
  uint32_t delivered = 0;     // rate sample: tp->delivered when sent
  uint32_t delivered_ce : 20 = 0;
  uint32_t is_app_limited : 1 = 0;
  uint32_t in_flight_bits : 11 = 0;
  Seq seq = 0;
  Seq end_seq = 0;     // SYN and FIN counted
  uint16_t mss = 0;    // bytes a wire segment; 0: segs is 1
  uint16_t segs = 1;   // packets that it counts for (pcount)
  uint8_t flags = 0;   // wire::kTcp*
  uint8_t sacked = 0;  // k* above
  bool eor = false;    // MSG_EOR: nothing may be appended or merged behind it
  bool is_probe = false;

  Packet& packet() { return *reinterpret_cast<Packet*>(reinterpret_cast<uint8_t*>(this) - offsetof(Packet, control)); }
  uint32_t length() { return packet().length; }
  bool is_sacked() const { return sacked & kSacked; }
  bool is_lost() const { return sacked & kLost; }
};
static_assert(sizeof(TxSegment) <= Packet::kControlBytes);

inline TxSegment& tx_segment(Packet& p) {
  return *reinterpret_cast<TxSegment*>(p.control);
}
inline RxSegment& rx_segment(Packet& p) {
  return *reinterpret_cast<RxSegment*>(p.control);
}
inline TxSegment& make_tx_segment(Packet& p) {
  return *new (p.control) TxSegment();
}
inline RxSegment& make_rx_segment(Packet& p) {
  return *new (p.control) RxSegment();
}

// A segment that has just arrived: parsed header, addresses' metadata, and the packet with its payload.
struct Segment {
  PacketPtr packet;  // taken by whoever queues it
  wire::TcpHeader header;
  Seq seq = 0;
  Seq end_seq = 0;  // SYN and FIN counted
  Seq ack = 0;
  uint32_t length = 0;  // payload
  uint8_t dsfield = 0;
  uint8_t ttl = 0;
  uint16_t ifindex = 0;
  const wire::TcpOptions& options() const { return header.options; }
  bool is_pure_ack() const { return length == 0 && !header.syn() && !header.fin() && !header.rst(); }
};

}  // namespace leat::tcp
