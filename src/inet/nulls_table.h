// The hash table behind EstablishedTable: chains through SockCommon::chain, read without a lock, resized in use.
//
//   current ─► Array 0 [head|head|head|…]        a head: 0 empty, else the first object; +kLock a writer is in it;
//                 │ next (while resizing)                 kMoved: the chain has moved to the next array, for good
//                 ▼                               a chain ends in a nulls value: array's generation, bucket, 1
//              Array 1 [head|head|head|head|head|head|…]
//
// Reading: walk the chain of every array from `current` on. A reader on an object that is freed, and perhaps becomes
// another one in another chain, arrives at the end of another chain, or at 0, and starts again. What has the right
// hash is compared after its reference is taken: before that it may change at any moment.
//
// Why nothing is missed: objects are inserted at the head of a chain only (also by replace), so a reader whose object
// is reused in the same chain has that whole chain before it again. Resizing moves the LAST object of a chain first:
// it is linked into the new chain before the old one is cut before it, so an object that was there throughout is in
// the old chain, or, for who finds the old one's end, already in the new one, which is read later. A connection that
// is replaced (request → connection → time-wait) is in two objects in turn: a reader between the head, where the
// fresh one goes in, and the old one, which goes, would see neither; so replace() counts, and who found nothing looks
// again if the count has changed.
//
// Writing: a bucket belongs to the first array in which it is not kMoved. Writers hold that head's lock bit.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/pages.h"
#include "base/rcu.h"
#include "base/spinlock.h"
#include "inet/sock.h"
#include "inet/tables.h"
#include "inet/tuple_hash.h"

namespace leat::inet {

// What a test may do between two steps of a reader, and which of its checks it may leave out, to show that they
// are needed. In the product there is none of it.
struct NoReaderHooks {
  static constexpr bool kCheckEnd = true;         // the nulls value at the chain's end is the one expected
  static constexpr bool kCompareAgain = true;     // the tuple is compared once the reference is held
  static constexpr bool kCheckReplaced = true;    // nothing was replaced while nothing was found
  static void on_object(const SockCommon*) {}     // a reader stands on this object and is about to look at it
  static void on_candidate(const SockCommon*) {}  // its hash is right; no reference is held yet
};

template <class Hooks>
class NullsTable {
 public:
  using MayReplace = EstablishedTable::MayReplace;
  using Release = EstablishedTable::Release;

  NullsTable(Rng& rng, uint32_t buckets)
      : hash_(make_sip_key(rng)), least_size_(std::bit_ceil(buckets == 0 ? 1u : buckets)) {
    Array* first = make_array(least_size_);
    LEAT_CHECK(first != nullptr);
    current_.store(first, std::memory_order_release);
  }
  ~NullsTable() {
    for (Array* a = current(); a != nullptr;) {
      Array* next = next_of(a);
      free_array(a);
      a = next;
    }
  }
  NullsTable(const NullsTable&) = delete;
  NullsTable& operator=(const NullsTable&) = delete;

  void set_release(Release release, void* context) {
    release_ = release;
    release_context_ = context;
  }
  uint32_t hash_of(const FourTuple& t) const {
    const auto h = static_cast<uint32_t>(hash_(t));
    return h == 0 ? 1 : h;  // 0 says "not hashed"
  }
  size_t count() const { return count_.load(std::memory_order_relaxed); }
  uint32_t buckets() const {
    const Array* a = current();
    while (const Array* next = next_of(a))
      a = next;
    return a->size();
  }
  size_t bytes() const {
    size_t n = 0;
    for (const Array* a = current(); a != nullptr; a = next_of(a))
      n += a->bytes();
    return n;
  }

