// Transport checksums that are still to be finished. A packet whose sender shares our memory (or is this host's
// kernel, by way of TUN) carries only the pseudo-header's sum in its checksum field. Nobody needs more, until its
// bytes go to somebody who checks: a device without offload, a capture file, a wire that flips bits.
//
// The convention on the way in: Checksum::kVerified with csum_offset != 0 says that the field is unfinished although
// the bytes are known to be good, and csum_start says where it lies.
#pragma once

#include "link/link.h"

namespace leat {

inline constexpr uint32_t kEthernetHeaderBytes = 14;
inline uint32_t link_header_bytes(LinkKind kind) {
  return kind == LinkKind::kEthernet ? kEthernetHeaderBytes : 0;
}

inline bool has_partial_checksum(const Packet& p) {
  return p.checksum == Checksum::kPartial || (p.checksum == Checksum::kVerified && p.csum_offset != 0);
}

// Finishes it in the packet's linear bytes, which must be its own: kPartial becomes kNone, kVerified stays. Nothing to
// do is fine. False: csum_start and csum_offset point outside of the linear bytes, nothing was written. A super-segment
// gets the checksum of the one large packet that it looks like.
bool complete_checksum(Packet& p);

// The same for flat bytes: `start` and `offset` as in a Packet, but `start` counts from the first byte.
bool complete_checksum(MutableBytes bytes, uint32_t start, uint32_t offset);

}  // namespace leat
