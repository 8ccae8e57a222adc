// The kernel as a drill target: a SYN is seen with its time, an answer is taken, a blocked call ends.
#include "sim/kernel/kernel_target.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <fstream>

namespace leat::drill {
namespace {

class KernelTargetTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    target = KernelTarget::create({}, why);
    if (target == nullptr) GTEST_SKIP() << why;
  }
  std::unique_ptr<PendingCall> connect(int fd) {
    return target->begin([fd](Calls& calls) {
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(8080);
      to.sin_addr.s_addr = inet_addr("192.0.2.1");
      return calls.connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    });
  }
  std::unique_ptr<KernelTarget> target;
};

TEST_F(KernelTargetTest, AConnectSendsASynThatIsSeenWithItsTimeAndStaysPendingUntilTheEnd) {
  const int fd = static_cast<int>(target->calls().socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_GE(fd, 0);
  const Time before = target->now();
  auto call = connect(fd);
  target->run_until(before + Duration::from_s(5));
  const auto sent = target->take_sent();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].bytes[0] >> 4, 4);
  EXPECT_EQ(sent[0].bytes[9], 6);
  EXPECT_GE(sent[0].at + Duration::from_ms(1), before);
  EXPECT_LE(sent[0].at, target->now());
  EXPECT_FALSE(call->is_done());
}

TEST_F(KernelTargetTest, SysctlsAndCountersAreThoseOfANamespaceOfItsOwn) {
  std::string why;
  EXPECT_TRUE(target->set_sysctl("net.ipv4.tcp_sack", "0", why)) << why;
  EXPECT_FALSE(target->set_sysctl("net.ipv4.no_such_thing", "0", why));
  EXPECT_EQ(target->counter("TcpActiveOpens"), 0u);
  auto call = connect(static_cast<int>(target->calls().socket(AF_INET, SOCK_STREAM, 0)));
  EXPECT_EQ(target->counter("TcpActiveOpens"), 1u);
}

// One more orphan is no harm to anybody meanwhile.
TEST_F(KernelTargetTest, LimitsOfTheMachineAreSetOnlyOnRequestAndPutBack) {
  const auto limit = [] {
    int64_t n = -1;
    std::ifstream("/proc/sys/net/ipv4/tcp_max_orphans") >> n;
    return n;
  };
  std::string why;
  EXPECT_FALSE(target->set_sysctl("net.ipv4.tcp_max_orphans", "1", why));
  EXPECT_NE(why.find("--machine-sysctls"), std::string::npos) << why;
  target = nullptr;  // back to the namespace of before
  const int64_t before = limit();
  if (before < 0 || getuid() != 0) GTEST_SKIP() << "skipped: not root in the machine's first namespace";
  target = KernelTarget::create({.may_set_machine = true}, why);
  ASSERT_NE(target, nullptr) << why;
  EXPECT_TRUE(target->set_sysctl("net.ipv4.tcp_max_orphans", std::to_string(before + 1), why)) << why;
  EXPECT_TRUE(target->set_sysctl("net.ipv4.tcp_max_orphans", std::to_string(before + 2), why)) << why;
  target = nullptr;
  EXPECT_EQ(limit(), before);
}

TEST_F(KernelTargetTest, ScriptsReachNeitherTheRestOfTheMachineNorAShell) {
  std::string why;
  EXPECT_FALSE(target->set_sysctl("kernel.domainname", "x", why));
  EXPECT_NE(why.find("the whole machine's"), std::string::npos) << why;
  for (const char* command : {"ip link $(true)", "ip link `true`", "ip link; true", "ip link | cat", "ip link > x"})
    EXPECT_FALSE(target->configure(command, why)) << command;
  EXPECT_TRUE(target->configure("ip link show dev tun0", why)) << why;
}

TEST_F(KernelTargetTest, OnlyDescriptorsThatItMadeMayBeClosed) {
  EXPECT_EQ(target->calls().close(0), -EBADF);
}

}  // namespace
}  // namespace leat::drill
