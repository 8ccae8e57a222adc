// The nouns of TCP: TcpSock (what stays of a connection when it idles), Conn (its whole state), Listener, Request,
// TimeWait. Names are the RFCs', else Linux's.
//
// The send sequence space (RFC 9293 §3.3.1):
//            snd_una          snd_nxt      snd_una+snd_wnd        write_seq
//   ─────────┼────────────────┼────────────┼──────────────────────┼─────
//    acked   │ retransmit queue │ usable window │  write queue (not sent) …
//
// The receive sequence space:
//            copied_seq        rcv_nxt                 rcv_wup+rcv_wnd
//   ─────────┼────────────────┼───────────────────────┼─────
//    read by │ receive queue   │ out-of-order queue    │ beyond the window
//    the user
//
// Conn is named like Linux's tcp_sock. All of it is protected by the socket's lock.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/timer_wheel.h"
#include "base/tree.h"
#include "inet/sock.h"
#include "ip/ip.h"
#include "tcp/cc/congestion.h"
#include "tcp/effects.h"
#include "tcp/segment.h"
#include "tcp/state.h"
#include "tcp/timestamping.h"

namespace leat::tcp {

class Tcp;
struct Conn;
struct Dormant;
struct Listener;
struct Request;
struct FastOpenQueue;

// A connection's or listener's socket: found by tables, held by files. `conn` is its state.
struct alignas(32) TcpSock : inet::Sock {
  Tcp* tcp = nullptr;
  Conn* conn = nullptr;  // the state, unless it is written down in `dormant`: see wake()
  union {
    Dormant* dormant = nullptr;  // kConnection
    Listener* listener;          // kListener
  };
  Timer timer;  // one wheel timer for all deadlines of the connection
};
// With room for IPv6 addresses.
struct TcpSock6 : TcpSock {
  alignas(8) uint8_t v6_bytes[32] = {};
};

static_assert(sizeof(TcpSock) == 160 && sizeof(TcpSock6) == 192);

struct SegmentBySeq {
  bool operator()(const TxSegment& a, const TxSegment& b) const { return before(a.seq, b.seq); }
  bool operator()(const RxSegment& a, const RxSegment& b) const { return before(a.seq, b.seq); }
};
using RtxTree = Tree<TxSegment, &TxSegment::node, SegmentBySeq>;
using OfoTree = Tree<RxSegment, &RxSegment::node, SegmentBySeq>;
using TimeSortedList = List<TxSegment, &TxSegment::by_time>;

// Deadlines of a connection. The loss timers exclude each other: one slot with a kind, as in Linux.
enum class LossTimer : uint8_t { kNone, kRetransmit, kLossProbe, kReorder, kPersist };

struct Deadlines {
  LossTimer loss_kind = LossTimer::kNone;
  Time loss = Time::never();       // icsk_retransmit_timer
  Time delack = Time::never();     // icsk_delack_timer
  Time keepalive = Time::never();  // sk_timer: keepalive, FIN_WAIT2, orphan
  Time pacing = Time::never();
  Time sleep = Time::never();  // when to look whether the connection idles
  Time compressed_ack = Time::never();
  bool is_loss_newer = false;  // than delack: was armed later
};

struct RackState {
  uint64_t mstamp_us = 0;  // xmit time of the most recently delivered segment
  uint32_t rtt_us = 0;
  Seq end_seq = 0;
  uint32_t last_delivered = 0;
  uint8_t reo_wnd_steps = 1;
  uint8_t reo_wnd_persist = 0;  // recoveries that keep the widened window
  bool dsack_seen = false;
  bool advanced = false;
};

struct ReceivedOptions {         // what the peer's options have told (tcp_options_received)
  uint32_t ts_recent_stamp = 0;  // seconds, when ts_recent was stored; 0: never
  uint32_t ts_recent = 0;
  uint32_t rcv_tsval = 0;
  uint32_t rcv_tsecr = 0;
  bool saw_tstamp = false;  // on the last segment
  bool tstamp_ok = false;
  bool wscale_ok = false;
  bool sack_ok = false;
  bool dsack_seen = false;  // sack_ok bit 2
  uint8_t snd_wscale = 0;   // the peer's, for what it advertises
  uint8_t rcv_wscale = 0;   // ours
  uint8_t num_sacks = 0;    // blocks on the last ACK sent / to send
  uint16_t user_mss = 0;
  uint16_t mss_clamp = kMssDefault;  // the peer's MSS, within ours
};

inline constexpr uint8_t kEcnOk = 1, kEcnQueueCwr = 2, kEcnDemandCwr = 4, kEcnSeen = 8;

// Nagle bits (TCP_NODELAY, TCP_CORK and a push that overrides).
inline constexpr uint8_t kNagleOff = 1, kNagleCork = 2, kNaglePush = 4;

// ACK state (icsk_ack.pending)
inline constexpr uint8_t kAckScheduled = 1, kAckTimer = 2, kAckPushed = 4, kAckPushed2 = 8, kAckNow = 16,
                         kAckNoMem = 32;

struct AckState {
  uint8_t pending = 0;
  uint8_t quick = 0;      // scheduled number of quick ACKs
  uint8_t pingpong = 0;   // interactive session
  uint8_t retry = 0;      // attempts when memory is out
  Duration ato;           // predicted interval of the delayed ACK
  uint32_t lrcvtime = 0;  // jiffies of the last data received
  uint32_t last_seg_size = 0;
  uint32_t rcv_mss = 0;  // estimate of the peer's segment size
};

// Where the path MTU is looked for (mtu_probe.cpp). Sizes of IP packets.
struct MtuSearch {
  int32_t low = 0;          // passes
  int32_t high = 0;         // may pass
  uint32_t probe_size = 0;  // of the probe in flight; 0: none
  Seq probe_start = 0, probe_end = 0;
  uint32_t stamp = 0;  // jiffies, when the search began
  bool enabled = false;
};

using cc::RateSample;

// What connect(2), listen(2) and bind(2) think of a socket, beside its state: Linux's SS_UNCONNECTED and so on.
enum class UserState : uint8_t { kUnconnected, kConnecting, kConnected };

struct Conn : cc::Sender {
  Conn(Tcp& t, TcpSock& s) : tcp(t), sk(s) {}
  Conn(const Conn&) = delete;
  Conn& operator=(const Conn&) = delete;

