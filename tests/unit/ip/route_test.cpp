// Longest prefix match, source selection, what is ours.
#include "ip/route.h"

#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

struct RouteTest : testing::Test {
  RouteTest() {
    table.add_link({1, 65536, true}, now);
    table.add_link({2, 1500, false}, now);
    table.add_link({3, 9000, false}, now);
    add(1, "127.0.0.1/8");
    add(1, "::1/128");
    add(2, "10.0.0.1/24");
    add(3, "192.168.1.1/16");
    add(2, "fd00::1/64");
    add(2, "fe80::1/64");
    add(3, "2001:db8::1/32");
    add(3, "fe80::2/64");
  }
  void add(uint16_t ifindex, std::string_view a) {
    ASSERT_EQ(error_of(table.add_address(ifindex, cidr(a), now)), 0) << a;
  }
  int add_route(std::string_view to, std::string_view via = "", uint16_t ifindex = 0, uint32_t metric = 0) {
    RouteSpec r;
    r.destination = cidr(to);
    if (!via.empty()) r.gateway = addr(via);
    r.ifindex = ifindex;
    r.metric = metric;
    return error_of(table.add_route(r, now));
  }
  Result<Route> look_up(std::string_view dst, std::string_view src = "", uint16_t oif = 0) {
    return table.look_up(addr(dst), src.empty() ? IpAddress() : addr(src), oif);
  }
  std::string via(std::string_view dst, uint16_t oif = 0) {
    const auto r = look_up(dst, "", oif);
    if (!r) return "error " + std::to_string(to_int(r.error()));
    return r->next_hop.to_string() + " dev " + std::to_string(r->ifindex) + " src " + r->source.to_string();
  }
  Time now = at_ms(1);
  RouteTable table;
};

TEST_F(RouteTest, AnAddressBringsItsOnLinkRoute) {
  EXPECT_EQ(via("10.0.0.77"), "10.0.0.77 dev 2 src 10.0.0.1");
  EXPECT_EQ(via("192.168.200.7"), "192.168.200.7 dev 3 src 192.168.1.1");
  EXPECT_EQ(via("fd00::77"), "fd00::77 dev 2 src fd00::1");
  EXPECT_EQ(look_up("10.0.0.77")->mtu, 1500u);
  EXPECT_EQ(look_up("192.168.0.77")->mtu, 9000u);
}

TEST_F(RouteTest, WithoutARouteTheNetworkIsUnreachable) {
  EXPECT_EQ(error_of(look_up("8.8.8.8")), ENETUNREACH);
  EXPECT_EQ(error_of(look_up("2600::1")), ENETUNREACH);
}

TEST_F(RouteTest, TheLongestPrefixWinsAndThenTheLowestMetric) {
  EXPECT_EQ(add_route("0.0.0.0/0", "10.0.0.254"), 0);
  EXPECT_EQ(add_route("8.0.0.0/8", "10.0.0.253"), 0);
  EXPECT_EQ(add_route("8.8.0.0/16", "192.168.0.9", 0, 100), 0);
  EXPECT_EQ(add_route("8.8.0.0/16", "192.168.0.8", 0, 50), 0);
  EXPECT_EQ(add_route("8.8.8.8/32", "10.0.0.9"), 0);
  EXPECT_EQ(via("1.1.1.1"), "10.0.0.254 dev 2 src 10.0.0.1");
  EXPECT_EQ(via("8.1.1.1"), "10.0.0.253 dev 2 src 10.0.0.1");
  EXPECT_EQ(via("8.8.1.1"), "192.168.0.8 dev 3 src 192.168.1.1");
  EXPECT_EQ(via("8.8.8.8"), "10.0.0.9 dev 2 src 10.0.0.1");
  ASSERT_EQ(error_of(table.remove_route(cidr("8.8.0.0/16"), now)), 0);  // the one with the lower metric
  EXPECT_EQ(via("8.8.1.1"), "192.168.0.9 dev 3 src 192.168.1.1");
  ASSERT_EQ(error_of(table.remove_route(cidr("8.8.0.0/16"), now)), 0);
  EXPECT_EQ(via("8.8.1.1"), "10.0.0.253 dev 2 src 10.0.0.1");
  EXPECT_EQ(error_of(table.remove_route(cidr("8.8.0.0/16"), now)), ESRCH);
}

