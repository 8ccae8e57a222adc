// The fixed header, the fragment header, and the walk over the chain: what passes, what is dropped, what is answered.
#include "wire/ipv6.h"

#include <gtest/gtest.h>

#include "bytes_of.h"
#include "wire/icmp.h"

namespace leat::wire {
namespace {

using test::Bytes;
using test::hex;
using test::ip;
using test::zeros;
using test::operator+;
using Kind = Ipv6Fault::Kind;

constexpr uint8_t kTcp = kProtocolTcp;

Bytes fixed(uint8_t next, size_t payload, std::string_view dst = "fd00::2", std::string_view src = "fd00::1") {
  Ipv6Header h;
  h.traffic_class = 0x12;
  h.flow_label = 0xabcde;
  h.payload_length = static_cast<uint16_t>(payload);
  h.next_header = next;
  h.hop_limit = 64;
  h.src = ip(src);
  h.dst = ip(dst);
  Bytes b(40);
  emit_ipv6(h, b);
  return b;
}

// A whole packet with its payload length set.
Bytes packet(uint8_t next, const Bytes& payload, std::string_view dst = "fd00::2") {
  return fixed(next, payload.size(), dst) + payload;
}

std::expected<Ipv6Chain, Ipv6Fault> walk(const Bytes& b, const Ipv6Limits& limits = {}) {
  return walk_ipv6(b, static_cast<uint32_t>(b.size()), limits);
}

Ipv6Fault fault_of(const Bytes& b, const Ipv6Limits& limits = {}) {
  const auto r = walk(b, limits);
  EXPECT_FALSE(r.has_value());
  return r ? Ipv6Fault{} : r.error();
}

Ipv6Fault dropped(Kind kind) {
  return {kind, 0, 0, false};
}
Ipv6Fault answered(uint8_t code, uint32_t pointer, bool answers_multicast = false) {
  return {Kind::kParameterProblem, code, pointer, answers_multicast};
}

// An extension header: next, length, options, padded with PadN to a multiple of 8.
Bytes extension(uint8_t next, const Bytes& options) {
  Bytes b = Bytes{next, 0} + options;
  const size_t pad = (8 - b.size() % 8) % 8;
  if (pad == 1) b.push_back(0);
  if (pad >= 2) b = b + Bytes{1, static_cast<uint8_t>(pad - 2)} + zeros(pad - 2);
  b[1] = static_cast<uint8_t>(b.size() / 8 - 1);
  return b;
}

const Bytes kTcpSegment = zeros(20);

TEST(Ipv6, ReadsAndWritesTheFixedHeader) {
  const Bytes b = hex("6 12 abcde 0014 06 40 fd000000000000000000000000000001 fd000000000000000000000000000002");
  const auto h = parse_ipv6(b);
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(h->traffic_class, 0x12);
  EXPECT_EQ(h->flow_label, 0xabcdeu);
  EXPECT_EQ(h->payload_length, 20);
  EXPECT_EQ(h->next_header, 6);
  EXPECT_EQ(h->hop_limit, 64);
  EXPECT_EQ(h->src, ip("fd00::1"));
  EXPECT_EQ(h->dst, ip("fd00::2"));
  EXPECT_EQ(fixed(6, 20), b);
  for (size_t n = 0; n < 40; ++n)
    EXPECT_FALSE(parse_ipv6(ByteView(b).first(n)));
  Bytes v4 = b;
  v4[0] = 0x45;
  EXPECT_FALSE(parse_ipv6(v4));
}

TEST(Ipv6, AFlowLabelAboveTwentyBitsDoesNotSpill) {
  Ipv6Header h;
  h.flow_label = 0xffffffff;
  Bytes b(40);
  emit_ipv6(h, b);
  EXPECT_EQ(load_be32(b.data()), 0x600fffffu);
}

TEST(Ipv6, ReadsAndWritesTheFragmentHeader) {
  const Bytes b = hex("06 00 05a9 01020304");
  const auto f = parse_ipv6_fragment(b);
  ASSERT_TRUE(f.has_value());
  EXPECT_EQ(*f, (Ipv6Fragment{6, 1448, true, 0x01020304}));
  Bytes out(8, 0xee);
  EXPECT_EQ(emit_ipv6_fragment(*f, out), 8u);
  EXPECT_EQ(out, b);
  EXPECT_FALSE(parse_ipv6_fragment(zeros(7)));
  EXPECT_TRUE(parse_ipv6_fragment(hex("06ff 0006 00000000"))->is_atomic()) << "reserved bits say nothing";
}

TEST(Ipv6Walk, APlainPacketHasItsUpperHeaderAt40) {
  const auto c = walk(packet(kTcp, kTcpSegment) + zeros(6));
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->protocol, kTcp);
  EXPECT_EQ(c->offset, 40u);
  EXPECT_EQ(c->next_header_offset, 6u);
  EXPECT_EQ(c->total_length, 60u);
  EXPECT_FALSE(c->has_fragment_header);
  EXPECT_FALSE(c->is_fragment);
  EXPECT_EQ(c->header.src, ip("fd00::1"));
}

TEST(Ipv6Walk, RefusesBadFixedHeaders) {
  Bytes b = packet(kTcp, kTcpSegment);
  b.pop_back();
  EXPECT_EQ(fault_of(b), dropped(Kind::kTruncated));
  EXPECT_EQ(fault_of(zeros(39)), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of({}), dropped(Kind::kHeader));
  b = packet(kTcp, kTcpSegment);
  b[0] = 0x40;
  EXPECT_EQ(fault_of(b), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of(fixed(kTcp, 0, "fd00::2", "ff02::1")), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of(fixed(kTcp, 0, "ff00::1")), dropped(Kind::kHeader));
}

TEST(Ipv6Walk, AsksForBytesThatAreNotLinearYet) {
  const Bytes b = packet(kIpv6DestinationOptions, extension(kTcp, zeros(0)) + kTcpSegment);
  EXPECT_EQ(walk_ipv6(ByteView(b).first(30), 68).error(), (Ipv6Fault{Kind::kMoreNeeded, 0, 40, false}));
  EXPECT_EQ(walk_ipv6(ByteView(b).first(40), 68).error(), (Ipv6Fault{Kind::kMoreNeeded, 0, 48, false}));
  EXPECT_TRUE(walk_ipv6(ByteView(b).first(48), 68).has_value());
}

TEST(Ipv6Walk, PassesOverAWholeChain) {
  const Bytes routing = Bytes{kIpv6DestinationOptions, 0, 0, 0} + zeros(4);
  const Bytes b = packet(kIpv6HopByHop, extension(kIpv6DestinationOptions, hex("0502 0000")) +
                                            extension(kIpv6Routing, hex("3e03 112233")) + routing +
                                            extension(kTcp, {}) + kTcpSegment);
  const auto c = walk(b);
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->protocol, kTcp);
  EXPECT_EQ(c->offset, 72u);
  EXPECT_EQ(c->next_header_offset, 64u);
}

