#include "tcp/cc/cube_root.h"

#include <array>
#include <bit>

namespace leat::tcp::cc {
namespace {

constexpr uint32_t kFirstSeed = 8, kLastSeed = 63;
// By how much each seed lies below 64∛i (+10): what makes the one step of Newton's end where Linux's ends.
constexpr char kDents[] = "54343331433233333222221233332222111212211211111101110010";
static_assert(sizeof(kDents) - 1 == kLastSeed - kFirstSeed + 1);

constexpr uint32_t exact_root(uint64_t a) {
  uint64_t x = 0;
  while ((x + 1) * (x + 1) * (x + 1) <= a)
    ++x;
  return static_cast<uint32_t>(x);
}

constexpr auto kSeeds = [] {
  std::array<uint16_t, kLastSeed - kFirstSeed + 1> seeds{};
  for (uint32_t i = 0; i < seeds.size(); ++i) {
    const uint64_t cube = static_cast<uint64_t>(i + kFirstSeed) << 18;
    seeds[i] = static_cast<uint16_t>(exact_root(cube) + 10 - static_cast<uint32_t>(kDents[i] - '0'));
  }
  return seeds;
}();

}  // namespace

uint32_t cube_root(uint64_t a) {
  if (a <= kLastSeed) return (a >= 1) + (a >= 4) + (a >= 16) + (a >= 42);
  // a = i * 8^b with i in 8..63: ∛a is near ∛i * 2^b.
  const auto b = static_cast<uint32_t>(std::bit_width(a)) * 84 / 256 - 1;
  const uint32_t seed = kSeeds[(a >> (3 * b)) - kFirstSeed];
  const auto x = static_cast<uint32_t>((static_cast<uint64_t>(seed) << b) >> 6);
  const auto slope = static_cast<uint32_t>(a / (static_cast<uint64_t>(x) * (x - 1)));
  return ((2 * x + slope) * 341) >> 10;  // a third
}

}  // namespace leat::tcp::cc
