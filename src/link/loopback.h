// The loopback link: what is transmitted is received, at the same time, with its checksum taken as good. Linux's lo:
// MTU 65536, super-segments stay whole, a packet keeps its mark and its priority.
#pragma once

#include <atomic>

#include "link/frame_queue.h"

namespace leat {

struct LoopbackOptions {
  uint32_t mtu = 65536;
  uint32_t max_gso_bytes = 65536;
  size_t queue_packets = 65536;  // more are dropped
};

class LoopbackLink final : public Link {
 public:
  explicit LoopbackLink(const LoopbackOptions& options = {});
  const LinkFeatures& features() const override { return features_; }
  size_t receive_batch(std::span<Packet*> out, PacketPool&, Time now) override { return queue_.pop(out, now); }
  void transmit_batch(std::span<Packet*> packets, Time now) override;
  Time next_event() const override { return queue_.next_event(); }
  uint64_t dropped() const override { return dropped_.load(std::memory_order_relaxed); }

 private:
  LinkFeatures features_;
  FrameQueue queue_;
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace leat
