// The table itself: every row is complete, and a row that does not work fails and says so.
#include "socket/options.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace leat::socket