TEST_F(RouteTest, TheSameDestinationAndMetricReplaces) {
  EXPECT_EQ(add_route("8.0.0.0/8", "10.0.0.253"), 0);
  EXPECT_EQ(add_route("8.0.0.0/8", "10.0.0.252"), 0);
  EXPECT_EQ(via("8.1.1.1"), "10.0.0.252 dev 2 src 10.0.0.1");
  ASSERT_EQ(error_of(table.remove_route(cidr("8.0.0.0/8"), now)), 0);
  EXPECT_EQ(via("8.1.1.1"), "error 101");
}

TEST_F(RouteTest, ARouteThatMakesNoSenseIsRefused) {
  EXPECT_EQ(add_route("8.8.8.8/8", "10.0.0.254"), EINVAL);    // host bits
  EXPECT_EQ(add_route("8.0.0.0/8", "9.9.9.9"), ENETUNREACH);  // the gateway is not reachable
  EXPECT_EQ(add_route("8.0.0.0/8", "10.0.0.1"), EINVAL);      // the gateway is this host
  EXPECT_EQ(add_route("8.0.0.0/8", "", 9), ENODEV);
  EXPECT_EQ(add_route("8.0.0.0/8", "", 0), ENODEV);
  RouteSpec r;
  r.destination = cidr("8.0.0.0/8");
  r.ifindex = 2;
  r.preferred_source = addr("10.0.0.9");  // not ours
  EXPECT_EQ(error_of(table.add_route(r, now)), EINVAL);
}

TEST_F(RouteTest, RouteAttributesArriveInTheRoute) {
  RouteSpec r;
  r.destination = cidr("8.0.0.0/8");
  r.gateway = addr("10.0.0.254");
  r.preferred_source = addr("192.168.1.1");
  r.mtu = 1400;
  r.mtu_locked = true;
  r.advmss = 1000;
  r.initcwnd = 20;
  r.initrwnd = 30;
  r.window = 40000;
  r.rto_min_ms = 50;
  r.quickack = true;
  ASSERT_EQ(error_of(table.add_route(r, now)), 0);
  const Route got = *look_up("8.1.1.1");
  EXPECT_EQ(got.source, addr("192.168.1.1"));
  EXPECT_EQ(got.mtu, 1400u);
  EXPECT_TRUE(got.mtu_locked);
  EXPECT_EQ(got.advmss, 1000u);
  EXPECT_EQ(got.initcwnd, 20u);
  EXPECT_EQ(got.initrwnd, 30u);
  EXPECT_EQ(got.window, 40000u);
  EXPECT_EQ(got.rto_min_ms, 50u);
  EXPECT_TRUE(got.quickack);
}

TEST_F(RouteTest, ABoundInterfaceNarrowsTheChoiceAndIpv4ThenAssumesOnLink) {
  EXPECT_EQ(add_route("8.0.0.0/8", "10.0.0.254"), 0);
  EXPECT_EQ(via("8.1.1.1", 2), "10.0.0.254 dev 2 src 10.0.0.1");
  EXPECT_EQ(via("8.1.1.1", 3), "8.1.1.1 dev 3 src 192.168.1.1");
  EXPECT_EQ(via("2600::1", 3), "error 101");
  EXPECT_EQ(via("8.1.1.1", 9), "error 19");
}

