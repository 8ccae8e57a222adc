// What goes out: headers, fragments, checksums, super-segments, loopback, errors.
#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

struct OutputTest : testing::Test {
  OutputTest() {
    lo = host.add(loopback_link(), {"127.0.0.1/8", "::1/128"});
    eth = host.add(ip_link(), {"10.0.0.1/24", "fd00::1/64"});
  }
  Bytes partial_udp(uint32_t payload, std::string_view src, std::string_view dst) {
    Bytes d = udp(1, 2, counting(payload));
    const uint64_t sum = wire::pseudo_header_sum(addr(src), addr(dst), 17, static_cast<uint32_t>(d.size()));
    store_be16(&d[6], static_cast<uint16_t>(~wire::checksum_fold(sum)));
    return d;
  }
  Result<void> send_partial(uint32_t payload, std::string_view src, std::string_view dst, SendParams params = {}) {
    PacketPtr p = host.pool.make_copy(partial_udp(payload, src, dst));
    p->checksum = Checksum::kPartial;
    p->csum_start = static_cast<uint16_t>(p->data - p->head);
    p->csum_offset = 6;
    params.src = addr(src);
    params.dst = addr(dst);
    params.protocol = 17;
    return host.ip->output(std::move(p), *host.ip->route(addr(dst), addr(src)), params);
  }
  Host host;
  uint16_t lo, eth;
};

void expect_good_udp(const Bytes& datagram, std::string_view src, std::string_view dst) {
  const uint64_t sum = wire::pseudo_header_sum(addr(src), addr(dst), 17, static_cast<uint32_t>(datagram.size()));
  EXPECT_EQ(wire::checksum_fold(wire::checksum_add(sum, datagram)), 0);
}

TEST_F(OutputTest, AnIpv4HeaderIsWritten) {
  ASSERT_EQ(error_of(host.send(udp(1, 2, counting(4)), "10.0.0.2", {.tos = 0x2e, .ttl = 7, .dont_fragment = true})), 0);
  const Bytes b = host.take(eth);
  ASSERT_EQ(b.size(), 32u);
  const auto h = wire::check_ipv4(b, 32);
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(h->src, addr("10.0.0.1"));
  EXPECT_EQ(h->dst, addr("10.0.0.2"));
  EXPECT_EQ(h->ttl, 7);
  EXPECT_EQ(h->tos, 0x2e);
  EXPECT_TRUE(h->dont_fragment);
  EXPECT_EQ(h->protocol, 17);
  EXPECT_EQ(host.mib(Mib::IpOutRequests), 1u);
  EXPECT_EQ(host.mib(Mib::IpOutTransmits), 1u);
  EXPECT_EQ(host.mib(Mib::IpExtOutOctets), 32u);
}

TEST_F(OutputTest, AnIpv6HeaderIsWritten) {
  ASSERT_EQ(error_of(host.send(udp(1, 2), "fd00::2", {.tos = 0xb8, .flow_label = 0xabcde})), 0);
  const auto h = wire::parse_ipv6(host.take(eth));
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(h->src, addr("fd00::1"));
  EXPECT_EQ(h->dst, addr("fd00::2"));
  EXPECT_EQ(h->hop_limit, 64);
  EXPECT_EQ(h->traffic_class, 0xb8);
  EXPECT_EQ(h->flow_label, 0xabcdeu);
  EXPECT_EQ(h->payload_length, 8);
  EXPECT_EQ(host.mib(Mib::Ip6OutRequests), 1u);
  EXPECT_EQ(host.mib(Mib::Ip6OutOctets), 48u);
}

TEST_F(OutputTest, TheDefaultTtlIsTheNamespaces) {
  host.ns.sysctl.ip_default_ttl.set(99);
  ASSERT_EQ(error_of(host.send(udp(1, 2), "10.0.0.2")), 0);
  EXPECT_EQ(host.take(eth)[8], 99);
}

TEST_F(OutputTest, AnUnfinishedChecksumIsFinishedForALinkThatDoesNot) {
  ASSERT_EQ(error_of(send_partial(101, "10.0.0.1", "10.0.0.2")), 0);
  Bytes b = host.take(eth);
  expect_good_udp(Bytes(b.begin() + 20, b.end()), "10.0.0.1", "10.0.0.2");
  ASSERT_EQ(error_of(send_partial(101, "fd00::1", "fd00::2")), 0);
  b = host.take(eth);
  expect_good_udp(Bytes(b.begin() + 40, b.end()), "fd00::1", "fd00::2");
}

