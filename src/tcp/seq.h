// Sequence numbers: 32 bits that wrap (RFC 9293 §3.4). Comparisons hold for distances below 2^31.
#pragma once

#include <cstdint>

namespace leat::tcp {

using Seq = uint32_t;

constexpr bool before(Seq a, Seq b) {
  return static_cast<int32_t>(a - b) < 0;
}
constexpr bool after(Seq a, Seq b) {
  return before(b, a);
}
// low <= x <= high
constexpr bool between(Seq x, Seq low, Seq high) {
  return high - low >= x - low;
}
constexpr Seq seq_max(Seq a, Seq b) {
  return before(a, b) ? b : a;
}
constexpr Seq seq_min(Seq a, Seq b) {
  return before(a, b) ? a : b;
}

}  // namespace leat::tcp
