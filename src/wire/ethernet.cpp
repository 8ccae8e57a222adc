#include "wire/ethernet.h"

#include "base/check.h"

namespace leat::wire {

MacAddress MacAddress::for_multicast(const IpAddress& group) {
  const uint8_t* b = group.bytes();
  if (group.is_v6()) return {{0x33, 0x33, b[12], b[13], b[14], b[15]}};
  return {{0x01, 0x00, 0x5e, static_cast<uint8_t>(b[13] & 0x7f), b[14], b[15]}};
}

std::string MacAddress::to_string() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t b : bytes) {
    if (!text.empty()) text += ':';
    text += kDigits[b >> 4];
    text += kDigits[b & 15];
  }
  return text;
}

std::optional<EthernetHeader> parse_ethernet(ByteView frame) {
  if (frame.size() < kEthernetHeaderBytes) return std::nullopt;
  const uint8_t* p = frame.data();
  return EthernetHeader{MacAddress::from_bytes(p), MacAddress::from_bytes(p + 6), load_be16(p + 12)};
}

uint32_t emit_ethernet(const EthernetHeader& h, MutableBytes out) {
  LEAT_CHECK(out.size() >= kEthernetHeaderBytes);
  std::memcpy(out.data(), h.dst.bytes.data(), 6);
  std::memcpy(out.data() + 6, h.src.bytes.data(), 6);
  store_be16(out.data() + 12, h.ethertype);
  return kEthernetHeaderBytes;
}

}  // namespace leat::wire
