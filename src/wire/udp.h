// The UDP header (RFC 768; RFC 8200 §8.1 for the checksum over IPv6).
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/ip_address.h"

namespace leat::wire {

inline constexpr uint32_t kUdpHeaderBytes = 8;

struct UdpHeader {
  uint16_t src_port = 0;
  uint16_t dst_port = 0;
  uint16_t length = kUdpHeaderBytes;  // header and payload; 0 only in a jumbogram
  uint16_t checksum = 0;              // as on the wire; 0: none
  bool operator==(const UdpHeader&) const = default;
};

std::optional<UdpHeader> parse_udp(ByteView bytes);  // nullopt: shorter than 8 bytes

// How long the datagram is inside `payload_length` bytes of IP payload (what is behind it is padding: trim it).
// nullopt: the header claims fewer than 8 bytes or more than there are. Length 0 means all of it, over IPv6 only.
std::optional<uint32_t> udp_datagram_length(const UdpHeader& h, uint32_t payload_length, Family family);

uint32_t emit_udp(const UdpHeader& h, MutableBytes out);

// A computed checksum of 0 is sent as 0xffff: 0 says that there is none.
inline uint16_t udp_checksum_on_wire(uint16_t computed) {
  return computed == 0 ? 0xffff : computed;
}

}  // namespace leat::wire
