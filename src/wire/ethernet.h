// Ethernet II frames (RFC 894, RFC 2464). 802.3 lengths and VLAN tags are not interpreted: they come out as an
// ethertype that nobody has asked for.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "wire/ip_address.h"
#include "wire/protocol.h"

namespace leat::wire {

inline constexpr uint32_t kEthernetHeaderBytes = 14;

struct MacAddress {
  std::array<uint8_t, 6> bytes{};

  static MacAddress from_bytes(const uint8_t* p) {
    MacAddress m;
    std::memcpy(m.bytes.data(), p, 6);
    return m;
  }
  static MacAddress broadcast() { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
  static MacAddress for_multicast(const IpAddress& group);  // RFC 1112 §6.4, RFC 2464 §7

  bool is_zero() const { return bytes == std::array<uint8_t, 6>{}; }
  bool is_broadcast() const { return *this == broadcast(); }
  bool is_multicast() const { return bytes[0] & 1; }  // broadcast included
  std::string to_string() const;                      // "02:00:00:00:00:01"

  bool operator==(const MacAddress&) const = default;
  auto operator<=>(const MacAddress&) const = default;
};

struct EthernetHeader {
  MacAddress dst;
  MacAddress src;
  uint16_t ethertype = 0;
  bool operator==(const EthernetHeader&) const = default;
};

std::optional<EthernetHeader> parse_ethernet(ByteView frame);  // nullopt: shorter than the header
uint32_t emit_ethernet(const EthernetHeader& h, MutableBytes out);

}  // namespace leat::wire
