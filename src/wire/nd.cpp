#include "wire/nd.h"

#include <algorithm>

#include "base/check.h"
#include "wire/icmp.h"

namespace leat::wire {
namespace {

constexpr uint8_t kSourceLinkLayer = 1, kTargetLinkLayer = 2, kPrefixInformation = 3, kMtu = 5;
constexpr size_t kNeighborBytes = 24, kRouterAdvertisementBytes = 16, kLinkLayerOptionBytes = 8;
constexpr uint8_t kHopLimit = 255;  // no router has touched it

// Every option's length is positive and inside (RFC 4861 §6.1, §7.1).
bool has_sound_options(ByteView options) {
  while (!options.empty()) {
    if (options.size() < 2) return false;
    const size_t size = options[1] * 8u;
    if (size == 0 || size > options.size()) return false;
    options = options.subspan(size);
  }
  return true;
}

// Calls f(type, whole option) for each; they are known to be sound.
template <class F>
void for_each_option(ByteView options, F&& f) {
  while (!options.empty()) {
    const size_t size = options[1] * 8u;
    f(options[0], options.first(size));
    options = options.subspan(size);
  }
}

struct LinkLayerOption {
  bool is_malformed = false;  // of another length than an Ethernet address needs
  std::optional<MacAddress> mac;
};

LinkLayerOption find_link_layer(ByteView options, uint8_t wanted) {
  LinkLayerOption found;
  bool seen = false;
  for_each_option(options, [&](uint8_t type, ByteView option) {
    if (type != wanted || seen) return;
    seen = true;
    found.is_malformed = option.size() != kLinkLayerOptionBytes;
    if (!found.is_malformed) found.mac = MacAddress::from_bytes(option.data() + 2);
  });
  return found;
}

bool is_sound_message(ByteView message, uint8_t type, size_t fixed_bytes, const NdEnvelope& e) {
  return message.size() >= fixed_bytes && message[0] == type && message[1] == 0 && e.hop_limit == kHopLimit &&
         has_sound_options(message.subspan(fixed_bytes));
}

bool is_solicited_node_multicast(const IpAddress& a) {
  return a.has_prefix(solicited_node_multicast(IpAddress::any(Family::kIpv6)), 104);
}

PrefixInformation read_prefix(const uint8_t* p) {
  PrefixInformation info;
  info.prefix = {IpAddress::from_v6_bytes(p + 16), p[2]};
  info.is_on_link = p[3] & 0x80;
  info.is_autonomous = p[3] & 0x40;
  info.valid_seconds = load_be32(p + 4);
  info.preferred_seconds = load_be32(p + 8);
  return info;
}

void read_router_option(uint8_t type, ByteView option, RouterAdvertisement& ra) {
  if (type == kMtu && option.size() == 8 && ra.mtu == 0) ra.mtu = load_be32(option.data() + 4);
  if (type != kPrefixInformation || option.size() != 32 || option[2] > 128) return;
  if (ra.prefix_count < ra.prefixes.size()) ra.prefixes[ra.prefix_count++] = read_prefix(option.data());
}

uint32_t put_link_layer(uint8_t type, const MacAddress& mac, uint8_t* p) {
  p[0] = type;
  p[1] = kLinkLayerOptionBytes / 8;
  std::copy(mac.bytes.begin(), mac.bytes.end(), p + 2);
  return kLinkLayerOptionBytes;
}

}  // namespace

std::optional<NeighborSolicitation> parse_neighbor_solicitation(ByteView message, const NdEnvelope& e) {
  if (!is_sound_message(message, kIcmp6NeighborSolicitation, kNeighborBytes, e)) return std::nullopt;
  const IpAddress target = IpAddress::from_v6_bytes(message.data() + 8);
  if (target.is_multicast()) return std::nullopt;
  const LinkLayerOption source = find_link_layer(message.subspan(kNeighborBytes), kSourceLinkLayer);
  if (source.is_malformed) return std::nullopt;
  // Duplicate address detection has no source, and asks only the group (RFC 4861 §7.1.1).
  if (e.src.is_any() && (source.mac || !is_solicited_node_multicast(e.dst))) return std::nullopt;
  return NeighborSolicitation{target, source.mac};
}

std::optional<NeighborAdvertisement> parse_neighbor_advertisement(ByteView message, const NdEnvelope& e) {
  if (!is_sound_message(message, kIcmp6NeighborAdvertisement, kNeighborBytes, e)) return std::nullopt;
  NeighborAdvertisement a;
  a.target = IpAddress::from_v6_bytes(message.data() + 8);
  a.is_router = message[4] & 0x80;
  a.is_solicited = message[4] & 0x40;
  a.is_override = message[4] & 0x20;
  if (a.target.is_multicast() || (a.is_solicited && e.dst.is_multicast())) return std::nullopt;
  const LinkLayerOption target = find_link_layer(message.subspan(kNeighborBytes), kTargetLinkLayer);
  if (target.is_malformed) return std::nullopt;
  a.target_mac = target.mac;
  return a;
}

std::optional<RouterAdvertisement> parse_router_advertisement(ByteView message, const NdEnvelope& e) {
  if (!is_sound_message(message, kIcmp6RouterAdvertisement, kRouterAdvertisementBytes, e)) return std::nullopt;
  if (!e.src.is_link_local() || !e.src.is_v6()) return std::nullopt;
  const ByteView options = message.subspan(kRouterAdvertisementBytes);
  const LinkLayerOption source = find_link_layer(options, kSourceLinkLayer);
  if (source.is_malformed) return std::nullopt;
  RouterAdvertisement ra;
  ra.hop_limit = message[4];
  ra.is_managed = message[5] & 0x80;
  ra.is_other = message[5] & 0x40;
  ra.lifetime_seconds = load_be16(message.data() + 6);
  ra.reachable_ms = load_be32(message.data() + 8);
  ra.retransmit_ms = load_be32(message.data() + 12);
  ra.source_mac = source.mac;
  for_each_option(options, [&](uint8_t type, ByteView option) { read_router_option(type, option, ra); });
  return ra;
}

uint32_t emit_neighbor_solicitation(const NeighborSolicitation& s, MutableBytes out) {
  LEAT_CHECK(out.size() >= kNeighborBytes + (s.source_mac ? kLinkLayerOptionBytes : 0));
  emit_icmp({kIcmp6NeighborSolicitation, 0, 0}, out);
  std::memcpy(out.data() + 8, s.target.bytes(), 16);
  if (!s.source_mac) return kNeighborBytes;
  return kNeighborBytes + put_link_layer(kSourceLinkLayer, *s.source_mac, out.data() + kNeighborBytes);
}

uint32_t emit_neighbor_advertisement(const NeighborAdvertisement& a, MutableBytes out) {
  LEAT_CHECK(out.size() >= kNeighborBytes + (a.target_mac ? kLinkLayerOptionBytes : 0));
  const uint32_t flags = (a.is_router ? 4u : 0u) | (a.is_solicited ? 2u : 0u) | (a.is_override ? 1u : 0u);
  emit_icmp({kIcmp6NeighborAdvertisement, 0, flags << 29}, out);
  std::memcpy(out.data() + 8, a.target.bytes(), 16);
  if (!a.target_mac) return kNeighborBytes;
  return kNeighborBytes + put_link_layer(kTargetLinkLayer, *a.target_mac, out.data() + kNeighborBytes);
}

uint32_t emit_router_solicitation(const std::optional<MacAddress>& source_mac, MutableBytes out) {
  LEAT_CHECK(out.size() >= kIcmpHeaderBytes + (source_mac ? kLinkLayerOptionBytes : 0));
  emit_icmp({kIcmp6RouterSolicitation, 0, 0}, out);
  if (!source_mac) return kIcmpHeaderBytes;
  return kIcmpHeaderBytes + put_link_layer(kSourceLinkLayer, *source_mac, out.data() + kIcmpHeaderBytes);
}

IpAddress solicited_node_multicast(const IpAddress& target) {
  const uint8_t* t = target.bytes();
  const uint8_t group[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, t[13], t[14], t[15]};
  return IpAddress::from_v6_bytes(group);
}

}  // namespace leat::wire
