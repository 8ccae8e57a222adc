// Fifth step of RFC 9293 §3.10.7.4: the ACK field.
//   acceptable? → send window → tag sacked → clean the retransmit queue → RTT → tail-loss probe → decide recovery
//   → delivery rate → congestion control → transmit what is lost
#include <algorithm>

#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

bool may_update_window(const Conn& c, Seq ack, Seq seq, uint32_t nwin) {
  return after(ack, c.snd_una) || after(seq, c.snd_wl1) || (seq == c.snd_wl1 && (nwin > c.snd_wnd || nwin == 0));
}

void advance_snd_una(Conn& c, Seq ack) {
  c.bytes_acked += ack - c.snd_una;
  c.snd_una = ack;
  if (c.stamping != nullptr) stamp_acked(c);
}

// RFC 9293 §3.10.7.4, "the send window should be updated". True: it was.
uint32_t update_window(Conn& c, const Segment& seg) {
  uint32_t flag = 0;
  uint32_t nwin = seg.header.window;
  if (!seg.header.syn()) nwin <<= c.rx_opt.snd_wscale;
  if (may_update_window(c, seg.ack, seg.seq, nwin)) {
    flag |= kFlagWinUpdate;
    c.snd_wl1 = seg.seq;
    if (c.snd_wnd != nwin) {
      c.snd_wnd = nwin;
      c.may_predict = false;
      check_prediction(c);
      if (c.has_unsent()) slow_start_after_idle(c);
      if (nwin > c.max_window) {
        c.max_window = nwin;
        sync_mss(c, c.pmtu_cookie);
      }
    }
  }
  advance_snd_una(c, seg.ack);
  return flag;
}

}  // namespace

void replace_ts_recent(Conn& c, Seq seq) {
  auto& o = c.rx_opt;
  if (!o.saw_tstamp || after(seq, c.rcv_wup)) return;  // RFC 7323 §4.3: from the segment that was acknowledged last
  if (paws_discard(o, static_cast<uint32_t>(c.mstamp_us / 1000000)) ||
      static_cast<int32_t>(o.ts_recent - o.rcv_tsval) > 0) {
    return;
  }
  o.ts_recent = o.rcv_tsval;
  o.ts_recent_stamp = static_cast<uint32_t>(c.mstamp_us / 1000000);
}

namespace {

bool is_dubious(const Conn& c, uint32_t flag) {
  return !(flag & kFlagNotDup) || (flag & kFlagCaAlert) || c.ca_state != CaState::kOpen;
}

bool may_raise_cwnd(const Conn& c, uint32_t flag) {
  // With much reordering, SACKs clock the window; else only data that are done with.
  const auto base = static_cast<uint32_t>(c.tcp.ns.sysctl.tcp_reordering);
  return flag & (c.reordering > base ? kFlagForwardProgress : kFlagDataAcked);
}

void control_congestion(Conn& c, Seq ack, uint32_t acked_sacked, uint32_t flag, const RateSample& rs) {
  if (c.cc_algorithm->cong_control != nullptr) {
    c.cc_algorithm->cong_control(c, ack, rs);
    return;
  }
  if (c.in_cwnd_reduction()) {
    cwnd_reduction(c, static_cast<int>(acked_sacked), rs.losses, flag);
  } else if (may_raise_cwnd(c, flag)) {
    c.cc_algorithm->cong_avoid(c, ack, acked_sacked);
    c.snd_cwnd_stamp = c.jiffies();
  }
  update_pacing_rate(c);
}

void transmit_recovery(Conn& c, Rexmit rexmit) {
  if (rexmit == Rexmit::kNothing || c.state() == State::kSynSent) return;
  if (rexmit == Rexmit::kFreshData) {
    push_pending(c, current_mss(c), kNagleOff);
    if (after(c.snd_nxt, c.high_seq)) return;
    c.frto = false;
  }
  transmit_lost(c);
}

// The window that a zero-window probe waited for may have opened.
void on_probe_answer(Conn& c) {
  TxSegment* head = c.send_head();
  if (head == nullptr) return;
  if (!after(head->end_seq, c.wnd_end())) {
    c.backoff = 0;
    c.probes_since = 0;
    if (c.deadlines.loss_kind == LossTimer::kPersist) disarm_loss_timer(c);
    return;
  }
  arm_persist(c);
}

uint32_t newly_delivered(Conn& c, uint32_t prior, uint32_t flag) {
  const uint32_t n = c.delivered - prior;
  c.tcp.count(Mib::TcpExtTCPDelivered, n);
  if (flag & kFlagEce) c.tcp.count(Mib::TcpExtTCPDeliveredCE, n);
  return n;
}

struct AckContext {
  Seq prior_snd_una;
  Seq prior_fack;
  uint32_t prior_delivered;
  uint32_t prior_lost;
  uint32_t prior_packets;
  bool was_reneging;
  uint32_t flag;
  RateSample rs;
  SackTag tag;
};

AckResult on_old_ack(Conn& c, Segment& seg, AckContext& k) {
  if (seg.options().sack_count != 0) {
    Rexmit rexmit = Rexmit::kNothing;
    k.flag |= tag_sacks(c, seg, k.prior_snd_una, k.tag);
    decide_recovery(c, k.prior_snd_una, 0, k.flag, rexmit);
    newly_delivered(c, k.prior_delivered, k.flag);
    transmit_recovery(c, rexmit);
  }
  return AckResult::kOld;
}

// Nothing was in flight: only probes, D-SACKs and the tail-loss probe can care.
void on_ack_of_nothing(Conn& c, Segment& seg, AckContext& k) {
  if (k.flag & kFlagDsackingAck) {
    Rexmit rexmit = Rexmit::kNothing;
    decide_recovery(c, k.prior_snd_una, 0, k.flag, rexmit);
    newly_delivered(c, k.prior_delivered, k.flag);
  }
  on_probe_answer(c);
  if (c.tlp_high_seq != 0) process_tlp_ack(c, seg.ack, k.flag);
}

void read_window_and_sacks(Conn& c, Segment& seg, AckContext& k) {
  if ((k.flag & (kFlagSlowPath | kFlagSndUnaAdvanced)) == kFlagSndUnaAdvanced) {
    c.snd_wl1 = seg.seq;  // predicted: the window is as it was
    advance_snd_una(c, seg.ack);
    k.flag |= kFlagWinUpdate;
    c.tcp.count(Mib::TcpExtTCPHPAcks);
  } else {
    if (seg.seq != seg.end_seq) {
      k.flag |= kFlagData;
    } else {
      c.tcp.count(Mib::TcpExtTCPPureAcks);
    }
    const bool ece = (seg.header.flags & wire::kTcpEce) && !seg.header.syn() && (c.ecn_flags & kEcnOk);
    k.flag |= update_window(c, seg);
    if (seg.options().sack_count != 0 && c.rx_opt.sack_ok) k.flag |= tag_sacks(c, seg, k.prior_snd_una, k.tag);
    if (ece) k.flag |= kFlagEce;
    if (k.tag.sack_delivered != 0) count_delivered(c, k.tag.sack_delivered, ece);
  }
  if (c.cc_algorithm->in_ack_event != nullptr) c.cc_algorithm->in_ack_event(c, k.flag & kFlagEce);
}

uint32_t duplicate_acks(const Segment& seg, uint32_t flag) {
  if (flag & (kFlagSndUnaAdvanced | kFlagNotDup | kFlagDsackingAck)) return 0;
  if (flag & kFlagData) return 1;
  const uint16_t merged = seg.packet != nullptr ? seg.packet->gso_segs : uint16_t{1};
  return std::max<uint16_t>(1, merged);
}

void on_acked(Conn& c, Segment& seg, AckContext& k) {
  Rexmit rexmit = Rexmit::kNothing;
  k.flag |= clean_rtx_queue(c, k.prior_fack, k.prior_snd_una, k.tag, k.flag & kFlagEce);
  rack_update_reo_wnd(c, k.rs);
  if (c.tlp_high_seq != 0) process_tlp_ack(c, seg.ack, k.flag);
  if (is_dubious(c, k.flag)) decide_recovery(c, k.prior_snd_una, duplicate_acks(seg, k.flag), k.flag, rexmit);
  if (k.flag & kFlagSetXmitTimer) set_loss_timer(c);
  const uint32_t delivered = newly_delivered(c, k.prior_delivered, k.flag);
  k.rs.is_ack_delayed = k.flag & kFlagAckMaybeDelayed;
  k.rs.is_ece = k.flag & kFlagEce;
  rate_gen(c, delivered, c.lost - k.prior_lost, k.was_reneging, k.rs);
  control_congestion(c, seg.ack, delivered, k.flag, k.rs);
  transmit_recovery(c, rexmit);
}

}  // namespace

