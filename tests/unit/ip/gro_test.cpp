// Merging what arrives in one batch.
#include "ip/gro.h"

#include "ip/gso.h"
#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

struct Seg {
  uint32_t seq = 1000;
  uint32_t payload = 100;
  uint8_t flags = wire::kTcpAck;
  uint32_t ack = 5;
  uint16_t window = 500;
  uint16_t id = 1;
  bool df = true;
  uint8_t tos = 0, ttl = 64;
  uint16_t sport = 80;
  uint32_t tsval = 7;
  bool is_v6 = false;
  bool bad_checksum = false;
};

Bytes segment(const Seg& s) {
  Bytes tcp(32);
  store_be16(&tcp[0], s.sport);
  store_be16(&tcp[2], 9);
  store_be32(&tcp[4], s.seq);
  store_be32(&tcp[8], s.ack);
  tcp[12] = 0x80;
  tcp[13] = s.flags;
  store_be16(&tcp[14], s.window);
  tcp[20] = tcp[21] = 1;
  tcp[22] = 8;
  tcp[23] = 10;
  store_be32(&tcp[24], s.tsval);
  tcp = tcp + counting(s.payload, static_cast<uint8_t>(s.seq));
  const IpAddress src = addr(s.is_v6 ? "fd00::2" : "10.0.0.2"), dst = addr(s.is_v6 ? "fd00::1" : "10.0.0.1");
  uint64_t sum = wire::pseudo_header_sum(src, dst, 6, static_cast<uint32_t>(tcp.size()));
  store_be16(&tcp[16], wire::checksum_fold(wire::checksum_add(sum, tcp)));
  if (s.bad_checksum) tcp[16] = static_cast<uint8_t>(tcp[16] + 1);
  if (s.is_v6) return v6({.next = 6, .hop_limit = s.ttl, .tclass = s.tos}, tcp);
  return v4({.protocol = 6, .id = s.id, .df = s.df, .tos = s.tos, .ttl = s.ttl}, tcp);
}

struct GroTest : testing::Test {
  // The lengths of what comes out of one batch, in order.
  std::vector<uint32_t> batch(const std::vector<Seg>& segments) {
    Gro gro(pool);
    PacketQueue out;
    for (const Seg& s : segments)
      gro.add(pool.make_copy(segment(s)), out);
    gro.flush(out);
    packets.clear();
    std::vector<uint32_t> lengths;
    while (PacketPtr p = out.pop_front()) {
      lengths.push_back(p->length - (p->data[0] >> 4 == 6 ? 72 : 52));
      packets.push_back(std::move(p));
    }
    return lengths;
  }
  PacketPool pool;
  std::vector<PacketPtr> packets;
};
using Lengths = std::vector<uint32_t>;

TEST_F(GroTest, SegmentsInSequenceBecomeOnePacketThatGsoTakesApartAgain) {
  for (const bool is_v6 : {false, true}) {
    std::vector<Seg> in;
    for (uint32_t i = 0; i < 5; ++i) {
      in.push_back({.seq = 0xffffff00 + i * 100, .id = static_cast<uint16_t>(0xfffe + i), .is_v6 = is_v6});
    }
    in[4].payload = 60;
    in[4].flags |= wire::kTcpPsh;
    ASSERT_EQ(batch(in), Lengths{460});
    Packet& p = *packets[0];
    EXPECT_EQ(p.gso_size, 100);
    EXPECT_EQ(p.gso_segs, 5);
    EXPECT_EQ(p.gso_type, is_v6 ? GsoType::kTcp6 : GsoType::kTcp4);
    EXPECT_EQ(p.checksum, Checksum::kVerified);
    p.set_network_header();
    p.transport_offset = static_cast<uint16_t>(p.network_offset + (is_v6 ? 40 : 20));
    PacketQueue out;
    ASSERT_TRUE(gso_split(p, pool, false, out));
    ASSERT_EQ(out.count(), 5u);
    for (const Seg& s : in)
      EXPECT_EQ(bytes_of(*out.pop_front()), segment(s));
  }
}

TEST_F(GroTest, WhatDoesNotFitEndsThePacketAndKeepsTheOrder) {
  const Seg first;
  const Seg next[] = {
      {.seq = 1101},                  // a hole
      {.seq = 1100, .payload = 101},  // larger
      {.seq = 1100, .ack = 6},
      {.seq = 1100, .window = 501},
      {.seq = 1100, .tsval = 8},
      {.seq = 1100, .tos = 3},
      {.seq = 1100, .ttl = 63},
      {.seq = 1100, .flags = wire::kTcpAck | wire::kTcpEce},
      {.seq = 1100, .flags = wire::kTcpAck | wire::kTcpUrg},
      {.seq = 1100, .flags = wire::kTcpAck | wire::kTcpSyn},
      {.seq = 1100, .flags = wire::kTcpAck | wire::kTcpRst},
      {.seq = 1100, .bad_checksum = true},
      {.seq = 1100, .df = false},
  };
  for (const Seg& n : next) {
    EXPECT_EQ(batch({first, n}), (Lengths{100, n.payload}));
    EXPECT_EQ(packets[0]->gso_size, 0);
    EXPECT_EQ(bytes_of(*packets[0]), segment(first));
    EXPECT_EQ(bytes_of(*packets[1]), segment(n));
  }
  EXPECT_EQ(batch({{.df = false}, {.seq = 1100, .id = 2, .df = false}}), Lengths{200});
  EXPECT_EQ(batch({{.df = false}, {.seq = 1100, .id = 3, .df = false}}), (Lengths{100, 100}));
}

