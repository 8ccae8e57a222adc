// Splits a super-segment into packets that fit the link: TSO and UDP GSO in software.
//
//   [ IP | TCP | payload of n × gso_size ]  →  [ IP | TCP | gso_size ] × n      payload shared, headers copied
//
// TCP: sequence numbers run on, FIN and PSH stay on the last, CWR on the first. UDP: each is a datagram of its own.
// IPv4: the id runs on. The packet begins at its IP header and has network_offset and transport_offset set.
#pragma once

#include "pkt/packet.h"

namespace leat::ip {

// false: memory is out or the headers make no sense; `out` is then empty. With `keep_partial` the segments are left as
// Checksum::kPartial for a link that completes them.
bool gso_split(const Packet& super, PacketPool& pool, bool keep_partial, PacketQueue& out);

// Appends [offset, offset + n) of `from` to `to` without copying payload; copies only what exceeds to's fragments.
// false: memory is out.
bool share_bytes(Packet& to, const Packet& from, uint32_t offset, uint32_t n, PacketPool& pool);

}  // namespace leat::ip
