// The smallest RTT of the last tcp_min_rtt_wlen seconds.
#include "tcp/cc/congestion.h"
#include "tcp/cc/windowed.h"

namespace leat::tcp::cc {

uint32_t RttMinFilter::reset(uint32_t now, uint32_t value) {
  windowed_reset(s, Sample{now, value});
  return get();
}

uint32_t RttMinFilter::running_min(uint32_t window, uint32_t now, uint32_t value) {
  windowed_update(s, window, Sample{now, value}, [](uint32_t a, uint32_t b) { return a <= b; });
  return get();
}

}  // namespace leat::tcp::cc
