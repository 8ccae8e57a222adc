// The extension header walk of a receiving host (RFC 8200 §4), with Linux's limits: eight options a header, at most
// seven bytes of padding in a row (RFC 4942 §2.1.9.5), padding of zeros, one fragment header.
#include <cstdlib>

#include "wire/icmp.h"
#include "wire/ipv6.h"

namespace leat::wire {
namespace {

using Kind = Ipv6Fault::Kind;

constexpr uint8_t kPad1 = 0, kPadN = 1, kRouterAlert = 5, kJumbo = 0xc2;
constexpr uint8_t kRoutingType2 = 2, kRoutingRpl = 3, kRoutingSegments = 4;
constexpr uint32_t kMaxPadding = 7;

class Walker {
 public:
  Walker(ByteView bytes, uint32_t packet_length, const Ipv6Limits& limits, bool was_reassembled)
      : bytes_(bytes), limits_(limits), had_fragment_header_(was_reassembled) {
    chain_.total_length = packet_length;
  }

  std::expected<Ipv6Chain, Ipv6Fault> walk() {
    if (!read_fixed_header()) return std::unexpected(fault_);
    bool is_first = true;
    while (!chain_.is_fragment) {
      bool ok = true;
      switch (chain_.protocol) {
        case kIpv6HopByHop:  // anywhere else it is a header that nobody knows
          if (!is_first) return chain_;
          ok = read_options(true);
          break;
        case kIpv6DestinationOptions:
          ok = read_options(false);
          break;
        case kIpv6Routing:
          ok = read_routing();
          break;
        case kIpv6FragmentHeader:
          ok = read_fragment();
          break;
        default:
          return chain_;
      }
      if (!ok) return std::unexpected(fault_);
      is_first = false;
    }
    return chain_;
  }

 private:
  bool fail(Kind kind) {
    fault_.kind = kind;
    return false;
  }
  bool fail_with_answer(uint8_t code, uint32_t pointer, bool answers_multicast = false) {
    fault_ = {Kind::kParameterProblem, code, pointer, answers_multicast};
    return false;
  }

  // Are the bytes before `end` there to be looked at?
  bool need(uint32_t end) {
    if (end > chain_.total_length) return fail(Kind::kHeader);
    if (end <= bytes_.size()) return true;
    fault_ = {Kind::kMoreNeeded, 0, end, false};
    return false;
  }

  const uint8_t* at(uint32_t offset) const { return bytes_.data() + offset; }

  void step(uint32_t header_bytes) {
    chain_.next_header_offset = chain_.offset;
    chain_.protocol = *at(chain_.offset);
    chain_.offset += header_bytes;
  }

  bool read_fixed_header();
  bool read_options(bool is_hop_by_hop);
  bool read_tlvs(uint32_t offset, uint32_t end, bool is_hop_by_hop);
  bool read_tlv(uint32_t offset, bool is_hop_by_hop, bool drops_unknown);
  bool check_padding(uint32_t offset, uint32_t size);
  bool check_router_alert(uint32_t offset);
  bool read_jumbo(uint32_t offset);
  bool refuse_unknown(uint32_t offset, bool drops_unknown);
  bool read_routing();
  bool read_fragment();
  bool check_fragment();
  bool check_first_fragment();

