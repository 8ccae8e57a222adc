// What bench_syn_flood and bench_kernel_syn_flood share: the flood's segments, the server that the honest clients talk
// to, the honest clients, and the report. `Net` is a leat::Stack, or KernelNet, which has the same calls.
#pragma once

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <map>
#include <vector>

#include "leat/errno.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"

namespace leat::bench {

constexpr uint32_t kServer = 0x0a000001, kFloodNet = 0x10000000;  // 10.0.0.1; sources are in 16.0.0.0/4
constexpr uint16_t kPort = 80;
constexpr size_t kPerSecond = 200;  // honest connections
constexpr double kPatience = 3;

inline sockaddr_in endpoint(uint32_t address, uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(address);
  return a;
}

inline double cpu_seconds() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

// A SYN as Linux sends it, from a random address of 20.0.0.0 to 31.255.255.255 and a random port.
class FloodSyns {
 public:
  static constexpr size_t kBytes = 60;
  // Without TCP's checksum: the link says that it is right.
  void write(MutableBytes out) {
    const uint64_t r = random();
    wire::TcpHeader h;
    h.src_port = static_cast<uint16_t>(r | 1024);
    h.dst_port = kPort;
    h.seq = static_cast<uint32_t>(random());
    h.flags = wire::kTcpSyn;
    h.window = 64240;
    h.options.mss = 1460;
    h.options.sack_permitted = h.options.has_timestamp = h.options.has_wscale = true;
    h.options.tsval = static_cast<uint32_t>(r >> 32);
    h.options.wscale = 7;
    wire::Ipv4Header ip;
    ip.total_length = kBytes;
    ip.ttl = 64;
    ip.protocol = 6;
    ip.src = IpAddress::from_v4(0x14000000 | static_cast<uint32_t>(r >> 16 & 0xffffff) |
                                static_cast<uint32_t>(r >> 40 & 0x1f) << 24);
    ip.dst = IpAddress::from_v4(kServer);
    wire::emit_ipv4(ip, out.first(wire::kIpv4HeaderBytes));
    wire::emit_tcp(h, out.subspan(wire::kIpv4HeaderBytes));
  }

 private:
  uint64_t random() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
  }
  uint64_t state_ = 88172645463325252u;
};

template <class Net>
class EchoServer {
 public:
  explicit EchoServer(Net& net) : net_(net) {
    listener_ = net.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
    const sockaddr_in at = endpoint(INADDR_ANY, kPort);
    net.bind(listener_, reinterpret_cast<const sockaddr*>(&at), sizeof at).value();
    net.listen(listener_, 4096).value();
    poller_ = net.epoll_create1(0).value();
    watch(listener_);
  }
  void serve() {
    epoll_event events[64];
    const int n = net_.epoll_wait(poller_, events, 64, 0).value();
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener_) {
        while (const auto s = net_.accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK))
          watch(*s);
      } else {
        echo(fd);
      }
    }
  }

 private:
  void watch(int fd) {
    epoll_event e{.events = EPOLLIN, .data = {.fd = fd}};
    net_.epoll_ctl(poller_, EPOLL_CTL_ADD, fd, &e).value();
  }
  void echo(int fd) {
    uint8_t bytes[256];
    const auto got = net_.recv(fd, bytes, sizeof bytes, 0);
    if (got && *got != 0) {
      (void)net_.send(fd, bytes, *got, 0);
    } else if (got || got.error() != Errno{EAGAIN}) {
      net_.close(fd).value();
    }
  }
  Net& net_;
  int listener_ = -1, poller_ = -1;
};

// Each opens a connection, sends 64 bytes, waits for their echo, and closes; it has succeeded when that took less than
// three seconds.
template <class Net>
class HonestClients {
 public:
  explicit HonestClients(Net& net) : net_(net), poller_(net.epoll_create1(0).value()) {}
  bool is_idle() const { return open_.empty(); }
  void begin_those_due(double at) {
    while (static_cast<double>(begun_) < at * kPerSecond)
      begin(at);
  }
  void look(double at) {
    epoll_event events[64];
    const int n = net_.epoll_wait(poller_, events, 64, 0).value();
    for (int i = 0; i < n; ++i)
      look_at(events[i].data.fd, at);
    for (auto it = open_.begin(); it != open_.end();) {
      if (at - it->second.begun < kPatience) {
        ++it;
        continue;
      }
      net_.close(it->first).value();
      it = open_.erase(it);
    }
  }
  void report() {
    std::sort(latencies_.begin(), latencies_.end());
    const auto good = static_cast<double>(latencies_.size());
    const auto ms = [&](double share) {
      return latencies_.empty() ? 0.0 : 1e3 * latencies_[static_cast<size_t>(share * (good - 1))];
    };
    std::printf("honest: %zu of %llu succeeded (%.2f %%), latency %.2f ms median, %.2f ms p99\n", latencies_.size(),
                static_cast<unsigned long long>(begun_),
                100 * good / static_cast<double>(std::max<uint64_t>(begun_, 1)), ms(0.5), ms(0.99));
  }

 private:
  struct Honest {
    double begun;
    bool is_sent = false;
  };
  void begin(double at) {
    ++begun_;
    const int fd = net_.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
    const sockaddr_in to = endpoint(kServer, kPort);
    epoll_event e{.events = EPOLLOUT, .data = {.fd = fd}};
    net_.epoll_ctl(poller_, EPOLL_CTL_ADD, fd, &e).value();
    (void)net_.connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    open_[fd] = {at};
  }
  void look_at(int fd, double at) {
    const auto it = open_.find(fd);
    if (it == open_.end()) return;
    uint8_t bytes[64] = {1};
    if (!it->second.is_sent) {
      if (!net_.send(fd, bytes, sizeof bytes, 0)) return;
      it->second.is_sent = true;
      epoll_event e{.events = EPOLLIN, .data = {.fd = fd}};
      net_.epoll_ctl(poller_, EPOLL_CTL_MOD, fd, &e).value();
      return;
    }
    const auto got = net_.recv(fd, bytes, sizeof bytes, 0);
    if (got && *got == sizeof bytes) latencies_.push_back(at - it->second.begun);
    net_.close(fd).value();
    open_.erase(it);
  }
  Net& net_;
  int poller_;
  std::map<int, Honest> open_;
  std::vector<double> latencies_;
  uint64_t begun_ = 0;
};

// Seconds since the beginning; how many SYNs are due.
class FloodClock {
 public:
  FloodClock(double rate, double seconds) : rate_(rate), seconds_(seconds) {}
  double now() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  bool is_over(double at) const { return at >= seconds_; }
  // Added to those that wait; a device's queue has room for 4096, and what is beyond is lost. Rate 0: as many as it
  // takes.
  uint64_t due(double at, uint64_t waiting) {
    if (is_over(at)) return 0;
    if (rate_ == 0) return 1024;
    const auto wanted = static_cast<uint64_t>(at * rate_);
    const uint64_t due = std::min<uint64_t>(waiting + wanted - asked_, 4096);
    asked_ = wanted;
    return due;
  }

 private:
  double rate_, seconds_;
  uint64_t asked_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace leat::bench