TEST(Ipv6Walk, StopsAtWhatItDoesNotKnow) {
  for (int next : {50, 51, 58, 59, 135, 255}) {
    const auto c = walk(packet(static_cast<uint8_t>(next), zeros(8)));
    ASSERT_TRUE(c.has_value());
    EXPECT_EQ(c->protocol, next);
    EXPECT_EQ(c->offset, 40u);
  }
}

TEST(Ipv6Walk, HopByHopAnywhereButFirstIsAnUnknownHeader) {
  const auto c =
      walk(packet(kIpv6DestinationOptions, extension(kIpv6HopByHop, {}) + extension(kTcp, {}) + kTcpSegment));
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->protocol, kIpv6HopByHop);
  EXPECT_EQ(c->offset, 48u);
  EXPECT_EQ(c->next_header_offset, 40u);
}

TEST(Ipv6Walk, AHeaderThatRunsPastTheEndIsDropped) {
  for (uint8_t next : {kIpv6HopByHop, kIpv6DestinationOptions, kIpv6Routing}) {
    EXPECT_EQ(fault_of(packet(next, zeros(7))).kind, Kind::kHeader) << int{next};
    EXPECT_EQ(fault_of(packet(next, Bytes{kTcp, 1} + zeros(13))), dropped(Kind::kHeader)) << int{next};
    EXPECT_EQ(fault_of(packet(next, Bytes{kTcp, 255} + zeros(2045))), dropped(Kind::kHeader)) << int{next};
  }
}

