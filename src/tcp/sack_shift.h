// Between sack.cpp and sack_shift.cpp: tagging one segment, and joining it with a neighbour that is tagged already.
#pragma once

#include "tcp/recovery/recovery.h"

namespace leat::tcp {

// What a SACK block says of a part of the queue: `segs` wire segments of t from `start` to `end`.
struct SackedPart {
  Seq start;
  Seq end;
  uint32_t segs;
};

// Counters and marks for a part that the peer reports; returns t's marks as they would be (tcp_sacktag_one).
uint8_t tag_part(Conn& c, const TxSegment& t, const SackedPart& part, bool is_dup, SackTag& tag);

struct Shifted {
  enum Kind : uint8_t {
    kNot,    // match the segment with the block as it is
    kNone,   // nothing of it is in the block
    kMoved,  // `at` has taken it, or some of it
  } kind = kNot;
  TxSegment* at = nullptr;
};

// What a block [start, end) covers of t joins the segment before t, when that one was selectively acknowledged before
// and is of the same size (tcp_shift_skb_data): a queue with a thousand holes stays short.
Shifted shift_to_previous(Conn& c, TxSegment& t, Seq start, Seq end, bool is_dup, SackTag& tag);

}  // namespace leat::tcp
