// struct tcpvegas_info: what Vegas and Westwood tell by TCP_CC_INFO.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

namespace leat::tcp::cc {

struct VegasInfo {
  uint32_t enabled;
  uint32_t rtt_count;
  uint32_t rtt;      // µs
  uint32_t min_rtt;  // µs

  size_t put(std::span<uint8_t> out) const {
    const size_t n = std::min(out.size(), sizeof *this);
    std::memcpy(out.data(), this, n);
    return n;
  }
};

}  // namespace leat::tcp::cc
