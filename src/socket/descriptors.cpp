// close, dup, fcntl, ioctl: what concerns the descriptor, not the protocol.
#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/sockios.h>

#include <algorithm>
#include <new>

#include "base/rcu.h"
#include "socket/sockets.h"

namespace leat::socket {

// The descriptor goes at once; the last one of a file may have to wait for SO_LINGER.
Result<void> Sockets::close(int fd) {
  Call call(*this);
  File* f = fds_.remove(fd);
  if (f == nullptr) return err(EBADF);
  if (f->kind == FileKind::kTcp && f->refs.load() == 1) wait_for_linger(*f);
  put_file(f);
  return {};
}

// SO_LINGER with a time: the FIN is sent now and the call waits until everything is acknowledged, or time is up.
// With a time of zero, tcp's close resets.
void Sockets::wait_for_linger(File& f) {
  const int32_t seconds = with_options(f, [](const inet::SockOptions& o) { return o.linger_on ? o.linger_s : 0; });
  if (seconds <= 0) return;
  if (tcp_.ioctl(f.tcp(), SIOCINQ).value_or(0) != 0) return;  // there is unread data: the close will be a reset
  if (!tcp_.shutdown(f.tcp(), SHUT_WR)) return;
  constexpr auto kLook = Duration::from_ms(10);  // a FIN's acknowledgement is no event that the file is told
  for (Wait wait(*this, f, EPOLLOUT | EPOLLHUP, Duration::from_s(seconds));;) {
    const inet::State state = f.sock().get_state();
    const bool is_closing =
        state == inet::State::kFinWait1 || state == inet::State::kClosing || state == inet::State::kLastAck;
    if (!is_closing && !tcp_.has_unsent_data(f.tcp())) return;
    if (!wait.wait_at_most(kLook)) return;
  }
}

void Sockets::put_file(File* f) {
  if (f->put()) destroy_file(f);
}

// Items that watch it go first; after that nobody but the transport knows the file.
void Sockets::destroy_file(File* f) {
  if (f->is_watched()) {
    Guard guard(links_);
    while (EpollItem* item = f->first_item())
      item->epoll().remove_item(*item);
  }
  switch (f->kind) {
    case FileKind::kTcp:
      tcp_.close(f->tcp());
      break;
    case FileKind::kUdp:
      udp_.close(f->udp());
      break;
    case FileKind::kEpoll: {
      {
        Guard guard(links_);
        f->epoll().remove_all();
      }
      delete &f->epoll();
      break;
    }
  }
  files_.destroy(f);
}

Result<void> Sockets::set_file_limit(uint32_t soft, uint32_t hard) {
  if (soft > hard) return err(EINVAL);
  if (hard > ns_.sysctl.nr_open.as<uint32_t>()) return err(EPERM);
  if (hard > hard_limit_.load(std::memory_order_relaxed) && !is_privileged()) return err(EPERM);
  hard_limit_.store(hard, std::memory_order_relaxed);
  soft_limit_.store(soft, std::memory_order_relaxed);
  fds_.set_limit(soft);
  return {};
}

std::pair<uint32_t, uint32_t> Sockets::file_limit() const {
  return {soft_limit_.load(std::memory_order_relaxed), hard_limit_.load(std::memory_order_relaxed)};
}

Result<int> Sockets::dup(int fd) {
  return fcntl(fd, F_DUPFD, 0);
}

Result<int> Sockets::dup2(int from, int to) {
  Call call(*this);
  if (from == to) {
    FileRef f(*this, from);
    return f ? Result<int>(to) : err(EBADF);
  }
  return dup_to(from, to, false);
}

Result<int> Sockets::dup3(int from, int to, int flags) {
  Call call(*this);
  if ((flags & ~O_CLOEXEC) != 0 || from == to) return err(EINVAL);
  return dup_to(from, to, (flags & O_CLOEXEC) != 0);
}

Result<int> Sockets::dup_to(int from, int to, bool on_exec) {
  FileRef f(*this, from);
  if (!f) return err(EBADF);
  File* old = nullptr;
  f->get();
  if (auto ok = fds_.replace(to, &*f, on_exec, &old); !ok) {
    put_file(&*f);
    return std::unexpected(ok.error());
  }
  if (old != nullptr) put_file(old);
  return to;
}

Result<int> Sockets::fcntl(int fd, int command, long argument) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  switch (command) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC: {
      if (argument < 0 || argument >= static_cast<long>(fds_.limit())) return err(EINVAL);
      const auto fresh = fds_.reserve(static_cast<uint32_t>(argument));
      if (!fresh) return fresh;
      f->get();
      fds_.publish(*fresh, &*f, command == F_DUPFD_CLOEXEC);
      return *fresh;
    }
    case F_GETFD: {
      const auto on = fds_.close_on_exec(fd);
      return on ? Result<int>(*on ? FD_CLOEXEC : 0) : std::unexpected(on.error());
    }
    case F_SETFD:
      if (auto ok = fds_.set_close_on_exec(fd, (argument & FD_CLOEXEC) != 0); !ok) return std::unexpected(ok.error());
      return 0;
    case F_GETFL:
      return O_RDWR | ((f->flags & kNonBlocking) != 0 ? O_NONBLOCK : 0) | ((f->flags & kAppend) != 0 ? O_APPEND : 0);
    case F_SETFL: {
      if ((argument & (O_ASYNC | O_DIRECT)) != 0) return err(EINVAL);  // there are no signals here
      const auto flags = static_cast<uint8_t>(((argument & O_NONBLOCK) != 0 ? kNonBlocking : 0) |
                                              ((argument & O_APPEND) != 0 ? kAppend : 0));
      f->flags.store(flags);
      return 0;
    }
    default:
      return err(EINVAL);
  }
}