TEST_F(OutputTest, ALongDatagramIsFragmentedAndItsChecksumFinishedBefore) {
  ASSERT_EQ(error_of(send_partial(3500, "10.0.0.1", "10.0.0.2")), 0);
  const uint16_t offsets[] = {0, 1480, 2960};
  Bytes whole;
  uint16_t id = 0;
  for (int i = 0; i < 3; ++i) {
    const Bytes b = host.take(eth);
    ASSERT_FALSE(b.empty());
    EXPECT_LE(b.size(), 1500u);
    const auto h = wire::check_ipv4(b, static_cast<uint32_t>(b.size()));
    ASSERT_TRUE(h.has_value());
    EXPECT_EQ(h->fragment_offset, offsets[i]);
    EXPECT_EQ(h->more_fragments, i != 2);
    EXPECT_FALSE(h->dont_fragment);
    if (i == 0) id = h->id;
    EXPECT_EQ(h->id, id);
    whole.insert(whole.end(), b.begin() + 20, b.end());
  }
  EXPECT_EQ(whole.size(), 3508u);
  expect_good_udp(whole, "10.0.0.1", "10.0.0.2");
  EXPECT_EQ(host.mib(Mib::IpFragOKs), 1u);
  EXPECT_EQ(host.mib(Mib::IpFragCreates), 3u);
  EXPECT_EQ(host.mib(Mib::IpOutRequests), 1u);
  EXPECT_EQ(host.mib(Mib::IpOutTransmits), 3u);
}

TEST_F(OutputTest, Ipv6FragmentsCarryTheFragmentHeader) {
  ASSERT_EQ(error_of(send_partial(3000, "fd00::1", "fd00::2")), 0);
  Bytes whole;
  uint32_t id = 0;
  for (int i = 0; i < 3; ++i) {
    const Bytes b = host.take(eth);
    ASSERT_GE(b.size(), 48u);
    EXPECT_LE(b.size(), 1500u);
    EXPECT_EQ(b[6], 44);
    const auto f = wire::parse_ipv6_fragment(ByteView(b).subspan(40));
    EXPECT_EQ(f->next_header, 17);
    EXPECT_EQ(f->offset, i * 1448);
    EXPECT_EQ(f->more, i != 2);
    if (i == 0) id = f->id;
    EXPECT_EQ(f->id, id);
    EXPECT_NE(f->id, 0u);
    whole.insert(whole.end(), b.begin() + 48, b.end());
  }
  expect_good_udp(whole, "fd00::1", "fd00::2");
  EXPECT_EQ(host.mib(Mib::Ip6FragCreates), 3u);
}

TEST_F(OutputTest, WhatMayNotBeFragmentedIsRefused) {
  EXPECT_EQ(error_of(host.send(Bytes(1481), "10.0.0.2", {.dont_fragment = true})), EMSGSIZE);
  EXPECT_EQ(error_of(host.send(Bytes(1480), "10.0.0.2", {.dont_fragment = true})), 0);
  EXPECT_EQ(error_of(host.send(Bytes(1461), "fd00::2", {.dont_fragment = true})), EMSGSIZE);
  EXPECT_EQ(error_of(host.send(Bytes(1460), "fd00::2", {.dont_fragment = true})), 0);
  EXPECT_EQ(host.mib(Mib::IpFragFails), 1u);
  EXPECT_EQ(host.mib(Mib::Ip6FragFails), 1u);
  EXPECT_EQ(error_of(host.send(Bytes(65516), "10.0.0.2")), EMSGSIZE);
  EXPECT_EQ(error_of(host.send(Bytes(65515), "10.0.0.2")), 0);
}

