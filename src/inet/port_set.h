// Sets of ports as administrators write them: net.ipv4.ip_local_reserved_ports, "8080,9148-9150".
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/errno.h"

namespace leat::inet {

class PortSet {
 public:
  bool has(uint16_t port) const { return (words_[port >> 6].load(std::memory_order_relaxed) >> (port & 63) & 1) != 0; }
  bool is_empty() const { return empty_.load(std::memory_order_relaxed); }
  std::string to_string() const;
  Result<void> assign(std::string_view text);  // EINVAL, and nothing changes

 private:
  std::array<std::atomic<uint64_t>, 1024> words_{};
  std::atomic<bool> empty_{true};
};

}  // namespace leat::inet
