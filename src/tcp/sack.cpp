// Tagging the retransmit queue with what SACK blocks say (RFC 2018, RFC 2883), and its emulation for peers without
// SACK, whose duplicate ACKs are counted instead.
#include <algorithm>

#include "tcp/sack_shift.h"

namespace leat::tcp {
namespace {

using wire::SackBlock;

// Number of segments that a D-SACK reports as doubled; 0: it cannot be true.
uint32_t dsack_seen(Conn& c, const SackBlock& b, SackTag& tag) {
  if (!before(b.start, b.end)) return 0;
  const uint32_t length = b.end - b.start;
  if (length > c.max_window) return 0;  // more than the peer ever offered to take
  uint32_t segs = 1;
  if (length > c.mss_cache) {
    segs = (length + c.mss_cache - 1) / c.mss_cache;
  } else if (c.tlp_high_seq != 0 && c.tlp_high_seq == b.end) {
    tag.flag |= kFlagDsackTlp;
  }
  c.dsack_dups += segs;
  if (c.dsack_dups > c.total_retrans) return 0;  // the network doubled it, not we
  c.rx_opt.dsack_seen = true;
  if (c.reord_seen != 0 && !(tag.flag & kFlagDsackTlp)) c.rack.dsack_seen = true;
  tag.flag |= kFlagDsackingAck;
  tag.sack_delivered += segs;
  return segs;
}

// RFC 2883 §4: the first block is a D-SACK when it lies below the ACK or within the second one.
bool check_dsack(Conn& c, const Segment& seg, Seq prior_snd_una, SackTag& tag) {
  const auto& o = seg.options();
  const SackBlock b = o.sacks[0];
  if (before(b.start, seg.ack)) {
    c.tcp.count(Mib::TcpExtTCPDSACKRecv);
  } else if (o.sack_count > 1) {
    const SackBlock next = o.sacks[1];
    if (after(b.end, next.end) || before(b.start, next.start)) return false;
    c.tcp.count(Mib::TcpExtTCPDSACKOfoRecv);
  } else {
    return false;
  }
  const uint32_t segs = dsack_seen(c, b, tag);
  if (segs == 0) {
    c.tcp.count(Mib::TcpExtTCPDSACKIgnoredDubious);
    return false;
  }
  c.tcp.count(Mib::TcpExtTCPDSACKRecvSegs, segs);
  if (c.undo_marker != 0 && c.undo_retrans > 0 && !after(b.end, prior_snd_una) && after(b.end, c.undo_marker)) {
    c.undo_retrans = std::max(0, c.undo_retrans - static_cast<int32_t>(segs));
  }
  return true;
}

// Only blocks within what is in flight are believed; a D-SACK may also lie below, within this recovery.
bool is_valid_block(const Conn& c, bool is_dsack, const SackBlock& b) {
  if (after(b.end, c.snd_nxt) || !before(b.start, b.end)) return false;
  if (!before(b.start, c.snd_nxt)) return false;
  if (after(b.start, c.snd_una)) return true;
  if (!is_dsack || c.undo_marker == 0) return false;
  if (after(b.end, c.snd_una)) return false;
  if (!before(b.start, c.undo_marker)) return true;
  if (!after(b.end, c.undo_marker)) return false;
  return !before(b.start, b.end - c.max_window);
}

struct Blocks {
  std::array<SackBlock, 4> block;
  int used = 0;
  int first_index = 0;  // where the first received block went; -1: dropped
};

void count_bad_block(Conn& c, const Segment& seg, bool is_dsack, const SackBlock& b) {
  if (is_dsack) {
    c.tcp.count(c.undo_marker == 0 ? Mib::TcpExtTCPDSACKIgnoredNoUndo : Mib::TcpExtTCPDSACKIgnoredOld);
  } else if (seg.ack == c.snd_una || after(b.end, c.snd_una)) {  // not merely an old ACK out of order
    c.tcp.count(Mib::TcpExtTCPSACKDiscard);
  }
}

Blocks select_blocks(Conn& c, const Segment& seg, bool found_dsack, Seq prior_snd_una) {
  Blocks out;
  for (int i = 0; i < seg.options().sack_count; ++i) {
    const SackBlock b = seg.options().sacks[static_cast<size_t>(i)];
    const bool is_dsack = i == 0 && found_dsack;
    const bool valid = is_valid_block(c, is_dsack, b);
    if (!valid) count_bad_block(c, seg, is_dsack, b);
    if (!valid || !after(b.end, prior_snd_una)) {
      if (i == 0) out.first_index = -1;
      continue;
    }
    out.block[static_cast<size_t>(out.used++)] = b;
  }
  for (int i = out.used - 1; i > 0; --i) {  // by start, for one walk over the queue
    for (int j = 0; j < i; ++j) {
      auto& a = out.block[static_cast<size_t>(j)];
      auto& b = out.block[static_cast<size_t>(j + 1)];
      if (!after(a.start, b.start)) continue;
      std::swap(a, b);
      if (j == out.first_index) out.first_index = j + 1;
    }
  }
  return out;
}

// Does the segment lie in the block? A super-segment that does in part is cut at a multiple of its MSS.
// -1: it could not be cut.
int match_to_block(Conn& c, TxSegment& t, Seq start, Seq end) {
  bool inside = !after(start, t.seq) && !before(end, t.end_seq);
  if (t.segs <= 1 || inside || !after(t.end_seq, start)) return inside;
  const uint32_t mss = t.mss;
  inside = !after(start, t.seq);
  uint32_t cut;
  if (!inside) {
    cut = std::max(start - t.seq, mss);
  } else {
    cut = end - t.seq;
    if (cut < mss) return -1;
  }
  if (cut > mss) {  // round to whole segments so that the pieces can be sent again as they were
    uint32_t whole = cut / mss * mss;
    if (!inside && whole < cut) whole += mss;
    cut = whole;
  }
  if (cut >= t.length() && !inside) return 0;
  return fragment(c, true, t, cut, mss) ? inside : -1;
}

}  // namespace

uint8_t tag_part(Conn& c, const TxSegment& t, const SackedPart& part, bool is_dup, SackTag& tag) {
  uint8_t marks = t.sacked;
  const auto drop = [&marks](uint8_t bits) { marks &= static_cast<uint8_t>(~bits); };
  if (is_dup && (marks & kRetransBits)) {
    if (c.undo_marker != 0 && c.undo_retrans > 0 && after(part.end, c.undo_marker)) {
      c.undo_retrans = std::max(0, c.undo_retrans - static_cast<int32_t>(part.segs));
    }
    if ((marks & kSacked) && before(part.start, tag.reord)) tag.reord = part.start;
  }
  if (!after(part.end, c.snd_una)) return marks;  // about to be cleaned
  if (!(marks & kSacked)) {
    rack_advance(c, marks, part.end, t.sent_us);
    if (marks & kRetransmitted) {
      // If the segment is not marked lost, its retransmission is still believed to be in flight.
      if (marks & kLost) {
        drop(kLost | kRetransmitted);
        c.lost_out -= part.segs;
        c.retrans_out -= part.segs;
      }
    } else {
      if (!(marks & kRetransBits)) {
        // A hole that nobody filled again has been filled: reordering.
        if (before(part.start, highest_sack_seq(c)) && before(part.start, tag.reord)) tag.reord = part.start;
        if (!after(part.end, c.high_seq)) tag.flag |= kFlagOrigSackAcked;
        if (tag.first_sackt_us == 0) tag.first_sackt_us = t.sent_us;
        tag.last_sackt_us = t.sent_us;
      }
      if (marks & kLost) {
        drop(kLost);
        c.lost_out -= part.segs;
      }
    }
    marks |= kSacked;
    tag.flag |= kFlagDataSacked;
    c.sacked_out += part.segs;
    tag.sack_delivered += part.segs;  // counted when it is known whether the ACK has ECE
  }
  // A D-SACK says that the copy has arrived as well.
  if (is_dup && (marks & kRetransmitted)) {
    drop(kRetransmitted);
    c.retrans_out -= part.segs;
  }
  return marks;
}

namespace {

// First segment that ends behind `seq`, from the whole queue: O(log n).
TxSegment* skip_to(Conn& c, Seq seq) {
  return c.rtx_queue.find_first([seq](const TxSegment& t) { return after(t.end_seq, seq); });
}

TxSegment* walk(Conn& c, TxSegment* t, const SackBlock* next_dup, SackTag& tag, Seq start, Seq end, bool is_dup_block) {
  for (; t != nullptr && before(t->seq, end); t = c.rtx_queue.next(t)) {
    bool is_dup = is_dup_block;
    int inside = 0;
    if (next_dup != nullptr && before(t->seq, next_dup->end)) {
      inside = match_to_block(c, *t, next_dup->start, next_dup->end);
      if (inside > 0) is_dup = true;
    }
    if (inside <= 0) {
      const Shifted shifted = shift_to_previous(c, *t, start, end, is_dup, tag);
      if (shifted.kind != Shifted::kNot) {
        t = shifted.at;
        continue;
      }
      inside = match_to_block(c, *t, start, end);
    }
    if (inside < 0) break;
    if (inside == 0) continue;
    t->sacked = tag_part(c, *t, {t->seq, t->end_seq, t->segs}, is_dup, tag);
    rate_segment_delivered(c, *t, *tag.rate);
    if (t->is_sacked() && t->by_time.is_linked()) t->by_time.unlink();
    if (!before(t->seq, highest_sack_seq(c))) c.highest_sack = c.rtx_queue.next(t);
  }
  return t;
}

void remember_blocks(Conn& c, const Blocks& b) {
  c.recv_sack_cache = {};
  for (int i = 0; i < b.used; ++i)
    c.recv_sack_cache[static_cast<size_t>(4 - b.used + i)] = b.block[static_cast<size_t>(i)];
}

// One walk over the queue for all blocks of an ACK. What the last ACK's blocks covered needs no second look, and the
// walk never goes back, not for a duplicate within the block before it either: that one was looked at on the way.
class BlockWalk {
 public:
  BlockWalk(Conn& c, const Blocks& blocks, bool found_dsack, SackTag& tag)
      : c_(c), blocks_(blocks), found_dsack_(found_dsack), tag_(tag) {
    const auto is_used = [](const SackBlock& b) { return b.start != 0 || b.end != 0; };
    known_ = c.sacked_out == 0 ? c.recv_sack_cache.end() : std::ranges::find_if(c.recv_sack_cache, is_used);
  }