TEST_F(RouteTest, OwnAddressesGoOverTheLoopbackInterface) {
  for (const char* own : {"10.0.0.1", "192.168.1.1", "fd00::1", "2001:db8::1"}) {
    const Route r = *look_up(own);
    EXPECT_TRUE(r.is_local) << own;
    EXPECT_EQ(r.ifindex, 1) << own;
    EXPECT_EQ(r.source, addr(own));
    EXPECT_EQ(r.mtu, 65536u);
  }
  EXPECT_EQ(look_up("127.1.2.3")->source, addr("127.0.0.1"));
  EXPECT_TRUE(look_up("127.1.2.3")->is_local);
  EXPECT_TRUE(look_up("::1")->is_local);
  EXPECT_EQ(look_up("0.0.0.0")->source, addr("127.0.0.1"));  // "this host"
  EXPECT_EQ(look_up("::")->source, addr("::1"));
  EXPECT_FALSE(look_up("10.0.0.1", "", 3)->is_local);  // bound to another interface: out it goes
  EXPECT_TRUE(look_up("10.0.0.1", "", 2)->is_local);
  EXPECT_TRUE(look_up("10.0.0.1", "", 1)->is_local);
}

TEST_F(RouteTest, AGivenSourceIsKeptAndMustBeOurs) {
  EXPECT_EQ(look_up("10.0.0.77", "192.168.1.1")->source, addr("192.168.1.1"));
  EXPECT_EQ(look_up("10.0.0.77", "0.0.0.0")->source, addr("10.0.0.1"));
  EXPECT_EQ(error_of(look_up("10.0.0.77", "10.0.0.5")), EINVAL);
  EXPECT_EQ(error_of(look_up("10.0.0.77", "224.0.0.1")), EINVAL);
  EXPECT_EQ(error_of(look_up("10.0.0.77", "255.255.255.255")), EINVAL);
  EXPECT_EQ(error_of(look_up("10.0.0.77", "fd00::1")), EINVAL);
  EXPECT_EQ(error_of(look_up("fd00::77", "fd00::5")), EINVAL);
}

TEST_F(RouteTest, BroadcastIsKnownByTheInterfacesPrefixes) {
  EXPECT_TRUE(look_up("10.0.0.255")->is_broadcast);
  EXPECT_TRUE(look_up("192.168.255.255")->is_broadcast);
  EXPECT_FALSE(look_up("10.0.0.254")->is_broadcast);
  EXPECT_EQ(table.scope_of(addr("10.0.0.255"), 3), RouteTable::Scope::kBroadcast);
  EXPECT_EQ(table.scope_of(addr("255.255.255.255"), 2), RouteTable::Scope::kBroadcast);
  EXPECT_EQ(error_of(look_up("255.255.255.255")), ENETUNREACH);
  EXPECT_TRUE(look_up("255.255.255.255", "", 2)->is_broadcast);
  EXPECT_EQ(look_up("255.255.255.255", "192.168.1.1")->ifindex, 3);  // the source names the interface
  add(2, "172.16.0.1/31");                                           // RFC 3021: no broadcast
  EXPECT_EQ(table.scope_of(addr("172.16.0.1"), 2), RouteTable::Scope::kUnicast);
  EXPECT_EQ(table.scope_of(addr("172.16.0.0"), 2), RouteTable::Scope::kNotOurs);
}

TEST_F(RouteTest, MulticastNeedsAnInterfaceASourceOrARoute) {
  EXPECT_EQ(error_of(look_up("239.1.1.1")), ENETUNREACH);
  EXPECT_EQ(look_up("239.1.1.1", "", 3)->source, addr("192.168.1.1"));
  EXPECT_EQ(look_up("239.1.1.1", "10.0.0.1")->ifindex, 2);
  EXPECT_EQ(add_route("0.0.0.0/0", "192.168.0.254"), 0);
  const Route r = *look_up("239.1.1.1");
  EXPECT_TRUE(r.is_multicast);
  EXPECT_EQ(r.ifindex, 3);
  EXPECT_EQ(r.next_hop, addr("239.1.1.1"));
  EXPECT_EQ(look_up("ff02::1")->source, addr("fe80::1"));
  EXPECT_EQ(look_up("ff02::1", "", 3)->source, addr("fe80::2"));
  EXPECT_EQ(look_up("ff0e::1", "", 2)->source, addr("fd00::1"));
}

