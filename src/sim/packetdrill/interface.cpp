// packetdrill_interface_init: the 33 pointers through which google/packetdrill drives leat. Each call takes the one
// lock, applies settings that have changed, and asks the Stack; blocking is VirtualTime's.
#include <fcntl.h>
#include <sys/time.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sim/drill/script_link.h"
#include "sim/packetdrill/settings.h"
#include "sim/packetdrill/virtual_time.h"

namespace leat::packetdrill {
namespace {

using drill::ScriptLink;

class Instance {
 public:
  explicit Instance(const Setup& setup)
      : time_([this](Time t) { poll(t); }, [this] { return stack_->next_deadline(); }) {
    StackConfig config;
    config.seed.fill(7);
    stack_ = Stack::create(config).value();
    auto link = std::make_unique<ScriptLink>(setup.mtu, static_cast<uint16_t>(setup.rx_gso_size));
    link_ = link.get();
    const int ifindex = stack_->add_link("tun0", std::move(link)).value();
    if (!stack_->add_address(ifindex, setup.local)) fail("the address " + setup.local);
    RouteOptions o;
    o.ifindex = ifindex;
    for (const std::string& to : {setup.remote, std::string("0.0.0.0/0"), std::string("::/0")}) {
      if (!stack_->add_route(to, "", o)) fail("a route to " + to);
    }
    settings_ = std::make_unique<Settings>(*stack_, setup, ifindex);
    stack_->poll(time_.now());
    stack_->set_runner(&time_);
  }

  // A call of the Stack, in POSIX shape: -1 and errno.
  template <class F>
  auto call(F&& f) -> long {
    time_.mutex().lock();
    settings_->apply_new();
    auto r = f(*stack_);
    settings_->write_counters();
    time_.mutex().unlock();
    if (r) {
      if constexpr (std::is_same_v<decltype(r), Result<void>>) {
        return 0;
      } else {
        return static_cast<long>(*r);
      }
    }
    errno = static_cast<int>(r.error());
    return -1;
  }

  void inject(const void* packet, size_t size) {
    std::lock_guard lock(time_.mutex());
    settings_->apply_new();
    link_->inject(static_cast<const uint8_t*>(packet), size);
    poll(time_.now());
    settings_->write_counters();
    time_.wait_for_stamps_if_any();
  }

  int take(void* buffer, size_t* size, long long* us) {
    std::lock_guard lock(time_.mutex());
    settings_->apply_new();
    ScriptLink::Sent s;
    const size_t room = *size;
    *size = 0;
    while (!link_->take_sent(s)) {
      time_.wait_for_stamps_if_any();
      if (link_->take_sent(s)) break;
      if (!time_.step()) return 0;
    }
    settings_->write_counters();
    *size = std::min(room, s.bytes.size());
    std::memcpy(buffer, s.bytes.data(), *size);
    *us = s.at.us();
    return 0;
  }

  void sleep(unsigned us) {
    time_.let_woken_finish();
    std::lock_guard lock(time_.mutex());
    settings_->apply_new();
    time_.sleep(us);
    settings_->write_counters();
  }
  int64_t clock_us() { return time_.read_clock_us(); }

