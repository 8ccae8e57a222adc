// Sending again: one segment, and all that is marked lost as far as the congestion window allows.
#include <algorithm>

#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

// Part of the segment may have been acknowledged since.
bool drop_acked_head(Conn& c, TxSegment& t) {
  if (!before(t.seq, c.snd_una)) return true;
  if (t.flags & wire::kTcpSyn) {
    t.flags &= static_cast<uint8_t>(~wire::kTcpSyn);
    ++t.seq;
    if (!before(t.seq, c.snd_una)) return true;
  }
  if (before(t.end_seq, c.snd_una)) return false;
  trim_head(c, t, c.snd_una - t.seq);
  return true;
}

bool shape(Conn& c, TxSegment& t, uint32_t segs, uint32_t mss, int64_t avail_wnd) {
  int64_t length = static_cast<int64_t>(mss) * segs;
  if (length > avail_wnd) {
    length = avail_wnd / mss * mss;
    if (length == 0) length = avail_wnd;
  }
  if (t.length() > length) return fragment(c, true, t, static_cast<uint32_t>(length), mss);
  const int32_t prior = t.segs;
  set_segs(t, mss);
  if (prior != t.segs) adjust_segs(c, t, prior - t.segs);
  const auto space = static_cast<uint32_t>(std::min<int64_t>(avail_wnd, mss));
  if (t.length() < space) try_collapse(c, t, space);
  return true;
}

}  // namespace

int retransmit_uncounted(Conn& c, TxSegment& t, uint32_t segs) {
  c.mtu_search.probe_size = 0;  // if there was a probe in flight, its fate will prove nothing
  if (!drop_acked_head(c, t)) return EINVAL;
  if (!refresh_route(c)) return EHOSTUNREACH;
  const uint32_t mss = current_mss(c);
  int64_t avail_wnd = static_cast<int32_t>(c.wnd_end() - t.seq);
  if (avail_wnd <= 0) {
    // The peer has taken its window back. One segment of the head serves as a probe (RFC 9293 §3.8.6.1).
    if (t.seq != c.snd_una) return EAGAIN;
    avail_wnd = mss;
  }
  if (!shape(c, t, segs, mss, avail_wnd)) return ENOMEM;
  constexpr uint8_t kSynEcn = wire::kTcpSyn | wire::kTcpEce | wire::kTcpCwr;
  if ((t.flags & kSynEcn) == kSynEcn && c.tcp.ns.sysctl.tcp_ecn_fallback != 0) {  // RFC 3168 §6.1.1.1
    t.flags &= static_cast<uint8_t>(~(wire::kTcpEce | wire::kTcpCwr));
  }
  const uint32_t count = t.segs;
  c.tcp.count(Mib::TcpRetransSegs, count);
  if (t.flags & wire::kTcpSyn) c.tcp.count(Mib::TcpExtTCPSynRetrans);
  c.total_retrans += count;
  c.bytes_retrans += t.length();
  const int error = transmit_segment(c, t, true);
  t.sacked |= kEverRetransmitted;  // even if it failed: an RTT sample from it would lie
  if (error != 0) c.tcp.count(Mib::TcpExtTCPRetransFail, count);
  return error;
}

int retransmit(Conn& c, TxSegment& t, uint32_t segs) {
  const int error = retransmit_uncounted(c, t, segs);
  if (error == 0) {
    t.sacked |= kRetransBits;
    c.retrans_out += t.segs;
  }
  if (c.retrans_stamp == 0) c.retrans_stamp = timestamp_of(c, t);
  if (c.undo_retrans < 0) c.undo_retrans = 0;
  c.undo_retrans += t.segs;
  return error;
}

void transmit_lost(Conn& c) {
  if (c.packets_out == 0) return;
  TxSegment* head = c.rtx_head();
  TxSegment* hole = nullptr;
  bool rearm = false;
  const uint32_t max_segs = max_burst_segs(c, current_mss(c));
  for (TxSegment* t = c.retransmit_hint != nullptr ? c.retransmit_hint : head; t != nullptr; t = c.rtx_queue.next(t)) {
    if (must_wait_for_pacing(c)) break;
    if (hole == nullptr) c.retransmit_hint = t;
    const auto room = static_cast<int32_t>(c.snd_cwnd - c.packets_in_flight());
    if (room <= 0 || c.retrans_out >= c.lost_out) break;
    if (!t->is_lost()) {
      if (hole == nullptr && !(t->sacked & (kRetransmitted | kSacked))) hole = t;
      continue;
    }
    if (t->sacked & (kSacked | kRetransmitted)) continue;
    const Mib counter = c.ca_state != CaState::kLoss ? Mib::TcpExtTCPFastRetrans : Mib::TcpExtTCPSlowStartRetrans;
    if (retransmit(c, *t, std::min(static_cast<uint32_t>(room), max_segs)) != 0) break;
    c.tcp.count(counter, t->segs);
    if (c.in_cwnd_reduction()) c.prr_out += t->segs;
    if (t == c.rtx_head() && c.deadlines.loss_kind != LossTimer::kReorder) rearm = true;
  }
  if (rearm) arm_loss_timer(c, LossTimer::kRetransmit, c.rto);
}

}  // namespace leat::tcp
