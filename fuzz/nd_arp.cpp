// The first byte chooses the envelope; the message follows, and is read as everything.
#include "fuzz.h"
#include "wire/arp.h"
#include "wire/nd.h"

using namespace leat;

namespace {

wire::NdEnvelope choose_envelope(uint8_t mode) {
  wire::NdEnvelope e;
  e.src = IpAddress::parse(mode & 1 ? "::" : "fe80::1").value();
  e.dst = IpAddress::parse(mode & 2 ? "fe80::2" : "ff02::1:ff00:2").value();
  e.hop_limit = mode & 4 ? 64 : 255;
  return e;
}

void try_nd(ByteView message, const wire::NdEnvelope& e) {
  std::vector<uint8_t> out(wire::kNdMaxBytes);
  if (const auto s = wire::parse_neighbor_solicitation(message, e)) {
    const uint32_t n = wire::emit_neighbor_solicitation(*s, out);
    FUZZ_REQUIRE(wire::parse_neighbor_solicitation(MutableBytes(out).first(n), e) == s);
    FUZZ_REQUIRE(!s->target.is_multicast() && e.hop_limit == 255);
  }
  if (const auto a = wire::parse_neighbor_advertisement(message, e)) {
    const uint32_t n = wire::emit_neighbor_advertisement(*a, out);
    FUZZ_REQUIRE(wire::parse_neighbor_advertisement(MutableBytes(out).first(n), e) == a);
  }
  if (const auto ra = wire::parse_router_advertisement(message, e)) {
    FUZZ_REQUIRE(ra->prefix_count <= wire::RouterAdvertisement::kMaxPrefixes);
    for (size_t i = 0; i < ra->prefix_count; ++i)
      FUZZ_REQUIRE(ra->prefixes[i].prefix.prefix <= 128);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::Input in(data, size);
  const uint8_t mode = in.u8();
  const ByteView message = in.rest();
  try_nd(message, choose_envelope(mode));
  if (const auto a = wire::parse_arp(message)) {
    std::vector<uint8_t> out(wire::kArpBytes);
    wire::emit_arp(*a, out);
    FUZZ_REQUIRE(wire::parse_arp(out) == a);
  }
  return 0;
}
