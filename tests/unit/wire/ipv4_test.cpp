#include "wire/ipv4.h"

#include <gtest/gtest.h>

#include "bytes_of.h"

namespace leat::wire {
namespace {

using test::Bytes;
using test::hex;
using test::ip;

// 10.0.0.1 > 10.0.0.2, TCP, 40 bytes in all, DF.
const char kPlain[] = "45 10 0028 1234 4000 40 06 148a 0a000001 0a000002";

Bytes packet() {
  Bytes b = hex(kPlain);
  b.resize(40);
  return b;
}
// As if the checksum had been right.
Bytes with(size_t at, uint8_t value) {
  Bytes b = packet();
  b[at] = value;
  store_be16(b.data() + 10, 0);
  const size_t n = std::max<size_t>(20, (b[0] & 15u) * 4);
  store_be16(b.data() + 10, ipv4_checksum(ByteView(b).first(std::min(n, b.size()))));
  return b;
}

TEST(Ipv4, ReadsEveryField) {
  const auto h = parse_ipv4(packet());
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(h->tos, 0x10);
  EXPECT_EQ(h->total_length, 40);
  EXPECT_EQ(h->id, 0x1234);
  EXPECT_TRUE(h->dont_fragment);
  EXPECT_FALSE(h->more_fragments);
  EXPECT_FALSE(h->is_fragment());
  EXPECT_EQ(h->fragment_offset, 0);
  EXPECT_EQ(h->ttl, 64);
  EXPECT_EQ(h->protocol, kProtocolTcp);
  EXPECT_EQ(h->src, ip("10.0.0.1"));
  EXPECT_EQ(h->dst, ip("10.0.0.2"));
  EXPECT_EQ(h->header_length, 20);
}

TEST(Ipv4, ReadsFragments) {
  Bytes b = packet();
  store_be16(b.data() + 6, 0x2000);
  EXPECT_TRUE(parse_ipv4(b)->more_fragments);
  EXPECT_TRUE(parse_ipv4(b)->is_fragment());
  store_be16(b.data() + 6, 0x1fff);
  EXPECT_EQ(parse_ipv4(b)->fragment_offset, 65528);
  EXPECT_TRUE(parse_ipv4(b)->is_fragment());
  store_be16(b.data() + 6, 0x8000);  // the reserved bit says nothing
  EXPECT_FALSE(parse_ipv4(b)->is_fragment());
}

TEST(Ipv4, WritesTheHeaderWithItsChecksum) {
  Bytes out(20, 0xee);
  EXPECT_EQ(emit_ipv4(*parse_ipv4(packet()), out), 20u);
  EXPECT_EQ(out, hex(kPlain));
  Ipv4Header h = *parse_ipv4(packet());
  h.dont_fragment = false;
  h.more_fragments = true;
  h.fragment_offset = 1480;
  emit_ipv4(h, out);
  EXPECT_EQ(load_be16(out.data() + 6), 0x20b9);
  EXPECT_EQ(ipv4_checksum(out), 0);
  EXPECT_EQ(parse_ipv4(out), h);
}

TEST(Ipv4, PassesOverOptions) {
  Bytes b = with(0, 0x47);
  const auto h = check_ipv4(b, 40);
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(h->header_length, 28);
}

TEST(Ipv4, RefusesBadShapes) {
  const Bytes b = packet();
  for (size_t n = 0; n < 20; ++n)
    EXPECT_FALSE(parse_ipv4(ByteView(b).first(n)));
  for (int first : {0x05, 0x35, 0x65, 0x44, 0x40, 0x4b, 0x4f}) {  // 0x4b: 44 bytes of 40
    EXPECT_FALSE(parse_ipv4(with(0, static_cast<uint8_t>(first)))) << first;
    EXPECT_EQ(check_ipv4(with(0, static_cast<uint8_t>(first)), 40).error(), Ipv4Fault::kHeader) << first;
  }
  EXPECT_TRUE(parse_ipv4(with(0, 0x4a)));
}

TEST(Ipv4, ChecksAPacketInLinuxOrder) {
  EXPECT_TRUE(check_ipv4(packet(), 40));
  EXPECT_TRUE(check_ipv4(packet(), 46)) << "padding";
  EXPECT_TRUE(check_ipv4(ByteView(packet()).first(20), 40)) << "only the header is linear";
  Bytes corrupt = packet();
  corrupt[8] ^= 1;
  EXPECT_EQ(check_ipv4(corrupt, 40).error(), Ipv4Fault::kChecksum);
  EXPECT_TRUE(check_ipv4(corrupt, 40, false));
  EXPECT_EQ(check_ipv4(corrupt, 10, true).error(), Ipv4Fault::kHeader);
  EXPECT_EQ(check_ipv4(packet(), 39).error(), Ipv4Fault::kTruncated);
  EXPECT_EQ(check_ipv4(with(3, 19), 40).error(), Ipv4Fault::kHeader);
  EXPECT_EQ(check_ipv4(with(3, 0), 40).error(), Ipv4Fault::kHeader);
  EXPECT_TRUE(check_ipv4(with(3, 20), 40));
}

}  // namespace
}  // namespace leat::wire