  ByteView bytes_;
  const Ipv6Limits& limits_;
  bool had_fragment_header_;
  Ipv6Chain chain_;
  Ipv6Fault fault_;
};

bool Walker::read_fixed_header() {
  const uint32_t packet_length = chain_.total_length;
  if (!need(kIpv6HeaderBytes)) return false;
  const std::optional<Ipv6Header> h = parse_ipv6(bytes_);
  if (!h || h->src.is_multicast()) return fail(Kind::kHeader);
  if (h->dst.is_multicast() && (h->dst.bytes()[1] & 15) == 0) return fail(Kind::kHeader);  // RFC 4291 §2.7: scope 0
  chain_.header = *h;
  chain_.protocol = h->next_header;
  chain_.offset = kIpv6HeaderBytes;
  if (h->payload_length == 0 && h->next_header == kIpv6HopByHop) return true;  // a jumbo option may say more
  chain_.total_length = kIpv6HeaderBytes + h->payload_length;
  return chain_.total_length <= packet_length || fail(Kind::kTruncated);
}

bool Walker::read_options(bool is_hop_by_hop) {
  const uint32_t start = chain_.offset;
  if (!need(start + 8)) return false;
  const uint32_t size = (at(start)[1] + 1u) * 8;
  if (!need(start + size)) return false;
  if (size > (is_hop_by_hop ? limits_.hop_by_hop_length : limits_.destination_length)) {
    return fail(is_hop_by_hop ? Kind::kHeader : Kind::kDrop);
  }
  if (!read_tlvs(start + 2, start + size, is_hop_by_hop)) return false;
  step(size);
  return true;
}

// RFC 8200 §4.2.
bool Walker::read_tlvs(uint32_t offset, uint32_t end, bool is_hop_by_hop) {
  const int limit = is_hop_by_hop ? limits_.hop_by_hop_options : limits_.destination_options;
  uint32_t padding = 0;
  int64_t options = 0;
  while (offset < end) {
    const uint8_t type = *at(offset);
    const uint32_t size = type == kPad1 ? 1 : end - offset < 2 ? 256 : at(offset)[1] + 2u;
    if (size > end - offset) return fail(Kind::kHeader);
    if (type == kPad1 || type == kPadN) {
      padding += size;
      if (padding > kMaxPadding || !check_padding(offset, size)) return fail(Kind::kHeader);
    } else {
      padding = 0;
      if (++options > std::abs(int64_t{limit})) return fail(Kind::kHeader);
      if (!read_tlv(offset, is_hop_by_hop, limit < 0)) return false;
    }
    offset += size;
  }
  return true;
}

bool Walker::check_padding(uint32_t offset, uint32_t size) {
  for (uint32_t i = 2; i < size; ++i) {
    if (at(offset)[i] != 0) return false;
  }
  return true;
}

bool Walker::read_tlv(uint32_t offset, bool is_hop_by_hop, bool drops_unknown) {
  const uint8_t type = *at(offset);
  if (is_hop_by_hop && type == kRouterAlert) return check_router_alert(offset);
  if (is_hop_by_hop && type == kJumbo) return read_jumbo(offset);
  return refuse_unknown(offset, drops_unknown);
}

// RFC 2711; it concerns routers, a host only checks it.
bool Walker::check_router_alert(uint32_t offset) {
  return at(offset)[1] == 2 || fail(Kind::kHeader);
}

// RFC 2675 §3.
bool Walker::read_jumbo(uint32_t offset) {
  if (at(offset)[1] != 4 || (offset & 3) != 2) return fail(Kind::kHeader);
  const uint32_t payload = load_be32(at(offset) + 2);
  if (payload <= 0xffff) return fail_with_answer(kIcmp6ErroneousField, offset + 2);
  if (chain_.header.payload_length != 0) return fail_with_answer(kIcmp6ErroneousField, offset);
  if (payload > chain_.total_length - kIpv6HeaderBytes) return fail(Kind::kTruncated);
  chain_.total_length = kIpv6HeaderBytes + payload;
  return true;
}

// The two highest bits of an unknown option's type say what to do (RFC 8200 §4.2). False: the packet ends here.
bool Walker::refuse_unknown(uint32_t offset, bool drops_unknown) {
  const int action = *at(offset) >> 6;
  if (drops_unknown) return fail(Kind::kHeader);
  if (action == 0) return true;
  if (action == 1 || (action == 3 && chain_.header.dst.is_multicast())) return fail(Kind::kHeader);
  return fail_with_answer(kIcmp6UnknownOption, offset, action == 2);
}

// RFC 8200 §4.4, RFC 5095. Types 3 and 4 are switched off by default, type 2 belongs to Mobile IPv6.
bool Walker::read_routing() {
  const uint32_t start = chain_.offset;
  if (!need(start + 8)) return false;
  const uint32_t size = (at(start)[1] + 1u) * 8;
  if (!need(start + size)) return false;
  if (chain_.header.dst.is_multicast()) return fail(Kind::kAddress);
  const uint8_t type = at(start)[2], segments_left = at(start)[3];
  if (type == kRoutingRpl || type == kRoutingSegments) return fail(Kind::kDrop);
  if (type == kRoutingType2) return fail(Kind::kAddress);
  if (segments_left != 0) return fail_with_answer(kIcmp6ErroneousField, start + 2);
  step(size);
  return true;
}

// RFC 8200 §4.5.
bool Walker::read_fragment() {
  const uint32_t start = chain_.offset;
  const bool fits = start + kIpv6FragmentHeaderBytes <= chain_.total_length;
  if (had_fragment_header_ || chain_.header.payload_length == 0 || !fits) {
    return fail_with_answer(kIcmp6ErroneousField, start);
  }
  if (!need(start + kIpv6FragmentHeaderBytes)) return false;
  had_fragment_header_ = true;
  chain_.has_fragment_header = true;
  chain_.fragment_header_offset = start;
  chain_.unfragmentable_next_header_offset = chain_.next_header_offset;
  chain_.fragment = *parse_ipv6_fragment(bytes_.subspan(start));
  step(kIpv6FragmentHeaderBytes);
  chain_.is_fragment = !chain_.fragment.is_atomic();
  return !chain_.is_fragment || check_fragment();
}

bool Walker::check_fragment() {
  if (chain_.fragment.offset == 0 && !check_first_fragment()) return false;
  const uint32_t end = chain_.fragment.offset + (chain_.total_length - chain_.offset);
  if (end > 0xffff) return fail_with_answer(kIcmp6ErroneousField, chain_.fragment_header_offset + 2);
  if (chain_.fragment.more && end % 8 != 0) return fail_with_answer(kIcmp6ErroneousField, 4);  // the payload length
  return true;
}

// The first fragment holds all headers up to the upper one (RFC 8200 §4.5, RFC 7112).
bool Walker::check_first_fragment() {
  const ByteView packet = bytes_.first(bytes_.size() < chain_.total_length ? bytes_.size() : chain_.total_length);
  const std::optional<Ipv6Upper> upper = skip_ipv6_extensions(packet, chain_.protocol, chain_.offset);
  if (upper) {
    uint32_t least = 1;
    if (upper->protocol == kProtocolTcp) least = 20;
    if (upper->protocol == kProtocolUdp || upper->protocol == kProtocolIcmpv6) least = 8;
    if (upper->offset + least <= chain_.total_length) return true;
  } else if (packet.size() < chain_.total_length) {
    return need(chain_.total_length);
  }
  return fail_with_answer(kIcmp6IncompleteChain, 0);
}

}  // namespace

std::expected<Ipv6Chain, Ipv6Fault> walk_ipv6(ByteView bytes, uint32_t packet_length, const Ipv6Limits& limits,
                                              bool was_reassembled) {
  return Walker(bytes, packet_length, limits, was_reassembled).walk();
}

}  // namespace leat::wire
