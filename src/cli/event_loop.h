// A single-threaded program around a Stack: one epoll of the host for the devices, signals, stdin and the control
// socket, one epoll of the Stack for its sockets, and sleep until the Stack's next deadline in between.
//
//   turn:  Stack::poll(now) → alarms due → callbacks of ready sockets → wait for the host (not at all while busy)
#pragma once

#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "leat/stack.h"

namespace leat::cli {

// Who is told that a descriptor is ready. May unwatch and retire itself or others meanwhile.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_ready(uint32_t events) = 0;  // EPOLLIN, EPOLLOUT, …
};

class EventLoop {
 public:
  explicit EventLoop(Stack& stack);
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  static Time clock();               // CLOCK_MONOTONIC
  Time now() const { return now_; }  // of this turn
  Stack& stack() { return stack_; }

  // Sockets of the Stack. Level-triggered. A failure throws.
  void watch(int fd, uint32_t events, Watcher& w);
  void change(int fd, uint32_t events, Watcher& w);
  void unwatch(int fd, Watcher& w);  // before it is closed

  // Descriptors of the host. EPERM: always ready (a regular file).
  Result<void> watch_host(int fd, uint32_t events, Watcher& w);
  void change_host(int fd, uint32_t events, Watcher& w);
  void unwatch_host(int fd, Watcher& w);

  // Deletes it when nobody can be in the middle of it any more.
  void retire(std::unique_ptr<Watcher> w);

  using AlarmId = std::pair<Time, uint64_t>;
  AlarmId call_at(Time at, std::function<void()> f);
  void cancel(AlarmId id) { alarms_.erase(id); }

  // SIGINT and SIGTERM: instead of ending the loop.
  void on_signal(std::function<void(int)> f) { on_signal_ = std::move(f); }
  int signal_seen() const { return signal_; }

  // Until stop(); gives its code. 0 after a signal.
  int run();
  void stop(int code) {
    code_ = code;
    is_stopped_ = true;
  }
  // Turns until `done()`, at most for `at_most`.
  void run_until(const std::function<bool()>& done, Duration at_most);

 private:
  class Signals;
  void turn(Time at_most);
  bool dispatch_sockets();
  void fire_alarms();
  void wait_for_host(bool is_busy, Time until);
  void forget(Watcher& w);

  Stack& stack_;
  Time now_;
  int host_epoll_ = -1;
  int stack_epoll_ = -1;
  std::unique_ptr<Signals> signals_;
  std::function<void(int)> on_signal_;
  std::map<AlarmId, std::function<void()>> alarms_;
  uint64_t next_alarm_ = 0;
  std::vector<std::unique_ptr<Watcher>> retired_;
  std::vector<Watcher*> pending_;  // of the batch that is being dispatched; nullptr: unwatched meanwhile
  unsigned busy_turns_ = 0;
  int code_ = 0;
  int signal_ = 0;
  bool is_stopped_ = false;
};

}  // namespace leat::cli
