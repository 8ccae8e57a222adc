// See loopback.h. Nothing here but the two steps of a transmit: what may not pass goes, the rest turns around.
#include "link/loopback.h"

namespace leat {

LoopbackLink::LoopbackLink(const LoopbackOptions& options) : queue_(options.queue_packets, Duration{}) {
  features_.mtu = options.mtu;
  features_.is_loopback = true;
  features_.verifies_checksums = true;
  features_.takes_partial_checksums = true;
  features_.max_gso_bytes = options.max_gso_bytes;
}

void LoopbackLink::transmit_batch(std::span<Packet*> packets, Time now) {
  size_t kept = 0;
  for (Packet* raw : packets) {
    PacketPtr p(raw);
    if (fits_link(*p, features_) && turn_around(*p, true, false)) packets[kept++] = p.release();
  }
  const size_t dropped = packets.size() - kept + queue_.push(packets.first(kept), now).dropped;
  if (dropped != 0) dropped_.fetch_add(dropped, std::memory_order_relaxed);
}

}  // namespace leat
