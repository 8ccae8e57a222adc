// Who runs a Stack: where its time comes from, and how a blocking call waits. A Stack has no clock and no threads; with
// a Runner installed (Stack::set_runner) its calls take the time from there, and those that would block wait there.
// leat::Worker (leat/worker.h) is the one for programs with threads. A simulator installs its own, which runs events
// until the wake-up is due. Without one, the time is that of the last poll(), and a call that would block fails with
// EAGAIN (connect: EINPROGRESS), whatever O_NONBLOCK says.
#pragma once

#include <atomic>
#include <cstdint>

#include "leat/time.h"

namespace leat {

// What one blocked call waits for. Lives on its stack. One word, so that a futex may wait on it.
class Wakeup {
 public:
  bool is_set() const { return word_.load(std::memory_order_acquire) != 0; }
  void set() { word_.store(1, std::memory_order_release); }
  void clear() { word_.store(0, std::memory_order_release); }
  std::atomic<uint32_t>& word() { return word_; }

 private:
  std::atomic<uint32_t> word_{0};
};

enum class WaitResult : uint8_t { kWoken, kTimeout, kInterrupted };

class Runner {
 public:
  virtual ~Runner() = default;
  // A call into the Stack begins or ends on this thread; they pair and do not nest. enter() gives the time.
  virtual Time enter() = 0;
  virtual void leave() = 0;
  // Between enter() and leave(), with no lock held: returns when w is set, at the deadline, or kInterrupted when the
  // call should fail with EINTR (a signal, the Runner is going away). The time after it is now().
  virtual WaitResult wait(Wakeup& w, Time deadline) = 0;
  virtual Time now() = 0;
  // Sets w and lets its wait() return. Any thread, with locks of the Stack held: must not call into the Stack. After
  // wake() returns, w may be gone.
  virtual void wake(Wakeup& w) = 0;
};

}  // namespace leat
