// IPv4 identifications (RFC 6864, RFC 7739): a counter of its own for each keyed hash of (source, destination,
// protocol), which also takes a random step for the time that has passed since its last use. An observer of one flow
// learns nothing of the traffic of another (Linux's ip_select_ident). Also the ids of IPv6 fragments.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/rng.h"
#include "base/siphash.h"
#include "base/time.h"
#include "wire/ip_address.h"

namespace leat::ip {

class IdGenerator {
 public:
  explicit IdGenerator(Rng& rng) : rng_(rng), key_(make_sip_key(rng)) {
    for (Counter& c : counters_)
      c.id.store(rng.next32(), std::memory_order_relaxed);
  }
  // The first of `count` consecutive ids.
  uint16_t reserve(const IpAddress& src, const IpAddress& dst, uint8_t protocol, uint32_t count, Time now);
  uint32_t fragment_id();  // IPv6: random and never 0, as Linux does

 private:
  static constexpr size_t kCounters = 2048;
  struct Counter {
    std::atomic<uint32_t> id{0};
    std::atomic<uint32_t> stamp{0};  // milliseconds
  };
  Rng& rng_;
  const SipKey key_;
  std::array<Counter, kCounters> counters_;
};

}  // namespace leat::ip
