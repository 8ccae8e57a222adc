// The socket calls of Stack: each is Sockets' of the same name, after the forms of reading and writing came down to
// sendmsg and recvmsg, and time-outs to a Duration.
#include <sys/time.h>

#include "leat/stack.h"
#include "stack/stack_impl.h"

namespace leat {
namespace {

Duration from_ms(int timeout_ms) {
  return timeout_ms < 0 ? Duration::infinite() : Duration::from_ms(timeout_ms);
}

msghdr message_of(iovec* iov, size_t count, const void* address = nullptr, socklen_t length = 0) {
  msghdr m{};
  m.msg_iov = iov;
  m.msg_iovlen = count;
  m.msg_name = const_cast<void*>(address);
  m.msg_namelen = length;
  return m;
}

}  // namespace

Result<int> Stack::socket(int domain, int type, int protocol) {
  return impl_->sockets.socket(domain, type, protocol);
}
Result<void> Stack::bind(int fd, const sockaddr* address, socklen_t length) {
  return impl_->sockets.bind(fd, address, length);
}
Result<void> Stack::listen(int fd, int backlog) {
  return impl_->sockets.listen(fd, backlog);
}
Result<int> Stack::accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
  return impl_->sockets.accept4(fd, address, length, flags);
}
Result<void> Stack::connect(int fd, const sockaddr* address, socklen_t length) {
  return impl_->sockets.connect(fd, address, length);
}
Result<void> Stack::shutdown(int fd, int how) {
  return impl_->sockets.shutdown(fd, how);
}
Result<void> Stack::getsockname(int fd, sockaddr* address, socklen_t* length) {
  return impl_->sockets.getsockname(fd, address, length);
}
Result<void> Stack::getpeername(int fd, sockaddr* address, socklen_t* length) {
  return impl_->sockets.getpeername(fd, address, length);
}
Result<void> Stack::setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  return impl_->sockets.setsockopt(fd, level, name, value, length);
}
Result<void> Stack::getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  return impl_->sockets.getsockopt(fd, level, name, value, length);
}

Result<size_t> Stack::read(int fd, void* buffer, size_t size) {
  return recv(fd, buffer, size, 0);
}
Result<size_t> Stack::write(int fd, const void* buffer, size_t size) {
  return send(fd, buffer, size, 0);
}
Result<size_t> Stack::readv(int fd, const iovec* iov, int count) {
  if (count < 0 || count > 1024) return err(EINVAL);
  msghdr m = message_of(const_cast<iovec*>(iov), static_cast<size_t>(count));
  return impl_->sockets.recvmsg(fd, m, 0);
}
Result<size_t> Stack::writev(int fd, const iovec* iov, int count) {
  if (count < 0 || count > 1024) return err(EINVAL);
  return impl_->sockets.sendmsg(fd, message_of(const_cast<iovec*>(iov), static_cast<size_t>(count)), 0);
}
Result<size_t> Stack::recv(int fd, void* buffer, size_t size, int flags) {
  return recvfrom(fd, buffer, size, flags, nullptr, nullptr);
}
Result<size_t> Stack::send(int fd, const void* buffer, size_t size, int flags) {
  return sendto(fd, buffer, size, flags, nullptr, 0);
}

Result<size_t> Stack::recvfrom(int fd, void* buffer, size_t size, int flags, sockaddr* address, socklen_t* length) {
  if (address != nullptr && length == nullptr) return err(EFAULT);
  iovec v{buffer, size};
  msghdr m = message_of(&v, 1, address, address == nullptr ? 0 : *length);
  const auto got = impl_->sockets.recvmsg(fd, m, flags);
  if (got && address != nullptr) *length = m.msg_namelen;
  return got;
}

Result<size_t> Stack::sendto(int fd, const void* buffer, size_t size, int flags, const sockaddr* address,
                             socklen_t length) {
  iovec v{const_cast<void*>(buffer), size};
  return impl_->sockets.sendmsg(fd, message_of(&v, 1, address, length), flags);
}

Result<size_t> Stack::recvmsg(int fd, msghdr* message, int flags) {
  return message == nullptr ? err(EFAULT) : impl_->sockets.recvmsg(fd, *message, flags);
}
Result<size_t> Stack::sendmsg(int fd, const msghdr* message, int flags) {
  return message == nullptr ? err(EFAULT) : impl_->sockets.sendmsg(fd, *message, flags);
}

Result<void> Stack::close(int fd) {
  return impl_->sockets.close(fd);
}
Result<int> Stack::dup(int fd) {
  return impl_->sockets.dup(fd);
}
Result<int> Stack::dup2(int from, int to) {
  return impl_->sockets.dup2(from, to);
}
Result<int> Stack::dup3(int from, int to, int flags) {
  return impl_->sockets.dup3(from, to, flags);
}
Result<int> Stack::fcntl(int fd, int command, long argument) {
  return impl_->sockets.fcntl(fd, command, argument);
}
Result<int> Stack::ioctl(int fd, unsigned long request, void* argument) {
  return impl_->sockets.ioctl(fd, request, argument);
}

Result<int> Stack::poll(pollfd* fds, nfds_t count, int timeout_ms) {
  return ppoll(fds, count, from_ms(timeout_ms));
}
Result<int> Stack::ppoll(pollfd* fds, nfds_t count, Duration timeout) {
  if (fds == nullptr && count != 0) return err(EFAULT);
  return impl_->sockets.poll({fds, count}, timeout);
}

// Like Linux, and unlike POSIX, it leaves in `timeout` what is left of it.
Result<int> Stack::select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout) {
  Duration wait = Duration::infinite();
  if (timeout != nullptr) {
    if (timeout->tv_sec < 0 || timeout->tv_usec < 0) return err(EINVAL);
    wait = Duration::from_s(timeout->tv_sec) + Duration::from_us(timeout->tv_usec);
  }
  const Time begun = impl_->ns.now();
  const auto ready = impl_->sockets.select(count, read, write, except, wait);
  if (timeout != nullptr) {
    const Duration spent = impl_->ns.now() - begun;
    const Duration left = spent < wait ? wait - spent : Duration();
    *timeout = {left.s(), left.us() % 1'000'000};
  }
  return ready;
}

Result<int> Stack::epoll_create1(int flags) {
  return impl_->sockets.epoll_create1(flags);
}
Result<void> Stack::epoll_ctl(int epfd, int op, int fd, epoll_event* event) {
  return impl_->sockets.epoll_ctl(epfd, op, fd, event);
}
Result<int> Stack::epoll_wait(int epfd, epoll_event* events, int max_events, int timeout_ms) {
  return impl_->sockets.epoll_wait(epfd, events, max_events, from_ms(timeout_ms));
}
Result<int> Stack::epoll_pwait2(int epfd, epoll_event* events, int max_events, Duration timeout) {
  return impl_->sockets.epoll_wait(epfd, events, max_events, timeout);
}

}  // namespace leat
