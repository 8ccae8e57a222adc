// The neighbour state machine with ND as its voice (RFC 4861).
#include "ip/neighbour.h"
#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

const wire::MacAddress kUs = mac(1), kPeer = mac(2), kOther = mac(3);

struct NdTest : testing::Test {
  NdTest() { eth = host.add(ethernet_link(), {"fd00::1/64", "fe80::1/64"}); }
  Bytes solicitation(std::string_view src, std::string_view dst, std::string_view target, bool with_mac = true,
                     uint8_t hop_limit = 255, uint8_t code = 0) {
    Bytes m(32);
    wire::NeighborSolicitation s{addr(target), std::nullopt};
    if (with_mac) s.source_mac = kPeer;
    m.resize(wire::emit_neighbor_solicitation(s, m));
    m[1] = code;
    wire::finish_icmp6(addr(src), addr(dst), m);
    return frame(v6({.src = src, .dst = dst, .next = 58, .hop_limit = hop_limit}, m), addr(dst));
  }
  Bytes advertisement(bool solicited, bool override, std::optional<wire::MacAddress> m = kPeer,
                      std::string_view dst = "fd00::1", std::string_view target = "fd00::2") {
    Bytes b(32);
    wire::NeighborAdvertisement na;
    na.target = addr(target);
    na.is_solicited = solicited;
    na.is_override = override;
    na.target_mac = m;
    b.resize(wire::emit_neighbor_advertisement(na, b));
    wire::finish_icmp6(addr("fd00::2"), addr(dst), b);
    return frame(v6({.dst = dst, .next = 58, .hop_limit = 255}, b), addr(dst));
  }
  Bytes frame(const Bytes& packet, const IpAddress& dst) {
    return ethernet(dst.is_multicast() ? wire::MacAddress::for_multicast(dst) : kUs, kPeer, 0x86dd, packet);
  }
  NeighbourState state(std::string_view a = "fd00::2") {
    for (const auto& n : host.ip->neighbours()) {
      if (n.address == addr(a)) return n.state;
    }
    return NeighbourState::kFailed;
  }
  size_t entries() { return host.ip->neighbours().size(); }
  void expect_datagram(const wire::MacAddress& to) {
    const Bytes f = host.take(eth);
    ASSERT_EQ(f.size(), 62u);
    EXPECT_EQ(wire::MacAddress::from_bytes(&f[0]), to);
    EXPECT_EQ(f[20], 17);
  }
  Host host;
  uint16_t eth;
};

TEST_F(NdTest, ANeighbourIsSolicitedAtItsMulticastAddress) {
  ASSERT_EQ(error_of(host.send(udp(1, 2), "fd00::2")), 0);
  const Bytes f = host.take(eth);
  ASSERT_EQ(f.size(), 14u + 40 + 32);
  EXPECT_EQ(wire::MacAddress::from_bytes(&f[0]), (wire::MacAddress{{0x33, 0x33, 0xff, 0, 0, 2}}));
  const auto h = wire::parse_ipv6(ByteView(f).subspan(14));
  EXPECT_EQ(h->src, addr("fd00::1"));
  EXPECT_EQ(h->dst, addr("ff02::1:ff00:2"));
  EXPECT_EQ(h->hop_limit, 255);
  const auto s = wire::parse_neighbor_solicitation(ByteView(f).subspan(54), {h->src, h->dst, 255});
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(s->target, addr("fd00::2"));
  EXPECT_EQ(s->source_mac, kUs);
  uint64_t sum = wire::pseudo_header_sum(h->src, h->dst, 58, 32);
  EXPECT_EQ(wire::checksum_fold(wire::checksum_add(sum, ByteView(f).subspan(54))), 0);
  host.give(eth, advertisement(true, true));
  EXPECT_EQ(state(), NeighbourState::kReachable);
  expect_datagram(kPeer);
  EXPECT_EQ(host.mib(Mib::Icmp6OutNeighborSolicits), 1u);
  EXPECT_EQ(host.mib(Mib::Icmp6InNeighborAdvertisements), 1u);
}

TEST_F(NdTest, WithoutAnAnswerTheSenderIsToldAfterThreeSeconds) {
  ASSERT_EQ(error_of(host.send(udp(1, 2), "fd00::2")), 0);
  for (int i = 0; i < 3; ++i)
    host.advance(Duration::from_s(1));
  ASSERT_EQ(host.udp.errors.size(), 1u);
  EXPECT_EQ(host.udp.errors[0].e.error, EHOSTUNREACH);
  EXPECT_EQ(host.udp.errors[0].e.type, 1);
  EXPECT_EQ(host.udp.errors[0].e.code, 3);
  EXPECT_EQ(host.udp.errors[0].quoted, udp(1, 2));
  EXPECT_EQ(host.link(eth).sent.size(), 3u);
}

TEST_F(NdTest, ASolicitationForUsIsAnswered) {
  host.give(eth, solicitation("fd00::2", "ff02::1:ff00:1", "fd00::1"));
  const Bytes f = host.take(eth);
  ASSERT_EQ(f.size(), 14u + 40 + 32);
  EXPECT_EQ(wire::MacAddress::from_bytes(&f[0]), kPeer);
  const auto h = wire::parse_ipv6(ByteView(f).subspan(14));
  EXPECT_EQ(h->src, addr("fd00::1"));
  EXPECT_EQ(h->dst, addr("fd00::2"));
  const auto na = wire::parse_neighbor_advertisement(ByteView(f).subspan(54), {h->src, h->dst, 255});
  ASSERT_TRUE(na.has_value());
  EXPECT_TRUE(na->is_solicited);
  EXPECT_TRUE(na->is_override);
  EXPECT_FALSE(na->is_router);
  EXPECT_EQ(na->target, addr("fd00::1"));
  EXPECT_EQ(na->target_mac, kUs);
  EXPECT_EQ(state(), NeighbourState::kDelay);  // learnt as STALE, and used by the answer
}

