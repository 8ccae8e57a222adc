// See vnet_header.h. Linux's tun driver reads and writes the header in virtio_net_hdr_to_skb's sense.
#include "link/vnet_header.h"

#include "link/checksum_complete.h"

namespace leat {
namespace {

constexpr uint8_t kNeedsCsum = 1;
constexpr uint8_t kDataValid = 2;
constexpr uint8_t kGsoNone = 0, kGsoTcp4 = 1, kGsoTcp6 = 4, kGsoUdp = 5, kGsoEcn = 0x80;
constexpr uint8_t kProtocolTcp = 6, kProtocolUdp = 17;
constexpr uint32_t kTcpFixedBytes = 20, kUdpBytes = 8;
constexpr uint8_t kTcpCwrBit = 0x80;

uint8_t wire_type(GsoType t) {
  switch (t) {
    case GsoType::kTcp4:
      return kGsoTcp4;
    case GsoType::kTcp6:
      return kGsoTcp6;
    case GsoType::kUdp:
      return kGsoUdp;
    case GsoType::kNone:
      break;
  }
  return kGsoNone;
}

// Bytes of the transport header at `at`; 0 when it does not lie in the linear bytes or lies about its length.
uint32_t transport_length(const Packet& p, uint32_t at, bool is_udp) {
  const uint32_t fixed = is_udp ? kUdpBytes : kTcpFixedBytes;
  if (at + fixed > p.linear_length()) return 0;
  if (is_udp) return kUdpBytes;
  const uint32_t length = (p.data[at + 12] >> 4) * 4u;
  return length >= kTcpFixedBytes && at + length <= p.linear_length() ? length : 0;
}

// Where the transport header starts, from the IP header alone; 0 when it is not one that `type` may have.
uint32_t find_transport(const Packet& p, uint32_t ip, GsoType type) {
  if (ip + 40 > p.linear_length()) return 0;  // IPv4 + TCP or IPv6: both have 40 bytes, IPv4 + UDP has payload
  const uint8_t protocol = type == GsoType::kUdp ? kProtocolUdp : kProtocolTcp;
  const int version = p.data[ip] >> 4;
  if (version == 4 && type != GsoType::kTcp6) {
    const uint32_t length = (p.data[ip] & 0xfu) * 4;
    return length >= 20 && p.data[ip + 9] == protocol ? ip + length : 0;
  }
  if (version == 6 && type != GsoType::kTcp4) return p.data[ip + 6] == protocol ? ip + 40 : 0;
  return 0;
}

bool apply_gso(const VnetHeader& header, LinkKind kind, Packet& p) {
  switch (header.gso_type & ~kGsoEcn) {
    case kGsoTcp4:
      p.gso_type = GsoType::kTcp4;
      break;
    case kGsoTcp6:
      p.gso_type = GsoType::kTcp6;
      break;
    case kGsoUdp:
      p.gso_type = GsoType::kUdp;
      break;
    default:
      return false;
  }
  const uint32_t start = find_transport(p, link_header_bytes(kind), p.gso_type);
  if (start == 0 || ((header.flags & kNeedsCsum) != 0 && start != header.csum_start)) return false;
  const uint32_t transport = transport_length(p, start, p.gso_type == GsoType::kUdp);
  if (transport == 0 || header.gso_size == 0 || start + transport >= p.length) return false;
  const uint32_t payload = p.length - start - transport;
  p.gso_size = header.gso_size;
  p.gso_segs = static_cast<uint16_t>((payload + header.gso_size - 1) / header.gso_size);
  return true;
}

}  // namespace

bool describe_frame(const Packet& p, VnetHeader& out) {
  out = VnetHeader{};
  if (!has_partial_checksum(p)) return p.gso_size == 0;
  if (p.csum_start < p.headroom()) return false;
  const uint32_t start = p.csum_start - p.headroom();
  if (start + p.csum_offset + 2 > p.linear_length()) return false;
  out.flags = kNeedsCsum;
  out.csum_start = static_cast<uint16_t>(start);
  out.csum_offset = p.csum_offset;
  if (p.gso_size == 0) return true;
  const bool is_udp = p.gso_type == GsoType::kUdp;
  const uint32_t transport = transport_length(p, start, is_udp);
  if (p.gso_type == GsoType::kNone || transport == 0) return false;
  out.gso_type = wire_type(p.gso_type);
  if (!is_udp && (p.data[start + 13] & kTcpCwrBit) != 0) out.gso_type |= kGsoEcn;  // CWR in the first segment only
  out.gso_size = p.gso_size;
  out.header_length = static_cast<uint16_t>(start + transport);
  return true;
}

bool apply_vnet_header(const VnetHeader& header, LinkKind kind, Packet& p) {
  if ((header.flags & kNeedsCsum) != 0) {
    const uint32_t field = uint32_t{header.csum_start} + header.csum_offset;
    if (header.csum_start < link_header_bytes(kind) + 20 || header.csum_offset == 0) return false;
    if (field + 2 > p.linear_length() || header.csum_start + p.headroom() > UINT16_MAX) return false;
    p.csum_start = static_cast<uint16_t>(header.csum_start + p.headroom());
    p.csum_offset = header.csum_offset;
    p.checksum = Checksum::kVerified;
  } else if ((header.flags & kDataValid) != 0) {
    p.checksum = Checksum::kVerified;
  }
  return header.gso_type == kGsoNone || apply_gso(header, kind, p);
}

}  // namespace leat
