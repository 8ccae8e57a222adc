// SipHash of words against libsodium's, which has the published vectors.
#include "base/siphash.h"

#include <gtest/gtest.h>

#include <vector>

namespace leat {
namespace {

SipKey counting_key() {
  SipKey key;
  for (size_t i = 0; i < key.size(); ++i)
    key[i] = static_cast<uint8_t>(i);
  return key;
}

// Of words: their bytes as they lie in memory, and the length in the last word's highest byte.
uint64_t from_library(const std::vector<uint64_t>& words) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(words.data());
  return __builtin_bswap64(siphash(counting_key(), ByteView(bytes, words.size() * 8)));
}

TEST(SipWords, IsThePublishedFunctionWhenTheLastWordSaysTheLength) {
  const SipWords<2, 4> hash(counting_key());
  const uint64_t a = 0x0706050403020100, b = 0x0f0e0d0c0b0a0908, c = 0xfedcba9876543210;
  EXPECT_EQ(hash(a, uint64_t{8} << 56), 0x93f5f5799a932462u);  // the vector of 00 01 … 07 in SipHash's paper's list
  EXPECT_EQ(hash(a, uint64_t{8} << 56), from_library({a}));
  EXPECT_EQ(hash(a, b, uint64_t{16} << 56), from_library({a, b}));
  EXPECT_EQ(hash(a, b, c, uint64_t{24} << 56), from_library({a, b, c}));
}

TEST(SipWords, EachWordAndTheKeyMatter) {
  const SipWords<1, 3> hash(counting_key());
  SipKey other = counting_key();
  other[15] ^= 1;
  const uint64_t a = 1, b = 2;
  EXPECT_NE(hash(a, b), hash(b, a));
  EXPECT_NE(hash(a, b), hash(a, b ^ uint64_t{1} << 63));
  EXPECT_NE(hash(a, b), (SipWords<1, 3>(other)(a, b)));
  EXPECT_NE(hash(a, b), (SipWords<2, 4>(counting_key())(a, b)));
}

}  // namespace
}  // namespace leat
