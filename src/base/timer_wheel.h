// Hierarchical timer wheel: arm, cancel and the next deadline in O(1), ten million armed timers are normal.
// Nine levels of 64 slots; level 0 has slots of 1.024 µs, each level above is 64 times coarser, and nine of them span
// all of Time. A timer stands at the level of the highest digit (base 64) in which its tick differs from the wheel's,
// so every timer of a level is due before every timer of the level above, and a bitmap a level finds the next slot.
// When the wheel enters a slot of a higher level, its timers are placed again, in order.
//
// Thread rule: arm and cancel from any thread (one lock inside); advance from one thread at a time. The callback runs
// without the lock and may arm, cancel or free anything, its own timer included. cancel() that returns false because
// the callback is running on another thread does not wait for it.
// A timer that a callback arms at or before `now` fires in the same advance; one that does so again and again is left
// after kExtraPasses rounds, and next_deadline() is then not later than it, so the caller comes back.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/list.h"
#include "base/spinlock.h"
#include "base/time.h"

namespace leat {

struct Timer {
  ListNode node;
  Time expires;  // exact, in ns; valid while armed
  bool is_armed() const { return node.is_linked(); }
};

class TimerWheel {
 public:
  // Called for each timer that is due, in order of expiry slot and, within one slot, of arming.
  using Fire = void (*)(void* context, Timer& timer);

  // `prepare`, where there is one, is called with the lock held for the timer after the one that is about to fire, and
  // may only fetch into the cache what firing it will touch.
  TimerWheel(Fire fire, void* context, Fire prepare = nullptr);
  bool arm(Timer& timer, Time expires);  // an armed timer is moved, and the answer is true
  bool cancel(Timer& timer);             // false when it was not armed
  void advance(Time now);                // fires all timers with expires <= now
  // The first expiry; Time::never() when nothing is armed. It may be earlier only after the first timer of a slot with
  // more than kScan others was cancelled, until the wheel gets there.
  Time next_deadline() const;
  size_t armed() const { return armed_.load(std::memory_order_relaxed); }

 private:
  static constexpr int kLevels = 9;
  static constexpr int kSlotBits = 6;
  static constexpr int kSlots = 1 << kSlotBits;
  static constexpr int kTickShift = 10;  // 1.024 µs
  static constexpr int kExtraPasses = 64;
  static constexpr int kScan = 64;
  using TimerList = List<Timer, &Timer::node>;
  struct Slot {
    TimerList timers;
    Time earliest;  // not later than any of them
    bool is_exact = true;
  };
  struct Position {
    int level;
    int slot;
  };

  void count_armed(size_t by) {  // with the lock held
    armed_.store(armed_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  static uint64_t tick_of(Time t) { return t.ns() < 0 ? 0 : static_cast<uint64_t>(t.ns()) >> kTickShift; }
  Position position_of(Time expires) const;
  Position current() const { return {0, static_cast<int>(tick_ & (kSlots - 1))}; }
  void place(Timer& timer);
  void remove(Timer& timer);
  bool find_next(Position* next) const;
  uint64_t first_tick(Position p) const;
  void step_to(uint64_t tick);
  void cascade(Position p);
  void take_slot(Position p, TimerList& out);
  void fire_current(Time now, int* extra_passes);
  bool fire_pass(Time now);
  void take_due(Time now, TimerList& due);
  void look_ahead(const TimerList& due) const;
  Time refine(Slot& slot) const;

  Fire fire_;
  void* context_;
  Fire prepare_;
  uint64_t tick_ = 0;  // the level-0 slot that the wheel stands at
  std::atomic<size_t> armed_ = 0;
  uint64_t occupied_[kLevels] = {};
  mutable Slot slots_[kLevels][kSlots];
  mutable SpinLock lock_;
};

}  // namespace leat
