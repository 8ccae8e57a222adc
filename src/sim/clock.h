// The one clock of a simulation. It moves only when the scheduler moves it.
//
// A host rarely sees time as fine as it is: `granularity` rounds it up, in one of two ways.
//   kWakeup   everything happens at multiples of it, as in a program that looks at its links every 10 ms
//   kReading  frames and wake-ups come when they come, but what a stack reads stands still between two ticks, so that
//             many round trips may pass at "the same time"
#pragma once

#include "base/time.h"

namespace leat::sim {

enum class Tick : uint8_t { kWakeup, kReading };

class Clock {
 public:
  explicit Clock(Duration granularity = Duration::from_ns(1), Tick tick = Tick::kWakeup)
      : granularity_(granularity), tick_(tick) {}

  Time now() const { return now_; }          // the network's
  Time reading() const { return reading_; }  // what stacks are told
  Duration granularity() const { return granularity_; }

  // Never goes back: an earlier time leaves it where it is.
  void advance_to(Time t) {
    const Time tick = round_up(t);
    if (const Time exact = tick_ == Tick::kWakeup ? tick : t; exact > now_) now_ = exact;
    if (tick > reading_) reading_ = tick;
  }

 private:
  Time round_up(Time t) const {
    const int64_t g = granularity_.ns();
    return Time::from_ns((t.ns() + g - 1) / g * g);
  }

  static constexpr int64_t kStartNs = 1'000'000'000'000;  // a multiple of every granularity in use
  const Duration granularity_;
  const Tick tick_;
  Time now_ = Time::from_ns(kStartNs);
  Time reading_ = Time::from_ns(kStartNs);
};

}  // namespace leat::sim
