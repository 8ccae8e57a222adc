// A segment arrives (RFC 9293 §3.10.7.4): demux.cpp finds whose it is, input.cpp walks the RFC's list, the other rooms
// do one step each.
#pragma once

#include "tcp/tcp.h"
#include "tcp/verdict.h"

namespace leat::tcp {

// demux.cpp: with the socket's lock held; runs the segment through the state machine and flushes the effects.
void deliver_segment(TcpSock& s, Segment& seg);
// Backlog processing: the packet carries its parsed segment in its control bytes.
void drain_backlog(inet::Sock& s, Packet* packet);

// input.cpp
Verdict on_segment(Conn& c, Segment& seg);      // any state but LISTEN, SYN_SENT
Verdict check_sequence(Conn& c, Segment& seg);  // first: PAWS, window
Verdict check_reset(Conn& c, Segment& seg);     // second
Verdict check_syn(Conn& c, Segment& seg);       // fourth
void store_ts_recent(Conn& c, Seq rcv_nxt_source);
void parse_established_options(Conn& c, const Segment& seg);  // timestamps of seg → rx_opt
void send_challenge_ack(Conn& c);                             // RFC 5961, rate-limited
bool is_oow_rate_limited(Netns& ns, const Segment& seg, Mib counter, uint32_t& last_oow_ack_time);
bool paws_discard(const ReceivedOptions& o, uint32_t now_s);  // true: the timestamp is from the past

// ack.cpp: fifth. Flags of one ACK, Linux's FLAG_*.
enum AckFlag : uint32_t {
  kFlagData = 0x01,
  kFlagWinUpdate = 0x02,
  kFlagDataAcked = 0x04,
  kFlagRetransDataAcked = 0x08,
  kFlagSynAcked = 0x10,
  kFlagDataSacked = 0x20,
  kFlagEce = 0x40,
  kFlagLostRetrans = 0x80,
  kFlagSlowPath = 0x100,
  kFlagOrigSackAcked = 0x200,
  kFlagSndUnaAdvanced = 0x400,
  kFlagDsackingAck = 0x800,
  kFlagSetXmitTimer = 0x1000,
  kFlagSackReneging = 0x2000,
  kFlagUpdateTsRecent = 0x4000,
  kFlagNoChallengeAck = 0x8000,
  kFlagAckMaybeDelayed = 0x10000,
  kFlagDsackTlp = 0x20000,
  kFlagAcked = kFlagDataAcked | kFlagSynAcked,
  kFlagNotDup = kFlagData | kFlagWinUpdate | kFlagAcked,
  kFlagCaAlert = kFlagDataSacked | kFlagEce | kFlagDsackingAck,
  kFlagForwardProgress = kFlagAcked | kFlagDataSacked,
};
enum class AckResult : uint8_t { kAcceptable, kOld, kInvalid, kChallenged };
AckResult process_ack(Conn& c, Segment& seg, uint32_t flag);  // tcp_ack
void measure_rcv_mss(Conn& c, const Segment& seg);            // tcp_measure_rcv_mss
void check_prediction(Conn& c);  // switches header prediction on when nothing speaks against it (tcp_fast_path_check)
void replace_ts_recent(Conn& c, Seq seq);  // of a segment that passed PAWS

// receive.cpp, reassembly.cpp, ack_policy.cpp: sixth to eighth
void process_urgent(Conn& c, Segment& seg);
void process_data(Conn& c, Segment& seg);                   // tcp_data_queue: takes seg.packet when there is data
void queue_in_order(Conn& c, Segment& seg);                 // of what is next, and has room in reserved memory
void send_dup_ack_with_dsack(Conn& c, const Segment& seg);  // tcp_send_dupack
void schedule_ack(Conn& c);                                 // inet_csk_schedule_ack
void check_ack(Conn& c);                                    // __tcp_ack_snd_check: now, delayed or compressed
void send_delayed_ack(Conn& c);
void flush_compressed_acks(Conn& c);  // tcp_sack_compress_send_ack
bool in_pingpong(const Conn& c);
void update_rcv_rtt(Conn& c, uint32_t sample_us, bool is_upper_bound);  // the receiver's own RTT
void enter_quickack_mode(Conn& c, uint32_t max_quickacks);
void incr_quickack(Conn& c, uint32_t max_quickacks);
void on_ack_sent(Conn& c, Seq rcv_nxt);                 // tcp_event_ack_sent
void on_data_received(Conn& c, const Segment& seg);     // tcp_event_data_recv
void cleanup_receive_buffer(Conn& c, uint32_t copied);  // tcp_cleanup_rbuf: window update after a read
void ecn_accept_cwr(Conn& c, const Segment& seg);
void ecn_check_ce(Conn& c, uint8_t dsfield);

// rtt.cpp
void rtt_estimator(Conn& c, int64_t mrtt_us);
void set_rto(Conn& c);
void update_rtt_min(Conn& c, uint32_t rtt_us, bool is_delayed);
void synack_rtt_meas(Conn& c, uint64_t sent_us);  // of a passive open; 0: unknown

// rate.cpp
void rate_segment_sent(Conn& c, TxSegment& t);
void rate_segment_delivered(Conn& c, TxSegment& t, RateSample& rs);
void rate_gen(Conn& c, uint32_t delivered, uint32_t lost, bool is_sack_reneg, RateSample& rs);
void rate_check_app_limited(Conn& c);

}  // namespace leat::tcp
