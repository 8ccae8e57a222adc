// The table itself: every row is complete, and a row that does not work fails and says so.
#include "socket/options.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <set>

#include "host.h"

namespace leat::socket {
namespace {

TEST(OptionTable, EveryRowIsWhatItsStatusSays) {
  for (const auto& rows : {socket_options(), ip_options(), ipv6_options(), udp_options()}) {
    std::set<int> names;
    for (const OptionRow& r : rows) {
      EXPECT_TRUE(names.insert(r.name).second) << r.text << " is there twice";
      const bool has_get = r.get != nullptr || r.get_bytes != nullptr;
      const bool has_set = r.set != nullptr || r.set_bytes != nullptr;
      switch (r.status) {
        case OptionStatus::kWorks:
          EXPECT_TRUE(has_set) << r.text;
          break;
        case OptionStatus::kReadOnly:
          EXPECT_TRUE(has_get && !has_set) << r.text;
          break;
        case OptionStatus::kFails:
          EXPECT_TRUE(!has_get && !has_set) << r.text;
      }
    }
  }
}

TEST(OptionTable, WhatIsNotImplementedFailsBothWays) {
  Host h;
  const int fd = h.sockets.socket(AF_INET6, SOCK_DGRAM, 0).value();
  for (const auto& rows : {socket_options(), ip_options(), ipv6_options(), udp_options()}) {
    for (const OptionRow& r : rows) {
      if (r.status != OptionStatus::kFails) continue;
      uint8_t value[64] = {1};
      socklen_t n = sizeof value;
      const int want = r.fails_with != 0 ? r.fails_with : ENOPROTOOPT;
      EXPECT_EQ(code(h.sockets.setsockopt(fd, r.level, r.name, value, sizeof value)), want) << r.text;
      EXPECT_EQ(code(h.sockets.getsockopt(fd, r.level, r.name, value, &n)), want) << r.text;
    }
  }
}

// Every option that works takes back what it gives, except those that change it on purpose.
TEST(OptionTable, IntegersReadBackWhatWasSet) {
  Host h;
  const int fd = h.sockets.socket(AF_INET6, SOCK_DGRAM, 0).value();
  for (const auto& rows : {socket_options(), ip_options(), ipv6_options()}) {
    for (const OptionRow& r : rows) {
      if (r.type != OptionType::kBool || r.status != OptionStatus::kWorks) continue;
      for (int want : {1, 0}) {
        ASSERT_EQ(code(h.sockets.setsockopt(fd, r.level, r.name, &want, sizeof want)), 0) << r.text;
        int got = -1;
        socklen_t n = sizeof got;
        ASSERT_EQ(code(h.sockets.getsockopt(fd, r.level, r.name, &got, &n)), 0) << r.text;
        EXPECT_EQ(got, want) << r.text;
        EXPECT_EQ(n, 4u) << r.text;
      }
    }
  }
}

// What a kernel says to the same calls.
TEST(OptionLevels, ShortValuesAndStrangeLevelsFailAsOnLinux) {
  Host h;
  const int tcp = h.sockets.socket(AF_INET, SOCK_STREAM, 0).value();
  const int udp6 = h.sockets.socket(AF_INET6, SOCK_DGRAM, 0).value();
  const auto set = [&](int fd, int level, int name, int value, socklen_t n = 4) {
    return code(h.sockets.setsockopt(fd, level, name, &value, n));
  };
  const auto get = [&](int fd, int level, int name) {
    int value = 0;
    socklen_t n = sizeof value;
    const auto r = h.sockets.getsockopt(fd, level, name, &value, &n);
    return r ? value : -code(r);
  };
  EXPECT_EQ(set(tcp, SOL_SOCKET, SO_TYPE, 1, 3), EINVAL);
  EXPECT_EQ(set(tcp, SOL_SOCKET, 120, 1, 0), EINVAL);  // there is no such option
  EXPECT_EQ(set(tcp, SOL_SOCKET, 120, 1), ENOPROTOOPT);
  EXPECT_EQ(set(udp6, IPPROTO_UDP, 120, 1, 3), EINVAL);
  EXPECT_EQ(set(tcp, IPPROTO_IP, IP_FREEBIND, 1, 0), EINVAL);
  EXPECT_EQ(set(tcp, IPPROTO_IP, IP_TOS, 1, 0), 0);
  EXPECT_EQ(set(udp6, IPPROTO_IPV6, IPV6_DONTFRAG, 1, 1), 0);
  EXPECT_EQ(get(udp6, IPPROTO_IPV6, IPV6_DONTFRAG), 0);
  EXPECT_EQ(get(tcp, IPPROTO_UDP, 1), -EOPNOTSUPP);
  EXPECT_EQ(get(udp6, IPPROTO_TCP, 1), -ENOPROTOOPT);
  EXPECT_EQ(set(tcp, SOL_SOCKET, SO_PRIORITY, 70000), 0);
  EXPECT_EQ(get(tcp, SOL_SOCKET, SO_PRIORITY), 70000);
  EXPECT_EQ(set(tcp, SOL_SOCKET, SO_BINDTOIFINDEX, 99), 0);  // it may come
  EXPECT_EQ(get(tcp, SOL_SOCKET, SO_BINDTOIFINDEX), 99);
}

}  // namespace
}  // namespace leat::socket
