#include "sim/pattern.h"

#include <gtest/gtest.h>

#include <vector>

namespace leat::sim {
namespace {

TEST(Pattern, IsTheSameHoweverItIsCut) {
  const Pattern p(7);
  std::vector<uint8_t> whole(10'000);
  p.fill(0, whole);
  for (const size_t at : {1u, 7u, 8u, 13u, 4095u, 9'000u}) {
    std::vector<uint8_t> part(900);
    p.fill(at, part);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(at))) << at;
  }
}

TEST(Pattern, FindsTheFirstByteThatIsWrong) {
  const Pattern p(7);
  std::vector<uint8_t> bytes(10'000);
  p.fill(123, bytes);
  EXPECT_EQ(p.count_matching(123, bytes), 10'000u);
  bytes[5'000] ^= 1;
  EXPECT_EQ(p.count_matching(123, bytes), 5'000u);
  EXPECT_LT(p.count_matching(124, bytes), 3u);
}

TEST(Pattern, OfAnotherNumberIsAnother) {
  std::vector<uint8_t> bytes(100);
  Pattern(1).fill(0, bytes);
  EXPECT_LT(Pattern(2).count_matching(0, bytes), 3u);
}

}  // namespace
}  // namespace leat::sim
