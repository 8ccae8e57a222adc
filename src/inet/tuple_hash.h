// The keyed hash of addresses and ports. In the tables it is SipHash-1-3, so that an IPv4 tuple costs five rounds: a
// peer who picks ports and addresses but does not know the key cannot aim at a bucket. What leaves the host (ISNs,
// timestamps) is SipHash-2-4, as Linux's.
#pragma once

#include <cstdint>

#include "base/siphash.h"
#include "inet/sock.h"

namespace leat::inet {

template <int CompressionRounds, int FinalRounds>
class TupleHash {
 public:
  explicit TupleHash(const SipKey& key) : words_(key) {}

  template <std::same_as<uint64_t>... Words>
  uint64_t operator()(Words... words) const {
    return words_(words...);
  }
  uint64_t operator()(const FourTuple& t) const {
    const uint64_t ports = uint64_t{t.local_port} << 16 | t.remote_port;
    if (t.local.is_v4()) return words_(uint64_t{t.local.v4()} << 32 | t.remote.v4(), ports);
    return words_(t.local.word(0), t.local.word(8), t.remote.word(0), t.remote.word(8), ports | kV6);
  }
  uint64_t operator()(const IpAddress& a, uint64_t extra) const {
    return words_(a.word(0), a.word(8), extra ^ uint64_t{static_cast<uint8_t>(a.family())} << 56);
  }
  // Both addresses, without the ports.
  uint64_t of_hosts(const FourTuple& t) const {
    if (t.local.is_v4()) return words_(uint64_t{t.local.v4()} << 32 | t.remote.v4());
    return words_(t.local.word(0), t.local.word(8), t.remote.word(0), t.remote.word(8));
  }

 private:
  static constexpr uint64_t kV6 = uint64_t{1} << 63;
  SipWords<CompressionRounds, FinalRounds> words_;
};

using WordHash = TupleHash<1, 3>;
using SecretHash = TupleHash<2, 4>;

}  // namespace leat::inet
