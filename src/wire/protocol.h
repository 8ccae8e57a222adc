// Protocol numbers that IPv4 and IPv6 share (IANA), as the rooms of leat need them.
#pragma once

#include <cstdint>

namespace leat::wire {

inline constexpr uint8_t kProtocolIcmp = 1, kProtocolTcp = 6, kProtocolUdp = 17, kProtocolIcmpv6 = 58;
inline constexpr uint16_t kEthertypeIpv4 = 0x0800, kEthertypeArp = 0x0806, kEthertypeIpv6 = 0x86dd;

}  // namespace leat::wire
