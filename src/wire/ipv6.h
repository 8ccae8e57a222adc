// The IPv6 header and its extension headers (RFC 8200).
//
//   fixed header │ hop-by-hop │ destination options, routing, atomic fragment … │ upper header
//                  only here    in any order, any number of times
//
// walk_ipv6 passes over all of these with Linux's checks, and says which ICMPv6 answer is due when one fails. It stops
// at a real fragment. It forwards nothing: routing headers with segments left are refused, segment routing and RPL
// headers dropped, as Linux does by default. AH and ESP count as upper protocols.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>

#include "base/bytes.h"
#include "wire/ip_address.h"
#include "wire/protocol.h"

namespace leat::wire {

inline constexpr uint32_t kIpv6HeaderBytes = 40;
inline constexpr uint32_t kIpv6FragmentHeaderBytes = 8;
inline constexpr uint8_t kIpv6HopByHop = 0, kIpv6Routing = 43, kIpv6FragmentHeader = 44, kIpv6NoNextHeader = 59,
                         kIpv6DestinationOptions = 60;

struct Ipv6Header {
  uint8_t traffic_class = 0;  // DSCP and ECN
  uint32_t flow_label = 0;    // 20 bits
  uint16_t payload_length = 0;
  uint8_t next_header = 0;
  uint8_t hop_limit = 0;
  IpAddress src;
  IpAddress dst;
  bool operator==(const Ipv6Header&) const = default;
};

std::optional<Ipv6Header> parse_ipv6(ByteView bytes);  // nullopt: not version 6 or shorter than 40 bytes
uint32_t emit_ipv6(const Ipv6Header& h, MutableBytes out);

struct Ipv6Fragment {
  uint8_t next_header = 0;
  uint16_t offset = 0;  // in bytes, a multiple of 8
  bool more = false;
  uint32_t id = 0;
  bool is_atomic() const { return offset == 0 && !more; }  // RFC 6946
  bool operator==(const Ipv6Fragment&) const = default;
};

std::optional<Ipv6Fragment> parse_ipv6_fragment(ByteView bytes);  // nullopt: shorter than 8 bytes
uint32_t emit_ipv6_fragment(const Ipv6Fragment& f, MutableBytes out);

// net.ipv6.max_{hbh,dst}_opts_{number,length}. A negative count: its absolute value, and unknown options are dropped.
struct Ipv6Limits {
  int hop_by_hop_options = 8;
  int destination_options = 8;
  uint32_t hop_by_hop_length = 0x7fffffff;
  uint32_t destination_length = 0x7fffffff;
};

struct Ipv6Chain {
  Ipv6Header header;
  uint32_t total_length = 0;        // what the packet must be trimmed to: link padding follows it
  uint8_t protocol = 0;             // of the upper header, or kIpv6NoNextHeader
  uint32_t offset = 0;              // of the upper header, from the first byte of the fixed header
  uint32_t next_header_offset = 6;  // of the byte that names `protocol`: the pointer when nobody knows it
  bool has_fragment_header = false;
  // A real fragment: `protocol` and `offset` are those of its payload, and unfragmentable_next_header_offset says which
  // byte must become fragment.next_header when its header is taken out.
  bool is_fragment = false;
  Ipv6Fragment fragment;
  uint32_t fragment_header_offset = 0;
  uint32_t unfragmentable_next_header_offset = 0;
};

struct Ipv6Fault {
  enum class Kind : uint8_t {
    kMoreNeeded,        // not a fault: make the first `pointer` bytes linear and ask again
    kHeader,            // drop, Ip6InHdrErrors
    kTruncated,         // drop, Ip6InTruncatedPkts
    kAddress,           // drop, Ip6InAddrErrors
    kDrop,              // drop in silence
    kParameterProblem,  // drop, Ip6InHdrErrors, and send ICMPv6 type 4 with `code` and `pointer`
  };
  Kind kind = Kind::kDrop;
  uint8_t code = 0;  // kIcmp6ErroneousField, kIcmp6UnknownNextHeader, …
  uint32_t pointer = 0;
  bool answers_multicast = false;  // the answer is due even when the destination is multicast (RFC 4443 §2.4 (e.3))
  bool operator==(const Ipv6Fault&) const = default;
};

// Fixed header and lengths, then the chain. `bytes` is the linear part, `packet_length` counts the whole packet.
// was_reassembled: this is what came out of reassembly, and another fragment header is refused.
std::expected<Ipv6Chain, Ipv6Fault> walk_ipv6(ByteView bytes, uint32_t packet_length, const Ipv6Limits& limits = {},
                                              bool was_reassembled = false);

// Passes over extension headers without judging them (quoted packets, printing). nullopt when a header is cut off or
// there is no upper header; protocol is kIpv6FragmentHeader when a later fragment hides the upper header.
struct Ipv6Upper {
  uint8_t protocol = 0;
  uint32_t offset = 0;
};
std::optional<Ipv6Upper> skip_ipv6_extensions(ByteView bytes, uint8_t next_header, uint32_t offset);

}  // namespace leat::wire
