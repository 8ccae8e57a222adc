// One epoll of the host for everything: the Stack's own poller is asked after each turn, without waiting. Watchers that
// retire are destroyed between two turns, so that a callback may retire itself or another.
#include "cli/event_loop.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "cli/failure.h"

namespace leat::cli {
namespace {

constexpr int kBatch = 256;
constexpr unsigned kBusyTurns = 16;  // between two looks at the host while there is work without it

}  // namespace

class EventLoop::Signals final : public Watcher {
 public:
  explicit Signals(EventLoop& loop) : loop_(loop) {
    sigset_t set;
    sigemptyset(&set);
    for (int s : {SIGINT, SIGTERM, SIGHUP})
      sigaddset(&set, s);
    sigprocmask(SIG_BLOCK, &set, &before_);
    fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd_ < 0 || !loop.watch_host(fd_, EPOLLIN, *this)) throw failed("cannot listen for signals");
    signal(SIGPIPE, SIG_IGN);
  }
  ~Signals() override {
    close(fd_);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  void on_ready(uint32_t) override {
    signalfd_siginfo info{};
    while (read(fd_, &info, sizeof info) == sizeof info) {
      loop_.signal_ = static_cast<int>(info.ssi_signo);
      if (loop_.on_signal_) {
        loop_.on_signal_(loop_.signal_);
      } else {
        loop_.stop(0);
      }
    }
  }

 private:
  EventLoop& loop_;
  int fd_ = -1;
  sigset_t before_{};
};

Time EventLoop::clock() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return Time::from_ns(int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec);
}

EventLoop::EventLoop(Stack& stack) : stack_(stack), now_(clock()) {
  host_epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const auto fd = stack_.epoll_create1(0);
  if (host_epoll_ < 0 || !fd) throw failed("cannot make an epoll descriptor");
  stack_epoll_ = *fd;
  for (int device : stack_.poll_fds()) {
    epoll_event e{.events = EPOLLIN, .data = {.ptr = nullptr}};
    epoll_ctl(host_epoll_, EPOLL_CTL_ADD, device, &e);
  }
  signals_ = std::make_unique<Signals>(*this);
  stack_.poll(now_);
}

EventLoop::~EventLoop() {
  signals_.reset();
  retired_.clear();
  (void)stack_.close(stack_epoll_);
  close(host_epoll_);
}

void EventLoop::watch(int fd, uint32_t events, Watcher& w) {
  epoll_event e{.events = events, .data = {.ptr = &w}};
  if (auto ok = stack_.epoll_ctl(stack_epoll_, EPOLL_CTL_ADD, fd, &e); !ok) {
    throw failed("cannot watch a socket: " + reason(ok.error()));
  }
}

void EventLoop::change(int fd, uint32_t events, Watcher& w) {
  epoll_event e{.events = events, .data = {.ptr = &w}};
  (void)stack_.epoll_ctl(stack_epoll_, EPOLL_CTL_MOD, fd, &e);
}

void EventLoop::unwatch(int fd, Watcher& w) {
  (void)stack_.epoll_ctl(stack_epoll_, EPOLL_CTL_DEL, fd, nullptr);
  forget(w);
}

Result<void> EventLoop::watch_host(int fd, uint32_t events, Watcher& w) {
  epoll_event e{.events = events, .data = {.ptr = &w}};
  if (epoll_ctl(host_epoll_, EPOLL_CTL_ADD, fd, &e) != 0) return err(errno);
  return {};
}

void EventLoop::change_host(int fd, uint32_t events, Watcher& w) {
  epoll_event e{.events = events, .data = {.ptr = &w}};
  epoll_ctl(host_epoll_, EPOLL_CTL_MOD, fd, &e);
}

void EventLoop::unwatch_host(int fd, Watcher& w) {
  epoll_ctl(host_epoll_, EPOLL_CTL_DEL, fd, nullptr);
  forget(w);
}

void EventLoop::forget(Watcher& w) {
  std::ranges::replace(pending_, &w, nullptr);
}

void EventLoop::retire(std::unique_ptr<Watcher> w) {
  forget(*w);
  retired_.push_back(std::move(w));
}

EventLoop::AlarmId EventLoop::call_at(Time at, std::function<void()> f) {
  const AlarmId id{at, next_alarm_++};
  alarms_.emplace(id, std::move(f));
  return id;
}

void EventLoop::fire_alarms() {
  while (!alarms_.empty() && alarms_.begin()->first.first <= now_) {
    auto due = alarms_.extract(alarms_.begin());
    due.mapped()();
  }
}

int EventLoop::run() {
  is_stopped_ = false;
  while (!is_stopped_)
    turn(Time::never());
  return code_;
}

void EventLoop::run_until(const std::function<bool()>& done, Duration at_most) {
  const Time end = clock() + at_most;
  while (!done() && clock() < end)
    turn(end);
}

void EventLoop::turn(Time at_most) {
  now_ = clock();
  bool is_busy = stack_.poll(now_);
  fire_alarms();
  is_busy |= dispatch_sockets();
  retired_.clear();
  Time until = std::min(at_most, stack_.next_deadline());
  if (!alarms_.empty()) until = std::min(until, alarms_.begin()->first.first);
  if (is_stopped_) return;
  // Looking at the host costs a system call; the devices themselves are read by Stack::poll.
  if (is_busy && ++busy_turns_ % kBusyTurns != 0) return;
  wait_for_host(is_busy, until);
}

bool EventLoop::dispatch_sockets() {
  epoll_event events[kBatch];
  const auto n = stack_.epoll_wait(stack_epoll_, events, kBatch, 0);
  if (!n || *n == 0) return false;
  const auto count = static_cast<size_t>(*n);
  pending_.clear();
  for (size_t i = 0; i < count; ++i)
    pending_.push_back(static_cast<Watcher*>(events[i].data.ptr));
  for (size_t i = 0; i < count; ++i) {
    if (pending_[i] != nullptr) pending_[i]->on_ready(events[i].events);
  }
  pending_.clear();
  return true;
}

void EventLoop::wait_for_host(bool is_busy, Time until) {
  timespec zero{};
  timespec timeout{};
  const timespec* limit = &zero;
  if (!is_busy && until == Time::never()) limit = nullptr;
  if (!is_busy && until != Time::never()) {
    const int64_t ns = std::max<int64_t>((until - clock()).ns(), 0);
    timeout = {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    limit = &timeout;
  }
  epoll_event events[kBatch];
  const int n = epoll_pwait2(host_epoll_, events, kBatch, limit, nullptr);
  pending_.clear();
  for (int i = 0; i < n; ++i)
    pending_.push_back(static_cast<Watcher*>(events[i].data.ptr));
  now_ = clock();
  for (int i = 0; i < n; ++i) {
    Watcher* w = pending_[static_cast<size_t>(i)];
    if (w != nullptr) w->on_ready(events[i].events);
  }
  pending_.clear();
  retired_.clear();
}

}  // namespace leat::cli
