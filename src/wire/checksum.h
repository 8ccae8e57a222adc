// The Internet checksum (RFC 1071, 1624).
#pragma once

#include "base/bytes.h"
#include "pkt/packet.h"
#include "wire/ip_address.h"

namespace leat::wire {

// Unfolded ones' complement sums may be added; odd-length pieces are handled by checksum_packet.
uint64_t checksum_add(uint64_t sum, ByteView bytes);  // bytes.size() odd only for the last piece
uint16_t checksum_fold(uint64_t sum);                 // folded and complemented, in host order as load_be16 reads it
uint64_t pseudo_header_sum(const IpAddress& src, const IpAddress& dst, uint8_t protocol, uint32_t length);
// Sum over [offset, length) of the packet, fragments and chain included, whatever their alignment.
uint64_t checksum_packet(uint64_t sum, const Packet& p, uint32_t offset);

}  // namespace leat::wire
