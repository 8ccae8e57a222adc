// Packets and their pools. A Packet costs one slab object; its linear bytes one Buffer of the smallest class that
// fits, or straight from the allocator beyond the largest class. A packet with little more than headers has its buffer
// in the same object. Nothing here copies payload: pieces are shared by reference, and whoever gives up tailroom that
// others may be reading (split, trim) closes it.
#include "pkt/packet.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>

#include "base/rcu.h"

namespace leat {
namespace {

constexpr uint32_t kSkBuff = 256;      // struct sk_buff
constexpr uint32_t kSharedInfo = 320;  // skb_shared_info

uint32_t own_length(const Packet& p) {
  uint32_t n = p.linear_length();
  for (uint16_t i = 0; i < p.frag_count; ++i)
    n += p.frags[i].length;
  return n;
}

// Calls f(buffer, offset in it, length) for each piece of [offset, offset + n).
template <class F>
void for_each_shared(const Packet& packet, uint32_t offset, uint32_t n, F&& f) {
  for (const Packet* p = &packet; p != nullptr && n != 0; p = p->more) {
    auto piece = [&](Buffer* b, uint32_t start, uint32_t size) {
      const uint32_t skip = offset < size ? offset : size;
      const uint32_t take = size - skip < n ? size - skip : n;
      offset -= skip;
      n -= take;
      if (take != 0) f(b, start + skip, take);
    };
    piece(p->buffer, static_cast<uint32_t>(p->data - p->buffer->bytes()), p->linear_length());
    for (uint16_t i = 0; i < p->frag_count; ++i)
      piece(p->frags[i].buffer, p->frags[i].offset, p->frags[i].length);
  }
}

// Appends shared pieces to a packet and opens a new one in its chain when its fragments are used up.
class Sharer {
 public:
  explicit Sharer(Packet& head) : head_(head), last_(&head) {}
  bool add(Buffer* b, uint32_t offset, uint32_t n) {
    if (!last_->can_add_fragment(b, offset) && !open_next()) return false;
    last_->add_fragment(b, offset, n);
    if (last_ != &head_) head_.length += n;
    return true;
  }
  bool add_range(const Packet& from, uint32_t offset, uint32_t n) {
    bool ok = true;
    for_each_shared(from, offset, n, [&](Buffer* b, uint32_t at, uint32_t size) { ok = ok && add(b, at, size); });
    return ok;
  }

