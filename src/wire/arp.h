// ARP for IPv4 over Ethernet (RFC 826): requests and replies. Other hardware, protocols and operations are not ARP to
// us.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/ethernet.h"
#include "wire/ip_address.h"

namespace leat::wire {

inline constexpr uint32_t kArpBytes = 28;

enum class ArpOperation : uint16_t { kRequest = 1, kReply = 2 };

struct ArpPacket {
  ArpOperation operation = ArpOperation::kRequest;
  MacAddress sender_mac;
  IpAddress sender_ip;  // 0.0.0.0 in a probe (RFC 5227)
  MacAddress target_mac;
  IpAddress target_ip;
  bool operator==(const ArpPacket&) const = default;
};

// `bytes` follow the Ethernet header; padding behind is ignored. Hardware type 6 (IEEE 802) passes as 1, as on Linux.
std::optional<ArpPacket> parse_arp(ByteView bytes);
uint32_t emit_arp(const ArpPacket& p, MutableBytes out);

}  // namespace leat::wire
