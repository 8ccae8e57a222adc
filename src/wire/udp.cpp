#include "wire/udp.h"

#include "base/check.h"

namespace leat::wire {

std::optional<UdpHeader> parse_udp(ByteView bytes) {
  if (bytes.size() < kUdpHeaderBytes) return std::nullopt;
  const uint8_t* p = bytes.data();
  return UdpHeader{load_be16(p), load_be16(p + 2), load_be16(p + 4), load_be16(p + 6)};
}

std::optional<uint32_t> udp_datagram_length(const UdpHeader& h, uint32_t payload_length, Family family) {
  const uint32_t length = h.length == 0 && family == Family::kIpv6 ? payload_length : h.length;  // RFC 2675 §4
  if (length < kUdpHeaderBytes || length > payload_length) return std::nullopt;
  return length;
}

uint32_t emit_udp(const UdpHeader& h, MutableBytes out) {
  LEAT_CHECK(out.size() >= kUdpHeaderBytes);
  uint8_t* p = out.data();
  store_be16(p, h.src_port);
  store_be16(p + 2, h.dst_port);
  store_be16(p + 4, h.length);
  store_be16(p + 6, h.checksum);
  return kUdpHeaderBytes;
}

}  // namespace leat::wire