Result<int> Sockets::ioctl(int fd, unsigned long request, void* argument) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  switch (request) {
    case FIOCLEX:
    case FIONCLEX:
      if (auto ok = fds_.set_close_on_exec(fd, request == FIOCLEX); !ok) return std::unexpected(ok.error());
      return 0;
    case FIONBIO:
      if (argument == nullptr) return err(EFAULT);
      if (*static_cast<const int*>(argument) != 0) {
        f->flags.fetch_or(kNonBlocking);
      } else {
        f->flags.fetch_and(static_cast<uint8_t>(~kNonBlocking));
      }
      return 0;
    default:
      break;
  }
  if (!f->is_socket()) return err(ENOTTY);
  if ((request & 0xff00) == 0x8900 && request != SIOCATMARK) {
    if (auto done = interface_ioctl(request, argument); done || done.error() != Errno{ENOTTY}) return done;
  }
  const auto value = f->kind == FileKind::kTcp ? tcp_.ioctl(f->tcp(), request) : udp_.ioctl(f->udp(), request);
  if (!value) return value;
  if (argument == nullptr) return err(EFAULT);
  *static_cast<int*>(argument) = *value;
  return 0;
}

// Who reads a slot of the table without a lock may stand on a dead file: they are waited for.
bool Sockets::give_memory_back() {
  return files_.trim_surplus(&rcu_synchronize);
}

// For who looks at memory: walks all descriptors.
size_t Sockets::sum_of_polls(size_t (Epoll::*what)() const) {
  std::vector<const Epoll*> seen;  // there are few, and dup() makes two of one
  size_t sum = 0;
  for (uint32_t fd = 0; fd < fds_.end(); ++fd) {
    FileRef f(*this, static_cast<int>(fd));
    if (!f || f->kind != FileKind::kEpoll || std::ranges::find(seen, &f->epoll()) != seen.end()) continue;
    seen.push_back(&f->epoll());
    sum += (f->epoll().*what)();
  }
  return sum;
}

}  // namespace leat::socket
