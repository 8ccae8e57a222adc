#include "wire/ipv4.h"

#include "base/check.h"
#include "wire/checksum.h"

namespace leat::wire {
namespace {
constexpr uint16_t kDontFragment = 0x4000, kMoreFragments = 0x2000, kOffsetMask = 0x1fff;
}

std::optional<Ipv4Header> parse_ipv4(ByteView bytes) {
  if (bytes.size() < kIpv4HeaderBytes) return std::nullopt;
  const uint8_t* p = bytes.data();
  const uint8_t header_length = static_cast<uint8_t>((p[0] & 15) * 4);
  if (p[0] >> 4 != 4 || header_length < kIpv4HeaderBytes || header_length > bytes.size()) return std::nullopt;
  const uint16_t fragment = load_be16(p + 6);
  Ipv4Header h;
  h.tos = p[1];
  h.total_length = load_be16(p + 2);
  h.id = load_be16(p + 4);
  h.dont_fragment = fragment & kDontFragment;
  h.more_fragments = fragment & kMoreFragments;
  h.fragment_offset = static_cast<uint16_t>((fragment & kOffsetMask) * 8);
  h.ttl = p[8];
  h.protocol = p[9];
  h.src = IpAddress::from_v4_bytes(p + 12);
  h.dst = IpAddress::from_v4_bytes(p + 16);
  h.header_length = header_length;
  return h;
}

std::expected<Ipv4Header, Ipv4Fault> check_ipv4(ByteView bytes, uint32_t packet_length, bool verify_checksum) {
  const std::optional<Ipv4Header> h = parse_ipv4(bytes);
  if (!h || h->header_length > packet_length) return std::unexpected(Ipv4Fault::kHeader);
  if (verify_checksum && ipv4_checksum(bytes.first(h->header_length)) != 0) {
    return std::unexpected(Ipv4Fault::kChecksum);
  }
  if (packet_length < h->total_length) return std::unexpected(Ipv4Fault::kTruncated);
  if (h->total_length < h->header_length) return std::unexpected(Ipv4Fault::kHeader);
  return *h;
}

uint16_t ipv4_checksum(ByteView header) {
  return checksum_fold(checksum_add(0, header));
}

uint32_t emit_ipv4(const Ipv4Header& h, MutableBytes out) {
  LEAT_CHECK(out.size() >= kIpv4HeaderBytes);
  uint8_t* p = out.data();
  p[0] = 0x45;
  p[1] = h.tos;
  store_be16(p + 2, h.total_length);
  store_be16(p + 4, h.id);
  const int flags = (h.dont_fragment ? kDontFragment : 0) | (h.more_fragments ? kMoreFragments : 0);
  store_be16(p + 6, static_cast<uint16_t>(flags | h.fragment_offset / 8));
  p[8] = h.ttl;
  p[9] = h.protocol;
  store_be16(p + 10, 0);
  std::memcpy(p + 12, h.src.v4_bytes(), 4);
  std::memcpy(p + 16, h.dst.v4_bytes(), 4);
  store_be16(p + 10, ipv4_checksum(out.first(kIpv4HeaderBytes)));
  return kIpv4HeaderBytes;
}

}  // namespace leat::wire