  Tcp& tcp;
  TcpSock& sk;
  Effects effects;  // of the event that is being processed

  // --- sequence numbers, windows --------------------------------------------------------------------------------
  Seq rcv_nxt = 0;
  Seq copied_seq = 0;  // head of yet unread data
  Seq rcv_wup = 0;     // rcv_nxt on the last window update sent
  Seq snd_sml = 0;     // last byte of the most recently sent small segment (Minshall)
  Seq snd_wl1 = 0;     // sequence of the last window update
  Seq write_seq = 0;   // tail of data held in the send buffer + 1
  Seq pushed_seq = 0;  // last pushed seq
  uint32_t snd_wnd = 0;
  uint32_t max_window = 0;       // largest window ever seen from the peer
  uint32_t rcv_wnd = 0;          // current receiver window as advertised
  uint32_t window_clamp = 0;     // maximal window to advertise
  uint32_t rcv_ssthresh = 0;     // current window clamp
  uint32_t advmss = 0;           // MSS that we advertise
  uint32_t pmtu_cookie = 0;      // last PMTU that sync_mss saw
  uint32_t packed_clamp = 0;     // dormant.cpp's scratch for rx_opt.mss_clamp
  uint16_t tcp_header_len = 20;  // with the timestamp option when in use
  bool may_predict = false;      // header prediction is on (Linux's pred_flags)
  uint8_t scaling_ratio = 128;   // payload share of truesize, /256