  void run() {
    for (int i = 0; i < blocks_.used;) {
      const SackBlock b = blocks_.block[static_cast<size_t>(i)];
      const bool is_dup = found_dsack_ && i == blocks_.first_index;
      next_dup_ = found_dsack_ && i + 1 == blocks_.first_index ? &blocks_.block[static_cast<size_t>(i + 1)] : nullptr;
      const Step step = take(b, is_dup);
      if (step == Step::kEnd) return;
      if (step == Step::kNextBlock) ++i;
    }
  }

 private:
  enum class Step : uint8_t { kNextBlock, kSameBlock, kEnd };

  bool has_known() const { return known_ != c_.recv_sack_cache.end(); }

  Step take(const SackBlock& b, bool is_dup) {
    while (has_known() && !before(b.start, known_->end))
      ++known_;
    if (has_known() && !is_dup && after(b.end, known_->start)) return take_unknown(b);
    if (!before(b.start, highest_sack_seq(c_))) {
      at_ = c_.highest_sack;
      if (at_ == nullptr) return Step::kEnd;
    }
    go_to(b.start);
    at_ = walk(c_, at_, next_dup_, tag_, b.start, b.end, is_dup);
    return Step::kNextBlock;
  }

  // What lies before the known block that overlaps; what lies behind it is for the next step.
  Step take_unknown(const SackBlock& b) {
    if (before(b.start, known_->start)) {
      go_to(b.start);
      at_ = walk(c_, at_, next_dup_, tag_, b.start, known_->start, false);
    }
    if (!after(b.end, known_->end)) return Step::kNextBlock;
    if (next_dup_ != nullptr && before(next_dup_->start, known_->end)) {
      go_to(next_dup_->start);
      at_ = walk(c_, at_, nullptr, tag_, next_dup_->start, next_dup_->end, true);
    }
    const Seq known_end = known_->end;
    ++known_;
    if (highest_sack_seq(c_) != known_end) {
      go_to(known_end);
      return Step::kSameBlock;
    }
    at_ = c_.highest_sack;
    if (at_ == nullptr) return Step::kEnd;
    at_ = walk(c_, at_, next_dup_, tag_, b.start, b.end, false);
    return Step::kNextBlock;
  }