 private:
  bool open_next() {
    PacketPtr next = head_.pool->make(0, 0);
    if (next == nullptr) return false;
    last_->more = next.release();
    last_ = last_->more;
    return true;
  }
  Packet& head_;
  Packet* last_;
};

void copy_metadata(const Packet& from, Packet& to) {
  to.received = from.received;
  to.departure = from.departure;
  to.gso_size = from.gso_size;
  to.gso_segs = from.gso_segs;
  to.gso_type = from.gso_type;
  to.checksum = from.checksum;
  to.csum_offset = from.csum_offset;
  to.ethertype = from.ethertype;
  to.ifindex = from.ifindex;
  to.mark = from.mark;
  to.priority = from.priority;
  to.is_loopback = from.is_loopback;
}

// Header positions count from head; a header that lies before `from.data` has no place in the copy.
void copy_header_offsets(const Packet& from, Packet& to) {
  const auto moved = [&](uint16_t offset) {
    const uint32_t at = to.headroom() + offset - from.headroom();
    return static_cast<uint16_t>(offset < from.headroom() ? 0 : at);
  };
  to.network_offset = moved(from.network_offset);
  to.transport_offset = moved(from.transport_offset);
  to.csum_start = moved(from.csum_start);
}

}  // namespace

// ---- Packet

void Packet::pull_far(uint32_t n) {
  LEAT_CHECK(n <= length);
  for (Packet* p = this; p != nullptr && n != 0; p = p->more) {
    p->length -= n;
    n -= p->pull_own(n);
  }
  while (more != nullptr && more->length == 0)
    drop_more();
  while (more != nullptr && own_length(*more) == 0)
    drop_more();
}

// Takes at most n bytes off this packet's own pieces and says how many.
uint32_t Packet::pull_own(uint32_t n) {
  const uint32_t from_linear = n < linear_length() ? n : linear_length();
  data += from_linear;
  return from_linear + pull_fragments(n - from_linear);
}

uint32_t Packet::pull_fragments(uint32_t n) {
  uint16_t gone = 0;
  uint32_t pulled = 0;
  for (; gone < frag_count && pulled + frags[gone].length <= n; ++gone) {
    pulled += frags[gone].length;
    PacketPool::unref(frags[gone].buffer);
  }
  if (gone < frag_count && pulled < n) {
    frags[gone].offset += n - pulled;
    frags[gone].length -= n - pulled;
    pulled = n;
  }
  frag_count = static_cast<uint16_t>(frag_count - gone);
  if (gone != 0) std::memmove(frags, frags + gone, frag_count * sizeof(Fragment));
  return pulled;
}

// Releases the first packet of the chain, whose bytes are gone.
void Packet::drop_more() {
  Packet* gone = more;
  more = gone->more;
  gone->more = nullptr;
  gone->pool->release(gone);
}

void Packet::trim_far(uint32_t new_len) {
  LEAT_CHECK(new_len <= length);
  uint32_t keep = new_len;
  for (Packet* p = this;; p = p->more) {
    const uint32_t own = own_length(*p);
    p->length = keep;
    if (p->more != nullptr && keep > own) {
      keep -= own;
      continue;
    }
    PacketPtr(p->more).reset();
    p->more = nullptr;
    p->trim_own(keep);
    return;
  }
}

void Packet::trim_own(uint32_t keep) {
  uint32_t own = own_length(*this);
  while (frag_count != 0 && own > keep) {
    Fragment& last = frags[frag_count - 1];
    const uint32_t cut = own - keep < last.length ? own - keep : last.length;
    last.length -= cut;
    own -= cut;
    if (last.length != 0) return;
    PacketPool::unref(last.buffer);
    --frag_count;
  }
  if (own == keep) return;
  tail = data + keep;
  // Someone else may be reading what was cut off: it must not be written again.
  if (buffer->refs.load(std::memory_order_acquire) != 1) end = tail;
}

bool Packet::pull_linear_far(uint32_t n) {
  if (n > length) return false;
  const uint32_t linear_bytes = linear_length();
  const uint32_t missing = n - linear_bytes;
  if (missing > tailroom() && !grow_tailroom(missing)) return false;
  copy_out(linear_bytes, tail, missing);
  // The copied bytes are now taken off the fragments, with the linear part out of the way.
  uint8_t* const begin = data;
  uint8_t* const new_tail = tail + missing;
  data = tail;
  length -= linear_bytes;
  pull(missing);
  data = begin;
  tail = new_tail;
  length += n;
  return true;
}

// Moves the linear bytes and the headroom, which may hold headers already parsed, to a Buffer with room behind them.
bool Packet::grow_tailroom(uint32_t room) {
  const auto used = static_cast<uint32_t>(tail - head);
  Buffer* fresh = pool->make_buffer(used + room);
  if (fresh == nullptr) return false;
  std::memcpy(fresh->bytes(), head, used);
  data = fresh->bytes() + headroom();
  head = fresh->bytes();
  tail = head + used;
  end = head + fresh->capacity;
  if (!has_buffer_inside || buffer != PacketPool::inside(this)) PacketPool::unref(buffer);  // else it goes with us
  buffer = fresh;
  return true;
}

bool Packet::can_add_fragment(const Buffer* b, uint32_t offset) const {
  if (more != nullptr) return false;
  if (frag_count < kMaxFragments) return true;
  const Fragment& last = frags[frag_count - 1];
  return last.buffer == b && last.offset + last.length == offset;
}

void Packet::add_fragment(Buffer* b, uint32_t offset, uint32_t n) {
  if (n == 0) return;
  LEAT_CHECK(can_add_fragment(b, offset) && offset <= b->capacity && n <= b->capacity - offset);
  length += n;
  truesize += n;
  if (frag_count != 0) {
    Fragment& last = frags[frag_count - 1];
    if (last.buffer == b && last.offset + last.length == offset) {
      last.length += n;
      return;
    }
  }
  PacketPool::ref(b);
  frags[frag_count++] = {b, offset, n};
}

void Packet::append(PacketPtr p) {
  Packet* const added = p.release();
  Packet* last = this;
  for (; last->more != nullptr; last = last->more)
    last->length += added->length;
  last->length += added->length;
  last->more = added;
}

void Packet::copy_out(uint32_t offset, uint8_t* out, uint32_t n) const {
  LEAT_CHECK(offset <= length && n <= length - offset);
  for_each_piece(offset, n, [&](ByteView piece) {
    std::memcpy(out, piece.data(), piece.size());
    out += piece.size();
  });
}

void PacketDeleter::operator()(Packet* p) const {
  p->pool->release(p);
}

bool Packet::append_copy(const Packet& p) {
  if (frag_count != 0 || more != nullptr || buffer->refs.load(std::memory_order_acquire) != 1) return false;
  if (p.length > tailroom()) {
    constexpr uint32_t kEnough = 2048;
    if (linear_length() > kEnough || !grow_tailroom(std::max(p.length, linear_length()))) return false;
  }
  p.copy_out(0, put(p.length), p.length);
  return true;
}

bool PacketQueue::merge_into_back(const Packet& p) {
  if (list_.is_empty() || !list_.back()->append_copy(p)) return false;
  bytes_ += p.length;
  return true;
}

// ---- PacketPool

static_assert(std::is_trivially_destructible_v<Packet>);  // one with its buffer inside just ends

PacketPool::PacketPool()
    : packets_("packet"), small_packets_("packet-small", sizeof(Packet) + sizeof(Buffer) + kInside, alignof(Packet)) {
  static constexpr const char* kNames[kClassCount] = {"buffer-256",   "buffer-512",   "buffer-2048", "buffer-4096",
                                                      "buffer-16384", "buffer-34816", "buffer-69632"};
  for (size_t i = 0; i < kClassCount; ++i)
    classes_[i] = new SlabBase(kNames[i], kClasses[i], alignof(Buffer));
}

PacketPool::~PacketPool() {
  for (SlabBase* slab : classes_)
    delete slab;
}

Buffer* PacketPool::make_buffer(uint32_t capacity) {
  if (capacity > kMaxBuffer) return nullptr;
  const auto need = static_cast<uint32_t>(capacity + sizeof(Buffer));
  for (size_t i = 0; i < kClassCount; ++i) {
    if (need > kClasses[i]) continue;
    void* memory = classes_[i]->alloc_raw();
    if (memory == nullptr) return nullptr;
    return new (memory) Buffer{1, static_cast<uint32_t>(kClasses[i] - sizeof(Buffer)), this};
  }
  void* memory = std::malloc(need);
  if (memory == nullptr) return nullptr;
  large_bytes_.fetch_add(need, std::memory_order_relaxed);
  return new (memory) Buffer{1, capacity, this};
}

void PacketPool::unref(Buffer* b) {
  if (count_down(b->refs, 1u, std::memory_order_acq_rel) == 1) b->pool->free_buffer(b);
}

// ---- the end of a pool ----

bool PacketPool::is_empty() const {
  bool is = packets_.in_use() == 0 && small_packets_.in_use() == 0 && large_bytes_.load(std::memory_order_relaxed) == 0;
  for (const SlabBase* slab : classes_)
    is = is && slab->in_use() == 0;
  return is;
}

void PacketPool::retire() {
  is_retired_.store(true, std::memory_order_release);
  rcu_synchronize();
  packets_.disown();
  small_packets_.disown();
  for (SlabBase* slab : classes_)
    slab->disown();
  free_late([this] { is_abandoned_ = true; });
}

template <class F>
void PacketPool::free_late(F&& free) {
  bool is_last = false;
  {
    Guard guard(late_lock_);
    free();
    is_last = is_abandoned_ && is_empty();
  }
  if (is_last) delete this;  // who frees has something of ours until then: nobody else is here
}

void PacketPool::free_buffer(Buffer* b) {
  if (is_retired()) return free_late([this, b] { give_back(b); });
  give_back(b);
}

void PacketPool::give_back(Buffer* b) {
  if (b->capacity == kInside) return small_packets_.free_raw(reinterpret_cast<Packet*>(b) - 1);
  const auto size = static_cast<uint32_t>(b->capacity + sizeof(Buffer));
  for (size_t i = 0; i < kClassCount; ++i) {
    if (size == kClasses[i]) return classes_[i]->free_raw(b);
  }
  large_bytes_.fetch_sub(size, std::memory_order_relaxed);
  std::free(b);
}

// Linux's charge for a packet of so many linear bytes: SKB_TRUESIZE of what kmalloc gives. Small heads come from a
// cache of their own.
uint32_t PacketPool::truesize_of(uint32_t linear) const {
  const uint32_t need = ((linear + 63) & ~63u) + kSharedInfo;
  if (need <= charges.small_head) return charges.small_head + kSkBuff;
  uint32_t size = 1024;
  while (size < need && size < 8192)
    size *= 2;
  if (size < need) size = (need + 4095) & ~4095u;  // beyond two pages the page allocator's granularity is charged
  return size + kSkBuff;
}

uint32_t PacketPool::uncharged_room(const Packet& p) const {
  const auto used = static_cast<uint32_t>(p.tail - p.head) + kSkBuff + kSharedInfo;
  return p.frag_count != 0 || p.more != nullptr || p.truesize < used ? 0 : p.truesize - used;
}

// No () behind Packet: frags and control stay as they are.
Packet* PacketPool::make_small() {
  void* memory = small_packets_.alloc_raw();
  if (memory == nullptr) return nullptr;
  auto* p = new (memory) Packet;
  p->has_buffer_inside = true;
  p->buffer = new (inside(p)) Buffer{1, kInside, this};
  return p;
}

Packet* PacketPool::make_apart(uint32_t capacity) {
  Buffer* b = make_buffer(capacity);
  if (b == nullptr) return nullptr;
  void* memory = packets_.alloc_raw();
  if (memory == nullptr) {
    unref(b);
    return nullptr;
  }
  auto* p = new (memory) Packet;
  p->buffer = b;
  return p;
}

PacketPtr PacketPool::make(uint32_t linear, uint32_t headroom) {
  if (linear > kMaxBuffer || headroom > kMaxBuffer || packets_in_use() >= limit_.load(std::memory_order_relaxed))
    return nullptr;
  Packet* p = linear + headroom <= kInside ? make_small() : make_apart(linear + headroom);
  if (p == nullptr) return nullptr;
  p->pool = this;
  p->head = p->buffer->bytes();
  p->data = p->tail = p->head + headroom;
  p->end = p->head + p->buffer->capacity;
  p->truesize = truesize_of(linear + headroom);
  return PacketPtr(p);
}

PacketPtr PacketPool::make_copy(ByteView bytes, uint32_t headroom) {
  if (bytes.size() > kMaxBuffer) return nullptr;
  PacketPtr p = make(static_cast<uint32_t>(bytes.size()), headroom);
  if (p != nullptr && !bytes.empty())
    std::memcpy(p->put(static_cast<uint32_t>(bytes.size())), bytes.data(), bytes.size());
  return p;
}

PacketPtr PacketPool::clone(const Packet& p, uint32_t linear_copy, uint32_t headroom) {
  LEAT_CHECK(linear_copy <= p.length);
  PacketPtr copy = make(linear_copy, headroom);
  if (copy == nullptr) return nullptr;
  p.copy_out(0, copy->put(linear_copy), linear_copy);
  copy_metadata(p, *copy);
  copy_header_offsets(p, *copy);
  if (!Sharer(*copy).add_range(p, linear_copy, p.length - linear_copy)) return nullptr;
  return copy;
}

PacketPtr PacketPool::split(Packet& p, uint32_t at) {
  LEAT_CHECK(at <= p.length);
  PacketPtr rest = make(0);
  if (rest == nullptr) return nullptr;
  copy_metadata(p, *rest);
  if (!Sharer(*rest).add_range(p, at, p.length - at)) return nullptr;
  uint32_t in_fragments = 0;
  for (uint16_t i = 0; i < p.frag_count; ++i)
    in_fragments += p.frags[i].length;
  p.trim(at);
  for (uint16_t i = 0; i < p.frag_count; ++i)
    in_fragments -= p.frags[i].length;
  p.truesize -= in_fragments;
  return rest;
}

void PacketPool::release(Packet* p) {
  while (p != nullptr) {
    Packet* const next = p->more;
    PacketPool* const pool = p->pool;
    for (uint16_t i = 0; i < p->frag_count; ++i)
      unref(p->frags[i].buffer);
    if (!p->has_buffer_inside) {
      unref(p->buffer);
      if (pool->is_retired()) {
        pool->free_late([pool, p] { pool->packets_.destroy(p); });
      } else {
        pool->packets_.destroy(p);
      }
    } else {
      if (p->buffer != inside(p)) unref(p->buffer);
      unref(inside(p));  // and with the last reference the packet's memory
    }
    p = next;
  }
}

size_t PacketPool::bytes() const {
  size_t n = packets_.bytes() + small_packets_.bytes() + large_bytes_.load(std::memory_order_relaxed);
  for (const SlabBase* slab : classes_)
    n += slab->bytes();
  return n;
}

size_t PacketPool::trim() {
  size_t n = packets_.trim() + small_packets_.trim();
  for (SlabBase* slab : classes_)
    n += slab->trim();
  return n;
}

}  // namespace leat
