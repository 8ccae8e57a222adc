// A child of Fast Open: a connection in SYN_RECV (or already FIN_WAIT1) that has the SYN's data to read and may send.
// Its Request stays with it, unhashed, until the handshake is over: SYN-ACKs are made of it, and segments are first
// judged as those of a request are (Linux's tcp_fastopen_create_child, tcp_check_req, tcp_fastopen_synack_timer).
#include <sys/epoll.h>

#include "tcp/active.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"
#include "tcp/timers.h"

namespace leat::tcp {

TcpSock* make_fastopen_child(Tcp& tcp, TcpSock& listener, Request& r, Segment& seg) {
  FastOpenQueue* q = listener.conn->fastopen_queue;
  TcpSock* child = make_unconfirmed_child(tcp, listener, r, seg);
  if (child == nullptr) return nullptr;
  q->refs.fetch_add(1, std::memory_order_relaxed);
  r.fastopen_queue = q;
  Conn& c = *child->conn;
  {
    Guard guard(q->lock);
    ++q->qlen;
    c.fastopen_request = &r;
  }
  r.refs.store(1, std::memory_order_release);
  c.syn_fastopen_child = true;
  c.snd_wnd = c.max_window = seg.header.window;  // never scaled on a SYN (RFC 7323 §2.2)
  arm_loss_timer(c, LossTimer::kRetransmit, kTimeoutInit);
  init_transfer(c);
  queue_syn_data(c, seg);
  r.rcv_nxt = c.rcv_wup = c.rcv_nxt;
  return child;
}

// The first bytes of a stream: nothing can be ahead of them, and the window has room for them by its definition.
void queue_syn_data(Conn& c, Segment& seg) {
  if (seg.end_seq == c.rcv_nxt || seg.packet == nullptr) return;
  if (c.is_passive) ++c.data_segs_in;
  Packet& p = *seg.packet;
  RxSegment& r = make_rx_segment(p);
  r.seq = seg.seq + 1;
  r.end_seq = seg.end_seq;
  r.flags = static_cast<uint8_t>(seg.header.flags & ~wire::kTcpSyn);
  r.dsfield = seg.dsfield;
  reserve_memory(c, p.truesize);
  charge_received(c, p.truesize);
  c.rcv_nxt = seg.end_seq;
  c.bytes_received = seg.end_seq - r.seq;
  c.receive_queue.push_back(std::move(seg.packet));
  c.syn_data_acked = true;
  c.effects.events |= EPOLLIN | EPOLLRDNORM;
  if (seg.header.fin()) process_fin(c);
}

// ---- a segment ----

namespace {

struct Stamp {
  bool saw = false;
  bool is_old = false;  // PAWS
  uint32_t tsval = 0;
};

Stamp stamp_of(const Conn& c, const Request& r, const Segment& seg) {
  const wire::TcpOptions& o = seg.options();
  if (!o.has_timestamp || c.tcp.ns.sysctl.tcp_timestamps == 0) return {};
  const auto age = static_cast<uint32_t>(request_timeout(r).s());
  const bool old = is_paws_reject(r.ts_recent, stamp_s(c.tcp) - age, o.tsval, seg.header.rst(), stamp_s(c.tcp));
  return {true, old, o.tsval};
}

// The SYN came again: the SYN-ACK was lost, or has not arrived yet.
void on_syn_again(Conn& c, Request& r, const Segment& seg) {
  if (is_oow_rate_limited(c.tcp.ns, seg, Mib::TcpExtTCPACKSkippedSynRecv, r.last_oow_ack_time)) return;
  if (resend_synack(c.tcp, c.sk, r)) ++c.total_retrans;
}

void on_outside(Conn& c, Request& r, const Segment& seg, bool is_old) {
  Tcp& tcp = c.tcp;
  const bool answer =
      !seg.header.rst() && !is_oow_rate_limited(tcp.ns, seg, Mib::TcpExtTCPACKSkippedSynRecv, r.last_oow_ack_time);
  if (answer) send_request_ack(tcp, c.sk, r, seg, c.snd_nxt);
  if (is_old) tcp.count(Mib::TcpExtPAWSEstab);
  tcp.ns.drop(is_old ? DropReason::kTcpPaws : DropReason::kTcpOverwindow);
}

void on_end(Conn& c, const Segment& seg) {
  c.tcp.count(Mib::TcpAttemptFails);
  if (!seg.header.rst()) {
    send_reset_for(c.tcp, c.sk.tuple(), seg);
    return;
  }
  remove_fastopen_request(c, true);
  reset_by_peer(c);
}

}  // namespace

// The ACK field is not looked at here: data may have been sent already, so it is judged by the connection.
bool check_fastopen_segment(Conn& c, Segment& seg) {
  Request& r = *c.fastopen_request;
  const Stamp stamp = stamp_of(c, r, seg);
  uint8_t flags = seg.header.flags & (wire::kTcpSyn | wire::kTcpAck | wire::kTcpRst);
  if (seg.seq == r.rcv_isn && flags == wire::kTcpSyn && !stamp.is_old) {
    on_syn_again(c, r, seg);
    return false;
  }
  if (stamp.is_old || !is_in_window(seg.seq, seg.end_seq, r.rcv_nxt, r.rcv_nxt + synack_window(r))) {
    on_outside(c, r, seg, stamp.is_old);
    return false;
  }
  if (stamp.saw && !after(seg.seq, r.rcv_nxt)) r.ts_recent = stamp.tsval;
  if (seg.seq == r.rcv_isn) flags &= static_cast<uint8_t>(~wire::kTcpSyn);  // the SYN itself lies before the window
  if ((flags & (wire::kTcpRst | wire::kTcpSyn)) != 0) {
    on_end(c, seg);
    return false;
  }
  if ((flags & wire::kTcpAck) != 0) return true;
  c.tcp.ns.drop(DropReason::kTcpFlags);
  return false;
}

// ---- time ----

namespace {

// One more than of an ordinary request: the SYN had data to carry, too.
uint32_t synack_tries(const Conn& c) {
  const uint8_t own = c.sk.options->syncnt;
  return own != 0 ? own : c.tcp.ns.sysctl.tcp_synack_retries.as<uint32_t>() + 1;
}

}  // namespace

// Nothing but the SYN-ACK is sent again before the peer has answered it.
void on_synack_timer(Conn& c) {
  Request& r = *c.fastopen_request;
  c.tcp.count(Mib::TcpExtTCPTimeouts);
  if (r.num_timeout >= synack_tries(c)) return write_error(c);
  if (c.retransmits == 1) enter_loss(c);
  if (resend_synack(c.tcp, c.sk, r)) ++c.total_retrans;
  if (r.num_timeout < 255) ++r.num_timeout;
  count_rto(c);
  if (c.retrans_stamp == 0) c.retrans_stamp = timestamp_now(c);
  arm_loss_timer(c, LossTimer::kRetransmit, request_timeout(r));
}

// The peer has answered.
void finish_fastopen(Conn& c) {
  if (c.ca_state == CaState::kLoss && c.packets_out == 0) try_undo_recovery(c);
  update_rto_time(c);
  c.retransmits = 0;
  if (!any_retransmission_done(c)) c.retrans_stamp = 0;
  remove_fastopen_request(c, false);
  rearm_rto(c);
}

}  // namespace leat::tcp
