// A connection that idles gives its state back and goes on as if nothing had been.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>

#include "leat/stack.h"
#include "link/memory_link.h"
#include "stack/stack_impl.h"
#include "tcp/info.h"

namespace leat {
namespace {

class Dormant : public testing::TestWithParam<int> {
 protected:
  Dormant() {
    auto [x, y] = make_memory_pair({});
    server_ = make(1, std::move(x), "10.0.0.1/24", "fd00::1/64");
    client_ = make(2, std::move(y), "10.0.0.2/24", "fd00::2/64");
    const int domain = GetParam();
    socklen_t length = 0;
    const sockaddr_storage to = address(domain, &length);
    listener_ = server_->socket(domain, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
    server_->bind(listener_, reinterpret_cast<const sockaddr*>(&to), length).value();
    server_->listen(listener_, 8).value();
    c_ = client_->socket(domain, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
    (void)client_->connect(c_, reinterpret_cast<const sockaddr*>(&to), length);
    pass(Duration::from_ms(10));
    s_ = server_->accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK).value();
  }
  ~Dormant() override {
    (void)client_->close(c_);
    (void)server_->close(s_);
    (void)server_->close(listener_);
    pass(Duration::from_s(130));
  }

  static sockaddr_storage address(int domain, socklen_t* length) {
    sockaddr_storage s{};
    if (domain == AF_INET) {
      auto& a = reinterpret_cast<sockaddr_in&>(s);
      a.sin_family = AF_INET;
      a.sin_port = htons(80);
      a.sin_addr.s_addr = htonl(0x0a000001);
      *length = sizeof a;
    } else {
      auto& a = reinterpret_cast<sockaddr_in6&>(s);
      a.sin6_family = AF_INET6;
      a.sin6_port = htons(80);
      a.sin6_addr.s6_addr[0] = 0xfd;
      a.sin6_addr.s6_addr[15] = 1;
      *length = sizeof a;
    }
    return s;
  }

  std::unique_ptr<Stack> make(uint8_t seed, std::unique_ptr<Link> link, const char* v4, const char* v6) {
    StackConfig config;
    config.seed.fill(seed);
    auto stack = Stack::create(config).value();
    const int ifindex = stack->add_link("mem0", std::move(link)).value();
    stack->add_address(ifindex, v4).value();
    stack->add_address(ifindex, v6).value();
    return stack;
  }

  void pass(Duration d) {  // in steps, so that timers meet segments
    const Time end = now_ + d;
    while (now_ < end) {
      now_ = now_ + Duration::from_ms(1);
      for (int i = 0; i < 3; ++i) {
        client_->poll(now_);
        server_->poll(now_);
      }
      const Time next = std::min(client_->next_deadline(), server_->next_deadline());
      if (next > now_ + Duration::from_ms(2)) now_ = std::min(next, end);
    }
  }

  void exchange(size_t bytes) {
    std::string out(bytes, 'x'), in(bytes, 0);
    ASSERT_EQ(client_->send(c_, out.data(), bytes, 0).value(), bytes);
    pass(Duration::from_ms(100));
    ASSERT_EQ(server_->recv(s_, in.data(), bytes, 0).value(), bytes);
    ASSERT_EQ(in, out);
    ASSERT_EQ(server_->send(s_, out.data(), bytes, 0).value(), bytes);
    pass(Duration::from_ms(100));
    ASSERT_EQ(client_->recv(c_, in.data(), bytes, 0).value(), bytes);
  }

  static tcp::TcpInfo info(Stack& stack, int fd) {
    tcp::TcpInfo i{};
    socklen_t n = sizeof i;
    stack.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n).value();
    i.last_data_sent = i.last_data_recv = i.last_ack_recv = 0;  // time passes for those who sleep, too
    return i;
  }
  size_t awake(Stack& stack) { return stack.impl().tcp.conns.in_use(); }
  size_t asleep(Stack& stack) { return stack.impl().tcp.dormants.in_use(); }

  Time now_ = Time::from_ns(5'000'000'000);
  std::unique_ptr<Stack> server_, client_;
  int listener_ = -1, c_ = -1, s_ = -1;
};

TEST_P(Dormant, AnIdleConnectionGivesItsStateBackAndShowsTheSameInfo) {
  exchange(5000);
  const auto before_client = info(*client_, c_), before_server = info(*server_, s_);
  EXPECT_EQ(awake(*client_), 1u);
  pass(Duration::from_s(3));
  EXPECT_EQ(awake(*client_), 0u);
  EXPECT_EQ(asleep(*client_), 1u);
  EXPECT_EQ(awake(*server_), 1u);  // the listener
  EXPECT_EQ(asleep(*server_), 1u);
  const auto after_client = info(*client_, c_), after_server = info(*server_, s_);
  EXPECT_EQ(std::memcmp(&before_client, &after_client, sizeof before_client), 0);
  EXPECT_EQ(std::memcmp(&before_server, &after_server, sizeof before_server), 0);
}

TEST_P(Dormant, ASleepingConnectionWakesForDataOfEitherEnd) {
  for (int i = 0; i < 5; ++i) {
    exchange(20000);
    pass(Duration::from_s(2));
    ASSERT_EQ(awake(*client_), 0u);
  }
  EXPECT_EQ(info(*client_, c_).bytes_acked, 100001u);  // the SYN counts, as on Linux
  EXPECT_EQ(info(*server_, s_).bytes_received, 100000u);
}

TEST_P(Dormant, AFinWakesIt) {
  exchange(100);
  pass(Duration::from_s(2));
  ASSERT_EQ(awake(*client_), 0u);
  server_->shutdown(s_, SHUT_WR).value();
  pass(Duration::from_ms(10));
  char byte;
  EXPECT_EQ(client_->recv(c_, &byte, 1, 0).value(), 0u);
}

TEST_P(Dormant, KeepaliveProbesASleepingConnectionAndItSleepsAgain) {
  const int one = 1, idle = 10;
  client_->setsockopt(c_, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one).value();
  client_->setsockopt(c_, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle).value();
  client_->setsockopt(c_, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof idle).value();
  exchange(100);
  pass(Duration::from_s(35));
  EXPECT_GE(client_->counter("TcpExtTCPKeepAlive"), 3u);
  EXPECT_EQ(awake(*client_), 0u);
  exchange(100);
}

TEST_P(Dormant, ASleepingConnectionIsWritableAndHasNothingToRead) {
  exchange(100);
  pass(Duration::from_s(2));
  pollfd p{c_, POLLIN | POLLOUT, 0};
  EXPECT_EQ(client_->poll(&p, 1, 0).value(), 1);
  EXPECT_EQ(p.revents, POLLOUT);
  char byte;
  EXPECT_EQ(client_->recv(c_, &byte, 1, 0).error(), Errno{EAGAIN});
  EXPECT_EQ(awake(*client_), 0u);
}

INSTANTIATE_TEST_SUITE_P(Families, Dormant, testing::Values(AF_INET, AF_INET6),
                         [](const auto& p) { return p.param == AF_INET ? "v4" : "v6"; });

}  // namespace
}  // namespace leat
