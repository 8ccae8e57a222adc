// The retransmit queue: what an ACK takes off it, and how its segments are cut and joined.
#include <algorithm>

#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

// What one cumulative ACK took off the queue.
struct Cleaned {
  uint64_t first_ackt_us = 0;  // send time of the first and last segment acknowledged that was sent once
  uint64_t last_ackt_us = 0;
  Seq reord = 0;
  uint32_t pkts_acked = 0;
  bool fully_acked = true;
  uint32_t flag = 0;
};

// The ACK ends within a super-segment: whole wire segments of it are done. Returns how many.
uint32_t ack_part(Conn& c, TxSegment& t) {
  const uint32_t before_segs = t.segs;
  trim_head(c, t, c.snd_una - t.seq);
  const auto acked = static_cast<uint32_t>(before_segs - t.segs);
  return acked;
}

void account_acked(Conn& c, TxSegment& t, uint32_t segs, Seq start, Cleaned& out, SackTag& tag, bool ece) {
  if (t.sacked & kRetransBits) {
    if (t.sacked & kRetransmitted) c.retrans_out -= segs;
    out.flag |= kFlagRetransDataAcked;
  } else if (!t.is_sacked()) {
    out.last_ackt_us = t.sent_us;
    if (out.first_ackt_us == 0) out.first_ackt_us = out.last_ackt_us;
    if (before(start, out.reord)) out.reord = start;
    if (!after(t.end_seq, c.high_seq)) out.flag |= kFlagOrigSackAcked;
  }
  if (t.is_sacked()) {
    c.sacked_out -= segs;
  } else if (!c.is_reno()) {
    count_delivered(c, segs, ece);
    const bool spurious = (t.sacked & kRetransBits) && is_tsecr_before(c, timestamp_of(c, t));
    if (!spurious) rack_advance(c, t.sacked, t.end_seq, t.sent_us);
  }
  if (t.is_lost()) c.lost_out -= segs;
  c.packets_out -= segs;
  out.pkts_acked += segs;
  rate_segment_delivered(c, t, *tag.rate);
  if (t.flags & wire::kTcpSyn) {
    out.flag |= kFlagSynAcked;
    c.retrans_stamp = 0;
  } else {
    out.flag |= kFlagDataAcked;
  }
}

TxSegment* take_acked(Conn& c, Cleaned& out, SackTag& tag, bool ece) {
  TxSegment* t = c.rtx_head();
  while (t != nullptr) {
    const Seq start = t->seq;
    uint32_t segs = t->segs;
    out.fully_acked = true;
    if (after(t->end_seq, c.snd_una)) {
      if (segs == 1 || !after(c.snd_una, t->seq)) break;
      segs = ack_part(c, *t);
      if (segs == 0) break;
      out.fully_acked = false;
    }
    account_acked(c, *t, segs, start, out, tag, ece);
    if (!out.fully_acked) break;
    TxSegment* next = c.rtx_queue.next(t);
    if (c.retransmit_hint == t) c.retransmit_hint = nullptr;
    if (c.highest_sack == t) c.highest_sack = next;
    unlink_rtx(c, *t);
    t = next;
  }
  return t;
}

// A lone runt with nothing unusual around it: the peer may well have sat on its ACK.
bool maybe_delayed(const Conn& c, const Cleaned& out, uint32_t prior_sacked, Seq prior_snd_una, uint32_t tag_flag,
                   const RateSample& rs) {
  return out.pkts_acked == 1 && out.fully_acked && prior_sacked == 0 && c.snd_una - prior_snd_una < c.mss_cache &&
         rs.prior_delivered + 1 == c.delivered && !((out.flag | tag_flag) & (kFlagCaAlert | kFlagSynAcked));
}

// An algorithm cannot count: it leaves what ended slow start in a field.
void count_hystart_exit(Conn& c) {
  if (c.hystart_exit & cc::kHystartTrain) {
    c.tcp.count(Mib::TcpExtTCPHystartTrainDetect);
    c.tcp.count(Mib::TcpExtTCPHystartTrainCwnd, c.snd_cwnd);
  }
  if (c.hystart_exit & cc::kHystartDelay) {
    c.tcp.count(Mib::TcpExtTCPHystartDelayDetect);
    c.tcp.count(Mib::TcpExtTCPHystartDelayCwnd, c.snd_cwnd);
  }
  c.hystart_exit = 0;
}

void report_pkts_acked(Conn& c, const Cleaned& out, const RateSample& rs) {
  if (c.cc_algorithm->pkts_acked == nullptr) return;
  cc::AckSample s;
  s.pkts_acked = out.pkts_acked;
  s.rtt_us = static_cast<int32_t>(rs.rtt_us);
  s.in_flight = c.mss_cache * (c.delivered - rs.prior_delivered);
  c.cc_algorithm->pkts_acked(c, s);
  count_hystart_exit(c);
}

}  // namespace

