#include "wire/udp.h"

#include <gtest/gtest.h>

#include "bytes_of.h"

namespace leat::wire {
namespace {

using test::Bytes;
using test::hex;

TEST(Udp, ReadsAndWritesTheHeader) {
  const auto h = parse_udp(hex("0035 c350 000c abcd 01020304"));
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(*h, (UdpHeader{53, 50000, 12, 0xabcd}));
  Bytes out(8);
  EXPECT_EQ(emit_udp(*h, out), 8u);
  EXPECT_EQ(out, hex("0035 c350 000c abcd"));
  for (size_t n = 0; n < 8; ++n)
    EXPECT_FALSE(parse_udp(Bytes(n)));
}

TEST(Udp, LengthMustLieInsideTheIpPayload) {
  const auto length = [](uint16_t claimed, uint32_t payload, Family f) {
    return udp_datagram_length(UdpHeader{1, 2, claimed, 0}, payload, f);
  };
  EXPECT_EQ(length(12, 12, Family::kIpv4), 12u);
  EXPECT_EQ(length(12, 26, Family::kIpv4), 12u);
  EXPECT_EQ(length(8, 8, Family::kIpv4), 8u);
  EXPECT_EQ(length(13, 12, Family::kIpv4), std::nullopt);
  EXPECT_EQ(length(7, 12, Family::kIpv4), std::nullopt);
  EXPECT_EQ(length(0, 12, Family::kIpv4), std::nullopt);
  EXPECT_EQ(length(0, 12, Family::kIpv6), 12u);
  EXPECT_EQ(length(0, 70000, Family::kIpv6), 70000u);
  EXPECT_EQ(length(0, 7, Family::kIpv6), std::nullopt);
}

TEST(Udp, AComputedZeroIsSentAsAllOnes) {
  EXPECT_EQ(udp_checksum_on_wire(0), 0xffff);
  EXPECT_EQ(udp_checksum_on_wire(1), 1);
}

}  // namespace
}  // namespace leat::wire
