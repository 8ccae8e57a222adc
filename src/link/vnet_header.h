// The header in front of each frame of a TUN or TAP opened with IFF_VNET_HDR (virtio 1.2 §5.1.6, struct virtio_net_hdr
// in host byte order): how an unfinished checksum and a super-segment cross the border to the kernel, both ways.
// No I/O here. What the kernel gives is checked as if it came from the wire.
#pragma once

#include "link/link.h"

namespace leat {

struct VnetHeader {
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t header_length = 0;  // link, network and transport header; a hint
  uint16_t gso_size = 0;
  uint16_t csum_start = 0;  // from the frame's first byte
  uint16_t csum_offset = 0;
};
static_assert(sizeof(VnetHeader) == 10);

// Describes a packet that is to be transmitted. False: it says what it is not (a super-segment without a partial
// checksum, offsets outside of the linear bytes) and must be dropped.
[[nodiscard]] bool describe_frame(const Packet& p, VnetHeader& out);

// Writes what the header says into a packet that was received. An unfinished checksum makes it kVerified: its sender is
// this host's kernel. False: the header and the packet do not fit together.
[[nodiscard]] bool apply_vnet_header(const VnetHeader& header, LinkKind kind, Packet& p);

}  // namespace leat
