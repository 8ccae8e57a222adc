// Hierarchical timer wheel: arm, cancel and the next deadline in O(1), ten million armed timers are normal.
// Eight levels of 64 slots; level 0 has slots of 1.024 µs, each level above is 64 times coarser; a timer beyond the
// last level waits in the last slot and is put down again. A bitmap a level finds the next slot.
// Thread rule: arm and cancel from any thread (one lock inside); advance from one thread at a time. The callback runs
// without the lock and may arm or cancel anything, itself included.
#pragma once

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

  TimerWheel(Fire fire, void* context);
  void arm(Timer& timer, Time expires);  // an armed timer is moved
  bool cancel(Timer& timer);             // false when it was not armed
  void advance(Time now);                // fires all timers with expires <= now
  // Not later than the first expiry and, when that is less than a slot of its level away, equal to it;
  // Time::never() when nothing is armed.
  Time next_deadline() const;
  size_t armed() const { return armed_; }

 private:
  static constexpr int kLevels = 8;
  static constexpr int kSlotBits = 6;
  static constexpr int kSlots = 1 << kSlotBits;
  static constexpr int kTickShift = 10;  // 1.024 µs
  using Slot = List<Timer, &Timer::node>;

  void place(Timer& timer);
  void cascade(int level);
  Fire fire_;
  void* context_;
  uint64_t tick_ = 0;  // the level-0 slot that the wheel stands at
  size_t armed_ = 0;
  uint64_t occupied_[kLevels] = {};
  Slot slots_[kLevels][kSlots];
  mutable SpinLock lock_;
};

}  // namespace leat
