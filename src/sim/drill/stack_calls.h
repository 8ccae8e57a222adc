// A Stack's calls as Calls.
#pragma once

#include <type_traits>

#include "leat/stack.h"
#include "sim/drill/target.h"

namespace leat::drill {

class StackCalls final : public Calls {
 public:
  explicit StackCalls(Stack& s) : s_(s) {}
  int64_t socket(int d, int t, int p) override { return plain(s_.socket(d, t, p)); }
  int64_t bind(int fd, const sockaddr* a, socklen_t n) override { return plain(s_.bind(fd, a, n)); }
  int64_t listen(int fd, int backlog) override { return plain(s_.listen(fd, backlog)); }
  int64_t accept4(int fd, sockaddr* a, socklen_t* n, int f) override { return plain(s_.accept4(fd, a, n, f)); }
  int64_t connect(int fd, const sockaddr* a, socklen_t n) override { return plain(s_.connect(fd, a, n)); }
  int64_t recvmsg(int fd, msghdr* m, int f) override { return plain(s_.recvmsg(fd, m, f)); }
  int64_t sendmsg(int fd, const msghdr* m, int f) override { return plain(s_.sendmsg(fd, m, f)); }
  int64_t read(int fd, void* b, size_t n) override { return plain(s_.read(fd, b, n)); }
  int64_t write(int fd, const void* b, size_t n) override { return plain(s_.write(fd, b, n)); }
  int64_t shutdown(int fd, int how) override { return plain(s_.shutdown(fd, how)); }
  int64_t close(int fd) override { return plain(s_.close(fd)); }
  int64_t setsockopt(int fd, int l, int o, const void* v, socklen_t n) override {
    return plain(s_.setsockopt(fd, l, o, v, n));
  }
  int64_t getsockopt(int fd, int l, int o, void* v, socklen_t* n) override {
    return plain(s_.getsockopt(fd, l, o, v, n));
  }
  int64_t getsockname(int fd, sockaddr* a, socklen_t* n) override { return plain(s_.getsockname(fd, a, n)); }
  int64_t getpeername(int fd, sockaddr* a, socklen_t* n) override { return plain(s_.getpeername(fd, a, n)); }
  int64_t fcntl(int fd, int c, long a) override { return plain(s_.fcntl(fd, c, a)); }
  int64_t ioctl(int fd, unsigned long r, void* a) override { return plain(s_.ioctl(fd, r, a)); }
  int64_t poll(void* p, unsigned n, int t) override { return plain(s_.poll(static_cast<pollfd*>(p), n, t)); }
  int64_t epoll_create1(int f) override { return plain(s_.epoll_create1(f)); }
  int64_t epoll_ctl(int e, int op, int fd, void* v) override {
    return plain(s_.epoll_ctl(e, op, fd, static_cast<epoll_event*>(v)));
  }
  int64_t epoll_wait(int e, void* v, int n, int t) override {
    return plain(s_.epoll_wait(e, static_cast<epoll_event*>(v), n, t));
  }

 private:
  template <class T>
  static int64_t plain(const Result<T>& r) {
    if (!r) return -to_int(r.error());
    if constexpr (std::is_same_v<T, void>) {
      return 0;
    } else {
      return static_cast<int64_t>(*r);
    }
  }

  Stack& s_;
};

}  // namespace leat::drill
