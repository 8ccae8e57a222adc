// A packet: linear bytes with room before and behind, fragments that share other people's bytes, and what an offload
// must know. Linux's sk_buff in the shape that leat needs.
//
//   head          data               tail          end
//    | headroom    | linear bytes     | tailroom    |      + frags[0..frag_count)  + more (a chain: GRO, reassembly)
//
// Headers are pushed in front (push) and pulled off (pull) without moving a byte. Payload is never copied to grow,
// share, split or merge: fragments hold references on Buffers. A Packet itself has one owner at a time (PacketPtr);
// Buffers are shared and counted. Thread rule: one Packet, one thread at a time; pools may be used from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/check.h"
#include "base/list.h"
#include "base/slab.h"
#include "base/spinlock.h"
#include "base/time.h"
#include "base/tree.h"

namespace leat {

class PacketPool;
struct Packet;

struct PacketDeleter {
  void operator()(Packet* p) const;
};
using PacketPtr = std::unique_ptr<Packet, PacketDeleter>;

// Counted bytes. Whoever holds a reference may read; only a sole owner may write what is already published, but the
// bytes behind the last published one may be appended by whoever reserves them (the socket's send buffer does).
struct Buffer {
  std::atomic<uint32_t> refs;
  uint32_t capacity;
  PacketPool* pool;
  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(this + 1); }
};

struct Fragment {
  Buffer* buffer;
  uint32_t offset;
  uint32_t length;
  const uint8_t* bytes() const { return buffer->bytes() + offset; }
};

enum class Checksum : uint8_t {
  kNone,      // in: not verified. out: complete, nothing left to do
  kVerified,  // in: the link or a lower room has verified the transport checksum, or the sender shares our memory
  kPartial,   // out: the transport checksum field holds the pseudo-header sum; csum_start and csum_offset say where
};

enum class GsoType : uint8_t { kNone, kTcp4, kTcp6, kUdp };

struct Packet {
  static constexpr uint32_t kMaxFragments = 17;
  static constexpr size_t kControlBytes = 120;

  ListNode node;       // queues are intrusive
  TreeNode tree_node;  // so are the retransmit queue and the out-of-order queue (base/tree.h)
  PacketPool* pool = nullptr;
  Buffer* buffer = nullptr;  // of the linear bytes
  uint8_t* head = nullptr;
  uint8_t* data = nullptr;
  uint8_t* tail = nullptr;
  uint8_t* end = nullptr;
  Packet* more = nullptr;  // owned; its bytes follow this packet's
  uint32_t length = 0;     // linear + fragments + more (each of the chain counts itself and what follows it)
  // What a socket is charged for it, Linux's SKB_TRUESIZE. make() sets it, add_fragment() adds the bytes, split()
  // takes off what left the fragments; pull() and trim() do not touch it, so that a charge stays what it was.
  uint32_t truesize = 0;

  Time received;          // when the link got it
  Time departure;         // earliest departure (pacing); zero: now
  uint16_t gso_size = 0;  // bytes of payload a segment; 0: not a super-segment
  uint16_t gso_segs = 0;
  GsoType gso_type = GsoType::kNone;
  Checksum checksum = Checksum::kNone;
  uint16_t csum_start = 0;      // from head
  uint16_t csum_offset = 0;     // from csum_start
  uint16_t ethertype = 0;       // 0x0800, 0x86dd, 0x0806
  uint16_t network_offset = 0;  // from head; set by whoever parses or builds that header
  uint16_t transport_offset = 0;
  uint16_t ifindex = 0;  // interface it came in by
  uint32_t mark = 0;     // SO_MARK
  uint32_t priority = 0;
  uint32_t flow_hash = 0;          // EstablishedTable::hash_of its addresses and ports, where it is known; 0: it is not
  bool is_loopback = false;        // came over the loopback interface
  bool has_buffer_inside = false;  // memory for a small buffer follows the packet, and goes when both have gone
  uint16_t frag_count = 0;
  Fragment frags[kMaxFragments];
  // Belongs to whoever owns the packet now (tcp keeps its segment's sequence numbers here), like sk_buff.cb.
  alignas(8) uint8_t control[kControlBytes];

