// The arrays of buckets of the table of connections: one, and while it is resized a second that follows it.
//
//   current ─► array 0 [bucket|bucket|…]           a bucket belongs to the first array in which it is not kMoved
//                 │ next (while resizing)
//                 ▼
//              array 1 [bucket|bucket|bucket|bucket|…]
//
// Twice as many buckets when there are more than four objects for one: 16 to 32 bytes for each object. After a burst as
// few as what is left needs. Old arrays are freed after a grace period.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/spinlock.h"
#include "inet/ehash_bucket.h"

namespace leat::inet {

struct alignas(64) EhashArray {
  uint32_t mask;
  uint32_t generation;
  std::atomic<EhashArray*> next;

  EhashBucket& bucket(uint32_t index) { return reinterpret_cast<EhashBucket*>(this + 1)[index]; }
  const EhashBucket& bucket(uint32_t index) const { return const_cast<EhashArray*>(this)->bucket(index); }
  uint32_t index_of(uint32_t hash) const { return hash & mask; }
  uintptr_t end_of(uint32_t index) const {
    return uintptr_t{generation} << 35 | uintptr_t{index} << 3 | EhashBucket::kNulls;
  }
  uint32_t size() const { return mask + 1; }
  size_t bytes() const { return sizeof(EhashArray) + size_t{size()} * sizeof(EhashBucket); }
  EhashArray* following() const { return next.load(std::memory_order_acquire); }
  // Of the chain of this bucket, or of one of the two that it is being split into.
  bool is_end_of(uint32_t index, uintptr_t end) const;
};

class EhashArrays {
 public:
  explicit EhashArrays(uint32_t entries);  // of 8 bytes, as Linux counts them: a bucket is eight
  ~EhashArrays();
  EhashArrays(const EhashArrays&) = delete;
  EhashArrays& operator=(const EhashArrays&) = delete;

  EhashArray* current() const { return current_.load(std::memory_order_acquire); }
  LockedEhashBucket lock(uint32_t hash) const {
    for (EhashArray* a = current();; a = a->following()) {
      const uint32_t index = a->index_of(hash);
      EhashBucket& b = a->bucket(index);
      const uintptr_t head = LockedEhashBucket::lock_head(b);
      if (head != EhashBucket::kMoved) return {b, a->end_of(index), head};
    }
  }

  void count_insertion() {  // with the bucket locked
    count_up(count_, size_t{1});
    count_up(inserts_, uint64_t{1});
  }
  void count_removal() { count_down(count_, size_t{1}); }
  size_t count() const { return count_.load(std::memory_order_relaxed); }
  uint32_t buckets() const;  // of the newest
  size_t bytes() const;      // of all

  void grow_if_needed() {
    const EhashArray* a = current();
    if (a->following() != nullptr || wanted_size(a->size()) != a->size()) [[unlikely]]
      resize();
  }

 private:
  static constexpr uint32_t kObjectsAtMost = 4;                 // for a bucket
  static constexpr uint32_t kShrinkAt = 4;                      // buckets for an object
  static constexpr uint32_t kStepsAtLeast = 128, kSteps = 512;  // buckets moved in a call

  uint32_t wanted_size(uint32_t size) const;
  EhashArray* make_array(uint32_t size);
  void resize();
  EhashArray* resize_some();
  uint32_t steps(bool shrinks);

  const uint32_t least_size_;
  std::atomic<EhashArray*> current_{nullptr};
  // Written with every change; readers stay off this line.
  alignas(64) std::atomic<size_t> count_{0};
  std::atomic<uint64_t> inserts_{0};
  SpinLock resize_lock_;  // of all that follows
  uint32_t generation_ = 1;
  uint32_t to_move_ = 0;
  uint64_t inserts_seen_ = 0;
};

}  // namespace leat::inet
