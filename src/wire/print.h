// Packets in words, as tcpdump -n -S says them, without the time. For failing tests and the leat command: it reads what
// it is given, says so where something is cut off, and never fails.
//
//   IP 10.0.0.1.80 > 10.0.0.2.5000: Flags [S.], seq 1, ack 2, win 65535, options [mss 1460,sackOK], length 0
#pragma once

#include <string>

#include "base/bytes.h"

namespace leat::wire {

std::string to_string_packet(ByteView ip_packet);  // begins at the IPv4 or IPv6 header
std::string to_string_frame(ByteView frame);       // begins at the Ethernet header; ARP too

}  // namespace leat::wire