Bytes with_options(uint8_t kind, std::string_view options, std::string_view dst = "fd00::2") {
  Bytes b = Bytes{kTcp, 0} + hex(options);
  EXPECT_EQ(b.size() % 8, 0u);
  b[1] = static_cast<uint8_t>(b.size() / 8 - 1);
  return packet(kind, b + kTcpSegment, dst);
}

class Ipv6Options : public ::testing::TestWithParam<uint8_t> {};

TEST_P(Ipv6Options, PaddingOfUpToSevenZerosIsTaken) {
  EXPECT_TRUE(walk(with_options(GetParam(), "0104 00000000")));
  EXPECT_TRUE(walk(with_options(GetParam(), "000000000000")));
  EXPECT_TRUE(walk(with_options(GetParam(), "0103 000000 00")));
  EXPECT_TRUE(walk(with_options(GetParam(), "1e05 0000000000 0105 0000000000")));
  EXPECT_EQ(fault_of(with_options(GetParam(), "1e04 00000000 0106 000000000000")), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of(with_options(GetParam(), "1e04 00000000 00000000 0102 0000")), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of(with_options(GetParam(), "1e04 00000000 0000000000000000")), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of(with_options(GetParam(), "0104 00000001")), dropped(Kind::kHeader)) << "padding of ones";
}

TEST_P(Ipv6Options, AnOptionThatRunsPastItsHeaderIsDropped) {
  EXPECT_EQ(fault_of(with_options(GetParam(), "1e05 00000000")), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of(with_options(GetParam(), "1eff 00000000")), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of(with_options(GetParam(), "1e03 000000 1e")), dropped(Kind::kHeader)) << "a type alone";
  EXPECT_EQ(fault_of(with_options(GetParam(), "0105 00000000")), dropped(Kind::kHeader));
}

TEST_P(Ipv6Options, TheHighBitsOfAnUnknownOptionSayWhatToDo) {
  const uint8_t kind = GetParam();
  EXPECT_TRUE(walk(with_options(kind, "3e04 00000000")));
  EXPECT_EQ(fault_of(with_options(kind, "7e04 00000000")), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of(with_options(kind, "be04 00000000")), answered(kIcmp6UnknownOption, 42, true));
  EXPECT_EQ(fault_of(with_options(kind, "fe04 00000000")), answered(kIcmp6UnknownOption, 42));
  EXPECT_EQ(fault_of(with_options(kind, "0000 fe02 0000")), answered(kIcmp6UnknownOption, 44));
  EXPECT_EQ(fault_of(with_options(kind, "be04 00000000", "ff02::1")), answered(kIcmp6UnknownOption, 42, true));
  EXPECT_EQ(fault_of(with_options(kind, "fe04 00000000", "ff02::1")), dropped(Kind::kHeader));
}

TEST_P(Ipv6Options, EightOptionsAreTheMost) {
  const std::string eight = "1e00 1e00 1e00 1e00 1e00 1e00 1e00 1e00";
  EXPECT_TRUE(walk(with_options(GetParam(), eight + "0104 00000000")));
  EXPECT_EQ(fault_of(with_options(GetParam(), eight + "1e00 0102 0000")), dropped(Kind::kHeader));
  Ipv6Limits limits;
  limits.hop_by_hop_options = limits.destination_options = 9;
  EXPECT_TRUE(walk(with_options(GetParam(), eight + "1e00 0102 0000"), limits));
  limits.hop_by_hop_options = limits.destination_options = 0;
  EXPECT_TRUE(walk(with_options(GetParam(), "0104 00000000"), limits)) << "padding does not count";
  EXPECT_EQ(fault_of(with_options(GetParam(), "1e04 00000000"), limits), dropped(Kind::kHeader));
}

