// Reassembly of IPv4 (RFC 791 §3.2, RFC 815) and IPv6 (RFC 8200 §4.5, RFC 5722) datagrams.
//
// A datagram in progress is a Queue, found by a keyed hash of (source, destination, id, protocol, interface). Its
// pieces lie sorted in a list; nothing is copied: the finished datagram is the first piece with the others behind it
// in Packet::more. The rules are Linux's:
//   - a piece that lies inside of what is there is dropped; one that overlaps partly kills the whole datagram;
//   - the memory of all queues is bounded (ipfrag_high_thresh); above it no fragment is taken, old or new;
//   - a queue lives 30 s (60 s for IPv6); if its first piece is there, the sender is told;
//   - a queue during whose wait the same peer sent more than ipfrag_max_dist other fragments is begun anew: its 16-bit
//     id may have come round.
// And one of leat's own: at most kMaxPieces pieces a datagram, so that a list may be searched.
#pragma once

#include <array>
#include <cstdint>

#include "base/list.h"
#include "base/rng.h"
#include "base/siphash.h"
#include "base/slab.h"
#include "base/spinlock.h"
#include "base/time.h"
#include "ip/deadline_heap.h"
#include "pkt/packet.h"
#include "wire/ip_address.h"

namespace leat::ip {

struct FragmentKey {
  IpAddress src;
  IpAddress dst;
  uint32_t id = 0;
  uint8_t protocol = 0;  // IPv4 only
  uint16_t ifindex = 0;  // IPv4: 0; IPv6: of the interface for link-local addresses
  bool operator==(const FragmentKey&) const = default;
};

class Reassembly {
 public:
  static constexpr uint32_t kMaxPieces = 1400;  // 65535 bytes at the smallest MTU, 68

  struct Limits {
    uint64_t high_thresh = 4 << 20;
    Duration timeout = Duration::from_s(30);
    uint32_t max_dist = 64;  // 0: off
  };
  enum class Outcome : uint8_t {
    kQueued,
    kComplete,
    kDuplicate,  // this fragment was dropped, the queue lives on
    kOverlap,    // the queue is gone
    kInvalid,    // lengths that contradict each other: the queue is gone
    kTooBig,     // more than 65535 bytes: the queue is gone
    kNoMemory,   // above high_thresh, or out of memory
    kBadEcn,     // RFC 3168 §5.3: CE beside Not-ECT: the queue is gone
  };
  // One fragment: packet.data stands at the fragment's payload. header_bytes: how far before it the network header
  // begins (in the linear part), kept with the first fragment.
  struct Fragment {
    FragmentKey key;
    uint32_t offset = 0;
    bool more = false;
    uint8_t ecn = 0;  // the two bits of the header
    uint32_t header_bytes = 0;
    uint32_t name_offset = 0;  // IPv6: of the byte that names the fragment header
  };
  struct Result {
    Outcome outcome = Outcome::kQueued;
    PacketPtr packet;  // kComplete: at the network header of the first fragment, not yet rewritten
    uint32_t header_bytes = 0;
    uint32_t name_offset = 0;  // of the first fragment
    uint32_t payload = 0;      // bytes behind the header
    bool has_ce = false;
    bool restarted = false;  // an old queue of this key was thrown away (max_dist)
  };
  struct Expired {
    FragmentKey key;
    PacketPtr first;  // at its network header, when the first piece had come
    uint32_t header_bytes = 0;
    uint16_t ifindex = 0;
  };

  Reassembly(const char* name, Rng& rng) : slab_(name), key_(make_sip_key(rng)) {}
  ~Reassembly();
  Reassembly(const Reassembly&) = delete;

  Result add(PacketPtr packet, const Fragment& f, const Limits& limits, Time now);
  bool expire(Time now, Expired& out);  // one queue whose time is up; false: none
  Time next_deadline() const;
  uint64_t memory() const;
  size_t queues() const { return slab_.in_use(); }

 private:
  static constexpr size_t kBuckets = 1024;
  static constexpr size_t kPeers = 1024;
  struct Piece;  // kept in Packet::control
  struct Queue {
    Queue* chain = nullptr;
    Deadline deadline;
    FragmentKey key;
    PacketList pieces;  // by offset, never overlapping
    uint32_t count = 0;
    uint32_t have = 0;  // bytes of payload
    uint32_t end = 0;   // of the datagram as far as seen
    bool has_last = false;
    uint8_t ecn_seen = 0;       // bit n: a piece with ECN n
    uint32_t header_bytes = 0;  // of the first piece
    uint32_t name_offset = 0;
    uint16_t ifindex = 0;
    uint32_t peer_count = 0;  // the peer's counter when the queue last grew
    uint64_t memory = 0;
  };

  size_t bucket_of(const FragmentKey& k) const;
  Queue* find(const FragmentKey& k) const;
  Queue* create(const FragmentKey& k, Time expires);
  void destroy(Queue* q);
  uint32_t& seen_of(const IpAddress& peer);
  bool is_too_distant(Queue& q, uint32_t max_dist);
  Queue* find_or_begin(const FragmentKey& key, const Limits& limits, Time now, bool& restarted);
  Outcome take(Queue& q, PacketPtr& packet, const Fragment& f);  // packet is moved from when it was placed
  static Outcome note_length(Queue& q, const Fragment& f, uint32_t end);
  static Outcome place(Queue& q, Packet* packet, uint32_t offset, uint32_t end);
  static void finish(Queue& q, Result& r);

  Slab<Queue> slab_;
  const SipKey key_;
  std::array<Queue*, kBuckets> buckets_{};
  std::array<uint32_t, kPeers> peers_{};  // fragments seen, by a keyed hash of the source
  DeadlineHeap<Queue, &Queue::deadline> deadlines_;
  uint64_t memory_ = 0;
  mutable SpinLock lock_;
};

}  // namespace leat::ip
