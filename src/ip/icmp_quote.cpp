#include "ip/icmp_quote.h"

#include <algorithm>

namespace leat::ip {

ByteView network_view(const Packet& p) {
  const uint8_t* start = p.head + p.network_offset;
  const bool was_never_set = p.network_offset == 0 && p.data != p.head && (*start >> 4 != 4) && (*start >> 4 != 6);
  if (start > p.data || was_never_set) start = p.data;
  return {start, static_cast<size_t>(p.tail - start)};
}

uint32_t bytes_from_network(const Packet& p, ByteView view) {
  return static_cast<uint32_t>(p.data - view.data()) + p.length;
}

void copy_from_network(const Packet& p, ByteView view, uint8_t* out, uint32_t n) {
  const auto before = std::min(n, static_cast<uint32_t>(p.data - view.data()));
  std::memcpy(out, view.data(), before);
  p.copy_out(0, out + before, n - before);
}

}  // namespace leat::ip
