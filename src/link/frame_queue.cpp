// A queued frame's `received` is the time at which it arrives. Frames are freed without the lock: a pool has its own.
#include "link/frame_queue.h"

#include <utility>

#include "link/checksum_complete.h"

namespace leat {

FrameQueue::Pushed FrameQueue::push(std::span<Packet*> packets, Time now) {
  size_t taken = 0;
  bool was_empty = false;
  {
    Guard guard(lock_);
    was_empty = queue_.is_empty();
    for (; taken < packets.size() && !is_closed_ && queue_.count() < limit_; ++taken) {
      packets[taken]->received = now + delay_;
      queue_.push_back(PacketPtr(packets[taken]));
    }
  }
  for (Packet* p : packets.subspan(taken))
    PacketPtr{p};
  return {packets.size() - taken, was_empty && taken != 0};
}

size_t FrameQueue::pop(std::span<Packet*> out, Time now) {
  Guard guard(lock_);
  const bool is_instant = delay_ == Duration{};
  size_t n = 0;
  while (n < out.size() && !queue_.is_empty() && (is_instant || queue_.front()->received <= now)) {
    Packet* p = queue_.pop_front().release();
    if (is_instant) p->received = now;
    out[n++] = p;
  }
  return n;
}

Time FrameQueue::next_event() const {
  Guard guard(lock_);
  return queue_.is_empty() ? Time::never() : queue_.front()->received;
}

void FrameQueue::close() {
  PacketQueue left;
  Guard guard(lock_);
  is_closed_ = true;
  while (PacketPtr p = queue_.pop_front())
    left.push_back(std::move(p));
}

bool fits_link(const Packet& p, const LinkFeatures& features) {
  const uint32_t header = link_header_bytes(features.kind);
  if (p.length < header) return false;
  const uint32_t ip_bytes = p.length - header;
  return ip_bytes <= features.mtu || (p.gso_size != 0 && ip_bytes <= features.max_gso_bytes);
}

bool turn_around(Packet& p, bool verifies_checksums, bool leaves_stack) {
  if (!verifies_checksums) {
    if (!complete_checksum(p)) return false;
    p.checksum = Checksum::kNone;
  } else if (p.checksum == Checksum::kPartial) {
    p.checksum = Checksum::kVerified;  // csum_start and csum_offset stay: the field is unfinished
  }
  p.departure = Time{};
  p.ifindex = 0;
  p.ethertype = 0;
  p.network_offset = 0;
  p.transport_offset = 0;
  p.flow_hash = 0;  // of the sender's key
  p.is_loopback = !leaves_stack;
  if (leaves_stack) {
    p.mark = 0;
    p.priority = 0;
  }
  return true;
}

}  // namespace leat
