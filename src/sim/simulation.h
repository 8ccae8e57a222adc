// A discrete-event simulation: hosts on one virtual clock. An instant is run until every host is at rest, then the
// clock goes to whatever is next: a timer of a stack, a frame that arrives, a timer of an application.
// Nothing in it depends on anything but its input, so that two runs are equal byte for byte.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/clock.h"
#include "sim/host.h"

namespace leat::sim {

class Simulation {
 public:
  explicit Simulation(Duration granularity = Duration::from_ns(1), Tick tick = Tick::kWakeup)
      : clock_(granularity, tick) {}
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  const Clock& clock() const { return clock_; }
  Host& add_host(std::string name, const StackConfig& config);
  Host& host(size_t i) { return *hosts_[i]; }

  void after(Duration delay, std::function<void()> call);                           // once
  void watch(std::function<void()> call) { watchers_.push_back(std::move(call)); }  // after each instant

  enum class End : uint8_t {
    kDone,         // the question was answered with yes
    kDeadline,     // time is up
    kNothingLeft,  // no timer and no frame anywhere: nothing would ever happen again
    kNoRest,       // an instant that does not end
  };
  End run(const std::function<bool()>& is_done, Time deadline);
  End run_for(Duration d) {
    return run([] { return false; }, clock_.now() + d);
  }
  uint64_t instants() const { return instants_; }

 private:
  struct Call {
    Time at;
    uint64_t number;  // equal times keep their order
    std::function<void()> call;
    bool operator<(const Call& o) const { return at != o.at ? at > o.at : number > o.number; }
  };
  bool settle();
  void make_calls();
  Time next_event() const;

  Clock clock_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<Call> calls_;  // a heap
  uint64_t next_number_ = 0;
  uint64_t instants_ = 0;
  std::vector<std::function<void()>> watchers_;
};

const char* to_string(Simulation::End end);

}  // namespace leat::sim
