// Half-open connections of a passive open: SYN → request and SYN-ACK (synack.cpp, which repeats it); the third segment
// makes the connection (RFC 9293 §3.10.7.2 to .4; Linux's tcp_conn_request, tcp_check_req).
//
// A request's table entry and its place in its listener's list live and die together, under the listener's lock.
#include "inet/sock_lock.h"
#include "ip/netif.h"
#include "tcp/active.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/passive.h"
#include "tcp/timers.h"

namespace leat::tcp {
namespace {

constexpr uint16_t kMss6Default = 1220;  // what every IPv6 path carries

Offer offer_of(const Netns& ns, const TcpSock& listener, const Segment& seg, bool v6) {
  const wire::TcpOptions& o = seg.options();
  Offer f;
  f.mss = v6 ? kMss6Default : kMssDefault;
  const uint16_t own = listener.options->user_mss;
  if (o.mss != 0) f.mss = own != 0 && own < o.mss ? own : o.mss;
  f.tstamp_ok = o.has_timestamp && ns.sysctl.tcp_timestamps != 0;
  f.tsval = f.tstamp_ok ? o.tsval : 0;
  f.sack_ok = o.sack_permitted && ns.sysctl.tcp_sack != 0;
  f.wscale_ok = o.has_wscale && ns.sysctl.tcp_window_scaling != 0;
  f.snd_wscale = f.wscale_ok ? o.wscale : 0;
  return f;
}

// RFC 3168 §6.1.1: ECE and CWR ask for ECN; a SYN that is itself marked capable is not from such a peer.
bool wants_ecn(const Netns& ns, const TcpSock& listener, const Segment& seg) {
  constexpr uint8_t kAsks = wire::kTcpEce | wire::kTcpCwr;
  if ((seg.header.flags & kAsks) != kAsks) return false;
  const cc::Algorithm* cc = listener.conn->cc_algorithm;
  if (cc != nullptr && (cc->flags & cc::kNeedsEcn) != 0) return true;
  return ns.sysctl.tcp_ecn != 0 && ((seg.dsfield & 3) == 0 || seg.header.ae);
}

void fill_request(Request& r, const Offer& f, const Segment& seg) {
  r.rcv_isn = seg.seq;
  r.rcv_nxt = seg.seq + 1;
  r.mss = f.mss;
  r.ts_recent = f.tsval;
  r.tstamp_ok = f.tstamp_ok;
  r.sack_ok = f.sack_ok;
  r.wscale_ok = f.wscale_ok;
  r.snd_wscale = f.snd_wscale;
  r.dsfield = seg.dsfield;
}

}  // namespace

// ---- the object ----

Request* make_request(Tcp& tcp, TcpSock& listener, const inet::FourTuple& t, const Segment& seg) {
  Request* r = nullptr;
  if (t.local.is_v6()) {
    Request6* r6 = tcp.requests6.create();
    if (r6 == nullptr) return nullptr;
    const auto here = reinterpret_cast<uintptr_t>(static_cast<inet::SockCommon*>(r6));
    r6->v6_offset = static_cast<uint16_t>(reinterpret_cast<uintptr_t>(r6->v6_bytes) - here);
    r = r6;
  } else {
    r = tcp.requests.create();
    if (r == nullptr) return nullptr;
  }
  r->kind = inet::Kind::kRequest;
  r->state.store(static_cast<uint8_t>(State::kNewSynRecv));
  r->family = listener.family;
  r->bound_ifindex = listener.bound_ifindex;
  if (t.remote.is_v6() && t.remote.is_link_local() && r->bound_ifindex == 0) r->bound_ifindex = seg.ifindex;
  r->set_addresses(t.local, t.remote);
  r->local_port = t.local_port;
  r->remote_port = t.remote_port;
  r->txhash = tcp.ns.rng.next32() | 1;
  listener.get();
  r->listener = &listener;
  return r;
}

void free_request(Tcp& tcp, Request& r) {
  TcpSock* listener = r.listener;
  put_queue(r.fastopen_queue);
  if (r.v6_offset != 0) {
    tcp.requests6.destroy(static_cast<Request6*>(&r));
  } else {
    tcp.requests.destroy(&r);
  }
  tcp.release(*listener);
}

void put_request(Tcp& tcp, Request& r) {
  if (!r.put()) return;
  tcp.request_wheel.cancel(r.timer);
  free_request(tcp, r);
}

void forget_request(Tcp& tcp, TcpSock& listener, Request& r) {
  Listener& l = *listener.listener;
  tcp.request_wheel.cancel(r.timer);
  r.cancelled = true;
  r.in_listener.unlink();
  --l.request_count;
  if (r.num_timeout == 0) --l.young;
  put_request(tcp, r);
}

void drop_request(Tcp& tcp, Request& r) {
  inet::SockLock lock(*r.listener, &drain_backlog);
  if (tcp.established.remove(&r)) forget_request(tcp, *r.listener, r);
}

// ---- a SYN ----

Result<ip::Route> route_of(Tcp& tcp, const TcpSock& listener, const Request& r) {
  return tcp.ip.route(r.remote(), r.local(), r.bound_ifindex, listener.options->mark);
}

namespace {

uint16_t advertised_mss_of(Tcp& tcp, const TcpSock& listener, const Request& r, const ip::Route& route) {
  const bool v6 = r.addresses_are_v6 != 0;
  const uint32_t headers = v6 ? 60 : 40;
  uint32_t mss = route.advmss;
  if (mss == 0) {
    const uint32_t mtu = tcp.ip.path_mtu(r.remote(), route);
    const auto least =
        v6 ? tcp.ns.sysctl.ipv6_route_min_adv_mss.as<uint32_t>() : tcp.ns.sysctl.route_min_adv_mss.as<uint32_t>();
    mss = mtu > headers + least ? mtu - headers : least;
    if (mss > 65535 - headers) mss = 65535 - headers;
  }
  const uint16_t own = listener.options->user_mss;
  return static_cast<uint16_t>(own != 0 && own < mss ? own : mss);
}

// In ehash, on the listener's list, with its timer. The caller gets a reference, too. `hash`: its SYN's, or 0.
bool hash_request(Tcp& tcp, TcpSock& listener, Request& r, uint32_t hash) {
  r.refs.store(2, std::memory_order_release);
  if (!tcp.established.insert_unique(&r, nullptr, nullptr, nullptr, hash)) return false;
  Listener& l = *listener.listener;
  l.requests.push_back(&r);
  ++l.request_count;
  ++l.young;
  arm_request(tcp, r);
  return true;
}

// In front of the IP header, where it is still.
size_t link_header_of(const Tcp& tcp, const Packet& p) {
  const ip::Netif* in = tcp.ip.interface(p.ifindex);
  const bool has = in != nullptr && in->is_ethernet() && p.network_offset >= wire::kEthernetHeaderBytes;
  return has ? size_t{wire::kEthernetHeaderBytes} : 0;
}

// TCP_SAVE_SYN: 1: from the IP header on; 2: the link's header, too.
void record_syn(const Tcp& tcp, const TcpSock& listener, Request& r, const Segment& seg) {
  if (listener.options->save_syn == 0 || seg.packet == nullptr) return;
  const Packet& p = *seg.packet;
  if (p.transport_offset < p.network_offset) return;
  const size_t link = listener.options->save_syn == 2 ? link_header_of(tcp, p) : 0;
  const uint8_t* from = p.network_header() - link;
  const auto length = link + static_cast<size_t>(p.transport_offset - p.network_offset) + seg.header.header_length;
  r.saved_syn = std::make_unique<std::vector<uint8_t>>(from, from + length);
}

[[gnu::cold]] void drop_syn(Tcp& tcp, DropReason why) {
  tcp.count(Mib::TcpExtListenDrops);
  tcp.ns.drop(why);
}

// Whether a SYN that finds the queue of requests full, or cookies forced, gets a cookie (tcp_syn_flood_action).
bool check_flood(Tcp& tcp, const Listener& l, bool& want_cookie) {
  const auto cookies = tcp.ns.sysctl.tcp_syncookies.as<int>();
  if (cookies != 2 && !is_request_queue_full(l)) return true;
  want_cookie = cookies != 0;
  tcp.count(want_cookie ? Mib::TcpExtTCPReqQFullDoCookies : Mib::TcpExtTCPReqQFullDrop);
  return want_cookie;
}

// Without cookies the last quarter of the SYN backlog is for destinations proven alive, and none is known to be.
bool is_last_quarter(Tcp& tcp, const Listener& l) {
  const auto backlog = tcp.ns.sysctl.tcp_max_syn_backlog.as<int64_t>();
  return tcp.ns.sysctl.tcp_syncookies == 0 && backlog - int64_t{l.request_count} < backlog >> 2;
}

void answer_with_cookie(Tcp& tcp, TcpSock& listener, Request& r, const inet::FourTuple& tuple, const ip::Route& route) {
  note_overflow(tcp, *listener.listener);
  tcp.count(Mib::TcpExtSyncookiesSent);
  r.is_cookie = true;
  r.cookie_ts = r.tstamp_ok;
  if (!r.tstamp_ok) r.ecn_ok = false;  // there is nowhere to remember it
  r.snt_isn = make_syn_cookie(tcp, tuple, r.rcv_isn, r.mss);
  send_synack(tcp, listener, r, nullptr, &route);
}

}  // namespace

void select_request_window(Tcp& tcp, TcpSock& listener, Request& r, const ip::Route& route, uint32_t mss) {
  Conn& c = *listener.conn;
  const uint32_t own = listener.options->window_clamp;
  uint32_t clamp = own != 0 ? own : route.window;
  int space = full_space(c);
  const auto full = static_cast<uint32_t>(space);
  if ((listener.buf_lock & inet::kBufLockReceive) != 0 && (clamp > full || clamp == 0)) clamp = full;
  const InitialWindow w = select_initial_window(tcp.ns, space, mss, clamp, r.wscale_ok, route.initrwnd);
  r.rcv_wnd = w.rcv_wnd;
  r.rsk_window_clamp = w.window_clamp;
  r.rcv_wscale = w.rcv_wscale;
}

namespace {

// The request of a SYN, ready to be answered; nullptr: dropped and counted.
Request* request_of(Tcp& tcp, TcpSock& listener, const inet::FourTuple& tuple, const Segment& seg, bool cookie,
                    ip::Route& way_back) {
  Request* r = make_request(tcp, listener, tuple, seg);
  if (r == nullptr) {
    drop_syn(tcp, DropReason::kNoMem);
    return nullptr;
  }
  Offer offer = offer_of(tcp.ns, listener, seg, tuple.local.is_v6());
  if (cookie && !offer.tstamp_ok) {  // only the MSS fits into a cookie
    offer.sack_ok = offer.wscale_ok = false;
    offer.snd_wscale = 0;
  }
  fill_request(*r, offer, seg);
  const auto route = route_of(tcp, listener, *r);
  if (!route) {
    free_request(tcp, *r);
    drop_syn(tcp, DropReason::kIpOutNoRoutes);
    return nullptr;
  }
  r->ts_off = r->tstamp_ok ? select_ts_offset(tcp, tuple) : 0;
  r->ecn_ok = wants_ecn(tcp.ns, listener, seg);
  r->advmss = advertised_mss_of(tcp, listener, *r, *route);
  const uint32_t mss = r->advmss - (r->tstamp_ok ? 12u : 0u);
  select_request_window(tcp, listener, *r, *route, mss);
  way_back = *route;
  return r;
}

// Fast Open: the child is accepted at once, and the request goes on living with it.
bool try_open_at_once(Tcp& tcp, TcpSock& listener, Request& r, Segment& seg, wire::FastOpenCookie& cookie,
                      const ip::Route& route) {
  TcpSock* child = try_fastopen(tcp, listener, r, seg, cookie);
  if (child == nullptr) return false;
  send_synack(tcp, *child, r, &cookie, &route);
  queue_accepted(listener, *child);
  auto drain = &drain_backlog;
  inet::SockLock<decltype(drain)>::release(*child, drain);
  tcp.release(*child);
  return true;
}

void answer_with_request(Tcp& tcp, TcpSock& listener, Request& r, Segment& seg, const ip::Route& route) {
  wire::FastOpenCookie cookie = seg.options().fast_open;
  if (try_open_at_once(tcp, listener, r, seg, cookie, route)) return;
  if (hash_request(tcp, listener, r, seg.packet != nullptr ? seg.packet->flow_hash : 0)) {
    send_synack(tcp, listener, r, &cookie, &route);
  } else {
    put_request(tcp, r);  // what would have been the table's
  }
  put_request(tcp, r);
}

}  // namespace

void on_syn(Tcp& tcp, TcpSock& listener, const inet::FourTuple& tuple, Segment& seg, Seq time_wait_isn) {
  Listener& l = *listener.listener;
  bool want_cookie = false;
  if (tuple.local.is_multicast() || tuple.local.is_broadcast()) return drop_syn(tcp, DropReason::kIpInvalidDest);
  if (time_wait_isn == 0 && !check_flood(tcp, l, want_cookie)) return drop_syn(tcp, DropReason::kTcpReqQFull);
  if (is_accept_queue_full(l)) {
    tcp.count(Mib::TcpExtListenOverflows);
    return drop_syn(tcp, DropReason::kTcpListenOverflow);
  }
  if (!want_cookie && time_wait_isn == 0 && is_last_quarter(tcp, l)) return drop_syn(tcp, DropReason::kTcpReqQFull);
  ip::Route way_back;
  Request* r = request_of(tcp, listener, tuple, seg, want_cookie, way_back);
  if (r == nullptr) return;
  if (want_cookie) {
    answer_with_cookie(tcp, listener, *r, tuple, way_back);
    return free_request(tcp, *r);
  }
  r->snt_isn = time_wait_isn != 0 ? time_wait_isn : select_iss(tcp, tuple);
  record_syn(tcp, listener, *r, seg);
  answer_with_request(tcp, listener, *r, seg, way_back);
}

// ---- a segment for a request ----

namespace {

enum class Next : uint8_t { kNothing, kChild, kListener, kReset };

struct Stamp {
  bool saw = false;
  uint32_t tsval = 0;
  bool is_old = false;         // PAWS
  bool is_wrong_echo = false;  // it echoes what no SYN-ACK carried
};

Stamp stamp_of(const Tcp& tcp, const Request& r, const Segment& seg) {
  const wire::TcpOptions& o = seg.options();
  if (!o.has_timestamp || tcp.ns.sysctl.tcp_timestamps == 0) return {};
  Stamp s;
  s.saw = true;
  s.tsval = o.tsval;
  if (o.tsecr != 0 && r.tstamp_ok) s.is_wrong_echo = !between(o.tsecr, r.snt_tsval_first, r.snt_tsval_last);
  const auto age = static_cast<uint32_t>(request_timeout(r).s());
  s.is_old = is_paws_reject(r.ts_recent, stamp_s(tcp) - age, o.tsval, seg.header.rst(), stamp_s(tcp));
  return s;
}

// The peer has not got our SYN-ACK.
void on_syn_again(Tcp& tcp, TcpSock& listener, Request& r, const Segment& seg) {
  if (is_oow_rate_limited(tcp.ns, seg, Mib::TcpExtTCPACKSkippedSynRecv, r.last_oow_ack_time)) return;
  if (resend_synack(tcp, listener, r) && r.timer.is_armed()) arm_request(tcp, r);
}

void on_outside(Tcp& tcp, TcpSock& listener, Request& r, const Segment& seg, const Stamp& stamp) {
  const bool answer =
      !seg.header.rst() && !is_oow_rate_limited(tcp.ns, seg, Mib::TcpExtTCPACKSkippedSynRecv, r.last_oow_ack_time);
  if (answer) send_request_ack(tcp, listener, r, seg, r.snt_isn + 1);
  if (stamp.is_old) {
    tcp.count(Mib::TcpExtPAWSEstab);
    tcp.ns.drop(DropReason::kTcpPaws);
  } else if (stamp.is_wrong_echo) {
    tcp.count(Mib::TcpExtTSEcrRejected);
    tcp.ns.drop(DropReason::kTcpTsEcr);
  } else {
    tcp.ns.drop(DropReason::kTcpOverwindow);
  }
}

Next reset_embryo(Tcp& tcp, TcpSock& listener, Request& r, const Segment& seg) {
  if (tcp.established.remove(&r)) {
    forget_request(tcp, listener, r);
    tcp.count(Mib::TcpExtEmbryonicRsts);
  }
  return seg.header.rst() ? Next::kNothing : Next::kReset;
}

bool is_deferred(const Tcp& tcp, const TcpSock& listener, const Request& r, const Segment& seg) {
  return r.num_timeout < defer_timeouts(tcp, listener) && seg.end_seq == r.rcv_isn + 1;
}

Next complete(Tcp& tcp, TcpSock& listener, Request& r, const Segment& seg, const Stamp& stamp, TcpSock*& child) {
  if (is_deferred(tcp, listener, r, seg)) {
    r.acked = true;
    tcp.count(Mib::TcpExtTCPDeferAcceptDrop);
    return Next::kNothing;
  }
  // The child starts from this timestamp; a request that stays goes on echoing the SYN's.
  const uint32_t of_syn = r.ts_recent;
  if (stamp.saw && !after(seg.seq, r.rcv_nxt)) r.ts_recent = stamp.tsval;
  child = make_child(tcp, listener, r, seg);
  if (child != nullptr) return Next::kChild;
  r.ts_recent = of_syn;
  if (tcp.ns.sysctl.tcp_abort_on_overflow != 0) return reset_embryo(tcp, listener, r, seg);
  r.acked = true;  // the peer will send again, and there may be room then
  return Next::kNothing;
}

Next check_request(Tcp& tcp, TcpSock& listener, Request& r, const Segment& seg, TcpSock*& child) {
  const Stamp stamp = stamp_of(tcp, r, seg);
  uint8_t flags = seg.header.flags & (wire::kTcpSyn | wire::kTcpAck | wire::kTcpRst);
  if (seg.seq == r.rcv_isn && flags == wire::kTcpSyn && !stamp.is_old) {
    on_syn_again(tcp, listener, r, seg);
    return Next::kNothing;
  }
  if ((flags & wire::kTcpAck) != 0 && seg.ack != r.snt_isn + 1) return Next::kListener;
  const bool inside = is_in_window(seg.seq, seg.end_seq, r.rcv_nxt, r.rcv_nxt + synack_window(r));
  if (stamp.is_old || stamp.is_wrong_echo || !inside) {
    on_outside(tcp, listener, r, seg, stamp);
    return Next::kNothing;
  }
  if (seg.seq == r.rcv_isn) flags &= static_cast<uint8_t>(~wire::kTcpSyn);  // the SYN itself lies before the window
  if ((flags & (wire::kTcpRst | wire::kTcpSyn)) != 0) {
    tcp.count(Mib::TcpAttemptFails);
    return reset_embryo(tcp, listener, r, seg);
  }
  if ((flags & wire::kTcpAck) == 0) {
    tcp.ns.drop(DropReason::kTcpFlags);
    return Next::kNothing;
  }
  return complete(tcp, listener, r, seg, stamp, child);
}

}  // namespace

TcpSock* on_request_segment(Tcp& tcp, Request& r, const inet::FourTuple& tuple, Segment& seg) {
  TcpSock* child = nullptr;
  Next next = Next::kReset;
  {
    inet::SockLock lock(*r.listener, &drain_backlog);
    const bool lives = inet::EstablishedTable::is_hashed(&r) && r.listener->get_state() == State::kListen;
    if (lives) {
      next = check_request(tcp, *r.listener, r, seg, child);
    } else if (r.listener->get_state() == State::kListen) {
      next = Next::kNothing;  // it has just become a connection or ended; the peer sends again
    }
  }
  if (next == Next::kListener) on_listener_segment(tcp, *r.listener, tuple, seg);
  if (next == Next::kReset && !seg.header.rst()) send_reset_for(tcp, tuple, seg);
  return child;
}

}  // namespace leat::tcp
