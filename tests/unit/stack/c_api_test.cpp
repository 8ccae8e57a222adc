// leat.h: results and errno.
#include "leat/leat.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <cstddef>
#include <cstring>
#include <string>

namespace {

struct CApi : testing::Test {
  leat_stack* s = leat_stack_create(nullptr);
  ~CApi() override { leat_stack_destroy(s); }
  static sockaddr_in loopback(uint16_t port) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return a;
  }
};

TEST_F(CApi, FailuresAreMinusOneAndErrno) {
  errno = 0;
  EXPECT_EQ(leat_socket(s, AF_UNIX, SOCK_STREAM, 0), -1);
  EXPECT_EQ(errno, EAFNOSUPPORT);
  EXPECT_EQ(leat_close(s, 7), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(leat_stack_set_sysctl(s, "net.ipv4.no_such", "1"), -1);
  EXPECT_EQ(errno, ENOENT);
  char text[4];
  EXPECT_EQ(leat_stack_get_sysctl(s, "net.core.somaxconn", text, sizeof text), -1);
  EXPECT_EQ(errno, ERANGE);
}

// Who was compiled before there was `memory` gives a smaller struct, and gets the limits of this machine.
TEST_F(CApi, LimitsAreThoseOfTheMachineOrOfTheMemoryThatIsGiven) {
  const auto tcp_mem = [](const leat_config& config) {
    leat_stack* made = leat_stack_create(&config);
    char text[64] = "";
    EXPECT_GT(leat_stack_get_sysctl(made, "net.ipv4.tcp_mem", text, sizeof text), 0);
    leat_stack_destroy(made);
    return std::string(text);
  };
  leat_config config{};
  config.size = sizeof config;
  const std::string of_machine = tcp_mem(config);
  config.memory = uint64_t{1} << 30;
  EXPECT_EQ(tcp_mem(config), "11496\t15328\t22992");
  config.size = offsetof(leat_config, memory);
  EXPECT_EQ(tcp_mem(config), of_machine);
}

TEST_F(CApi, ADatagramOverLoopbackByHandTurnedStack) {
  const int in = leat_socket(s, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  const int out = leat_socket(s, AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in a = loopback(7000);
  ASSERT_EQ(leat_bind(s, in, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
  ASSERT_EQ(leat_sendto(s, out, "abc", 3, 0, reinterpret_cast<const sockaddr*>(&a), sizeof a), 3);
  EXPECT_EQ(leat_stack_poll(s, 1'000'000), 0);
  char buffer[8];
  EXPECT_EQ(leat_read(s, in, buffer, sizeof buffer), 3);
  EXPECT_EQ(leat_read(s, in, buffer, sizeof buffer), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(leat_fcntl(s, in, F_GETFL), O_RDWR | O_NONBLOCK);
  int zero = 0;
  EXPECT_EQ(leat_ioctl(s, in, FIONBIO, &zero), 0);
  EXPECT_EQ(leat_fcntl(s, in, F_GETFL), O_RDWR);
  EXPECT_EQ(leat_stack_counter(s, "UdpInDatagrams"), 1u);
}

TEST_F(CApi, StartedStacksBlock) {
  ASSERT_EQ(leat_stack_start(s), 0);
  EXPECT_EQ(leat_stack_start(s), -1);
  EXPECT_EQ(errno, EALREADY);
  const int in = leat_socket(s, AF_INET, SOCK_DGRAM, 0);
  const sockaddr_in a = loopback(7000);
  ASSERT_EQ(leat_bind(s, in, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
  const int out = leat_socket(s, AF_INET, SOCK_DGRAM, 0);
  ASSERT_EQ(leat_connect(s, out, reinterpret_cast<const sockaddr*>(&a), sizeof a), 0);
  ASSERT_EQ(leat_write(s, out, "abc", 3), 3);
  char buffer[8];
  EXPECT_EQ(leat_read(s, in, buffer, sizeof buffer), 3);
  leat_stack_stop(s);
}

}  // namespace
