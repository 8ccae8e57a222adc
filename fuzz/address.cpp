// Text to an address, a prefix, and back.
#include "fuzz.h"
#include "wire/ip_address.h"

using namespace leat;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto a = IpAddress::parse(text)) FUZZ_REQUIRE(IpAddress::parse(a->to_string()) == a);
  if (const auto c = Cidr::parse(text)) {
    FUZZ_REQUIRE(c->prefix >= 0 && c->prefix <= c->address.bits() && c->contains(c->address));
    FUZZ_REQUIRE(Cidr::parse(c->to_string())->address == c->address);
  }
  if (size >= 16) {
    const IpAddress a = IpAddress::from_v6_bytes(data);
    FUZZ_REQUIRE(IpAddress::parse(a.to_string()).value() == a);
  }
  return 0;
}
