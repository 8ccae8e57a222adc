// SipHash-2-4 (Aumasson and Bernstein 2012) over any bytes; the same numbers as libsodium's crypto_shorthash, which
// the tests compare, without three calls for each. Its eight bytes are read big-endian, so that runs repeat on any
// host.
#include "base/siphash.h"

#include <bit>
#include <cstring>

namespace leat {
namespace {

uint64_t load_le64(const uint8_t* p) {
  uint64_t v;
  std::memcpy(&v, p, 8);
  return std::endian::native == std::endian::little ? v : __builtin_bswap64(v);
}

struct State {
  uint64_t v0, v1, v2, v3;
  void round() {
    v0 += v1;
    v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  }
  void absorb(uint64_t m) {
    v3 ^= m;
    round();
    round();
    v0 ^= m;
  }
};

}  // namespace

SipKey make_sip_key(Rng& rng) {
  SipKey key;
  rng.fill(key.data(), key.size());
  return key;
}

uint64_t siphash(const SipKey& key, ByteView bytes) {
  const uint64_t k0 = load_le64(key.data()), k1 = load_le64(key.data() + 8);
  State s{k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u};
  const uint8_t* p = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; p += 8, left -= 8)
    s.absorb(load_le64(p));
  uint64_t last = static_cast<uint64_t>(bytes.size() & 0xff) << 56;
  for (size_t i = 0; i < left; ++i)
    last |= static_cast<uint64_t>(p[i]) << (8 * i);
  s.absorb(last);
  s.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i)
    s.round();
  return __builtin_bswap64(s.v0 ^ s.v1 ^ s.v2 ^ s.v3);
}

}  // namespace leat
