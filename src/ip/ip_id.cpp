#include "ip/ip_id.h"

#include <cstring>

namespace leat::ip {

uint16_t IdGenerator::reserve(const IpAddress& src, const IpAddress& dst, uint8_t protocol, uint32_t count, Time now) {
  uint8_t bytes[9];
  std::memcpy(bytes, src.v4_bytes(), 4);
  std::memcpy(bytes + 4, dst.v4_bytes(), 4);
  bytes[8] = protocol;
  Counter& c = counters_[siphash(key_, bytes) % kCounters];
  const uint32_t stamp = now.jiffies();
  const uint32_t before = c.stamp.load(std::memory_order_relaxed);
  uint32_t step = 0;
  if (stamp != before) {
    c.stamp.store(stamp, std::memory_order_relaxed);
    step = rng_.below(stamp - before);
  }
  return static_cast<uint16_t>(count_up(c.id, count + step) + step);
}

uint32_t IdGenerator::fragment_id() {
  const uint32_t id = rng_.next32();
  return id == 0 ? 1 : id;
}

}  // namespace leat::ip
