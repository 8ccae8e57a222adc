// A bucket of the table of connections: one cache line. Its seven slots hold what hashes there, and a chain what finds
// no slot; with four objects for a bucket at most, that is one of fifty.
//
//   word 0      the first object of the chain or 0; +kLock a writer is in the bucket; the top 16 bits count changes.
//               kMoved: everything has moved to the next array, for good
//   words 1..7  0, or the address of an object, and in the top 16 bits those of its hash: the tag
//
// An object in a slot has kInSlot in SockCommon::chain. The chain goes through SockCommon::chain and ends in a nulls
// value that names array and bucket. It is used only while all slots are: a slot that becomes free takes the first of
// the chain.
//
// The count of changes goes up when a connection is found in another place of the bucket than before (in another
// object, or in a slot instead of the chain): a reader may have looked at the one too late and at the other too early.
// 65,536 of them between two loads of a reader would look like none; he would miss a connection, once.
#pragma once

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "base/check.h"
#include "base/lone.h"
#include "inet/sock.h"

namespace leat::inet {

struct alignas(64) EhashBucket {
  static constexpr uintptr_t kNulls = 1, kLock = 2, kMoved = 4 | kNulls;
  static constexpr uintptr_t kInSlot = kNulls;  // no chain's end: generations begin with 1
  static constexpr uintptr_t kOneChange = uintptr_t{1} << 48;
  static constexpr uintptr_t kAddress = (kOneChange - 1) & ~uintptr_t{7};

  std::atomic<uintptr_t> head;
  std::array<std::atomic<uintptr_t>, 7> slots;

  static SockCommon* object(uintptr_t word) { return reinterpret_cast<SockCommon*>(word & kAddress); }  // or nullptr
  static uintptr_t changes(uintptr_t head) { return head / kOneChange; }
  static bool is_end(uintptr_t chain) { return (chain & kNulls) != 0; }
  static uintptr_t tag(uint32_t hash) { return hash >> 16; }
  static uintptr_t word(const SockCommon* s) {
    const auto address = reinterpret_cast<uintptr_t>(s);
    LEAT_CHECK((address & ~kAddress) == 0);
    return tag(s->hash) * kOneChange | address;
  }

  // A bit for each slot with this tag; of an empty one, too, when it is 0. Without a branch: where it is, if anywhere,
  // cannot be guessed.
  uint32_t matching(uintptr_t tag) const {
#if defined(__SANITIZE_THREAD__) || !defined(__SSE2__)
    uint32_t bits = 0;
    for (size_t i = 0; i < slots.size(); ++i)
      bits |= uint32_t{slots[i].load(std::memory_order_acquire) / kOneChange == tag} << i;
    return bits;
#else
    // The same, two words at a time, of which each is read as a whole: the processor does not tear aligned words. Half
    // the instructions. Without the head, which a writer has just locked: a load of more than was stored would wait.
    const auto pair = [this](size_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(&slots[i])); };
    const __m128 a = _mm_castsi128_ps(pair(0)), b = _mm_castsi128_ps(pair(2)), c = _mm_castsi128_ps(pair(4));
    const __m128 d = _mm_castsi128_ps(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(&slots[6])));
    const __m128i low = _mm_srai_epi32(_mm_castps_si128(_mm_shuffle_ps(a, b, 0xdd)), 16);  // tags of slots 0 to 3
    const __m128i high = _mm_srai_epi32(_mm_castps_si128(_mm_shuffle_ps(c, d, 0xdd)), 16);
    const __m128i equal = _mm_cmpeq_epi16(_mm_packs_epi32(low, high), _mm_set1_epi16(static_cast<int16_t>(tag)));
    const auto bits = static_cast<uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())));
    std::atomic_signal_fence(std::memory_order_seq_cst);  // nothing after it is read before it
    return bits & 0x7f;
#endif
  }
  SockCommon* first_of(uint32_t matching) const {  // as it is now: perhaps another one, or nullptr
    return object(slots[static_cast<size_t>(std::countr_zero(matching))].load(std::memory_order_acquire));
  }
};
static_assert(sizeof(EhashBucket) == 64);

// A writer in a bucket. What it stores is in an order that suits readers: see nulls_table.h.
class LockedEhashBucket {
  using B = EhashBucket;

 public:
  static uintptr_t lock_head(B& b) {  // kMoved is not locked
    for (;;) {
      uintptr_t v = b.head.load(std::memory_order_acquire);
      if (v == B::kMoved || ((v & B::kLock) == 0 && swap_if(b.head, v, v | B::kLock))) return v;
      __builtin_ia32_pause();
    }
  }
  // `head`: what lock_head() gave, not kMoved. `end`: of the chain.
  LockedEhashBucket(B& b, uintptr_t end, uintptr_t head) : bucket_(b), end_(end), head_(head) {}
  ~LockedEhashBucket() { bucket_.head.store(head_, std::memory_order_release); }
  LockedEhashBucket(const LockedEhashBucket&) = delete;
  LockedEhashBucket& operator=(const LockedEhashBucket&) = delete;

