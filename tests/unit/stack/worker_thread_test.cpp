// A Worker runs the Stack, and calls from many threads block.
#include <poll.h>

#include <atomic>
#include <thread>

#include "leat/worker.h"
#include "link/memory_link.h"
#include "two_stacks.h"

namespace leat {
namespace {

struct WorkerTest : testing::Test {
  std::unique_ptr<Stack> stack = Stack::create(config_with_seed(1)).value();
  Worker worker{*stack};
  WorkerTest() { EXPECT_TRUE(worker.start()); }
};

TEST_F(WorkerTest, ABlockedReceiveReturnsWhenADatagramComes) {
  Socket server = Socket::bind_udp(*stack, "127.0.0.1", 7000).value();
  std::atomic<int> got = 0;
  std::thread reader([&] {
    uint8_t buffer[16];
    Endpoint from;
    while (got < 100) {
      if (server.receive_from(buffer, from)) ++got;
    }
  });
  Socket client = Socket::bind_udp(*stack, "127.0.0.1", 0).value();
  const Endpoint to = Endpoint::parse("127.0.0.1", 7000).value();
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(client.send_to(bytes("x"), to));
  reader.join();
  EXPECT_EQ(got, 100);
}

TEST_F(WorkerTest, PingPongBetweenTwoThreads) {
  Socket server = Socket::bind_udp(*stack, "127.0.0.1", 7000).value();
  std::thread echo([&] {
    uint8_t buffer[16];
    Endpoint from;
    for (int i = 0; i < 500; ++i) {
      const auto n = server.receive_from(buffer, from);
      ASSERT_TRUE(n);
      ASSERT_TRUE(server.send_to({buffer, *n}, from));
    }
  });
  Socket client = Socket::bind_udp(*stack, "127.0.0.1", 0).value();
  ASSERT_TRUE(client.connect(Endpoint::parse("127.0.0.1", 7000).value()));
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(client.write("ping"));
    uint8_t buffer[16];
    ASSERT_EQ(client.read(buffer), 4u);
  }
  echo.join();
}

TEST_F(WorkerTest, TimeOutsEnd) {
  Socket s = Socket::bind_udp(*stack, "127.0.0.1", 7000).value();
  ASSERT_TRUE(s.set_option_value(SOL_SOCKET, SO_RCVTIMEO, timeval{0, 20'000}));
  uint8_t one;
  EXPECT_EQ(s.read({&one, 1}).error(), Errno{EAGAIN});
  pollfd p{s.fd(), POLLIN, 0};
  EXPECT_EQ(stack->poll(&p, 1, 10), 0);
  const int ep = stack->epoll_create1(0).value();
  epoll_event e{};
  EXPECT_EQ(stack->epoll_wait(ep, &e, 1, 10), 0);
}

TEST_F(WorkerTest, StopInterruptsWhoBlocks) {
  Socket s = Socket::bind_udp(*stack, "127.0.0.1", 7000).value();
  std::atomic<int> error = 0;
  std::atomic<bool> is_there = false;
  std::thread reader([&] {
    uint8_t one;
    is_there = true;
    error = to_int(s.read({&one, 1}).error());
  });
  while (!is_there)
    std::this_thread::yield();
  worker.stop();
  reader.join();
  EXPECT_TRUE(error == EINTR || error == EAGAIN) << error;
  EXPECT_TRUE(worker.start());
}

TEST_F(WorkerTest, ManyThreadsShareOneEpoll) {
  constexpr int kThreads = 4;
  constexpr int kSockets = 8;
  constexpr int kMessages = 200;
  const int ep = stack->epoll_create1(0).value();
  std::vector<Socket> socks;
  for (uint16_t i = 0; i < kSockets; ++i) {
    socks.push_back(Socket::bind_udp(*stack, "127.0.0.1", static_cast<uint16_t>(7000 + i), SOCK_NONBLOCK).value());
    epoll_event e{};
    e.events = EPOLLIN | (i % 2 == 0 ? uint32_t{EPOLLET} : 0u);
    e.data.fd = socks.back().fd();
    ASSERT_TRUE(stack->epoll_ctl(ep, EPOLL_CTL_ADD, socks.back().fd(), &e));
  }
  std::atomic<int> got = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      while (got < kMessages) {
        epoll_event events[4];
        const int n = stack->epoll_wait(ep, events, 4, 50).value_or(0);
        for (int i = 0; i < n; ++i) {
          char buffer[16];
          while (stack->recv(events[i].data.fd, buffer, sizeof buffer, 0))
            ++got;
        }
      }
    });
  }
  Socket client = Socket::bind_udp(*stack, "127.0.0.1", 0).value();
  for (int i = 0; i < kMessages; ++i) {
    const auto port = static_cast<uint16_t>(7000 + i % kSockets);
    ASSERT_TRUE(client.send_to(bytes("x"), Endpoint::parse("127.0.0.1", port).value()));
  }
  for (auto& t : threads)
    t.join();
  EXPECT_EQ(got, kMessages);
}

TEST_F(WorkerTest, DescriptorsOpenAndCloseOnManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const int ep = stack->epoll_create1(0).value();
      for (int i = 0; i < 300; ++i) {
        Socket s = Socket::bind_udp(*stack, "127.0.0.1", 0).value();
        epoll_event e{};
        e.events = EPOLLIN | EPOLLOUT;
        ASSERT_TRUE(stack->epoll_ctl(ep, EPOLL_CTL_ADD, s.fd(), &e));
        ASSERT_TRUE(s.connect(Endpoint::parse("127.0.0.1", static_cast<uint16_t>(9000 + t)).value()));
        (void)s.write("x");
        const int copy = stack->dup(s.fd()).value();
        ASSERT_TRUE(s.close());
        ASSERT_TRUE(stack->close(copy));
        (void)stack->epoll_wait(ep, &e, 1, 0);
      }
      ASSERT_TRUE(stack->close(ep));
    });
  }
  for (auto& t : threads)
    t.join();
}

