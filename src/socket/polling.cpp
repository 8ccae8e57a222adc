// poll, select and epoll.
#include <fcntl.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <new>

#include "socket/sockets.h"

namespace leat::socket {
namespace {

constexpr uint32_t kSelectRead = EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR;
constexpr uint32_t kSelectWrite = EPOLLWRNORM | EPOLLWRBAND | EPOLLOUT | EPOLLERR;
constexpr uint32_t kSelectExcept = EPOLLPRI;
constexpr int kLongBits = 8 * sizeof(long);

bool has_bit(const fd_set* set, int fd) {
  const auto* words = reinterpret_cast<const unsigned long*>(set);
  return set != nullptr && (words[fd / kLongBits] >> fd % kLongBits & 1) != 0;
}

void clear_set(fd_set* set, int count) {
  if (set == nullptr) return;
  auto* words = reinterpret_cast<unsigned long*>(set);
  std::fill_n(words, (count + kLongBits - 1) / kLongBits, 0ul);
}

int set_bit(fd_set* set, int fd) {
  auto* words = reinterpret_cast<unsigned long*>(set);
  words[fd / kLongBits] |= 1ul << fd % kLongBits;
  return 1;
}

Time deadline_of(Time now, Duration timeout) {
  return timeout == Duration::infinite() ? Time::never() : now + std::max(timeout, Duration());
}

}  // namespace

// One blocked poll(): an entry for each file, one wake-up for all.
struct PollWatch {
  WaitEntry entry;
  File* file = nullptr;
};

Result<int> Sockets::poll(std::span<pollfd> fds, Duration timeout) {
  Call call(*this);
  if (fds.size() > fds_.limit()) return err(EINVAL);
  return poll_and_wait(fds, timeout);
}

Result<int> Sockets::poll_and_wait(std::span<pollfd> fds, Duration timeout) {
  const Time deadline = deadline_of(ns_.now(), timeout);
  Runner* runner = this->runner();
  Wakeup wakeup;
  std::vector<PollWatch> watches;
  Result<int> ready = 0;
  for (bool first = true;; first = false) {
    *ready = 0;
    for (pollfd& p : fds) {
      p.revents = 0;
      if (p.fd < 0) continue;
      FileRef f(*this, p.fd);
      const uint32_t wanted = static_cast<uint16_t>(p.events) | uint32_t{POLLERR | POLLHUP};
      p.revents = f ? static_cast<short>(poll_file(*f) & wanted) : static_cast<short>(POLLNVAL);
      if (p.revents != 0) ++*ready;
    }
    if (*ready != 0 || runner == nullptr || ns_.now() >= deadline) break;
    if (first) {  // watch, and look again
      watches.resize(fds.size());
      for (size_t i = 0; i < fds.size(); ++i) {
        PollWatch& w = watches[i];
        w.file = fds[i].fd < 0 ? nullptr : fds_.get(fds[i].fd);
        if (w.file == nullptr) continue;
        w.entry.events = static_cast<uint16_t>(fds[i].events) | uint32_t{EPOLLERR | EPOLLHUP};
        w.entry.wakeup = &wakeup;
        w.entry.runner = runner;
        w.file->add_watch(&w.entry);
      }
      continue;
    }
    ip_.flush();
    const WaitResult result = runner->wait(wakeup, deadline);
    wakeup.clear();
    ns_.set_now(runner->now());
    if (result == WaitResult::kInterrupted) {
      ready = err(EINTR);
      break;
    }
  }
  for (PollWatch& w : watches) {
    if (w.file == nullptr) continue;
    w.file->remove_watch(&w.entry);
    put_file(w.file);
  }
  return ready;
}

// By way of poll: the sets are read at any length, as Linux does.
Result<int> Sockets::select(int count, fd_set* read, fd_set* write, fd_set* except, Duration timeout) {
  Call call(*this);
  if (count < 0) return err(EINVAL);
  count = std::min(count, static_cast<int>(fds_.end()));
  std::vector<pollfd> fds;
  for (int fd = 0; fd < count; ++fd) {
    uint32_t events = 0;
    if (has_bit(read, fd)) events |= kSelectRead;
    if (has_bit(write, fd)) events |= kSelectWrite;
    if (has_bit(except, fd)) events |= kSelectExcept;
    if (events == 0) continue;
    if (!FileRef(*this, fd)) return err(EBADF);
    fds.push_back({fd, static_cast<short>(events), 0});
  }
  const auto done = poll_and_wait(fds, timeout);
  if (!done) return done;
  std::vector<pollfd> asked = fds;
  for (pollfd& p : asked)
    p.events = static_cast<short>((has_bit(read, p.fd) ? 1 : 0) | (has_bit(write, p.fd) ? 2 : 0) |
                                  (has_bit(except, p.fd) ? 4 : 0));
  clear_set(read, count);
  clear_set(write, count);
  clear_set(except, count);
  int bits = 0;
  for (const pollfd& p : asked) {
    const auto r = static_cast<uint16_t>(p.revents);
    if ((p.events & 1) != 0 && (r & kSelectRead) != 0) bits += set_bit(read, p.fd);
    if ((p.events & 2) != 0 && (r & kSelectWrite) != 0) bits += set_bit(write, p.fd);
    if ((p.events & 4) != 0 && (r & kSelectExcept) != 0) bits += set_bit(except, p.fd);
  }
  return bits;
}

Result<int> Sockets::epoll_create1(int flags) {
  Call call(*this);
  if ((flags & ~EPOLL_CLOEXEC) != 0) return err(EINVAL);
  const auto fd = fds_.reserve();
  if (!fd) return fd;
  auto poll = [](void* self, File& f) { return static_cast<Sockets*>(self)->poll_file(f); };
  std::unique_ptr<Epoll> epoll(new (std::nothrow) Epoll(poll, this));
  const Result<File*> file = epoll != nullptr ? make_file(FileKind::kEpoll, epoll.get(), 0) : err(ENOMEM);
  if (!file) {
    fds_.unreserve(*fd);
    return std::unexpected(file.error());
  }
  epoll.release();
  fds_.publish(*fd, *file, (flags & EPOLL_CLOEXEC) != 0);
  return *fd;
}

Result<void> Sockets::epoll_ctl(int epfd, int op, int fd, const epoll_event* event) {
  Call call(*this);
  const bool needs_event = op == EPOLL_CTL_ADD || op == EPOLL_CTL_MOD;
  if (needs_event && event == nullptr) return err(EFAULT);
  FileRef e(*this, epfd);
  FileRef f(*this, fd);
  if (!e || !f) return err(EBADF);
  if (&*e == &*f || e->kind != FileKind::kEpoll) return err(EINVAL);
  Guard guard(links_);
  switch (op) {
    case EPOLL_CTL_ADD:
      return e->epoll().add(*f, fd, *event);
    case EPOLL_CTL_MOD:
      return e->epoll().modify(*f, fd, *event);
    case EPOLL_CTL_DEL:
      return e->epoll().remove(*f, fd);
    default:
      return err(EINVAL);
  }
}

Result<int> Sockets::epoll_wait(int epfd, epoll_event* events, int max_events, Duration timeout) {
  Call call(*this);
  if (max_events <= 0 || max_events > INT_MAX / static_cast<int>(sizeof(epoll_event))) return err(EINVAL);
  FileRef e(*this, epfd);
  if (!e) return err(EBADF);
  if (e->kind != FileKind::kEpoll) return err(EINVAL);
  if (events == nullptr) return err(EFAULT);
  const std::span<epoll_event> out(events, static_cast<size_t>(max_events));
  const bool may_block = timeout > Duration();
  for (Wait wait(*this, *e, EPOLLIN | EPOLLEXCLUSIVE, std::max(timeout, Duration()), may_block);;) {
    const size_t n = e->epoll().collect(out);
    if (n != 0) return static_cast<int>(n);
    if (auto again = wait.wait(); !again) return again.error() == Errno{EAGAIN} ? Result<int>(0) : err(EINTR);
  }
}

}  // namespace leat::socket