  SockCommon* lookup(uint32_t hash, const FourTuple& t, uint16_t ifindex) const {
    const std::atomic<uint32_t>& replaced = replaced_[hash % kStripes];
    for (uint32_t before = replaced.load(std::memory_order_acquire);;) {
      SockCommon* found = look(hash, t, ifindex);
      if (found != nullptr || !Hooks::kCheckReplaced) return found;
      const uint32_t now = replaced.load(std::memory_order_acquire);
      if (now == before) return nullptr;
      before = now;
    }
  }
  // While the table is resized there are two arrays, and what has moved from one is in the other.
  void prefetch_head(uint32_t hash) const {
    for (const Array* a = current(); a != nullptr; a = next_of(a))
      __builtin_prefetch(&a->heads()[hash & a->mask]);
  }
  void prefetch_first(uint32_t hash) const {
    for (const Array* a = current(); a != nullptr; a = next_of(a)) {
      const uintptr_t head = a->heads()[hash & a->mask].load(std::memory_order_acquire) & ~kLock;
      if (head == kMoved) continue;
      if (head != 0) __builtin_prefetch(object(head), 1);  // for writing: who is found is referenced
      return;
    }
  }
  // Who is not the first of its chain, as one of seven is: the next one.
  void prefetch_second(uint32_t hash) const {
    const Array* a = current();
    const uintptr_t head = a->heads()[hash & a->mask].load(std::memory_order_acquire) & ~kLock;
    if (head == 0 || head == kMoved || (head & kNulls) != 0) return;
    const SockCommon* s = object(head);
    if (s->hash == hash) return;
    const uintptr_t next = s->chain.load(std::memory_order_acquire);
    if (next != 0 && (next & kNulls) == 0) __builtin_prefetch(object(next), 1);
  }

  void insert(SockCommon* s) {
    Bucket b = lock_for(s);
    push_front(b, s);
    unlock(b);
  }

  bool insert_unique(SockCommon* s, MayReplace may_replace, void* context, SockCommon** replaced) {
    const FourTuple t = s->tuple();
    Bucket b = lock_for(s);
    SockCommon* there = find_locked(b, s->hash, t, s->bound_ifindex);
    const bool free = there == nullptr || (may_replace != nullptr && may_replace(context, there));
    if (free) {
      push_front(b, s);
      if (there != nullptr) {
        unlink_replaced(b, there);
        *replaced = there;
      }
    } else {
      s->hash = 0;
    }
    unlock(b);
    return free;
  }

  // Of the same tuple, whose hash the old one has, unless it was taken out.
  bool replace(SockCommon* old, SockCommon* fresh) {
    const uint32_t known = old->hash;
    Bucket b = lock_for(fresh, known != 0 ? known : hash_of(fresh->tuple()));
    const bool was_there = EstablishedTable::is_hashed(old);
    if (was_there) {
      LEAT_CHECK(old->hash == fresh->hash && old->matches(fresh->tuple(), old->bound_ifindex));
      push_front(b, fresh);
      unlink_replaced(b, old);
    } else {
      fresh->hash = 0;
    }
    unlock(b);
    return was_there;
  }

  bool remove(SockCommon* s) {
    const uint32_t hash = s->hash;
    if (hash == 0) return false;
    Bucket b = lock_bucket(hash);
    const bool was_there = EstablishedTable::is_hashed(s) && s->hash == hash;
    if (was_there) unlink(b, s);
    unlock(b);
    return was_there;
  }

  void grow_if_needed() {
    const Array* a = current();
    if (next_of(a) == nullptr && wanted_size(a) == a->size()) return;
    if (!resize_lock_.try_lock()) return;  // somebody is at it
    Array* done = resize_some();
    resize_lock_.unlock();
    if (done == nullptr) return;
    rcu_synchronize();  // nobody walks it any more
    free_array(done);
  }

  void for_each(void (*f)(void*, SockCommon&), void* context) const {
    const Array* a = current();
    std::vector<SockCommon*> held;
    for (uint32_t bucket = 0; bucket <= a->mask; ++bucket)
      visit_bucket(a, bucket, f, context, held);
  }

  // The cursor counts with its bits reversed: when the table doubles meanwhile, the two halves of a bucket that was
  // visited lie behind it, both.
  uint32_t for_each_some(uint32_t cursor, uint32_t buckets, void (*f)(void*, SockCommon&), void* context) const {
    std::vector<SockCommon*> held;
    while (buckets-- != 0) {
      const Array* a = current();
      visit_bucket(a, cursor & a->mask, f, context, held);
      cursor = reversed(reversed(cursor | ~a->mask) + 1);
      if (cursor == 0) break;
    }
    return cursor;
  }

