// Tail loss probe (RFC 8985 §7): when no ACK has come for two RTTs, one segment is sent so that SACK can tell what of
// the tail is missing before the RTO has to.
#include <algorithm>

#include "tcp/recovery/recovery.h"

namespace leat::tcp {

bool schedule_loss_probe(Conn& c, bool advancing_rto) {
  if (c.fastopen_request != nullptr) return false;  // not before the handshake is over
  const auto early = c.tcp.ns.sysctl.tcp_early_retrans.as<int>();
  if ((early != 3 && early != 4) || c.packets_out == 0 || c.is_reno()) return false;
  if (c.ca_state != CaState::kOpen && c.ca_state != CaState::kCwr) return false;
  if (c.state() == State::kSynRecv) return false;  // Fast Open before the handshake's end
  Duration timeout = kTimeoutInit;
  if (c.srtt_us != 0) {
    int64_t us = c.srtt_us >> 2;                                    // 2 · srtt
    us += c.packets_out == 1 ? rto_min(c).us() : kTimeoutMin.us();  // one segment alone may meet a delayed ACK
    timeout = Duration::from_ms((us + 999) / 1000);
  }
  const Duration rto_delta = advancing_rto ? c.rto : rto_remaining(c);
  if (rto_delta > Duration{}) timeout = std::min(timeout, Duration::from_ms((rto_delta.us() + 999) / 1000));
  arm_loss_timer(c, LossTimer::kLossProbe, timeout);
  return true;
}

namespace {

// New data if the window has room, else the last segment again. False: nothing could be sent.
bool probe(Conn& c) {
  const uint32_t mss = current_mss(c);
  TxSegment* fresh = c.send_head();
  if (fresh != nullptr) {
    Seq end = fresh->end_seq;
    if (fresh->length() > mss) end = fresh->seq + mss;
    if (!after(end, c.wnd_end())) {
      const uint32_t prior = c.packets_out;
      write_xmit(c, mss, kNagleOff, 2);
      return c.packets_out > prior;
    }
  }
  TxSegment* tail = c.rtx_queue.last();
  if (tail == nullptr) return false;
  if (tail->segs > 1 && tail->length() > (tail->segs - 1u) * mss) {
    if (!fragment(c, true, *tail, (tail->segs - 1u) * mss, mss)) return false;
    tail = c.rtx_queue.next(tail);
  }
  if (tail == nullptr || retransmit_uncounted(c, *tail, 1) != 0) return false;
  c.tlp_retrans = true;
  return true;
}

}  // namespace

void send_loss_probe(Conn& c) {
  if (c.tlp_high_seq == 0) {  // at most one outstanding
    c.tlp_retrans = false;
    if (probe(c)) {
      c.tlp_high_seq = c.snd_nxt;
      c.tcp.count(Mib::TcpExtTCPLossProbes);
      c.deadlines.loss_kind = LossTimer::kNone;  // the RTO counts from now
    }
  }
  rearm_rto(c);
}

void process_tlp_ack(Conn& c, Seq ack, uint32_t flag) {
  if (before(ack, c.tlp_high_seq)) return;
  if (!c.tlp_retrans || (flag & kFlagDsackTlp)) {
    c.tlp_high_seq = 0;  // new data arrived, or both copies did: nothing was lost
  } else if (after(ack, c.tlp_high_seq)) {
    // The probe repaired a loss that nothing else has seen: the window must fall for it (RFC 8985 §7.4.2).
    init_cwnd_reduction(c);
    set_ca_state(c, CaState::kCwr);
    end_cwnd_reduction(c);
    try_keep_open(c);
    c.tcp.count(Mib::TcpExtTCPLossProbeRecovery);
  } else if (!(flag & (kFlagSndUnaAdvanced | kFlagNotDup | kFlagDataSacked))) {
    c.tlp_high_seq = 0;  // a pure duplicate: the original and the probe have both arrived
  }
}

}  // namespace leat::tcp
