// One namespace with a loopback interface, and connections of it with itself.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "link/loopback.h"
#include "tcp/options_table.h"
#include "tcp/tcp.h"

namespace leat::tcp::test {

template <class T>
int error_of(const Result<T>& r) {
  return r ? 0 : to_int(r.error());
}

class Loop {
 public:
  Loop() : ns(Seed{7}), ip(ns, pool), tcp(ns, pool, ip, Tcp::Config{.ehash_entries = 64}) {
    ns.set_now(Time::from_us(1'000'000'000));
    const uint16_t lo = ip.add_interface("lo", std::make_unique<LoopbackLink>());
    EXPECT_EQ(error_of(ip.add_address(lo, *Cidr::parse("127.0.0.1/8"))), 0);
  }
  ~Loop() {
    for (TcpSock* s : sockets_)
      tcp.close(*s);
    run();
  }

  // Until nothing moves at this moment.
  void run() {
    for (int i = 0; i < 64; ++i) {
      ip.flush();
      const size_t n = ip.receive(1, 64);
      tcp.on_time(ns.now());
      tcp.end_turn();
      ip.on_timer();
      if (n == 0) return;
    }
  }
  void advance(Duration d) {
    const Time end = ns.now() + d;
    for (int i = 0; i < 100'000; ++i) {
      run();
      const Time next = std::min(tcp.next_deadline(), ip.next_deadline());
      if (next > end) break;
      ns.set_now(next);
    }
    ns.set_now(end);
    run();
  }

  TcpSock& socket() {
    TcpSock* s = *tcp.create(Family::kIpv4);
    sockets_.push_back(s);
    return *s;
  }
  TcpSock& listener(uint16_t port, int backlog = 8) {
    TcpSock& s = socket();
    EXPECT_EQ(error_of(tcp.bind(s, IpAddress::from_v4(0x7f000001), port, true)), 0);
    EXPECT_EQ(error_of(tcp.listen(s, backlog)), 0);
    return s;
  }
  TcpSock& connect(uint16_t port) {
    TcpSock& s = socket();
    EXPECT_EQ(error_of(tcp.connect(s, IpAddress::from_v4(0x7f000001), port)), EINPROGRESS);
    run();
    return s;
  }
  TcpSock& accept(TcpSock& listening) {
    TcpSock* s = *tcp.accept(listening);
    sockets_.push_back(s);
    return *s;
  }
  size_t send(TcpSock& s, size_t n, int flags = 0) {
    std::string bytes(n, 'x');
    const iovec v{bytes.data(), n};
    const auto sent = tcp.send(s, {&v, 1}, flags);
    return sent ? *sent : 0;
  }
  size_t receive(TcpSock& s, size_t n) {
    std::string bytes(n, 0);
    const iovec v{bytes.data(), n};
    const auto got = tcp.receive(s, {&v, 1}, 0, nullptr);
    return got ? *got : 0;
  }
  int set(TcpSock& s, int name, int value) {
    return error_of(tcp.set_option(s, name, {reinterpret_cast<const uint8_t*>(&value), sizeof value}));
  }
  int set_text(TcpSock& s, int name, const std::string& text) {
    return error_of(tcp.set_option(s, name, {reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
  }
  // The value; -errno when it fails.
  int get(TcpSock& s, int name) {
    int v = 0;
    const auto n = tcp.get_option(s, name, {reinterpret_cast<uint8_t*>(&v), sizeof v});
    return n ? v : -to_int(n.error());
  }
  std::string get_text(TcpSock& s, int name) {
    char text[64] = {};
    const auto n = tcp.get_option(s, name, {reinterpret_cast<uint8_t*>(text), sizeof text});
    return n ? text : "failed";
  }

  Netns ns;
  PacketPool pool;
  ip::Ip ip;
  Tcp tcp;

 private:
  std::vector<TcpSock*> sockets_;
};

// A connection with both of its ends.
struct Pair {
  explicit Pair(Loop& loop, uint16_t port = 80)
      : listening(loop.listener(port)), client(loop.connect(port)), server(loop.accept(listening)) {}
  TcpSock& listening;
  TcpSock& client;
  TcpSock& server;
};

}  // namespace leat::tcp::test