  // --- receive ----------------------------------------------------------------------------------------------------
  PacketQueue receive_queue;  // in order, RxSegment
  OfoTree out_of_order;
  RxSegment* ooo_last = nullptr;  // the last one inserted at the tail, for the common append
  uint32_t rmem_alloc = 0;        // truesize of both queues
  AckState ack;
  ReceivedOptions rx_opt;
  uint8_t compressed_ack = 0;  // ACKs held back by compression
  uint8_t dup_ack_counter = 0;
  Seq compressed_ack_rcv_nxt = 0;
  wire::SackBlock duplicate_sack{};  // D-SACK to report
  bool has_dsack = false;
  std::array<wire::SackBlock, 4> selective_acks{};
  std::array<wire::SackBlock, 4> recv_sack_cache{};
  uint32_t rcv_tstamp = 0;         // jiffies of the last ACK received
  uint32_t last_oow_ack_time = 0;  // of the last ACK that answered an unacceptable segment
  uint32_t rcv_rtt_us = 0;         // receiver-side RTT (<<3)
  Seq rcv_rtt_seq = 0;
  uint64_t rcv_rtt_time_us = 0;
  uint32_t rcv_rtt_last_tsecr = 0;
  uint32_t rcvq_space = 0;  // bytes that the user took in one RTT
  Seq rcvq_seq = 0;
  uint64_t rcvq_time_us = 0;
  uint32_t rcv_ooopack = 0;
  Seq urg_seq = 0;
  uint16_t urg_data = 0;  // kUrg*: see receive.cpp
  bool urg_mode = false;  // sender's
  Seq snd_up = 0;

  // --- send -------------------------------------------------------------------------------------------------------
  PacketList write_queue;  // not sent yet, TxSegment
  RtxTree rtx_queue;       // sent, not acknowledged
  TimeSortedList tsorted_sent;
  int32_t wmem_queued = 0;      // truesize of both
  int32_t forward_alloc = 0;    // of the pages that were taken, what neither queue is charged for (memory.h)
  uint32_t charged_pages = 0;   // of all queues, in Counts::memory_pages (memory.h)
  Buffer* send_page = nullptr;  // where sendmsg puts the next bytes
  uint32_t send_page_used = 0;
  uint8_t nonagle = 0;
  bool retransmit_high_valid = false;
  // MSG_ZEROCOPY: the number of the next send that is told of (sk_zckey), and the first that the user has not been
  // told.
  uint32_t zerocopy_next = 0;
  uint32_t zerocopy_untold = 0;

  // --- RTT and RTO ------------------------------------------------------------------------------------------------
  uint32_t mdev_us = 0;
  uint32_t mdev_max_us = 0;
  uint32_t rttvar_us = 0;
  Seq rtt_seq = 0;
  Duration rto = kTimeoutInit;
  uint32_t tsoffset = 0;    // added to our timestamps
  uint8_t retransmits = 0;  // unrecovered RTOs
  uint8_t backoff = 0;
  uint8_t probes_out = 0;
  uint32_t probes_since = 0;   // jiffies of the first unanswered zero-window probe (user timeout); 0: none
  uint32_t retrans_stamp = 0;  // TS value (ms) of the first retransmission of this recovery
  uint32_t timeout_rehash = 0;
  MtuSearch mtu_search;

  // --- congestion and recovery ------------------------------------------------------------------------------------
  uint32_t prior_ssthresh = 0;
  uint32_t prr_delivered = 0;
  uint32_t prr_out = 0;
  Seq high_seq = 0;          // snd_nxt at the onset of congestion
  Seq undo_marker = 0;       // snd_una when recovery began; 0: undo is off
  int32_t undo_retrans = 0;  // retransmissions not yet reported as duplicates; -1: none in this recovery
  Seq tlp_high_seq = 0;      // snd_nxt at the time of the tail loss probe; 0: none
  bool tlp_retrans = false;  // the probe was a retransmission
  bool frto = false;         // F-RTO is under way
  bool is_sack_reneg = false;
  bool first_try_of_rto = false;
  uint8_t fastopen_client_fail = 0;  // FastOpenFail
  uint32_t reordering = 3;
  uint32_t reord_seen = 0;
  TxSegment* highest_sack = nullptr;     // first segment behind the highest sacked one
  TxSegment* retransmit_hint = nullptr;  // where xmit_retransmit_queue goes on
  RackState rack;

