// The congestion states of a sender and the marks of its segments: Open, Disorder, CWR, Recovery, Loss.
#include <algorithm>

#include "tcp/recovery/recovery.h"

namespace leat::tcp {

void set_ca_state(Conn& c, CaState fresh) {
  if (c.cc_algorithm->set_state != nullptr) c.cc_algorithm->set_state(c, fresh);
  if (c.ca_state != fresh) {
    c.tcp.ns.trace([&] {
      return TraceEvent{.kind = TraceKind::kCaState,
                        .a8 = static_cast<uint8_t>(fresh),
                        .socket = c.sk.cookie,
                        .a = static_cast<uint32_t>(c.ca_state),
                        .b = c.snd_cwnd,
                        .c = c.snd_ssthresh};
    });
  }
  c.ca_state = fresh;
}

void cwnd_event(Conn& c, cc::Event e) {
  if (c.cc_algorithm->cwnd_event != nullptr) c.cc_algorithm->cwnd_event(c, e);
}

void ecn_queue_cwr(Conn& c) {
  if (c.ecn_flags & kEcnOk) c.ecn_flags |= kEcnQueueCwr;
}

void ecn_withdraw_cwr(Conn& c) {
  c.ecn_flags &= static_cast<uint8_t>(~kEcnQueueCwr);
}

// The mark and its counter change together. A segment that was sent again and is lost again may be sent once more.
void mark_lost(Conn& c, TxSegment& t) {
  if (t.is_sacked()) return;
  const bool none_left = c.retransmit_hint == nullptr && c.retrans_out >= c.lost_out;
  if (none_left || (c.retransmit_hint != nullptr && before(t.seq, c.retransmit_hint->seq))) c.retransmit_hint = &t;
  if (t.is_lost()) {
    if (!(t.sacked & kRetransmitted)) return;
    t.sacked &= static_cast<uint8_t>(~kRetransmitted);
    c.retrans_out -= t.segs;
    c.tcp.count(Mib::TcpExtTCPLostRetransmit, t.segs);
  } else {
    t.sacked |= kLost;
    c.lost_out += t.segs;
  }
  c.lost += t.segs;
}

void clear_retransmit_hints(Conn& c) {
  c.retransmit_hint = nullptr;
}

void clear_retransmit_state(Conn& c) {
  c.retrans_out = 0;
  c.lost_out = 0;
  c.undo_marker = 0;
  c.undo_retrans = -1;
  c.sacked_out = 0;
  c.rto_stamp = 0;
}

uint32_t current_ssthresh(const Conn& c) {
  if (c.in_cwnd_reduction()) return c.snd_ssthresh;
  return std::max(c.snd_ssthresh, (c.snd_cwnd >> 1) + (c.snd_cwnd >> 2));
}

bool any_retransmission_done(const Conn& c) {
  if (c.retrans_out != 0) return true;
  const TxSegment* head = c.rtx_head();
  return head != nullptr && (head->sacked & kEverRetransmitted);
}

// From here on it is worth knowing whether the retransmissions were needed. 0 means "all came back as duplicates":
// what is in flight now counts, and with nothing in flight -1 keeps the question open.
void init_undo(Conn& c) {
  c.undo_marker = c.snd_una;
  c.undo_retrans = static_cast<int32_t>(c.retrans_out);
  if (c.tlp_high_seq != 0 && c.tlp_retrans) ++c.undo_retrans;
  if (c.undo_retrans == 0) c.undo_retrans = -1;
}

void enter_cwr(Conn& c) {
  c.prior_ssthresh = 0;
  if (c.ca_state >= CaState::kCwr) return;
  c.undo_marker = 0;
  init_cwnd_reduction(c);
  set_ca_state(c, CaState::kCwr);
}

void enter_recovery(Conn& c, bool ece) {
  if (!any_retransmission_done(c)) c.retrans_stamp = 0;
  c.tcp.count(c.is_reno() ? Mib::TcpExtTCPRenoRecovery : Mib::TcpExtTCPSackRecovery);
  c.prior_ssthresh = 0;
  init_undo(c);
  if (!c.in_cwnd_reduction()) {
    if (!ece) c.prior_ssthresh = current_ssthresh(c);
    init_cwnd_reduction(c);
  }
  set_ca_state(c, CaState::kRecovery);
}

namespace {

// All that is old enough is lost. If the head had been sacked, the peer has forgotten: so do we (RFC 2018 §8).
void mark_lost_on_timeout(Conn& c) {
  TxSegment* head = c.rtx_head();
  const bool reneging = head != nullptr && head->is_sacked();
  if (reneging) {
    c.tcp.count(Mib::TcpExtTCPSACKReneging);
    c.sacked_out = 0;
    c.is_sack_reneg = true;
  } else if (c.is_reno()) {
    reset_reno_sack(c);
  }
  for (TxSegment* t = head; t != nullptr; t = c.rtx_queue.next(t)) {
    if (reneging) {
      t->sacked &= static_cast<uint8_t>(~kSacked);
    } else if (!c.is_reno() && t != head && rack_timeout_us(c, *t, 0) > 0) {
      continue;  // sent within the last RTT: may still arrive
    }
    mark_lost(c, *t);
  }
  clear_retransmit_hints(c);
}

}  // namespace

void enter_loss(Conn& c) {
  const bool new_recovery = c.ca_state < CaState::kRecovery;
  mark_lost_on_timeout(c);
  // RFC 5681 §3.1: ssthresh falls once a window.
  if (c.ca_state <= CaState::kDisorder || !after(c.high_seq, c.snd_una) ||
      (c.ca_state == CaState::kLoss && c.retransmits == 0)) {
    c.prior_ssthresh = current_ssthresh(c);
    c.prior_cwnd = c.snd_cwnd;
    c.snd_ssthresh = c.cc_algorithm->ssthresh(c);
    cwnd_event(c, cc::Event::kLoss);
    init_undo(c);
  }
  c.snd_cwnd = c.packets_in_flight() + 1;
  c.snd_cwnd_cnt = 0;
  c.snd_cwnd_stamp = c.jiffies();
  const auto reordering = static_cast<uint32_t>(c.tcp.ns.sysctl.tcp_reordering);
  if (c.ca_state <= CaState::kDisorder && c.sacked_out >= reordering) c.reordering = std::min(c.reordering, reordering);
  set_ca_state(c, CaState::kLoss);
  c.high_seq = c.snd_nxt;
  c.tlp_high_seq = 0;
  ecn_queue_cwr(c);
  c.frto = c.tcp.ns.sysctl.tcp_frto != 0 && (new_recovery || c.retransmits != 0);  // RFC 5682 §3.1 step 1
}

void try_keep_open(Conn& c) {
  const bool troubled = c.left_out() != 0 || any_retransmission_done(c);
  const CaState state = troubled ? CaState::kDisorder : CaState::kOpen;
  if (c.ca_state == state) return;
  set_ca_state(c, state);
  c.high_seq = c.snd_nxt;
}

void try_to_open(Conn& c, uint32_t flag) {
  if (!any_retransmission_done(c)) c.retrans_stamp = 0;
  if (flag & kFlagEce) enter_cwr(c);
  if (c.ca_state != CaState::kCwr) try_keep_open(c);
}

}  // namespace leat::tcp
