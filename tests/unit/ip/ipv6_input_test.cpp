// What comes in as IPv6: validation, extension headers, martians.
#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

struct Ipv6InputTest : testing::Test {
  Ipv6InputTest() {
    lo = host.add(loopback_link(), {"::1/128"});
    eth = host.add(ip_link(), {"fd00::1/64", "fe80::1/64"});
    other = host.add(ip_link(), {"fd01::1/64", "fe80::2/64"});
  }
  void expect_parameter_problem(uint8_t code, uint32_t pointer) {
    const Bytes b = host.take(eth);
    ASSERT_GE(b.size(), 48u);
    EXPECT_EQ(b[40], 4);
    EXPECT_EQ(b[41], code);
    EXPECT_EQ(load_be32(&b[44]), pointer);
    EXPECT_TRUE(host.udp.got.empty());
  }
  Host host;
  uint16_t lo, eth, other;
};

TEST_F(Ipv6InputTest, ADatagramForUsReachesItsTransport) {
  host.give(eth, v6({.hop_limit = 3, .tclass = 0x2f, .label = 0x12345}, udp(1, 2, counting(5))) + Bytes(9, 0xee));
  ASSERT_EQ(host.udp.got.size(), 1u);
  const auto& got = host.udp.got[0];
  EXPECT_EQ(got.bytes, udp(1, 2, counting(5)));
  EXPECT_EQ(got.info.src, addr("fd00::2"));
  EXPECT_EQ(got.info.dst, addr("fd00::1"));
  EXPECT_EQ(got.info.ttl, 3);
  EXPECT_EQ(got.info.tos, 0x2f);
  EXPECT_EQ(got.info.flow_label, 0x12345u);
  EXPECT_EQ(host.mib(Mib::Ip6InReceives), 1u);
  EXPECT_EQ(host.mib(Mib::Ip6InDelivers), 1u);
  EXPECT_EQ(host.mib(Mib::Ip6InCEPkts), 1u);
}

TEST_F(Ipv6InputTest, AChainOfExtensionHeadersIsWalked) {
  const Bytes pad{0, 0, 1, 4, 0, 0, 0, 0};
  auto header = [&](uint8_t next) {
    Bytes h = pad;
    h[0] = next;
    return h;
  };
  const Bytes routing{60, 0, 0, 0, 0, 0, 0, 0};  // type 0, nothing left
  host.give(eth, v6({.next = 0}, header(60) + header(43) + routing + header(17) + udp(1, 2)));
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].bytes, udp(1, 2));
}

TEST_F(Ipv6InputTest, AnUnknownNextHeaderIsAParameterProblem) {
  host.give(eth, v6({.next = 99}, counting(30)));
  expect_parameter_problem(1, 6);
  EXPECT_EQ(host.mib(Mib::Ip6InUnknownProtos), 1u);
  host.give(eth, v6({.next = 60}, Bytes{99, 0, 1, 4, 0, 0, 0, 0}));
  expect_parameter_problem(1, 40);
  host.give(eth, v6({.next = 60}, Bytes{0, 0, 1, 4, 0, 0, 0, 0} + Bytes{17, 0, 1, 4, 0, 0, 0, 0}));
  expect_parameter_problem(1, 40);  // hop-by-hop options anywhere but first
}

TEST_F(Ipv6InputTest, UnknownOptionsDoWhatTheirTypeSays) {
  auto with_option = [](uint8_t type, std::string_view dst) {
    return v6({.dst = dst, .next = 60}, Bytes{17, 0, type, 4, 0, 0, 0, 0} + udp(1, 2));
  };
  host.give(eth, with_option(0x1e, "fd00::1"));
  EXPECT_EQ(host.udp.got.size(), 1u);
  host.udp.got.clear();
  host.give(eth, with_option(0x5e, "fd00::1"));
  EXPECT_TRUE(host.take(eth).empty());
  host.give(eth, with_option(0x9e, "fd00::1"));
  expect_parameter_problem(2, 42);
  host.give(eth, with_option(0xde, "fd00::1"));
  expect_parameter_problem(2, 42);
  host.give(eth, with_option(0x9e, "ff02::1"));  // even to a group
  expect_parameter_problem(2, 42);
  host.give(eth, with_option(0xde, "ff02::1"));
  EXPECT_TRUE(host.take(eth).empty());
  EXPECT_EQ(host.mib(Mib::Ip6InHdrErrors), 5u);
}

