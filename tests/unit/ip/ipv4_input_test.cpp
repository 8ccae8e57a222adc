// What comes in as IPv4: validation, martians, who is meant, echoes.
#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

struct Ipv4InputTest : testing::Test {
  Ipv4InputTest() {
    lo = host.add(loopback_link(), {"127.0.0.1/8"});
    eth = host.add(ip_link(), {"10.0.0.1/24"});
    other = host.add(ip_link(), {"192.168.1.1/24"});
  }
  // Nothing was delivered and nothing was sent.
  void expect_silence() {
    EXPECT_TRUE(host.udp.got.empty());
    EXPECT_TRUE(host.link(eth).sent.empty());
  }
  Host host;
  uint16_t lo, eth, other;
};

TEST_F(Ipv4InputTest, ADatagramForUsReachesItsTransport) {
  host.give(eth, v4({.tos = 0x2e, .ttl = 3}, udp(1000, 2000, counting(5))));
  ASSERT_EQ(host.udp.got.size(), 1u);
  const auto& got = host.udp.got[0];
  EXPECT_EQ(got.bytes, udp(1000, 2000, counting(5)));
  EXPECT_EQ(got.info.src, addr("10.0.0.2"));
  EXPECT_EQ(got.info.dst, addr("10.0.0.1"));
  EXPECT_EQ(got.info.protocol, 17);
  EXPECT_EQ(got.info.ttl, 3);
  EXPECT_EQ(got.info.tos, 0x2e);
  EXPECT_EQ(got.info.ifindex, eth);
  EXPECT_FALSE(got.info.is_broadcast_or_multicast);
  EXPECT_EQ(host.udp.last->transport_header(), host.udp.last->data);
  EXPECT_EQ(host.udp.last->network_header(), host.udp.last->data - 20);
  EXPECT_EQ(host.mib(Mib::IpInReceives), 1u);
  EXPECT_EQ(host.mib(Mib::IpInDelivers), 1u);
  EXPECT_EQ(host.mib(Mib::IpExtInOctets), 33u);
  EXPECT_EQ(host.mib(Mib::IpExtInECT0Pkts), 1u);
}

TEST_F(Ipv4InputTest, LinkPaddingIsTrimmed) {
  host.give(eth, v4({}, udp(1, 2)) + Bytes(18, 0xee));
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].bytes.size(), 8u);
}

TEST_F(Ipv4InputTest, OptionsAreSkipped) {
  Bytes p = v4({}, Bytes{0x94, 4, 0, 0} + udp(1, 2));
  p[0] = 0x46;
  fix_v4_checksum(p);
  host.give(eth, p);
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].bytes, udp(1, 2));
}

TEST_F(Ipv4InputTest, EcnBitsAreCounted) {
  for (uint8_t tos : Bytes{0, 1, 1, 2, 2, 2, 3})
    host.give(eth, v4({.tos = tos}, udp(1, 2)));
  EXPECT_EQ(host.mib(Mib::IpExtInNoECTPkts), 1u);
  EXPECT_EQ(host.mib(Mib::IpExtInECT1Pkts), 2u);
  EXPECT_EQ(host.mib(Mib::IpExtInECT0Pkts), 3u);
  EXPECT_EQ(host.mib(Mib::IpExtInCEPkts), 1u);
}

TEST_F(Ipv4InputTest, ABadHeaderChecksumIsCountedAndDropped) {
  Bytes p = v4({}, udp(1, 2));
  p[10] = static_cast<uint8_t>(p[10] ^ 1);
  host.give(eth, p);
  expect_silence();
  EXPECT_EQ(host.mib(Mib::IpExtInCsumErrors), 1u);
  EXPECT_EQ(host.mib(Mib::IpInHdrErrors), 1u);
  EXPECT_EQ(host.drops(DropReason::kIpCsum), 1u);
}

