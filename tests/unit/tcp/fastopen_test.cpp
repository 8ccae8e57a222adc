// Fast Open's mechanisms: the cookie, and the cache of cookies.
#include <gtest/gtest.h>

#include "tcp/fastopen.h"

namespace leat::tcp {
namespace {

constexpr SipKey kKey = {0xa1, 0xa1, 0xa1, 0xa1, 0xb2, 0xb2, 0xb2, 0xb2,
                         0xc3, 0xc3, 0xc3, 0xc3, 0xd4, 0xd4, 0xd4, 0xd4};

IpAddress at(const char* text) {
  return IpAddress::parse(text).value();
}

wire::FastOpenCookie cookie_of(std::initializer_list<uint8_t> bytes) {
  wire::FastOpenCookie c;
  c.present = true;
  c.length = static_cast<uint8_t>(bytes.size());
  std::copy(bytes.begin(), bytes.end(), c.bytes.begin());
  return c;
}

// The value that Linux gives for these addresses and this key.
TEST(FastOpenCookieOf, IsTheOneThatLinuxMakes) {
  const inet::FourTuple t{at("192.168.0.1"), at("192.0.2.1"), 8080, 40000};
  EXPECT_EQ(make_cookie(kKey, t), cookie_of({0x30, 0x21, 0xb9, 0xd8, 0x89, 0x01, 0x7e, 0xeb}));
}

TEST(FastOpenCookieOf, DependsOnAddressesAndKeyAlone) {
  const inet::FourTuple t{at("fd00::1"), at("fd00::2"), 80, 1};
  const inet::FourTuple other_ports{at("fd00::1"), at("fd00::2"), 81, 2};
  const inet::FourTuple other_client{at("fd00::1"), at("fd00::3"), 80, 1};
  SipKey other_key = kKey;
  other_key[15] ^= 1;
  EXPECT_EQ(make_cookie(kKey, t), make_cookie(kKey, other_ports));
  EXPECT_FALSE(make_cookie(kKey, t) == make_cookie(kKey, other_client));
  EXPECT_FALSE(make_cookie(kKey, t) == make_cookie(other_key, t));
}

struct FastOpenCacheTest : testing::Test {
  Rng rng{Seed{}};
  FastOpenCache cache{rng};
  const IpAddress me = at("10.0.0.1");
};

TEST_F(FastOpenCacheTest, KnowsNothingAtFirst) {
  const FastOpenMetrics m = cache.get(me, at("10.0.0.2"));
  EXPECT_EQ(m.mss, 0);
  EXPECT_EQ(m.cookie.length, 0);
  EXPECT_EQ(cache.size(), 0u);
}

TEST_F(FastOpenCacheTest, KeepsACookieForEachPairOfAddresses) {
  cache.set(me, at("10.0.0.2"), 1400, cookie_of({1, 2, 3, 4}), 0);
  cache.set(me, at("fd00::2"), 1300, cookie_of({5, 6, 7, 8}), 0);
  EXPECT_EQ(cache.get(me, at("10.0.0.2")).cookie, cookie_of({1, 2, 3, 4}));
  EXPECT_EQ(cache.get(me, at("fd00::2")).mss, 1300);
  EXPECT_EQ(cache.get(at("10.0.0.9"), at("10.0.0.2")).cookie.length, 0);
}

TEST_F(FastOpenCacheTest, AnEmptyCookieDoesNotReplaceOne) {
  cache.set(me, at("10.0.0.2"), 1400, cookie_of({1, 2, 3, 4}), 0);
  cache.set(me, at("10.0.0.2"), 0, {}, 1);
  EXPECT_EQ(cache.get(me, at("10.0.0.2")).cookie, cookie_of({1, 2, 3, 4}));
  EXPECT_EQ(cache.get(me, at("10.0.0.2")).mss, 1400);
  EXPECT_EQ(cache.get(me, at("10.0.0.2")).try_exp, 0);
}

TEST_F(FastOpenCacheTest, WhatToTryNextOnlyGrows) {
  cache.set(me, at("10.0.0.2"), 0, {}, 2);
  cache.set(me, at("10.0.0.2"), 0, {}, 1);
  EXPECT_EQ(cache.get(me, at("10.0.0.2")).try_exp, 2);
}

TEST_F(FastOpenCacheTest, IsBoundedAndForgetsWhatWasNotUsedForLongest) {
  const IpAddress used = at("10.255.0.1");
  cache.set(me, used, 1400, cookie_of({1, 2, 3, 4}), 0);
  for (uint32_t i = 0; i < 100'000; ++i) {
    cache.set(me, IpAddress::from_v4(0x0b000000 + i), 1000, cookie_of({9, 9, 9, 9}), 0);
    if (i % 64 == 0) {
      ASSERT_EQ(cache.get(me, used).mss, 1400) << i;
    }
  }
  EXPECT_EQ(cache.size(), FastOpenCache::kSets * FastOpenCache::kWays);
  cache.clear();
  EXPECT_EQ(cache.size(), 0u);
}

}  // namespace
}  // namespace leat::tcp
