// Sockets as objects, over the descriptors of a Stack: Socket closes itself, Poller calls back.
//
//   leat::Socket listener = leat::Socket::listen(*stack, "0.0.0.0", 80).value();
//   leat::Poller poller(*stack);
//   poller.add(listener, EPOLLIN, [&](uint32_t) { … listener.accept() … });
//   for (;;) { stack->poll(now()); poller.dispatch(); … }
//
// Everything here is written with the public functions of Stack; mix both as you like (Socket::fd()).
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "leat/errno.h"
#include "leat/stack.h"

namespace leat {

// An IPv4 or IPv6 address and a port, as a sockaddr.
class Endpoint {
 public:
  Endpoint();  // AF_UNSPEC
  // "192.0.2.1" or "fd00::1" or "fe80::1%2" (a scope as a number). EINVAL.
  static Result<Endpoint> parse(std::string_view address, uint16_t port);
  static Endpoint from(const sockaddr* address, socklen_t length);

  int family() const { return address().sa_family; }
  uint16_t port() const;          // host order
  std::string host() const;       // "192.0.2.1", "fd00::1"
  std::string to_string() const;  // "192.0.2.1:80", "[fd00::1]:80"
  const sockaddr& address() const { return *reinterpret_cast<const sockaddr*>(&storage_); }
  const sockaddr* data() const { return &address(); }
  socklen_t length() const;

 private:
  sockaddr_storage storage_{};
};

class Socket {
 public:
  Socket() = default;
  Socket(Stack& stack, int fd) : stack_(&stack), fd_(fd) {}  // takes the descriptor over
  ~Socket() { close(); }
  Socket(Socket&& o) noexcept : stack_(o.stack_), fd_(o.release()) {}
  Socket& operator=(Socket&& o) noexcept {
    if (this != &o) {
      close();
      stack_ = o.stack_;
      fd_ = o.release();
    }
    return *this;
  }

  // type: SOCK_STREAM or SOCK_DGRAM, | SOCK_NONBLOCK.
  static Result<Socket> create(Stack& stack, int domain, int type, int protocol = 0);
  // A TCP listener with SO_REUSEADDR. host "::" takes both families.
  static Result<Socket> listen(Stack& stack, std::string_view host, uint16_t port, int backlog = 4096, int flags = 0);
  // A TCP connection; blocks if the Stack has a Runner and flags has no SOCK_NONBLOCK. Without: the connection may be
  // under way, EPOLLOUT tells its end and error() its result.
  static Result<Socket> connect(Stack& stack, std::string_view host, uint16_t port, int flags = 0);
  // A bound UDP socket.
  static Result<Socket> bind_udp(Stack& stack, std::string_view host, uint16_t port, int flags = 0);

  bool is_open() const { return fd_ >= 0; }
  explicit operator bool() const { return is_open(); }
  int fd() const { return fd_; }
  Stack& stack() const { return *stack_; }
  int release() { return std::exchange(fd_, -1); }
  Result<void> close();

  Result<Socket> accept(int flags = 0, Endpoint* peer = nullptr);
  Result<size_t> read(std::span<uint8_t> into) { return stack_->recv(fd_, into.data(), into.size(), 0); }  // 0: the end
  Result<size_t> write(std::span<const uint8_t> bytes) { return stack_->send(fd_, bytes.data(), bytes.size(), 0); }
  Result<size_t> write(std::string_view bytes) { return stack_->send(fd_, bytes.data(), bytes.size(), 0); }
  Result<size_t> receive_from(std::span<uint8_t> into, Endpoint& from, int flags = 0);
  Result<size_t> send_to(std::span<const uint8_t> bytes, const Endpoint& to, int flags = 0);
  Result<void> shutdown(int how) { return stack_->shutdown(fd_, how); }
  Result<void> connect(const Endpoint& to) { return stack_->connect(fd_, to.data(), to.length()); }
  Result<void> bind(const Endpoint& to) { return stack_->bind(fd_, to.data(), to.length()); }
  Result<Endpoint> local() const;
  Result<Endpoint> peer() const;
  int error() const;  // SO_ERROR: read and cleared; 0: none

  Result<void> set_nonblocking(bool on);
  Result<void> set_option(int level, int name, int value);
  Result<int> get_option(int level, int name) const;
  template <class T>
  Result<void> set_option_value(int level, int name, const T& value) {
    return stack_->setsockopt(fd_, level, name, &value, sizeof value);
  }

 private:
  Stack* stack_ = nullptr;
  int fd_ = -1;
};

// An epoll descriptor with a callback per socket. Used by one thread at a time. A callback may add, change and remove
// any socket, itself included, and may close them; a removed one is not called any more.
class Poller {
 public:
  using Callback = std::function<void(uint32_t events)>;  // EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR | …

  explicit Poller(Stack& stack);
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  Result<void> add(const Socket& s, uint32_t events, Callback callback) {
    return add(s.fd(), events, std::move(callback));
  }
  Result<void> add(int fd, uint32_t events, Callback callback);  // EEXIST
  Result<void> change(int fd, uint32_t events);
  void remove(int fd);  // before the descriptor is closed
  // Calls back for what is ready; waits for it as long as `timeout` if the Stack has a Runner. Gives the number of
  // calls.
  Result<int> dispatch(Duration timeout = Duration());
  size_t size() const { return callbacks_.size(); }

 private:
  struct Entry {
    uint32_t id = 0;
    std::shared_ptr<Callback> callback;
  };
  Stack& stack_;
  int epfd_ = -1;
  uint32_t next_id_ = 1;
  std::unordered_map<int, Entry> callbacks_;
};

}  // namespace leat
