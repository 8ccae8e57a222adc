// Calls under way, and waiting in them.
#include <sys/epoll.h>

#include <algorithm>

#include "socket/sockets.h"

namespace leat::socket {

Sockets::Call::Call(Sockets& s) : sockets_(s), runner_(s.runner()) {
  if (runner_ != nullptr) s.ns_.set_now(runner_->enter());
}

Sockets::Call::~Call() {
  sockets_.ip_.flush();
  if (runner_ != nullptr) runner_->leave();
}

// The comparison writes, so that it is ordered with the push of a deliverer who did not get the lock (SockLock).
void Sockets::process_missed(File& f) {
  if (f.kind != FileKind::kTcp) return;
  Packet* none = nullptr;
  std::atomic<Packet*>& backlog = f.sock().backlog;
  if (is_lone() ? backlog.load(std::memory_order_relaxed) == nullptr : backlog.compare_exchange_strong(none, nullptr))
    return;
  tcp_.poll_events(f.tcp());
}

Wait::Wait(Sockets& s, File& f, uint32_t events, Duration timeout, bool may_block)
    : sockets_(s), file_(f), runner_(s.runner()), timeout_(timeout), may_block_(may_block && runner_ != nullptr) {
  entry_.events = events | EPOLLERR | EPOLLHUP;
}

Wait::Wait(Sockets& s, File& f, uint32_t events, Limit limit, bool may_block)
    : Wait(s, f, events, Duration::infinite(), may_block) {
  limit_ = limit;
}

// Who leaves with a wake-up that it did not need passes it on: what it told of is still there for the next one.
Wait::~Wait() {
  if (!is_watching_) return;
  file_.remove_watch(&entry_);
  if ((entry_.events & EPOLLEXCLUSIVE) != 0 && wakeup_.is_set()) file_.notify(EPOLLIN | EPOLLRDNORM);
}

void Wait::begin() {
  if (limit_) {
    timeout_ = sockets_.with_options(file_, [&](const inet::SockOptions& o) {
      return *limit_ == Limit::kSendTimeout ? o.send_timeout : o.receive_timeout;
    });
  }
  deadline_ = timeout_ == Duration::infinite() ? Time::never() : sockets_.ns_.now() + timeout_;
  entry_.wakeup = &wakeup_;
  entry_.runner = runner_;
  is_watching_ = true;
  file_.add_watch(&entry_);
}

// The first time it only begins to watch: what happened since the attempt would be missed otherwise.
Result<void> Wait::wait_at_most(Duration interval) {
  if (!may_block_) return err(EAGAIN);
  if (!is_watching_) {
    begin();
    return {};
  }
  if (sockets_.ns_.now() >= deadline_) return err(EAGAIN);
  sockets_.ip_.flush();
  const Time until = interval == Duration::infinite() ? deadline_ : std::min(deadline_, sockets_.ns_.now() + interval);
  const WaitResult result = runner_->wait(wakeup_, until);
  wakeup_.clear();
  sockets_.ns_.set_now(runner_->now());
  if (result == WaitResult::kInterrupted) return err(EINTR);
  return {};
}

}  // namespace leat::socket
