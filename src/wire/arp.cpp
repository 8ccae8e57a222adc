#include "wire/arp.h"

#include "base/check.h"

namespace leat::wire {
namespace {
constexpr uint16_t kHardwareEthernet = 1, kHardwareIeee802 = 6;
}

std::optional<ArpPacket> parse_arp(ByteView bytes) {
  if (bytes.size() < kArpBytes) return std::nullopt;
  const uint8_t* p = bytes.data();
  const uint16_t hardware = load_be16(p);
  const uint16_t operation = load_be16(p + 6);
  if (hardware != kHardwareEthernet && hardware != kHardwareIeee802) return std::nullopt;
  if (load_be16(p + 2) != kEthertypeIpv4 || p[4] != 6 || p[5] != 4) return std::nullopt;
  if (operation != 1 && operation != 2) return std::nullopt;
  return ArpPacket{static_cast<ArpOperation>(operation), MacAddress::from_bytes(p + 8),
                   IpAddress::from_v4_bytes(p + 14), MacAddress::from_bytes(p + 18), IpAddress::from_v4_bytes(p + 24)};
}

uint32_t emit_arp(const ArpPacket& a, MutableBytes out) {
  LEAT_CHECK(out.size() >= kArpBytes);
  uint8_t* p = out.data();
  store_be16(p, kHardwareEthernet);
  store_be16(p + 2, kEthertypeIpv4);
  p[4] = 6;
  p[5] = 4;
  store_be16(p + 6, static_cast<uint16_t>(a.operation));
  std::memcpy(p + 8, a.sender_mac.bytes.data(), 6);
  std::memcpy(p + 14, a.sender_ip.v4_bytes(), 4);
  std::memcpy(p + 18, a.target_mac.bytes.data(), 6);
  std::memcpy(p + 24, a.target_ip.v4_bytes(), 4);
  return kArpBytes;
}

}  // namespace leat::wire
