#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>

#include "inet/port_set.h"
#include "inet/ports.h"
#include "support.h"

namespace leat::inet::test {
namespace {

class PortsConnectTest : public testing::Test {
 protected:
  PortsConnectTest() { range(40000, 40999); }
  ~PortsConnectTest() override {
    for (Sock4& s : socks)
      close(s);
  }
  void range(uint16_t low, uint16_t high) {
    ns.sysctl.ip_local_port_range[0].set(low);
    ns.sysctl.ip_local_port_range[1].set(high);
  }
  // The port, or the errno below zero.
  int connect(const char* remote = "10.0.0.2", uint16_t remote_port = 80, const char* local = "10.0.0.1") {
    Sock4& s = socks.emplace_back();
    s.set_addresses(ip(local), ip(remote));
    s.remote_port = remote_port;
    return connect(s);
  }
  int connect(Sock& s) {
    const auto r = ports.connect(s, established, may_replace, this, &replaced);
    return r ? s.local_port : -to_int(r.error());
  }
  void close(Sock& s) {
    established.remove(&s);
    ports.release(s);
  }

  Netns ns{seed_of(1)};
  EstablishedTable established{ns.rng, 1024};
  Ports ports{ns, ns.rng};
  EstablishedTable::MayReplace may_replace = nullptr;
  SockCommon* replaced = nullptr;
  std::deque<Sock4> socks;
};

TEST_F(PortsConnectTest, AConnectionIsFoundAndHasItsPortAtOnce) {
  const int port = connect();
  EXPECT_GE(port, 40000);
  EXPECT_LE(port, 40999);
  SockCommon* found = established.lookup(tuple("10.0.0.1", static_cast<uint16_t>(port), "10.0.0.2", 80), 1);
  EXPECT_EQ(found, &socks[0]);
  found->put();
  EXPECT_EQ(ports.buckets(), 1u);
}

TEST_F(PortsConnectTest, TakesEvenPortsFirstAndThenEveryPortOnce) {
  std::set<int> taken;
  for (int i = 0; i < 500; ++i) {
    const int port = connect();
    ASSERT_EQ(port % 2, 0);
    ASSERT_TRUE(taken.insert(port).second);
  }
  for (int i = 0; i < 500; ++i)
    ASSERT_TRUE(taken.insert(connect()).second);
  EXPECT_EQ(*taken.begin(), 40000);
  EXPECT_EQ(*taken.rbegin(), 40999);
  EXPECT_EQ(connect(), -EADDRNOTAVAIL);
  EXPECT_EQ(socks.back().local_port, 0);
  EXPECT_EQ(socks.back().bind_bucket, nullptr);
  EXPECT_FALSE(EstablishedTable::is_hashed(&socks.back()));
}

TEST_F(PortsConnectTest, EachDestinationHasAllPorts) {
  for (int i = 0; i < 1000; ++i)
    ASSERT_GT(connect("10.0.0.2", 80), 0);
  for (int i = 0; i < 1000; ++i)
    ASSERT_GT(connect("10.0.0.2", 81), 0);
  for (int i = 0; i < 1000; ++i)
    ASSERT_GT(connect("10.0.0.3", 80), 0);
  for (int i = 0; i < 1000; ++i)
    ASSERT_GT(connect("10.0.0.2", 80, "10.0.0.9"), 0);
  EXPECT_EQ(connect("10.0.0.3", 80), -EADDRNOTAVAIL);
  EXPECT_EQ(ports.buckets(), 1000u);
}

TEST_F(PortsConnectTest, APortThatWasGivenBackIsFoundAmongAllThatAreTaken) {
  for (int i = 0; i < 1000; ++i)
    ASSERT_GT(connect(), 0);
  for (const size_t victim : {3u, 500u, 999u, 3u, 42u}) {
    const int port = socks[victim].local_port;
    close(socks[victim]);
    ASSERT_EQ(connect(socks[victim]), port);
    ASSERT_EQ(connect(), -EADDRNOTAVAIL);
  }
  for (size_t i = 0; i < 1000; i += 2)
    close(socks[i]);
  std::set<int> again;
  for (int i = 0; i < 500; ++i)
    again.insert(connect());
  EXPECT_EQ(again.size(), 500u);
  EXPECT_GT(*again.begin(), 0);
}

TEST_F(PortsConnectTest, WhatIsRememberedOfADestinationGoesWithItsConnections) {
  range(20000, 24999);
  const size_t before = ports.bytes();
  for (int i = 0; i < 5000; ++i)
    ASSERT_GT(connect(), 0);
  const size_t slots = 5000 * 192;
  EXPECT_GE(ports.bytes(), before + 8192);
  EXPECT_LT(ports.bytes(), before + 8192 + 128 + slots);
  for (Sock4& s : socks)
    close(s);
  EXPECT_LE(ports.bytes(), before + slots);
  EXPECT_EQ(ports.buckets(), 0u);
}

TEST_F(PortsConnectTest, NoConnectionTakesAPortThatBindHas) {
  range(40000, 40001);
  Sock4 bound;
  ASSERT_TRUE(ports.bind(bound, ip("10.0.0.77"), 40000, false).has_value());
  EXPECT_EQ(connect(), 40001);
  EXPECT_EQ(connect(), -EADDRNOTAVAIL);
  EXPECT_EQ(connect("10.0.0.3"), 40001);
  ports.release(bound);
  EXPECT_EQ(connect(), 40000);  // as Linux since 6.18, also while connections of before are there
}

TEST_F(PortsConnectTest, BindAmongConnectionsNeedsReuseOnBothSidesAndThenClosesThePort) {
  range(40000, 40000);
  ASSERT_EQ(connect("10.0.0.2"), 40000);
  Sock4 bound;
  bound.reuse_address = 1;
  EXPECT_EQ(ports.bind(bound, ip("10.0.0.1"), 40000, false).error(), Errno{EADDRINUSE});
  socks[0].reuse_address = 1;
  Sock4 third;
  third.reuse_address = 1;
  third.set_addresses(ip("10.0.0.1"), ip("10.0.0.3"));
  third.remote_port = 80;
  ASSERT_EQ(connect(third), 40000);
  close(socks[0]);  // `third` came with the option
  ASSERT_TRUE(ports.bind(bound, ip("10.0.0.1"), 40000, false).has_value());
  EXPECT_EQ(connect("10.0.0.4"), -EADDRNOTAVAIL);
  ports.release(bound);
  EXPECT_EQ(connect("10.0.0.4"), 40000);
  close(third);
}

TEST_F(PortsConnectTest, ABoundSocketKeepsItsPortAndMustBeUnique) {
  Sock4 a, b;
  for (Sock4* s : {&a, &b}) {
    s->reuse_address = 1;
    ASSERT_TRUE(ports.bind(*s, ip("10.0.0.1"), 5000, false).has_value());
    s->set_addresses(ip("10.0.0.1"), ip("10.0.0.2"));
    s->remote_port = 80;
  }
  EXPECT_EQ(connect(a), 5000);
  EXPECT_EQ(connect(b), -EADDRNOTAVAIL);
  EXPECT_EQ(b.local_port, 5000);
  b.remote_port = 81;
  EXPECT_EQ(connect(b), 5000);
  close(a), close(b);
}

TEST_F(PortsConnectTest, ATimeWaitMayGiveWayWhenNothingElseIsFree) {
  for (int i = 0; i < 1000; ++i)
    ASSERT_GT(connect(), 0);
  ASSERT_EQ(connect(), -EADDRNOTAVAIL);
  BoundSock time_wait;
  Sock4& old = socks[700];
  time_wait.refs = 1;
  set_tuple(time_wait, old.tuple());
  time_wait.kind = Kind::kTimeWait;
  time_wait.state = static_cast<uint8_t>(State::kTimeWait);
  ports.hand_over(old, time_wait);
  ASSERT_TRUE(established.replace(&old, &time_wait));
  EXPECT_EQ(connect(), -EADDRNOTAVAIL);
  may_replace = [](void*, SockCommon* s) { return s->kind == Kind::kTimeWait; };
  EXPECT_EQ(connect(), time_wait.local_port);
  EXPECT_EQ(replaced, &time_wait);
  ports.release(time_wait);
  EXPECT_EQ(connect(), -EADDRNOTAVAIL);
}

TEST_F(PortsConnectTest, AnOwnRangeHasNoParity) {
  SockOptions options;
  options.local_port_low = 40100;
  options.local_port_high = 40102;
  std::set<int> taken;
  for (int i = 0; i < 4; ++i) {
    Sock4& s = socks.emplace_back();
    s.options = &options;
    s.set_addresses(ip("10.0.0.1"), ip("10.0.0.2"));
    s.remote_port = 80;
    taken.insert(connect(s));
  }
  EXPECT_EQ(taken, (std::set<int>{-EADDRNOTAVAIL, 40100, 40101, 40102}));
}

TEST_F(PortsConnectTest, PortsAreHardToGuessAndDestinationsBeginAtDifferentOnes) {
  range(32768, 60999);
  std::set<int> first;
  for (int d = 0; d < 50; ++d)
    first.insert(connect(("10.1.0." + std::to_string(d + 1)).c_str()));
  EXPECT_GT(first.size(), 45u);
  std::set<int> steps;
  int last = connect();
  for (int i = 0; i < 50; ++i) {
    const int next = connect();
    steps.insert((next - last + 28232) % 28232);
    last = next;
  }
  EXPECT_GT(steps.size(), 4u);
  for (const int s : steps)
    EXPECT_LE(s, 16);
}

TEST_F(PortsConnectTest, TheSameSeedGivesTheSamePorts) {
  std::vector<int> here, there;
  for (int i = 0; i < 20; ++i)
    here.push_back(connect());
  Netns again(seed_of(1));
  EstablishedTable table(again.rng, 1024);
  Ports other(again, again.rng);
  again.sysctl.ip_local_port_range[0].set(40000);
  again.sysctl.ip_local_port_range[1].set(40999);
  std::deque<Sock4> mine;
  for (int i = 0; i < 20; ++i) {
    Sock4& s = mine.emplace_back();
    s.set_addresses(ip("10.0.0.1"), ip("10.0.0.2"));
    s.remote_port = 80;
    ASSERT_TRUE(other.connect(s, table, nullptr, nullptr, &replaced).has_value());
    there.push_back(s.local_port);
  }
  EXPECT_EQ(here, there);
}

// ---- port sets ----

TEST(PortSet, ReadsAndWritesListsOfRanges) {
  PortSet set;
  EXPECT_EQ(set.to_string(), "");
  ASSERT_TRUE(set.assign("8080,9148-9150,65535,9151").has_value());
  EXPECT_EQ(set.to_string(), "8080,9148-9151,65535");
  EXPECT_TRUE(set.has(9149));
  EXPECT_FALSE(set.has(9152));
  ASSERT_TRUE(set.assign("\n").has_value());
  EXPECT_EQ(set.to_string(), "");
}

TEST(PortSet, RefusesWhatIsNoListAndStaysAsItWas) {
  PortSet set;
  ASSERT_TRUE(set.assign("1").has_value());
  for (const char* bad : {"x", "5-", "-5", "9-8", "1,,2", "65536", "1 2", "1-2-3", "1,", ","}) {
    EXPECT_EQ(set.assign(bad).error(), Errno{EINVAL}) << bad;
  }
  EXPECT_EQ(set.to_string(), "1");
}

}  // namespace
}  // namespace leat::inet::test
