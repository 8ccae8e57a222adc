// Eight bytes a step of splitmix64 (Steele, Lea, Flood 2014), which needs no state but the position.
#include "sim/pattern.h"

#include <cstring>

namespace leat::sim {

uint64_t Pattern::word(uint64_t index) const {
  uint64_t z = number_ + (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void Pattern::fill(uint64_t offset, std::span<uint8_t> out) const {
  size_t i = 0;
  while (i < out.size()) {
    const uint64_t at = offset + i;
    const uint64_t w = word(at / 8) >> (at % 8 * 8);
    const size_t n = std::min<size_t>(8 - at % 8, out.size() - i);
    std::memcpy(out.data() + i, &w, n);
    i += n;
  }
}

size_t Pattern::count_matching(uint64_t offset, std::span<const uint8_t> bytes) const {
  uint8_t expected[4096];
  for (size_t i = 0; i < bytes.size(); i += sizeof expected) {
    const size_t n = std::min(sizeof expected, bytes.size() - i);
    fill(offset + i, {expected, n});
    if (std::memcmp(expected, bytes.data() + i, n) == 0) continue;
    size_t j = i;
    while (bytes[j] == expected[j - i])
      ++j;
    return j;
  }
  return bytes.size();
}

}  // namespace leat::sim
