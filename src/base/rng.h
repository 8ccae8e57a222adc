// The core's only source of randomness: a stream seeded by the caller (libsodium's ChaCha20), so that the same seed
// gives the same run. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/spinlock.h"

namespace leat {

using Seed = std::array<uint8_t, 32>;

class Rng {
 public:
  explicit Rng(const Seed& seed);
  uint32_t next32();
  uint64_t next64();
  uint32_t below(uint32_t bound);  // uniform in [0, bound); 0 when bound is 0
  void fill(uint8_t* out, size_t n);
  Seed fork();  // a seed for somebody else's stream

 private:
  void refill();
  Seed key_;
  uint64_t block_ = 0;
  std::array<uint8_t, 512> pool_;
  size_t used_ = sizeof(pool_);
  SpinLock lock_;
};

}  // namespace leat
