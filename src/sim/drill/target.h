// Who is under test: a leat Stack in virtual time, or the host's kernel behind a TUN in real time. A script (or the
// differential fuzzer) speaks to either in the same way: packets in and out as whole IP packets, and POSIX calls.
// Not thread-safe; a target has its own threads inside where it needs them.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "leat/time.h"

namespace leat::drill {

struct SentPacket {
  Time at;                     // since the target was made
  std::vector<uint8_t> bytes;  // from the IP header on
};

// The calls of the socket interface. Each returns what the call returns, or -errno.
class Calls {
 public:
  virtual ~Calls() = default;
  virtual int64_t socket(int domain, int type, int protocol) = 0;
  virtual int64_t bind(int fd, const sockaddr* address, socklen_t length) = 0;
  virtual int64_t listen(int fd, int backlog) = 0;
  virtual int64_t accept4(int fd, sockaddr* address, socklen_t* length, int flags) = 0;
  virtual int64_t connect(int fd, const sockaddr* address, socklen_t length) = 0;
  virtual int64_t recvmsg(int fd, msghdr* message, int flags) = 0;
  virtual int64_t sendmsg(int fd, const msghdr* message, int flags) = 0;
  virtual int64_t read(int fd, void* buffer, size_t size) = 0;
  virtual int64_t write(int fd, const void* buffer, size_t size) = 0;
  virtual int64_t shutdown(int fd, int how) = 0;
  virtual int64_t close(int fd) = 0;
  virtual int64_t setsockopt(int fd, int level, int name, const void* value, socklen_t length) = 0;
  virtual int64_t getsockopt(int fd, int level, int name, void* value, socklen_t* length) = 0;
  virtual int64_t getsockname(int fd, sockaddr* address, socklen_t* length) = 0;
  virtual int64_t getpeername(int fd, sockaddr* address, socklen_t* length) = 0;
  virtual int64_t fcntl(int fd, int command, long argument) = 0;
  virtual int64_t ioctl(int fd, unsigned long request, void* argument) = 0;
  virtual int64_t poll(void* pollfds, unsigned count, int timeout_ms) = 0;
  virtual int64_t epoll_create1(int flags) = 0;
  virtual int64_t epoll_ctl(int epfd, int op, int fd, void* event) = 0;
  virtual int64_t epoll_wait(int epfd, void* events, int max_events, int timeout_ms) = 0;
};

// A call that may block: it began at begin()'s time and is looked at while time passes.
class PendingCall {
 public:
  virtual ~PendingCall() = default;
  virtual bool is_done() const = 0;
  virtual int64_t result() const = 0;  // when done
  virtual Time ended() const = 0;      // when done
};

class Target {
 public:
  virtual ~Target() = default;
  virtual Time now() const = 0;
  // What the clock of SCM_TIMESTAMPING shows when now() is zero; infinite: not known.
  virtual Duration epoch() const { return Duration::infinite(); }
  // Time passes until `t`, or until a packet was sent or a pending call has ended (then it returns early).
  virtual void run_until(Time t) = 0;
  virtual void inject(const std::vector<uint8_t>& packet) = 0;  // arrives now
  virtual std::vector<SentPacket> take_sent() = 0;
  virtual Calls& calls() = 0;  // for what does not block
  virtual std::unique_ptr<PendingCall> begin(std::function<int64_t(Calls&)> call) = 0;
  virtual bool set_sysctl(const std::string& name, const std::string& value, std::string& why) = 0;
  // A command about the interface: "tc qdisc …", "ip route change …". false: `why` says what is wrong.
  virtual bool configure(const std::string& command, std::string& why) {
    why = "there is nobody to run '" + command + "'";
    return false;
  }
  virtual uint64_t counter(const std::string& name) = 0;  // as nstat names it
  virtual std::map<std::string, uint64_t> all_counters() { return {}; }
};

}  // namespace leat::drill
