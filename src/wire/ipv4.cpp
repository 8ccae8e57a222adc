#include "wire/ipv4.h"

#include "base/check.h"
#include "wire/checksum.h"

namespace leat::wire {
namespace {

constexpr uint16_t kDontFragment = 0x4000, kMoreFragments = 0x2000, kOffsetMask = 0x1fff;

// Into where it stays: a copy of what was just written piece by piece would wait for the writes.
bool read_header(ByteView bytes, Ipv4Header& h) {
  if (bytes.size() < kIpv4HeaderBytes) return false;
  const uint8_t* p = bytes.data();
  const uint8_t header_length = static_cast<uint8_t>((p[0] & 15) * 4);
  if (p[0] >> 4 != 4 || header_length < kIpv4HeaderBytes || header_length > bytes.size()) return false;
  const uint16_t fragment = load_be16(p + 6);
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
  return true;
}

}  // namespace

std::optional<Ipv4Header> parse_ipv4(ByteView bytes) {
  std::optional<Ipv4Header> h(std::in_place);
  if (!read_header(bytes, *h)) h.reset();
  return h;
}

std::expected<Ipv4Header, Ipv4Fault> check_ipv4(ByteView bytes, uint32_t packet_length, bool verify_checksum) {
  std::expected<Ipv4Header, Ipv4Fault> h(std::in_place);
  if (!read_header(bytes, *h) || h->header_length > packet_length) {
    h = std::unexpected(Ipv4Fault::kHeader);
  } else if (verify_checksum && ipv4_checksum(bytes.first(h->header_length)) != 0) {
    h = std::unexpected(Ipv4Fault::kChecksum);
  } else if (packet_length < h->total_length) {
    h = std::unexpected(Ipv4Fault::kTruncated);
  } else if (h->total_length < h->header_length) {
    h = std::unexpected(Ipv4Fault::kHeader);
  }
  return h;
}

uint16_t ipv4_checksum(ByteView header) {
  return checksum_fold(checksum_add(0, header));
}

// Sums what it writes while it is in registers: eight bytes at a time, big-endian.
uint32_t emit_ipv4(const Ipv4Header& h, MutableBytes out) {
  LEAT_CHECK(out.size() >= kIpv4HeaderBytes);
  const uint32_t flags = (h.dont_fragment ? kDontFragment : 0u) | (h.more_fragments ? kMoreFragments : 0u);
  const uint64_t first = uint64_t{0x4500u | h.tos} << 48 | uint64_t{h.total_length} << 32 | uint64_t{h.id} << 16 |
                         (flags | h.fragment_offset / 8u);
  const uint64_t second = uint64_t{h.ttl} << 56 | uint64_t{h.protocol} << 48 | h.src.v4();
  const uint32_t dst = h.dst.v4();
  const auto halves = [](uint64_t word) { return (word >> 32) + (word & 0xffffffff); };
  const uint64_t sum = halves(first) + halves(second) + dst;
  store_be64(out.data(), first);
  store_be64(out.data() + 8, second | uint64_t{checksum_fold(sum)} << 32);
  store_be32(out.data() + 16, dst);
  return kIpv4HeaderBytes;
}

}  // namespace leat::wire
