// The IPv4 header (RFC 791). Options are passed over by the header length, never interpreted, never written.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>

#include "base/bytes.h"
#include "wire/ip_address.h"
#include "wire/protocol.h"

namespace leat::wire {

inline constexpr uint32_t kIpv4HeaderBytes = 20;
inline constexpr uint32_t kIpv4MaxHeaderBytes = 60;

struct Ipv4Header {
  uint8_t tos = 0;  // DSCP and ECN
  uint16_t total_length = 0;
  uint16_t id = 0;
  bool dont_fragment = false;
  bool more_fragments = false;
  uint16_t fragment_offset = 0;  // in bytes, a multiple of 8
  uint8_t ttl = 0;
  uint8_t protocol = 0;
  IpAddress src;
  IpAddress dst;
  uint8_t header_length = kIpv4HeaderBytes;  // in bytes, with options; emit always writes 20

  bool is_fragment() const { return more_fragments || fragment_offset != 0; }
  bool operator==(const Ipv4Header&) const = default;
};

// Only the shape: version 4, a header length of at least 20, and that many bytes. Lengths and checksum are not looked
// at, which is right for the packet that an ICMP error quotes.
std::optional<Ipv4Header> parse_ipv4(ByteView bytes);

enum class Ipv4Fault : uint8_t {
  kHeader,     // version, header length, total length below the header: IpInHdrErrors
  kChecksum,   // IpInCsumErrors
  kTruncated,  // fewer bytes than the total length says: IpInTruncatedPkts
};

// What a received packet must pass, in Linux's order (RFC 1122 §3.2.1). `bytes` holds the header, `packet_length`
// counts the whole packet, which may be longer than total_length says (padding: trim it).
std::expected<Ipv4Header, Ipv4Fault> check_ipv4(ByteView bytes, uint32_t packet_length, bool verify_checksum = true);

uint16_t ipv4_checksum(ByteView header);                    // 0: a header that contains its checksum is intact
uint32_t emit_ipv4(const Ipv4Header& h, MutableBytes out);  // with its checksum

}  // namespace leat::wire
