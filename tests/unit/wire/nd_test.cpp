#include "wire/nd.h"

#include <gtest/gtest.h>

#include "bytes_of.h"
#include "wire/icmp.h"

namespace leat::wire {
namespace {

using test::Bytes;
using test::hex;
using test::ip;
using test::operator+;

const MacAddress kMac{{2, 0, 0, 0, 0, 1}};
const Bytes kTarget = hex("fe800000000000000000000000000002");
const Bytes kSourceOption = hex("01 01 020000000001");
const Bytes kTargetOption = hex("02 01 020000000001");
const Bytes kSolicitation = hex("87 00 0000 00000000") + kTarget;
const Bytes kAdvertisement = hex("88 00 0000 e0000000") + kTarget;

NdEnvelope envelope(std::string_view src, std::string_view dst, uint8_t hop_limit = 255) {
  return {ip(src), ip(dst), hop_limit};
}
const NdEnvelope kAsking = envelope("fe80::1", "ff02::1:ff00:2");
const NdEnvelope kProbing = envelope("::", "ff02::1:ff00:2");
const NdEnvelope kAnswering = envelope("fe80::2", "fe80::1");

TEST(NeighborSolicitation, IsReadAndWritten) {
  const auto s = parse_neighbor_solicitation(kSolicitation + kSourceOption, kAsking);
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(*s, (NeighborSolicitation{ip("fe80::2"), kMac}));
  Bytes out(32, 0xee);
  EXPECT_EQ(emit_neighbor_solicitation(*s, out), 32u);
  EXPECT_EQ(out, kSolicitation + kSourceOption);
  EXPECT_EQ(emit_neighbor_solicitation({ip("fe80::2"), std::nullopt}, out), 24u);
}

TEST(NeighborSolicitation, ThatProbesForDuplicatesHasNoSourceOptionAndAsksTheGroup) {
  EXPECT_EQ(parse_neighbor_solicitation(kSolicitation, kProbing), (NeighborSolicitation{ip("fe80::2"), std::nullopt}));
  EXPECT_FALSE(parse_neighbor_solicitation(kSolicitation + kSourceOption, kProbing));
  EXPECT_FALSE(parse_neighbor_solicitation(kSolicitation, envelope("::", "fe80::2")));
  EXPECT_FALSE(parse_neighbor_solicitation(kSolicitation, envelope("::", "ff02::1")));
}

TEST(NeighborSolicitation, FailsEveryCheckOfTheRfc) {
  EXPECT_FALSE(parse_neighbor_solicitation(kSolicitation, envelope("fe80::1", "fe80::2", 254)));
  for (size_t n = 0; n < 24; ++n)
    EXPECT_FALSE(parse_neighbor_solicitation(ByteView(kSolicitation).first(n), kAsking));
  Bytes b = kSolicitation;
  b[1] = 1;
  EXPECT_FALSE(parse_neighbor_solicitation(b, kAsking)) << "code";
  EXPECT_FALSE(parse_neighbor_solicitation(kAdvertisement, kAsking)) << "type";
  b = kSolicitation;
  b[8] = 0xff;
  EXPECT_FALSE(parse_neighbor_solicitation(b, kAsking)) << "multicast target";
}

TEST(NdOptions, MustHaveALengthAndLieInside) {
  for (const char* options : {"01", "01 00 020000000001", "01 01 0200000000", "01 02 020000000001", "0e 00",
                              "0e 01 000000000000 01 00 000000000000", "01 01 020000000001 00"}) {
    EXPECT_FALSE(parse_neighbor_solicitation(kSolicitation + hex(options), kAsking)) << options;
  }
}

TEST(NdOptions, UnknownOnesAreSkippedAndTheFirstOfTwoCounts) {
  const auto s = parse_neighbor_solicitation(
      kSolicitation + hex("0e 01 010203040506") + kSourceOption + hex("01 01 020000000009"), kAsking);
  ASSERT_TRUE(s.has_value());
  EXPECT_EQ(s->source_mac, kMac);
  EXPECT_FALSE(parse_neighbor_solicitation(kSolicitation + kTargetOption, kAsking)->source_mac);
}

TEST(NdOptions, ALinkLayerAddressOfAnotherLengthSpoilsTheMessage) {
  EXPECT_FALSE(parse_neighbor_solicitation(kSolicitation + hex("01 02 0200000000010000000000000000"), kAsking));
  EXPECT_FALSE(parse_neighbor_advertisement(kAdvertisement + hex("02 02 0200000000010000000000000000"), kAnswering));
}

TEST(NeighborAdvertisement, IsReadAndWritten) {
  const auto a = parse_neighbor_advertisement(kAdvertisement + kTargetOption, kAnswering);
  ASSERT_TRUE(a.has_value());
  EXPECT_EQ(*a, (NeighborAdvertisement{ip("fe80::2"), true, true, true, kMac}));
  Bytes out(32, 0xee);
  EXPECT_EQ(emit_neighbor_advertisement(*a, out), 32u);
  EXPECT_EQ(out, kAdvertisement + kTargetOption);
  EXPECT_EQ(emit_neighbor_advertisement({ip("fe80::2"), false, true, false, std::nullopt}, out), 24u);
  EXPECT_EQ(out[4], 0x40);
}

TEST(NeighborAdvertisement, FailsEveryCheckOfTheRfc) {
  EXPECT_FALSE(parse_neighbor_advertisement(kAdvertisement, envelope("fe80::2", "fe80::1", 64)));
  EXPECT_FALSE(parse_neighbor_advertisement(kAdvertisement, envelope("fe80::2", "ff02::1"))) << "solicited, to all";
  for (size_t n = 0; n < 24; ++n)
    EXPECT_FALSE(parse_neighbor_advertisement(ByteView(kAdvertisement).first(n), kAnswering));
  Bytes b = kAdvertisement;
  b[4] = 0x20;
  EXPECT_TRUE(parse_neighbor_advertisement(b, envelope("fe80::2", "ff02::1"))) << "unsolicited, to all";
  b[1] = 1;
  EXPECT_FALSE(parse_neighbor_advertisement(b, kAnswering)) << "code";
  b = kAdvertisement;
  b[8] = 0xff;
  EXPECT_FALSE(parse_neighbor_advertisement(b, kAnswering)) << "multicast target";
  EXPECT_FALSE(parse_neighbor_advertisement(kSolicitation, kAnswering)) << "type";
}

const Bytes kRouter = hex("86 00 0000 40 c0 0708 00007530 000003e8");
const NdEnvelope kFromRouter = envelope("fe80::99", "ff02::1");

Bytes prefix_option(uint8_t length) {
  return Bytes{3, 4, length, 0xc0} + hex("00278d00 00093a80 00000000 20010db8000000000000000000000000");
}

TEST(RouterAdvertisement, IsRead) {
  const auto ra =
      parse_router_advertisement(kRouter + kSourceOption + hex("05 01 0000 000005d4") + prefix_option(64), kFromRouter);
  ASSERT_TRUE(ra.has_value());
  EXPECT_EQ(ra->hop_limit, 64);
  EXPECT_TRUE(ra->is_managed);
  EXPECT_TRUE(ra->is_other);
  EXPECT_EQ(ra->lifetime_seconds, 1800);
  EXPECT_EQ(ra->reachable_ms, 30000u);
  EXPECT_EQ(ra->retransmit_ms, 1000u);
  EXPECT_EQ(ra->source_mac, kMac);
  EXPECT_EQ(ra->mtu, 1492u);
  ASSERT_EQ(ra->prefix_count, 1);
  EXPECT_EQ(ra->prefixes[0].prefix.to_string(), "2001:db8::/64");
  EXPECT_TRUE(ra->prefixes[0].is_on_link);
  EXPECT_TRUE(ra->prefixes[0].is_autonomous);
  EXPECT_EQ(ra->prefixes[0].valid_seconds, 2592000u);
  EXPECT_EQ(ra->prefixes[0].preferred_seconds, 604800u);
}

TEST(RouterAdvertisement, FailsEveryCheckOfTheRfc) {
  EXPECT_TRUE(parse_router_advertisement(kRouter, kFromRouter));
  EXPECT_FALSE(parse_router_advertisement(kRouter, envelope("fd00::99", "ff02::1"))) << "source";
  EXPECT_FALSE(parse_router_advertisement(kRouter, envelope("fe80::99", "ff02::1", 254)));
  for (size_t n = 0; n < 16; ++n)
    EXPECT_FALSE(parse_router_advertisement(ByteView(kRouter).first(n), kFromRouter));
  Bytes b = kRouter;
  b[1] = 1;
  EXPECT_FALSE(parse_router_advertisement(b, kFromRouter)) << "code";
  EXPECT_FALSE(parse_router_advertisement(kRouter + hex("05 00 0000 000005d4"), kFromRouter)) << "option of no length";
}

TEST(RouterAdvertisement, PrefixesAreBoundedAndMustMakeSense) {
  Bytes b = kRouter + prefix_option(129) + hex("03 01 40c0 00000000");
  EXPECT_EQ(parse_router_advertisement(b, kFromRouter)->prefix_count, 0);
  for (int i = 0; i < 20; ++i)
    b = b + prefix_option(64);
  EXPECT_EQ(parse_router_advertisement(b, kFromRouter)->prefix_count, 8);
}

TEST(RouterSolicitation, IsWritten) {
  Bytes out(16, 0xee);
  EXPECT_EQ(emit_router_solicitation(kMac, out), 16u);
  EXPECT_EQ(out, hex("85 00 0000 00000000") + kSourceOption);
  EXPECT_EQ(emit_router_solicitation(std::nullopt, out), 8u);
}

TEST(SolicitedNodeMulticast, KeepsTheLastThreeBytes) {
  EXPECT_EQ(solicited_node_multicast(ip("fd00::12:3456:789a")), ip("ff02::1:ff56:789a"));
}

}  // namespace
}  // namespace leat::wire
