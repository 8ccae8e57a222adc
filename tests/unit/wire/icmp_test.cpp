#include "wire/icmp.h"

#include <gtest/gtest.h>

#include "bytes_of.h"
#include "wire/checksum.h"

namespace leat::wire {
namespace {

using test::Bytes;
using test::hex;
using test::ip;
using test::zeros;
using test::operator+;

TEST(Icmp, ReadsAndWritesEcho) {
  const auto h = parse_icmp(hex("08 00 abcd 1234 0007 616263"));
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(*h, IcmpHeader::echo(kIcmp4Echo, 0x1234, 7));
  EXPECT_EQ(h->echo_id(), 0x1234);
  EXPECT_EQ(h->echo_sequence(), 7);
  Bytes out(8, 0xee);
  EXPECT_EQ(emit_icmp(*h, out), 8u);
  EXPECT_EQ(out, hex("08 00 0000 1234 0007"));
  for (size_t n = 0; n < 8; ++n)
    EXPECT_FALSE(parse_icmp(zeros(n)));
}

TEST(Icmp, TheSecondWordHoldsTheMtuAndThePointer) {
  EXPECT_EQ(parse_icmp(hex("03 04 0000 0000 0578"))->mtu4(), 1400);
  EXPECT_EQ(parse_icmp(hex("03 04 0000 ffff 0578"))->mtu4(), 1400);
  EXPECT_EQ(parse_icmp(hex("02 00 0000 0001 0500"))->mtu6(), 0x10500u);
  EXPECT_EQ(parse_icmp(hex("0c 00 0000 14 000000"))->pointer4(), 20);
  EXPECT_EQ(parse_icmp(hex("04 01 0000 00000028"))->pointer6(), 40u);
  EXPECT_EQ(IcmpHeader::fragmentation_needed(1400), *parse_icmp(hex("03 04 0000 0000 0578")));
  EXPECT_EQ(IcmpHeader::packet_too_big(1280), *parse_icmp(hex("02 00 0000 0000 0500")));
}

TEST(Icmp, FinishesTheIpv4Checksum) {
  Bytes b = hex("08 00 ffff 1234 0007 616263");
  finish_icmp4(b);
  EXPECT_EQ(load_be16(b.data() + 2), 0x2162);
  EXPECT_EQ(checksum_fold(checksum_add(0, b)), 0);
}

TEST(Icmp, FinishesTheIpv6ChecksumOverThePseudoHeader) {
  Bytes b = hex("80 00 ffff 1234 0007");
  finish_icmp6(ip("fd00::1"), ip("fd00::2"), b);
  const uint64_t pseudo = pseudo_header_sum(ip("fd00::1"), ip("fd00::2"), 58, 8);
  EXPECT_EQ(checksum_fold(checksum_add(pseudo, b)), 0);
  EXPECT_NE(load_be16(b.data() + 2), 0xffff);
}

TEST(Icmp, KnowsWhichTypesAreErrors) {
  for (int type : {3, 4, 5, 11, 12})
    EXPECT_TRUE(is_icmp4_error(static_cast<uint8_t>(type)));
  for (int type : {0, 8, 9, 13, 14, 255})
    EXPECT_FALSE(is_icmp4_error(static_cast<uint8_t>(type)));
  for (int type : {1, 2, 3, 4, 127})
    EXPECT_TRUE(is_icmp6_error(static_cast<uint8_t>(type)));
  for (int type : {128, 135, 255})
    EXPECT_FALSE(is_icmp6_error(static_cast<uint8_t>(type)));
}

const Bytes kUnreachable4 = hex("03 03 0000 00000000");
const Bytes kQuoted4 = hex("45 02 05dc 0001 0000 3f 11 0000 0a000001 0a000002");
const Bytes kUdp8 = hex("c350 1388 05c8 0000");

TEST(IcmpQuote, ReadsTheQuotedIpv4PacketWithoutItsLengths) {
  const Bytes message = kUnreachable4 + kQuoted4 + kUdp8;
  const auto q = parse_icmp4_quote(message);
  ASSERT_TRUE(q.has_value());
  EXPECT_EQ(q->src, ip("10.0.0.1"));
  EXPECT_EQ(q->dst, ip("10.0.0.2"));
  EXPECT_EQ(q->protocol, kProtocolUdp);
  EXPECT_EQ(q->tos, 2);
  EXPECT_EQ(q->ttl, 63);
  EXPECT_EQ(q->length, 1500u);
  ASSERT_EQ(q->transport.size(), 8u);
  EXPECT_EQ(load_be16(q->transport.data()), 50000);
  EXPECT_EQ(load_be16(q->transport.data() + 2), 5000);
}

TEST(IcmpQuote, NeedsEightBytesOfTheTransportHeader) {
  const Bytes message = kUnreachable4 + kQuoted4 + kUdp8;
  for (size_t n = 0; n < message.size(); ++n)
    EXPECT_FALSE(parse_icmp4_quote(ByteView(message).first(n))) << n;
  Bytes with_options = message;
  with_options[8] = 0x46;  // the ports have become options
  EXPECT_FALSE(parse_icmp4_quote(with_options));
  EXPECT_TRUE(parse_icmp4_quote(with_options + zeros(4)));
}

TEST(IcmpQuote, RefusesWhatHasNoTransportHeader) {
  Bytes message = kUnreachable4 + kQuoted4 + kUdp8;
  message[8 + 7] = 1;  // fragment offset 8
  EXPECT_FALSE(parse_icmp4_quote(message));
  message[8 + 7] = 0;
  message[8] = 0x65;
  EXPECT_FALSE(parse_icmp4_quote(message));
}

const Bytes kTooBig6 = hex("02 00 0000 00000500");
const Bytes kAddresses6 = hex("fd000000000000000000000000000001 fd000000000000000000000000000002");

TEST(IcmpQuote, ReadsTheQuotedIpv6PacketBehindItsExtensionHeaders) {
  const Bytes message = kTooBig6 + hex("6 01 00002 05a0 3c 3f") + kAddresses6 + hex("06 00 0104 00000000") + kUdp8;
  const auto q = parse_icmp6_quote(message);
  ASSERT_TRUE(q.has_value());
  EXPECT_EQ(q->src, ip("fd00::1"));
  EXPECT_EQ(q->dst, ip("fd00::2"));
  EXPECT_EQ(q->protocol, kProtocolTcp);
  EXPECT_EQ(q->tos, 1);
  EXPECT_EQ(q->ttl, 63);
  EXPECT_EQ(q->flow_label, 2u);
  EXPECT_EQ(q->length, 1480u);
  EXPECT_EQ(q->transport.size(), 8u);
  for (size_t n = 0; n < message.size(); ++n)
    EXPECT_FALSE(parse_icmp6_quote(ByteView(message).first(n))) << n;
}

TEST(IcmpQuote, RefusesALaterIpv6Fragment) {
  const Bytes head = kTooBig6 + hex("6 00 00000 05a0 2c 3f") + kAddresses6;
  EXPECT_FALSE(parse_icmp6_quote(head + hex("06 00 0008 00000001") + kUdp8));
  EXPECT_TRUE(parse_icmp6_quote(head + hex("06 00 0001 00000001") + kUdp8));
}

TEST(IcmpQuote, AnExtensionHeaderThatPointsPastTheQuoteIsNoQuote) {
  const Bytes head = kTooBig6 + hex("6 00 00000 05a0 3c 3f") + kAddresses6;
  EXPECT_FALSE(parse_icmp6_quote(head + hex("06 ff 0104 00000000") + kUdp8));
}

}  // namespace
}  // namespace leat::wire