 private:
  static constexpr uintptr_t kNulls = 1, kLock = 2, kMoved = 4 | kNulls;
  static constexpr uint32_t kStripes = 256;  // of the counts of replacements, by hash
  static constexpr uint32_t kShrinkAt = 32;  // buckets for an object
  static constexpr uint32_t kMaxBuckets = 1u << 30;
  static constexpr uint32_t kStepsAtLeast = 1024, kStepsAtMost = 4096;  // buckets moved in a call of grow_if_needed
  using Head = std::atomic<uintptr_t>;
  static_assert(sizeof(Head) == 8);

  struct Array {
    uint32_t mask;
    uint32_t generation;
    std::atomic<Array*> next;
    Head* heads() { return reinterpret_cast<Head*>(this + 1); }
    const Head* heads() const { return reinterpret_cast<const Head*>(this + 1); }
    uintptr_t end_of(uint32_t bucket) const { return uintptr_t{generation} << 35 | uintptr_t{bucket} << 3 | kNulls; }
    uint32_t size() const { return mask + 1; }
    size_t bytes() const { return sizeof(Array) + (size_t{mask} + 1) * sizeof(Head); }
  };
  struct Bucket {
    Array* array;
    uint32_t index;
    uintptr_t first;  // 0 or an object; what the head becomes at unlock
  };
  enum class Walk { kFound, kMissed, kStrayed };

  static SockCommon* object(uintptr_t link) { return reinterpret_cast<SockCommon*>(link); }
  static uintptr_t link(const SockCommon* s) { return reinterpret_cast<uintptr_t>(s); }
  Array* current() const { return current_.load(std::memory_order_acquire); }
  static Array* next_of(const Array* a) { return a->next.load(std::memory_order_acquire); }

  Array* make_array(uint32_t buckets) {  // zeroed pages come from the system as they are touched
    auto* a = static_cast<Array*>(map_array(sizeof(Array) + size_t{buckets} * sizeof(Head)));
    if (a == nullptr) return nullptr;
    a->mask = buckets - 1;
    a->generation = generation_++;
    return a;
  }

  static void free_array(Array* a) { unmap_array(a, a->bytes()); }

  // ---- readers ----

  SockCommon* look(uint32_t hash, const FourTuple& t, uint16_t ifindex) const {
    for (;;) {
      const Array* a = current();
      SockCommon* found = nullptr;
      for (;;) {
        const Walk w = walk(a, hash, t, ifindex, found);
        if (w == Walk::kFound) return found;
        if (w == Walk::kStrayed) break;
        a = next_of(a);
        if (a == nullptr) return nullptr;
      }
    }
  }

  Walk walk(const Array* a, uint32_t hash, const FourTuple& t, uint16_t ifindex, SockCommon*& found) const {
    const uint32_t bucket = hash & a->mask;
    uintptr_t at = a->heads()[bucket].load(std::memory_order_acquire) & ~kLock;
    if (at == 0 || at == kMoved) return Walk::kMissed;
    while ((at & kNulls) == 0) {
      SockCommon* s = object(at);
      Hooks::on_object(s);
      if (s->hash == hash && take(s, hash, t, ifindex)) {
        found = s;
        return Walk::kFound;
      }
      at = s->chain.load(std::memory_order_acquire);
      if (at == 0) return Walk::kStrayed;  // taken out under us
    }
    return !Hooks::kCheckEnd || is_end_of(a, bucket, at) ? Walk::kMissed : Walk::kStrayed;
  }

  // The acquire of `hash` pairs with its release in lock_for(): an object that shows this hash shows its tuple too.
  bool take(SockCommon* s, uint32_t hash, const FourTuple& t, uint16_t ifindex) const {
    if (!Hooks::kCompareAgain && !s->matches(t, ifindex)) return false;
    Hooks::on_candidate(s);
    if (!s->try_get()) return false;
    if (!Hooks::kCompareAgain) return true;
    if (s->hash.load(std::memory_order_acquire) == hash && s->matches(t, ifindex)) return true;
    drop(s);
    return false;
  }

