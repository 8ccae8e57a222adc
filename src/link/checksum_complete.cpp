// The field already holds the pseudo-header's sum, so the sum over all bytes from csum_start is the whole checksum.
// In UDP a result of zero is written as 0xffff, because zero would say "no checksum" (RFC 768). In TCP both verify, but
// zero is what RFC 9293 §3.1 computes, and what tshark wants to see.
#include "link/checksum_complete.h"

#include "wire/checksum.h"

namespace leat {
namespace {

constexpr uint32_t kUdpField = 6;  // where the checksum stands in a UDP header

void store_checksum(uint8_t* field, uint32_t offset, uint64_t sum) {
  const uint16_t folded = wire::checksum_fold(sum);
  store_be16(field, folded == 0 && offset == kUdpField ? 0xffff : folded);
}

}  // namespace

bool complete_checksum(Packet& p) {
  if (!has_partial_checksum(p)) return true;
  if (p.csum_start < p.headroom()) return false;
  const uint32_t start = p.csum_start - p.headroom();
  const uint32_t field = start + p.csum_offset;
  if (field + 2 > p.linear_length()) return false;
  store_checksum(p.data + field, p.csum_offset, wire::checksum_packet(0, p, start));
  if (p.checksum == Checksum::kPartial) p.checksum = Checksum::kNone;
  p.csum_start = 0;
  p.csum_offset = 0;
  return true;
}

bool complete_checksum(MutableBytes bytes, uint32_t start, uint32_t offset) {
  const size_t field = size_t{start} + offset;
  if (field + 2 > bytes.size()) return false;
  store_checksum(bytes.data() + field, offset, wire::checksum_add(0, bytes.subspan(start)));
  return true;
}

}  // namespace leat
