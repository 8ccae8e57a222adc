// A Stack's calls as drill::Calls, without blocking and only those that App uses.
#pragma once

#include "leat/stack.h"
#include "sim/drill/target.h"

namespace leat::differ {

class StackCalls final : public drill::Calls {
 public:
  explicit StackCalls(Stack& stack) : s_(stack) {}
  int64_t socket(int d, int t, int p) override { return answer(s_.socket(d, t, p)); }
  int64_t bind(int fd, const sockaddr* a, socklen_t n) override { return answer(s_.bind(fd, a, n)); }
  int64_t listen(int fd, int backlog) override { return answer(s_.listen(fd, backlog)); }
  int64_t accept4(int fd, sockaddr* a, socklen_t* n, int flags) override { return answer(s_.accept4(fd, a, n, flags)); }
  int64_t connect(int fd, const sockaddr* a, socklen_t n) override { return answer(s_.connect(fd, a, n)); }
  int64_t recvmsg(int fd, msghdr* m, int flags) override { return answer(s_.recvmsg(fd, m, flags)); }
  int64_t sendmsg(int fd, const msghdr* m, int flags) override { return answer(s_.sendmsg(fd, m, flags)); }
  int64_t read(int fd, void* b, size_t n) override { return answer(s_.read(fd, b, n)); }
  int64_t write(int fd, const void* b, size_t n) override { return answer(s_.write(fd, b, n)); }
  int64_t shutdown(int fd, int how) override { return answer(s_.shutdown(fd, how)); }
  int64_t close(int fd) override { return answer(s_.close(fd)); }
  int64_t setsockopt(int fd, int level, int name, const void* v, socklen_t n) override {
    return answer(s_.setsockopt(fd, level, name, v, n));
  }
  int64_t getsockopt(int fd, int level, int name, void* v, socklen_t* n) override {
    return answer(s_.getsockopt(fd, level, name, v, n));
  }
  int64_t getsockname(int, sockaddr*, socklen_t*) override { return -ENOSYS; }
  int64_t getpeername(int, sockaddr*, socklen_t*) override { return -ENOSYS; }
  int64_t fcntl(int, int, long) override { return -ENOSYS; }
  int64_t ioctl(int, unsigned long, void*) override { return -ENOSYS; }
  int64_t poll(void* fds, unsigned n, int ms) override { return answer(s_.poll(static_cast<pollfd*>(fds), n, ms)); }
  int64_t epoll_create1(int) override { return -ENOSYS; }
  int64_t epoll_ctl(int, int, int, void*) override { return -ENOSYS; }
  int64_t epoll_wait(int, void*, int, int) override { return -ENOSYS; }

 private:
  static int64_t answer(const Result<void>& r) { return r ? 0 : -to_int(r.error()); }
  template <class T>
  static int64_t answer(const Result<T>& r) {
    return r ? static_cast<int64_t>(*r) : -to_int(r.error());
  }
  Stack& s_;
};

}  // namespace leat::differ
