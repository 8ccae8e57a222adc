// The system calls themselves, as drill::Calls. It remembers the descriptors that it made, so that none is left over.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "sim/drill/target.h"

namespace leat::drill {

class KernelCalls final : public Calls {
 public:
  explicit KernelCalls(std::string congestion) : congestion_(std::move(congestion)) {}
  ~KernelCalls() override { close_all(); }
  void close_all();

  int64_t socket(int domain, int type, int protocol) override;
  int64_t bind(int fd, const sockaddr* address, socklen_t length) override;
  int64_t listen(int fd, int backlog) override;
  int64_t accept4(int fd, sockaddr* address, socklen_t* length, int flags) override;
  int64_t connect(int fd, const sockaddr* address, socklen_t length) override;
  int64_t recvmsg(int fd, msghdr* message, int flags) override;
  int64_t sendmsg(int fd, const msghdr* message, int flags) override;
  int64_t read(int fd, void* buffer, size_t size) override;
  int64_t write(int fd, const void* buffer, size_t size) override;
  int64_t shutdown(int fd, int how) override;
  int64_t close(int fd) override;
  int64_t setsockopt(int fd, int level, int name, const void* value, socklen_t length) override;
  int64_t getsockopt(int fd, int level, int name, void* value, socklen_t* length) override;
  int64_t getsockname(int fd, sockaddr* address, socklen_t* length) override;
  int64_t getpeername(int fd, sockaddr* address, socklen_t* length) override;
  int64_t fcntl(int fd, int command, long argument) override;
  int64_t ioctl(int fd, unsigned long request, void* argument) override;
  int64_t poll(void* pollfds, unsigned count, int timeout_ms) override;
  int64_t epoll_create1(int flags) override;
  int64_t epoll_ctl(int epfd, int op, int fd, void* event) override;
  int64_t epoll_wait(int epfd, void* events, int max_events, int timeout_ms) override;

 private:
  int64_t made(int fd);
  std::string congestion_;
  std::mutex mutex_;
  std::set<int> open_;
};

}  // namespace leat::drill
