// Keyed hashes (SipHash, Aumasson and Bernstein): hash tables, ISNs, cookies. A peer who does not know the key cannot
// aim.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "base/rng.h"

namespace leat {

using SipKey = std::array<uint8_t, 16>;

SipKey make_sip_key(Rng& rng);
uint64_t siphash(const SipKey& key, ByteView bytes);  // SipHash-2-4
template <class T>
uint64_t siphash_of(const SipKey& key, const T& plain) {  // T: no padding
  return siphash(key, ByteView(reinterpret_cast<const uint8_t*>(&plain), sizeof plain));
}

// SipHash-c-d of a few words, written out: what identifies a connection is hashed several times for each segment. How
// many words there are is part of the type of what is hashed, so the last word need not say it, as the published
// function's does.
template <int CompressionRounds, int FinalRounds>
class SipWords {
 public:
  explicit SipWords(const SipKey& key) {
    std::memcpy(&k0_, key.data(), 8);
    std::memcpy(&k1_, key.data() + 8, 8);
  }
  template <std::same_as<uint64_t>... Words>
  uint64_t operator()(Words... words) const {
    State s{k0_ ^ 0x736f6d6570736575u, k1_ ^ 0x646f72616e646f6du, k0_ ^ 0x6c7967656e657261u, k1_ ^ 0x7465646279746573u};
    (s.absorb(words), ...);
    s.v2 ^= 0xff;
    for (int i = 0; i < FinalRounds; ++i)
      s.round();
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
  }

 private:
  struct State {
    uint64_t v0, v1, v2, v3;
    void absorb(uint64_t m) {
      v3 ^= m;
      for (int i = 0; i < CompressionRounds; ++i)
        round();
      v0 ^= m;
    }
    void round() {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  };
  uint64_t k0_ = 0;
  uint64_t k1_ = 0;
};

}  // namespace leat
