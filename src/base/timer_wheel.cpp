// The wheel's invariants, true whenever the lock is free:
//   a timer with tick t > tick_ stands at level L = the highest digit in which t and tick_ differ, in slot digit(t, L);
//   a timer with t <= tick_ stands in slot digit(tick_, 0) of level 0;
//   hence the slots in use at level L > 0 all lie behind digit(tick_, L), and position_of() finds any armed timer.
#include "base/timer_wheel.h"

namespace leat {

TimerWheel::TimerWheel(Fire fire, void* context, Fire prepare) : fire_(fire), context_(context), prepare_(prepare) {}

bool TimerWheel::arm(Timer& timer, Time expires) {
  Guard guard(lock_);
  const bool was_armed = timer.is_armed();
  if (was_armed) remove(timer);
  timer.expires = expires;
  place(timer);
  count_armed(1);
  return was_armed;
}

bool TimerWheel::cancel(Timer& timer) {
  Guard guard(lock_);
  if (!timer.is_armed()) return false;
  remove(timer);
  return true;
}

TimerWheel::Position TimerWheel::position_of(Time expires) const {
  const uint64_t wanted = tick_of(expires);
  const uint64_t tick = wanted < tick_ ? tick_ : wanted;
  const uint64_t differs = tick ^ tick_;
  const int level = differs == 0 ? 0 : (63 - __builtin_clzll(differs)) / kSlotBits;
  return {level, static_cast<int>(tick >> (level * kSlotBits)) & (kSlots - 1)};
}

void TimerWheel::place(Timer& timer) {
  const Position p = position_of(timer.expires);
  Slot& slot = slots_[p.level][p.slot];
  if (slot.timers.is_empty() || timer.expires <= slot.earliest) {
    slot.earliest = timer.expires;
    slot.is_exact = true;
  }
  slot.timers.push_back(&timer);
  occupied_[p.level] |= uint64_t{1} << p.slot;
}

// The timer may also stand in fire_pass's list of due timers; then the slot found is the current one and only the
// unlinking matters.
void TimerWheel::remove(Timer& timer) {
  const Position p = position_of(timer.expires);
  Slot& slot = slots_[p.level][p.slot];
  timer.node.unlink();
  count_armed(~size_t{0});
  if (slot.timers.is_empty()) {
    occupied_[p.level] &= ~(uint64_t{1} << p.slot);
  } else if (timer.expires == slot.earliest) {
    slot.is_exact = false;
  }
}

uint64_t TimerWheel::first_tick(Position p) const {
  const int shift = p.level * kSlotBits;
  const uint64_t above = tick_ >> shift >> kSlotBits << kSlotBits;
  return (above | static_cast<uint64_t>(p.slot)) << shift;
}

void TimerWheel::advance(Time now) {
  Guard guard(lock_);
  const uint64_t target = tick_of(now);
  int extra_passes = kExtraPasses;
  fire_current(now, &extra_passes);
  for (Position next; find_next(&next) && first_tick(next) <= target;) {
    step_to(first_tick(next));
    if (next.level > 0) cascade(next);
    fire_current(now, &extra_passes);
  }
  if (target > tick_) step_to(target);
}

// The first slot in use behind the current one.
bool TimerWheel::find_next(Position* next) const {
  const uint64_t behind = ~uint64_t{1} << (tick_ & (kSlots - 1));
  for (int level = 0; level < kLevels; ++level) {
    const uint64_t slots = occupied_[level] & (level == 0 ? behind : ~uint64_t{0});
    if (slots == 0) continue;
    *next = {level, __builtin_ctzll(slots)};
    return true;
  }
  return false;
}

// No slot in use begins between here and `tick`, so only what the extra passes left in the current slot must move.
void TimerWheel::step_to(uint64_t tick) {
  TimerList left;
  take_slot(current(), left);
  tick_ = tick;
  left.drain([this](Timer* t) { place(*t); });
}

void TimerWheel::cascade(Position p) {
  TimerList timers;
  take_slot(p, timers);
  timers.drain([this](Timer* t) { place(*t); });
}

void TimerWheel::take_slot(Position p, TimerList& out) {
  const uint64_t bit = uint64_t{1} << p.slot;
  if ((occupied_[p.level] & bit) == 0) return;
  occupied_[p.level] &= ~bit;
  out.take_all(slots_[p.level][p.slot].timers);
}

void TimerWheel::fire_current(Time now, int* extra_passes) {
  while (fire_pass(now) && *extra_passes > 0)
    --*extra_passes;
}

// Takes what is due out of the current slot first, so that a callback's arming cannot keep the pass going.
bool TimerWheel::fire_pass(Time now) {
  const Position p = current();
  if ((occupied_[0] >> p.slot & 1) == 0 || slots_[0][p.slot].earliest > now) return false;
  TimerList due;
  take_due(now, due);
  const bool fired = !due.is_empty();
  while (Timer* t = due.pop_front()) {
    count_armed(~size_t{0});
    if (prepare_ != nullptr) look_ahead(due);
    lock_.unlock();
    fire_(context_, *t);
    lock_.lock();
  }
  return fired;
}

// Of the current slot. When its time is over, all of them are due.
void TimerWheel::take_due(Time now, TimerList& due) {
  if (tick_of(now) > tick_) return take_slot(current(), due);
  TimerList all;
  take_slot(current(), all);
  all.drain([&](Timer* t) {
    if (t->expires <= now) {
      due.push_back(t);
    } else {
      place(*t);
    }
  });
}

// What lay still for a minute is in no cache. The one after the next is fetched while the next is prepared.
void TimerWheel::look_ahead(const TimerList& due) const {
  Timer* next = due.front();
  if (next == nullptr) return;
  if (const Timer* second = due.next(next); second != nullptr) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(second);
    __builtin_prefetch(bytes, 1);
    __builtin_prefetch(bytes - 64, 1);  // a timer stands behind what names its owner
  }
  prepare_(context_, *next);
}

Time TimerWheel::next_deadline() const {
  Guard guard(lock_);
  for (int level = 0; level < kLevels; ++level) {
    if (occupied_[level] != 0) return refine(slots_[level][__builtin_ctzll(occupied_[level])]);
  }
  return Time::never();
}

Time TimerWheel::refine(Slot& slot) const {
  if (slot.is_exact) return slot.earliest;
  Time earliest = Time::never();
  int seen = 0;
  for (const Timer& t : slot.timers) {
    if (++seen > kScan) return slot.earliest;
    if (t.expires < earliest) earliest = t.expires;
  }
  slot.is_exact = true;
  return slot.earliest = earliest;
}

}  // namespace leat
