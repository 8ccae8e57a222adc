// A thread that runs a Stack (host code: clock, thread, futex, epoll, eventfd).
//
//   worker:  turn → nothing to do? → say until when it sleeps → look again → epoll_wait(links, eventfd, time-out)
//   caller:  enter (time, RCU online) → the call → leave: is the worker asleep beyond the next deadline? → kick
//
// The two looks cross: either the worker sees the caller's new deadline, or the caller sees that it sleeps.
// A blocked call waits on a futex, its Wakeup's word, and stands in a list so that stop() can interrupt it.
#include "leat/worker.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include "base/list.h"
#include "base/rcu.h"
#include "base/spinlock.h"
#include "stack/stack_impl.h"

namespace leat {
namespace {

// The calling thread's membership in RCU: registered on its first call, offline between calls.
struct ThreadState {
  RcuThread registration;
  std::optional<RcuOffline> offline;
};
thread_local ThreadState t_state;

Time monotonic_now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return Time::from_ns(t.tv_sec * 1'000'000'000 + t.tv_nsec);
}

Duration epoch_now() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return Time::from_ns(t.tv_sec * 1'000'000'000 + t.tv_nsec) - monotonic_now();
}

long futex(std::atomic<uint32_t>& word, int op, uint32_t value, const timespec* until) {
  return syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), op | FUTEX_PRIVATE_FLAG, value, until, nullptr,
                 FUTEX_BITSET_MATCH_ANY);
}

// What the call changed comes before the look at the worker; a fence would do, but ThreadSanitizer does not know it.
int64_t look_after(std::atomic<int64_t>& value) {
#ifdef __SANITIZE_THREAD__
  return value.fetch_add(0, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return value.load(std::memory_order_relaxed);
#endif
}

}  // namespace

struct Worker::Impl final : Runner {
  explicit Impl(Stack& s) : stack(s) {}

  Time enter() override {
    t_state.offline.reset();
    return monotonic_now();
  }
  void leave() override {
    kick_if_late();
    t_state.offline.emplace();
  }
  Time now() override { return monotonic_now(); }
  WaitResult wait(Wakeup& w, Time deadline) override;
  void wake(Wakeup& w) override {
    w.set();
    futex(w.word(), FUTEX_WAKE_BITSET, 1, nullptr);
  }

  Result<void> start();
  void stop();
  void kick();
  void kick_if_late();
  void run();
  void sleep();
  void sync_fds();
  void drain_kicks();
  void close_fds();
  static void* run_thread(void* self);

  struct Sleeper {
    ListNode node;
    Wakeup* wakeup = nullptr;
  };

  Stack& stack;
  int epoll_fd = -1;
  int kick_fd = -1;
  pthread_t thread{};
  bool is_started = false;
  std::atomic<bool> is_stopping{false};
  std::atomic<bool> was_kicked{false};
  std::atomic<int64_t> asleep_until{kAwake};  // ns
  SpinLock sleepers_lock;
  List<Sleeper, &Sleeper::node> sleepers;
  std::vector<int> watched;
  uint32_t seen_links = 0;

  static constexpr int64_t kAwake = INT64_MIN;
};

Worker::Worker(Stack& stack) : impl_(std::make_unique<Impl>(stack)) {}
Worker::~Worker() {
  stop();
}
Result<void> Worker::start() {
  return impl_->start();
}
void Worker::stop() {
  impl_->stop();
}
void Worker::kick() {
  impl_->kick();
}

Result<void> Worker::Impl::start() {
  if (is_started) return err(EALREADY);
  epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
  kick_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.fd = kick_fd;
  if (epoll_fd < 0 || kick_fd < 0 || ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, kick_fd, &e) != 0) {
    const int error = errno;
    close_fds();
    return err(error);
  }
  is_stopping = false;
  sync_fds();
  if (stack.impl().sockets.epoch() == Duration()) stack.impl().sockets.set_epoch(epoch_now());
  stack.set_runner(this);
  if (const int error = pthread_create(&thread, nullptr, run_thread, this); error != 0) {
    stack.set_runner(nullptr);
    close_fds();
    return err(error);
  }
  is_started = true;
  return {};
}