  void go_to(Seq seq) {
    if (at_ == nullptr || !after(at_->seq, seq)) at_ = skip_to(c_, seq);
  }

  Conn& c_;
  const Blocks& blocks_;
  const bool found_dsack_;
  SackTag& tag_;
  std::array<SackBlock, 4>::iterator known_;  // of the last ACK's blocks, by start
  const SackBlock* next_dup_ = nullptr;       // the duplicate that lies in this block, when it comes next
  TxSegment* at_ = nullptr;
};

}  // namespace

Seq highest_sack_seq(const Conn& c) {
  if (c.sacked_out == 0) return c.snd_una;
  return c.highest_sack == nullptr ? c.snd_nxt : c.highest_sack->seq;
}

void count_delivered(Conn& c, uint32_t segs, bool ece) {
  c.delivered += segs;
  if (ece) c.delivered_ce += segs;
}

uint32_t tag_sacks(Conn& c, const Segment& seg, Seq prior_snd_una, SackTag& tag) {
  tag.reord = c.snd_nxt;
  if (c.sacked_out == 0) c.highest_sack = c.rtx_head();
  const bool found_dsack = check_dsack(c, seg, prior_snd_una, tag);
  if (before(seg.ack, prior_snd_una - c.max_window)) return 0;  // too old to mean anything
  if (c.packets_out == 0) return tag.flag;
  const Blocks blocks = select_blocks(c, seg, found_dsack, prior_snd_una);
  BlockWalk(c, blocks, found_dsack, tag).run();
  remember_blocks(c, blocks);
  if (c.ca_state != CaState::kLoss || c.undo_marker != 0) check_sack_reordering(c, tag.reord, false);
  return tag.flag;
}

void reset_reno_sack(Conn& c) {
  c.sacked_out = 0;
}

// A duplicate ACK of a peer without SACK: some segment has left the network, nobody knows which.
void add_reno_sack(Conn& c, uint32_t dupacks, bool ece) {
  if (dupacks == 0) return;
  const uint32_t prior = c.sacked_out;
  c.sacked_out += dupacks;
  check_reno_reordering(c, 0);
  if (c.sacked_out > prior) count_delivered(c, c.sacked_out - prior, ece);
}

void remove_reno_sacks(Conn& c, uint32_t acked, bool ece) {
  if (acked > 0) {
    // One of the acknowledged filled the hole; the others had been counted by duplicate ACKs.
    const auto uncounted = static_cast<int32_t>(acked - c.sacked_out);
    count_delivered(c, static_cast<uint32_t>(std::max(uncounted, 1)), ece);
    c.sacked_out = acked - 1 >= c.sacked_out ? 0 : c.sacked_out - (acked - 1);
  }
  check_reno_reordering(c, acked);
}

}  // namespace leat::tcp
