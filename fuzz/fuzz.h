// What the fuzzers share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"

// A broken promise of the code under test: dies, so that libFuzzer keeps the input.
#define FUZZ_REQUIRE(cond) LEAT_CHECK(cond)

namespace leat::fuzz {

// Takes values off the front of the input; zeros when it is used up.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(data, size) {}
  uint8_t u8() {
    if (rest_.empty()) return 0;
    const uint8_t v = rest_[0];
    rest_ = rest_.subspan(1);
    return v;
  }
  uint16_t u16() {
    const uint8_t high = u8();
    return static_cast<uint16_t>(high << 8 | u8());
  }
  uint32_t u32() {
    const uint32_t high = u16();
    return high << 16 | u16();
  }
  ByteView take(size_t n) {
    if (n > rest_.size()) n = rest_.size();
    const ByteView v = rest_.first(n);
    rest_ = rest_.subspan(n);
    return v;
  }
  ByteView rest() { return take(rest_.size()); }
  bool is_empty() const { return rest_.empty(); }

 private:
  ByteView rest_;
};

}  // namespace leat::fuzz