AckResult process_ack(Conn& c, Segment& seg, uint32_t flag) {
  AckContext k{c.snd_una, 0, c.delivered, c.lost, c.packets_out, c.is_sack_reneg, flag, {}, {}};
  k.tag.rate = &k.rs;
  if (before(seg.ack, k.prior_snd_una)) {
    // RFC 5961 §5.2: an ACK far in the past was not sent to what we said.
    const auto window = static_cast<uint32_t>(std::min<uint64_t>(c.max_window, c.bytes_acked));
    if (!before(seg.ack, k.prior_snd_una - window)) return on_old_ack(c, seg, k);
    if (!(flag & kFlagNoChallengeAck)) send_challenge_ack(c);
    return AckResult::kChallenged;
  }
  if (after(seg.ack, c.snd_nxt)) {  // RFC 9293 §3.10.7.4: what was never sent is answered with what is known
    if (!(flag & kFlagNoChallengeAck)) send_challenge_ack(c);
    return AckResult::kInvalid;
  }
  if (after(seg.ack, k.prior_snd_una)) {
    k.flag |= kFlagSndUnaAdvanced;
    c.retransmits = 0;
  }
  k.prior_fack = c.is_reno() ? c.snd_una : highest_sack_seq(c);
  k.rs.prior_in_flight = c.packets_in_flight();
  if (flag & kFlagUpdateTsRecent) replace_ts_recent(c, seg.seq);
  read_window_and_sacks(c, seg, k);
  ecn_accept_cwr(c, seg);
  c.sk.soft_error = 0;
  c.probes_out = 0;
  c.rcv_tstamp = c.jiffies();
  if (k.prior_packets == 0) {
    on_ack_of_nothing(c, seg, k);
  } else {
    on_acked(c, seg, k);
  }
  return AckResult::kAcceptable;
}

// Linux's tcp_update_pacing_rate: a cwnd per srtt, faster while the window grows.
void update_pacing_rate(Conn& c) {
  auto& sys = c.tcp.ns.sysctl;
  uint64_t rate = static_cast<uint64_t>(c.mss_cache) * ((1000000 / 100) << 3);
  rate *= static_cast<uint64_t>(c.snd_cwnd < c.snd_ssthresh / 2 ? sys.tcp_pacing_ss_ratio : sys.tcp_pacing_ca_ratio);
  rate *= std::max(c.snd_cwnd, c.packets_out);
  if (c.srtt_us != 0) rate /= c.srtt_us;
  c.pacing_rate = std::min(rate, c.max_pacing_rate);
}

}  // namespace leat::tcp