  void add(SockCommon* s) {
    s->chain = B::kInSlot;
    add_word(B::word(s));
  }
  // true: in a slot. The object is only written to when it is put in the chain.
  bool add_word(uintptr_t word) {
    for (auto& slot : bucket_.slots) {
      if (slot.load(std::memory_order_relaxed) != 0) continue;
      slot.store(word, std::memory_order_release);
      return true;
    }
    push_front(B::object(word), 0);
    return false;
  }

  void remove(SockCommon* s) {
    if (s->chain != B::kInSlot) {
      cut(s);
    } else if (SockCommon* first = B::object(head_); first != nullptr) {
      fill(slot_of(s), first);
    } else {
      slot_of(s).store(0, std::memory_order_release);
    }
    forget(s);
  }

  // Who sees that `old` is gone sees the count of after; who had that count from the start saw the fresh one.
  void replace(SockCommon* old, SockCommon* fresh) {
    if (old->chain == B::kInSlot) {
      fresh->chain = B::kInSlot;
      slot_of(old).store(B::word(fresh), std::memory_order_release);
      publish(head_ + B::kOneChange);
    } else {
      push_front(fresh, B::kOneChange);
      cut(old);
    }
    forget(old);
  }

  // Strangers are known by their tags: their lines are not touched.
  SockCommon* find(uint32_t hash, const FourTuple& t, uint16_t ifindex) const {
    const auto is_wanted = [&](const SockCommon* s) { return s->hash == hash && s->matches(t, ifindex); };
    for (uint32_t m = bucket_.matching(B::tag(hash)); m != 0; m &= m - 1) {
      if (SockCommon* s = bucket_.first_of(m); s != nullptr && is_wanted(s)) return s;
    }
    for (SockCommon* s = B::object(head_); s != nullptr; s = after(s)) {
      if (is_wanted(s)) return s;
    }
    return nullptr;
  }
  template <class F>
  void for_each(F&& f) {
    for (auto& slot : bucket_.slots) {
      if (SockCommon* s = B::object(slot.load(std::memory_order_relaxed)); s != nullptr) f(s);
    }
    for (SockCommon* s = B::object(head_); s != nullptr; s = after(s))
      f(s);
  }

  // To another array, of which `bucket_of(word)` gives the bucket, locked. Each object is there before it is no longer
  // here, the last of the chain first.
  template <class F>
  void move_all(F&& bucket_of) {
    for (auto& slot : bucket_.slots) {
      const uintptr_t word = slot.load(std::memory_order_relaxed);
      if (word == 0) continue;
      bucket_of(word).add_word(word);
      slot.store(0, std::memory_order_release);
    }
    while (B::object(head_) != nullptr)
      move_last(bucket_of);
    head_ = B::kMoved;
  }

 private:
  static SockCommon* after(const SockCommon* s) {
    const uintptr_t next = s->chain;
    return B::is_end(next) ? nullptr : B::object(next);
  }
  void publish(uintptr_t head) {
    head_ = head;
    bucket_.head.store(head | B::kLock, std::memory_order_release);
  }
  std::atomic<uintptr_t>& slot_of(const SockCommon* s) {
    size_t i = 0;
    while (B::object(bucket_.slots[i].load(std::memory_order_relaxed)) != s) {
      ++i;
      LEAT_CHECK(i < bucket_.slots.size());
    }
    return bucket_.slots[i];
  }
  uintptr_t with_first(uintptr_t chain) const {  // the head before this object, or none
    return (head_ & ~B::kAddress) | (B::is_end(chain) ? 0 : chain);
  }
  void push_front(SockCommon* s, uintptr_t change) {
    const uintptr_t first = head_ & B::kAddress;
    s->chain.store(first == 0 ? end_ : first, std::memory_order_release);
    publish(with_first(reinterpret_cast<uintptr_t>(s)) + change);
  }
  void cut(SockCommon* s) {
    const uintptr_t rest = s->chain;
    if (B::object(head_) == s) return publish(with_first(rest));
    SockCommon* before = B::object(head_);
    while (after(before) != s)
      before = after(before);
    before->chain.store(rest, std::memory_order_release);
  }
  void fill(std::atomic<uintptr_t>& slot, SockCommon* first) {
    slot.store(B::word(first), std::memory_order_release);
    publish(with_first(first->chain) + B::kOneChange);
    first->chain.store(B::kInSlot, std::memory_order_release);
  }
  static void forget(SockCommon* s) {
    s->chain.store(0, std::memory_order_release);
    s->hash.store(0, std::memory_order_release);
  }
  // Cut off here before its end is changed: a reader who stands on it sees the end of this chain until then. Only from
  // one chain into another there is a moment in which he does not.
  template <class F>
  void move_last(F&& bucket_of) {
    SockCommon* before = nullptr;
    SockCommon* last = B::object(head_);
    while (after(last) != nullptr) {
      before = last;
      last = after(last);
    }
    const uintptr_t word = B::word(last);
    auto&& to = bucket_of(word);
    const bool is_in_slot = to.add_word(word);
    if (before == nullptr) {
      publish(head_ & ~B::kAddress);
    } else {
      before->chain.store(end_, std::memory_order_release);
    }
    if (is_in_slot) last->chain.store(B::kInSlot, std::memory_order_release);
  }

  B& bucket_;
  const uintptr_t end_;
  uintptr_t head_;  // what it becomes at the end
};

}  // namespace leat::inet
