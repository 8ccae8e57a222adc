// What is written: Linux's order and padding, byte for byte.
#include <gtest/gtest.h>

#include <random>

#include "bytes_of.h"
#include "wire/tcp.h"

namespace leat::wire {
namespace {

using test::Bytes;
using test::hex;

// The option bytes of the emitted header. Checks on the way that measuring and writing agree, and nothing is overrun.
Bytes options_of(const TcpHeader& h) {
  Bytes out(kTcpMaxHeaderBytes + 8, 0xee);
  const uint32_t n = emit_tcp(h, out);
  EXPECT_EQ(n, tcp_header_length(h));
  EXPECT_LE(n, kTcpMaxHeaderBytes);
  EXPECT_EQ(n % 4, 0u);
  EXPECT_EQ(out[12] >> 4, n / 4);
  for (size_t i = n; i < out.size(); ++i)
    EXPECT_EQ(out[i], 0xee) << "byte " << i;
  return Bytes(out.begin() + 20, out.begin() + n);
}

TcpHeader with_timestamp() {
  TcpHeader h;
  h.options.has_timestamp = true;
  h.options.tsval = 1;
  h.options.tsecr = 2;
  return h;
}

void add_sacks(TcpHeader& h, uint8_t n) {
  h.options.sack_count = n;
  for (uint8_t i = 0; i < n; ++i)
    h.options.sacks[i] = {i * 2u + 1, i * 2u + 2};
}

void add_cookie(TcpHeader& h, uint8_t n, bool experimental) {
  h.options.fast_open.present = true;
  h.options.fast_open.experimental = experimental;
  h.options.fast_open.length = n;
  for (uint8_t i = 0; i < n; ++i)
    h.options.fast_open.bytes[i] = static_cast<uint8_t>(0xa0 + i);
}

TEST(TcpEmit, WritesTheFixedHeaderWithAZeroChecksum) {
  TcpHeader h;
  h.src_port = 80;
  h.dst_port = 50000;
  h.seq = 0xfffffffe;
  h.ack = 0x01020304;
  h.flags = kTcpPsh | kTcpAck | kTcpUrg | kTcpCwr;
  h.ae = true;
  h.window = 0x1234;
  h.urgent = 5;
  Bytes out(20, 0xee);
  EXPECT_EQ(emit_tcp(h, out), 20u);
  EXPECT_EQ(out, hex("0050 c350 fffffffe 01020304 51 b8 1234 0000 0005"));
}

TEST(TcpEmit, ASynCarriesMssSackTimestampNopWscale) {
  TcpHeader h = with_timestamp();
  h.flags = kTcpSyn;
  h.options.mss = 1460;
  h.options.sack_permitted = true;
  h.options.has_wscale = true;
  h.options.wscale = 7;
  const Bytes wanted = hex("020405b4 0402 080a 00000001 00000002 01 030307");
  EXPECT_EQ(options_of(h), wanted);
  h.flags = kTcpSyn | kTcpAck;
  EXPECT_EQ(options_of(h), wanted);
}

TEST(TcpEmit, ASynWithoutTimestampsPadsSackPermitted) {
  TcpHeader h;
  h.options.mss = 1460;
  h.options.sack_permitted = true;
  h.options.has_wscale = true;
  h.options.wscale = 8;
  EXPECT_EQ(options_of(h), hex("020405b4 01010402 01030308"));
}

TEST(TcpEmit, EveryOtherMixOfSynOptions) {
  TcpHeader h;
  h.options.mss = 536;
  EXPECT_EQ(options_of(h), hex("02040218"));
  h.options.has_wscale = true;
  EXPECT_EQ(options_of(h), hex("02040218 01030300"));
  h = with_timestamp();
  h.options.mss = 536;
  EXPECT_EQ(options_of(h), hex("02040218 0101080a 00000001 00000002"));
  h.options.has_wscale = true;
  EXPECT_EQ(options_of(h), hex("02040218 0101080a 00000001 00000002 01030300"));
  h.options.has_wscale = false;
  h.options.sack_permitted = true;
  EXPECT_EQ(options_of(h), hex("02040218 0402080a 00000001 00000002"));
}

TEST(TcpEmit, DataCarriesNopNopTimestampAndSacks) {
  TcpHeader h = with_timestamp();
  EXPECT_EQ(options_of(h), hex("0101080a 00000001 00000002"));
  add_sacks(h, 1);
  EXPECT_EQ(options_of(h), hex("0101080a 00000001 00000002 0101050a 00000001 00000002"));
  h.options.has_timestamp = false;
  add_sacks(h, 2);
  EXPECT_EQ(options_of(h), hex("01010512 0000000100000002 0000000300000004"));
}

TEST(TcpEmit, WritesAsManySackBlocksAsFit) {
  TcpHeader h;
  add_sacks(h, 4);
  EXPECT_EQ(options_of(h).size(), 36u);
  EXPECT_EQ(options_of(h)[3], 34);
  h = with_timestamp();
  add_sacks(h, 4);
  EXPECT_EQ(options_of(h).size(), 40u);
  EXPECT_EQ(options_of(h)[15], 26);  // three
  h.options.mss = 1460;
  EXPECT_EQ(options_of(h)[19], 18);  // two
  h.options.sack_count = 200;        // a lie: there are four
  h.options.has_timestamp = false;
  h.options.mss = 0;
  EXPECT_EQ(options_of(h)[3], 34);
}

TEST(TcpEmit, PutsTheFastOpenCookieLastAndPadsItWithNops) {
  TcpHeader h;
  add_cookie(h, 0, false);
  EXPECT_EQ(options_of(h), hex("2202 0101"));
  add_cookie(h, 8, false);
  EXPECT_EQ(options_of(h), hex("220a a0a1a2a3a4a5a6a7 0101"));
  add_cookie(h, 6, false);
  EXPECT_EQ(options_of(h), hex("2208 a0a1a2a3a4a5"));
  add_cookie(h, 0, true);
  EXPECT_EQ(options_of(h), hex("fe04 f989"));
  add_cookie(h, 8, true);
  EXPECT_EQ(options_of(h), hex("fe0c f989 a0a1a2a3a4a5a6a7"));
  add_cookie(h, 6, true);
  EXPECT_EQ(options_of(h), hex("fe0a f989 a0a1a2a3a4a5 0101"));
}

TEST(TcpEmit, AFullSynWithTheLongestCookieFillsFortyBytes) {
  TcpHeader h = with_timestamp();
  h.flags = kTcpSyn;
  h.options.mss = 1460;
  h.options.sack_permitted = true;
  h.options.has_wscale = true;
  h.options.wscale = 7;
  add_cookie(h, 16, false);
  EXPECT_EQ(options_of(h), hex("020405b4 0402080a 00000001 00000002 01030307"
                               "2212 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf 0101"));
  add_cookie(h, 16, true);
  EXPECT_EQ(options_of(h).size(), 40u);
}

TEST(TcpEmit, WhatWasWrittenIsReadBack) {
  std::mt19937 rng(4);
  for (int round = 0; round < 5000; ++round) {
    TcpHeader h;
    h.src_port = static_cast<uint16_t>(rng());
    h.seq = static_cast<uint32_t>(rng());
    h.ack = static_cast<uint32_t>(rng());
    h.window = static_cast<uint16_t>(rng());
    h.ae = rng() % 2;
    h.flags = static_cast<uint8_t>(rng());
    h.options.has_timestamp = rng() % 2;
    if (h.options.has_timestamp) h.options.tsval = static_cast<uint32_t>(rng());
    if (h.syn()) {
      h.options.mss = static_cast<uint16_t>(rng() % 3 == 0 ? 0 : rng());
      h.options.sack_permitted = rng() % 2;
      h.options.has_wscale = rng() % 2;
      if (h.options.has_wscale) h.options.wscale = static_cast<uint8_t>(rng() % 15);
      if (rng() % 2) add_cookie(h, static_cast<uint8_t>(rng() % 2 ? 0 : 4 + rng() % 7 * 2), rng() % 2);
    } else {
      add_sacks(h, static_cast<uint8_t>(rng() % (h.options.has_timestamp ? 4 : 5)));
    }
    h.header_length = static_cast<uint8_t>(tcp_header_length(h));
    Bytes out(h.header_length);
    emit_tcp(h, out);
    ASSERT_EQ(parse_tcp(out), h) << "round " << round;
  }
}

}  // namespace
}  // namespace leat::wire
