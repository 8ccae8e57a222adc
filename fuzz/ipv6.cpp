// The first two bytes choose how much of the packet is linear and the limits; the packet follows.
#include "wire/ipv6.h"

#include "fuzz.h"
#include "wire/icmp.h"

using namespace leat;
using Kind = wire::Ipv6Fault::Kind;

namespace {

void check_chain(const wire::Ipv6Chain& c, uint32_t length) {
  FUZZ_REQUIRE(c.total_length <= length && c.offset >= 40 && c.offset <= c.total_length);
  FUZZ_REQUIRE(c.next_header_offset == 6 || (c.next_header_offset >= 40 && c.next_header_offset < c.offset));
  if (!c.is_fragment) return;
  FUZZ_REQUIRE(c.has_fragment_header && !c.fragment.is_atomic() && c.fragment.offset % 8 == 0);
  FUZZ_REQUIRE(c.offset == c.fragment_header_offset + 8 && c.unfragmentable_next_header_offset < c.offset);
  FUZZ_REQUIRE(c.fragment.offset + (c.total_length - c.offset) <= 0xffff);
}

// As ip does: grants what is asked for until there is an answer. Every question must ask for more than the last.
void walk(ByteView packet, size_t linear, const wire::Ipv6Limits& limits, bool was_reassembled) {
  const uint32_t length = static_cast<uint32_t>(packet.size());
  for (;;) {
    const std::vector<uint8_t> exact(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(linear));
    const auto chain = wire::walk_ipv6(exact, length, limits, was_reassembled);
    if (chain) return check_chain(*chain, length);
    const wire::Ipv6Fault& f = chain.error();
    if (f.kind != Kind::kMoreNeeded) {
      FUZZ_REQUIRE(f.kind != Kind::kParameterProblem || f.pointer < length + 4);
      return;
    }
    FUZZ_REQUIRE(f.pointer > linear && f.pointer <= length);
    linear = f.pointer;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input in(data, size);
  const uint8_t linear = in.u8(), mode = in.u8();
  const ByteView packet = in.rest();
  wire::Ipv6Limits limits;
  if (mode & 1) limits.hop_by_hop_options = limits.destination_options = -8;
  if (mode & 2) limits.hop_by_hop_length = limits.destination_length = 16;
  walk(packet, std::min<size_t>(linear, packet.size()), limits, mode & 4);
  walk(packet, packet.size(), limits, mode & 4);

  const auto h = wire::parse_ipv6(packet);
  if (!h) return 0;
  std::vector<uint8_t> out(wire::kIpv6HeaderBytes);
  wire::emit_ipv6(*h, out);
  FUZZ_REQUIRE(std::equal(out.begin(), out.end(), packet.begin()));
  const auto upper = wire::skip_ipv6_extensions(packet, h->next_header, wire::kIpv6HeaderBytes);
  FUZZ_REQUIRE(!upper || upper->offset >= 40);
  if (const auto f = wire::parse_ipv6_fragment(packet.subspan(40))) {
    wire::emit_ipv6_fragment(*f, out);
    FUZZ_REQUIRE(wire::parse_ipv6_fragment(out) == f);
  }
  return 0;
}
