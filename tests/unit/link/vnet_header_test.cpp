// The header between a TUN device with offload and a packet: every lie of either side is refused.
#include "link/vnet_header.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "frames.h"

namespace leat {
namespace {

using namespace leat::test;

PacketPtr make_super(PacketPool& pool) {
  PacketPtr p = make_udp(pool, {.payload = 2500, .partial = true});
  p->gso_size = 1000;
  p->gso_type = GsoType::kUdp;
  return p;
}

TEST(VnetHeader, APlainPacketNeedsNothing) {
  PacketPool pool;
  VnetHeader h;
  PacketPtr p = make_udp(pool, {});
  ASSERT_TRUE(describe_frame(*p, h));
  EXPECT_EQ(h.flags, 0);
  EXPECT_EQ(h.gso_type, 0);
}

TEST(VnetHeader, APartialChecksumSaysWhereFromTheFirstByte) {
  PacketPool pool;
  VnetHeader h;
  PacketPtr p = make_udp(pool, {.partial = true, .ethernet = true});
  ASSERT_TRUE(describe_frame(*p, h));
  EXPECT_EQ(h.flags, 1);
  EXPECT_EQ(h.csum_start, 34);
  EXPECT_EQ(h.csum_offset, 6);
}

TEST(VnetHeader, ASuperSegmentSaysItsKindAndSize) {
  PacketPool pool;
  VnetHeader h;
  PacketPtr p = make_super(pool);
  ASSERT_TRUE(describe_frame(*p, h));
  EXPECT_EQ(h.gso_type, 5);
  EXPECT_EQ(h.gso_size, 1000);
  EXPECT_EQ(h.header_length, 28);
}

TEST(VnetHeader, ASuperSegmentOfTcpWithCwrSaysSo) {
  PacketPool pool;
  VnetHeader h;
  PacketPtr p = make_super(pool);
  p->gso_type = GsoType::kTcp4;
  p->csum_offset = 16;
  p->data[20 + 12] = 0x80;  // a TCP header of 32 bytes
  p->data[20 + 13] = 0x90;  // CWR, ACK
  ASSERT_TRUE(describe_frame(*p, h));
  EXPECT_EQ(h.gso_type, 0x81);
  EXPECT_EQ(h.header_length, 52);
  p->gso_type = GsoType::kTcp6;
  p->data[20 + 13] = 0x10;
  ASSERT_TRUE(describe_frame(*p, h));
  EXPECT_EQ(h.gso_type, 4);
  p->data[20 + 12] = 0x40;  // 16 bytes: no TCP header
  EXPECT_FALSE(describe_frame(*p, h));
}

TEST(VnetHeader, ASuperSegmentWithoutAPartialChecksumCannotBeSent) {
  PacketPool pool;
  VnetHeader h;
  PacketPtr p = make_udp(pool, {.payload = 2500});
  p->gso_size = 1000;
  EXPECT_FALSE(describe_frame(*p, h));
}

TEST(VnetHeader, OffsetsOutsideOfThePacketCannotBeSent) {
  PacketPool pool;
  VnetHeader h;
  PacketPtr p = make_udp(pool, {.payload = 10, .partial = true});
  p->csum_offset = 18;
  EXPECT_FALSE(describe_frame(*p, h));
  p->csum_offset = 6;
  p->csum_start = 2;
  EXPECT_FALSE(describe_frame(*p, h));
}

TEST(VnetHeader, WhatIsDescribedIsUnderstood) {
  PacketPool pool;
  VnetHeader h;
  PacketPtr p = make_super(pool);
  ASSERT_TRUE(describe_frame(*p, h));
  PacketPtr q = pool.make_copy(bytes_of(*p), 64);
  ASSERT_TRUE(apply_vnet_header(h, LinkKind::kIp, *q));
  EXPECT_EQ(q->checksum, Checksum::kVerified);
  EXPECT_TRUE(has_partial_checksum(*q));
  EXPECT_EQ(q->gso_size, 1000);
  EXPECT_EQ(q->gso_segs, 3);
  EXPECT_EQ(q->gso_type, GsoType::kUdp);
  ASSERT_TRUE(complete_checksum(*q));
  EXPECT_TRUE(has_good_checksum(*q));
}

TEST(VnetHeader, DataValidIsVerified) {
  PacketPool pool;
  PacketPtr p = make_udp(pool, {});
  ASSERT_TRUE(apply_vnet_header({.flags = 2}, LinkKind::kIp, *p));
  EXPECT_EQ(p->checksum, Checksum::kVerified);
  EXPECT_FALSE(has_partial_checksum(*p));
}

TEST(VnetHeader, RefusesWhatDoesNotFitThePacket) {
  PacketPool pool;
  const auto is_accepted = [&](VnetHeader h, uint8_t protocol = 17) {
    PacketPtr p = make_udp(pool, {.payload = 2500});
    p->data[9] = protocol;
    return apply_vnet_header(h, LinkKind::kIp, *p);
  };
  const VnetHeader good{.flags = 1, .gso_type = 5, .gso_size = 1000, .csum_start = 20, .csum_offset = 6};
  EXPECT_TRUE(is_accepted(good));
  VnetHeader h = good;
  h.csum_start = 19;
  EXPECT_FALSE(is_accepted(h));
  h.csum_start = 2522;
  EXPECT_FALSE(is_accepted(h));
  h = good;
  h.csum_offset = 0xffff;
  EXPECT_FALSE(is_accepted(h));
  h = good;
  h.csum_offset = 0;
  EXPECT_FALSE(is_accepted(h));
  h = good;
  h.gso_size = 0;
  EXPECT_FALSE(is_accepted(h));
  for (const uint8_t type : std::to_array<uint8_t>({1, 2, 3, 4, 6, 0x7f, 0x80})) {
    h = good;
    h.gso_type = type;
    EXPECT_FALSE(is_accepted(h)) << int{type};
  }
  h = good;
  h.csum_start = 24;  // not where the IP header ends
  EXPECT_FALSE(is_accepted(h));
  EXPECT_FALSE(is_accepted(good, 6));
}

TEST(VnetHeader, NoHeaderAndNoPacketMakeItReadOutside) {
  PacketPool pool;
  Rng rng(seed_of(5));
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    uint8_t bytes[64];
    rng.fill(bytes, sizeof bytes);
    bytes[0] = static_cast<uint8_t>(rng.below(2) == 0 ? 0x45 : 0x60);
    PacketPtr p = pool.make_copy(ByteView(bytes, rng.below(sizeof bytes)), 0);
    VnetHeader h;
    rng.fill(reinterpret_cast<uint8_t*>(&h), sizeof h);
    h.csum_start &= 0x7f;
    h.csum_offset &= 0x1f;
    h.gso_type &= 7;
    if (!apply_vnet_header(h, rng.below(2) == 0 ? LinkKind::kIp : LinkKind::kEthernet, *p)) continue;
    ++accepted;
    EXPECT_TRUE(complete_checksum(*p));
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace leat
