// Part of print.h: ICMP messages in tcpdump's words, without the length. Private to wire.
#pragma once

#include <string>

#include "base/bytes.h"

namespace leat::wire {

std::string icmp4_text(ByteView message);  // "ICMP echo request, id 1, seq 2"
std::string icmp6_text(ByteView message);  // "ICMP6, packet too big, mtu 1280"

}  // namespace leat::wire
