#include "wire/print.h"

#include "fuzz.h"

using namespace leat;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FUZZ_REQUIRE(!wire::to_string_packet({data, size}).empty());
  FUZZ_REQUIRE(!wire::to_string_frame({data, size}).empty());
  return 0;
}
