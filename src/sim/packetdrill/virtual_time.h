// The clock of a packetdrill run. It moves when packetdrill sleeps or waits for a packet, from timer to timer, and by a
// microsecond whenever packetdrill looks at it, so that its spinning ends.
//
// Scripts with blocking calls run those in a second thread, which waits here without any lock. When it is woken, time
// stands still until it has looked at the clock, because that look is the time at which its call is said to have ended.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "leat/runner.h"

namespace leat::packetdrill {

class VirtualTime final : public Runner {
 public:
  // poll: lets the stack run at a time; next: when it will next have something to do.
  VirtualTime(std::function<void(Time)> poll, std::function<Time()> next);

  std::mutex& mutex() { return mutex_; }  // held in each call of the interface
  int64_t read_clock_us();                // gettimeofday
  int64_t now_us() const { return now_us_; }
  // With the mutex held, on the main thread:
  void sleep(int64_t us);
  bool step();  // to the next timer of anybody; false: there is none
  void wait_for_stamps();
  void let_woken_finish();  // without the mutex
  void wait_for_stamps_if_any() {
    if (unstamped_ > 0) wait_for_stamps();
  }

  Time enter() override { return now(); }
  void leave() override {}
  WaitResult wait(Wakeup& w, Time deadline) override;
  Time now() override { return Time::from_us(now_us_); }
  void wake(Wakeup& w) override;

 private:
  struct Waiter {
    Wakeup* wakeup;
    Time deadline;
    bool done = false;
  };
  WaitResult wait_on_main(Wakeup& w, Time deadline);
  Time next_event() const;
  void advance_to(int64_t us);
  void expire_waiters();
  bool is_main() const { return std::this_thread::get_id() == main_; }

  std::function<void(Time)> poll_;
  std::function<Time()> next_;
  std::mutex mutex_;
  std::condition_variable woken_;
  std::condition_variable stamped_;
  std::thread::id main_ = std::this_thread::get_id();
  std::list<Waiter*> waiters_;
  int unstamped_ = 0;
  std::atomic<bool> has_woken_{false};
  int64_t now_us_ = 1'000'000'000'000;
};

}  // namespace leat::packetdrill
