// Where a host meets the network: what is behind it lives on the exact time, the stack before it on what it reads.
#pragma once

#include <memory>

#include "link/link.h"
#include "sim/clock.h"

namespace leat::sim {

class Port final : public Link {
 public:
  Port(std::unique_ptr<Link> inner, const Clock& clock) : inner_(std::move(inner)), clock_(clock) {}

  const LinkFeatures& features() const override { return inner_->features(); }
  size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) override;
  void transmit_batch(std::span<Packet*> packets, Time) override { inner_->transmit_batch(packets, clock_.now()); }
  // To the stack: now or never. The scheduler asks the network for the exact time.
  Time next_event() const override { return network_event() <= clock_.now() ? clock_.reading() : Time::never(); }
  Time network_event() const { return inner_->next_event(); }
  uint64_t dropped() const override { return inner_->dropped(); }

 private:
  std::unique_ptr<Link> inner_;
  const Clock& clock_;
};

}  // namespace leat::sim
