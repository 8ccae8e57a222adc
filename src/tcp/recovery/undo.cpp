// Undo: a reduction of the window for a loss that turns out not to have been one is taken back. Known by D-SACKs for
// all retransmissions, by timestamps older than the first of them (Eifel, RFC 3522), or by F-RTO.
#include <algorithm>

#include "tcp/recovery/recovery.h"

namespace leat::tcp {

bool is_tsecr_before(const Conn& c, uint32_t when) {
  return c.rx_opt.saw_tstamp && c.rx_opt.rcv_tsecr != 0 && before(c.rx_opt.rcv_tsecr, when);
}

bool packet_delayed(const Conn& c) {
  if (c.retrans_stamp != 0) return is_tsecr_before(c, c.retrans_stamp);
  // Nothing was sent again, so what was acknowledged had only been late. Two cases clear the stamp and yet had sent:
  if (c.is_reno() && !before(c.snd_una, c.high_seq)) return false;
  return c.state() != State::kSynSent;
}

bool may_undo(const Conn& c) {
  return c.undo_marker != 0 && (c.undo_retrans == 0 || packet_delayed(c));
}

void undo_cwnd_reduction(Conn& c, bool unmark_loss) {
  if (unmark_loss) {
    for (TxSegment* t = c.rtx_head(); t != nullptr; t = c.rtx_queue.next(t))
      t->sacked &= static_cast<uint8_t>(~kLost);
    c.lost_out = 0;
    clear_retransmit_hints(c);
  }
  if (c.prior_ssthresh != 0) {
    c.snd_cwnd = c.cc_algorithm->undo_cwnd(c);
    if (c.prior_ssthresh > c.snd_ssthresh) {
      c.snd_ssthresh = c.prior_ssthresh;
      ecn_withdraw_cwr(c);
    }
  }
  c.snd_cwnd_stamp = c.jiffies();
  c.undo_marker = 0;
  c.rack.advanced = true;  // look at all segments once more
}

namespace {

// Without SACK the state is held until something above high_seq is acknowledged, lest old duplicates start another
// fast retransmit (RFC 6582 §3.2).
bool is_non_sack_preventing_reopen(Conn& c) {
  if (c.snd_una != c.high_seq || !c.is_reno()) return false;
  if (!any_retransmission_done(c)) c.retrans_stamp = 0;
  return true;
}

}  // namespace

bool try_undo_recovery(Conn& c) {
  if (may_undo(c)) {
    undo_cwnd_reduction(c, false);
    c.tcp.count(c.ca_state == CaState::kLoss ? Mib::TcpExtTCPLossUndo : Mib::TcpExtTCPFullUndo);
  } else if (c.rack.reo_wnd_persist != 0) {
    --c.rack.reo_wnd_persist;
  }
  if (is_non_sack_preventing_reopen(c)) return true;
  set_ca_state(c, CaState::kOpen);
  c.is_sack_reneg = false;
  return false;
}

bool try_undo_dsack(Conn& c) {
  if (c.undo_marker == 0 || c.undo_retrans != 0) return false;
  c.rack.reo_wnd_persist = static_cast<uint8_t>(std::min(16, c.rack.reo_wnd_persist + 1));
  undo_cwnd_reduction(c, false);
  c.tcp.count(Mib::TcpExtTCPDSACKUndo);
  return true;
}

bool try_undo_loss(Conn& c, bool frto_undo) {
  if (!frto_undo && !may_undo(c)) return false;
  undo_cwnd_reduction(c, true);
  c.tcp.count(Mib::TcpExtTCPLossUndo);
  if (frto_undo) c.tcp.count(Mib::TcpExtTCPSpuriousRTOs);
  c.retransmits = 0;
  if (is_non_sack_preventing_reopen(c)) return true;
  if (frto_undo || !c.is_reno()) {
    set_ca_state(c, CaState::kOpen);
    c.is_sack_reneg = false;
  }
  return true;
}

// True: the partial ACK was for a late original; wait for what is in flight instead of sending more again.
bool try_undo_partial(Conn& c, Seq prior_snd_una) {
  if (c.undo_marker == 0 || !packet_delayed(c)) return false;
  check_sack_reordering(c, prior_snd_una, true);
  if (c.retrans_out != 0) return true;
  if (!any_retransmission_done(c)) c.retrans_stamp = 0;
  undo_cwnd_reduction(c, true);
  c.tcp.count(Mib::TcpExtTCPPartialUndo);
  try_keep_open(c);
  return false;
}

}  // namespace leat::tcp
