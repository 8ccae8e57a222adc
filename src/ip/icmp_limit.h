// How often ICMP errors may leave (Linux's icmp_global_allow and inet_peer_xrlim_allow): a token bucket for all of them
// together, and one per destination. The global bucket is drained by a random amount, one on average, so that nobody
// can count its tokens from outside (CVE-2020-25705). Destinations share a fixed number of buckets by a keyed hash:
// two that collide share an allowance.
#pragma once

#include <array>
#include <cstdint>

#include "base/rng.h"
#include "base/siphash.h"
#include "base/spinlock.h"
#include "base/time.h"
#include "wire/ip_address.h"

namespace leat::ip {

class IcmpLimiter {
 public:
  static constexpr int64_t kBurstFactor = 6;
  static constexpr size_t kDestinations = 1024;

  explicit IcmpLimiter(Rng& rng) : rng_(rng), key_(make_sip_key(rng)) {}

  bool may_send_any(int64_t per_second, int64_t burst, Time now);
  // One message each `interval` (zero: no limit), up to six saved up.
  bool may_send_to(const IpAddress& dst, Duration interval, Time now);

 private:
  struct Destination {
    int64_t tokens_ns = 0;
    Time last;
    bool is_used = false;
  };
  Rng& rng_;
  const SipKey key_;
  SpinLock lock_;
  int64_t credit_ = 0;
  Time refilled_;
  bool is_primed_ = false;
  std::array<Destination, kDestinations> destinations_{};
};

}  // namespace leat::ip
