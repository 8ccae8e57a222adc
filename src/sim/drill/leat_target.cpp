// See leat_target.h.
#include "sim/drill/leat_target.h"

#include <algorithm>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "leat/runner.h"
#include "leat/stack.h"
#include "sim/drill/interface_commands.h"
#include "sim/drill/script_link.h"
#include "sim/drill/stack_calls.h"

namespace leat::drill {
namespace {

constexpr int64_t kOriginUs = 1'000'000'000'000;  // so that timers and timestamps are far from zero

// Hands the right to run from thread to thread: 0 is the target's owner, others are pending calls.
class Baton {
 public:
  void give(int to) {
    std::lock_guard lock(mutex_);
    holder_ = to;
    changed_.notify_all();
  }
  void await(int me) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return holder_ == me; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int holder_ = 0;
};

class LeatTarget;
thread_local int this_call = 0;  // 0: the owner's thread

struct CallState {
  int number = 0;
  std::thread thread;
  bool is_done = false;
  int64_t result = 0;
  Time ended;
};

class LeatPendingCall final : public PendingCall {
 public:
  explicit LeatPendingCall(std::shared_ptr<CallState> state) : state_(std::move(state)) {}
  bool is_done() const override { return state_->is_done; }
  int64_t result() const override { return state_->result; }
  Time ended() const override { return state_->ended; }

 private:
  std::shared_ptr<CallState> state_;
};

class LeatTarget final : public Target, private Runner {
 public:
  explicit LeatTarget(const LeatOptions& options);
  ~LeatTarget() override;

  Time now() const override { return Time::from_us(now_us_ - kOriginUs); }
  Duration epoch() const override { return Duration::from_us(kOriginUs); }
  void run_until(Time t) override;
  void inject(const std::vector<uint8_t>& packet) override;
  std::vector<SentPacket> take_sent() override;
  Calls& calls() override { return calls_; }
  std::unique_ptr<PendingCall> begin(std::function<int64_t(Calls&)> call) override;
  bool set_sysctl(const std::string& name, const std::string& value, std::string& why) override;
  uint64_t counter(const std::string& name) override { return stack_->counter(name); }
  std::map<std::string, uint64_t> all_counters() override;
  bool configure(const std::string& command, std::string& why) override;

 private:
  struct Waiter {
    Wakeup* wakeup;
    Time deadline;
    int number;
    bool is_due = false;
  };
  // The Stack's clock is the target's, far from zero.
  Time enter() override { return stack_time(); }
  void leave() override {}
  WaitResult wait(Wakeup& w, Time deadline) override;
  Time now() override { return stack_time(); }
  void wake(Wakeup& w) override;

  Time stack_time() const { return Time::from_us(now_us_); }
  WaitResult wait_on_owner(Wakeup& w, Time deadline);
  void turn();
  void resume_due();
  void advance_to(int64_t us);
  Time next_event() const;