TEST_F(Ipv6InputTest, ARoutingHeaderWithSegmentsLeftIsRefused) {
  host.give(eth, v6({.next = 43}, Bytes{17, 2, 0, 1} + Bytes(20) + udp(1, 2)));
  expect_parameter_problem(0, 42);
}

TEST_F(Ipv6InputTest, LyingLengthsAreDropped) {
  Bytes p = v6({}, udp(1, 2));
  store_be16(&p[4], 9);
  host.give(eth, p);
  EXPECT_EQ(host.mib(Mib::Ip6InTruncatedPkts), 1u);
  host.give(eth, Bytes(39, 0x60));
  host.give(eth, v6({.next = 60}, Bytes{17, 9, 1, 4, 0, 0, 0, 0}));  // an option header beyond the end
  EXPECT_EQ(host.mib(Mib::Ip6InHdrErrors), 2u);
  EXPECT_TRUE(host.udp.got.empty());
  EXPECT_TRUE(host.take(eth).empty());
}

TEST_F(Ipv6InputTest, AnEndlessChainOfHeadersIsGivenUp) {
  Bytes chain;
  for (int i = 0; i < 1000; ++i)
    chain = chain + Bytes{60, 0, 1, 4, 0, 0, 0, 0};
  const Bytes all = v6({.next = 60}, chain);
  PacketPtr p = host.pool.make_copy({all.data(), 100});
  Buffer* b = host.pool.make_buffer(static_cast<uint32_t>(all.size()));
  std::memcpy(b->bytes(), all.data(), all.size());
  p->add_fragment(b, 100, static_cast<uint32_t>(all.size()) - 100);
  PacketPool::unref(b);
  host.link(eth).in.push_back(p.release());
  host.ip->receive(eth, 1);
  EXPECT_TRUE(host.udp.got.empty());
  EXPECT_EQ(host.drops(DropReason::kIpv6BadExthdr), 1u);
}

TEST_F(Ipv6InputTest, MartiansAreDropped) {
  const V6 cases[] = {
      {.src = "::1"},     {.dst = "::1"},     {.src = "ff02::1"}, {.dst = "::"},
      {.dst = "ff01::1"}, {.dst = "ff00::1"}, {.src = "fd00::1"}, {.src = "fd01::1"},
  };
  for (const V6& c : cases)
    host.give(eth, v6(c, udp(1, 2)));
  EXPECT_TRUE(host.udp.got.empty());
  EXPECT_TRUE(host.take(eth).empty());
}

TEST_F(Ipv6InputTest, WhatIsNotForUsIsNotForwarded) {
  host.give(eth, v6({.dst = "fd00::9"}, udp(1, 2)));
  host.give(eth, v6({.src = "fe80::9", .dst = "fe80::2"}, udp(1, 2)));  // ours, but of another link
  EXPECT_EQ(host.mib(Mib::Ip6InAddrErrors), 2u);
  host.give(eth, v6({.dst = "ff02::1:3"}, udp(1, 2)));
  EXPECT_TRUE(host.udp.got.empty());
  host.give(eth, v6({.dst = "fd01::1"}, udp(1, 2)));  // the weak host model
  EXPECT_EQ(host.udp.got.size(), 1u);
}

TEST_F(Ipv6InputTest, GroupsAreAcceptedOnceJoined) {
  ASSERT_EQ(error_of(host.ip->join_group(eth, addr("ff0e::42"))), 0);
  for (const char* dst : {"ff02::1", "ff0e::42", "ff02::1:ff00:1"})
    host.give(eth, v6({.dst = dst}, udp(1, 2)));
  EXPECT_EQ(host.udp.got.size(), 3u);
  EXPECT_TRUE(host.udp.got[0].info.is_broadcast_or_multicast);
  host.give(eth, v6({.dst = "ff02::1:ff00:77"}, udp(1, 2)));  // the solicited-node group of somebody else
  EXPECT_EQ(host.udp.got.size(), 3u);
  EXPECT_EQ(host.mib(Mib::Ip6InMcastPkts), 4u);
}

TEST_F(Ipv6InputTest, NoNextHeaderEndsQuietly) {
  host.give(eth, v6({.next = 59}, counting(8)));
  EXPECT_TRUE(host.take(eth).empty());
  EXPECT_EQ(host.mib(Mib::Ip6InDelivers), 1u);
}

TEST_F(Ipv6InputTest, LoopbackAddressesAreFineOnTheLoopback) {
  host.give(lo, v6({.src = "::1", .dst = "::1"}, udp(1, 2)));
  EXPECT_EQ(host.udp.got.size(), 1u);
}

}  // namespace
}  // namespace leat::ip