 private:
  [[noreturn]] static void fail(const std::string& what) {  // its caller is C and has no way to be told
    std::fprintf(stderr, "leat: cannot have %s\n", what.c_str());
    std::exit(1);
  }
  void poll(Time t) {
    while (stack_->poll(t)) {
    }
  }
  VirtualTime time_;
  std::unique_ptr<Stack> stack_;
  ScriptLink* link_ = nullptr;
  std::unique_ptr<Settings> settings_;
};

Instance& self(void* u) {
  return *static_cast<Instance*>(u);
}
using S = Stack;

void f_free(void*) {}  // the process ends; a blocked second thread may still be inside
int f_socket(void* u, int d, int t, int p) {
  return static_cast<int>(self(u).call([&](S& s) { return s.socket(d, t, p); }));
}
int f_bind(void* u, int fd, const sockaddr* a, socklen_t n) {
  return static_cast<int>(self(u).call([&](S& s) { return s.bind(fd, a, n); }));
}
int f_listen(void* u, int fd, int backlog) {
  return static_cast<int>(self(u).call([&](S& s) { return s.listen(fd, backlog); }));
}
int f_accept(void* u, int fd, sockaddr* a, socklen_t* n) {
  return static_cast<int>(self(u).call([&](S& s) { return s.accept(fd, a, n); }));
}
int f_connect(void* u, int fd, const sockaddr* a, socklen_t n) {
  return static_cast<int>(self(u).call([&](S& s) { return s.connect(fd, a, n); }));
}
ssize_t f_read(void* u, int fd, void* b, size_t n) {
  return self(u).call([&](S& s) { return s.read(fd, b, n); });
}
ssize_t f_readv(void* u, int fd, const iovec* v, int n) {
  return self(u).call([&](S& s) { return s.readv(fd, v, n); });
}
ssize_t f_recv(void* u, int fd, void* b, size_t n, int flags) {
  return self(u).call([&](S& s) { return s.recv(fd, b, n, flags); });
}
ssize_t f_recvfrom(void* u, int fd, void* b, size_t n, int flags, sockaddr* a, socklen_t* an) {
  return self(u).call([&](S& s) { return s.recvfrom(fd, b, n, flags, a, an); });
}
ssize_t f_recvmsg(void* u, int fd, msghdr* m, int flags) {
  return self(u).call([&](S& s) { return s.recvmsg(fd, m, flags); });
}
ssize_t f_write(void* u, int fd, const void* b, size_t n) {
  return self(u).call([&](S& s) { return s.write(fd, b, n); });
}
ssize_t f_writev(void* u, int fd, const iovec* v, int n) {
  return self(u).call([&](S& s) { return s.writev(fd, v, n); });
}
ssize_t f_send(void* u, int fd, const void* b, size_t n, int flags) {
  return self(u).call([&](S& s) { return s.send(fd, b, n, flags); });
}
ssize_t f_sendto(void* u, int fd, const void* b, size_t n, int flags, const sockaddr* a, socklen_t an) {
  return self(u).call([&](S& s) { return s.sendto(fd, b, n, flags, a, an); });
}
ssize_t f_sendmsg(void* u, int fd, const msghdr* m, int flags) {
  return self(u).call([&](S& s) { return s.sendmsg(fd, m, flags); });
}
int f_fcntl(void* u, int fd, int command, ...) {
  va_list args;
  va_start(args, command);
  const long argument = va_arg(args, long);
  va_end(args);
  return static_cast<int>(self(u).call([&](S& s) { return s.fcntl(fd, command, argument); }));
}
int f_ioctl(void* u, int fd, unsigned long request, ...) {
  va_list args;
  va_start(args, request);
  void* argument = va_arg(args, void*);
  va_end(args);
  return static_cast<int>(self(u).call([&](S& s) { return s.ioctl(fd, request, argument); }));
}
int f_close(void* u, int fd) {
  return static_cast<int>(self(u).call([&](S& s) { return s.close(fd); }));
}
int f_shutdown(void* u, int fd, int how) {
  return static_cast<int>(self(u).call([&](S& s) { return s.shutdown(fd, how); }));
}
int f_getsockopt(void* u, int fd, int level, int name, void* v, socklen_t* n) {
  return static_cast<int>(self(u).call([&](S& s) { return s.getsockopt(fd, level, name, v, n); }));
}
int f_setsockopt(void* u, int fd, int level, int name, const void* v, socklen_t n) {
  return static_cast<int>(self(u).call([&](S& s) { return s.setsockopt(fd, level, name, v, n); }));
}
int f_poll(void* u, pollfd* fds, nfds_t n, int timeout) {
  return static_cast<int>(self(u).call([&](S& s) { return s.poll(fds, n, timeout); }));
}
int f_netdev_send(void* u, const void* b, size_t n) {
  self(u).inject(b, n);
  return 0;
}
int f_netdev_receive(void* u, void* b, size_t* n, long long* us) {
  return self(u).take(b, n, us);
}
int f_usleep(void* u, useconds_t us) {
  self(u).sleep(us);
  return 0;
}
int f_gettimeofday(void* u, timeval* tv, void*) {
  const int64_t us = self(u).clock_us();
  tv->tv_sec = us / 1'000'000;
  tv->tv_usec = us % 1'000'000;
  return 0;
}
int f_epoll_create(void* u, int) {
  return static_cast<int>(self(u).call([&](S& s) { return s.epoll_create1(0); }));
}
int f_epoll_ctl(void* u, int epfd, int op, int fd, epoll_event* e) {
  return static_cast<int>(self(u).call([&](S& s) { return s.epoll_ctl(epfd, op, fd, e); }));
}
int f_epoll_wait(void* u, int epfd, epoll_event* e, int n, int timeout) {
  return static_cast<int>(self(u).call([&](S& s) { return s.epoll_wait(epfd, e, n, timeout); }));
}

template <class F>
void* slot(F f) {
  return reinterpret_cast<void*>(f);
}

}  // namespace
}  // namespace leat::packetdrill

extern "C" __attribute__((visibility("default"))) void packetdrill_interface_init(const char* flags, void** ifc) {
  using namespace leat::packetdrill;
  std::memset(ifc, 0, 33 * sizeof(void*));
  ifc[0] = new Instance(Setup::parse(flags));  // lives until the process ends: see f_free
  void* const functions[] = {
      slot(f_free),       slot(f_socket),       slot(f_bind),         slot(f_listen),      slot(f_accept),
      slot(f_connect),    slot(f_read),         slot(f_readv),        slot(f_recv),        slot(f_recvfrom),
      slot(f_recvmsg),    slot(f_write),        slot(f_writev),       slot(f_send),        slot(f_sendto),
      slot(f_sendmsg),    slot(f_fcntl),        slot(f_ioctl),        slot(f_close),       slot(f_shutdown),
      slot(f_getsockopt), slot(f_setsockopt),   slot(f_poll),         slot(f_netdev_send), slot(f_netdev_receive),
      slot(f_usleep),     slot(f_gettimeofday), slot(f_epoll_create), slot(f_epoll_ctl),   slot(f_epoll_wait)};
  std::memcpy(ifc + 1, functions, sizeof functions);  // pipe and splice are not there: ENOSYS
}
