// RACK (RFC 8985): a segment is lost when one that was sent later, by more than the reordering window, has been
// delivered. The window is a quarter of the minimum RTT, and grows while D-SACKs show that it was too small.
#include <algorithm>

#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

inline constexpr int kStaticReoWnd = 0x2;  // bits of tcp_recovery
inline constexpr int kNoDupThresh = 0x4;
inline constexpr uint8_t kRecoveryThresh = 16;

uint32_t reo_wnd_us(const Conn& c) {
  if (c.reord_seen == 0) {
    // No reordering known on this path: do not wait once recovery has begun or enough duplicates have come.
    if (c.ca_state >= CaState::kRecovery) return 0;
    const bool use_dupthresh = (c.tcp.ns.sysctl.tcp_recovery & kNoDupThresh) == 0;
    if (c.sacked_out >= c.reordering && use_dupthresh) return 0;
  }
  return std::min((c.rtt_min.get() >> 2) * c.rack.reo_wnd_steps, c.srtt_us >> 3);
}

// Marks what is lost by now; returns for how long the next ones still have a chance (0: none waits).
int64_t detect_loss(Conn& c) {
  int64_t timeout_us = 0;
  const uint32_t reo_wnd = reo_wnd_us(c);
  TxSegment* next = nullptr;
  for (TxSegment* t = c.tsorted_sent.front(); t != nullptr; t = next) {
    next = c.tsorted_sent.next(t);
    if (t->is_lost() && !(t->sacked & kRetransmitted)) continue;  // waits to be sent again
    if (!sent_after(c.rack.mstamp_us, t->sent_us, c.rack.end_seq, t->end_seq)) break;
    const int64_t remaining = rack_timeout_us(c, *t, reo_wnd);
    if (remaining <= 0) {
      mark_lost(c, *t);
      t->by_time.unlink();
    } else {
      timeout_us = std::max(timeout_us, remaining);
    }
  }
  return timeout_us;
}

}  // namespace

int64_t rack_timeout_us(const Conn& c, const TxSegment& t, uint32_t reo_wnd) {
  return static_cast<int64_t>(c.rack.rtt_us) + reo_wnd - static_cast<int64_t>(c.mstamp_us - t.sent_us);
}

bool rack_mark_lost(Conn& c) {
  if (!c.rack.advanced) return false;
  c.rack.advanced = false;
  const int64_t timeout_us = detect_loss(c);
  if (timeout_us == 0) return false;
  const int64_t us = timeout_us + kTimeoutMin.us();
  arm_loss_timer(c, LossTimer::kReorder, Duration::from_ms((us + 999) / 1000));
  return true;
}

void rack_advance(Conn& c, uint8_t sacked, Seq end_seq, uint64_t sent_us) {
  const auto rtt_us = static_cast<uint32_t>(c.mstamp_us - sent_us);
  // Of a segment sent twice, an answer faster than the path allows belongs to the first copy (RFC 8985 §6.2 step 2).
  if (rtt_us < c.rtt_min.get() && (sacked & kRetransBits)) return;
  c.rack.advanced = true;
  c.rack.rtt_us = rtt_us;
  if (sent_after(sent_us, c.rack.mstamp_us, end_seq, c.rack.end_seq)) {
    c.rack.mstamp_us = sent_us;
    c.rack.end_seq = end_seq;
  }
}

void rack_on_reorder_timer(Conn& c) {
  const uint32_t prior_in_flight = c.packets_in_flight();
  const uint32_t prior_lost = c.lost;
  detect_loss(c);
  if (prior_in_flight != c.packets_in_flight()) {
    if (c.ca_state != CaState::kRecovery) {
      enter_recovery(c, false);
      if (c.cc_algorithm->cong_control == nullptr) cwnd_reduction(c, 1, c.lost - prior_lost, 0);
    }
    transmit_lost(c);
  }
  if (c.deadlines.loss_kind != LossTimer::kRetransmit) rearm_rto(c);
}

void rack_update_reo_wnd(Conn& c, const RateSample& rs) {
  RackState& r = c.rack;
  if ((c.tcp.ns.sysctl.tcp_recovery & kStaticReoWnd) != 0 || rs.prior_delivered == 0) return;
  if (before(rs.prior_delivered, r.last_delivered)) r.dsack_seen = false;  // less than a round since the last step
  if (r.dsack_seen) {
    r.reo_wnd_steps = static_cast<uint8_t>(std::min(255, r.reo_wnd_steps + 1));
    r.dsack_seen = false;
    r.last_delivered = c.delivered;
    r.reo_wnd_persist = kRecoveryThresh;
  } else if (r.reo_wnd_persist == 0) {
    r.reo_wnd_steps = 1;
  }
}

}  // namespace leat::tcp