TEST_F(Ipv4InputTest, LyingLengthsAreDropped) {
  Bytes longer = v4({}, udp(1, 2));
  store_be16(&longer[2], 29);
  fix_v4_checksum(longer);
  host.give(eth, longer);
  EXPECT_EQ(host.mib(Mib::IpExtInTruncatedPkts), 1u);
  EXPECT_EQ(host.drops(DropReason::kPktTooSmall), 1u);

  Bytes shorter = v4({}, udp(1, 2));
  store_be16(&shorter[2], 19);
  fix_v4_checksum(shorter);
  host.give(eth, shorter);
  EXPECT_EQ(host.mib(Mib::IpInHdrErrors), 1u);

  Bytes header = v4({}, udp(1, 2));
  header[0] = 0x44;
  host.give(eth, header);
  header[0] = 0x4f;  // 60 bytes of header in a packet of 28
  host.give(eth, header);
  EXPECT_EQ(host.mib(Mib::IpInHdrErrors), 3u);
  host.give(eth, Bytes(19, 0x45));
  host.give(eth, Bytes(1, 0x45));
  EXPECT_EQ(host.mib(Mib::IpInHdrErrors), 5u);
  EXPECT_EQ(host.drops(DropReason::kIpInhdr), 5u);
  expect_silence();
}

TEST_F(Ipv4InputTest, AnEmptyFrameAndAStrangeVersionAreDropped) {
  host.give(eth, {});
  EXPECT_EQ(host.drops(DropReason::kPktTooSmall), 1u);
  host.give(eth, Bytes(40, 0x75));
  EXPECT_EQ(host.drops(DropReason::kUnhandledProto), 1u);
}

TEST_F(Ipv4InputTest, MartiansAreDropped) {
  const struct {
    V4 header;
    DropReason why;
  } cases[] = {
      {{.src = "127.0.0.1"}, DropReason::kIpLocalnet},       {{.dst = "127.0.0.1"}, DropReason::kIpLocalnet},
      {{.src = "224.0.0.1"}, DropReason::kIpInvalidSource},  {{.src = "255.255.255.255"}, DropReason::kIpInvalidSource},
      {{.src = "10.0.0.255"}, DropReason::kIpInvalidSource}, {{.src = "0.0.0.0"}, DropReason::kIpInvalidSource},
      {{.src = "0.1.2.3"}, DropReason::kIpInvalidSource},    {{.dst = "0.0.0.0"}, DropReason::kIpInvalidDest},
      {{.src = "10.0.0.1"}, DropReason::kIpLocalSource},     {{.src = "192.168.1.1"}, DropReason::kIpLocalSource},
  };
  for (const auto& c : cases) {
    const uint64_t before = host.drops(c.why);
    host.give(eth, v4(c.header, udp(1, 2)));
    EXPECT_EQ(host.drops(c.why), before + 1) << c.header.src << " " << c.header.dst;
  }
  expect_silence();
}

TEST_F(Ipv4InputTest, WhatIsNotForUsIsNotForwarded) {
  host.give(eth, v4({.dst = "10.0.0.9"}, udp(1, 2)));
  host.give(eth, v4({.dst = "8.8.8.8"}, udp(1, 2)));
  host.give(eth, v4({.dst = "239.9.9.9"}, udp(1, 2)));
  expect_silence();
  EXPECT_EQ(host.mib(Mib::IpInAddrErrors), 3u);
  EXPECT_EQ(host.drops(DropReason::kIpInAddrErrors), 3u);
}

TEST_F(Ipv4InputTest, AnyAddressOfOursIsAcceptedOnAnyInterface) {
  host.give(other, v4({.src = "192.168.1.2", .dst = "10.0.0.1"}, udp(1, 2)));
  EXPECT_EQ(host.udp.got.size(), 1u);
}

