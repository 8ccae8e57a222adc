// One direction of an impaired link, as a mechanism: packets go in at a time and come out at another, or never.
//
//   push → lost? → twice? → a bit flipped? → [ bottleneck: limit, CE, rate ] → [ line: delay, jitter, reorder ] → pop
//
// The bottleneck is a number (until when it is busy) and the sizes of what has not left it; a packet waits in the line
// from the start, with the time of its arrival known. Each impairment draws from its own stream of random numbers, so
// that adding jitter does not change which packets are lost. Not thread-safe; ImpairLink has the locks.
#pragma once

#include <deque>
#include <vector>

#include "base/rng.h"
#include "link/impair_options.h"
#include "link/link.h"

namespace leat {

struct ImpairStats {
  uint64_t packets = 0;  // came in
  uint64_t bytes = 0;
  uint64_t delivered = 0;  // came out
  uint64_t delivered_bytes = 0;
  uint64_t lost = 0;         // by `loss` or the Gilbert-Elliott model
  uint64_t queue_drops = 0;  // by a limit
  uint64_t duplicated = 0;
  uint64_t corrupted = 0;
  uint64_t reordered = 0;  // by `reorder`
  uint64_t ce_marked = 0;
  uint64_t max_queue_packets = 0;  // the bottleneck's
  uint64_t max_queue_bytes = 0;
};

class ImpairQueue {
 public:
  ImpairQueue(const ImpairOptions& options, LinkKind kind, const Seed& seed);
  ~ImpairQueue();
  ImpairQueue(const ImpairQueue&) = delete;
  ImpairQueue& operator=(const ImpairQueue&) = delete;

  void push(PacketPtr p, Time now);
  PacketPtr pop_due(Time now);  // in order of arrival; `received` is its arrival
  Time next_event() const { return line_.empty() ? Time::never() : line_.front().arrival; }
  const ImpairStats& stats() const { return stats_; }
  void set_options(const ImpairOptions& options) { options_ = options; }  // for what comes from now on

 private:
  struct InLine {
    Time arrival;
    uint64_t number;  // equal arrivals keep their order
    Packet* packet;
    bool operator<(const InLine& o) const {  // std heaps have the largest in front
      return arrival != o.arrival ? arrival > o.arrival : number > o.number;
    }
  };
  struct InBottleneck {
    Time leaves;
    uint32_t bytes;
  };

  bool select_loss();
  void enqueue(PacketPtr p, Time now);
  void empty_bottleneck(Time now);
  bool is_full(uint32_t bytes) const;
  Time pass_bottleneck(uint32_t bytes, Time now);
  Time select_arrival(Time left);
  Duration select_delay();

  ImpairOptions options_;
  const LinkKind kind_;
  Rng loss_rng_, order_rng_, duplicate_rng_, corrupt_rng_, jitter_rng_;
  bool is_bad_ = false;  // Gilbert-Elliott
  Time busy_until_;
  std::deque<InBottleneck> bottleneck_;
  uint64_t bottleneck_bytes_ = 0;
  Time last_arrival_;
  std::vector<InLine> line_;  // a heap
  uint64_t line_bytes_ = 0;
  uint64_t next_number_ = 0;
  ImpairStats stats_;
};

}  // namespace leat
