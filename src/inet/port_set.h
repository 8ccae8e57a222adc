// A set of ports, a bit each, read and changed from any thread; also as administrators write it in
// net.ipv4.ip_local_reserved_ports: "8080,9148-9150".
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
  void add(uint16_t port) { words_[port >> 6].fetch_or(uint64_t{1} << (port & 63), std::memory_order_relaxed); }
  void remove(uint16_t port) { words_[port >> 6].fetch_and(~(uint64_t{1} << (port & 63)), std::memory_order_relaxed); }
  uint64_t word(uint32_t i) const { return words_[i].load(std::memory_order_relaxed); }  // ports 64 i … 64 i + 63
  std::string to_string() const;
  Result<void> assign(std::string_view text);  // EINVAL, and nothing changes

 private:
  std::array<std::atomic<uint64_t>, 1024> words_{};
};

}  // namespace leat::inet