TEST_F(GroTest, APushOrAShortSegmentEndsThePacket) {
  EXPECT_EQ(batch({{}, {.seq = 1100, .flags = wire::kTcpAck | wire::kTcpPsh}, {.seq = 1200}}), (Lengths{200, 100}));
  EXPECT_EQ(batch({{}, {.seq = 1100, .payload = 50}, {.seq = 1150, .payload = 50}}), (Lengths{150, 50}));
  EXPECT_EQ(batch({{}, {.seq = 1100, .flags = wire::kTcpAck | wire::kTcpFin}}), Lengths{200});
  EXPECT_EQ(packets[0]->data[33], wire::kTcpAck | wire::kTcpFin);
}

TEST_F(GroTest, APureAckOfTheFlowDoesNotOvertake) {
  EXPECT_EQ(batch({{}, {.seq = 1100, .payload = 0}, {.seq = 1100}}), (Lengths{100, 0, 100}));
}

TEST_F(GroTest, FlowsAreKeptApartAndTheirNumberIsBounded) {
  std::vector<Seg> in;
  for (uint32_t i = 0; i < 3; ++i) {
    for (uint16_t f = 0; f < 4; ++f)
      in.push_back({.seq = 1000 + i * 100, .sport = static_cast<uint16_t>(f + 1)});
  }
  EXPECT_EQ(batch(in), (Lengths{300, 300, 300, 300}));
  in.clear();
  for (uint16_t f = 0; f < 100; ++f)
    in.push_back({.sport = static_cast<uint16_t>(f + 1)});
  EXPECT_EQ(batch(in).size(), 100u);
}

TEST_F(GroTest, ThePacketStaysBelow64KilobytesAndItsChainIsShort) {
  std::vector<Seg> in;
  for (uint32_t i = 0; i < 100; ++i)
    in.push_back({.seq = 1000 + i * 1400, .payload = 1400});
  EXPECT_EQ(batch(in), (Lengths{46 * 1400, 46 * 1400, 8 * 1400}));
  Bytes want;
  for (uint32_t i = 0; i < 46; ++i) {
    const Bytes one = counting(1400, static_cast<uint8_t>(1000 + i * 1400));
    want.insert(want.end(), one.begin(), one.end());
  }
  const Bytes got = bytes_of(*packets[0]);
  EXPECT_EQ(Bytes(got.begin() + 52, got.end()), want);
  int chain = 0;
  for (const Packet* p = packets[0].get(); p != nullptr; p = p->more)
    ++chain;
  EXPECT_LE(chain, 4);
  packets[0]->trim(52 + 46 * 1400 - 5000);
  packets[0]->pull(10'000);
  EXPECT_EQ(bytes_of(*packets[0]).size(), 52u + 46 * 1400 - 15'000);
}

TEST_F(GroTest, OtherProtocolsPass) {
  Gro gro(pool);
  PacketQueue out;
  gro.add(pool.make_copy(v4({}, udp(1, 2))), out);
  gro.add(pool.make_copy(Bytes{}), out);
  gro.add(pool.make_copy(Bytes(39, 0x45)), out);
  EXPECT_EQ(out.count(), 3u);
}

TEST(GroInput, AnInterfaceMergesWhenToldTo) {
  for (const bool is_on : {false, true}) {
    Host host;
    const uint16_t tap = host.add(ethernet_link(), {"10.0.0.1/24"});
    host.ip->interface(tap)->set_gro(is_on);
    for (uint32_t i = 0; i < 4; ++i) {
      const Bytes f =
          ethernet(mac(1), mac(2), 0x0800, segment({.seq = 1000 + i * 100, .id = static_cast<uint16_t>(i)}));
      host.link(tap).in.push_back(host.pool.make_copy(f).release());
    }
    EXPECT_EQ(host.ip->receive(tap, 64), 4u);
    EXPECT_EQ(host.tcp.got.size(), is_on ? 1u : 4u);
    EXPECT_EQ(host.mib(Mib::IpInReceives), 4u);
  }
}

}  // namespace
}  // namespace leat::ip