TEST_P(Ipv6Options, ANegativeLimitDropsUnknownOptionsInSilence) {
  Ipv6Limits limits;
  limits.hop_by_hop_options = limits.destination_options = -8;
  EXPECT_TRUE(walk(with_options(GetParam(), "0104 00000000"), limits));
  for (const char* option : {"1e04 00000000", "7e04 00000000", "be04 00000000", "fe04 00000000"}) {
    EXPECT_EQ(fault_of(with_options(GetParam(), option), limits), dropped(Kind::kHeader));
  }
}

INSTANTIATE_TEST_SUITE_P(BothKinds, Ipv6Options, ::testing::Values(kIpv6HopByHop, kIpv6DestinationOptions));

TEST(Ipv6Walk, HeaderLengthLimitsHold) {
  Ipv6Limits limits;
  limits.hop_by_hop_length = limits.destination_length = 8;
  const char* sixteen = "1e0c 000000000000000000000000";
  EXPECT_TRUE(walk(with_options(kIpv6HopByHop, "0104 00000000"), limits));
  EXPECT_EQ(fault_of(with_options(kIpv6HopByHop, sixteen), limits), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of(with_options(kIpv6DestinationOptions, sixteen), limits), dropped(Kind::kDrop));
}

TEST(Ipv6Walk, ARouterAlertHasTwoBytes) {
  EXPECT_TRUE(walk(with_options(kIpv6HopByHop, "0502 0000 0100")));
  EXPECT_EQ(fault_of(with_options(kIpv6HopByHop, "0504 00000000")), dropped(Kind::kHeader));
  EXPECT_TRUE(walk(with_options(kIpv6DestinationOptions, "0504 00000000"))) << "unknown there, and may be skipped";
}

Bytes jumbo(std::string_view option, size_t claimed, size_t behind) {
  return fixed(kIpv6HopByHop, claimed) + Bytes{kTcp, 0} + hex(option) + zeros(behind);
}

TEST(Ipv6Walk, AJumboPayloadReplacesTheLength) {
  const auto c = walk(jumbo("c204 00010010", 0, 0x10008 + 5));  // 65552 of payload, 8 of them the header, 5 padding
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->total_length, 40u + 0x10010);
  EXPECT_EQ(c->offset, 48u);
}

TEST(Ipv6Walk, AJumboPayloadMustMakeSense) {
  EXPECT_EQ(fault_of(jumbo("c204 0000ffff", 0, 100)), answered(kIcmp6ErroneousField, 44));
  EXPECT_EQ(fault_of(jumbo("c204 00010000", 8, 0)), answered(kIcmp6ErroneousField, 42));
  EXPECT_EQ(fault_of(jumbo("c204 00010010", 0, 100)), dropped(Kind::kTruncated));
  EXPECT_EQ(fault_of(jumbo("c204 ffffffff", 0, 100)), dropped(Kind::kTruncated));
  EXPECT_EQ(fault_of(jumbo("c203 000100 00", 0, 100)), dropped(Kind::kHeader));
  EXPECT_EQ(fault_of(fixed(kIpv6HopByHop, 0) + Bytes{kTcp, 1} + hex("0000 c204 00010010 0104 00000000") + zeros(20)),
            dropped(Kind::kHeader))
      << "not aligned to 4n+2";
}

TEST(Ipv6Walk, ALengthOfZeroWithHopByHopMeansAllThereIs) {
  const auto c = walk(jumbo("0104 00000000", 0, 20));
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->total_length, 68u);
}

Bytes with_routing(uint8_t type, uint8_t segments_left, std::string_view dst = "fd00::2") {
  return packet(kIpv6Routing, Bytes{kTcp, 2, type, segments_left} + zeros(20) + kTcpSegment, dst);
}

TEST(Ipv6Walk, ARoutingHeaderThatIsUsedUpIsPassedOver) {
  for (const uint8_t type : Bytes{0, 1, 253}) {
    const auto c = walk(with_routing(type, 0));
    ASSERT_TRUE(c.has_value()) << int{type};
    EXPECT_EQ(c->offset, 64u);
    EXPECT_EQ(c->protocol, kTcp);
  }
}

