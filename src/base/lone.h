// What a process with one thread need not pay for. glibc says whether there has ever been a second one; while there has
// not, a locked instruction (20 cycles, some hundred of them for a connection) is as good as a plain one. A thread is
// made with full ordering, and nobody makes one in the middle of what is below.
#pragma once

#include <sys/single_threaded.h>

#include <atomic>

namespace leat {

inline bool is_lone() {
  return __libc_single_threaded != 0;
}

// The value before. T: std::atomic or Reused.
template <class A, class V>
auto count_up(A& n, V by, std::memory_order order = std::memory_order_relaxed) {
  if (!is_lone()) [[unlikely]]
    return n.fetch_add(by, order);
  const auto before = n.load(std::memory_order_relaxed);
  n.store(static_cast<decltype(before)>(before + by), std::memory_order_relaxed);
  return before;
}
template <class A, class V>
auto count_down(A& n, V by, std::memory_order order = std::memory_order_relaxed) {
  if (!is_lone()) [[unlikely]]
    return n.fetch_sub(by, order);
  const auto before = n.load(std::memory_order_relaxed);
  n.store(static_cast<decltype(before)>(before - by), std::memory_order_relaxed);
  return before;
}

// compare_exchange that cannot fail for no reason; `expected` is what was found.
template <class A, class V>
bool swap_if(A& n, V& expected, V desired, std::memory_order success = std::memory_order_acquire) {
  if (!is_lone()) [[unlikely]]
    return n.compare_exchange_weak(expected, desired, success, std::memory_order_relaxed);
  const V found = n.load(std::memory_order_relaxed);
  const bool same = found == expected;
  if (same) n.store(desired, std::memory_order_relaxed);
  expected = found;
  return same;
}

}  // namespace leat
