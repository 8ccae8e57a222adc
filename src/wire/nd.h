// Neighbor Discovery (RFC 4861) over Ethernet: solicitations, advertisements, and as much of router advertisements as a
// host needs. A message that fails one of the RFC's validity checks is not parsed. The ICMPv6 checksum is verified
// before; unknown options are passed over; of repeated options the first counts, as on Linux.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/ethernet.h"
#include "wire/ip_address.h"

namespace leat::wire {

// What the checks need to know of the IPv6 header around the message.
struct NdEnvelope {
  IpAddress src;
  IpAddress dst;
  uint8_t hop_limit = 0;
};

struct NeighborSolicitation {
  IpAddress target;
  std::optional<MacAddress> source_mac;
  bool operator==(const NeighborSolicitation&) const = default;
};

struct NeighborAdvertisement {
  IpAddress target;
  bool is_router = false;
  bool is_solicited = false;
  bool is_override = false;
  std::optional<MacAddress> target_mac;
  bool operator==(const NeighborAdvertisement&) const = default;
};

struct PrefixInformation {
  Cidr prefix;
  bool is_on_link = false;
  bool is_autonomous = false;
  uint32_t valid_seconds = 0;  // 0xffffffff: for ever
  uint32_t preferred_seconds = 0;
};

struct RouterAdvertisement {
  static constexpr size_t kMaxPrefixes = 8;  // more are ignored
  uint8_t hop_limit = 0;                     // 0: says nothing
  bool is_managed = false;
  bool is_other = false;
  uint16_t lifetime_seconds = 0;  // 0: not a default router
  uint32_t reachable_ms = 0;      // 0: says nothing
  uint32_t retransmit_ms = 0;     // 0: says nothing
  std::optional<MacAddress> source_mac;
  uint32_t mtu = 0;  // 0: absent
  uint8_t prefix_count = 0;
  std::array<PrefixInformation, kMaxPrefixes> prefixes{};
};

std::optional<NeighborSolicitation> parse_neighbor_solicitation(ByteView message, const NdEnvelope& e);    // §7.1.1
std::optional<NeighborAdvertisement> parse_neighbor_advertisement(ByteView message, const NdEnvelope& e);  // §7.1.2
std::optional<RouterAdvertisement> parse_router_advertisement(ByteView message, const NdEnvelope& e);      // §6.1.2

// Each writes the ICMPv6 message with a zero checksum (finish_icmp6 follows) and returns its length, at most
// kNdMaxBytes. A router solicitation is the third thing that a host sends.
inline constexpr uint32_t kNdMaxBytes = 32;
uint32_t emit_neighbor_solicitation(const NeighborSolicitation& s, MutableBytes out);
uint32_t emit_neighbor_advertisement(const NeighborAdvertisement& a, MutableBytes out);
uint32_t emit_router_solicitation(const std::optional<MacAddress>& source_mac, MutableBytes out);

IpAddress solicited_node_multicast(const IpAddress& target);  // ff02::1:ffXX:XXXX (RFC 4291 §2.7.1)

}  // namespace leat::wire