  // The end of this bucket, or of one of the two that it is being split into: who came along the old chain has seen
  // what was left of it, and goes on with the new one. When several are joined into one, its end does not tell which
  // of them the reader came from: then it is a stranger's.
  static bool is_end_of(const Array* a, uint32_t bucket, uintptr_t end) {
    if (end == a->end_of(bucket)) return true;
    const Array* next = next_of(a);
    if (next == nullptr || next->mask < a->mask) return false;
    return end == next->end_of(bucket) || end == next->end_of(bucket + a->size());
  }

  void drop(SockCommon* s) const {
    if (!s->put()) return;
    LEAT_CHECK(release_ != nullptr);  // set_release() was forgotten: the owner let go while we held a reference
    release_(release_context_, s);
  }

  void visit_bucket(const Array* a, uint32_t bucket, void (*f)(void*, SockCommon&), void* context,
                    std::vector<SockCommon*>& held) const {
    collect(a, bucket, bucket, a->mask, held);
    for (SockCommon* s : held) {
      f(context, *s);
      drop(s);
    }
    held.clear();
  }

  static uint32_t reversed(uint32_t v) {
    v = (v >> 1 & 0x55555555u) | (v & 0x55555555u) << 1;
    v = (v >> 2 & 0x33333333u) | (v & 0x33333333u) << 2;
    v = (v >> 4 & 0x0f0f0f0fu) | (v & 0x0f0f0f0fu) << 4;
    return __builtin_bswap32(v);
  }

  // Takes a reference on each object of `bucket` whose hash belongs to `wanted` under `wanted_mask`.
  void collect(const Array* a, uint32_t bucket, uint32_t wanted, uint32_t wanted_mask,
               std::vector<SockCommon*>& out) const {
    Array* array = const_cast<Array*>(a);
    const uintptr_t first = lock_head(array->heads()[bucket]);
    if (first == kMoved) {
      Array* next = next_of(a);
      collect(next, bucket & next->mask, wanted, wanted_mask, out);
      if (next->mask > a->mask) collect(next, bucket + a->size(), wanted, wanted_mask, out);
      return;
    }
    for (uintptr_t at = first; at != 0 && (at & kNulls) == 0; at = object(at)->chain) {
      SockCommon* s = object(at);
      if ((s->hash & wanted_mask) == wanted && s->try_get()) out.push_back(s);
    }
    array->heads()[bucket].store(first, std::memory_order_release);
  }

  // ---- writers ----

  static uintptr_t lock_head(Head& head) {  // kMoved is not locked
    for (;;) {
      uintptr_t v = head.load(std::memory_order_acquire);
      if (v == kMoved) return v;
      if ((v & kLock) == 0 && swap_if(head, v, v | kLock)) {
        return v;
      }
      __builtin_ia32_pause();
    }
  }
  Bucket lock_bucket(uint32_t hash) {
    for (Array* a = current();; a = next_of(a)) {
      const uint32_t index = hash & a->mask;
      const uintptr_t first = lock_head(a->heads()[index]);
      if (first != kMoved) return {a, index, first};
    }
  }
  Bucket lock_for(SockCommon* s) { return lock_for(s, hash_of(s->tuple())); }
  Bucket lock_for(SockCommon* s, uint32_t hash) {
    LEAT_CHECK(!EstablishedTable::is_hashed(s));
    s->hash.store(hash, std::memory_order_release);
    return lock_bucket(hash);
  }
  static void unlock(Bucket& b) { b.array->heads()[b.index].store(b.first, std::memory_order_release); }
  static void publish(Bucket& b) { b.array->heads()[b.index].store(b.first | kLock, std::memory_order_release); }

