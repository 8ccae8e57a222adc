// What an unusual ACK means: the state machine of loss recovery (Linux's tcp_fastretrans_alert). Decides; what is lost
// is sent by the caller after congestion control has had its say.
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

// The peer acknowledged data and yet holds a sacked head: it may have thrown its queue away. Look again soon.
bool check_reneging(Conn& c, uint32_t& flag) {
  if (!(flag & kFlagSackReneging) || !(flag & kFlagSndUnaAdvanced)) return false;
  const Duration delay = std::max(Duration::from_us(c.srtt_us >> 4), Duration::from_ms(10));
  arm_loss_timer(c, LossTimer::kRetransmit, delay);
  flag &= ~static_cast<uint32_t>(kFlagSetXmitTimer);
  return true;
}

// Peers without SACK: the head is lost after `reordering` duplicates, and at each partial ACK (RFC 6582).
void newreno_mark_lost(Conn& c, bool snd_una_advanced) {
  const bool by_dupacks = c.ca_state < CaState::kRecovery && c.sacked_out >= c.reordering;
  const bool by_partial_ack = c.ca_state == CaState::kRecovery && snd_una_advanced;
  if (!by_dupacks && !by_partial_ack) return;
  TxSegment* head = c.rtx_head();
  if (head == nullptr || head->is_lost()) return;
  if (head->segs > 1 && head->length() > head->mss) fragment(c, true, *head, head->mss, head->mss);
  mark_lost(c, *head);
}

void identify_loss(Conn& c, uint32_t& flag) {
  if (c.rtx_queue.is_empty()) return;
  if (c.is_reno()) {
    newreno_mark_lost(c, flag & kFlagSndUnaAdvanced);
    return;
  }
  const uint32_t prior_retrans = c.retrans_out;
  if (rack_mark_lost(c)) flag &= ~static_cast<uint32_t>(kFlagSetXmitTimer);
  if (prior_retrans > c.retrans_out) flag |= kFlagLostRetrans;
}

// A state ends when its high_seq is acknowledged. True: nothing more to decide.
bool leave_state(Conn& c) {
  if (c.ca_state == CaState::kOpen) {
    c.retrans_stamp = 0;
    return false;
  }
  if (before(c.snd_una, c.high_seq)) return false;
  if (c.ca_state == CaState::kCwr) {
    if (c.snd_una != c.high_seq) {  // the CWR bit must have reached the peer
      end_cwnd_reduction(c);
      set_ca_state(c, CaState::kOpen);
    }
  } else if (c.ca_state == CaState::kRecovery) {
    if (c.is_reno()) reset_reno_sack(c);
    if (try_undo_recovery(c)) return true;
    end_cwnd_reduction(c);
  }
  return false;
}

// True: go on to see whether a new recovery must start.
bool in_recovery(Conn& c, Seq prior_snd_una, uint32_t dupacks, uint32_t& flag) {
  if (!(flag & kFlagSndUnaAdvanced)) {
    if (c.is_reno()) add_reno_sack(c, dupacks, flag & kFlagEce);
  } else if (try_undo_partial(c, prior_snd_una)) {
    return false;
  }
  if (try_undo_dsack(c)) try_to_open(c, flag);
  identify_loss(c, flag);
  if (c.ca_state != CaState::kRecovery) {
    if (c.lost_out == 0) return false;
    enter_recovery(c, flag & kFlagEce);
  }
  return true;
}

bool in_loss(Conn& c, uint32_t dupacks, uint32_t& flag, Rexmit& rexmit) {
  process_loss(c, flag, dupacks, rexmit);
  if (c.ca_state != CaState::kLoss) update_rto_time(c);
  identify_loss(c, flag);
  return c.ca_state == CaState::kOpen || (flag & kFlagLostRetrans);
}

bool in_open_or_disorder(Conn& c, uint32_t dupacks, uint32_t& flag) {
  if (c.is_reno()) {
    if (flag & kFlagSndUnaAdvanced) reset_reno_sack(c);
    add_reno_sack(c, dupacks, flag & kFlagEce);
  }
  if (c.ca_state <= CaState::kDisorder) try_undo_dsack(c);
  identify_loss(c, flag);
  if (c.lost_out == 0) {
    try_to_open(c, flag);
    return false;
  }
  if (on_mtu_probe_lost(c)) return false;
  enter_recovery(c, flag & kFlagEce);
  return true;
}

}  // namespace

void decide_recovery(Conn& c, Seq prior_snd_una, uint32_t dupacks, uint32_t& flag, Rexmit& rexmit) {
  if (c.packets_out == 0 && c.sacked_out != 0) c.sacked_out = 0;
  if (flag & kFlagEce) c.prior_ssthresh = 0;  // the reduction is not due to loss: never undo it
  if (check_reneging(c, flag)) return;
  if (leave_state(c)) return;
  bool go_on;
  if (c.ca_state == CaState::kRecovery) {
    go_on = in_recovery(c, prior_snd_una, dupacks, flag);
  } else if (c.ca_state == CaState::kLoss) {
    if (!in_loss(c, dupacks, flag, rexmit)) return;
    go_on = in_open_or_disorder(c, dupacks, flag);
  } else {
    go_on = in_open_or_disorder(c, dupacks, flag);
  }
  if (go_on) rexmit = Rexmit::kWhatIsLost;
}

void update_rto_time(Conn& c) {
  if (c.rto_stamp == 0) return;
  c.total_rto_time += timestamp_now(c) - c.rto_stamp;
  c.rto_stamp = 0;
}

}  // namespace leat::tcp
