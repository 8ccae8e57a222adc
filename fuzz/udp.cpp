#include "wire/udp.h"

#include "fuzz.h"

using namespace leat;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto h = wire::parse_udp({data, size});
  if (!h) return 0;
  std::vector<uint8_t> out(wire::kUdpHeaderBytes);
  wire::emit_udp(*h, out);
  FUZZ_REQUIRE(std::equal(out.begin(), out.end(), data));
  for (const Family f : {Family::kIpv4, Family::kIpv6}) {
    const auto length = wire::udp_datagram_length(*h, static_cast<uint32_t>(size), f);
    FUZZ_REQUIRE(!length || (*length >= 8 && *length <= size));
  }
  return 0;
}
