// A bounded queue of frames between two ends in one memory, and what a frame must lose when it crosses.
// Thread rule: everything from any thread.
#pragma once

#include "base/spinlock.h"
#include "link/link.h"

namespace leat {

class FrameQueue {
 public:
  // With a delay of zero a frame is there at once, whatever the two ends think the time is; with a delay both ends
  // must live on the same clock.
  FrameQueue(size_t limit, Duration delay) : limit_(limit), delay_(delay) {}
  ~FrameQueue() { close(); }

  struct Pushed {
    size_t dropped;  // over the limit, or the queue is closed
    bool was_empty;
  };
  Pushed push(std::span<Packet*> packets, Time now);  // takes all
  size_t pop(std::span<Packet*> out, Time now);
  Time next_event() const;
  void close();  // frees what is queued and refuses what comes

 private:
  const size_t limit_;
  const Duration delay_;
  mutable SpinLock lock_;
  PacketQueue queue_;
  bool is_closed_ = false;
};

// What a link in memory can carry: larger than the MTU only as a super-segment, and only when that was agreed.
bool fits_link(const Packet& p, const LinkFeatures& features);

// Makes a transmitted packet one that arrives: its checksum as the receiver may see it, no pacing, no interface. The
// socket's mark and priority go as well when it leaves the stack, as in Linux when a packet crosses namespaces.
// False: its checksum points outside of it.
[[nodiscard]] bool turn_around(Packet& p, bool verifies_checksums, bool leaves_stack);

}  // namespace leat
