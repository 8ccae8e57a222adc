// See impair.h. The locks are held for the queues only, never while the inner link is called.
#include "link/impair.h"

#include <algorithm>
#include <utility>

namespace leat {
namespace {

constexpr size_t kBatch = 64;
constexpr int kBatchesATurn = 16;  // taken from the inner link by one receive

Seed other_seed(Seed seed) {
  seed[30] = static_cast<uint8_t>(seed[30] ^ 0x55);
  return seed;
}

ImpairOptions options_of(const ImpairOptions& o, ImpairDirection way) {
  return o.direction == way || o.direction == ImpairDirection::kBoth ? o : ImpairOptions{};
}

}  // namespace

ImpairLink::ImpairLink(std::unique_ptr<Link> inner, const ImpairOptions& options, const Seed& seed)
    : ImpairLink(std::move(inner), options_of(options, ImpairDirection::kTransmit),
                 options_of(options, ImpairDirection::kReceive), seed) {}

ImpairLink::ImpairLink(std::unique_ptr<Link> inner, const ImpairOptions& out, const ImpairOptions& in, const Seed& seed)
    : inner_(std::move(inner)),
      features_(inner_->features()),
      out_(out, features_.kind, seed),
      in_(in, features_.kind, other_seed(seed)) {
  features_.max_gso_bytes = 0;
}

size_t ImpairLink::receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) {
  flush_due(now);
  take_from_inner(pool, now);
  return in_.pop(out, now);
}

void ImpairLink::transmit_batch(std::span<Packet*> packets, Time now) {
  out_.push(packets, now);
  flush_due(now);
}

Time ImpairLink::next_event() const {
  return std::min({out_.next_event(), in_.next_event(), inner_->next_event()});
}

uint64_t ImpairLink::dropped() const {
  return inner_->dropped() + out_.stats().queue_drops + in_.stats().queue_drops;
}

void ImpairLink::take_from_inner(PacketPool& pool, Time now) {
  Packet* batch[kBatch];
  for (int i = 0; i < kBatchesATurn; ++i) {
    const size_t n = inner_->receive_batch(batch, pool, now);
    in_.push({batch, n}, now);
    if (n < kBatch) break;
  }
}

// One thread at a time hands packets on, so that they stay in order; another that comes meanwhile leaves its time.
void ImpairLink::flush_due(Time now) {
  Packet* batch[kBatch];
  out_.lock.lock();
  out_.flush_until = std::max(out_.flush_until, now);
  if (!out_.is_flushing) {
    out_.is_flushing = true;
    for (;;) {
      const Time until = out_.flush_until;
      out_.lock.unlock();
      const size_t n = out_.pop(batch, until);
      if (n != 0) inner_->transmit_batch({batch, n}, until);
      out_.lock.lock();
      if (n == 0 && until == out_.flush_until) break;
    }
    out_.is_flushing = false;
  }
  out_.lock.unlock();
}

void ImpairLink::Way::push(std::span<Packet*> packets, Time now) {
  Guard guard(lock);
  for (Packet* p : packets)
    queue.push(PacketPtr(p), now);
}

size_t ImpairLink::Way::pop(std::span<Packet*> out, Time now) {
  Guard guard(lock);
  size_t n = 0;
  while (n < out.size()) {
    PacketPtr p = queue.pop_due(now);
    if (p == nullptr) break;
    out[n++] = p.release();
  }
  return n;
}

Time ImpairLink::Way::next_event() const {
  Guard guard(lock);
  return queue.next_event();
}

ImpairStats ImpairLink::Way::stats() const {
  Guard guard(lock);
  return queue.stats();
}

void ImpairLink::Way::set_options(const ImpairOptions& options) {
  Guard guard(lock);
  queue.set_options(options);
}

}  // namespace leat
