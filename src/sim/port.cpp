#include "sim/port.h"

namespace leat::sim {

size_t Port::receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) {
  const size_t n = inner_->receive_batch(out, pool, clock_.now());
  for (Packet* p : out.first(n))
    p->received = now;
  return n;
}

}  // namespace leat::sim