TEST_F(WorkerTest, TcpBlocksFromAcceptToTheLastByte) {
  Socket listener = Socket::listen(*stack, "127.0.0.1", 80).value();
  constexpr size_t kBytes = 4 << 20;
  std::thread server([&] {
    Socket s = listener.accept().value();
    std::vector<uint8_t> buffer(65536);
    size_t got = 0;
    bool is_right = true;
    for (;;) {
      const auto n = s.read(buffer);
      ASSERT_TRUE(n);
      if (*n == 0) break;
      for (size_t i = 0; i < *n; ++i)
        is_right &= buffer[i] == static_cast<uint8_t>((got + i) * 7);
      got += *n;
    }
    EXPECT_EQ(got, kBytes);
    EXPECT_TRUE(is_right);
    ASSERT_TRUE(s.write("done"));
  });
  Socket client = Socket::connect(*stack, "127.0.0.1", 80).value();
  std::vector<uint8_t> data(kBytes);
  for (size_t i = 0; i < kBytes; ++i)
    data[i] = static_cast<uint8_t>(i * 7);
  EXPECT_EQ(client.write(std::span<const uint8_t>(data)), kBytes);
  ASSERT_TRUE(client.shutdown(SHUT_WR));
  char text[8];
  EXPECT_EQ(stack->recv(client.fd(), text, 4, MSG_WAITALL), 4u);
  server.join();
}

// One connection for each of those who wait, however close one comes behind the other.
TEST_F(WorkerTest, EachConnectionWakesAnAcceptOfItsOwn) {
  Socket listener = Socket::listen(*stack, "127.0.0.1", 80).value();
  for (int round = 0; round < 200; ++round) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
      threads.emplace_back([&] { EXPECT_TRUE(listener.accept()); });
    for (int t = 0; t < 2; ++t)
      (void)Socket::connect(*stack, "127.0.0.1", 80).value();
    for (auto& t : threads)
      t.join();
  }
}

