// One host with a loopback interface and the socket calls, without the stack room above.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <memory>

#include "link/loopback.h"
#include "socket/sockets.h"

namespace leat::socket {

struct Host {
  Netns ns{Seed{1}};
  PacketPool pool;
  ip::Ip ip{ns, pool};
  tcp::Tcp tcp{ns, pool, ip, {64}};
  udp::Udp udp{ns, pool, ip};
  Sockets sockets{ns, ip, tcp, udp, {1024, true}};

  Host() {
    ns.set_now(Time::from_ns(1'000'000'000));
    const uint16_t lo = ip.add_interface("lo", std::make_unique<LoopbackLink>());
    (void)ip.add_address(lo, *Cidr::parse("127.0.0.1/8"));
    (void)ip.add_address(lo, *Cidr::parse("::1/128"));
  }
  // Everything that is under way arrives.
  void run() {
    for (int i = 0; i < 32; ++i) {
      ip.flush();
      if (ip.receive(1, 100) == 0) return;
    }
  }
  int udp_socket(uint16_t port = 0, int flags = SOCK_NONBLOCK) {
    const int fd = sockets.socket(AF_INET, SOCK_DGRAM | flags, 0).value();
    if (port != 0) {
      EXPECT_TRUE(bind(fd, port));
    }
    return fd;
  }
  Result<void> bind(int fd, uint16_t port, const char* address = "127.0.0.1") {
    const sockaddr_in a = v4(address, port);
    return sockets.bind(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a);
  }
  Result<void> connect(int fd, uint16_t port, const char* address = "127.0.0.1") {
    const sockaddr_in a = v4(address, port);
    return sockets.connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a);
  }
  static sockaddr_in v4(const char* address, uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(IpAddress::parse(address)->v4());
    return a;
  }
  static sockaddr_in6 v6(const char* address, uint16_t port) {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(port);
    std::memcpy(a.sin6_addr.s6_addr, IpAddress::parse(address)->bytes(), 16);
    return a;
  }
  Result<size_t> send(int fd, std::string_view text, int flags = 0) {
    iovec v{const_cast<char*>(text.data()), text.size()};
    msghdr m{};
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    return sockets.sendmsg(fd, m, flags);
  }
  // Sends from a socket of its own, and lets it arrive.
  void send_to(uint16_t port, std::string_view text) {
    const int fd = udp_socket();
    ASSERT_TRUE(connect(fd, port));
    ASSERT_TRUE(send(fd, text));
    run();
    ASSERT_TRUE(sockets.close(fd));
  }
  Result<size_t> receive(int fd, std::string* text = nullptr, int flags = 0) {
    char buffer[2048];
    iovec v{buffer, sizeof buffer};
    msghdr m{};
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    const auto n = sockets.recvmsg(fd, m, flags);
    if (n && text != nullptr) text->assign(buffer, *n);
    return n;
  }
  int epoll() { return sockets.epoll_create1(0).value(); }
  Result<void> ctl(int ep, int op, int fd, uint32_t events) {
    epoll_event e{};
    e.events = events;
    e.data.fd = fd;
    return sockets.epoll_ctl(ep, op, fd, &e);
  }
  std::vector<epoll_event> wait(int ep, int most = 16) {
    std::vector<epoll_event> events(static_cast<size_t>(most));
    const auto n = sockets.epoll_wait(ep, events.data(), most, Duration());
    events.resize(static_cast<size_t>(n.value_or(0)));
    return events;
  }
};

inline int code(const Result<void>& r) {
  return r ? 0 : to_int(r.error());
}
template <class T>
int code(const Result<T>& r) {
  return r ? 0 : to_int(r.error());
}

}  // namespace leat::socket
