// See kernel_calls.h.
#include "sim/kernel/kernel_calls.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace leat::drill {
namespace {

int64_t answer(int64_t result) {
  return result < 0 ? -errno : result;
}

}  // namespace

int64_t KernelCalls::made(int fd) {
  if (fd < 0) return -errno;
  std::lock_guard lock(mutex_);
  open_.insert(fd);
  return fd;
}

void KernelCalls::close_all() {
  std::lock_guard lock(mutex_);
  for (int fd : open_)
    ::close(fd);
  open_.clear();
}

int64_t KernelCalls::socket(int domain, int type, int protocol) {
  const int64_t fd = made(::socket(domain, type | SOCK_CLOEXEC, protocol));
  // A namespace may not choose the algorithm by sysctl when the host's default is another.
  if (fd >= 0 && (type & 15) == SOCK_STREAM && protocol != IPPROTO_MPTCP && !congestion_.empty())
    (void)::setsockopt(static_cast<int>(fd), IPPROTO_TCP, TCP_CONGESTION, congestion_.data(),
                       static_cast<socklen_t>(congestion_.size()));
  return fd;
}
int64_t KernelCalls::bind(int fd, const sockaddr* address, socklen_t length) {
  return answer(::bind(fd, address, length));
}
int64_t KernelCalls::listen(int fd, int backlog) {
  return answer(::listen(fd, backlog));
}
int64_t KernelCalls::accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  return made(::accept4(fd, address, length, flags));
}
int64_t KernelCalls::connect(int fd, const sockaddr* address, socklen_t length) {
  return answer(::connect(fd, address, length));
}
int64_t KernelCalls::recvmsg(int fd, msghdr* message, int flags) {
  return answer(::recvmsg(fd, message, flags));
}
int64_t KernelCalls::sendmsg(int fd, const msghdr* message, int flags) {
  return answer(::sendmsg(fd, message, flags | MSG_NOSIGNAL));
}
int64_t KernelCalls::read(int fd, void* buffer, size_t size) {
  return answer(::read(fd, buffer, size));
}
// By send, because there is no SIGPIPE here; what is no socket is written to.
int64_t KernelCalls::write(int fd, const void* buffer, size_t size) {
  const int64_t r = answer(::send(fd, buffer, size, MSG_NOSIGNAL));
  return r == -ENOTSOCK ? answer(::write(fd, buffer, size)) : r;
}
int64_t KernelCalls::shutdown(int fd, int how) {
  return answer(::shutdown(fd, how));
}
int64_t KernelCalls::close(int fd) {
  {
    std::lock_guard lock(mutex_);
    if (open_.erase(fd) == 0) return -EBADF;  // never one of the process's own
  }
  return answer(::close(fd));
}
int64_t KernelCalls::setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  return answer(::setsockopt(fd, level, name, value, length));
}
int64_t KernelCalls::getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  return answer(::getsockopt(fd, level, name, value, length));
}
int64_t KernelCalls::getsockname(int fd, sockaddr* address, socklen_t* length) {
  return answer(::getsockname(fd, address, length));
}
int64_t KernelCalls::getpeername(int fd, sockaddr* address, socklen_t* length) {
  return answer(::getpeername(fd, address, length));
}
int64_t KernelCalls::fcntl(int fd, int command, long argument) {
  const int64_t r = answer(::fcntl(fd, command, argument));
  return command == F_DUPFD || command == F_DUPFD_CLOEXEC ? made(static_cast<int>(r)) : r;
}
int64_t KernelCalls::ioctl(int fd, unsigned long request, void* argument) {
  return answer(::ioctl(fd, request, argument));
}
int64_t KernelCalls::poll(void* pollfds, unsigned count, int timeout_ms) {
  return answer(::poll(static_cast<pollfd*>(pollfds), count, timeout_ms));
}
int64_t KernelCalls::epoll_create1(int flags) {
  return made(::epoll_create1(flags | EPOLL_CLOEXEC));
}
int64_t KernelCalls::epoll_ctl(int epfd, int op, int fd, void* event) {
  return answer(::epoll_ctl(epfd, op, fd, static_cast<epoll_event*>(event)));
}
int64_t KernelCalls::epoll_wait(int epfd, void* events, int max_events, int timeout_ms) {
  return answer(::epoll_wait(epfd, static_cast<epoll_event*>(events), max_events, timeout_ms));
}

}  // namespace leat::drill
