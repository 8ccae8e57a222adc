// Loss recovery, one file a mechanism: ca_state (states and the scoreboard's counters), alert (what an ACK means),
// rack, tlp, prr, frto, undo, reordering, retransmit. Shared here because they take turns on the same few counters:
//
//   packets_out = sent and not cumulatively acknowledged     sacked_out + lost_out = left the network
//   in flight   = packets_out - (sacked_out + lost_out) + retrans_out
//
//   tag of a segment   in flight   meaning
//   0                  1           the original is on its way
//   S                  0           the original has arrived
//   L                  0           the original is lost
//   L|R                1           lost, and sent again
//   S|R                1           arrived, and yet sent again
#pragma once

#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/timers.h"

namespace leat::tcp {

enum class Rexmit : uint8_t { kNothing, kWhatIsLost, kFreshData };

// What tagging by SACK has seen (Linux's tcp_sacktag_state).
struct SackTag {
  uint64_t first_sackt_us = 0;  // send time of the earliest and the latest segment newly sacked
  uint64_t last_sackt_us = 0;
  Seq reord = 0;  // lowest newly sacked, never retransmitted, below the highest sacked
  uint32_t sack_delivered = 0;
  uint32_t flag = 0;
  RateSample* rate = nullptr;
};

inline bool sent_after(uint64_t t1, uint64_t t2, Seq seq1, Seq seq2) {
  return t1 > t2 || (t1 == t2 && after(seq1, seq2));
}
// Our timestamp clock, in ms, with the connection's offset.
inline uint32_t timestamp_now(const Conn& c) {
  return static_cast<uint32_t>(c.mstamp_us / 1000) + c.tsoffset;
}
inline uint32_t timestamp_of(const Conn& c, const TxSegment& t) {
  return static_cast<uint32_t>(t.sent_us / 1000) + c.tsoffset;
}
void refresh_time(Conn& c);  // mstamp_us from the turn's clock

// rtt.cpp
int64_t tsopt_rtt_us(const Conn& c, int64_t min_delta_ms);
bool ack_update_rtt(Conn& c, uint32_t flag, int64_t seq_rtt_us, int64_t sack_rtt_us, int64_t ca_rtt_us, RateSample& rs);

// sack.cpp
uint32_t tag_sacks(Conn& c, const Segment& seg, Seq prior_snd_una, SackTag& tag);
Seq highest_sack_seq(const Conn& c);
void add_reno_sack(Conn& c, uint32_t dupacks, bool ece);
void remove_reno_sacks(Conn& c, uint32_t acked, bool ece);
void reset_reno_sack(Conn& c);
void count_delivered(Conn& c, uint32_t segs, bool ece);

// rtx_queue.cpp
uint32_t clean_rtx_queue(Conn& c, Seq prior_fack, Seq prior_snd_una, SackTag& tag, bool ece);
void unlink_rtx(Conn& c, TxSegment& t);  // and frees it
void trim_head(Conn& c, TxSegment& t, uint32_t bytes);
void adjust_segs(Conn& c, const TxSegment& t, int32_t decrease);  // tcp_adjust_pcount
bool try_collapse(Conn& c, TxSegment& t, uint32_t space);         // tcp_retrans_try_collapse

// ca_state.cpp
void set_ca_state(Conn& c, CaState fresh);
void mark_lost(Conn& c, TxSegment& t);
void clear_retransmit_hints(Conn& c);
void clear_retransmit_state(Conn& c);  // tcp_clear_retrans
uint32_t current_ssthresh(const Conn& c);
void init_undo(Conn& c);
void enter_cwr(Conn& c);
void enter_recovery(Conn& c, bool ece);
void enter_loss(Conn& c);  // an RTO has fired
void try_keep_open(Conn& c);
void try_to_open(Conn& c, uint32_t flag);
bool any_retransmission_done(const Conn& c);
void ecn_queue_cwr(Conn& c);
void ecn_withdraw_cwr(Conn& c);
void cwnd_event(Conn& c, cc::Event e);

// alert.cpp
void decide_recovery(Conn& c, Seq prior_snd_una, uint32_t dupacks, uint32_t& flag, Rexmit& rexmit);
void update_rto_time(Conn& c);  // time-outs have ended: how long they took

// rack.cpp
void rack_advance(Conn& c, uint8_t sacked, Seq end_seq, uint64_t sent_us);
bool rack_mark_lost(Conn& c);  // true: a reordering timer was armed
void rack_on_reorder_timer(Conn& c);
void rack_update_reo_wnd(Conn& c, const RateSample& rs);
int64_t rack_timeout_us(const Conn& c, const TxSegment& t, uint32_t reo_wnd_us);

// tlp.cpp
bool schedule_loss_probe(Conn& c, bool advancing_rto);
void send_loss_probe(Conn& c);
void process_tlp_ack(Conn& c, Seq ack, uint32_t flag);

// prr.cpp
void init_cwnd_reduction(Conn& c);
void cwnd_reduction(Conn& c, int newly_acked_sacked, uint32_t newly_lost, uint32_t flag);
void end_cwnd_reduction(Conn& c);

// frto.cpp
void process_loss(Conn& c, uint32_t flag, uint32_t dupacks, Rexmit& rexmit);

// undo.cpp
bool may_undo(const Conn& c);
bool packet_delayed(const Conn& c);
bool is_tsecr_before(const Conn& c, uint32_t when);
void undo_cwnd_reduction(Conn& c, bool unmark_loss);
bool try_undo_recovery(Conn& c);
bool try_undo_dsack(Conn& c);
bool try_undo_loss(Conn& c, bool frto_undo);
bool try_undo_partial(Conn& c, Seq prior_snd_una);

// reordering.cpp
void check_sack_reordering(Conn& c, Seq low_seq, bool by_timestamp);
void check_reno_reordering(Conn& c, uint32_t addend);

// retransmit.cpp
int retransmit(Conn& c, TxSegment& t, uint32_t segs);            // 0, or an errno: tcp_retransmit_skb
int retransmit_uncounted(Conn& c, TxSegment& t, uint32_t segs);  // __tcp_retransmit_skb
void transmit_lost(Conn& c);                                     // tcp_xmit_retransmit_queue

// timers.cpp
void rearm_rto(Conn& c);
void set_loss_timer(Conn& c);           // tcp_set_xmit_timer
Duration rto_remaining(const Conn& c);  // until the head's RTO

void count_rto(Conn& c);  // tcp_update_rto_stats

// mtu.cpp
void retransmit_without_congestion(Conn& c);  // tcp_non_congestion_loss_retransmit: what is marked lost

// ack.cpp
void update_pacing_rate(Conn& c);

}  // namespace leat::tcp
