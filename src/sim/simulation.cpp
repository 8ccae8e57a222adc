#include "sim/simulation.h"

#include <algorithm>

namespace leat::sim {

// Packets cross from stack to stack, and what one received belongs to the other: no connection, not even an orphan with
// something in its out-of-order queue, may be left when the first stack goes.
Simulation::~Simulation() {
  calls_.clear();
  watchers_.clear();
  for (const auto& host : hosts_)
    host->forget_connections();
}

Host& Simulation::add_host(std::string name, const StackConfig& config) {
  hosts_.push_back(std::make_unique<Host>(std::move(name), clock_, config));
  return *hosts_.back();
}

void Simulation::after(Duration delay, std::function<void()> call) {
  calls_.push_back({clock_.now() + delay, next_number_++, std::move(call)});
  std::push_heap(calls_.begin(), calls_.end());
}

Simulation::End Simulation::run(const std::function<bool()>& is_done, Time deadline) {
  for (;;) {
    if (!settle()) return End::kNoRest;
    ++instants_;
    for (const auto& watcher : watchers_)
      watcher();
    if (is_done()) return End::kDone;
    const Time next = next_event();
    if (next == Time::never() && deadline == Time::never()) return End::kNothingLeft;
    if (next > deadline) {
      clock_.advance_to(deadline);
      return next == Time::never() ? End::kNothingLeft : End::kDeadline;
    }
    clock_.advance_to(next);
  }
}

bool Simulation::settle() {
  constexpr int kRounds = 100'000;
  for (int i = 0; i < kRounds; ++i) {
    make_calls();
    bool was_due = false;
    for (const auto& host : hosts_) {
      if (!host->is_due()) continue;
      host->run();
      was_due = true;
    }
    if (!was_due) return true;
  }
  return false;
}

void Simulation::make_calls() {
  while (!calls_.empty() && calls_.front().at <= clock_.now()) {
    std::pop_heap(calls_.begin(), calls_.end());
    const auto call = std::move(calls_.back().call);
    calls_.pop_back();
    call();
  }
}

Time Simulation::next_event() const {
  Time next = calls_.empty() ? Time::never() : calls_.front().at;
  for (const auto& host : hosts_)
    next = std::min(next, host->next_event());
  return next;
}

const char* to_string(Simulation::End end) {
  switch (end) {
    case Simulation::End::kDone:
      return "done";
    case Simulation::End::kDeadline:
      return "time is up";
    case Simulation::End::kNothingLeft:
      return "no timer and no frame is left: nothing would ever happen again";
    case Simulation::End::kNoRest:
      return "an instant that does not end";
  }
  return "?";
}

}  // namespace leat::sim
