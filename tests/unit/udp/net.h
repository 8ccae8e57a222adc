// Two hosts joined by a memory link, and a third end of the test's own hand: UDP without sockets above.
#pragma once

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <memory>
#include <string>

#include "inet/sock_options.h"
#include "link/loopback.h"
#include "link/memory_link.h"
#include "udp/udp.h"

namespace leat::udp {

struct Events final : inet::SockEvents {
  uint32_t seen = 0;
  void on_events(uint32_t events) override { seen |= events; }
};

struct Node {
  Netns ns;
  PacketPool& pool;
  ip::Ip ip;
  Udp udp;
  uint16_t ifindex = 0;

  Node(uint8_t seed, PacketPool& p, std::unique_ptr<Link> link, const char* v4, const char* v6)
      : ns(Seed{seed}), pool(p), ip(ns, p), udp(ns, p, ip) {
    ns.set_now(Time::from_ns(1'000'000'000));
    const uint16_t lo = ip.add_interface("lo", std::make_unique<LoopbackLink>());
    (void)ip.add_address(lo, *Cidr::parse("127.0.0.1/8"));
    ifindex = ip.add_interface("mem0", std::move(link));
    EXPECT_TRUE(ip.add_address(ifindex, *Cidr::parse(v4)));
    EXPECT_TRUE(ip.add_address(ifindex, *Cidr::parse(v6)));
  }
  size_t receive() {
    ip.flush();
    return ip.receive(1, 1000) + ip.receive(ifindex, 1000);
  }
};

struct Net : testing::Test {
  PacketPool pool;
  LinkPair pair = make_memory_pair({.verifies_checksums = false});
  Node a{1, pool, std::move(pair.first), "10.0.0.1/24", "fd00::1/64"};
  Node b{2, pool, std::move(pair.second), "10.0.0.2/24", "fd00::2/64"};

  void run() {
    for (int i = 0; i < 64; ++i) {
      a.ip.flush();
      b.ip.flush();
      if (a.receive() + b.receive() == 0) return;
    }
  }
};

// A socket with its file's events.
struct Endpoint {
  Udp& udp;
  UdpSock& s;
  Events events;

  explicit Endpoint(Node& n, Family f = Family::kIpv4) : udp(n.udp), s(*n.udp.create(f).value()) {
    udp.attach(s, &events);
  }
  ~Endpoint() { udp.close(s); }
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  Result<void> bind(const char* address, uint16_t port) { return udp.bind(s, *IpAddress::parse(address), port, true); }
  Result<void> connect(const char* address, uint16_t port) {
    return udp.connect(s, *IpAddress::parse(address), port, 0);
  }
  Result<size_t> send(const std::string& text, int flags = 0, SendTo to = {}) {
    const iovec v{const_cast<char*>(text.data()), text.size()};
    return udp.send(s, {&v, 1}, flags, to);
  }
  Result<size_t> send_to(const char* address, uint16_t port, const std::string& text, SendTo to = {}) {
    to.has_address = true;
    to.address = *IpAddress::parse(address);
    to.port = port;
    return send(text, 0, to);
  }
  Result<std::string> receive(int flags = 0, Received* what = nullptr, size_t room = 70000) {
    std::string text(room, '\0');
    const iovec v{text.data(), text.size()};
    Received mine;
    const auto n = udp.receive(s, {&v, 1}, flags, what != nullptr ? *what : mine);
    if (!n) return std::unexpected(n.error());
    text.resize(std::min(*n, room));
    return text;
  }
};

template <class T>
int code(const Result<T>& r) {
  return r ? 0 : to_int(r.error());
}

}  // namespace leat::udp
