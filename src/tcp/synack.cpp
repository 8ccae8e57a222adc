// The SYN-ACK of a request, its repetition in 1, 2, 4, … s, and the ACK for what comes outside the window
// (Linux's tcp_make_synack, tcp_rtx_synack, reqsk_timer_handler, tcp_v4_reqsk_send_ack).
#include "inet/sock_lock.h"
#include "tcp/active.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/passive.h"
#include "tcp/timers.h"

namespace leat::tcp {

Duration request_timeout(const Request& r) {
  constexpr Duration kMost = Duration::from_s(120);  // TCP_RTO_MAX: 6.18 does not look at tcp_rto_max_ms here
  const int shift = r.num_timeout < 20 ? r.num_timeout : 20;
  const Duration t = kTimeoutInit << shift;
  return t < kMost ? t : kMost;
}

void arm_request(Tcp& tcp, Request& r) {
  tcp.request_wheel.arm(r.timer, tcp.now() + request_timeout(r));
}

namespace {

uint8_t tos_of_synack(const Netns& ns, const TcpSock& listener, const Request& r) {
  const uint8_t own = listener.options->tos;
  if (ns.sysctl.tcp_reflect_tos == 0) return own;
  return static_cast<uint8_t>((r.dsfield & 0xfc) | (own & 3));
}

}  // namespace

uint32_t synack_window(const Request& r) {
  return r.rcv_wnd < 65535 ? r.rcv_wnd : 65535;
}

namespace {

uint32_t timestamp_of_synack(Tcp& tcp, Request& r) {
  const uint32_t now = clock_ms(tcp);
  if (r.cookie_ts) return make_cookie_timestamp(r, now) + r.ts_off;
  uint32_t tsval = now + r.ts_off;
  if (r.snt_tsval_first == 0) {
    if (tsval == 0) tsval = ~0u;
    r.snt_tsval_first = tsval;
  }
  r.snt_tsval_last = tsval;
  return tsval;
}

void synack_options(Tcp& tcp, Request& r, wire::TcpOptions& o) {
  o.mss = r.advmss;
  o.has_wscale = r.wscale_ok;
  o.wscale = r.rcv_wscale;
  o.sack_permitted = r.sack_ok;
  o.has_timestamp = r.tstamp_ok;
  if (!r.tstamp_ok) return;
  o.tsval = timestamp_of_synack(tcp, r);
  o.tsecr = r.ts_recent;
}

BareSegment bare_of(const TcpSock& listener, const Request& r) {
  BareSegment b;
  b.tuple = r.tuple();
  b.ifindex = r.bound_ifindex;
  b.ttl = listener.options->ttl;
  b.mark = listener.options->mark;
  b.header.ack = r.rcv_nxt;
  return b;
}

}  // namespace

bool send_synack(Tcp& tcp, TcpSock& listener, Request& r, const wire::FastOpenCookie* cookie, const ip::Route* route) {
  BareSegment b = bare_of(listener, r);
  b.route = route;
  b.tos = tos_of_synack(tcp.ns, listener, r);
  b.header.flags = wire::kTcpSyn | wire::kTcpAck;
  if (r.ecn_ok) b.header.flags |= wire::kTcpEce;
  b.header.seq = r.snt_isn;
  b.header.window = static_cast<uint16_t>(synack_window(r));
  synack_options(tcp, r, b.header.options);
  if (cookie != nullptr) b.header.options.fast_open = *cookie;
  if (r.snt_synack_us == 0) r.snt_synack_us = static_cast<uint64_t>(tcp.now().us()) | (tcp.now().us() == 0 ? 1 : 0);
  return send_bare(tcp, b).has_value();
}

bool resend_synack(Tcp& tcp, TcpSock& listener, Request& r) {
  r.txhash = tcp.ns.rng.next32() | 1;
  if (!send_synack(tcp, listener, r)) return false;
  tcp.count(Mib::TcpRetransSegs);
  tcp.count(Mib::TcpExtTCPSynRetrans);
  if (r.num_retrans < 255) ++r.num_retrans;
  return true;
}

void send_request_ack(Tcp& tcp, TcpSock& listener, Request& r, const Segment& seg, Seq seq) {
  BareSegment b = bare_of(listener, r);
  b.tos = seg.dsfield & 0xfc;
  b.header.flags = wire::kTcpAck;
  b.header.seq = seq;
  b.header.window = static_cast<uint16_t>(synack_window(r) >> r.rcv_wscale);
  if (r.tstamp_ok) {
    b.header.options.has_timestamp = true;
    b.header.options.tsval = clock_ms(tcp) + r.ts_off;
    b.header.options.tsecr = r.ts_recent;
  }
  (void)send_bare(tcp, b);
}

// ---- its timer ----

// TCP_DEFER_ACCEPT in time-outs of the SYN-ACK (Linux's secs_to_retrans).
uint32_t defer_timeouts(const Tcp& tcp, const TcpSock& listener) {
  const int64_t seconds = listener.options->defer_accept_s;
  if (seconds <= 0) return 0;
  const int64_t most = tcp.ns.sysctl.tcp_rto_max_ms.as<int64_t>() / 1000;
  int64_t timeout = 1, period = 1;
  uint32_t n = 1;
  while (seconds > period && n < 255) {
    ++n;
    timeout = timeout * 2 < most ? timeout * 2 : most;
    period += timeout;
  }
  return n;
}

namespace {

// SYN-ACKs to send again: fewer while the queue is more than half full of old requests.
uint32_t synack_retries(const Tcp& tcp, const TcpSock& listener) {
  const Listener& l = *listener.listener;
  const uint8_t own = listener.options->syncnt;
  uint32_t n = own != 0 ? own : tcp.ns.sysctl.tcp_synack_retries.as<uint32_t>();
  const uint64_t limit = l.backlog > 8 ? l.backlog : 8;
  if (uint64_t{l.request_count} << 1 <= limit) return n;
  for (uint64_t young = uint64_t{l.young} << 1; n > 2 && l.request_count >= young; young <<= 1)
    --n;
  return n;
}

struct TimeoutPlan {
  bool expire;
  bool resend;
};

TimeoutPlan plan_timeout(const Tcp& tcp, const TcpSock& listener, const Request& r) {
  const uint32_t most = synack_retries(tcp, listener);
  const uint32_t defer = defer_timeouts(tcp, listener);
  const bool used_up = r.num_timeout >= most;
  if (defer == 0) return {used_up, true};
  // The ACK has come and its data is waited for: one more SYN-ACK at the end asks for either.
  return {used_up && (!r.acked || r.num_timeout >= defer), !r.acked || r.num_timeout + 1u >= defer};
}

void time_out(Tcp& tcp, TcpSock& listener, Request& r) {
  const TimeoutPlan plan = plan_timeout(tcp, listener, r);
  tcp.count(Mib::TcpExtTCPTimeouts);
  const bool lives = !plan.expire && (!plan.resend || resend_synack(tcp, listener, r) || r.acked);
  if (!lives) {
    if (tcp.established.remove(&r)) forget_request(tcp, listener, r);
    return;
  }
  if (r.num_timeout == 0) --listener.listener->young;
  if (r.num_timeout < 255) ++r.num_timeout;
  arm_request(tcp, r);
}

}  // namespace

// As with time-waits, the memory may be another request by now.
void on_request_timer(Tcp& tcp, Request& r) {
  if (!r.try_get()) return;
  {
    inet::SockLock lock(*r.listener, &drain_backlog);
    if (!r.timer.is_armed() && inet::EstablishedTable::is_hashed(&r)) time_out(tcp, *r.listener, r);
  }
  put_request(tcp, r);
}

}  // namespace leat::tcp
