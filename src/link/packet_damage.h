// What a network does to the bytes of a packet: marks it, repeats it, breaks it. Shared buffers are never written.
#pragma once

#include "base/rng.h"
#include "link/link.h"

namespace leat {

// Sets Congestion Experienced if the packet is ECT (RFC 3168 §5); IPv4's header checksum follows (RFC 1624).
// False: not ECT, already CE, or not IP.
bool mark_ce(Packet& p, LinkKind kind);

// The same packet once more, with linear bytes of its own; nullptr when memory is out.
PacketPtr repeat(const Packet& p);

// A copy with one bit flipped behind the link header, its transport checksum finished before and no longer vouched for.
// nullptr, and `p` as it was: memory is out, or there is nothing to flip.
PacketPtr break_bit(Packet& p, LinkKind kind, Rng& rng);

}  // namespace leat