  void push_front(Bucket& b, SockCommon* s) {
    s->chain.store(b.first == 0 ? b.array->end_of(b.index) : b.first, std::memory_order_release);
    b.first = link(s);
    publish(b);
    count_up(count_, 1u);
    count_up(inserts_, 1u);
  }
  void unlink(Bucket& b, SockCommon* s) {
    const uintptr_t after = s->chain;
    if (b.first == link(s)) {
      b.first = (after & kNulls) != 0 ? 0 : after;
      publish(b);
    } else {
      SockCommon* before = object(b.first);
      while (before->chain != link(s))
        before = object(before->chain);
      before->chain.store(after, std::memory_order_release);
    }
    s->chain.store(0, std::memory_order_release);
    s->hash = 0;
    count_down(count_, 1u);
  }
  // Who sees that `old` is gone sees the count of before; who had that count from the start saw the fresh one.
  void unlink_replaced(Bucket& b, SockCommon* old) {
    count_up(replaced_[old->hash % kStripes], 1u, std::memory_order_release);
    unlink(b, old);
  }
  static SockCommon* find_locked(const Bucket& b, uint32_t hash, const FourTuple& t, uint16_t ifindex) {
    for (uintptr_t at = b.first; at != 0 && (at & kNulls) == 0; at = object(at)->chain) {
      SockCommon* s = object(at);
      if (s->hash == hash && s->matches(t, ifindex)) return s;
    }
    return nullptr;
  }

  // ---- resizing; resize_lock_ is held ----

  // Twice as many buckets when there are fewer than two for an object, so that nine of ten that are found are the first
  // in their chain; and after a burst as many as what is left needs.
  uint32_t wanted_size(const Array* a) const {
    const size_t n = count();
    if (2 * n > a->size()) return a->size() < kMaxBuckets ? a->size() * 2 : kMaxBuckets;
    if (n >= a->size() / kShrinkAt || a->size() <= least_size_) return a->size();
    const uint32_t enough = std::bit_ceil(static_cast<uint32_t>(n) * 3 + 1);
    return enough > least_size_ ? enough : least_size_;
  }

  Array* resize_some() {  // the array that is empty now, or nullptr
    Array* a = current();
    Array* next = next_of(a);
    if (next == nullptr) {
      const uint32_t size = wanted_size(a);
      if (size == a->size()) return nullptr;
      next = make_array(size);
      if (next == nullptr) return nullptr;  // longer chains, then; tried again at the next call
      to_move_ = 0;
      a->next.store(next, std::memory_order_release);
    }
    for (uint32_t n = steps(next->mask < a->mask); n != 0 && to_move_ <= a->mask; --n)
      move_bucket(a, next, to_move_++);
    if (to_move_ <= a->mask) return nullptr;
    current_.store(next, std::memory_order_release);
    return a;
  }

  // Eight buckets for each insertion since the last call: the array is moved long before it is full again. When it
  // shrinks most of them are empty.
  uint32_t steps(bool shrinks) {
    const uint64_t n = inserts_.load(std::memory_order_relaxed);
    const uint64_t fresh = 8 * (n - inserts_seen_);
    inserts_seen_ = n;
    if (shrinks || fresh > kStepsAtMost) return kStepsAtMost;
    return fresh < kStepsAtLeast ? kStepsAtLeast : static_cast<uint32_t>(fresh);
  }

  static void move_bucket(Array* a, Array* next, uint32_t index) {
    Head& head = a->heads()[index];
    uintptr_t first = lock_head(head);
    while (first != 0) {
      SockCommon* before = nullptr;
      SockCommon* last = object(first);
      while ((last->chain & kNulls) == 0) {
        before = last;
        last = object(last->chain);
      }
      const uint32_t to = last->hash & next->mask;
      const uintptr_t there = lock_head(next->heads()[to]);
      last->chain.store(there == 0 ? next->end_of(to) : there, std::memory_order_release);
      next->heads()[to].store(link(last), std::memory_order_release);  // and unlocked
      if (before == nullptr) {
        first = 0;
        head.store(kLock, std::memory_order_release);
      } else {
        before->chain.store(a->end_of(index), std::memory_order_release);
      }
    }
    head.store(kMoved, std::memory_order_release);
  }

  const WordHash hash_;
  const uint32_t least_size_;
  std::atomic<Array*> current_{nullptr};
  Release release_ = nullptr;
  void* release_context_ = nullptr;
  alignas(64) std::array<std::atomic<uint32_t>, kStripes> replaced_{};
  // Written with every change; readers stay off this line.
  alignas(64) std::atomic<size_t> count_{0};
  std::atomic<uint64_t> inserts_{0};
  SpinLock resize_lock_;
  uint32_t generation_ = 1;
  uint32_t to_move_ = 0;
  uint64_t inserts_seen_ = 0;
};

}  // namespace leat::inet
