#include "ip/icmp_limit.h"

#include <algorithm>

namespace leat::ip {

bool IcmpLimiter::may_send_any(int64_t per_second, int64_t burst, Time now) {
  Guard guard(lock_);
  if (!is_primed_) {
    is_primed_ = true;
    credit_ = burst;
    refilled_ = now;
  }
  const int64_t elapsed_ms = std::min<int64_t>((now - refilled_).ms(), 1000);
  if (elapsed_ms >= 20) {  // Linux refills at most 50 times a second
    credit_ = std::min(credit_ + per_second * elapsed_ms / 1000, burst);
    refilled_ = now;
  }
  if (credit_ <= 0) return false;
  credit_ = std::max<int64_t>(credit_ - rng_.below(3), 0);
  return true;
}

bool IcmpLimiter::may_send_to(const IpAddress& dst, Duration interval, Time now) {
  if (interval <= Duration()) return true;
  Guard guard(lock_);
  Destination& d = destinations_[siphash(key_, ByteView(dst.bytes(), 16)) % kDestinations];
  const int64_t full = kBurstFactor * interval.ns();
  d.tokens_ns = d.is_used ? std::min(d.tokens_ns + (now - d.last).ns(), full) : full;
  d.is_used = true;
  d.last = now;
  if (d.tokens_ns < interval.ns()) return false;
  d.tokens_ns -= interval.ns();
  return true;
}

}  // namespace leat::ip
