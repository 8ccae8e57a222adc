// Joining neighbours in the retransmit queue as they are selectively acknowledged (RFC 2018), as Linux does. It bounds
// the queue's length under many small blocks, and it shows: what was joined shares one mark "was ever retransmitted",
// and the overhead of a segment that was used up is given back to the writer.
#include "tcp/sack_shift.h"

#include <algorithm>

#include "tcp/memory.h"

namespace leat::tcp {
namespace {

constexpr uint32_t kMostSegs = 65535;
constexpr uint32_t kMostBytes = 65535u * 8;  // the smallest segment is 8 bytes

uint32_t wire_size(TxSegment& t) {
  return t.segs == 1 ? t.length() : t.mss;
}

// Which bytes of t are in the block, in whole segments; 0 with why.
struct Extent {
  uint32_t bytes = 0;
  uint32_t segs = 0;
  uint32_t mss = 0;
  Shifted::Kind why_not = Shifted::kNot;
};

Extent extent_of(TxSegment& t, uint32_t size_before, Seq start, Seq end) {
  const bool begins_inside = !after(start, t.seq);
  if (begins_inside && !before(end, t.end_seq)) {
    const uint32_t mss = wire_size(t);
    return mss == size_before ? Extent{t.length(), t.segs, mss} : Extent{};
  }
  if (!after(t.end_seq, start) || t.segs <= 1) return {.why_not = Shifted::kNone};
  if (!begins_inside || t.mss != size_before) return {};
  const uint32_t segs = (end - t.seq) / t.mss;
  if (segs == 0) return {.why_not = Shifted::kNone};
  return {segs * t.mss, segs, t.mss};
}

bool is_shiftable(TxSegment& t) {
  const Packet& p = t.packet();
  return p.length != 0 && p.linear_length() == 0 && p.more == nullptr;
}

// The first n bytes of `from` as fragments behind `to`. False: they do not fit, and nothing has moved.
bool move_bytes(TxSegment& to, TxSegment& from, uint32_t n, uint32_t segs) {
  Packet& p = to.packet();
  Packet& q = from.packet();
  if (p.length + n >= kMostBytes || to.segs + segs > kMostSegs || p.more != nullptr) return false;
  uint32_t count = 0;
  for (uint32_t seen = 0; seen < n; ++count)
    seen += q.frags[count].length;
  const Fragment& last = p.frags[p.frag_count - 1];
  const bool joins =
      p.frag_count != 0 && last.buffer == q.frags[0].buffer && last.offset + last.length == q.frags[0].offset;
  if (p.frag_count + count - (joins ? 1 : 0) > Packet::kMaxFragments) return false;
  uint32_t left = n;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t k = std::min(left, q.frags[i].length);
    p.add_fragment(q.frags[i].buffer, q.frags[i].offset, k);  // charges k bytes
    left -= k;
  }
  q.truesize -= n;
  if (n < q.length) q.pull(n);
  return true;
}

// All of t is in `previous` now.
void swallow(Conn& c, TxSegment& previous, TxSegment& t) {
  if (c.retransmit_hint == &t) c.retransmit_hint = &previous;
  previous.flags = static_cast<uint8_t>(previous.flags | t.flags);
  previous.eor = t.eor;
  if (t.flags & wire::kTcpFin) ++previous.end_seq;
  if (c.highest_sack == &t) c.highest_sack = c.rtx_queue.next(&t);
  previous.delivered_us = 0;  // it is no sample of a rate any more
  unlink_rtx(c, t);
}

// Whether all of t has gone.
bool shift(Conn& c, TxSegment& previous, TxSegment& t, const Extent& e, bool is_all, bool is_dup, SackTag& tag) {
  (void)tag_part(c, t, {t.seq, t.seq + e.bytes, e.segs}, is_dup, tag);
  rate_segment_delivered(c, t, *tag.rate);
  previous.end_seq += e.bytes;
  t.seq += e.bytes;
  previous.segs = static_cast<uint16_t>(previous.segs + e.segs);
  t.segs = static_cast<uint16_t>(t.segs - e.segs);
  if (previous.mss == 0) previous.mss = static_cast<uint16_t>(e.mss);
  if (t.segs <= 1) t.mss = 0;
  previous.sacked = static_cast<uint8_t>(previous.sacked | (t.sacked & kEverRetransmitted));
  if (!is_all) {
    c.tcp.count(Mib::TcpExtTCPSackShifted);
    return false;
  }
  swallow(c, previous, t);
  c.tcp.count(Mib::TcpExtTCPSackMerged);
  return true;
}

// A hole is filled: what stands behind it joins as well.
void shift_next(Conn& c, TxSegment& previous, uint32_t mss, SackTag& tag) {
  TxSegment* next = c.rtx_queue.next(&previous);
  if (next == nullptr || !is_shiftable(*next) || (next->sacked & kTagBits) != kSacked) return;
  if (wire_size(*next) != mss || previous.eor) return;
  const Extent all{next->length(), next->segs, mss};
  if (move_bytes(previous, *next, all.bytes, all.segs)) (void)shift(c, previous, *next, all, true, false, tag);
}

Shifted try_shift(Conn& c, TxSegment& t, Seq start, Seq end, bool is_dup, SackTag& tag) {
  // Sent again and not lost: the copy is still on its way, and must be known by itself.
  if (!is_dup && (t.sacked & (kLost | kRetransmitted)) == kRetransmitted) return {};
  if (!is_shiftable(t) || !after(t.end_seq, c.snd_una)) return {};
  TxSegment* const previous = c.rtx_queue.prev(&t);
  if (previous == nullptr || (previous->sacked & kTagBits) != kSacked || previous->eor) return {};
  if (!is_shiftable(*previous)) return {};
  const Extent e = extent_of(t, wire_size(*previous), start, end);
  if (e.bytes == 0) return {e.why_not, &t};
  if (!after(t.seq + e.bytes, c.snd_una)) return {};
  const bool is_all = e.bytes == t.length();
  if (!move_bytes(*previous, t, e.bytes, e.segs)) return {};
  if (shift(c, *previous, t, e, is_all, is_dup, tag)) shift_next(c, *previous, e.mss, tag);
  return {Shifted::kMoved, previous};
}

}  // namespace

Shifted shift_to_previous(Conn& c, TxSegment& t, Seq start, Seq end, bool is_dup, SackTag& tag) {
  const Shifted done = try_shift(c, t, start, end, is_dup, tag);
  if (done.kind == Shifted::kNot) c.tcp.count(Mib::TcpExtTCPSackShiftFallback);
  return done;
}

}  // namespace leat::tcp
