// The keyed hash of the tables: SipHash-1-3 (Aumasson and Bernstein), written out for the few words that identify a
// connection, so that an IPv4 tuple costs five rounds. A peer who picks ports and addresses but does not know the key
// cannot aim at a bucket. Output that leaves the host (ISNs, cookies) wants base/siphash.h instead.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

#include "base/siphash.h"
#include "inet/sock.h"

namespace leat::inet {

class WordHash {
 public:
  explicit WordHash(const SipKey& key) {
    std::memcpy(&k0_, key.data(), 8);
    std::memcpy(&k1_, key.data() + 8, 8);
  }

  // The number of words is part of the type of what is hashed, so it needs no encoding in the last one.
  template <std::same_as<uint64_t>... Words>
  uint64_t operator()(Words... words) const {
    State s{k0_ ^ 0x736f6d6570736575u, k1_ ^ 0x646f72616e646f6du, k0_ ^ 0x6c7967656e657261u, k1_ ^ 0x7465646279746573u};
    (s.absorb(words), ...);
    s.v2 ^= 0xff;
    s.round();
    s.round();
    s.round();
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
  }

  uint64_t operator()(const FourTuple& t) const {
    const uint64_t ports = uint64_t{t.local_port} << 16 | t.remote_port;
    if (t.local.is_v4()) return (*this)(uint64_t{t.local.v4()} << 32 | t.remote.v4(), ports);
    return (*this)(t.local.word(0), t.local.word(8), t.remote.word(0), t.remote.word(8), ports | kV6);
  }
  uint64_t operator()(const IpAddress& a, uint64_t extra) const {
    return (*this)(a.word(0), a.word(8), extra ^ uint64_t{static_cast<uint8_t>(a.family())} << 56);
  }

 private:
  static constexpr uint64_t kV6 = uint64_t{1} << 63;
  struct State {
    uint64_t v0, v1, v2, v3;
    void absorb(uint64_t m) {
      v3 ^= m;
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

}  // namespace leat::inet
