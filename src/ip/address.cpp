// Arithmetic on addresses: prefixes, broadcast, IPv6 scopes and labels.
#include <algorithm>
#include <bit>
#include <cstring>

#include "ip/route.h"

namespace leat::ip {

IpAddress masked(const IpAddress& a, int prefix) {
  if (a.is_v4()) return IpAddress::from_v4(prefix <= 0 ? 0 : a.v4() & (~0u << (32 - std::min(prefix, 32))));
  uint8_t b[16] = {};
  const int whole = std::clamp(prefix, 0, 128) / 8;
  std::memcpy(b, a.bytes(), static_cast<size_t>(whole));
  if (whole < 16 && prefix > 0) b[whole] = static_cast<uint8_t>(a.bytes()[whole] & (0xff00 >> (prefix % 8)));
  return IpAddress::from_v6_bytes(b);
}

IpAddress subnet_broadcast(const Cidr& c) {
  return IpAddress::from_v4(masked(c.address, c.prefix).v4() |
                            static_cast<uint32_t>((uint64_t{1} << (32 - c.prefix)) - 1));
}

int common_prefix_bits(const IpAddress& a, const IpAddress& b) {
  if (a.family() != b.family()) return 0;
  if (a.is_v4()) return std::countl_zero(a.v4() ^ b.v4());
  for (int i = 0; i < 16; ++i) {
    const auto diff = static_cast<uint8_t>(a.bytes()[i] ^ b.bytes()[i]);
    if (diff != 0) return i * 8 + std::countl_zero(diff);
  }
  return 128;
}

int ipv6_scope(const IpAddress& a) {
  const uint8_t* b = a.bytes();
  if (a.is_multicast()) return b[1] & 0x0f;
  if (a.is_loopback() || a.is_link_local()) return 2;  // RFC 6724 §3.4 gives ::1 link-local scope
  if (b[0] == 0xfe && (b[1] & 0xc0) == 0xc0) return 5;
  return 14;
}

int ipv6_label(const IpAddress& a) {
  struct Policy {
    uint8_t bytes[16];
    int prefix;
    int label;
  };
  static constexpr Policy kTable[] = {
      {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, 0},
      {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 4},
      {{}, 96, 3},
      {{0x20, 0x01, 0x00, 0x10}, 28, 7},
      {{0x20, 0x01}, 32, 6},
      {{0x20, 0x02}, 16, 2},
      {{0x3f, 0xfe}, 16, 12},
      {{0xfe, 0xc0}, 10, 11},
      {{0xfc}, 7, 5},
  };
  for (const Policy& p : kTable) {
    if (a.has_prefix(IpAddress::from_v6_bytes(p.bytes), p.prefix)) return p.label;
  }
  return 1;
}

}  // namespace leat::ip
