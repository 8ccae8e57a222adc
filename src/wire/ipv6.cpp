// Fixed and fragment header codecs, and the extension walk that judges nothing. The one that does is ipv6_walk.cpp.
#include "wire/ipv6.h"

#include "base/check.h"

namespace leat::wire {
namespace {
constexpr uint8_t kAuthenticationHeader = 51;
}

std::optional<Ipv6Header> parse_ipv6(ByteView bytes) {
  if (bytes.size() < kIpv6HeaderBytes || bytes[0] >> 4 != 6) return std::nullopt;
  const uint8_t* p = bytes.data();
  const uint32_t first = load_be32(p);
  Ipv6Header h;
  h.traffic_class = static_cast<uint8_t>(first >> 20);
  h.flow_label = first & 0xfffff;
  h.payload_length = load_be16(p + 4);
  h.next_header = p[6];
  h.hop_limit = p[7];
  h.src = IpAddress::from_v6_bytes(p + 8);
  h.dst = IpAddress::from_v6_bytes(p + 24);
  return h;
}

uint32_t emit_ipv6(const Ipv6Header& h, MutableBytes out) {
  LEAT_CHECK(out.size() >= kIpv6HeaderBytes);
  uint8_t* p = out.data();
  store_be32(p, 6u << 28 | static_cast<uint32_t>(h.traffic_class) << 20 | (h.flow_label & 0xfffff));
  store_be16(p + 4, h.payload_length);
  p[6] = h.next_header;
  p[7] = h.hop_limit;
  std::memcpy(p + 8, h.src.bytes(), 16);
  std::memcpy(p + 24, h.dst.bytes(), 16);
  return kIpv6HeaderBytes;
}

std::optional<Ipv6Fragment> parse_ipv6_fragment(ByteView bytes) {
  if (bytes.size() < kIpv6FragmentHeaderBytes) return std::nullopt;
  const uint16_t field = load_be16(bytes.data() + 2);
  return Ipv6Fragment{bytes[0], static_cast<uint16_t>(field & 0xfff8), (field & 1) != 0, load_be32(bytes.data() + 4)};
}

uint32_t emit_ipv6_fragment(const Ipv6Fragment& f, MutableBytes out) {
  LEAT_CHECK(out.size() >= kIpv6FragmentHeaderBytes);
  uint8_t* p = out.data();
  p[0] = f.next_header;
  p[1] = 0;
  store_be16(p + 2, static_cast<uint16_t>((f.offset & 0xfff8) | (f.more ? 1 : 0)));
  store_be32(p + 4, f.id);
  return kIpv6FragmentHeaderBytes;
}

std::optional<Ipv6Upper> skip_ipv6_extensions(ByteView bytes, uint8_t next_header, uint32_t offset) {
  for (;;) {
    uint32_t unit = 8, extra = 1;
    switch (next_header) {
      case kIpv6NoNextHeader:
        return std::nullopt;
      case kIpv6HopByHop:
      case kIpv6Routing:
      case kIpv6DestinationOptions:
      case kIpv6FragmentHeader:
        break;
      case kAuthenticationHeader:  // RFC 4302 §2.2: in units of 4 bytes, minus 2
        unit = 4, extra = 2;
        break;
      default:
        return Ipv6Upper{next_header, offset};
    }
    if (bytes.size() < kIpv6FragmentHeaderBytes || offset > bytes.size() - kIpv6FragmentHeaderBytes)
      return std::nullopt;
    const uint8_t* p = bytes.data() + offset;
    const bool is_fragment = next_header == kIpv6FragmentHeader;
    if (is_fragment && load_be16(p + 2) >= 8) return Ipv6Upper{next_header, offset};
    next_header = p[0];
    offset += is_fragment ? kIpv6FragmentHeaderBytes : (p[1] + extra) * unit;
  }
}

}  // namespace leat::wire