TEST_F(NdTest, AProbeForADuplicateIsAnsweredToAllNodes) {
  host.give(eth, solicitation("::", "ff02::1:ff00:1", "fd00::1", false));
  const Bytes f = host.take(eth);
  ASSERT_EQ(f.size(), 14u + 40 + 32);
  EXPECT_EQ(wire::MacAddress::from_bytes(&f[0]), (wire::MacAddress{{0x33, 0x33, 0, 0, 0, 1}}));
  const auto h = wire::parse_ipv6(ByteView(f).subspan(14));
  EXPECT_EQ(h->dst, addr("ff02::1"));
  EXPECT_FALSE(wire::parse_neighbor_advertisement(ByteView(f).subspan(54), {h->src, h->dst, 255})->is_solicited);
  EXPECT_EQ(entries(), 0u);
}

TEST_F(NdTest, WhatFailsTheRfcsChecksIsDropped) {
  host.give(eth, solicitation("fd00::2", "ff02::1:ff00:1", "fd00::1", true, 254));  // came through a router
  EXPECT_EQ(host.drops(DropReason::kIpv6NdiscHopLimit), 1u);
  host.give(eth, solicitation("fd00::2", "ff02::1:ff00:1", "fd00::1", true, 255, 1));
  EXPECT_EQ(host.drops(DropReason::kIpv6NdiscBadCode), 1u);
  host.give(eth, solicitation("::", "ff02::1:ff00:1", "fd00::1", true));  // a probe names no link address
  EXPECT_EQ(host.drops(DropReason::kIpv6NdiscBadOptions), 1u);
  host.give(eth, solicitation("fd00::2", "ff02::1:ff00:1", "fd00::9"));  // not ours
  EXPECT_TRUE(host.take(eth).empty());
  EXPECT_EQ(entries(), 0u);
}

TEST_F(NdTest, NeighbourDiscoveryInFragmentsIsDropped) {
  Bytes m(32);
  m.resize(wire::emit_neighbor_solicitation({addr("fd00::1"), kPeer}, m));
  wire::finish_icmp6(addr("fd00::2"), addr("fd00::1"), m);
  const Bytes a(m.begin(), m.begin() + 24), b(m.begin() + 24, m.end());
  host.give(eth, frame(v6({.next = 44, .hop_limit = 255}, v6_fragment(58, 0, true, 5, a)), addr("fd00::1")));
  host.give(eth, frame(v6({.next = 44, .hop_limit = 255}, v6_fragment(58, 24, false, 5, b)), addr("fd00::1")));
  EXPECT_EQ(host.mib(Mib::Ip6ReasmOKs), 1u);
  EXPECT_TRUE(host.take(eth).empty());
  EXPECT_EQ(entries(), 0u);
}

TEST_F(NdTest, AdvertisementsFollowTheTableOfRfc4861) {
  host.give(eth, advertisement(true, true));
  EXPECT_EQ(entries(), 0u);  // unsolicited ones create nothing
  ASSERT_EQ(error_of(host.send(udp(1, 2), "fd00::2")), 0);
  (void)host.take(eth);
  host.give(eth, advertisement(false, true, std::nullopt));
  EXPECT_EQ(state(), NeighbourState::kIncomplete);  // without a link address it says nothing
  host.give(eth, advertisement(false, false));
  EXPECT_EQ(state(), NeighbourState::kStale);
  expect_datagram(kPeer);
  host.give(eth, advertisement(true, false, std::nullopt));
  EXPECT_EQ(state(), NeighbourState::kReachable);
  host.give(eth, advertisement(true, false, kOther));  // no override: only doubt
  EXPECT_EQ(state(), NeighbourState::kStale);
  ASSERT_EQ(error_of(host.send(udp(1, 2), "fd00::2")), 0);
  expect_datagram(kPeer);
  host.give(eth, advertisement(false, true, kOther));
  EXPECT_EQ(state(), NeighbourState::kStale);
  ASSERT_EQ(error_of(host.send(udp(1, 2), "fd00::2")), 0);
  expect_datagram(kOther);
  host.give(eth, advertisement(true, true, kPeer));
  EXPECT_EQ(state(), NeighbourState::kReachable);
  ASSERT_EQ(error_of(host.send(udp(1, 2), "fd00::2")), 0);
  expect_datagram(kPeer);
}

TEST_F(NdTest, ALinkLocalSourceIsUsedTowardsLinkLocalNeighbours) {
  const Route r = *host.ip->route(addr("fe80::2"), IpAddress(), eth);
  ASSERT_EQ(error_of(host.ip->output(host.pool.make_copy(udp(1, 2)), r,
                                     {.src = r.source, .dst = addr("fe80::2"), .protocol = 17})),
            0);
  const Bytes f = host.take(eth);
  EXPECT_EQ(wire::parse_ipv6(ByteView(f).subspan(14))->src, addr("fe80::1"));
}

}  // namespace
}  // namespace leat::ip