TEST_F(OutputTest, ASuperSegmentIsSplitForALinkThatCannot) {
  Bytes tcp(20);
  tcp[12] = 0x50;
  tcp[13] = wire::kTcpAck;
  PacketPtr p = host.pool.make_copy(tcp + counting(2000));
  p->gso_size = 1000;
  p->gso_segs = 2;
  p->gso_type = GsoType::kTcp4;
  p->checksum = Checksum::kPartial;
  p->csum_start = static_cast<uint16_t>(p->data - p->head);
  p->csum_offset = 16;
  const Route r = *host.ip->route(addr("10.0.0.2"), IpAddress());
  ASSERT_EQ(error_of(host.ip->output(std::move(p), r,
                                     {.src = r.source, .dst = addr("10.0.0.2"), .protocol = 6, .dont_fragment = true})),
            0);
  const Bytes first = host.take(eth), second = host.take(eth);
  EXPECT_EQ(first.size(), 1040u);
  EXPECT_EQ(second.size(), 1040u);
  EXPECT_EQ(load_be16(&second[4]), static_cast<uint16_t>(load_be16(&first[4]) + 1));
  EXPECT_EQ(load_be32(&second[24]), 1000u);
  EXPECT_EQ(host.mib(Mib::IpOutTransmits), 1u);  // Linux counts what ip hands to the device
}

TEST_F(OutputTest, ASuperSegmentWhoseSegmentsNoLongerFitIsRefusedOrFragmented) {
  for (const bool df : {true, false}) {
    Bytes tcp(20);
    tcp[12] = 0x50;
    PacketPtr p = host.pool.make_copy(tcp + counting(4000));
    p->gso_size = 2000;
    p->gso_segs = 2;
    p->gso_type = GsoType::kTcp4;
    p->checksum = Checksum::kPartial;
    p->csum_start = static_cast<uint16_t>(p->data - p->head);
    p->csum_offset = 16;
    const Route r = *host.ip->route(addr("10.0.0.2"), IpAddress());
    const Result<void> sent = host.ip->output(
        std::move(p), r, {.src = r.source, .dst = addr("10.0.0.2"), .protocol = 6, .dont_fragment = df});
    EXPECT_EQ(error_of(sent), df ? EMSGSIZE : 0);
  }
  for (const size_t size : {1500u, 20u + 540, 1500u, 20u + 540})
    EXPECT_EQ(host.take(eth).size(), size);
  EXPECT_EQ(host.take(eth).size(), 0u);
}

TEST_F(OutputTest, APacketToAnOwnAddressComesBackOverTheLoopbackLink) {
  ASSERT_EQ(error_of(send_partial(60000, "10.0.0.1", "10.0.0.1")), 0);
  EXPECT_TRUE(host.link(eth).sent.empty());
  PacketPtr p = host.take_packet(lo);
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p->checksum, Checksum::kPartial);
  host.link(lo).in.push_back(p.release());
  host.ip->receive(lo, 1);
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].bytes.size(), 60008u);
  EXPECT_EQ(host.udp.got[0].checksum, Checksum::kVerified);
  EXPECT_EQ(host.udp.got[0].info.ifindex, lo);
}

TEST(Output, WithoutALoopbackLinkThereIsAnInternalOne) {
  Host host;
  const uint16_t eth = host.add(ip_link(), {"10.0.0.1/24"});
  for (const char* own : {"10.0.0.1", "127.0.0.1"}) {
    ASSERT_EQ(error_of(host.send(udp(1, 2), own)), 0) << own;
    EXPECT_TRUE(host.udp.got.empty());  // never from within output
    EXPECT_EQ(host.ip->next_deadline(), host.ns.now());
    host.ip->on_timer();
    ASSERT_EQ(host.udp.got.size(), 1u) << own;
    EXPECT_EQ(host.udp.got[0].info.dst, addr(own));
    host.udp.got.clear();
  }
  EXPECT_TRUE(host.link(eth).sent.empty());
  EXPECT_EQ(host.ip->next_deadline(), Time::never());
}

TEST_F(OutputTest, MulticastAndBroadcastComeBackToListenersHere) {
  ASSERT_EQ(error_of(host.ip->join_group(eth, addr("239.1.1.1"))), 0);
  for (const bool loop : {true, false}) {
    const Route r = *host.ip->route(addr("239.1.1.1"), IpAddress(), eth);
    ASSERT_EQ(error_of(host.ip->output(
                  host.pool.make_copy(udp(1, 2)), r,
                  {.src = r.source, .dst = addr("239.1.1.1"), .protocol = 17, .ttl = 1, .multicast_loop = loop})),
              0);
    host.ip->on_timer();
    EXPECT_EQ(host.take(eth).size(), 28u);
  }
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].info.ifindex, eth);
  ASSERT_EQ(error_of(host.send(udp(1, 2), "10.0.0.255")), 0);
  host.ip->on_timer();
  EXPECT_EQ(host.udp.got.size(), 2u);
  EXPECT_EQ(host.mib(Mib::IpExtOutMcastPkts), 2u);
  EXPECT_EQ(host.mib(Mib::IpExtOutBcastPkts), 1u);
}

