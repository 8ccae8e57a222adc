// Fast Open cookies that servers gave, by pair of addresses (Linux keeps them among its tcp_metrics). Bounded: a set
// has room for a few destinations, and the one that was not used for longest gives way.
//
// Thread rule: any thread.
#pragma once

#include <array>
#include <memory>

#include "base/siphash.h"
#include "base/spinlock.h"
#include "wire/ip_address.h"
#include "wire/tcp.h"

namespace leat::tcp {

struct FastOpenMetrics {
  uint16_t mss = 0;      // the server's last; 0: unknown
  uint16_t try_exp = 0;  // 1: the server knows the option of RFC 7413 not; 2: nor the experimental one
  wire::FastOpenCookie cookie;
};

class FastOpenCache {
 public:
  explicit FastOpenCache(Rng& rng) : key_(make_sip_key(rng)) {}
  FastOpenMetrics get(const IpAddress& from, const IpAddress& to);
  // mss 0: leave it. An empty cookie: leave it, and remember try_exp if there is none.
  void set(const IpAddress& from, const IpAddress& to, uint16_t mss, const wire::FastOpenCookie& cookie,
           uint16_t try_exp);
  void clear();
  size_t size() const;

  static constexpr size_t kSets = 1024;
  static constexpr size_t kWays = 5;

 private:
  struct Entry {
    IpAddress from, to;
    FastOpenMetrics metrics;
    uint32_t used = 0;  // 0: free
  };
  struct Set {
    std::array<Entry, kWays> entries;
  };
  Entry* find(const IpAddress& from, const IpAddress& to, bool create);  // the lock is held

  mutable SpinLock lock_;
  const SipKey key_;
  uint32_t clock_ = 0;
  std::array<std::unique_ptr<Set>, kSets> sets_;
};

}  // namespace leat::tcp
