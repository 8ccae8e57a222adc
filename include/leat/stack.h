// leat::Stack: Linux's TCP/IP as one object, which is what one network namespace is on Linux: interfaces, addresses,
// routes, sysctls, counters, and sockets as descriptors of its own table.
//
//   leat::StackConfig config;                       // fill config.seed from a source of randomness
//   auto stack = leat::Stack::create(config).value();
//   auto ifindex = stack->add_link("tun0", std::move(link)).value();
//   stack->add_address(ifindex, "10.0.0.1/24").value();
//   int fd = stack->socket(AF_INET, SOCK_STREAM, 0).value();
//   …
//   for (;;) { stack->poll(now()); …; wait for stack->poll_fds() to be readable, until stack->next_deadline() }
//
// or hand it to a leat::Worker (leat/worker.h), which does that loop on threads of its own; calls may then block.
//
// Descriptors have nothing to do with those of the process. Arguments, results, errno values and corner cases are
// Linux's: where nothing is said here, the manual page of the function holds. What is not implemented fails with the
// errno that Linux uses for what it does not know; nothing is accepted and ignored.
//
// Thread rule: with a Worker, every function may be called from any thread at any time, also on the same descriptor.
// Without one, poll() and everything else may still be called from any threads, but nobody runs the Stack in between.
// Only create, set_runner and the destructor want to be alone.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/errno.h"
#include "leat/link.h"
#include "leat/runner.h"
#include "leat/time.h"

namespace leat {

// Bytes of this machine's memory (MemTotal), for StackConfig::memory; 0 where the system does not tell.
uint64_t memory_of_machine();
// Entries of the table of connections for a machine of so much memory, as Linux takes them at start: one for each
// 128 KiB, rounded up to a power of two, 524,288 at most.
uint32_t ehash_entries_for(uint64_t memory_bytes);

struct StackConfig {
  // The only source of randomness (sequence numbers, ports, hash keys). The same seed and the same input give the same
  // run, so outside of tests it must come from getrandom(2).
  std::array<uint8_t, 32> seed{};
  std::vector<std::pair<std::string, std::string>> sysctls;  // {"net.ipv4.tcp_sack", "0"}
  // Bytes. Linux takes limits from the machine's memory when it starts: the defaults of net.ipv4.tcp_mem, tcp_rmem[2],
  // tcp_wmem[2], tcp_max_orphans, tcp_max_tw_buckets, tcp_max_syn_backlog and fs.file-max. A Stack asks no system: who
  // wants the machine's says memory_of_machine(). 0: those of a machine of 24 GB, and fs.file-max without limit.
  uint64_t memory = 0;
  // Entries of the table of connections (8 bytes each), at least: it grows by itself. 0: ehash_entries_for(memory), or
  // 65,536 where `memory` is 0 too.
  uint32_t ehash_entries = 0;
  uint32_t max_files = 1048576;  // RLIMIT_NOFILE of this Stack, soft and hard: EMFILE. EPERM: above fs.nr_open
  bool privileged = true;        // may what CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE allow
  Duration epoch;                // what CLOCK_REALTIME shows when poll()'s `now` is zero: for SO_TIMESTAMP's like
  bool with_loopback = true;     // an interface "lo", ifindex 1, with 127.0.0.1/8 and ::1/128
};

struct RouteOptions {
  std::string interface;  // empty, and ifindex 0: the one that reaches the gateway
  int ifindex = 0;        // or by its number
  uint32_t metric = 0;
  std::string source;       // preferred source address
  uint32_t mtu = 0;         // 0: the interface's
  bool mtu_locked = false;  // not lowered by ICMP
  uint32_t advmss = 0;      // 0: from the MTU
  uint32_t initcwnd = 0;    // segments; 0: 10
  uint32_t initrwnd = 0;
  uint32_t window = 0;
  uint32_t rto_min_ms = 0;
  bool quickack = false;
};

struct Counter {      // a line of nstat
  std::string group;  // "TcpExt"
  std::string name;   // "TCPTimeouts"
  uint64_t value = 0;
};

class Stack {
 public:
  // EINVAL, ENOENT, …: a sysctl was refused. ENOMEM.
  static Result<std::unique_ptr<Stack>> create(const StackConfig& config);
  // Closes every descriptor without waiting for anything, and forgets what is still under way. Two Stacks that are
  // joined by a memory link: close the descriptors of both before destroying either, because packets that one has
  // received are still the other's memory.
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // --- configuration ------------------------------------------------------------------------------------------------
  // Gives the interface's index. EEXIST: there is one of this name. The link lives as long as the Stack.
  Result<int> add_link(std::string name, std::unique_ptr<Link> link);
  Result<void> add_address(int ifindex, std::string_view cidr);  // "10.0.0.1/24", "fd00::1/64". EEXIST, ENODEV, EINVAL
  Result<void> remove_address(int ifindex, std::string_view cidr);  // EADDRNOTAVAIL
  // Destination "0.0.0.0/0" or "::/0" or "default" (the gateway's family). gateway "" : on link.
  // EINVAL, ENETUNREACH (no interface reaches the gateway), ENODEV.
  Result<void> add_route(std::string_view destination, std::string_view gateway, const RouteOptions& options = {});
  Result<void> remove_route(std::string_view destination);  // ESRCH
  Result<int> ifindex(std::string_view name) const;         // ENODEV
  // By Linux's name, "net.ipv4.tcp_rmem" (or with slashes). ENOENT, EINVAL, EACCES. Values as /proc prints them.
  Result<std::string> get_sysctl(std::string_view name) const;
  Result<void> set_sysctl(std::string_view name, std::string_view value);
  std::vector<std::string> sysctl_names() const;
  // RLIMIT_NOFILE with setrlimit(2)'s rules. EINVAL: soft above hard; EPERM: hard above fs.nr_open, or raised while not
  // privileged. What is open stays open.
  Result<void> set_file_limit(uint32_t soft, uint32_t hard);
  std::pair<uint32_t, uint32_t> file_limit() const;  // soft, hard
  std::vector<Counter> counters() const;             // in the order of nstat
  uint64_t counter(std::string_view name) const;     // "TcpExtTCPTimeouts"; 0 when there is none

