#include "wire/ipv4.h"

#include "fuzz.h"

using namespace leat;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView bytes{data, size};
  for (const uint32_t length : {static_cast<uint32_t>(size), 0u, 65535u}) {
    const auto checked = wire::check_ipv4(bytes, length, size % 2 == 0);
    if (!checked) continue;
    FUZZ_REQUIRE(checked->total_length <= length && checked->header_length <= checked->total_length);
  }
  auto h = wire::parse_ipv4(bytes);
  if (!h) return 0;
  FUZZ_REQUIRE(h->header_length >= 20 && h->header_length <= size && h->fragment_offset % 8 == 0);
  std::vector<uint8_t> out(wire::kIpv4HeaderBytes);
  wire::emit_ipv4(*h, out);
  h->header_length = wire::kIpv4HeaderBytes;
  FUZZ_REQUIRE(wire::parse_ipv4(out) == h);
  FUZZ_REQUIRE(wire::ipv4_checksum(out) == 0);
  return 0;
}
