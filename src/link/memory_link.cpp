// Each end shares the two queues with the other; the last one to go frees them.
#include "link/memory_link.h"

#include <cstring>

#include "link/frame_queue.h"

namespace leat {
namespace {

struct Wire {
  explicit Wire(const MemoryPairOptions& o)
      : queues{{o.queue_packets, o.delay}, {o.queue_packets, o.delay}}, ready{o.ready[0], o.ready[1]} {}
  FrameQueue queues[2];  // towards the end of that number
  const LinkReady ready[2];
};

class MemoryLink final : public Link {
 public:
  MemoryLink(std::shared_ptr<Wire> wire, int end, const MemoryPairOptions& o) : wire_(std::move(wire)), end_(end) {
    features_.mtu = o.mtu;
    features_.kind = o.kind;
    std::memcpy(features_.mac, o.macs[end], sizeof features_.mac);
    features_.verifies_checksums = o.verifies_checksums;
    features_.takes_partial_checksums = o.takes_partial_checksums;
    features_.max_gso_bytes = o.max_gso_bytes;
  }
  ~MemoryLink() override {
    wire_->queues[0].close();
    wire_->queues[1].close();
  }

  const LinkFeatures& features() const override { return features_; }
  size_t receive_batch(std::span<Packet*> out, PacketPool&, Time now) override { return inbox().pop(out, now); }
  void transmit_batch(std::span<Packet*> packets, Time now) override;
  Time next_event() const override { return inbox().next_event(); }
  uint64_t dropped() const override { return dropped_.load(std::memory_order_relaxed); }

 private:
  FrameQueue& inbox() const { return wire_->queues[end_]; }

  std::shared_ptr<Wire> wire_;
  const int end_;
  LinkFeatures features_;
  std::atomic<uint64_t> dropped_{0};
};

void MemoryLink::transmit_batch(std::span<Packet*> packets, Time now) {
  size_t kept = 0;
  for (Packet* raw : packets) {
    PacketPtr p(raw);
    if (fits_link(*p, features_) && turn_around(*p, features_.verifies_checksums, true)) packets[kept++] = p.release();
  }
  const int peer = 1 - end_;
  const auto pushed = wire_->queues[peer].push(packets.first(kept), now);
  const size_t dropped = packets.size() - kept + pushed.dropped;
  if (dropped != 0) dropped_.fetch_add(dropped, std::memory_order_relaxed);
  const LinkReady& ready = wire_->ready[peer];
  if (pushed.was_empty && ready.call != nullptr) ready.call(ready.context);
}

}  // namespace

LinkPair make_memory_pair(const MemoryPairOptions& options) {
  auto wire = std::make_shared<Wire>(options);
  auto first = std::make_unique<MemoryLink>(wire, 0, options);
  return {std::move(first), std::make_unique<MemoryLink>(std::move(wire), 1, options)};
}

}  // namespace leat
