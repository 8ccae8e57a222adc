// From a request to a connection (Linux's tcp_v4_syn_recv_sock, tcp_create_openreq_child, inet_csk_clone_lock). The
// child has its listener's options, stands in ehash where the request stood, waits in the accept queue, and is in
// SYN_RECV: the segment that completed the handshake is processed by it next and makes it ESTABLISHED.
#include "inet/sock_options.h"
#include "tcp/active.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/passive.h"
#include "tcp/timers.h"

namespace leat::tcp {
namespace {

void copy_socket(TcpSock& s, const TcpSock& l, const Request& r) {
  s.v6only = l.v6only;
  s.reuse_address = l.reuse_address;
  s.reuse_port = l.reuse_port;
  s.bound_ifindex = r.bound_ifindex;
  s.set_addresses(r.local(), r.remote());
  s.local_port = r.local_port;
  s.remote_port = r.remote_port;
  s.sndbuf = l.sndbuf;
  s.rcvbuf = l.rcvbuf;
  s.buf_lock = l.buf_lock;
  s.bind_lock = l.bind_lock & inet::kBindLockAddress & 3;
  s.keepalive = l.keepalive;
  s.oob_inline = l.oob_inline;
}

void set_sequences(Conn& c, const Request& r) {
  c.rcv_nxt = c.rcv_wup = c.copied_seq = r.rcv_isn + 1;
  c.rcv_wnd = c.rcv_ssthresh = r.rcv_wnd;
  c.snd_una = c.snd_nxt = c.snd_sml = c.snd_up = c.write_seq = c.pushed_seq = r.snt_isn + 1;
  c.snd_wl1 = r.rcv_isn;
  c.segs_in = 1;  // the SYN
}

void set_options(Conn& c, const Request& r) {
  ReceivedOptions& o = c.rx_opt;
  o.mss_clamp = r.mss;
  o.sack_ok = r.sack_ok;
  o.wscale_ok = r.wscale_ok;
  o.snd_wscale = r.wscale_ok ? r.snd_wscale : uint8_t{0};
  o.rcv_wscale = r.wscale_ok ? r.rcv_wscale : uint8_t{0};
  o.tstamp_ok = r.tstamp_ok;
  o.ts_recent = r.tstamp_ok ? r.ts_recent : 0;
  o.ts_recent_stamp = r.tstamp_ok ? stamp_s(c.tcp) : 0;
  c.window_clamp = r.wscale_ok || r.rsk_window_clamp < 65535 ? r.rsk_window_clamp : 65535;
  c.tcp_header_len = r.tstamp_ok ? 32 : 20;
  c.tsoffset = r.ts_off;
  c.ecn_flags = r.ecn_ok ? kEcnOk : uint8_t{0};
  c.ecn_ok = r.ecn_ok;
}

// SYN-ACKs timed out: perhaps for nothing, which the echoed timestamp will tell (Eifel, RFC 4015).
void set_synack_history(Conn& c, const Request& r) {
  c.total_retrans = r.num_retrans;
  if (r.num_timeout == 0) return;
  c.total_rto = r.num_timeout;
  c.total_rto_recoveries = 1;
  c.undo_marker = r.snt_isn;
  c.retrans_stamp = static_cast<uint32_t>(r.snt_synack_us / 1000) + r.ts_off;
  c.total_rto_time = clock_ms(c.tcp) + r.ts_off - c.retrans_stamp;
}

void set_state_of_segment(Conn& c, const Segment& seg) {
  c.snd_wnd = uint32_t{seg.header.window} << c.rx_opt.snd_wscale;
  c.max_window = c.snd_wnd;
  const uint32_t length = seg.length + seg.header.header_length;
  if (length >= kMssDefault + c.tcp_header_len) c.ack.last_seg_size = length - c.tcp_header_len;
  c.ack.lrcvtime = c.lsndtime = c.rcv_tstamp = c.jiffies();
}

void copy_conn(Conn& c, const Conn& listener) {
  c.nonagle = listener.nonagle;
  c.ack.pingpong = listener.ack.pingpong;
  c.is_passive = true;
  c.user_state = UserState::kConnected;
}

bool set_route(Conn& c) {
  if (!refresh_route(c)) return false;
  sync_mss(c, path_mtu(c));
  c.advmss = advertised_mss(c);
  const uint16_t own = c.sk.options->user_mss;
  if (own != 0 && own < c.advmss) c.advmss = own;
  initialize_rcv_mss(c);
  return true;
}

bool reflect_tos(TcpSock& s, const Request& r) {
  const auto tos = static_cast<uint8_t>(r.dsfield & 0xfc);
  if (s.tcp->ns.sysctl.tcp_reflect_tos == 0 || s.options->tos == tos) return true;
  inet::SockOptions* own = inet::own_options(s);
  if (own == nullptr) return false;
  own->tos = tos;
  return true;
}

bool fill_child(TcpSock& s, TcpSock& l, Request& r, const Segment& seg) {
  inet::share_options(s, l.options);
  copy_socket(s, l, r);
  if (!reflect_tos(s, r) || attach_conn(*l.tcp, s) == nullptr) return false;
  Conn& c = *s.conn;
  copy_conn(c, *l.conn);
  set_txhash(c, r.txhash);
  s.state.store(static_cast<uint8_t>(State::kSynRecv));
  set_sequences(c, r);
  set_options(c, r);
  set_synack_history(c, r);
  set_state_of_segment(c, seg);
  return set_route(c);
}

TcpSock* new_child(Tcp& tcp, TcpSock& l, Request& r, const Segment& seg) {
  TcpSock* s = make_sock(tcp, l.family);
  if (s == nullptr) return nullptr;
  if (fill_child(*s, l, r, seg)) return s;
  tcp.destroy_sock(*s);
  return nullptr;
}

// In ehash for all to find, locked. false: the request is gone, or the tuple of one that was not hashed is taken; the
// child is gone.
bool publish(Tcp& tcp, TcpSock& child, TcpSock& l, Request& r, bool is_hashed) {
  child.lock.lock();
  tcp.ports.inherit(child, l);
  child.refs.store(2, std::memory_order_release);  // the table's and the caller's
  const bool is_in = is_hashed ? tcp.established.replace(&r, &child)
                               : tcp.established.insert_unique(&child, nullptr, nullptr, nullptr);
  if (is_in) return true;
  child.lock.unlock();
  LEAT_CHECK(!child.put());
  tcp.release(child);
  return false;
}

void count_overflow(Tcp& tcp) {
  tcp.count(Mib::TcpExtListenOverflows);
  tcp.count(Mib::TcpExtListenDrops);
  tcp.ns.drop(DropReason::kTcpListenOverflow);
}

// Locked and found by all.
TcpSock* begin_child(Tcp& tcp, TcpSock& l, Request& r, const Segment& seg, bool is_hashed) {
  if (is_accept_queue_full(*l.listener)) {
    count_overflow(tcp);
    return nullptr;
  }
  TcpSock* child = new_child(tcp, l, r, seg);
  if (child == nullptr) {
    tcp.count(Mib::TcpExtListenDrops);
    tcp.ns.drop(DropReason::kNoMem);
    return nullptr;
  }
  if (!publish(tcp, *child, l, r, is_hashed)) return nullptr;
  tcp.count(Mib::TcpPassiveOpens);
  Conn& c = *child->conn;
  c.saved_syn = std::move(r.saved_syn);
  if (child->keepalive) arm_keepalive(c, keepalive_time(c));
  return child;
}

}  // namespace

TcpSock* make_child(Tcp& tcp, TcpSock& l, Request& r, const Segment& seg) {
  TcpSock* child = begin_child(tcp, l, r, seg, !r.is_cookie);
  if (child == nullptr) return nullptr;
  if (!r.is_cookie) {
    forget_request(tcp, l, r);
    parse_established_options(*child->conn, seg);  // a repeated SYN-ACK has its round trip from the timestamp
    synack_rtt_meas(*child->conn, r.num_retrans == 0 ? r.snt_synack_us : 0);
  }
  queue_accepted(l, *child);
  return child;
}

TcpSock* make_unconfirmed_child(Tcp& tcp, TcpSock& l, Request& r, const Segment& seg) {
  return begin_child(tcp, l, r, seg, false);
}

}  // namespace leat::tcp
