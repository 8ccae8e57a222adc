// See packet_damage.h. The linear headers of a packet are its owner's and may be written; fragments are shared.
#include "link/packet_damage.h"

#include "link/checksum_complete.h"

namespace leat {
namespace {

constexpr uint8_t kEcnMask = 3;
constexpr uint8_t kCe = 3;

bool is_ect(uint8_t traffic_class) {
  return (traffic_class & kEcnMask) != 0 && (traffic_class & kEcnMask) != kCe;
}

bool mark_ce_v4(uint8_t* ip) {
  if (!is_ect(ip[1])) return false;
  const uint16_t before = load_be16(ip);
  ip[1] |= kCe;
  // RFC 1624 eq. 3: HC' = ~(~HC + ~m + m').
  uint32_t sum = static_cast<uint16_t>(~load_be16(ip + 10));
  sum += static_cast<uint16_t>(~before);
  sum += load_be16(ip);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  store_be16(ip + 10, static_cast<uint16_t>(~sum));
  return true;
}

bool mark_ce_v6(uint8_t* ip) {  // the traffic class's low bits are bits 5 and 4 of the second byte
  if (!is_ect(static_cast<uint8_t>(ip[1] >> 4))) return false;
  ip[1] |= kCe << 4;
  return true;
}

void copy_metadata(const Packet& from, Packet& to) {  // both have the same headroom
  to.received = from.received;
  to.departure = from.departure;
  to.gso_size = from.gso_size;
  to.gso_segs = from.gso_segs;
  to.gso_type = from.gso_type;
  to.ethertype = from.ethertype;
  to.network_offset = from.network_offset;
  to.transport_offset = from.transport_offset;
  to.ifindex = from.ifindex;
  to.mark = from.mark;
  to.priority = from.priority;
  to.is_loopback = from.is_loopback;
}

}  // namespace

bool mark_ce(Packet& p, LinkKind kind) {
  const uint32_t header = link_header_bytes(kind);
  if (!p.pull_linear(header + 20)) return false;
  if (kind == LinkKind::kEthernet) {
    const uint16_t ethertype = load_be16(p.data + 12);
    if (ethertype != 0x0800 && ethertype != 0x86dd) return false;
  }
  uint8_t* ip = p.data + header;
  switch (ip[0] >> 4) {
    case 4:
      return mark_ce_v4(ip);
    case 6:
      return mark_ce_v6(ip);
    default:
      return false;
  }
}

PacketPtr repeat(const Packet& p) {
  PacketPtr copy = p.pool->clone(p, p.linear_length(), p.headroom());
  if (copy == nullptr) return nullptr;
  copy->received = p.received;
  return copy;
}

PacketPtr break_bit(Packet& p, LinkKind kind, Rng& rng) {
  const uint32_t header = link_header_bytes(kind);
  if (p.length <= header) return nullptr;
  PacketPtr copy = p.pool->make(p.length, p.headroom());
  if (copy == nullptr || !complete_checksum(p)) return nullptr;
  p.copy_out(0, copy->put(p.length), p.length);
  copy_metadata(p, *copy);
  const uint32_t bit = rng.below((p.length - header) * 8);
  copy->data[header + bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8));
  return copy;  // Checksum::kNone: whoever receives it must look
}

}  // namespace leat