  // --- rate -------------------------------------------------------------------------------------------------------
  uint64_t first_tx_us = 0;
  uint32_t rate_delivered = 0;
  uint32_t rate_interval_us = 0;
  bool rate_app_limited = true;

  // --- counters (TCP_INFO) ----------------------------------------------------------------------------------------
  uint64_t bytes_received = 0;
  uint64_t bytes_acked = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_retrans = 0;
  uint32_t segs_in = 0;
  uint32_t segs_out = 0;
  uint32_t data_segs_in = 0;
  uint32_t data_segs_out = 0;
  uint32_t total_retrans = 0;
  uint32_t dsack_dups = 0;
  uint32_t plb_rehash = 0;
  uint16_t total_rto = 0;
  uint16_t total_rto_recoveries = 0;
  uint32_t total_rto_time = 0;  // ms
  uint32_t rto_stamp = 0;
  uint8_t chrono_type = 0;  // what limits sending now: 0 none, 1 busy, 2 receive window, 3 send buffer
  uint32_t chrono_start = 0;
  uint32_t chrono_stat[3] = {};  // jiffies

  // --- life -------------------------------------------------------------------------------------------------------
  uint8_t ecn_flags = 0;
  uint8_t sent_ecn = 0;  // ECN bits of the last packet sent; a time-wait goes on with them
  bool syn_retransmitted = false;
  bool is_passive = false;
  bool repair = false;
  bool sock_done = false;  // SOCK_DONE: FIN received or reset; reads return 0
  bool urg_rcv_out = false;
  bool save_syn = false;
  uint8_t linger_state = 0;
  bool syn_fastopen = false;        // the SYN had the Fast Open option
  bool syn_fastopen_exp = false;    // by its experimental number
  bool syn_fastopen_ch = false;     // a blackhole was feared: see how this one goes
  bool syn_fastopen_child = false;  // made by a SYN with Fast Open
  bool syn_data = false;            // SYN carried data
  bool syn_data_acked = false;
  bool defer_connect = false;                        // TCP_FASTOPEN_CONNECT: the SYN waits for the first write
  uint8_t write_pending = 0;                         // writers that wait for the connection with data in hand
  Request* fastopen_request = nullptr;               // fastopen_rsk: of a child that is not confirmed
  FastOpenQueue* fastopen_queue = nullptr;           // of a listener, or of who may become one
  const wire::FastOpenCookie* syn_cookie = nullptr;  // while the first SYN is built
  bool cc_initialized = false;                       // cc_algorithm->init() was called, release() is due
  bool orphan = false;                               // closed by its file (SOCK_DEAD); counted in Counts::orphans
  UserState user_state = UserState::kUnconnected;
  ListNode in_accept_queue;
  Deadlines deadlines;
  Time wheel_at = Time::never();  // when the wheel timer is armed for: not later than any deadline
  bool nospace = false;           // a writer was turned away: report EPOLLOUT
  ip::Route route;                // valid while its generation is current
  bool has_route = false;
  uint32_t flow_label = 0;
  uint32_t txhash = 0;
  std::unique_ptr<std::vector<uint8_t>> saved_syn;
  std::unique_ptr<Stamping> stamping;  // once SO_TIMESTAMPING has asked for it