TEST(Ipv6Walk, ARoutingHeaderWithSegmentsLeftIsRefusedWithAPointerToItsType) {
  for (const uint8_t type : Bytes{0, 1, 253})
    EXPECT_EQ(fault_of(with_routing(type, 1)), answered(kIcmp6ErroneousField, 42));
}

TEST(Ipv6Walk, RoutingHeadersThatLinuxHasSwitchedOffAreDroppedInSilence) {
  EXPECT_EQ(fault_of(with_routing(4, 0)), dropped(Kind::kDrop));
  EXPECT_EQ(fault_of(with_routing(3, 1)), dropped(Kind::kDrop));
  EXPECT_EQ(fault_of(with_routing(2, 1)), dropped(Kind::kAddress));
  EXPECT_EQ(fault_of(with_routing(0, 0, "ff02::1")), dropped(Kind::kAddress));
}

Bytes fragment(uint16_t offset_and_flags, const Bytes& behind, uint8_t next = kTcp) {
  Bytes f = Bytes{next, 0, 0, 0, 0, 0, 0, 7};
  store_be16(f.data() + 2, offset_and_flags);
  return packet(kIpv6FragmentHeader, f + behind);
}

TEST(Ipv6Walk, StopsAtARealFragment) {
  const auto c = walk(fragment(0x05a9, zeros(16)));
  ASSERT_TRUE(c.has_value());
  EXPECT_TRUE(c->is_fragment);
  EXPECT_EQ(c->fragment, (Ipv6Fragment{kTcp, 1448, true, 7}));
  EXPECT_EQ(c->fragment_header_offset, 40u);
  EXPECT_EQ(c->unfragmentable_next_header_offset, 6u);
  EXPECT_EQ(c->offset, 48u);
  EXPECT_EQ(c->protocol, kTcp);
  EXPECT_TRUE(walk(fragment(0x05a8, zeros(13)))->is_fragment) << "the last one may end anywhere";
}

TEST(Ipv6Walk, RemembersWhichByteNamedTheFragmentHeader) {
  const Bytes f = Bytes{kTcp, 0, 0, 1, 0, 0, 0, 7} + zeros(24);
  const auto c = walk(packet(kIpv6HopByHop, extension(kIpv6FragmentHeader, {}) + f));
  ASSERT_TRUE(c.has_value());
  EXPECT_EQ(c->fragment_header_offset, 48u);
  EXPECT_EQ(c->unfragmentable_next_header_offset, 40u);
  EXPECT_EQ(c->offset, 56u);
}

TEST(Ipv6Walk, AnAtomicFragmentIsPassedOver) {
  const auto c = walk(fragment(0, kTcpSegment));
  ASSERT_TRUE(c.has_value());
  EXPECT_FALSE(c->is_fragment);
  EXPECT_TRUE(c->has_fragment_header);
  EXPECT_EQ(c->offset, 48u);
  EXPECT_EQ(c->protocol, kTcp);
  EXPECT_EQ(c->next_header_offset, 40u);
}

TEST(Ipv6Walk, OneFragmentHeaderIsTheMost) {
  EXPECT_EQ(fault_of(fragment(0, Bytes{kTcp, 0, 0, 0, 0, 0, 0, 7} + kTcpSegment, kIpv6FragmentHeader)),
            answered(kIcmp6ErroneousField, 48));
  const Bytes once = fragment(1, zeros(24));
  EXPECT_EQ(walk_ipv6(once, 72, {}, true).error(), answered(kIcmp6ErroneousField, 40));
}

TEST(Ipv6Walk, ATruncatedFragmentHeaderIsAnswered) {
  EXPECT_EQ(fault_of(packet(kIpv6FragmentHeader, zeros(7))), answered(kIcmp6ErroneousField, 40));
  Bytes b = jumbo("0104 00000000", 0, 30);
  b[40] = kIpv6FragmentHeader;
  EXPECT_EQ(fault_of(b), answered(kIcmp6ErroneousField, 48)) << "jumbograms are not fragmented";
}

