// The core's only source of randomness: a stream seeded by the caller (libsodium's ChaCha20), so that the same seed
// gives the same run. Thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "base/spinlock.h"

namespace leat {

using Seed = std::array<uint8_t, 32>;

class Rng {
 public:
  explicit Rng(const Seed& seed);
  uint32_t next32() { return next<uint32_t>(); }
  uint64_t next64() { return next<uint64_t>(); }
  uint32_t below(uint32_t bound);  // uniform in [0, bound); 0 when bound is 0
  void fill(uint8_t* out, size_t n);
  Seed fork();  // a seed for somebody else's stream

 private:
  // What was handed out is not kept.
  template <class Word>
  Word next() {
    Guard guard(lock_);
    uint8_t rest[sizeof(Word)];
    uint8_t* at = pool_.data() + used_;
    if (pool_.size() - used_ < sizeof(Word)) [[unlikely]] {
      take(rest, sizeof(Word));
      at = rest;
    } else {
      used_ += sizeof(Word);
    }
    Word w;
    if constexpr (sizeof(Word) == 4) {
      w = load_be32(at);
    } else {
      w = load_be64(at);
    }
    std::memset(at, 0, sizeof w);
    return w;
  }
  void take(uint8_t* out, size_t n);  // with the lock held
  void refill();
  Seed key_;
  uint64_t block_ = 0;
  std::array<uint8_t, 512> pool_;
  size_t used_ = sizeof(pool_);
  SpinLock lock_;
};

}  // namespace leat
