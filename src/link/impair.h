// A link with the vices of a network around any other link: rate, delay, jitter, loss, reordering, duplication, bit
// errors, a queue that drops or marks. On the handed-in clock and from a seed, so that the same run gives the same
// packets. impair_options.h has the vices, impair_queue.h the mechanism.
//
// It sees packets as they are handed over and splits none: it advertises max_gso_bytes = 0, so that the stack splits
// super-segments before. (Those that come in from an inner link that merges or does not split count as one packet.)
//
// What is delayed on its way out moves on when the link is called: next_event() says when to call receive_batch.
#pragma once

#include <memory>

#include "base/spinlock.h"
#include "link/impair_queue.h"

namespace leat {

class ImpairLink final : public Link {
 public:
  // A direction that `options` does not name passes unharmed.
  ImpairLink(std::unique_ptr<Link> inner, const ImpairOptions& options, const Seed& seed);
  // Each direction with vices of its own (the `direction` in them is not looked at).
  ImpairLink(std::unique_ptr<Link> inner, const ImpairOptions& out, const ImpairOptions& in, const Seed& seed);

  const LinkFeatures& features() const override { return features_; }
  size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time now) override;
  void transmit_batch(std::span<Packet*> packets, Time now) override;
  Time next_event() const override;
  int poll_fd() const override { return inner_->poll_fd(); }
  uint64_t dropped() const override;  // the inner link's and those of the queue limits; `lost` is the network's doing

  Link& inner() { return *inner_; }
  ImpairStats transmit_stats() const { return out_.stats(); }
  ImpairStats receive_stats() const { return in_.stats(); }
  // From any thread, for packets that come from now on: a link that fails in the middle of a test.
  void set_transmit_options(const ImpairOptions& options) { out_.set_options(options); }
  void set_receive_options(const ImpairOptions& options) { in_.set_options(options); }

 private:
  struct Way {
    Way(const ImpairOptions& o, LinkKind kind, const Seed& seed) : queue(o, kind, seed) {}
    void push(std::span<Packet*> packets, Time now);
    size_t pop(std::span<Packet*> out, Time now);
    Time next_event() const;
    ImpairStats stats() const;
    void set_options(const ImpairOptions& options);

    mutable SpinLock lock;
    ImpairQueue queue;
    bool is_flushing = false;
    Time flush_until;
  };

  void flush_due(Time now);
  void take_from_inner(PacketPool& pool, Time now);

  std::unique_ptr<Link> inner_;
  LinkFeatures features_;
  Way out_;
  Way in_;
};

}  // namespace leat
