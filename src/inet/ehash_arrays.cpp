// Resizing, a bounded number of buckets at a time. Where an object goes is known from its old bucket and its tag,
// unless a small table grows: moving from slot to slot does not touch the objects.
#include "inet/ehash_arrays.h"

#include <algorithm>
#include <bit>

#include "base/pages.h"
#include "base/rcu.h"

namespace leat::inet {
namespace {

constexpr uint32_t kEntriesOfABucket = sizeof(EhashBucket) / sizeof(uintptr_t);
constexpr uint32_t kMaxBuckets = 1u << 27;

uint32_t least_size(uint32_t entries) {
  const uint32_t size = std::bit_ceil(std::min(entries, kMaxBuckets * kEntriesOfABucket)) / kEntriesOfABucket;
  return std::max(size, 1u);
}

// As many bits of the hash of what lies in bucket `index` of `from` as `to` asks for.
uint32_t known_hash(const EhashArray& from, const EhashArray& to, uint32_t index, uintptr_t word) {
  const bool is_enough = to.mask <= from.mask || from.size() >= 1u << 16;
  if (!is_enough) return EhashBucket::object(word)->hash;
  return static_cast<uint32_t>(word / EhashBucket::kOneChange) << 16 | index;
}

void move_bucket(EhashArray& from, EhashArray& to, uint32_t index) {
  EhashBucket& b = from.bucket(index);
  LockedEhashBucket locked(b, from.end_of(index), LockedEhashBucket::lock_head(b));
  locked.move_all([&](uintptr_t word) -> LockedEhashBucket {
    const uint32_t target = to.index_of(known_hash(from, to, index, word));
    EhashBucket& t = to.bucket(target);
    return {t, to.end_of(target), LockedEhashBucket::lock_head(t)};
  });
}

}  // namespace

// A reader who came along a chain that is being split has seen what was left of it, and goes on with the new array.
// When several buckets are joined into one, its end does not tell from which of them the reader came.
bool EhashArray::is_end_of(uint32_t index, uintptr_t end) const {
  if (end == end_of(index)) return true;
  const EhashArray* to = following();
  if (to == nullptr || to->mask < mask) return false;
  return end == to->end_of(index) || end == to->end_of(index + size());
}

EhashArrays::EhashArrays(uint32_t entries) : least_size_(least_size(entries)) {
  EhashArray* first = make_array(least_size_);
  LEAT_CHECK(first != nullptr);
  current_.store(first, std::memory_order_release);
}

EhashArrays::~EhashArrays() {
  for (EhashArray* a = current(); a != nullptr;) {
    EhashArray* next = a->following();
    unmap_array(a, a->bytes());
    a = next;
  }
}

EhashArray* EhashArrays::make_array(uint32_t size) {  // zeroed pages come from the system as they are touched
  auto* a = static_cast<EhashArray*>(map_array(sizeof(EhashArray) + size_t{size} * sizeof(EhashBucket)));
  if (a == nullptr) return nullptr;
  a->mask = size - 1;
  a->generation = generation_++;
  return a;
}

uint32_t EhashArrays::buckets() const {
  const EhashArray* a = current();
  while (const EhashArray* next = a->following())
    a = next;
  return a->size();
}

size_t EhashArrays::bytes() const {
  size_t n = 0;
  for (const EhashArray* a = current(); a != nullptr; a = a->following())
    n += a->bytes();
  return n;
}

uint32_t EhashArrays::wanted_size(uint32_t size) const {
  const size_t n = count();
  if (n > size_t{size} * kObjectsAtMost) return size < kMaxBuckets ? size * 2 : kMaxBuckets;
  if (n >= size / kShrinkAt || size <= least_size_) return size;
  const uint32_t enough = std::bit_ceil(static_cast<uint32_t>(n) * 3 / 8 + 1);  // not a step away from growing again
  return std::max(enough, least_size_);
}

void EhashArrays::resize() {
  if (!resize_lock_.try_lock()) return;  // somebody is at it
  EhashArray* done = resize_some();
  resize_lock_.unlock();
  if (done == nullptr) return;
  rcu_synchronize();  // nobody walks it any more
  unmap_array(done, done->bytes());
}

EhashArray* EhashArrays::resize_some() {  // the array that is empty now, or nullptr
  EhashArray* a = current();
  EhashArray* next = a->following();
  if (next == nullptr) {
    const uint32_t size = wanted_size(a->size());
    if (size == a->size()) return nullptr;
    next = make_array(size);
    if (next == nullptr) return nullptr;  // longer chains, then; tried again at the next call
    to_move_ = 0;
    a->next.store(next, std::memory_order_release);
  }
  for (uint32_t n = steps(next->mask < a->mask); n != 0 && to_move_ <= a->mask; --n)
    move_bucket(*a, *next, to_move_++);
  if (to_move_ <= a->mask) return nullptr;
  current_.store(next, std::memory_order_release);
  return a;
}

// A bucket for each insertion since the last call: the array, with four objects for a bucket when it is full, is moved
// long before the next one is. When it shrinks most buckets are empty.
uint32_t EhashArrays::steps(bool shrinks) {
  const uint64_t n = inserts_.load(std::memory_order_relaxed);
  const uint64_t fresh = n - inserts_seen_;
  inserts_seen_ = n;
  if (shrinks || fresh > kSteps) return kSteps;
  return fresh < kStepsAtLeast ? kStepsAtLeast : static_cast<uint32_t>(fresh);
}

}  // namespace leat::inet
