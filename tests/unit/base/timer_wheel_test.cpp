// The timer wheel: literal cases, and a naive model under random operations.
#include "base/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <vector>

namespace leat {
namespace {

constexpr int64_t kTick = 1024;
Time at(int64_t ns) {
  return Time::from_ns(ns);
}

struct Wheel {
  std::function<void(Timer&)> on_fire;
  std::vector<Timer*> fired;
  TimerWheel wheel{[](void* context, Timer& t) {
                     auto* self = static_cast<Wheel*>(context);
                     self->fired.push_back(&t);
                     if (self->on_fire) self->on_fire(t);
                   },
                   this};
};

TEST(TimerWheel, FiresAtItsExactNanosecondAndNotBefore) {
  Wheel w;
  Timer t;
  w.wheel.arm(t, at(5'000'123));
  w.wheel.advance(at(5'000'122));
  EXPECT_TRUE(w.fired.empty());
  EXPECT_TRUE(t.is_armed());
  w.wheel.advance(at(5'000'123));
  EXPECT_EQ(w.fired, std::vector<Timer*>{&t});
  EXPECT_FALSE(t.is_armed());
  EXPECT_EQ(w.wheel.armed(), 0u);
}

TEST(TimerWheel, SaysNeverWhenNothingIsArmed) {
  Wheel w;
  EXPECT_EQ(w.wheel.next_deadline(), Time::never());
  Timer t;
  w.wheel.arm(t, at(7));
  w.wheel.cancel(t);
  EXPECT_EQ(w.wheel.next_deadline(), Time::never());
}

TEST(TimerWheel, NextDeadlineIsTheFirstExpiryHoweverFar) {
  Wheel w;
  Timer seconds, hours, days;
  w.wheel.arm(days, at(86'400'000'000'000 * 3 + 17));
  EXPECT_EQ(w.wheel.next_deadline(), at(86'400'000'000'000 * 3 + 17));
  w.wheel.arm(hours, at(7'200'000'000'000 + 5));
  EXPECT_EQ(w.wheel.next_deadline(), at(7'200'000'000'000 + 5));
  w.wheel.arm(seconds, at(1'000'000'001));
  EXPECT_EQ(w.wheel.next_deadline(), at(1'000'000'001));
  w.wheel.cancel(seconds);
  EXPECT_EQ(w.wheel.next_deadline(), at(7'200'000'000'000 + 5));
  w.wheel.cancel(hours);
  w.wheel.cancel(days);
}

TEST(TimerWheel, NextDeadlineMovesOnWhenTheFirstOfASlotIsCancelled) {
  Wheel w;
  Timer a, b;
  w.wheel.arm(a, at(1'000'000'000));
  w.wheel.arm(b, at(1'000'000'300));
  w.wheel.cancel(a);
  EXPECT_EQ(w.wheel.next_deadline(), at(1'000'000'300));
  w.wheel.cancel(b);
}

TEST(TimerWheel, NextDeadlineInACrowdedSlotIsNeverLateAndComesTrueByAdvancing) {
  Wheel w;
  std::vector<Timer> crowd(500);
  for (size_t i = 0; i < crowd.size(); ++i)
    w.wheel.arm(crowd[i], at(10'000'000'000 + static_cast<int64_t>(i) * 100));
  for (size_t i = 0; i < 100; ++i)
    w.wheel.cancel(crowd[i]);
  const Time early = w.wheel.next_deadline();
  EXPECT_LE(early, at(10'000'010'000));
  int turns = 0;
  while (w.fired.empty() && ++turns < 10)
    w.wheel.advance(w.wheel.next_deadline());
  EXPECT_EQ(w.fired.front(), &crowd[100]);
  EXPECT_LE(turns, 3);
  w.wheel.advance(at(20'000'000'000));
  EXPECT_EQ(w.fired.size(), 400u);
}

TEST(TimerWheel, AnArmedTimerIsMoved) {
  Wheel w;
  Timer t;
  w.wheel.arm(t, at(100 * kTick));
  w.wheel.arm(t, at(900 * kTick));
  EXPECT_EQ(w.wheel.armed(), 1u);
  w.wheel.advance(at(899 * kTick));
  EXPECT_TRUE(w.fired.empty());
  w.wheel.advance(at(900 * kTick));
  EXPECT_EQ(w.fired.size(), 1u);
}

TEST(TimerWheel, CancelSaysWhetherItWasArmed) {
  Wheel w;
  Timer t;
  EXPECT_FALSE(w.wheel.cancel(t));
  w.wheel.arm(t, at(5));
  EXPECT_TRUE(w.wheel.cancel(t));
  EXPECT_FALSE(w.wheel.cancel(t));
}

TEST(TimerWheel, OneSlotFiresInTheOrderOfArmingAcrossACascade) {
  Wheel w;
  Timer a, b, c;
  const Time when = at(5'000 * kTick);
  w.wheel.arm(a, when);  // stands two levels up
  w.wheel.advance(at(4'990 * kTick));
  w.wheel.arm(b, when);  // stands at level 0 or 1
  w.wheel.advance(at(4'999 * kTick));
  w.wheel.arm(c, when);
  w.wheel.advance(when);
  EXPECT_EQ(w.fired, (std::vector<Timer*>{&a, &b, &c}));
}

TEST(TimerWheel, AJumpOfDaysFiresEverythingOnTheWayInOrder) {
  Wheel w;
  std::vector<Timer> timers(60);
  for (size_t i = 0; i < timers.size(); ++i)
    w.wheel.arm(timers[i], at((int64_t{1} << i) + 3));
  w.wheel.advance(at((int64_t{1} << 59) + 3));
  ASSERT_EQ(w.fired.size(), 60u);
  EXPECT_TRUE(
      std::is_sorted(w.fired.begin() + 10, w.fired.end(), [](Timer* x, Timer* y) { return x->expires < y->expires; }));
}

TEST(TimerWheel, TimersAtTheEndsOfTimeAreHeldAndFired) {
  Wheel w;
  Timer past, last, never;
  w.wheel.advance(at(1'790'000'000'000'000'000));  // a wall clock of 2026
  w.wheel.arm(past, at(-5));
  w.wheel.arm(last, at(INT64_MAX - 1));
  w.wheel.arm(never, Time::never());
  EXPECT_EQ(w.wheel.next_deadline(), at(-5));
  w.wheel.advance(at(1'790'000'000'000'000'000));
  EXPECT_EQ(w.fired, std::vector<Timer*>{&past});
  EXPECT_EQ(w.wheel.next_deadline(), at(INT64_MAX - 1));
  w.wheel.advance(at(INT64_MAX - 1));
  EXPECT_EQ(w.fired, (std::vector<Timer*>{&past, &last}));
  EXPECT_TRUE(w.wheel.cancel(never));
}

TEST(TimerWheel, BeforeTheBeginningOfTimeOnlyWhatIsDueFires) {
  Wheel w;
  Timer before, after;
  w.wheel.arm(before, at(-5));
  w.wheel.arm(after, at(100));
  w.wheel.advance(at(-3));
  EXPECT_EQ(w.fired, std::vector<Timer*>{&before});
  EXPECT_TRUE(after.is_armed());
  w.wheel.cancel(after);
}

TEST(TimerWheel, ACallbackMayArmForBeforeNowAndItFiresInTheSameAdvance) {
  Wheel w;
  Timer first, second;
  w.on_fire = [&](Timer& t) {
    if (&t == &first) w.wheel.arm(second, at(1));
  };
  w.wheel.arm(first, at(50 * kTick));
  w.wheel.advance(at(90 * kTick));
  EXPECT_EQ(w.fired, (std::vector<Timer*>{&first, &second}));
}

TEST(TimerWheel, ACallbackMayArmBetweenItsExpiryAndNow) {
  Wheel w;
  Timer first, second, third;
  w.on_fire = [&](Timer& t) {
    if (&t == &first) w.wheel.arm(second, at(60 * kTick));
  };
  w.wheel.arm(first, at(50 * kTick));
  w.wheel.arm(third, at(70 * kTick));
  w.wheel.advance(at(90 * kTick));
  EXPECT_EQ(w.fired, (std::vector<Timer*>{&first, &second, &third}));
}

TEST(TimerWheel, ATimerThatRearmsItselfForNowForeverDoesNotHoldUpAdvance) {
  Wheel w;
  Timer endless, other;
  w.on_fire = [&](Timer& t) {
    if (&t == &endless) w.wheel.arm(endless, at(1));
  };
  w.wheel.arm(endless, at(10 * kTick));
  w.wheel.arm(other, at(20 * kTick));
  w.wheel.advance(at(1'000'000 * kTick));
  EXPECT_EQ(std::count(w.fired.begin(), w.fired.end(), &other), 1);
  EXPECT_LE(w.fired.size(), 70u);
  EXPECT_TRUE(endless.is_armed());
  EXPECT_LE(w.wheel.next_deadline(), at(1'000'000 * kTick));
  w.wheel.cancel(endless);
}

TEST(TimerWheel, ACallbackMayCancelATimerThatIsDueInTheSameAdvance) {
  Wheel w;
  Timer a, same_slot, later_slot;
  w.on_fire = [&](Timer& t) {
    if (&t != &a) return;
    EXPECT_TRUE(w.wheel.cancel(same_slot));
    EXPECT_TRUE(w.wheel.cancel(later_slot));
  };
  w.wheel.arm(a, at(kTick));
  w.wheel.arm(same_slot, at(kTick));
  w.wheel.arm(later_slot, at(300 * kTick));
  w.wheel.advance(at(1000 * kTick));
  EXPECT_EQ(w.fired, std::vector<Timer*>{&a});
  EXPECT_EQ(w.wheel.armed(), 0u);
}

TEST(TimerWheel, ACallbackMayMoveATimerThatIsDueOutOfTheAdvance) {
  Wheel w;
  Timer a, b;
  w.on_fire = [&](Timer& t) {
    if (&t == &a) w.wheel.arm(b, at(5000 * kTick));
  };
  w.wheel.arm(a, at(kTick));
  w.wheel.arm(b, at(kTick));
  w.wheel.advance(at(1000 * kTick));
  EXPECT_EQ(w.fired, std::vector<Timer*>{&a});
  EXPECT_EQ(w.wheel.next_deadline(), at(5000 * kTick));
  w.wheel.cancel(b);
}

TEST(TimerWheel, EachThatFollowsAnotherIsPreparedBeforeItFires) {
  struct Seen {
    std::vector<std::pair<char, Timer*>> calls;
    TimerWheel wheel{[](void* c, Timer& t) { static_cast<Seen*>(c)->calls.emplace_back('f', &t); }, this,
                     [](void* c, Timer& t) { static_cast<Seen*>(c)->calls.emplace_back('p', &t); }};
  } seen;
  Timer a, b, c, later;
  seen.wheel.arm(a, at(900));
  seen.wheel.arm(b, at(900));
  seen.wheel.arm(c, at(900));
  seen.wheel.arm(later, at(5 * kTick));
  seen.wheel.advance(at(2 * kTick));
  using Calls = std::vector<std::pair<char, Timer*>>;
  EXPECT_EQ(seen.calls, (Calls{{'p', &b}, {'f', &a}, {'p', &c}, {'f', &b}, {'f', &c}}));
  EXPECT_TRUE(later.is_armed());
  seen.wheel.cancel(later);
}

TEST(TimerWheel, ACallbackMayFreeItsTimer) {
  Wheel w;
  auto t = std::make_unique<Timer>();
  w.on_fire = [&](Timer&) { t.reset(); };
  w.wheel.arm(*t, at(10));
  w.wheel.advance(at(10));
  EXPECT_EQ(t, nullptr);
}

TEST(TimerWheel, AnEarlierNowFiresNothingThatIsNotDueThen) {
  Wheel w;
  Timer t;
  w.wheel.advance(at(1'000'000));
  w.wheel.arm(t, at(900'000));
  w.wheel.advance(at(800'000));
  EXPECT_TRUE(w.fired.empty());
  w.wheel.advance(at(900'000));
  EXPECT_EQ(w.fired.size(), 1u);
}

// The model: a set of (expiry, timer). Order is compared by slot and, within a slot, by arming.
class Model {
 public:
  explicit Model(uint32_t seed) : engine_(seed), timers_(200), armed_at_(200, 0) {
    w_.on_fire = [this](Timer& t) { on_fire(t); };
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      switch (random() % 4) {
        case 0:
        case 1:
          arm(pick());
          break;
        case 2:
          cancel(pick());
          break;
        default:
          advance();
          break;
      }
      check();
    }
    for (Timer& t : timers_)
      w_.wheel.cancel(t);
  }

 private:
  struct Entry {
    int64_t tick, order;
    Timer* timer;
    auto operator<=>(const Entry&) const = default;
  };

  size_t pick() { return random() % timers_.size(); }
  int64_t some_delay() {
    static constexpr int64_t kScales[] = {1, 500, 3'000, 100'000, 40'000'000, 3'000'000'000, 7'200'000'000'000};
    return static_cast<int64_t>(random() % 1'000'003) * kScales[random() % 7] / 1'000 - 20;
  }
  void arm(size_t i) {
    forget(i);
    const Time expires = at(now_ + some_delay());
    w_.wheel.arm(timers_[i], expires);
    armed_at_[i] = ++order_;
    expiries_.insert(expires);
  }
  void forget(size_t i) {
    if (timers_[i].is_armed()) expiries_.erase(expiries_.find(timers_[i].expires));
  }
  void cancel(size_t i) {
    forget(i);
    EXPECT_EQ(w_.wheel.cancel(timers_[i]), armed_at_[i] != 0);
    armed_at_[i] = 0;
  }
  void advance() {
    advancing_to_ = now_ + std::max<int64_t>(0, some_delay());
    if (random() % 3 == 0 && !expiries_.empty()) advancing_to_ = std::max(now_, w_.wheel.next_deadline().ns());
    last_ = {-1, 0, nullptr};
    rearmed_.clear();
    w_.wheel.advance(at(advancing_to_));
    now_ = advancing_to_;
    EXPECT_TRUE(expiries_.empty() || *expiries_.begin() > at(now_));
  }
  void on_fire(Timer& t) {
    const auto i = static_cast<size_t>(&t - timers_.data());
    EXPECT_FALSE(t.is_armed());
    EXPECT_NE(armed_at_[i], 0);
    EXPECT_LE(t.expires.ns(), advancing_to_);
    expiries_.erase(expiries_.find(t.expires));
    const Entry entry{std::max<int64_t>(now_, t.expires.ns()) >> 10, armed_at_[i], &t};
    if (!rearmed_.contains(&t)) {
      EXPECT_LT(last_, entry) << "out of order";
      last_ = entry;
    }
    armed_at_[i] = 0;
    const uint32_t dice = random() % 8;
    if (dice == 0) cancel_other(pick());
    if (dice == 1 && rearmed_.size() < 20) arm_from_callback(pick());
  }
  void cancel_other(size_t i) { cancel(i); }
  void arm_from_callback(size_t i) {
    arm(i);
    rearmed_.insert(&timers_[i]);
  }
  void check() {
    EXPECT_EQ(w_.wheel.armed(), expiries_.size());
    const Time next = w_.wheel.next_deadline();
    if (expiries_.empty()) {
      EXPECT_EQ(next, Time::never());
    } else if (w_.wheel.armed() <= 64) {
      EXPECT_EQ(next, *expiries_.begin());
    } else {
      EXPECT_LE(next, *expiries_.begin());
    }
  }

  uint32_t random() { return static_cast<uint32_t>(engine_()); }
  std::mt19937 engine_;
  Wheel w_;
  std::vector<Timer> timers_;
  std::vector<int64_t> armed_at_;  // 0: not armed
  std::multiset<Time> expiries_;
  std::set<Timer*> rearmed_;
  Entry last_{-1, 0, nullptr};
  int64_t order_ = 0;
  int64_t now_ = 0;
  int64_t advancing_to_ = 0;
};

TEST(TimerWheel, BehavesLikeASortedSetUnderRandomOperations) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Model(seed).run(3000);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace leat
