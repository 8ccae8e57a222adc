// See app.h.
#include "sim/differ/app.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace leat::differ {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Address make_address(bool is_v6, const char* v4, const char* v6, uint16_t port) {
  Address a;
  if (is_v6) {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    (void)inet_pton(AF_INET6, v6, &in.sin6_addr);
    std::memcpy(&a.storage, &in, a.length = sizeof in);
  } else {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    (void)inet_pton(AF_INET, v4, &in.sin_addr);
    std::memcpy(&a.storage, &in, a.length = sizeof in);
  }
  return a;
}

}  // namespace

int64_t App::open(const Plan& plan) {
  const int64_t made = calls_.socket(plan.is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (made < 0) return made;
  const int fd = static_cast<int>(made);
  const int on = 1;
  (void)calls_.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  int64_t r = calls_.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, plan.congestion.data(),
                                static_cast<socklen_t>(plan.congestion.size()));
  if (r >= 0) r = set_options(fd, plan.options_before);
  const Address own = make_address(plan.is_v6, "192.168.0.1", "fd3d:0a0b:17d6::1", 40000);
  if (r >= 0) r = calls_.bind(fd, own.get(), own.length);
  if (r < 0) return r;
  (plan.is_passive ? listener_ : fd_) = fd;
  if (plan.is_passive) return calls_.listen(fd, 10);
  const Address to = make_address(plan.is_v6, "192.0.2.1", "fd3d:fa7b:d17d::1", 8080);
  return calls_.connect(fd, to.get(), to.length);
}

int64_t App::accept() {
  const int64_t fd = calls_.accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
  if (fd >= 0) fd_ = static_cast<int>(fd);
  return fd >= 0 ? 0 : fd;
}

int64_t App::set_options(int fd, const std::vector<Op>& options) {
  for (const Op& op : options) {
    if (const int64_t r = set_option(fd, op); r < 0) return r;
  }
  return 0;
}

int64_t App::set_option(int fd, const Op& op) {
  if (op.level == IPPROTO_TCP && op.name == TCP_CONGESTION) {
    const char* name = op.value == 0 ? "reno" : "cubic";
    return calls_.setsockopt(fd, op.level, op.name, name, static_cast<socklen_t>(std::strlen(name)));
  }
  if (op.level == SOL_SOCKET && op.name == SO_LINGER) {
    const linger l{op.value >= 0 ? 1 : 0, op.value >= 0 ? static_cast<int>(op.value) : 0};
    return calls_.setsockopt(fd, op.level, op.name, &l, sizeof l);
  }
  const int v = static_cast<int>(op.value);
  return calls_.setsockopt(fd, op.level, op.name, &v, sizeof v);
}

int64_t App::write(const Op& op, int flags) {
  std::vector<uint8_t> zeros(static_cast<size_t>(op.value));
  iovec io{zeros.data(), zeros.size()};
  msghdr m{};
  m.msg_iov = &io;
  m.msg_iovlen = 1;
  return calls_.sendmsg(fd_, &m, flags);
}

// SO_MEMINFO behind TCP_INFO: what the queues are charged.
void App::add_memory(std::vector<uint8_t>& info) {
  uint32_t memory[9] = {};
  socklen_t n = sizeof memory;
  (void)calls_.getsockopt(fd_, SOL_SOCKET, SO_MEMINFO, memory, &n);
  const auto* bytes = reinterpret_cast<const uint8_t*>(memory);
  info.insert(info.end(), bytes, bytes + sizeof memory);
}

int64_t App::run(const Op& op, std::vector<uint8_t>& info) {
  info.clear();
  if (fd_ < 0) return -EBADF;
  switch (op.kind) {
    case Op::kWrite:
      return write(op, MSG_NOSIGNAL);
    case Op::kWriteMore:
      return write(op, MSG_MORE | MSG_NOSIGNAL);
    case Op::kRead: {
      std::vector<uint8_t> room(static_cast<size_t>(op.value));
      return calls_.read(fd_, room.data(), room.size());
    }
    case Op::kPeek: {
      std::vector<uint8_t> room(static_cast<size_t>(op.value));
      iovec io{room.data(), room.size()};
      msghdr m{};
      m.msg_iov = &io;
      m.msg_iovlen = 1;
      return calls_.recvmsg(fd_, &m, MSG_PEEK);
    }
    case Op::kShutdown:
      return calls_.shutdown(fd_, static_cast<int>(op.value));
    case Op::kClose: {
      const int64_t r = calls_.close(fd_);
      fd_ = -1;
      return r;
    }
    case Op::kOption:
      return set_option(fd_, op);
    case Op::kPoll: {
      pollfd p{fd_, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
      const int64_t r = calls_.poll(&p, 1, 0);
      return r < 0 ? r : p.revents;
    }
    case Op::kInfo: {
      info.resize(280);
      auto n = static_cast<socklen_t>(info.size());
      const int64_t r = calls_.getsockopt(fd_, IPPROTO_TCP, TCP_INFO, info.data(), &n);
      info.resize(r < 0 ? 0 : 280);
      if (r >= 0) add_memory(info);
      return r;
    }
  }
  return -EINVAL;
}

}  // namespace leat::differ
