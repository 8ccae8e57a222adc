// The range-list syntax of Linux's bitmap sysctls: numbers and ranges with commas between them; empty clears.
#include "inet/port_set.h"

#include <charconv>

namespace leat::inet {
namespace {

bool take_port(std::string_view& text, uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end == text.data()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool take_char(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string PortSet::to_string() const {
  std::string out;
  for (uint32_t first = 0; first < 65536; ++first) {
    if (!has(static_cast<uint16_t>(first))) continue;
    uint32_t last = first;
    while (last < 65535 && has(static_cast<uint16_t>(last + 1)))
      ++last;
    if (!out.empty()) out += ',';
    out += std::to_string(first);
    if (last != first) out += '-' + std::to_string(last);
    first = last;
  }
  return out;
}

Result<void> PortSet::assign(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.remove_suffix(1);
  std::array<uint64_t, 1024> fresh{};
  while (!text.empty()) {
    uint16_t first = 0;
    if (!take_port(text, first)) return err(EINVAL);
    uint16_t last = first;
    if (take_char(text, '-') && !take_port(text, last)) return err(EINVAL);
    if (last < first || (!text.empty() && (!take_char(text, ',') || text.empty()))) return err(EINVAL);
    for (uint32_t p = first; p <= last; ++p)
      fresh[p >> 6] |= uint64_t{1} << (p & 63);
  }
  for (size_t i = 0; i < fresh.size(); ++i)
    words_[i].store(fresh[i], std::memory_order_relaxed);
  return {};
}

}  // namespace leat::inet
