// What the senders of ICMP errors share: where the offending packet's network header is, and its bytes from there on.
#pragma once

#include "pkt/packet.h"

namespace leat::ip {

// The linear bytes from the network header on. It lies at network_offset, or at data when that was never set.
ByteView network_view(const Packet& p);
// Bytes from `view` (network_view of p) to the packet's end.
uint32_t bytes_from_network(const Packet& p, ByteView view);
void copy_from_network(const Packet& p, ByteView view, uint8_t* out, uint32_t n);

}  // namespace leat::ip