  // --- small questions --------------------------------------------------------------------------------------------
  State state() const { return sk.get_state(); }
  uint32_t left_out() const { return sacked_out + lost_out; }
  bool is_reno() const { return !rx_opt.sack_ok; }  // "reno" as Linux says it: the peer sends no SACK
  Seq wnd_end() const { return snd_una + snd_wnd; }
  uint32_t receive_window() const {  // what is left of the window that was advertised
    const int32_t win = static_cast<int32_t>(rcv_wup + rcv_wnd - rcv_nxt);
    return win < 0 ? 0 : static_cast<uint32_t>(win);
  }
  bool has_unsent() const { return !write_queue.is_empty(); }
  TxSegment* send_head() const;
  TxSegment* rtx_head() const { return rtx_queue.first(); }
  bool is_orphan() const { return orphan; }  // not: has no file yet, as what waits in an accept queue
};

// A SYN that was answered (NEW_SYN_RECV): a small object in ehash until the third segment makes it a connection.
struct Request : inet::SockCommon {
  TcpSock* listener = nullptr;  // with a reference
  ListNode in_listener;         // requests of one listener
  Timer timer;                  // SYN-ACK retransmission
  uint32_t rcv_isn = 0;
  uint32_t snt_isn = 0;
  uint32_t ts_recent = 0;
  uint32_t ts_off = 0;
  uint32_t snt_synack_ms = 0;  // when the first SYN-ACK left; 0: retransmitted since (Karn)
  uint64_t snt_synack_us = 0;
  uint32_t rcv_wnd = 0;
  uint32_t rsk_window_clamp = 0;
  uint32_t last_oow_ack_time = 0;
  Seq rcv_nxt = 0;               // rcv_isn + 1, or behind Fast Open data
  uint32_t snt_tsval_first = 0;  // our timestamps on SYN-ACKs: what the third segment may echo
  uint32_t snt_tsval_last = 0;
  uint16_t mss = 0;     // the peer's, clamped
  uint16_t advmss = 0;  // what our SYN-ACK offers
  uint8_t rcv_wscale = 0;
  uint8_t snd_wscale = 0;
  uint8_t num_timeout = 0;  // SYN-ACK time-outs
  uint8_t num_retrans = 0;  // SYN-ACKs sent again
  uint8_t dsfield = 0;
  bool tstamp_ok = false;
  bool sack_ok = false;
  bool wscale_ok = false;
  bool ecn_ok = false;
  bool acked = false;      // TCP_DEFER_ACCEPT: the ACK came, the data not
  bool is_cookie = false;  // reconstructed from a SYN cookie; never hashed
  bool cookie_ts = false;
  bool cancelled = false;
  uint32_t txhash = 0;
  bool is_accepted = false;                 // Fast Open: accept(2) has given the child away
  FastOpenQueue* fastopen_queue = nullptr;  // of a Fast Open child's request
  std::unique_ptr<std::vector<uint8_t>> saved_syn;
};
struct Request6 : Request {
  alignas(8) uint8_t v6_bytes[32] = {};
};

// What lives on for 60 s of a connection that was closed first here (RFC 9293 §3.6.1).
struct TimeWait : inet::BoundSock {
  Timer timer;
  Seq rcv_nxt = 0;
  Seq snd_nxt = 0;
  uint32_t ts_recent = 0;
  uint32_t ts_recent_stamp = 0;  // seconds, when ts_recent was stored; 0: no timestamps
  uint32_t ts_offset = 0;
  uint32_t rcv_wnd = 0;
  uint32_t last_oow_ack_time = 0;
  uint32_t entry_stamp = 0;  // ms, when the connection became this (tcp_tw_reuse_delay)
  SpinLock lock;             // segments of several workers
  uint8_t substate : 4 = 0;  // kTimeWait or kFinWait2
  uint8_t rcv_wscale : 4 = 0;
  uint8_t dsfield = 0;
};
struct TimeWait6 : TimeWait {
  alignas(8) uint8_t v6_bytes[32] = {};
};

// A listener's queues.
struct Listener {
  uint32_t backlog = 0;      // sk_max_ack_backlog
  uint32_t ack_backlog = 0;  // established, not accepted (sk_ack_backlog)
  List<Request, &Request::in_listener> requests;
  uint32_t request_count = 0;                       // qlen
  uint32_t young = 0;                               // SYN-ACK not retransmitted yet
  List<Conn, &Conn::in_accept_queue> accept_queue;  // each socket with the reference that accept() hands to the file
  uint64_t last_overflow_ms = 0;                    // a cookie was sent lately
  SpinLock queue_lock;                              // accept queue, requests
};

static_assert(sizeof(TimeWait) <= 128);

}  // namespace leat::tcp
