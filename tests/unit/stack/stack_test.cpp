// The public API over two Stacks: configuration, UDP, TCP, poller, and what is left at the end.
#include <netinet/tcp.h>

#include "stack/stack_impl.h"
#include "two_stacks.h"

namespace leat {
namespace {

struct StackTest : TwoStacks {};

TEST_F(StackTest, ConfigurationErrorsAreToldByTheirErrno) {
  EXPECT_EQ(a->add_address(9, "10.1.0.1/24").error(), Errno{ENODEV});
  EXPECT_EQ(a->add_address(1, "10.1.0.1/99").error(), Errno{EINVAL});
  EXPECT_EQ(a->add_address(2, "10.0.0.1/24").error(), Errno{EEXIST});
  EXPECT_EQ(a->ifindex("lo"), 1);
  EXPECT_EQ(a->ifindex("eth0").error(), Errno{ENODEV});
  EXPECT_EQ(a->add_route("default", "192.0.2.1").error(), Errno{ENETUNREACH});
  EXPECT_TRUE(a->add_route("default", "10.0.0.2"));
  EXPECT_TRUE(a->add_route("2001:db8::/32", "fd00::2"));
  EXPECT_EQ(a->get_sysctl("net.ipv4.no_such").error(), Errno{ENOENT});
  EXPECT_EQ(a->get_sysctl("net.core.somaxconn"), "4096");
  EXPECT_EQ(a->set_sysctl("net.core.somaxconn", "many").error(), Errno{EINVAL});
  StackConfig bad = config_with_seed(3);
  bad.sysctls = {{"net.ipv4.no_such", "1"}};
  EXPECT_EQ(Stack::create(bad).error(), Errno{ENOENT});
}

TEST_F(StackTest, UdpGoesThereAndBack) {
  Socket server = Socket::bind_udp(*b, "10.0.0.2", 7000, SOCK_NONBLOCK).value();
  Socket client = Socket::bind_udp(*a, "0.0.0.0", 0, SOCK_NONBLOCK).value();
  ASSERT_TRUE(client.send_to(bytes("hello"), Endpoint::parse("10.0.0.2", 7000).value()));
  settle();
  uint8_t buffer[100];
  Endpoint from;
  EXPECT_EQ(server.receive_from(buffer, from), 5u);
  EXPECT_EQ(from.host(), "10.0.0.1");
  EXPECT_EQ(from.port(), client.local()->port());
  EXPECT_EQ(server.receive_from(buffer, from).error(), Errno{EAGAIN});
  EXPECT_EQ(b->counter("UdpInDatagrams"), 1u);
}

TEST_F(StackTest, TcpConnectsSendsAndCloses) {
  for (const char* host : {"10.0.0.2", "fd00::2"}) {
    Socket listener = Socket::listen(*b, host, 80, 16, SOCK_NONBLOCK).value();
    Socket client = Socket::connect(*a, host, 80, SOCK_NONBLOCK).value();
    EXPECT_EQ(listener.accept().error(), Errno{EAGAIN});
    settle();
    EXPECT_EQ(client.error(), 0);
    Endpoint peer;
    Socket server = listener.accept(SOCK_NONBLOCK, &peer).value();
    EXPECT_EQ(peer.port(), client.local()->port());
    EXPECT_EQ(client.peer()->to_string(), host == std::string("fd00::2") ? "[fd00::2]:80" : "10.0.0.2:80");
    EXPECT_EQ(client.write("GET /"), 5u);
    settle();
    EXPECT_EQ(read_some(server), "GET /");
    EXPECT_EQ(server.write("200 OK"), 6u);
    ASSERT_TRUE(server.shutdown(SHUT_WR));
    settle();
    EXPECT_EQ(read_some(client), "200 OK");
    uint8_t one;
    EXPECT_EQ(client.read({&one, 1}), 0u);
    ASSERT_TRUE(client.close());
    settle();
    ASSERT_TRUE(server.close());
    settle();
  }
  advance(Duration::from_s(120));
  EXPECT_EQ(a->impl().tcp.conns.in_use(), 0u);
  EXPECT_EQ(b->impl().tcp.conns.in_use(), 0u);
  EXPECT_EQ(b->impl().tcp.time_waits.in_use() + b->impl().tcp.time_waits6.in_use(), 0u);
}

// What one Stack of a pair has received lies in the other one's packets.
TEST_F(StackTest, WhatAStackSentIsReadAfterItsEnd) {
  Socket listener = Socket::listen(*b, "10.0.0.2", 80, 16, SOCK_NONBLOCK).value();
  Socket client = Socket::connect(*a, "10.0.0.2", 80, SOCK_NONBLOCK).value();
  Socket datagrams = Socket::bind_udp(*b, "10.0.0.2", 7000, SOCK_NONBLOCK).value();
  settle();
  Socket server = listener.accept(SOCK_NONBLOCK).value();
  const std::string text(20000, 'x');
  EXPECT_EQ(client.write(bytes(text)), text.size());
  {
    Socket sender = Socket::bind_udp(*a, "0.0.0.0", 0, SOCK_NONBLOCK).value();
    EXPECT_TRUE(sender.send_to(bytes("hello"), Endpoint::parse("10.0.0.2", 7000).value()));
  }
  settle();
  EXPECT_TRUE(client.close());
  a.reset();
  EXPECT_EQ(read_some(server), text);
  EXPECT_EQ(read_some(datagrams), "hello");
}

TEST_F(StackTest, AMegabyteArrivesWholeAndInOrder) {
  Socket listener = Socket::listen(*b, "10.0.0.2", 80, 16, SOCK_NONBLOCK).value();
  Socket client = Socket::connect(*a, "10.0.0.2", 80, SOCK_NONBLOCK).value();
  settle();
  Socket server = listener.accept(SOCK_NONBLOCK).value();
  std::string sent(1 << 20, '\0');
  for (size_t i = 0; i < sent.size(); ++i)
    sent[i] = static_cast<char>(i * 131 >> 3);
  std::string got;
  size_t at = 0;
  for (int i = 0; i < 10000 && got.size() < sent.size(); ++i) {
    const auto n = client.write(std::string_view(sent).substr(at));
    at += n.value_or(0);
    advance(Duration::from_us(100));
    got += read_some(server);
  }
  EXPECT_EQ(got.size(), sent.size());
  EXPECT_TRUE(got == sent);
}

TEST_F(StackTest, AConnectionIsRefusedWhereNobodyListens) {
  Socket client = Socket::connect(*a, "10.0.0.2", 81, SOCK_NONBLOCK).value();
  settle();
  EXPECT_EQ(client.error(), ECONNREFUSED);
  const Endpoint to = Endpoint::parse("10.0.0.2", 81).value();
  Socket second = Socket::create(*a, AF_INET, SOCK_STREAM | SOCK_NONBLOCK).value();
  EXPECT_EQ(second.connect(to).error(), Errno{EINPROGRESS});
  EXPECT_EQ(second.connect(to).error(), Errno{EALREADY});
  settle();
  EXPECT_EQ(second.connect(to).error(), Errno{ECONNREFUSED});
}

TEST_F(StackTest, ConnectTellsOfItsSuccessOnceAndThenThatItIsConnected) {
  Socket listener = Socket::listen(*b, "10.0.0.2", 80, 16, SOCK_NONBLOCK).value();
  const Endpoint to = Endpoint::parse("10.0.0.2", 80).value();
  Socket client = Socket::create(*a, AF_INET, SOCK_STREAM | SOCK_NONBLOCK).value();
  EXPECT_EQ(client.connect(to).error(), Errno{EINPROGRESS});
  settle();
  EXPECT_TRUE(client.connect(to));
  EXPECT_EQ(client.connect(to).error(), Errno{EISCONN});
}

TEST_F(StackTest, LoopbackWorksWithinOneStack) {
  Socket listener = Socket::listen(*a, "::", 80, 16, SOCK_NONBLOCK).value();
  Socket client = Socket::connect(*a, "127.0.0.1", 80, SOCK_NONBLOCK).value();
  settle();
  Endpoint peer;
  Socket server = listener.accept(SOCK_NONBLOCK, &peer).value();
  EXPECT_EQ(peer.host(), "::ffff:127.0.0.1");
  ASSERT_TRUE(client.write("over lo"));
  settle();
  EXPECT_EQ(read_some(server), "over lo");
}

TEST_F(StackTest, ThePollerCallsBackAndForgetsWhatIsRemoved) {
  Socket listener = Socket::listen(*b, "10.0.0.2", 80, 16, SOCK_NONBLOCK).value();
  Poller poller(*b);
  std::vector<Socket> accepted;
  std::string got;
  ASSERT_TRUE(poller.add(listener, EPOLLIN, [&](uint32_t) {
    while (auto s = listener.accept(SOCK_NONBLOCK)) {
      const int fd = s->fd();
      accepted.push_back(std::move(*s));
      ASSERT_TRUE(poller.add(fd, EPOLLIN | EPOLLRDHUP, [&, fd](uint32_t events) {
        Socket& me = *std::find_if(accepted.begin(), accepted.end(), [&](Socket& x) { return x.fd() == fd; });
        got += read_some(me);
        if ((events & EPOLLRDHUP) != 0) {
          poller.remove(fd);
          ASSERT_TRUE(me.close());
        }
      }));
    }
  }));
  Socket client = Socket::connect(*a, "10.0.0.2", 80, SOCK_NONBLOCK).value();
  settle();
  EXPECT_EQ(poller.dispatch(), 1);
  ASSERT_TRUE(client.write("x"));
  ASSERT_TRUE(client.shutdown(SHUT_WR));
  settle();
  EXPECT_EQ(poller.dispatch(), 1);
  EXPECT_EQ(got, "x");
  EXPECT_EQ(poller.size(), 1u);
  EXPECT_EQ(poller.dispatch(), 0);
}

TEST_F(StackTest, EpollSeesAConnectionsWholeLife) {
  Socket listener = Socket::listen(*b, "10.0.0.2", 80, 16, SOCK_NONBLOCK).value();
  const int ep = a->epoll_create1(0).value();
  Socket client = Socket::connect(*a, "10.0.0.2", 80, SOCK_NONBLOCK).value();
  epoll_event e{};
  e.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  ASSERT_TRUE(a->epoll_ctl(ep, EPOLL_CTL_ADD, client.fd(), &e));
  epoll_event out[4];
  EXPECT_EQ(a->epoll_wait(ep, out, 4, 0), 0);
  settle();
  ASSERT_EQ(a->epoll_wait(ep, out, 4, 0), 1);
  EXPECT_EQ(out[0].events, uint32_t{EPOLLOUT});
  Socket server = listener.accept(SOCK_NONBLOCK).value();
  ASSERT_TRUE(server.write("data"));
  settle();
  ASSERT_EQ(a->epoll_wait(ep, out, 4, 0), 1);
  EXPECT_EQ(out[0].events, uint32_t{EPOLLIN | EPOLLOUT});
  ASSERT_TRUE(server.close());
  settle();
  ASSERT_EQ(a->epoll_wait(ep, out, 4, 0), 1);
  EXPECT_EQ(out[0].events, uint32_t{EPOLLIN | EPOLLOUT | EPOLLRDHUP});
}

TEST_F(StackTest, LingerOfZeroResets) {
  Socket listener = Socket::listen(*b, "10.0.0.2", 80, 16, SOCK_NONBLOCK).value();
  Socket client = Socket::connect(*a, "10.0.0.2", 80, SOCK_NONBLOCK).value();
  settle();
  Socket server = listener.accept(SOCK_NONBLOCK).value();
  ASSERT_TRUE(client.set_option_value(SOL_SOCKET, SO_LINGER, linger{1, 0}));
  ASSERT_TRUE(client.close());
  settle();
  uint8_t one;
  EXPECT_EQ(server.read({&one, 1}).error(), Errno{ECONNRESET});
}

TEST_F(StackTest, TcpOptionsOfTheSocketLevelsReachTcp) {
  Socket s = Socket::create(*a, AF_INET, SOCK_STREAM).value();
  EXPECT_TRUE(s.set_option(IPPROTO_TCP, TCP_NODELAY, 1));
  EXPECT_EQ(s.get_option(IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_TRUE(s.set_option(SOL_SOCKET, SO_KEEPALIVE, 1));
  EXPECT_EQ(s.get_option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(s.get_option(SOL_SOCKET, SO_RCVBUF), 131072);
  EXPECT_EQ(s.get_option(SOL_SOCKET, SO_SNDBUF), 16384);
  EXPECT_EQ(s.get_option(IPPROTO_TCP, 9999).error(), Errno{ENOPROTOOPT});
}

TEST_F(StackTest, WithoutARunnerNothingBlocks) {
  Socket listener = Socket::listen(*b, "10.0.0.2", 80).value();
  EXPECT_EQ(listener.accept().error(), Errno{EAGAIN});
  Socket udp = Socket::bind_udp(*b, "10.0.0.2", 7000).value();
  uint8_t one;
  EXPECT_EQ(udp.read({&one, 1}).error(), Errno{EAGAIN});
  Socket client = Socket::create(*a, AF_INET, SOCK_STREAM).value();
  EXPECT_EQ(client.connect(Endpoint::parse("10.0.0.2", 80).value()).error(), Errno{EINPROGRESS});
  pollfd p{listener.fd(), POLLIN, 0};
  EXPECT_EQ(b->poll(&p, 1, -1), 0);
}

// A simulator's way: who waits turns the clock.
struct TurnRunner final : Runner {
  TwoStacks& net;
  explicit TurnRunner(TwoStacks& n) : net(n) {}
  Time enter() override { return net.now; }
  void leave() override {}
  Time now() override { return net.now; }
  void wake(Wakeup& w) override { w.set(); }
  WaitResult wait(Wakeup& w, Time deadline) override {
    for (int i = 0; i < 100000 && !w.is_set(); ++i) {
      net.settle();
      if (w.is_set()) break;
      const Time next = std::min({deadline, net.a->next_deadline(), net.b->next_deadline()});
      if (next == Time::never()) return WaitResult::kInterrupted;
      net.now = std::max(net.now, next);
      if (net.now >= deadline) return WaitResult::kTimeout;
    }
    return WaitResult::kWoken;
  }
};

TEST_F(StackTest, ARunnerMakesCallsBlockOnTheVirtualClock) {
  TurnRunner runner(*this);
  a->set_runner(&runner);
  Socket listener = Socket::listen(*b, "10.0.0.2", 80, 16, SOCK_NONBLOCK).value();
  Socket client = Socket::connect(*a, "10.0.0.2", 80).value();
  EXPECT_EQ(client.peer()->port(), 80);
  ASSERT_TRUE(client.set_option_value(SOL_SOCKET, SO_RCVTIMEO, timeval{2, 0}));
  const Time begun = now;
  uint8_t one;
  EXPECT_EQ(client.read({&one, 1}).error(), Errno{EAGAIN});
  EXPECT_EQ((now - begun).ms(), 2000);
  pollfd p{client.fd(), POLLIN, 0};
  EXPECT_EQ(a->poll(&p, 1, 500), 0);
  EXPECT_EQ((now - begun).ms(), 2500);
  const int ep = a->epoll_create1(0).value();
  epoll_event e{};
  e.events = EPOLLIN;
  ASSERT_TRUE(a->epoll_ctl(ep, EPOLL_CTL_ADD, client.fd(), &e));
  EXPECT_EQ(a->epoll_wait(ep, &e, 1, 500), 0);
  EXPECT_EQ((now - begun).ms(), 3000);
  a->set_runner(nullptr);
}

TEST_F(StackTest, CloseWithLingerWaitsForTheLastByte) {
  TurnRunner runner(*this);
  Socket listener = Socket::listen(*b, "10.0.0.2", 80, 16, SOCK_NONBLOCK).value();
  Socket client = Socket::connect(*a, "10.0.0.2", 80, SOCK_NONBLOCK).value();
  settle();
  Socket server = listener.accept(SOCK_NONBLOCK).value();
  ASSERT_TRUE(client.set_option_value(SOL_SOCKET, SO_LINGER, linger{1, 5}));
  ASSERT_TRUE(client.write("last words"));
  a->set_runner(&runner);
  const Time begun = now;
  ASSERT_TRUE(client.close());
  EXPECT_LT((now - begun).ms(), 100);
  EXPECT_EQ(read_some(server), "last words");
  a->set_runner(nullptr);
}

TEST_F(StackTest, WaitallAndLowWaterMarksWaitForEnough) {
  TurnRunner runner(*this);
  Socket listener = Socket::listen(*b, "10.0.0.2", 80, 16, SOCK_NONBLOCK).value();
  Socket client = Socket::connect(*a, "10.0.0.2", 80, SOCK_NONBLOCK).value();
  settle();
  Socket server = listener.accept(SOCK_NONBLOCK).value();
  ASSERT_TRUE(client.set_nonblocking(false));
  ASSERT_TRUE(server.write("12345"));
  settle();
  a->set_runner(&runner);
  ASSERT_TRUE(client.set_option_value(SOL_SOCKET, SO_RCVTIMEO, timeval{1, 0}));
  char text[10];
  const Time begun = now;
  EXPECT_EQ(a->recv(client.fd(), text, 10, MSG_WAITALL), 5u);  // what there was when time was up
  EXPECT_EQ((now - begun).ms(), 1000);
  ASSERT_TRUE(client.set_option(SOL_SOCKET, SO_RCVLOWAT, 6));
  ASSERT_TRUE(server.write("12345"));
  settle();
  pollfd p{client.fd(), POLLIN, 0};
  EXPECT_EQ(a->poll(&p, 1, 0), 0);
  ASSERT_TRUE(server.write("6"));
  settle();
  EXPECT_EQ(a->poll(&p, 1, 0), 1);
  EXPECT_EQ(a->recv(client.fd(), text, 10, 0), 6u);
  a->set_runner(nullptr);
}

TEST_F(StackTest, AfterARushMemoryGoesBackThoughNothingElseHappens) {
  const auto rush = [&] {
    std::vector<int> fds;
    for (int i = 0; i < 20'000; ++i)
      fds.push_back(a->socket(AF_INET, SOCK_STREAM, 0).value());
    for (const int fd : fds)
      EXPECT_TRUE(a->close(fd));
  };
  const SlabBase& socks = a->impl().tcp.socks;
  rush();
  const size_t grown = socks.bytes();
  ASSERT_GT(grown, 2u << 20);
  now = now + Duration::from_s(5);
  a->poll(now);
  EXPECT_EQ(socks.bytes(), grown) << "the next rush may need it";
  EXPECT_LE(a->next_deadline(), now + Duration::from_s(1)) << "nobody would look again";
  now = a->next_deadline();
  a->poll(now);
  EXPECT_LT(socks.bytes(), 1u << 17);
  EXPECT_EQ(a->next_deadline(), Time::never());
}

TEST_F(StackTest, TheSameSeedGivesTheSameRun) {
  auto run = [] {
    auto s = Stack::create(config_with_seed(9)).value();
    s->poll(Time::from_ns(5));
    Socket u = Socket::bind_udp(*s, "127.0.0.1", 0).value();
    return u.local()->port();
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace leat