TEST_F(Ipv4InputTest, BroadcastAndJoinedGroupsAreMarked) {
  ASSERT_EQ(error_of(host.ip->join_group(eth, addr("239.1.1.1"))), 0);
  for (const char* dst : {"10.0.0.255", "255.255.255.255", "224.0.0.1", "239.1.1.1"}) {
    host.give(eth, v4({.dst = dst}, udp(1, 2)));
    ASSERT_FALSE(host.udp.got.empty()) << dst;
    EXPECT_TRUE(host.udp.got.back().info.is_broadcast_or_multicast) << dst;
  }
  EXPECT_EQ(host.udp.got.size(), 4u);
  EXPECT_EQ(host.mib(Mib::IpExtInBcastPkts), 2u);
  EXPECT_EQ(host.mib(Mib::IpExtInMcastPkts), 2u);
  EXPECT_EQ(host.mib(Mib::IpExtInMcastOctets), 56u);
  host.give(other, v4({.src = "192.168.1.2", .dst = "239.1.1.1"}, udp(1, 2)));  // joined elsewhere only
  EXPECT_EQ(host.udp.got.size(), 4u);
  ASSERT_EQ(error_of(host.ip->leave_group(eth, addr("239.1.1.1"))), 0);
  EXPECT_EQ(error_of(host.ip->leave_group(eth, addr("239.1.1.1"))), EADDRNOTAVAIL);
  host.give(eth, v4({.dst = "239.1.1.1"}, udp(1, 2)));
  EXPECT_EQ(host.udp.got.size(), 4u);
}

TEST_F(Ipv4InputTest, AnUnspecifiedSourceMayBroadcastAsDhcpDoes) {
  host.give(eth, v4({.src = "0.0.0.0", .dst = "255.255.255.255"}, udp(68, 67)));
  EXPECT_EQ(host.udp.got.size(), 1u);
}

TEST_F(Ipv4InputTest, AnUnknownProtocolIsAnswered) {
  const Bytes offending = v4({.protocol = 99}, counting(40));
  host.give(eth, offending);
  const Bytes answer = host.take(eth);
  ASSERT_EQ(answer.size(), 20u + 8 + 60);
  EXPECT_EQ(answer[20], 3);  // destination unreachable
  EXPECT_EQ(answer[21], 2);  // protocol
  EXPECT_EQ(Bytes(answer.begin() + 28, answer.end()), offending);
  EXPECT_EQ(host.mib(Mib::IpInUnknownProtos), 1u);
  EXPECT_EQ(host.drops(DropReason::kIpNoproto), 1u);
}

TEST_F(Ipv4InputTest, AChainOfBuffersIsReadLikeOnePiece) {
  const Bytes all = v4({}, udp(1, 2, counting(100)));
  PacketPtr p = host.pool.make_copy({all.data(), 7}, 0);  // the header itself is torn apart
  Buffer* b = host.pool.make_buffer(static_cast<uint32_t>(all.size()));
  std::memcpy(b->bytes(), all.data(), all.size());
  p->add_fragment(b, 7, 10);
  p->add_fragment(b, 17, static_cast<uint32_t>(all.size()) - 17);
  PacketPool::unref(b);
  host.link(eth).in.push_back(p.release());
  host.ip->receive(eth, 1);
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].bytes, udp(1, 2, counting(100)));
}

TEST_F(Ipv4InputTest, ReceiveTakesNoMoreThanItsBudget) {
  for (int i = 0; i < 150; ++i)
    host.link(eth).in.push_back(host.pool.make_copy(v4({}, udp(1, 2))).release());
  EXPECT_EQ(host.ip->receive(eth, 100), 100u);
  EXPECT_EQ(host.udp.got.size(), 100u);
  EXPECT_EQ(host.ip->receive(eth, 100), 50u);
  EXPECT_EQ(host.ip->receive(eth, 100), 0u);
  EXPECT_EQ(host.ip->receive(77, 100), 0u);
}

TEST_F(Ipv4InputTest, APartialChecksumFromAMemoryLinkCountsAsVerified) {
  host.give(eth, v4({}, udp(1, 2)), Checksum::kPartial);
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].checksum, Checksum::kVerified);
}

TEST_F(Ipv4InputTest, ASuperSegmentCountsAsItsSegments) {
  PacketPtr p = host.pool.make_copy(v4({}, udp(1, 2, counting(200))));
  p->gso_size = 50;
  p->gso_segs = 4;
  host.link(eth).in.push_back(p.release());
  host.ip->receive(eth, 1);
  EXPECT_EQ(host.mib(Mib::IpInReceives), 4u);
  EXPECT_EQ(host.mib(Mib::IpExtInNoECTPkts), 4u);
  EXPECT_EQ(host.mib(Mib::IpInDelivers), 1u);
}

}  // namespace
}  // namespace leat::ip
