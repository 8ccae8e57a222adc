// A lock of four bytes that spins: every lock of the core is held for some hundred nanoseconds and never across a
// call out of it. With one worker it is never contended (design decision 4).
#pragma once

#include <atomic>
#include <cstdint>

#include "base/lone.h"

namespace leat {

class SpinLock {
 public:
  void lock() {
    if (!is_lone()) [[unlikely]]
      return lock_among_threads();
    locked_.store(1, std::memory_order_relaxed);
  }
  bool try_lock() {
    if (locked_.load(std::memory_order_relaxed) != 0) return false;
    if (!is_lone()) [[unlikely]]
      return locked_.exchange(1, std::memory_order_acquire) == 0;
    locked_.store(1, std::memory_order_relaxed);
    return true;
  }
  void unlock() { locked_.store(0, std::memory_order_release); }

 private:
  // Not inline: what a thread alone runs through stays short, and in the cache.
  [[gnu::noinline]] void lock_among_threads() {
    while (locked_.exchange(1, std::memory_order_acquire) != 0) {
      while (locked_.load(std::memory_order_relaxed) != 0)
        __builtin_ia32_pause();
    }
  }
  std::atomic<uint32_t> locked_{0};
};

// Works with anything that has lock() and unlock(); std::lock_guard would pull <mutex>, and with it threads, in.
template <class L>
class [[nodiscard]] Guard {
 public:
  explicit Guard(L& l) : lock_(l) { lock_.lock(); }
  ~Guard() { lock_.unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  L& lock_;
};

}  // namespace leat
