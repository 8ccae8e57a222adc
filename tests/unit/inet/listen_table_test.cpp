#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "inet/tables.h"
#include "support.h"

namespace leat::inet::test {
namespace {

class ListenTableTest : public testing::Test {
 protected:
  template <class S>
  Sock* listen(std::deque<S>& in, const char* address, uint16_t port) {
    S& s = in.emplace_back();
    s.set_addresses(ip(address), IpAddress::any(s.family));
    s.local_port = port;
    s.kind = Kind::kListener;
    s.state = static_cast<uint8_t>(State::kListen);
    table.insert(&s);
    return &s;
  }
  Sock* listen4(const char* address, uint16_t port) { return listen(four, address, port); }
  Sock* listen6(const char* address, uint16_t port, bool v6only = false) {
    Sock6& s = six.emplace_back();
    s.v6only = v6only;
    s.set_addresses(ip(address), IpAddress::any(Family::kIpv6));
    s.local_port = port;
    s.state = static_cast<uint8_t>(State::kListen);
    table.insert(&s);
    return &s;
  }
  Sock* find(const char* local, uint16_t port, uint16_t ifindex = 1, uint16_t remote_port = 4000) {
    const IpAddress l = ip(local);
    Sock* s = table.lookup({l, l.is_v4() ? ip("192.0.2.9") : ip("fd00::9"), port, remote_port}, ifindex);
    if (s != nullptr) s->put();
    return s;
  }
  Rng rng{seed_of(1)};
  ListenTable table{rng};
  std::deque<Sock4> four;
  std::deque<Sock6> six;
};

TEST_F(ListenTableTest, TheExactAddressComesBeforeTheWildcard) {
  Sock* any = listen4("0.0.0.0", 80);
  Sock* exact = listen4("10.0.0.1", 80);
  EXPECT_EQ(find("10.0.0.1", 80), exact);
  EXPECT_EQ(find("10.0.0.2", 80), any);
  EXPECT_EQ(find("10.0.0.1", 81), nullptr);
  EXPECT_EQ(any->refs, 1u);
  table.remove(exact);
  EXPECT_EQ(find("10.0.0.1", 80), any);
  table.remove(any);
  table.remove(any);
  EXPECT_EQ(find("10.0.0.1", 80), nullptr);
}

TEST_F(ListenTableTest, AV6WildcardTakesIpv4OnlyWhenNoIpv4SocketDoes) {
  Sock* dual = listen6("::", 80);
  EXPECT_EQ(find("fd00::1", 80), dual);
  EXPECT_EQ(find("10.0.0.1", 80), dual);
  Sock* v4 = listen4("0.0.0.0", 80);
  EXPECT_EQ(find("10.0.0.1", 80), v4);
  EXPECT_EQ(find("fd00::1", 80), dual);
}

TEST_F(ListenTableTest, V6OnlyTakesNoIpv4AndMappedTakesNoIpv6) {
  Sock* only = listen6("::", 80, true);
  EXPECT_EQ(find("10.0.0.1", 80), nullptr);
  EXPECT_EQ(find("fd00::1", 80), only);
  Sock* mapped = listen6("::ffff:10.0.0.1", 81);
  EXPECT_EQ(find("10.0.0.1", 81), mapped);
  Sock* mapped_any = listen6("::ffff:0.0.0.0", 82);
  EXPECT_EQ(find("10.0.0.1", 82), mapped_any);
  EXPECT_EQ(find("fd00::1", 82), nullptr);
}

TEST_F(ListenTableTest, TheDeviceCountsMoreThanNone) {
  Sock* any_device = listen4("0.0.0.0", 80);
  Sock4& s = four.emplace_back();
  s.bound_ifindex = 2;
  s.local_port = 80;
  s.state = static_cast<uint8_t>(State::kListen);
  table.insert(&s);
  EXPECT_EQ(find("10.0.0.1", 80, 2), &s);
  EXPECT_EQ(find("10.0.0.1", 80, 3), any_device);
}

TEST_F(ListenTableTest, OneThatIsBeingClosedIsNotFound) {
  Sock* s = listen4("0.0.0.0", 80);
  s->state = static_cast<uint8_t>(State::kClose);
  EXPECT_EQ(find("10.0.0.1", 80), nullptr);
  s->state = static_cast<uint8_t>(State::kListen);
  s->refs = 0;
  EXPECT_EQ(find("10.0.0.1", 80), nullptr);
}

class ReusePortTest : public ListenTableTest {
 protected:
  ReusePortTest() {
    for (int i = 0; i < 4; ++i) {
      members.push_back(listen4("0.0.0.0", 80));
      members.back()->reuse_port = 1;
    }
  }
  std::map<uint16_t, Sock*> spread() {
    std::map<uint16_t, Sock*> by_port;
    for (uint16_t p = 1; p <= 4000; ++p)
      by_port[p] = find("10.0.0.1", 80, 1, p);
    return by_port;
  }
  std::vector<Sock*> members;
};

TEST_F(ReusePortTest, SpreadsConnectionsEvenlyAndTheSameOneAlwaysToTheSameMember) {
  const auto first = spread();
  std::map<Sock*, int> share;
  for (const auto& [port, s] : first)
    ++share[s];
  ASSERT_EQ(share.size(), 4u);
  for (const auto& [s, n] : share) {
    EXPECT_GT(n, 850);
    EXPECT_LT(n, 1150);
  }
  EXPECT_EQ(spread(), first);
}

TEST_F(ReusePortTest, AMemberThatLeavesMovesItsOwnShareOnly) {
  const auto before = spread();
  table.remove(members[1]);
  const auto after = spread();
  for (const auto& [port, s] : before) {
    if (s == members[1]) {
      EXPECT_NE(after.at(port), members[1]);
    } else {
      EXPECT_EQ(after.at(port), s);
    }
  }
  table.insert(members[1]);
  int moved = 0;
  for (const auto& [port, s] : spread())
    moved += s != after.at(port) ? 1 : 0;
  EXPECT_GT(moved, 850);
  EXPECT_LT(moved, 1150);
}

TEST_F(ReusePortTest, AMemberOfAnotherFamilyIsNotOfTheGroup) {
  Sock* dual = listen6("::", 80);
  dual->reuse_port = 1;
  for (const auto& [port, s] : spread())
    ASSERT_NE(s, dual);
  EXPECT_EQ(find("fd00::1", 80), dual);
}

TEST_F(ListenTableTest, ManyListenersComeAndGo) {
  std::vector<Sock*> all;
  for (uint16_t p = 1; p <= 2000; ++p)
    all.push_back(listen4("10.0.0.1", p));
  for (uint16_t p = 1; p <= 2000; ++p)
    ASSERT_EQ(find("10.0.0.1", p), all[p - 1u]);
  for (uint16_t p = 1; p <= 2000; p += 2)
    table.remove(all[p - 1u]);
  table.reclaim();
  for (uint16_t p = 1; p <= 2000; ++p)
    ASSERT_EQ(find("10.0.0.1", p), p % 2 != 0 ? nullptr : all[p - 1u]);
  for (uint16_t p = 3001; p <= 6000; ++p)
    table.remove(listen4("10.0.0.1", p));
  table.reclaim();
  size_t left = 0;
  table.for_each([&](Sock& s) {
    EXPECT_EQ(s.refs, 2u);
    ++left;
  });
  EXPECT_EQ(left, 1000u);
}

}  // namespace
}  // namespace leat::inet::test
