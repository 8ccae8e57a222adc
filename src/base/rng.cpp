// ChaCha20 keystream under the caller's key, 512 bytes at a time; the block number is the nonce.
#include "base/rng.h"

#include <sodium/crypto_stream_chacha20.h>

#include <cstring>

#include "base/bytes.h"

namespace leat {

static_assert(sizeof(Seed) == crypto_stream_chacha20_KEYBYTES);

Rng::Rng(const Seed& seed) : key_(seed) {}

void Rng::refill() {
  uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
  static_assert(sizeof nonce == 8);
  store_be64(nonce, block_++);
  crypto_stream_chacha20(pool_.data(), pool_.size(), nonce, key_.data());
  used_ = 0;
}

void Rng::fill(uint8_t* out, size_t n) {
  Guard guard(lock_);
  take(out, n);
}

void Rng::take(uint8_t* out, size_t n) {
  while (n != 0) {
    if (used_ == pool_.size()) refill();
    const size_t take = n < pool_.size() - used_ ? n : pool_.size() - used_;
    std::memcpy(out, pool_.data() + used_, take);
    std::memset(pool_.data() + used_, 0, take);  // what was handed out is not kept
    used_ += take;
    out += take;
    n -= take;
  }
}

// Lemire's multiplication; the few values that would be met once too often are drawn again.
uint32_t Rng::below(uint32_t bound) {
  if (bound == 0) return 0;
  const uint32_t too_often = (0u - bound) % bound;
  for (;;) {
    const uint64_t product = uint64_t{next32()} * bound;
    if (static_cast<uint32_t>(product) >= too_often) return static_cast<uint32_t>(product >> 32);
  }
}

Seed Rng::fork() {
  Seed seed;
  fill(seed.data(), seed.size());
  return seed;
}

}  // namespace leat