  int64_t now_us_ = kOriginUs;
  std::unique_ptr<Stack> stack_;
  StackCalls calls_;
  ScriptLink* link_ = nullptr;
  int ifindex_ = 0;
  Baton baton_;
  std::list<Waiter*> waiters_;
  std::vector<std::shared_ptr<CallState>> started_;
  bool is_ending_ = false;
  size_t ended_calls_ = 0;
};

std::unique_ptr<Stack> make_stack() {
  StackConfig config;
  config.seed.fill(7);
  return Stack::create(config).value();
}

LeatTarget::LeatTarget(const LeatOptions& o) : stack_(make_stack()), calls_(*stack_) {
  auto link = std::make_unique<ScriptLink>(o.mtu, static_cast<uint16_t>(o.rx_gso_size));
  link_ = link.get();
  ifindex_ = stack_->add_link("tun0", std::move(link)).value();
  (void)stack_->add_address(ifindex_, o.local);
  (void)stack_->add_address(ifindex_, o.local6);
  RouteOptions route;
  route.ifindex = ifindex_;
  (void)stack_->add_route(o.remote + "/32", "", route);
  (void)stack_->add_route(o.remote6 + "/128", "", route);
  (void)stack_->add_route("0.0.0.0/0", "", route);
  (void)stack_->add_route("::/0", "", route);
  stack_->poll(stack_time());
  stack_->set_runner(this);
}

LeatTarget::~LeatTarget() {
  is_ending_ = true;
  for (Waiter* w : waiters_)
    w->is_due = true;
  resume_due();
  for (const auto& c : started_)
    c->thread.join();
}

// The calls whose wait is over run on, one after the other, until each waits again or has ended.
void LeatTarget::resume_due() {
  for (;;) {
    const auto due = std::find_if(waiters_.begin(), waiters_.end(), [this](const Waiter* w) {
      return w->number != 0 && (w->is_due || w->deadline <= stack_time());
    });
    if (due == waiters_.end()) return;
    const int number = (*due)->number;
    baton_.give(number);
    baton_.await(0);
  }
}

void LeatTarget::turn() {
  while (stack_->poll(stack_time())) {
  }
  if (this_call == 0) resume_due();
}

Time LeatTarget::next_event() const {
  Time t = stack_->next_deadline();
  for (const Waiter* w : waiters_)
    t = std::min(t, w->deadline);
  return t;
}

int64_t ceil_us(Time t) {
  return (t.ns() + 999) / 1000;
}

void LeatTarget::advance_to(int64_t us) {
  now_us_ = std::max(now_us_, us);
  turn();
}

void LeatTarget::run_until(Time t) {
  const int64_t target = kOriginUs + t.us();
  const size_t ended = ended_calls_;
  turn();
  while (!link_->has_sent() && ended_calls_ == ended) {
    const Time next = next_event();
    if (next == Time::never() || ceil_us(next) > target) {
      if (now_us_ < target) advance_to(target);
      return;
    }
    advance_to(ceil_us(next));
  }
}

void LeatTarget::inject(const std::vector<uint8_t>& packet) {
  link_->inject(packet.data(), packet.size());
  turn();
}

std::vector<SentPacket> LeatTarget::take_sent() {
  turn();
  std::vector<SentPacket> out;
  ScriptLink::Sent s;
  while (link_->take_sent(s))
    out.push_back({Time::from_us(s.at.us() - kOriginUs), std::move(s.bytes)});
  return out;
}

// A call on the owner's thread that would block makes time pass.
WaitResult LeatTarget::wait_on_owner(Wakeup& w, Time deadline) {
  Waiter waiter{&w, deadline, 0};
  waiters_.push_back(&waiter);
  WaitResult result = WaitResult::kWoken;
  while (!w.is_set()) {
    const Time t = std::min(next_event(), deadline);
    if (deadline <= stack_time()) result = WaitResult::kTimeout;
    if (t == Time::never()) result = WaitResult::kInterrupted;  // nothing will ever wake it
    if (result != WaitResult::kWoken) break;
    advance_to(ceil_us(t));
  }
  waiters_.remove(&waiter);
  return result;
}

WaitResult LeatTarget::wait(Wakeup& w, Time deadline) {
  if (this_call == 0) return wait_on_owner(w, deadline);
  Waiter waiter{&w, deadline, this_call};
  waiters_.push_back(&waiter);
  if (is_ending_) waiter.is_due = true;
  while (!w.is_set() && !waiter.is_due && deadline > stack_time()) {
    baton_.give(0);
    baton_.await(this_call);
  }
  waiters_.remove(&waiter);
  if (w.is_set()) return WaitResult::kWoken;
  return is_ending_ ? WaitResult::kInterrupted : WaitResult::kTimeout;
}

void LeatTarget::wake(Wakeup& w) {
  for (Waiter* waiter : waiters_) {
    if (waiter->wakeup == &w) waiter->is_due = true;
  }
  w.set();
}

std::unique_ptr<PendingCall> LeatTarget::begin(std::function<int64_t(Calls&)> call) {
  auto state = std::make_shared<CallState>();
  started_.push_back(state);
  state->number = static_cast<int>(started_.size());
  state->thread = std::thread([this, state, call = std::move(call)] {
    this_call = state->number;
    baton_.await(state->number);
    state->result = call(calls_);
    state->ended = std::as_const(*this).now();
    state->is_done = true;
    ++ended_calls_;
    baton_.give(0);
  });
  baton_.give(state->number);
  baton_.await(0);
  turn();
  return std::make_unique<LeatPendingCall>(std::move(state));
}

bool LeatTarget::set_sysctl(const std::string& name, const std::string& value, std::string& why) {
  const auto r = stack_->set_sysctl(name, value);
  if (r) return true;
  why = r.error() == Errno{ENOENT} ? "leat has no sysctl " + name : "leat refuses " + name + "=" + value;
  return false;
}

std::map<std::string, uint64_t> LeatTarget::all_counters() {
  std::map<std::string, uint64_t> all;
  for (const Counter& c : stack_->counters())
    all[c.group + c.name] = c.value;
  return all;
}

bool LeatTarget::configure(const std::string& command, std::string& why) {
  return configure_interface(*stack_, ifindex_, command, why);
}

}  // namespace

std::unique_ptr<Target> make_leat_target(const LeatOptions& options) {
  return std::make_unique<LeatTarget>(options);
}

}  // namespace leat::drill
