#include "ip/netif.h"

#include <algorithm>
#include <array>

namespace leat::ip {

Netif::Netif(uint16_t ifindex, std::string name, std::unique_ptr<Link> link)
    : ifindex_(ifindex), name_(std::move(name)), link_(std::move(link)), features_(link_->features()) {}

size_t Netif::receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) {
  const size_t n = link_->receive_batch(out, pool, now);
  uint64_t bytes = 0;
  for (size_t i = 0; i < n; ++i)
    bytes += out[i]->length;
  if (n != 0) {
    NetifCounters::add(counters_.rx_packets, n);
    NetifCounters::add(counters_.rx_bytes, bytes);
  }
  return n;
}

void Netif::transmit(PacketPtr&& frame, Time now) {
  size_t waiting = 0;
  {
    Guard guard(lock_);
    queue_.push_back(std::move(frame));
    waiting = queue_.count();
    queued_.store(waiting, std::memory_order_release);
  }
  if (waiting >= kQueueLimit) flush(now);
}

size_t Netif::take_batch(std::span<Packet*> out) {
  Guard guard(lock_);
  size_t n = 0;
  while (n < out.size() && !queue_.is_empty())
    out[n++] = queue_.pop_front().release();
  queued_.store(queue_.count(), std::memory_order_release);
  return n;
}

// A thread that finds another one flushing leaves its frames to it: that one looks again after letting go.
void Netif::flush(Time now) {
  while (has_queued() && flushing_.try_lock()) {
    std::array<Packet*, kBatch> batch;
    while (const size_t n = take_batch(batch)) {
      uint64_t bytes = 0;
      for (size_t i = 0; i < n; ++i)
        bytes += batch[i]->length;
      NetifCounters::add(counters_.tx_packets, n);
      NetifCounters::add(counters_.tx_bytes, bytes);
      link_->transmit_batch({batch.data(), n}, now);
    }
    flushing_.unlock();
  }
}

}  // namespace leat::ip