TEST_F(RouteTest, Ipv6SourceSelectionFollowsRfc6724) {
  EXPECT_EQ(add_route("::/0", "fd00::ff"), 0);
  // Rule 2, scope: a link-local destination gets a link-local source of its interface.
  EXPECT_EQ(look_up("fe80::99", "", 3)->source, addr("fe80::2"));
  EXPECT_EQ(look_up("fe80::99", "", 2)->source, addr("fe80::1"));
  // Rule 5, the outgoing interface, comes before rule 6, the label.
  EXPECT_EQ(look_up("2001:db9::1")->source, addr("fd00::1"));
  add(2, "2001:db8:5::1/64");
  EXPECT_EQ(look_up("2001:db9::1")->source, addr("2001:db8:5::1"));  // rule 6
  EXPECT_EQ(look_up("fd11::1")->source, addr("fd00::1"));
  add(2, "2001:db8:6::1/64");
  EXPECT_EQ(look_up("2001:db8:6:1::1", "", 2)->source, addr("2001:db8:6::1"));  // rule 8
  EXPECT_EQ(look_up("2001:db8:5:1::1", "", 2)->source, addr("2001:db8:5::1"));
  // Rule 1.
  EXPECT_EQ(look_up("2001:db8:5::1")->source, addr("2001:db8:5::1"));
}

TEST_F(RouteTest, TheDefaultPolicyTableHasItsLabels) {
  EXPECT_EQ(ipv6_label(addr("::1")), 0);
  EXPECT_EQ(ipv6_label(addr("2600::1")), 1);
  EXPECT_EQ(ipv6_label(addr("2002::1")), 2);
  EXPECT_EQ(ipv6_label(addr("::ffff:1.2.3.4")), 4);
  EXPECT_EQ(ipv6_label(addr("fd00::1")), 5);
  EXPECT_EQ(ipv6_label(addr("2001::1")), 6);
}

TEST_F(RouteTest, LinkLocalAddressesAreOursOnTheirOwnInterfaceOnly) {
  EXPECT_EQ(table.scope_of(addr("fe80::1"), 2), RouteTable::Scope::kUnicast);
  EXPECT_EQ(table.scope_of(addr("fe80::1"), 3), RouteTable::Scope::kNotOurs);
  EXPECT_EQ(table.scope_of(addr("fd00::1"), 3), RouteTable::Scope::kUnicast);  // the weak host model
}

TEST_F(RouteTest, ASecondAddressInThePrefixTakesOverWhenTheFirstGoes) {
  add(2, "10.0.0.2/24");
  EXPECT_EQ(via("10.0.0.77"), "10.0.0.77 dev 2 src 10.0.0.1");
  ASSERT_EQ(error_of(table.remove_address(2, cidr("10.0.0.1/24"), now)), 0);
  EXPECT_EQ(via("10.0.0.77"), "10.0.0.77 dev 2 src 10.0.0.2");
  ASSERT_EQ(error_of(table.remove_address(2, cidr("10.0.0.2/24"), now)), 0);
  EXPECT_EQ(via("10.0.0.77"), "error 101");
  EXPECT_EQ(error_of(table.remove_address(2, cidr("10.0.0.2/24"), now)), EADDRNOTAVAIL);
}

TEST_F(RouteTest, AddressesAreCheckedAndCountedOnce) {
  EXPECT_EQ(error_of(table.add_address(2, cidr("10.0.0.1/24"), now)), EEXIST);
  EXPECT_EQ(error_of(table.add_address(2, cidr("10.0.0.1/16"), now)), 0);  // Linux allows another prefix
  EXPECT_EQ(error_of(table.add_address(2, cidr("fd00::1/48"), now)), EEXIST);
  EXPECT_EQ(error_of(table.add_address(9, cidr("10.9.0.1/24"), now)), ENODEV);
  EXPECT_EQ(error_of(table.add_address(2, cidr("224.0.0.1/24"), now)), EINVAL);
  EXPECT_EQ(error_of(table.add_address(2, cidr("0.0.0.0/24"), now)), EINVAL);
  Cidr wide = cidr("10.9.0.1/24");
  wide.prefix = 33;
  EXPECT_EQ(error_of(table.add_address(2, wide, now)), EINVAL);
}