  uint32_t linear_length() const { return static_cast<uint32_t>(tail - data); }
  uint32_t headroom() const { return static_cast<uint32_t>(data - head); }
  uint32_t tailroom() const { return static_cast<uint32_t>(end - tail); }
  ByteView linear() const { return {data, static_cast<size_t>(tail - data)}; }
  uint8_t* network_header() const { return head + network_offset; }
  uint8_t* transport_header() const { return head + transport_offset; }
  void set_network_header() { network_offset = static_cast<uint16_t>(data - head); }
  void set_transport_header() { transport_offset = static_cast<uint16_t>(data - head); }

  uint8_t* push(uint32_t n) {  // CHECKs headroom
    LEAT_CHECK(n <= headroom());
    data -= n;
    length += n;
    return data;
  }
  uint8_t* put(uint32_t n) {  // n more linear bytes behind; CHECKs tailroom; only while there are no fragments
    LEAT_CHECK(n <= tailroom() && frag_count == 0 && more == nullptr);
    uint8_t* p = tail;
    tail += n;
    length += n;
    return p;
  }
  void pull(uint32_t n) {  // n bytes off the front, wherever they lie; CHECKs n <= length
    if (n > linear_length() || more != nullptr) return pull_far(n);
    data += n;
    length -= n;
  }
  void trim(uint32_t new_len) {  // bytes off the end; new_len <= length
    if (new_len != length) trim_far(new_len);
  }
  // Makes the first n bytes linear (headers only; copies at most those); false: too short.
  bool pull_linear(uint32_t n) { return n <= linear_length() || pull_linear_far(n); }
  void add_fragment(Buffer* b, uint32_t offset, uint32_t n);  // takes a new reference; coalesces with the last one
  bool can_add_fragment(const Buffer* b, uint32_t offset) const;
  // Copies p's bytes behind the linear ones; a small buffer is doubled for them, at the cost of who charged it:
  // truesize stays. False: full, or others read there.
  bool append_copy(const Packet& p);
  void append(PacketPtr p);  // its bytes follow this packet's (the end of the chain `more`)
  // Copies n bytes from offset to out; CHECKs the range.
  void copy_out(uint32_t offset, uint8_t* out, uint32_t n) const;
  // Calls f(ByteView) for each piece of [offset, offset+n), in order.
  template <class F>
  void for_each_piece(uint32_t offset, uint32_t n, F&& f) const;

 private:
  void pull_far(uint32_t n);
  void trim_far(uint32_t new_len);
  bool pull_linear_far(uint32_t n);
  uint32_t pull_own(uint32_t n);
  uint32_t pull_fragments(uint32_t n);
  void drop_more();
  void trim_own(uint32_t keep);
  bool grow_tailroom(uint32_t room);
};

using PacketList = List<Packet, &Packet::node>;

// Owning queue of packets.
class PacketQueue {
 public:
  PacketQueue() = default;
  ~PacketQueue() { clear(); }
  void push_back(PacketPtr p) {
    ++count_;
    bytes_ += p->length;
    list_.push_back(p.release());
  }
  void push_front(PacketPtr p) {
    ++count_;
    bytes_ += p->length;
    list_.push_front(p.release());
  }
  PacketPtr pop_front() {
    Packet* p = list_.pop_front();
    if (p != nullptr) {
      --count_;
      bytes_ -= p->length;
    }
    return PacketPtr(p);
  }
  // Packet::append_copy to the last one.
  bool merge_into_back(const Packet& p);
  Packet* front() const { return list_.front(); }
  Packet* back() const { return list_.back(); }
  Packet* next(const Packet* p) const { return list_.next(p); }
  bool is_empty() const { return list_.is_empty(); }
  size_t count() const { return count_; }
  size_t bytes() const { return bytes_; }  // lengths at the time of pushing: do not resize what is queued
  void clear() {
    while (pop_front() != nullptr) {
    }
  }

