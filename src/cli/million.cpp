// leat million: opens, says what an administrator would look at, holds, closes. What the connections are is in
// million_pair.h; what is said of them in million_report.cpp.
#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "cli/commands.h"
#include "cli/event_loop.h"
#include "cli/failure.h"
#include "cli/million_report.h"
#include "cli/progress.h"
#include "diag/commands.h"
#include "diag/control_client.h"
#include "diag/control_server.h"

namespace leat::cli {
namespace {

// Within two seconds the last has fallen asleep; what it needed goes back after a second in which nobody did.
constexpr Duration kUntilAllRest = Duration::from_ms(4500);

Strategy strategy_of(const std::string& word) {
  if (word == "destinations") return Strategy::kDestinations;
  return word == "bound" ? Strategy::kBound : Strategy::kSourceAddresses;
}

class Signals {
 public:
  Signals() {
    sigset_t set;
    sigemptyset(&set);
    for (int s : {SIGINT, SIGTERM, SIGHUP})
      sigaddset(&set, s);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd_ < 0) throw failed("cannot listen for signals");
    signal(SIGPIPE, SIG_IGN);
  }
  ~Signals() { close(fd_); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  int fd() const { return fd_; }
  bool seen() {
    signalfd_siginfo info{};
    seen_ |= read(fd_, &info, sizeof info) == sizeof info;
    return seen_;
  }

 private:
  int fd_ = -1;
  bool seen_ = false;
};

class Run {
 public:
  explicit Run(const MillionOptions& o)
      : options_(o),
        pair_({.connections = o.connections, .strategy = strategy_of(o.strategy), .sysctls = o.sysctls}),
        commands_({&pair_.server(), &pair_.client()}) {
    if (o.hold || !o.control.empty()) open_control();
  }
  int run();
  void forget_control() { control_.reset(); }

 private:
  void open_control();
  bool open_connections();
  bool idle_for(Duration d);
  bool wait_for_host(Time until);
  void show_mix();
  void echo(const char* when);
  void close_connections();

  const MillionOptions& options_;
  Signals signals_;
  MillionPair pair_;
  diag::Commands commands_;
  std::unique_ptr<diag::ControlServer> control_;
};

void Run::open_control() {
  auto run = [this](std::string_view verb, std::span<const std::string> words) { return commands_.run(verb, words); };
  std::string why;
  auto server = diag::ControlServer::open(
      options_.control.empty() ? diag::control_path(options_.name) : options_.control, run, why);
  if (!server) throw failed(why);
  control_ = std::move(*server);
}

bool Run::open_connections() {
  const Time start = EventLoop::clock();
  Progress progress("connections", !options_.quiet && isatty(STDERR_FILENO) != 0, start, Progress::Unit::kThings);
  while (pair_.opened() < options_.connections && !signals_.seen()) {
    pair_.open_some(options_.connections - pair_.opened());
    const Time now = EventLoop::clock();
    progress.update(pair_.opened(), options_.connections, now);
    if (control_ != nullptr) control_->serve(now);
  }
  progress.clear();
  if (pair_.opened() < options_.connections) return false;
  report_opened(pair_, EventLoop::clock() - start);
  return true;
}

// Both Stacks go on meanwhile, and who asks through the control socket is answered. false: interrupted.
bool Run::idle_for(Duration d) {
  const Time end = EventLoop::clock() + d;
  while (EventLoop::clock() < end) {
    pair_.turn();
    const Time wake = EventLoop::clock() + std::max(pair_.next_deadline() - pair_.now(), Duration());
    if (!wait_for_host(std::min(end, wake))) return false;
  }
  return true;
}

bool Run::wait_for_host(Time until) {
  pollfd fds[2] = {{signals_.fd(), POLLIN, 0}, {control_ == nullptr ? -1 : control_->poll_fd(), POLLIN, 0}};
  if (control_ != nullptr) until = std::min(until, control_->next_deadline());
  const int64_t ms = std::max<int64_t>((until - EventLoop::clock()).ms() + 1, 0);
  poll(fds, 2, static_cast<int>(std::min<int64_t>(ms, 1000)));
  if (signals_.seen()) return false;
  if (control_ != nullptr) control_->serve(EventLoop::clock());
  return true;
}

void Run::show_mix() {
  constexpr int kPorts = 1000, kBound = 600;
  const MillionPair::Mix m = pair_.mix(kPorts, kBound);
  fmt::print(
      "\nWhy bind() mixes badly: of {} ports of one address, {} were bound first. connect() to two destinations\n"
      "then got {} connections, not {}: {}.\n\n",
      m.ports, m.bound, m.shared, 2 * m.ports, reason(Errno{m.error}));
}

void Run::echo(const char* when) {
  const uint64_t count = std::min(options_.sample, pair_.opened());
  if (count == 0) return;
  const uint64_t answered = pair_.echo_on(count);
  fmt::print("\nEcho{}: {} of {} connections answered with what they were sent.\n", when, count_text(answered),
             count_text(count));
  std::fflush(stdout);
  if (answered != count) throw failed("connections are dead");
}

void Run::close_connections() {
  const Time start = EventLoop::clock();
  Progress progress("closing", !options_.quiet && isatty(STDERR_FILENO) != 0, start, Progress::Unit::kThings);
  pair_.close_all([&](uint64_t n) { progress.update(n, options_.connections, EventLoop::clock()); });
  progress.clear();
  report_closed(pair_, EventLoop::clock() - start);
}

int Run::run() {
  if (strategy_of(options_.strategy) == Strategy::kBound) show_mix();
  if (!open_connections() || !idle_for(kUntilAllRest)) return kExitInterrupted;
  report_state(pair_);
  echo("");
  if (options_.hold) {
    fmt::print("\nHeld open; look with: leat ss --control {} -s\n", control_->path());
    std::fflush(stdout);
    const bool has_end = options_.hold_seconds >= 0;
    const auto ms = static_cast<int64_t>(options_.hold_seconds * 1000);
    (void)idle_for(has_end ? Duration::from_ms(ms) : Duration::from_s(1 << 30));
    echo(" at the end");
  }
  if (options_.close) close_connections();
  return 0;
}

}  // namespace

int million(const MillionOptions& o) {
  int code = 0;
  {
    Run run(o);
    code = run.run();
    if (!o.close) {  // nobody waits for two million closes: the system takes all at once
      run.forget_control();
      std::fflush(stdout);
      std::_Exit(code);
    }
  }
  return code;
}

}  // namespace leat::cli