TEST_F(RouteTest, EveryChangeMovesTheGeneration) {
  const uint32_t before = table.generation();
  EXPECT_EQ(look_up("10.0.0.77")->generation, before);
  add(2, "10.1.0.1/24");
  EXPECT_NE(table.generation(), before);
  const uint32_t after = table.generation();
  EXPECT_EQ(add_route("8.0.0.0/8", "10.0.0.254"), 0);
  EXPECT_NE(table.generation(), after);
}

TEST_F(RouteTest, AThousandChangesKeepWorkingAndLeaveNothingBehind) {
  for (int i = 0; i < 1000; ++i) {
    now = now + Duration::from_s(1);
    RouteSpec r;
    r.destination = {IpAddress::from_v4(0x08000000u + (static_cast<uint32_t>(i % 200) << 8)), 24};
    r.ifindex = 2;
    if (i % 3 == 0) {
      (void)table.remove_route(r.destination, now);
    } else {
      EXPECT_EQ(error_of(table.add_route(r, now)), 0);
    }
  }
  EXPECT_EQ(via("8.0.0.5"), "8.0.0.5 dev 2 src 10.0.0.1");
  EXPECT_EQ(via("8.0.1.5"), "error 101");
}

TEST(RouteRandom, LongestPrefixMatchAgreesWithASlowSearch) {
  RouteTable table;
  table.add_link({1, 1500, false}, Time());
  ASSERT_EQ(error_of(table.add_address(1, cidr("10.0.0.1/32"), Time())), 0);
  Rng rng(Seed{7});
  std::vector<RouteSpec> all;
  for (uint32_t i = 0; i < 300; ++i) {
    RouteSpec r;
    r.destination.prefix = static_cast<int>(rng.below(33));
    r.destination.address = masked(IpAddress::from_v4(0x40000000 | rng.below(1 << 16)), r.destination.prefix);
    r.ifindex = 1;
    r.metric = i;
    r.mtu = 600 + i;
    ASSERT_EQ(error_of(table.add_route(r, Time())), 0);
    all.push_back(r);
  }
  for (int i = 0; i < 5000; ++i) {
    const IpAddress dst = IpAddress::from_v4(0x40000000 | rng.below(1 << 16));
    const RouteSpec* best = nullptr;
    for (const RouteSpec& r : all) {
      if (!r.destination.contains(dst)) continue;
      if (best == nullptr || r.destination.prefix > best->destination.prefix ||
          (r.destination.prefix == best->destination.prefix && r.metric < best->metric)) {
        best = &r;
      }
    }
    const auto got = table.look_up(dst, IpAddress(), 0);
    ASSERT_EQ(got.has_value(), best != nullptr);
    if (best != nullptr) {
      ASSERT_EQ(got->mtu, best->mtu);
    }
  }
}

TEST(Prefixes, AreCutAtAnyBit) {
  EXPECT_EQ(masked(addr("10.255.255.255"), 9), addr("10.128.0.0"));
  EXPECT_EQ(masked(addr("10.255.255.255"), 0), addr("0.0.0.0"));
  EXPECT_EQ(masked(addr("10.255.255.255"), 32), addr("10.255.255.255"));
  EXPECT_EQ(masked(addr("ffff:ffff::1"), 20), addr("ffff:f000::"));
  EXPECT_EQ(masked(addr("ffff::1"), 128), addr("ffff::1"));
  EXPECT_EQ(subnet_broadcast(cidr("10.1.2.3/20")), addr("10.1.15.255"));
  EXPECT_EQ(common_prefix_bits(addr("10.0.0.1"), addr("10.0.0.2")), 30);
  EXPECT_EQ(common_prefix_bits(addr("fd00::1"), addr("fd00::1")), 128);
  EXPECT_EQ(common_prefix_bits(addr("fd00::1"), addr("fd00::3")), 126);
  EXPECT_EQ(common_prefix_bits(addr("fd00::1"), addr("10.0.0.1")), 0);
}

}  // namespace
}  // namespace leat::ip