  // --- the turn
  // ------------------------------------------------------------------------------------------------------- Takes what
  // the links have, fires the timers due, sends what that gave, and frees what died. `now` is a point on a monotonic
  // clock of the caller's choice and must not go back. true: there was more than one turn takes; come again.
  bool poll(Time now);
  // When poll() will next have something to do, if nothing arrives and nobody calls: Time::never() if never.
  Time next_deadline() const;
  // Descriptors of the host (of TUN and TAP devices) to wait on for input.
  std::vector<int> poll_fds() const;
  void set_runner(Runner* runner);  // nullptr: none. See leat/runner.h

  // --- sockets: POSIX in shape, Linux in behaviour ------------------------------------------------------------------
  // domain AF_INET or AF_INET6; type SOCK_STREAM or SOCK_DGRAM, | SOCK_NONBLOCK | SOCK_CLOEXEC. EAFNOSUPPORT, EINVAL,
  // EPROTONOSUPPORT, ESOCKTNOSUPPORT, EMFILE, ENFILE, ENOMEM. [socket(2)]
  Result<int> socket(int domain, int type, int protocol);
  Result<void> bind(int fd, const sockaddr* address, socklen_t length);  // EACCES, EADDRINUSE, EADDRNOTAVAIL, EINVAL
  Result<void> listen(int fd, int backlog);                              // EADDRINUSE, EOPNOTSUPP
  Result<int> accept4(int fd, sockaddr* address, socklen_t* length, int flags);
  Result<int> accept(int fd, sockaddr* address, socklen_t* length) { return accept4(fd, address, length, 0); }
  // AF_UNSPEC dissolves the association. EINPROGRESS: not blocking; poll for EPOLLOUT, then SO_ERROR.
  Result<void> connect(int fd, const sockaddr* address, socklen_t length);
  Result<void> shutdown(int fd, int how);
  Result<void> getsockname(int fd, sockaddr* address, socklen_t* length);
  Result<void> getpeername(int fd, sockaddr* address, socklen_t* length);
  Result<void> setsockopt(int fd, int level, int name, const void* value, socklen_t length);
  Result<void> getsockopt(int fd, int level, int name, void* value, socklen_t* length);

  // There is no SIGPIPE: EPIPE, as with MSG_NOSIGNAL.
  Result<size_t> read(int fd, void* buffer, size_t size);
  Result<size_t> write(int fd, const void* buffer, size_t size);
  Result<size_t> readv(int fd, const iovec* iov, int count);
  Result<size_t> writev(int fd, const iovec* iov, int count);
  Result<size_t> recv(int fd, void* buffer, size_t size, int flags);
  Result<size_t> send(int fd, const void* buffer, size_t size, int flags);
  Result<size_t> recvfrom(int fd, void* buffer, size_t size, int flags, sockaddr* address, socklen_t* length);
  Result<size_t> sendto(int fd, const void* buffer, size_t size, int flags, const sockaddr* address, socklen_t length);
  Result<size_t> recvmsg(int fd, msghdr* message, int flags);
  Result<size_t> sendmsg(int fd, const msghdr* message, int flags);

  // --- descriptors
  // ----------------------------------------------------------------------------------------------------- Blocks for
  // SO_LINGER. The descriptor is gone even when it fails.
  Result<void> close(int fd);
  Result<int> dup(int fd);
  Result<int> dup2(int from, int to);
  Result<int> dup3(int from, int to, int flags);          // O_CLOEXEC
  Result<int> fcntl(int fd, int command, long argument);  // F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_DUPFD(_CLOEXEC)
  Result<int> ioctl(int fd, unsigned long request, void* argument);

  // --- waiting
  // --------------------------------------------------------------------------------------------------------- Only
  // descriptors of this Stack (others: POLLNVAL, EBADF). Time-outs in milliseconds, < 0: none, as POSIX has them.
  Result<int> poll(pollfd* fds, nfds_t count, int timeout_ms);
  Result<int> ppoll(pollfd* fds, nfds_t count, Duration timeout);  // Duration::infinite(): none
  Result<int> select(int count, fd_set* read, fd_set* write, fd_set* except, timeval* timeout);  // writes what is left
  Result<int> epoll_create1(int flags);                                                          // EPOLL_CLOEXEC
  Result<void> epoll_ctl(int epfd, int op, int fd, epoll_event* event);
  Result<int> epoll_wait(int epfd, epoll_event* events, int max_events, int timeout_ms);
  Result<int> epoll_pwait2(int epfd, epoll_event* events, int max_events, Duration timeout);

  // --- for the other rooms of leat (diag, sim) ---------------------------------------------------------------------
  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit Stack(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace leat