TEST_F(OutputTest, IdentificationsOfOneFlowRunOnAndOthersStartElsewhere) {
  std::vector<uint16_t> one, two;
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(error_of(host.send(udp(1, 2), "10.0.0.2")), 0);
    one.push_back(load_be16(&host.take(eth)[4]));
    ASSERT_EQ(error_of(host.send(udp(1, 2), "10.0.0.3")), 0);
    two.push_back(load_be16(&host.take(eth)[4]));
  }
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(one[i], static_cast<uint16_t>(one[i - 1] + 1));
    EXPECT_EQ(two[i], static_cast<uint16_t>(two[i - 1] + 1));
  }
  EXPECT_NE(one[0], two[0]);
}

TEST_F(OutputTest, NoRouteIsCounted) {
  EXPECT_EQ(error_of(host.send(udp(1, 2), "8.8.8.8")), ENETUNREACH);
  EXPECT_EQ(error_of(host.send(udp(1, 2), "2600::1")), ENETUNREACH);
  EXPECT_EQ(host.mib(Mib::IpOutNoRoutes), 1u);
  EXPECT_EQ(host.mib(Mib::Ip6OutNoRoutes), 1u);
}

TEST_F(OutputTest, ARouteToAnInterfaceThatIsNotThereIsRefused) {
  Route r;
  r.ifindex = 99;
  EXPECT_EQ(
      error_of(host.ip->output(host.pool.make_copy(udp(1, 2)), r, {.src = addr("10.0.0.1"), .dst = addr("10.0.0.2")})),
      ENODEV);
  EXPECT_EQ(host.drops(DropReason::kXmitNoDevice), 1u);
}

TEST(Output, InterfacesAreBoundedInNumber) {
  Host host;
  for (int i = 1; i < 256; ++i)
    ASSERT_EQ(host.add(ip_link()), i);
  EXPECT_EQ(host.add(ip_link()), 0);
  EXPECT_EQ(host.ip->interface_count(), 255u);
  EXPECT_EQ(host.ip->interface("if7")->ifindex(), 7);
  EXPECT_EQ(host.ip->interface("none"), nullptr);
  EXPECT_EQ(host.ip->interface(uint16_t{0}), nullptr);
  EXPECT_EQ(host.ip->interface(uint16_t{999}), nullptr);
}

TEST_F(OutputTest, WithoutHeadroomThePayloadIsSharedIntoANewPacket) {
  const Bytes d = udp(1, 2, counting(900));
  const Route r = *host.ip->route(addr("10.0.0.2"), IpAddress());
  ASSERT_EQ(error_of(host.ip->output(host.pool.make_copy(d, 0), r,
                                     {.src = r.source, .dst = addr("10.0.0.2"), .protocol = 17})),
            0);
  const Bytes b = host.take(eth);
  EXPECT_EQ(Bytes(b.begin() + 20, b.end()), d);
}

TEST_F(OutputTest, FramesLeaveInBatchesAndAFullQueueFlushesItself) {
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(error_of(host.send(udp(1, 2), "10.0.0.2")), 0);
  EXPECT_EQ(host.link(eth).sent.size(), 0u);
  EXPECT_EQ(host.ip->next_deadline(), host.ns.now());
  host.ip->flush();
  EXPECT_EQ(host.link(eth).sent.size(), 100u);
  EXPECT_EQ(host.link(eth).batches, 2);
  host.link(eth).sent.clear();
  for (int i = 0; i < 1000; ++i)
    ASSERT_EQ(error_of(host.send(udp(1, 2), "10.0.0.2")), 0);
  EXPECT_EQ(host.link(eth).sent.size(), 1000u);
  EXPECT_EQ(host.ip->interface(eth)->counters().tx_packets.load(), 1100u);
}

}  // namespace
}  // namespace leat::ip