 private:
  PacketList list_;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

inline constexpr uint32_t kHeadroom = 128;  // link + network + transport headers of anything that leat builds

// What Linux charges a socket for a packet depends on how the kernel was built: with room for the headers of tunnels
// and wireless devices (MAX_HEADER) as distributions have it, or without. A comparison with one kernel takes its sizes.
struct Charges {
  uint32_t small_head = 576;   // received: the least that a linear packet's head occupies
  uint32_t tx_overhead = 960;  // sent: a queued segment without payload
  uint32_t header = 320;       // MAX_TCP_HEADER
};

// Two Stacks in one memory hold each other's packets. A pool that is retired therefore lives until the last of its
// packets and buffers has come back, on whatever thread that is; one that is destroyed has none any more.
class PacketPool {
 public:
  PacketPool();
  ~PacketPool();
  struct Retire {
    void operator()(PacketPool* pool) const { pool->retire(); }
  };
  using Owner = std::unique_ptr<PacketPool, Retire>;
  // A packet with `headroom` and room for `linear` bytes behind it; nullptr when memory is out.
  PacketPtr make(uint32_t linear, uint32_t headroom = kHeadroom);
  PacketPtr make_copy(ByteView bytes, uint32_t headroom = kHeadroom);  // bytes as its linear part
  // Shares all payload bytes: the first `linear_copy` linear bytes are copied into a new linear part (headers that
  // the copy may rewrite), the rest become fragments. Offload data and header positions are copied, control is not.
  PacketPtr clone(const Packet& p, uint32_t linear_copy, uint32_t headroom = kHeadroom);
  // Cuts p at `at`: p keeps [0, at), the result has the rest and shares the bytes, behind kHeadroom and no linear part.
  // Offload data are copied, header positions and control are not. nullptr when memory is out; p is then as it was.
  PacketPtr split(Packet& p, uint32_t at);

  Buffer* make_buffer(uint32_t capacity);  // one reference; nullptr when memory is out
  static void ref(Buffer* b) { count_up(b->refs, 1u); }
  static void unref(Buffer* b);
  void release(Packet* p);

  // How many more bytes Linux would copy behind a received linear packet without a charge; 0 when it has fragments.
  uint32_t uncharged_room(const Packet& p) const;
  Charges charges;  // to be set before there is any packet

  void limit_packets(size_t n) { limit_.store(n, std::memory_order_relaxed); }  // make() fails beyond
  size_t packets_in_use() const { return packets_.in_use() + small_packets_.in_use(); }
  size_t bytes() const;  // taken from the system
  size_t trim();

 private:
  friend struct Packet;
  Packet* make_small();
  Packet* make_apart(uint32_t capacity);
  void free_buffer(Buffer* b);
  void give_back(Buffer* b);
  void retire();
  template <class F>
  void free_late(F&& free);
  bool is_retired() const { return is_retired_.load(std::memory_order_acquire); }
  bool is_empty() const;
  uint32_t truesize_of(uint32_t linear) const;

  static constexpr uint32_t kMaxBuffer = 1u << 24;  // no length that this room is asked for may wrap a sum
  static constexpr uint32_t kClasses[] = {256, 512, 2048, 4096, 16384, 34816, 69632};  // bytes with the Buffer header
  static constexpr size_t kClassCount = sizeof(kClasses) / sizeof(kClasses[0]);
  // What a segment without payload needs. No class has this capacity.
  static constexpr uint32_t kInside = 224;
  static Buffer* inside(Packet* p) { return reinterpret_cast<Buffer*>(p + 1); }
  Slab<Packet> packets_;
  SlabBase small_packets_;
  std::atomic<size_t> limit_ = SIZE_MAX;
  SlabBase* classes_[kClassCount];
  std::atomic<size_t> large_bytes_ = 0;
  std::atomic<bool> is_retired_ = false;
  bool is_abandoned_ = false;  // nobody is in a free any more that began before the retirement
  SpinLock late_lock_;         // of what comes back after it
};

template <class F>
void Packet::for_each_piece(uint32_t offset, uint32_t n, F&& f) const {
  for (const Packet* p = this; p != nullptr && n != 0; p = p->more) {
    auto piece = [&](const uint8_t* bytes, uint32_t size) {
      if (offset >= size) {
        offset -= size;
        return;
      }
      const uint32_t take = size - offset < n ? size - offset : n;
      if (take != 0) f(ByteView(bytes + offset, take));
      n -= take;
      offset = 0;
    };
    piece(p->data, p->linear_length());
    for (uint16_t i = 0; i < p->frag_count && n != 0; ++i)
      piece(p->frags[i].bytes(), p->frags[i].length);
  }
}

}  // namespace leat
