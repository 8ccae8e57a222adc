// ICMP for IPv4 (RFC 792, 1122 §3.2.2, 1191) and IPv6 (RFC 4443): the 8-byte header and the packet that errors quote.
// Whether an error may be sent or believed is ip's business; the RFC 4884 extensions behind the quote are not read.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wire/ip_address.h"
#include "wire/protocol.h"

namespace leat::wire {

inline constexpr uint32_t kIcmpHeaderBytes = 8;

inline constexpr uint8_t kIcmp4EchoReply = 0, kIcmp4Unreachable = 3, kIcmp4SourceQuench = 4, kIcmp4Redirect = 5,
                         kIcmp4Echo = 8, kIcmp4TimeExceeded = 11, kIcmp4ParameterProblem = 12;
// Codes of kIcmp4Unreachable.
inline constexpr uint8_t kIcmp4NetUnreachable = 0, kIcmp4HostUnreachable = 1, kIcmp4ProtocolUnreachable = 2,
                         kIcmp4PortUnreachable = 3, kIcmp4FragmentationNeeded = 4, kIcmp4SourceRouteFailed = 5,
                         kIcmp4NetUnknown = 6, kIcmp4HostUnknown = 7, kIcmp4HostIsolated = 8, kIcmp4NetProhibited = 9,
                         kIcmp4HostProhibited = 10, kIcmp4NetForTos = 11, kIcmp4HostForTos = 12, kIcmp4Filtered = 13,
                         kIcmp4PrecedenceViolation = 14, kIcmp4PrecedenceCutoff = 15;
// Codes of kIcmp4TimeExceeded and kIcmp6TimeExceeded.
inline constexpr uint8_t kIcmpHopsExceeded = 0, kIcmpReassemblyTimeExceeded = 1;

inline constexpr uint8_t kIcmp6Unreachable = 1, kIcmp6PacketTooBig = 2, kIcmp6TimeExceeded = 3,
                         kIcmp6ParameterProblem = 4, kIcmp6Echo = 128, kIcmp6EchoReply = 129, kIcmp6MldQuery = 130,
                         kIcmp6MldReport = 131, kIcmp6MldDone = 132, kIcmp6RouterSolicitation = 133,
                         kIcmp6RouterAdvertisement = 134, kIcmp6NeighborSolicitation = 135,
                         kIcmp6NeighborAdvertisement = 136, kIcmp6Redirect = 137, kIcmp6Mld2Report = 143;
// Codes of kIcmp6Unreachable.
inline constexpr uint8_t kIcmp6NoRoute = 0, kIcmp6Prohibited = 1, kIcmp6BeyondScope = 2, kIcmp6AddressUnreachable = 3,
                         kIcmp6PortUnreachable = 4, kIcmp6PolicyFailed = 5, kIcmp6RejectRoute = 6;
// Codes of kIcmp6ParameterProblem.
inline constexpr uint8_t kIcmp6ErroneousField = 0, kIcmp6UnknownNextHeader = 1, kIcmp6UnknownOption = 2,
                         kIcmp6IncompleteChain = 3;

// The second 32-bit word means something else with each type; the accessors name it.
struct IcmpHeader {
  uint8_t type = 0;
  uint8_t code = 0;
  uint32_t word = 0;

  static IcmpHeader echo(uint8_t type, uint16_t id, uint16_t sequence) {
    return {type, 0, static_cast<uint32_t>(id) << 16 | sequence};
  }
  static IcmpHeader fragmentation_needed(uint16_t mtu) { return {kIcmp4Unreachable, kIcmp4FragmentationNeeded, mtu}; }
  static IcmpHeader packet_too_big(uint32_t mtu) { return {kIcmp6PacketTooBig, 0, mtu}; }

  uint16_t echo_id() const { return static_cast<uint16_t>(word >> 16); }
  uint16_t echo_sequence() const { return static_cast<uint16_t>(word); }
  uint16_t mtu4() const { return static_cast<uint16_t>(word); }  // 0: the router is older than RFC 1191
  uint32_t mtu6() const { return word; }
  uint8_t pointer4() const { return static_cast<uint8_t>(word >> 24); }
  uint32_t pointer6() const { return word; }
  bool operator==(const IcmpHeader&) const = default;
};

std::optional<IcmpHeader> parse_icmp(ByteView message);     // nullopt: shorter than 8 bytes; either family
uint32_t emit_icmp(const IcmpHeader& h, MutableBytes out);  // with a zero checksum
void finish_icmp4(MutableBytes message);                    // computes and stores the checksum
void finish_icmp6(const IpAddress& src, const IpAddress& dst, MutableBytes message);

inline bool is_icmp4_error(uint8_t type) {
  return type == kIcmp4Unreachable || type == kIcmp4SourceQuench || type == kIcmp4Redirect ||
         type == kIcmp4TimeExceeded || type == kIcmp4ParameterProblem;
}
inline bool is_icmp6_error(uint8_t type) {
  return type < 128;
}

// The packet inside an error message. Its lengths and checksums are not checked: routers cut it and rewrite it.
struct IcmpQuote {
  IpAddress src;
  IpAddress dst;
  uint8_t protocol = 0;
  uint8_t tos = 0;
  uint8_t ttl = 0;
  uint32_t flow_label = 0;
  uint32_t length = 0;  // of the quoted packet before it was cut, as its header says
  ByteView transport;   // what is left from its transport header on; at least 8 bytes
};

// `message` begins at the ICMP header. nullopt when the quote does not reach 8 bytes into the transport header (with
// them Linux demands it), or quotes a later fragment, which has none.
std::optional<IcmpQuote> parse_icmp4_quote(ByteView message);
std::optional<IcmpQuote> parse_icmp6_quote(ByteView message);

}  // namespace leat::wire
