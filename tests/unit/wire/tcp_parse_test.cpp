// What is read: the fixed header, and every option in every shape, sane or not.
#include <gtest/gtest.h>

#include "bytes_of.h"
#include "wire/tcp.h"

namespace leat::wire {
namespace {

using test::Bytes;
using test::hex;
using test::operator+;

TcpOptions of_syn(std::string_view options) {
  TcpOptions o;
  parse_tcp_options(hex(options), true, o);
  return o;
}
TcpOptions of_data(std::string_view options) {
  TcpOptions o;
  parse_tcp_options(hex(options), false, o);
  return o;
}
bool is_nothing(const TcpOptions& o) {
  return o == TcpOptions{};
}

TEST(TcpParse, ReadsTheFixedHeader) {
  const auto h = parse_tcp(hex("1f90 c350 fffffffe 00000001 50 12 fff0 abcd 0007"));
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(h->src_port, 8080);
  EXPECT_EQ(h->dst_port, 50000);
  EXPECT_EQ(h->seq, 0xfffffffeu);
  EXPECT_EQ(h->ack, 1u);
  EXPECT_EQ(h->flags, kTcpSyn | kTcpAck);
  EXPECT_TRUE(h->syn());
  EXPECT_TRUE(h->has_ack());
  EXPECT_FALSE(h->fin());
  EXPECT_FALSE(h->rst());
  EXPECT_FALSE(h->ae);
  EXPECT_EQ(h->window, 0xfff0);
  EXPECT_EQ(h->urgent, 7);
  EXPECT_EQ(h->header_length, 20);
  EXPECT_TRUE(is_nothing(h->options));
}

TEST(TcpParse, ReadsTheAeBitAndIgnoresTheReservedOnes) {
  const auto h = parse_tcp(hex("0001 0002 00000000 00000000 5f ff 0000 0000 0000"));
  ASSERT_TRUE(h.has_value());
  EXPECT_TRUE(h->ae);
  EXPECT_EQ(h->flags, 0xff);
  EXPECT_EQ(h->header_length, 20);
}

TEST(TcpParse, RefusesAHeaderThatIsCutOffOrClaimsToBeShort) {
  const Bytes whole = hex("0001 0002 00000000 00000000 50 10 0000 0000 0000");
  for (size_t n = 0; n < 20; ++n)
    EXPECT_FALSE(parse_tcp(ByteView(whole).first(n))) << n;
  for (uint8_t words = 0; words < 16; ++words) {
    Bytes b = whole + test::zeros(40);
    b[12] = static_cast<uint8_t>(words << 4);
    EXPECT_EQ(parse_tcp(b).has_value(), words >= 5) << int{words};
    EXPECT_EQ(parse_tcp(ByteView(b).first(24)).has_value(), words == 5 || words == 6) << int{words};
  }
}

TEST(TcpParse, LeavesTheDataAlone) {
  const auto h = parse_tcp(hex("0001 0002 00000000 00000000 50 02 0000 0000 0000 | 02 04 05 b4"));
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(h->options.mss, 0);
}

TEST(TcpParse, ReadsALinuxSyn) {
  const auto h =
      parse_tcp(hex("9c40 0050 00000001 00000000 a0 02 faf0 0000 0000"
                    "020405b4 0402 080a 00000064 00000000 01 030307"));
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(h->header_length, 40);
  EXPECT_EQ(h->options.mss, 1460);
  EXPECT_TRUE(h->options.sack_permitted);
  EXPECT_TRUE(h->options.has_timestamp);
  EXPECT_EQ(h->options.tsval, 100u);
  EXPECT_EQ(h->options.tsecr, 0u);
  EXPECT_TRUE(h->options.has_wscale);
  EXPECT_EQ(h->options.wscale, 7);
  EXPECT_FALSE(h->options.wscale_was_cut);
}

TEST(TcpOptions, MssCountsOnlyInASynWithLengthFourAndNotZero) {
  EXPECT_EQ(of_syn("020405b4").mss, 1460);
  EXPECT_EQ(of_syn("0204ffff").mss, 65535);
  EXPECT_EQ(of_data("020405b4").mss, 0);
  EXPECT_EQ(of_syn("02040000").mss, 0);
  EXPECT_EQ(of_syn("0203 05").mss, 0);
  EXPECT_EQ(of_syn("0205 05b4 00").mss, 0);
  EXPECT_EQ(of_syn("020405b4 02040064").mss, 100);   // the last one counts
  EXPECT_EQ(of_syn("020405b4 02040000").mss, 1460);  // unless it is zero
}

TEST(TcpOptions, WindowScaleCountsOnlyInASynAndIsCutAtFourteen) {
  EXPECT_TRUE(of_syn("030300").has_wscale);
  EXPECT_EQ(of_syn("03030e").wscale, 14);
  EXPECT_FALSE(of_syn("03030e").wscale_was_cut);
  EXPECT_EQ(of_syn("03030f").wscale, 14);
  EXPECT_TRUE(of_syn("03030f").wscale_was_cut);
  EXPECT_EQ(of_syn("0303ff").wscale, 14);
  EXPECT_FALSE(of_data("030307").has_wscale);
  EXPECT_FALSE(of_syn("0302").has_wscale);
  EXPECT_FALSE(of_syn("03040700").has_wscale);
  EXPECT_FALSE(of_syn("0303ff 030302").wscale_was_cut);
}

TEST(TcpOptions, SackPermittedCountsOnlyInASyn) {
  EXPECT_TRUE(of_syn("0402").sack_permitted);
  EXPECT_FALSE(of_data("0402").sack_permitted);
  EXPECT_FALSE(of_syn("040300").sack_permitted);
}

TEST(TcpOptions, TimestampsCountEverywhereWithLengthTen) {
  for (const TcpOptions& o : {of_syn("080a fffffffe 00000003"), of_data("0101080a fffffffe 00000003")}) {
    EXPECT_TRUE(o.has_timestamp);
    EXPECT_EQ(o.tsval, 0xfffffffeu);
    EXPECT_EQ(o.tsecr, 3u);
  }
  EXPECT_FALSE(of_data("0809 fffffffe 000000").has_timestamp);
  EXPECT_FALSE(of_data("080b fffffffe 00000003 00").has_timestamp);
}

TEST(TcpOptions, SackBlocksAreReadOutsideASyn) {
  const TcpOptions o = of_data("0101 051a fffffff0 00000010 00000020 00000030 00000040 00000050");
  ASSERT_EQ(o.sack_count, 3);
  EXPECT_EQ(o.sacks[0], (SackBlock{0xfffffff0, 0x10}));
  EXPECT_EQ(o.sacks[1], (SackBlock{0x20, 0x30}));
  EXPECT_EQ(o.sacks[2], (SackBlock{0x40, 0x50}));
  EXPECT_EQ(o.sacks[3], SackBlock{});
  EXPECT_EQ(of_syn("050a 00000001 00000002").sack_count, 0);
}

TEST(TcpOptions, SackBlocksMustBeWhole) {
  EXPECT_EQ(of_data("0502").sack_count, 0);
  EXPECT_EQ(of_data("0506 00000001").sack_count, 0);
  EXPECT_EQ(of_data("0509 00000001 000000").sack_count, 0);
  EXPECT_EQ(of_data("050a 00000001 00000002").sack_count, 1);
  EXPECT_EQ(of_data("050b 00000001 00000002 00").sack_count, 0);
  EXPECT_EQ(of_data("050e 00000001 00000002 00000003").sack_count, 0);
}

TEST(TcpOptions, FourSackBlocksAreTheMostAndTheLastOptionCounts) {
  const std::string four = "0522 0000000100000002 0000000300000004 0000000500000006 0000000700000008";
  EXPECT_EQ(of_data(four).sack_count, 4);
  EXPECT_EQ(of_data(four).sacks[3], (SackBlock{7, 8}));
  // Longer than a TCP header can hold; still no harm.
  EXPECT_EQ(
      of_data("052a 0000000100000002 0000000300000004 0000000500000006 0000000700000008 000000090000000a").sack_count,
      4);
  const TcpOptions o = of_data("0512 0000000100000002 0000000300000004 050a 0000000900000010");
  ASSERT_EQ(o.sack_count, 1);
  EXPECT_EQ(o.sacks[0], (SackBlock{9, 16}));
  EXPECT_EQ(o.sacks[1], SackBlock{});
}

TEST(TcpOptions, EndOfListAndBadLengthsStopAndKeepWhatCameBefore) {
  const struct {
    const char* bytes;
    const char* why;
  } cases[] = {{"020405b4 00 030307", "end of list"},
               {"020405b4 0300 030307", "length 0"},
               {"020405b4 0301 030307", "length 1"},
               {"020405b4 fd00 030307", "unknown with length 0"},
               {"020405b4 03", "no length"},
               {"020405b4 01 03", "no length after a nop"},
               {"020405b4 0303", "cut off"},
               {"020405b4 fd05 0303", "unknown and cut off"},
               {"020405b4 08ff 030307", "far past the end"}};
  for (const auto& c : cases) {
    EXPECT_EQ(of_syn(c.bytes).mss, 1460) << c.why;
    EXPECT_FALSE(of_syn(c.bytes).has_wscale) << c.why;
  }
  EXPECT_TRUE(is_nothing(of_syn("")));
  EXPECT_TRUE(is_nothing(of_syn("02")));
  EXPECT_TRUE(is_nothing(of_syn("0204")));
  EXPECT_TRUE(is_nothing(of_syn("020405")));
}

TEST(TcpOptions, UnknownOnesAreSkipped) {
  const TcpOptions o = of_syn("1312 00112233445566778899aabbccddeeff 1e04 0000 fd02 020405b4 01 01 030307");
  EXPECT_EQ(o.mss, 1460);
  EXPECT_EQ(o.wscale, 7);
}

TEST(TcpFastOpen, AnEmptyOptionAsksForACookie) {
  const TcpOptions o = of_syn("2202");
  EXPECT_TRUE(o.fast_open.present);
  EXPECT_EQ(o.fast_open.length, 0);
  EXPECT_FALSE(o.fast_open.experimental);
  EXPECT_FALSE(of_data("2202").fast_open.present);
}

TEST(TcpFastOpen, ACookieHasFourToSixteenBytesAndAnEvenNumberOfThem) {
  for (size_t n = 0; n <= 20; ++n) {
    Bytes b = {34, static_cast<uint8_t>(n + 2)};
    for (size_t i = 0; i < n; ++i)
      b.push_back(static_cast<uint8_t>(i + 1));
    TcpOptions o;
    parse_tcp_options(b, true, o);
    const bool is_good = n == 0 || (n >= 4 && n <= 16 && n % 2 == 0);
    EXPECT_EQ(o.fast_open.present, is_good) << n;
    EXPECT_EQ(o.fast_open.length, is_good ? n : 0) << n;
    if (is_good && n != 0) {
      EXPECT_EQ(o.fast_open.bytes[n - 1], n);
    }
  }
}

TEST(TcpFastOpen, TheExperimentalOptionNeedsItsMagic) {
  const TcpOptions o = of_syn("fe0c f989 0102030405060708");
  EXPECT_TRUE(o.fast_open.present);
  EXPECT_TRUE(o.fast_open.experimental);
  EXPECT_EQ(o.fast_open.length, 8);
  EXPECT_EQ(o.fast_open.bytes[7], 8);
  EXPECT_TRUE(of_syn("fe04 f989").fast_open.present);
  EXPECT_FALSE(of_syn("fe0c f988 0102030405060708").fast_open.present);
  EXPECT_FALSE(of_syn("fe03 f9").fast_open.present);
  EXPECT_FALSE(of_syn("fe02").fast_open.present);
  EXPECT_FALSE(of_syn("fe07 f989 010203").fast_open.present);
  EXPECT_FALSE(of_data("fe0c f989 0102030405060708").fast_open.present);
}

TEST(TcpFastOpen, OfTwoOptionsTheLastEvenOneCounts) {
  EXPECT_EQ(of_syn("2206 01020304 2202").fast_open.length, 0);
  EXPECT_EQ(of_syn("2206 01020304 2202").fast_open.bytes[0], 0);
  EXPECT_EQ(of_syn("2206 01020304 2203 01").fast_open.length, 4);     // odd: ignored
  EXPECT_FALSE(of_syn("2206 01020304 2204 0102").fast_open.present);  // even, but no cookie has two bytes
}

}  // namespace
}  // namespace leat::wire
