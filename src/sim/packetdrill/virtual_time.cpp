// See virtual_time.h.
#include "sim/packetdrill/virtual_time.h"

#include <algorithm>
#include <chrono>

namespace leat::packetdrill {
namespace {
thread_local bool owes_stamp = false;  // this thread was woken and has not looked at the clock since
}

VirtualTime::VirtualTime(std::function<void(Time)> poll, std::function<Time()> next)
    : poll_(std::move(poll)), next_(std::move(next)) {}

int64_t VirtualTime::read_clock_us() {
  std::lock_guard lock(mutex_);
  if (owes_stamp) {
    owes_stamp = false;
    --unstamped_;
    stamped_.notify_all();
  } else {
    ++now_us_;
  }
  return now_us_;
}

void VirtualTime::wait_for_stamps() {
  std::unique_lock lock(mutex_, std::adopt_lock);
  // The script may have ended that thread: do not wait for ever.
  stamped_.wait_for(lock, std::chrono::seconds(2), [this] { return unstamped_ <= 0; });
  unstamped_ = 0;
  has_woken_ = true;
  lock.release();
}

// The thread that was woken has packetdrill's books to write, for which it needs packetdrill's lock; the main thread
// leaves that when it sleeps, and so sleeps in earnest for a moment.
void VirtualTime::let_woken_finish() {
  if (has_woken_.exchange(false)) std::this_thread::sleep_for(std::chrono::milliseconds(3));
}

Time VirtualTime::next_event() const {
  Time t = next_();
  for (const Waiter* w : waiters_) {
    if (!w->done) t = std::min(t, w->deadline);
  }
  return t;
}

void VirtualTime::expire_waiters() {
  for (Waiter* w : waiters_) {
    if (w->done || w->deadline > now()) continue;
    w->done = true;
    ++unstamped_;
    woken_.notify_all();
  }
}

void VirtualTime::advance_to(int64_t us) {
  now_us_ = std::max(now_us_, us);
  poll_(now());
  expire_waiters();
  if (unstamped_ > 0) wait_for_stamps();
}

namespace {
int64_t ceil_us(Time t) {
  return (t.ns() + 999) / 1000;
}
}  // namespace

void VirtualTime::sleep(int64_t us) {
  const int64_t target = now_us_ + us;
  for (Time t = next_event(); t != Time::never() && ceil_us(t) <= target; t = next_event()) {
    if (unstamped_ > 0) wait_for_stamps();
    advance_to(ceil_us(t));
  }
  advance_to(target);
}

bool VirtualTime::step() {
  const Time t = next_event();
  if (t == Time::never()) return false;
  advance_to(ceil_us(t));
  return true;
}

WaitResult VirtualTime::wait_on_main(Wakeup& w, Time deadline) {
  while (!w.is_set()) {
    if (deadline <= now()) return WaitResult::kTimeout;
    const Time t = std::min(next_event(), deadline);
    if (t == Time::never()) return WaitResult::kInterrupted;  // nothing will ever wake it
    advance_to(ceil_us(t));
  }
  return WaitResult::kWoken;
}

WaitResult VirtualTime::wait(Wakeup& w, Time deadline) {
  if (is_main()) return wait_on_main(w, deadline);
  std::unique_lock lock(mutex_, std::adopt_lock);
  Waiter waiter{&w, deadline};
  if (w.is_set()) waiter.done = true;
  waiters_.push_back(&waiter);
  const bool had_to_wait = !waiter.done;
  woken_.wait(lock, [&] { return waiter.done; });
  waiters_.remove(&waiter);
  if (had_to_wait) owes_stamp = true;
  lock.release();
  return w.is_set() ? WaitResult::kWoken : WaitResult::kTimeout;
}

void VirtualTime::wake(Wakeup& w) {
  for (Waiter* waiter : waiters_) {
    if (waiter->wakeup != &w || waiter->done) continue;
    waiter->done = true;
    ++unstamped_;
  }
  w.set();
  woken_.notify_all();
}

}  // namespace leat::packetdrill