// No new call finds the Runner; those who sleep are woken until none is left; the rest has left after a grace period.
void Worker::Impl::stop() {
  if (!is_started) return;
  stack.set_runner(nullptr);
  is_stopping = true;
  for (bool is_empty = false; !is_empty;) {
    {
      Guard guard(sleepers_lock);
      is_empty = sleepers.is_empty();
      for (Sleeper& s : sleepers)
        wake(*s.wakeup);
    }
    if (!is_empty) sched_yield();
  }
  rcu_synchronize();
  kick();
  pthread_join(thread, nullptr);
  close_fds();
  is_started = false;
}

void Worker::Impl::close_fds() {
  if (epoll_fd >= 0) ::close(epoll_fd);
  if (kick_fd >= 0) ::close(kick_fd);
  epoll_fd = kick_fd = -1;
  watched.clear();
}

void Worker::Impl::kick() {
  was_kicked.store(true, std::memory_order_seq_cst);
  if (asleep_until.exchange(kAwake, std::memory_order_seq_cst) == kAwake) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(kick_fd, &one, sizeof one);
}

void Worker::Impl::kick_if_late() {
  const int64_t until = look_after(asleep_until);
  if (until != kAwake && stack.next_deadline().ns() < until) kick();
}

WaitResult Worker::Impl::wait(Wakeup& w, Time deadline) {
  kick_if_late();
  Sleeper me;
  me.wakeup = &w;
  {
    Guard guard(sleepers_lock);
    sleepers.push_back(&me);
  }
  const timespec until{deadline.ns() / 1'000'000'000, deadline.ns() % 1'000'000'000};
  WaitResult result = WaitResult::kWoken;
  {
    RcuOffline offline;
    while (result == WaitResult::kWoken && !w.is_set() && !is_stopping) {
      if (futex(w.word(), FUTEX_WAIT_BITSET, 0, deadline == Time::never() ? nullptr : &until) == 0) continue;
      if (errno == ETIMEDOUT) result = WaitResult::kTimeout;
      if (errno == EINTR) result = WaitResult::kInterrupted;
    }
  }
  if (is_stopping) result = WaitResult::kInterrupted;
  Guard guard(sleepers_lock);  // after going online: stop() waits for one or the other
  me.node.unlink();
  return result;
}

void* Worker::Impl::run_thread(void* self) {
  static_cast<Impl*>(self)->run();
  return nullptr;
}

void Worker::Impl::run() {
  RcuThread registration;
  while (!is_stopping) {
    was_kicked = false;
    const bool has_more = stack.poll(monotonic_now());
    rcu_quiescent();
    if (stack.impl().link_generation.load(std::memory_order_acquire) != seen_links) sync_fds();
    if (!has_more) sleep();
  }
}

void Worker::Impl::sleep() {
  const Time deadline = stack.next_deadline();
  asleep_until.exchange(deadline.ns(), std::memory_order_seq_cst);
  const Time again = stack.next_deadline();
  const Time now = monotonic_now();
  const bool may_sleep = again >= deadline && deadline > now && !was_kicked && !is_stopping;
  epoll_event events[16];
  int n = 0;
  {
    RcuOffline offline;
    timespec wait{};
    if (may_sleep && deadline != Time::never()) {
      const Duration d = std::min(deadline - now, Duration::from_s(3600));
      wait = {d.s(), d.ns() % 1'000'000'000};
    }
    n = ::epoll_pwait2(epoll_fd, events, 16, may_sleep && deadline == Time::never() ? nullptr : &wait, nullptr);
  }
  asleep_until.store(kAwake, std::memory_order_seq_cst);
  bool has_broken = false;
  for (int i = 0; i < n; ++i) {
    if (events[i].data.fd == kick_fd) drain_kicks();
    has_broken |= (events[i].events & (EPOLLERR | EPOLLHUP)) != 0;
  }
  if (has_broken) sync_fds();
}

void Worker::Impl::drain_kicks() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(kick_fd, &count, sizeof count);
}

// Links come, and devices go away: a dead one gives no descriptor any more.
void Worker::Impl::sync_fds() {
  seen_links = stack.impl().link_generation.load(std::memory_order_acquire);
  const std::vector<int> now = stack.poll_fds();
  for (int fd : watched) {
    if (std::find(now.begin(), now.end(), fd) == now.end()) ::epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, nullptr);
  }
  for (int fd : now) {
    if (std::find(watched.begin(), watched.end(), fd) != watched.end()) continue;
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.fd = fd;
    ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
  }
  watched = now;
}

}  // namespace leat
