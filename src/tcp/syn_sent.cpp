// A segment in SYN_SENT (RFC 9293 §3.10.7.3; Linux's tcp_rcv_synsent_state_process): SYN-ACK → ESTABLISHED, SYN →
// SYN_RECV (crossed SYNs, a connection to oneself among them), RST → ECONNREFUSED. Data and FIN that come with a
// SYN-ACK are left for the peer to send again, unless the SYN was one of Fast Open.
#include <sys/epoll.h>

#include "tcp/active.h"
#include "tcp/doors.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"
#include "tcp/timers.h"

namespace leat::tcp {
namespace {

constexpr Duration kTimeoutFallback = Duration::from_s(3);  // RFC 6298 §5.7

// Options of a segment that is processed before the connection is made; what sysctls forbid is not seen.
void parse_options(Conn& c, const Segment& seg) {
  const Sysctls& sysctl = c.tcp.ns.sysctl;
  const wire::TcpOptions& o = seg.options();
  ReceivedOptions& r = c.rx_opt;
  r.saw_tstamp = o.has_timestamp && sysctl.tcp_timestamps != 0;
  if (r.saw_tstamp) {
    r.rcv_tsval = o.tsval;
    r.rcv_tsecr = o.tsecr;
  }
  if (!seg.header.syn()) return;
  const uint16_t own = c.sk.options->user_mss;
  if (o.mss != 0) r.mss_clamp = own != 0 && own < o.mss ? own : o.mss;
  r.wscale_ok = o.has_wscale && sysctl.tcp_window_scaling != 0;
  r.snd_wscale = r.wscale_ok ? o.wscale : uint8_t{0};
  r.sack_ok = o.sack_permitted && sysctl.tcp_sack != 0;
}

void forget_options(ReceivedOptions& r, uint16_t mss_clamp) {
  r.saw_tstamp = r.tstamp_ok = r.sack_ok = r.wscale_ok = false;
  r.snd_wscale = 0;
  r.mss_clamp = mss_clamp;
}

bool is_echo_possible(const Conn& c) {
  const ReceivedOptions& r = c.rx_opt;
  if (!r.saw_tstamp || r.rcv_tsecr == 0) return true;
  return between(r.rcv_tsecr, c.retrans_stamp, timestamp_now(c));
}

// The timed-out SYN was not lost: its SYN-ACK echoes the first one's timestamp (RFC 4015).
void try_undo_spurious_syn(Conn& c) {
  const uint32_t stamp = c.retrans_stamp;
  if (c.undo_marker != 0 && stamp != 0 && c.rx_opt.saw_tstamp && stamp == c.rx_opt.rcv_tsecr) c.undo_marker = 0;
}

void set_ecn(Conn& c, bool ok) {
  if (!ok) c.ecn_flags &= static_cast<uint8_t>(~kEcnOk);
  c.ecn_ok = (c.ecn_flags & kEcnOk) != 0;
}

void use_timestamps_if_seen(Conn& c) {
  ReceivedOptions& r = c.rx_opt;
  c.tcp_header_len = r.saw_tstamp ? 32 : 20;
  if (!r.saw_tstamp) return;
  r.tstamp_ok = true;
  r.ts_recent = r.rcv_tsval;
  r.ts_recent_stamp = stamp_s(c.tcp);
}

// ---- SYN-ACK ----

// true: data went out with the ACK.
bool take_synack(Conn& c, Segment& seg) {
  const uint8_t ecn = seg.header.flags & (wire::kTcpEce | wire::kTcpCwr);
  set_ecn(c, ecn == wire::kTcpEce);  // RFC 3168 §6.1.1
  c.snd_wl1 = seg.seq;
  try_undo_spurious_syn(c);
  process_ack(c, seg, kFlagSlowPath);
  c.rcv_nxt = c.rcv_wup = seg.seq + 1;
  c.snd_wnd = seg.header.window;  // never scaled on a SYN (RFC 7323 §2.2)
  if (!c.rx_opt.wscale_ok) {
    c.rx_opt.snd_wscale = c.rx_opt.rcv_wscale = 0;
    if (c.window_clamp > 65535) c.window_clamp = 65535;
  }
  use_timestamps_if_seen(c);
  if (c.rx_opt.tstamp_ok) c.advmss -= 12;
  sync_mss(c, c.pmtu_cookie);
  initialize_rcv_mss(c);
  c.copied_seq = c.rcv_nxt;
  finish_connect(c, &seg);
  const bool resent = on_fastopen_synack(c, seg);
  c.effects.events |= EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLRDHUP | EPOLLHUP;
  return resent;
}

Verdict go_on_with_text(Conn& c, Segment& seg) {
  if (seg.packet != nullptr) process_urgent(c, seg);
  c.effects.send_data = true;
  return Verdict::consumed();
}

// The ACK may wait for data that is about to leave. Else it goes at once, and perhaps with data behind it.
Verdict acknowledge_synack(Conn& c, Segment& seg) {
  const bool data_waits = c.has_unsent() || c.write_pending != 0 || c.sk.options->defer_accept_s != 0 ||
                          c.ack.pingpong >= c.tcp.ns.sysctl.tcp_pingpong_thresh;
  if (data_waits) {
    schedule_ack(c);
    enter_quickack_mode(c, kMaxQuickAcks);
    c.ack.pending |= kAckTimer;
    arm_delack(c, kDelackMax);
    return Verdict::consumed();
  }
  send_ack(c);
  return go_on_with_text(c, seg);
}

Verdict refuse(Conn& c, uint16_t mss_clamp, DropReason why) {
  forget_options(c.rx_opt, mss_clamp);
  return Verdict::reset(why);
}

Verdict ignore(Conn& c, uint16_t mss_clamp, DropReason why) {
  forget_options(c.rx_opt, mss_clamp);
  return Verdict::drop(why);
}

Verdict on_segment_with_ack(Conn& c, Segment& seg, uint16_t mss_clamp) {
  if (!after(seg.ack, c.snd_una) || after(seg.ack, c.snd_nxt)) {
    // Of an older connection, whose other end our RST will close: the SYN goes again right behind it.
    if (c.retransmits == 0) arm_loss_timer(c, LossTimer::kRetransmit, kTimeoutMin);
    return refuse(c, mss_clamp, DropReason::kTcpInvalidAckSequence);
  }
  if (!is_echo_possible(c)) {
    c.tcp.count(Mib::TcpExtPAWSActive);
    return refuse(c, mss_clamp, DropReason::kTcpPaws);
  }
  if (seg.header.rst()) {
    reset_by_peer(c);
    return Verdict::drop(DropReason::kTcpReset);
  }
  if (!seg.header.syn()) return ignore(c, mss_clamp, DropReason::kTcpFlags);
  return take_synack(c, seg) ? go_on_with_text(c, seg) : acknowledge_synack(c, seg);
}

// ---- SYN: both ends open at once ----

Verdict on_crossed_syn(Conn& c, Segment& seg) {
  set_state(c, State::kSynRecv);
  use_timestamps_if_seen(c);
  c.rcv_nxt = c.rcv_wup = c.copied_seq = seg.seq + 1;
  c.snd_wnd = c.max_window = seg.header.window;
  c.snd_wl1 = seg.seq;
  constexpr uint8_t kAsks = wire::kTcpEce | wire::kTcpCwr;
  set_ecn(c, (seg.header.flags & kAsks) == kAsks);
  init_mtu_search(c);
  sync_mss(c, c.pmtu_cookie);
  initialize_rcv_mss(c);
  send_synack_of_sync_open(c);
  return Verdict::consumed();
}

Verdict on_segment_without_ack(Conn& c, Segment& seg, uint16_t mss_clamp) {
  if (seg.header.rst()) return ignore(c, mss_clamp, DropReason::kTcpReset);
  const ReceivedOptions& r = c.rx_opt;
  const bool old = r.ts_recent_stamp != 0 && r.saw_tstamp &&
                   is_paws_reject(r.ts_recent, r.ts_recent_stamp, r.rcv_tsval, false, stamp_s(c.tcp));
  if (old) return ignore(c, mss_clamp, DropReason::kTcpPaws);
  if (!seg.header.syn()) return ignore(c, mss_clamp, DropReason::kTcpFlags);
  return on_crossed_syn(c, seg);
}

}  // namespace

Verdict on_syn_sent_segment(Conn& c, Segment& seg) {
  const uint16_t mss_clamp = c.rx_opt.mss_clamp;
  parse_options(c, seg);
  if (seg.header.has_ack()) return on_segment_with_ack(c, seg, mss_clamp);
  return on_segment_without_ack(c, seg, mss_clamp);
}

void finish_connect(Conn& c, const Segment* seg) {
  (void)seg;
  set_state(c, State::kEstablished);
  c.may_predict = c.rx_opt.snd_wscale == 0;
  c.ack.lrcvtime = c.jiffies();
  init_transfer(c);
  c.lsndtime = c.jiffies();  // the first data is not sent after an idle time
  if (c.sk.keepalive) arm_keepalive(c, keepalive_time(c));
}

// ---- ESTABLISHED ----

namespace {

// Nothing is known of the path but what the handshake told (no metrics cache).
void init_rto(Conn& c) {
  if (c.srtt_us != 0) return;
  c.rttvar_us = c.mdev_us = c.mdev_max_us = static_cast<uint32_t>(kTimeoutFallback.us());
  c.rto = kTimeoutFallback;
}

uint32_t initial_cwnd(const Conn& c) {
  const uint32_t wanted = c.has_route && c.route.initcwnd != 0 ? c.route.initcwnd : kInitialCwnd;
  return wanted < c.snd_cwnd_clamp ? wanted : c.snd_cwnd_clamp;
}

}  // namespace

void init_transfer(Conn& c) {
  init_mtu_search(c);
  init_rto(c);
  // RFC 5681 §3.1: a SYN that was lost, truly, more than once.
  const bool lossy = c.total_retrans > 1 && c.undo_marker != 0;
  c.snd_cwnd = lossy ? 1 : initial_cwnd(c);
  c.snd_ssthresh = kInfiniteSsthresh;  // what the loss of a SYN made of it says nothing about data
  c.snd_cwnd_stamp = c.jiffies();
  if (!c.cc_initialized) {
    c.prior_ssthresh = 0;
    init_congestion(c);
  }
  init_buffer_space(c);
}

}  // namespace leat::tcp
