// What a Stack may take and gives back: descriptors (RLIMIT_NOFILE, fs.nr_open, fs.file-max), the memory of TCP's
// queues (tcp_mem), and everything that a burst of connections took.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <vector>

#include "stack/stack_impl.h"
#include "unit/stack/two_stacks.h"

namespace leat {
namespace {

int code(const Result<void>& r) {
  return r ? 0 : to_int(r.error());
}
int code(const Result<int>& r) {
  return r ? 0 : to_int(r.error());
}

struct Descriptors : testing::Test {
  std::unique_ptr<Stack> stack = Stack::create(config_with_seed(1)).value();
  Result<int> open() { return stack->socket(AF_INET, SOCK_STREAM, 0); }
};

TEST_F(Descriptors, beyond_the_soft_limit_there_is_EMFILE) {
  ASSERT_TRUE(stack->set_file_limit(3, 100));
  EXPECT_EQ(0, open().value());
  EXPECT_EQ(1, open().value());
  EXPECT_EQ(2, open().value());
  EXPECT_EQ(EMFILE, code(open()));
  EXPECT_EQ(EMFILE, code(stack->dup(0)));
  EXPECT_EQ(EBADF, code(stack->dup2(0, 3)));
  ASSERT_TRUE(stack->set_file_limit(4, 100));
  EXPECT_EQ(3, open().value());
}

TEST_F(Descriptors, what_is_open_beyond_a_lowered_limit_stays_open) {
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(open());
  ASSERT_TRUE(stack->set_file_limit(2, 2));
  sockaddr_storage a{};
  socklen_t length = sizeof a;
  EXPECT_TRUE(stack->getsockname(4, reinterpret_cast<sockaddr*>(&a), &length));
  EXPECT_TRUE(stack->close(0));
  EXPECT_EQ(0, open().value());
  EXPECT_EQ(EMFILE, code(open()));
}

TEST_F(Descriptors, limits_obey_the_rules_of_setrlimit) {
  EXPECT_EQ(std::pair(1048576u, 1048576u), stack->file_limit());
  EXPECT_EQ(EINVAL, code(stack->set_file_limit(11, 10)));
  EXPECT_EQ(EPERM, code(stack->set_file_limit(10, 1048577)));  // above fs.nr_open
  EXPECT_TRUE(stack->set_sysctl("fs.nr_open", "2000000"));
  EXPECT_TRUE(stack->set_file_limit(10, 2000000));
  EXPECT_TRUE(stack->set_file_limit(10, 20));
  EXPECT_TRUE(stack->set_file_limit(10, 30));  // who is privileged may raise it again
  StackConfig config = config_with_seed(2);
  config.privileged = false;
  auto other = Stack::create(config).value();
  EXPECT_TRUE(other->set_file_limit(10, 20));
  EXPECT_EQ(EPERM, code(other->set_file_limit(10, 21)));
  EXPECT_TRUE(other->set_file_limit(20, 20));
}

TEST_F(Descriptors, no_number_lies_beyond_nr_open_whatever_the_limit) {
  ASSERT_TRUE(stack->set_sysctl("fs.nr_open", "64"));
  for (int i = 0; i < 64; ++i)
    ASSERT_TRUE(open());
  EXPECT_EQ(EMFILE, code(open()));
}

TEST_F(Descriptors, a_stack_with_a_limit_above_nr_open_is_not_made) {
  StackConfig config = config_with_seed(2);
  config.max_files = 1048577;
  const auto refused = Stack::create(config);
  ASSERT_FALSE(refused);
  EXPECT_EQ(EPERM, to_int(refused.error()));
  config.sysctls = {{"fs.nr_open", "1048577"}};
  EXPECT_TRUE(Stack::create(config));
}

TEST_F(Descriptors, beyond_file_max_there_is_ENFILE_and_the_number_is_free_again) {
  ASSERT_TRUE(stack->set_sysctl("fs.file-max", "2"));
  ASSERT_TRUE(open());
  ASSERT_TRUE(open());
  EXPECT_EQ(ENFILE, code(open()));
  EXPECT_EQ(ENFILE, code(stack->epoll_create1(0)));
  EXPECT_TRUE(stack->dup(0));  // the same file
  ASSERT_TRUE(stack->set_sysctl("fs.file-max", "3"));
  EXPECT_EQ(3, open().value());
}

struct Memory : TwoStacks {
  Socket listener = Socket::listen(*a, "10.0.0.1", 80).value();
  Socket client, server;
  void open() {
    client = Socket::connect(*b, "10.0.0.1", 80, SOCK_NONBLOCK).value();
    settle();
    server = listener.accept(SOCK_NONBLOCK).value();
  }
  static int64_t pages(Stack& s) { return s.impl().tcp.counts.memory_pages.load(); }
  static bool is_under_pressure(Stack& s) { return s.impl().tcp.counts.under_pressure.load(); }
  // Bytes that `from` takes before it would block.
  size_t fill(Socket& from) {
    const std::vector<uint8_t> data(65536, 1);
    size_t sent = 0;
    for (int i = 0; i < 1000; ++i) {
      const auto n = from.stack().send(from.fd(), data.data(), data.size(), 0);
      if (!n) break;
      sent += *n;
      settle();
    }
    return sent;
  }
  void drain(Socket& s) {
    for (int i = 0; i < 1000 && !read_some(s).empty(); ++i)
      settle();
  }
};

TEST_F(Memory, of_queues_is_charged_while_they_hold_something) {
  open();
  EXPECT_EQ(0, pages(*a));
  const size_t sent = fill(client);
  EXPECT_GT(sent, 100'000u);
  EXPECT_GE(pages(*a) * 4096, 100'000);
  drain(server);
  advance(Duration::from_s(2));  // both sleep
  EXPECT_EQ(0, pages(*a));
  EXPECT_EQ(0, pages(*b));
}

TEST_F(Memory, of_a_closed_connection_is_not_charged) {
  open();
  fill(client);
  (void)server.close();
  (void)client.close();
  advance(Duration::from_s(70));
  EXPECT_EQ(0, pages(*a));
  EXPECT_EQ(0, pages(*b));
}

TEST_F(Memory, beyond_the_pressure_mark_is_pressure_until_below_the_low_one) {
  ASSERT_TRUE(a->set_sysctl("net.ipv4.tcp_mem", "2 8 100000"));
  open();
  fill(client);
  EXPECT_TRUE(is_under_pressure(*a));
  EXPECT_EQ(1u, a->counter("TcpExtTCPMemoryPressures"));
  advance(Duration::from_ms(500));
  drain(server);
  advance(Duration::from_s(2));
  EXPECT_FALSE(is_under_pressure(*a));
  EXPECT_GE(a->counter("TcpExtTCPMemoryPressuresChrono"), 500u);
}

TEST_F(Memory, beyond_the_high_mark_a_sender_waits_and_goes_on) {
  ASSERT_TRUE(b->set_sysctl("net.ipv4.tcp_mem", "4 6 8"));
  open();
  const std::vector<uint8_t> data(1 << 20, 1);
  const size_t first = b->send(client.fd(), data.data(), data.size(), 0).value();
  EXPECT_LT(first, 80'000u);  // without the mark it takes half a megabyte
  EXPECT_TRUE(is_under_pressure(*b));
  size_t received = 0;
  for (int i = 0; i < 200; ++i) {
    advance(Duration::from_ms(50));
    received += read_some(server, 1 << 20).size();
    (void)b->send(client.fd(), data.data(), 10'000, 0);
  }
  EXPECT_GT(received, 500'000u);
}

TEST_F(Memory, beyond_the_high_mark_a_receiver_keeps_its_least_buffer) {
  open();
  ASSERT_TRUE(a->set_sysctl("net.ipv4.tcp_mem", "0 0 1"));
  fill(client);
  advance(Duration::from_ms(300));
  EXPECT_GT(a->counter("TcpExtPruneCalled"), 0u);
  EXPECT_LE(pages(*a), 40);  // what it had when the mark was passed, and one segment
  ASSERT_TRUE(a->set_sysctl("net.ipv4.tcp_mem", "100000 200000 300000"));
  size_t received = 0;
  for (int i = 0; i < 400; ++i) {
    received += read_some(server, 1 << 20).size();
    advance(Duration::from_ms(100));
  }
  EXPECT_GT(received, 100'000u);  // nothing is lost
}

TEST_F(Memory, of_a_burst_goes_back_to_the_system) {
  constexpr int kConnections = 15'000;
  const int poller = b->epoll_create1(0).value();
  std::vector<int> here, there;
  for (int i = 0; i < kConnections; ++i) {
    auto c = Socket::connect(*b, "10.0.0.1", 80, SOCK_NONBLOCK).value();
    epoll_event e{.events = EPOLLIN, .data = {.fd = c.fd()}};
    b->epoll_ctl(poller, EPOLL_CTL_ADD, c.fd(), &e).value();
    here.push_back(c.release());
    if (i % 100 != 99) continue;
    settle();
    for (auto s = listener.accept(SOCK_NONBLOCK); s; s = listener.accept(SOCK_NONBLOCK))
      there.push_back(s->release());
  }
  ASSERT_EQ(there.size(), size_t{kConnections});
  advance(Duration::from_s(3));
  const tcp::Tcp& t = b->impl().tcp;
  EXPECT_EQ(size_t{kConnections}, t.dormants.in_use());
  EXPECT_LT(t.dormants.bytes(), kConnections * 110u);
  EXPECT_GT(t.socks.bytes(), kConnections * 160u);
  for (int fd : here)
    (void)b->close(fd);
  settle();
  for (int fd : there)
    (void)a->close(fd);
  advance(Duration::from_s(70));
  advance(Duration::from_s(2));
  for (Stack* s : {a.get(), b.get()}) {
    const tcp::Tcp& after = s->impl().tcp;
    EXPECT_LE(after.socks.in_use(), 1u);
    EXPECT_LE(after.socks.bytes(), 1u << 20);
    EXPECT_LE(after.conns.bytes(), 1u << 20);
    EXPECT_LE(after.time_waits.bytes(), 1u << 20);
    EXPECT_LE(after.dormants.bytes(), 1u << 20);
    EXPECT_LE(s->impl().sockets.bytes_of_files(), 1u << 20);
    EXPECT_LE(s->impl().sockets.bytes_of_items(), 1u << 20);
  }
}

}  // namespace
}  // namespace leat