TEST(Ipv6Walk, AFragmentThatIsNotTheLastEndsOnAMultipleOfEight) {
  EXPECT_EQ(fault_of(fragment(0x05a9, zeros(15))), answered(kIcmp6ErroneousField, 4));
}

TEST(Ipv6Walk, AFragmentThatWouldMakeThePacketTooLongIsAnswered) {
  EXPECT_TRUE(walk(fragment(0xfff8, zeros(7))));  // ends at 65535
  EXPECT_EQ(fault_of(fragment(0xfff8, zeros(8))), answered(kIcmp6ErroneousField, 42));
}

TEST(Ipv6Walk, TheFirstFragmentHoldsTheWholeHeaderChain) {
  const Ipv6Fault incomplete = answered(kIcmp6IncompleteChain, 0);
  EXPECT_TRUE(walk(fragment(1, zeros(24))));
  EXPECT_EQ(fault_of(fragment(1, zeros(16))), incomplete) << "TCP header";
  EXPECT_TRUE(walk(fragment(1, zeros(8), kProtocolUdp)));
  EXPECT_EQ(fault_of(fragment(1, zeros(0), kProtocolUdp)), incomplete);
  EXPECT_TRUE(walk(fragment(1, zeros(8), kProtocolIcmpv6)));
  EXPECT_EQ(fault_of(fragment(1, extension(kTcp, {}), kIpv6DestinationOptions)), incomplete);
  EXPECT_TRUE(walk(fragment(1, extension(kTcp, {}) + zeros(24), kIpv6DestinationOptions)));
  EXPECT_EQ(fault_of(fragment(1, Bytes{kTcp, 9} + zeros(22), kIpv6DestinationOptions)), incomplete);
  EXPECT_EQ(fault_of(fragment(1, zeros(8), kIpv6NoNextHeader)), incomplete);
  EXPECT_TRUE(walk(fragment(8 | 1, zeros(16)))) << "later ones need not";
}

TEST(Ipv6Walk, AsksForMoreOfAFirstFragmentBeforeItJudges) {
  const Bytes b = fragment(1, extension(kTcp, {}) + zeros(24), kIpv6DestinationOptions);
  EXPECT_EQ(walk_ipv6(ByteView(b).first(48), 80).error(), (Ipv6Fault{Kind::kMoreNeeded, 0, 80, false}));
}

TEST(Ipv6Skip, FindsTheUpperHeaderWithoutJudging) {
  const Bytes b = fixed(kIpv6HopByHop, 0) + extension(51, hex("fe00")) + Bytes{kIpv6Routing, 1, 0, 0} + zeros(8) +
                  Bytes{kTcp, 0, 0, 9, 0, 0, 0, 0} + kTcpSegment;
  const auto upper = skip_ipv6_extensions(b, kIpv6HopByHop, 40);  // hop-by-hop 8, AH 12, routing 8
  ASSERT_TRUE(upper.has_value());
  EXPECT_EQ(upper->protocol, kTcp);
  EXPECT_EQ(upper->offset, 68u);
  EXPECT_EQ(skip_ipv6_extensions(b, kTcp, 40)->offset, 40u);
  EXPECT_FALSE(skip_ipv6_extensions(b, kIpv6NoNextHeader, 40));
  EXPECT_FALSE(skip_ipv6_extensions(ByteView(b).first(47), kIpv6HopByHop, 40));
  EXPECT_FALSE(skip_ipv6_extensions({}, kIpv6HopByHop, 0));
  const Bytes later = fragment(8, zeros(8));
  EXPECT_EQ(skip_ipv6_extensions(later, kIpv6FragmentHeader, 40)->protocol, kIpv6FragmentHeader);
  EXPECT_EQ(skip_ipv6_extensions(fragment(1, zeros(8)), kIpv6FragmentHeader, 40)->protocol, kTcp);
}

}  // namespace
}  // namespace leat::wire
