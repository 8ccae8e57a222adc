#include "wire/ethernet.h"

#include "fuzz.h"

using namespace leat;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto h = wire::parse_ethernet({data, size});
  if (!h) return 0;
  std::vector<uint8_t> out(wire::kEthernetHeaderBytes);
  wire::emit_ethernet(*h, out);
  FUZZ_REQUIRE(std::equal(out.begin(), out.end(), data));
  FUZZ_REQUIRE(h->src.to_string().size() == 17);
  return 0;
}
