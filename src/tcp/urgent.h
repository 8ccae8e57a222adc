// The one byte of urgent data (RFC 6093): Conn::urg_data.
#pragma once

#include "tcp/input.h"

namespace leat::tcp {

inline constexpr uint16_t kUrgValid = 0x0100;   // the byte is there, in the low eight bits
inline constexpr uint16_t kUrgNotYet = 0x0200;  // announced, not come
inline constexpr uint16_t kUrgRead = 0x0400;    // taken by the user

void read_urgent_byte(Conn& c, const Segment& seg);

}  // namespace leat::tcp
