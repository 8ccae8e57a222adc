#include "wire/icmp.h"

#include "fuzz.h"
#include "wire/checksum.h"

using namespace leat;

namespace {

// A quote is the tail of the message, and holds at least the ports.
void check_quote(const std::optional<wire::IcmpQuote>& q, ByteView message) {
  if (!q) return;
  FUZZ_REQUIRE(q->transport.size() >= 8);
  FUZZ_REQUIRE(q->transport.data() + q->transport.size() == message.data() + message.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView message{data, size};
  check_quote(wire::parse_icmp4_quote(message), message);
  check_quote(wire::parse_icmp6_quote(message), message);
  const auto h = wire::parse_icmp(message);
  if (!h) return 0;
  std::vector<uint8_t> out(data, data + size);
  wire::emit_icmp(*h, out);
  FUZZ_REQUIRE(wire::parse_icmp(out) == h);
  wire::finish_icmp4(out);
  FUZZ_REQUIRE(wire::checksum_fold(wire::checksum_add(0, out)) == 0);
  return 0;
}