TEST_F(WorkerTest, ConnectionsComeAndGoOnManyThreads) {
  constexpr int kClients = 3;
  constexpr int kEach = 60;
  Socket listener = Socket::listen(*stack, "127.0.0.1", 80).value();
  std::atomic<int> served = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (auto s = listener.accept()) {
        uint8_t buffer[64];
        const auto n = s->read(buffer);
        if (!n || *n == 0) break;  // the last client says nothing
        EXPECT_TRUE(s->write(std::span<const uint8_t>(buffer, *n)));
        ++served;
      }
    });
  }
  std::vector<std::thread> clients;
  for (int t = 0; t < kClients; ++t) {
    clients.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        Socket s = Socket::connect(*stack, "127.0.0.1", 80).value();
        ASSERT_TRUE(s.set_option(SOL_SOCKET, SO_KEEPALIVE, 1));
        ASSERT_EQ(s.write("hello"), 5u);
        uint8_t buffer[64];
        ASSERT_EQ(s.read(buffer), 5u);
        uint8_t one;
        ASSERT_EQ(s.read({&one, 1}), 0u);
      }
    });
  }
  for (auto& c : clients)
    c.join();
  EXPECT_EQ(served, kClients * kEach);
  for (size_t i = 0; i < threads.size(); ++i)
    (void)Socket::connect(*stack, "127.0.0.1", 80).value();
  for (auto& t : threads)
    t.join();
}

TEST_F(WorkerTest, OptionsChangeWhileDataFlows) {
  Socket server = Socket::bind_udp(*stack, "127.0.0.1", 7000).value();
  ASSERT_TRUE(server.set_option_value(SOL_SOCKET, SO_RCVTIMEO, timeval{0, 5000}));
  std::atomic<bool> is_done = false;
  std::thread reader([&] {
    uint8_t buffer[16];
    Endpoint from;
    while (!is_done)
      (void)server.receive_from(buffer, from);
  });
  std::thread changer([&] {
    for (int i = 0; i < 500; ++i) {
      ASSERT_TRUE(server.set_option(IPPROTO_IP, IP_RECVTTL, i % 2));
      ASSERT_TRUE(server.set_option_value(SOL_SOCKET, SO_RCVTIMEO, timeval{0, 1000 + i}));
    }
  });
  Socket client = Socket::bind_udp(*stack, "127.0.0.1", 0).value();
  for (int i = 0; i < 500; ++i)
    ASSERT_TRUE(client.send_to(bytes("x"), Endpoint::parse("127.0.0.1", 7000).value()));
  changer.join();
  is_done = true;
  reader.join();
}

TEST(WorkerPair, TwoStacksOnTwoWorkersMeetOverAMemoryLink) {
  auto a = Stack::create(config_with_seed(1)).value();
  auto b = Stack::create(config_with_seed(2)).value();
  Worker run_a(*a);
  Worker run_b(*b);
  auto kick = [](void* w) { static_cast<Worker*>(w)->kick(); };
  MemoryPairOptions options;
  options.ready[0] = {kick, &run_a};
  options.ready[1] = {kick, &run_b};
  auto [left, right] = make_memory_pair(options);
  TwoStacks::join(*a, std::move(left), "10.0.0.1/24", "fd00::1/64");
  TwoStacks::join(*b, std::move(right), "10.0.0.2/24", "fd00::2/64");
  ASSERT_TRUE(run_a.start());
  ASSERT_TRUE(run_b.start());
  {
    Socket server = Socket::bind_udp(*b, "10.0.0.2", 7000).value();
    Socket client = Socket::bind_udp(*a, "10.0.0.1", 0).value();
    ASSERT_TRUE(client.connect(Endpoint::parse("10.0.0.2", 7000).value()));
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(client.write("ping"));
      uint8_t buffer[16];
      Endpoint from;
      ASSERT_EQ(server.receive_from(buffer, from), 4u);
      ASSERT_TRUE(server.send_to({buffer, 4}, from));
      ASSERT_EQ(client.read(buffer), 4u);
    }
  }
  run_a.stop();
  run_b.stop();
}

}  // namespace
}  // namespace leat