uint32_t clean_rtx_queue(Conn& c, Seq prior_fack, Seq prior_snd_una, SackTag& tag, bool ece) {
  const uint32_t prior_sacked = c.sacked_out;
  Cleaned out;
  out.reord = c.snd_nxt;
  TxSegment* left = take_acked(c, out, tag, ece);
  if (left == nullptr) chrono_stop(c, 1);
  if (between(c.snd_up, prior_snd_una, c.snd_una)) c.snd_up = c.snd_una;
  if (left != nullptr && left->is_sacked()) out.flag |= kFlagSackReneging;

  int64_t seq_rtt_us = -1, sack_rtt_us = -1, ca_rtt_us = -1;
  if (out.first_ackt_us != 0 && !(out.flag & kFlagRetransDataAcked)) {
    seq_rtt_us = static_cast<int64_t>(c.mstamp_us - out.first_ackt_us);
    ca_rtt_us = static_cast<int64_t>(c.mstamp_us - out.last_ackt_us);
    if (maybe_delayed(c, out, prior_sacked, prior_snd_una, tag.flag, *tag.rate)) out.flag |= kFlagAckMaybeDelayed;
  }
  if (tag.first_sackt_us != 0) {
    sack_rtt_us = static_cast<int64_t>(c.mstamp_us - tag.first_sackt_us);
    ca_rtt_us = static_cast<int64_t>(c.mstamp_us - tag.last_sackt_us);
  }
  const bool rtt_updated = ack_update_rtt(c, out.flag, seq_rtt_us, sack_rtt_us, ca_rtt_us, *tag.rate);

  if (out.flag & kFlagAcked) {
    out.flag |= kFlagSetXmitTimer;
    on_mtu_probe_acked(c);
    if (c.is_reno()) {
      remove_reno_sacks(c, out.pkts_acked, ece);
      // Without SACK nobody can tell which of the copies was acknowledged.
      if (out.flag & kFlagRetransDataAcked) out.flag &= ~static_cast<uint32_t>(kFlagOrigSackAcked);
    } else if (before(out.reord, prior_fack)) {
      check_sack_reordering(c, out.reord, false);
    }
  } else if (left != nullptr && rtt_updated && sack_rtt_us >= 0 &&
             sack_rtt_us > static_cast<int64_t>(c.mstamp_us - left->sent_us)) {
    // The sample is from data sent before the head was sent last: the RTO may start anew without moving out for ever.
    out.flag |= kFlagSetXmitTimer;
  }
  report_pkts_acked(c, out, *tag.rate);
  return out.flag;
}

void unlink_rtx(Conn& c, TxSegment& t) {
  if (t.by_time.is_linked()) t.by_time.unlink();
  c.rtx_queue.erase(&t);
  Packet& p = t.packet();
  uncharge_to_send(c, p.truesize);
  PacketPtr owner(&p);
}

// `bytes` off the front; the count of wire segments follows.
void trim_head(Conn& c, TxSegment& t, uint32_t bytes) {
  Packet& p = t.packet();
  const uint32_t delta = std::min(bytes, p.length);
  p.pull(delta);
  t.seq += bytes;
  const uint32_t released = std::min(delta, p.truesize);
  p.truesize -= released;
  uncharge_to_send(c, released);
  if (t.segs > 1) set_segs(t, t.mss);
}

void adjust_segs(Conn& c, const TxSegment& t, int32_t decrease) {
  const auto d = static_cast<uint32_t>(decrease);
  c.packets_out -= d;
  if (t.is_sacked()) c.sacked_out -= d;
  if (t.sacked & kRetransmitted) c.retrans_out -= d;
  if (t.is_lost()) c.lost_out -= d;
  if (c.is_reno() && decrease > 0) c.sacked_out -= std::min(c.sacked_out, d);
}

// Joins t with small segments behind it so that the retransmission fills `space` bytes (tcp_retrans_collapse).
bool try_collapse(Conn& c, TxSegment& t, uint32_t space) {
  if (c.tcp.ns.sysctl.tcp_retrans_collapse == 0 || (t.flags & wire::kTcpSyn) || t.segs > 1) return false;
  bool any = false;
  uint32_t room = space;
  if (t.length() > room) return false;
  room -= t.length();
  for (TxSegment* next = c.rtx_queue.next(&t); next != nullptr; next = c.rtx_queue.next(&t)) {
    Packet& p = t.packet();
    Packet& q = next->packet();
    const bool mixes =
        next->is_sacked() || next->segs > 1 || (next->flags & wire::kTcpSyn) || t.eor || (t.flags & wire::kTcpFin);
    if (mixes || q.length > room || after(next->end_seq, c.wnd_end())) break;
    if (p.frag_count + q.frag_count > Packet::kMaxFragments || q.linear_length() != 0) break;
    room -= q.length;
    const uint32_t truesize = p.truesize + q.length;
    for (uint16_t i = 0; i < q.frag_count; ++i)
      p.add_fragment(q.frags[i].buffer, q.frags[i].offset, q.frags[i].length);
    p.truesize = truesize;
    charge_to_send(c, q.length);  // which the other gives back
    t.end_seq = next->end_seq;
    t.flags |= next->flags;
    t.sacked |= next->sacked & kEverRetransmitted;
    t.eor = next->eor;
    if (c.retransmit_hint == next) c.retransmit_hint = &t;
    if (c.highest_sack == next) c.highest_sack = c.rtx_queue.next(next);
    adjust_segs(c, *next, next->segs);
    unlink_rtx(c, *next);
    any = true;
  }
  return any;
}

}  // namespace leat::tcp
