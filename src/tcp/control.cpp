// Segments without data: ACK, FIN, RST, SYN, zero-window and keepalive probes.
#include <algorithm>

#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

// RFC 9293 §3.10.7.4: outside the window nothing is believed; snd_nxt may lie there when the peer has shrunk it.
Seq acceptable_seq(const Conn& c) {
  const Seq end = c.wnd_end();
  if (!before(end, c.snd_nxt)) return c.snd_nxt;
  if (c.rx_opt.wscale_ok && c.snd_nxt - end < (1u << c.rx_opt.rcv_wscale)) return c.snd_nxt;
  return end;
}

int send_probe_segment(Conn& c, bool urgent, Mib counter) {
  c.tcp.count(counter);
  return transmit_control(c, c.snd_una - (urgent ? 0u : 1u), wire::kTcpAck);
}

Duration persist_base(const Conn& c) {
  return std::max(c.rto, Duration::from_ms(200));
}

Duration persist_when(const Conn& c) {
  int shift = std::min<int>(c.backoff, 10);
  Duration when = persist_base(c);
  while (shift-- > 0 && when < rto_max(c))
    when = when * 2;
  return std::min(when, rto_max(c));
}

// Not beyond the moment at which TCP_USER_TIMEOUT gives up.
Duration clamp_to_user_timeout(const Conn& c, Duration when) {
  const uint32_t user_ms = c.sk.options->user_timeout_ms;
  if (user_ms == 0 || c.probes_since == 0) return when;
  const int64_t elapsed = c.jiffies() - c.probes_since;
  const int64_t limit = c.whole_jiffies(uint64_t{user_ms} * 1000);
  const int64_t remaining = std::max(limit - elapsed, kTimeoutMin.ms());
  return std::min(when, Duration::from_ms(remaining));
}

}  // namespace

void send_ack_for(Conn& c, Seq rcv_nxt) {
  if (c.state() == State::kClose) return;
  (void)rcv_nxt;
  if (transmit_control(c, acceptable_seq(c), wire::kTcpAck) != ENOBUFS) return;
  // No memory: try again later, and again later than that.
  c.ack.pending |= kAckScheduled | kAckTimer;
  const Duration delay = std::min(delack_max(c) << std::min<int>(c.ack.retry, 10), rto_max(c));
  if (delay < rto_max(c)) ++c.ack.retry;
  c.ack.ato = kAtoMin;
  arm_delack(c, delay);
}

void send_ack(Conn& c) {
  send_ack_for(c, c.rcv_nxt);
}

TxSegment* make_queued_segment(Conn& c, uint8_t flags) {
  PacketPtr p = c.tcp.pool.make(0, 0);
  if (p == nullptr) return nullptr;
  p->truesize = c.tcp.pool.charges.tx_overhead;
  TxSegment& t = make_tx_segment(*p);
  t.seq = t.end_seq = c.write_seq;
  t.flags = flags;
  reserve_memory(c, p->truesize);
  charge_to_send(c, p->truesize);
  const bool was_empty = !c.has_unsent();
  c.write_queue.push_back(p.release());
  if (was_empty && !(flags & wire::kTcpSyn)) chrono_start(c, 1);  // a handshake is not sending
  return &t;
}

void send_fin(Conn& c) {
  Packet* tail = c.write_queue.back();
  TxSegment* t = tail != nullptr ? &tx_segment(*tail) : nullptr;
  if (t == nullptr) t = make_queued_segment(c, wire::kTcpAck);
  if (t == nullptr) {
    // Memory is out. The last sent segment takes the FIN along when it is sent again; it must not be forgotten.
    t = c.rtx_queue.last();
    if (t == nullptr) {
      send_active_reset(c);
      return;
    }
    t->flags |= wire::kTcpFin;
    ++t->end_seq;
    ++c.write_seq;
    ++c.snd_nxt;
    return;
  }
  t->flags |= wire::kTcpFin;
  ++t->end_seq;
  ++c.write_seq;
  refresh_time(c);
  push_pending(c, current_mss(c), kNagleOff);
}

void send_active_reset(Conn& c) {
  refresh_time(c);
  c.tcp.count(Mib::TcpOutRsts);
  (void)transmit_control(c, acceptable_seq(c), wire::kTcpAck | wire::kTcpRst);  // nothing to be done if it is lost
}

Result<void> send_syn(Conn& c, SynData* data) {
  refresh_time(c);
  uint8_t flags = wire::kTcpSyn;
  const auto ecn = c.tcp.ns.sysctl.tcp_ecn.as<int>();
  if (ecn == 1 || (c.cc_algorithm->flags & cc::kNeedsEcn)) {  // RFC 3168 §6.1.1
    flags |= wire::kTcpEce | wire::kTcpCwr;
    c.ecn_flags = kEcnOk;
  }
  TxSegment* t = make_queued_segment(c, flags);
  if (t == nullptr) return err(ENOBUFS);
  ++t->end_seq;
  ++c.write_seq;
  c.retrans_stamp = timestamp_now(c);
  const int error = data != nullptr ? send_fastopen_syn(c, *t, *data) : transmit_segment(c, *t, true);
  PacketList::erase(&t->packet());
  c.rtx_queue.insert(t);
  c.packets_out += 1;
  if (c.highest_sack == nullptr) c.highest_sack = t;
  const TxSegment* unsent = c.send_head();  // Fast Open's data, if it could not be sent
  c.snd_nxt = c.pushed_seq = unsent != nullptr ? unsent->seq : c.write_seq;
  c.tcp.count(Mib::TcpActiveOpens);
  arm_loss_timer(c, LossTimer::kRetransmit, c.rto);
  if (error == ECONNREFUSED) return err(error);
  return {};
}

// Both ends have sent a SYN (RFC 9293 §3.5, figure 7): ours goes out again with an ACK.
bool send_synack_of_sync_open(Conn& c) {
  TxSegment* t = c.rtx_head();
  if (t == nullptr || !(t->flags & wire::kTcpSyn)) return false;
  refresh_time(c);
  t->flags |= wire::kTcpAck;
  if (!(c.ecn_flags & kEcnOk)) {
    t->flags &= static_cast<uint8_t>(~(wire::kTcpEce | wire::kTcpCwr));
  } else {
    t->flags = static_cast<uint8_t>((t->flags | wire::kTcpEce) & ~wire::kTcpCwr);
  }
  return transmit_segment(c, *t, true) == 0;
}

void arm_persist(Conn& c) {
  arm_loss_timer(c, LossTimer::kPersist, clamp_to_user_timeout(c, persist_when(c)));
}

void arm_first_persist(Conn& c) {
  arm_loss_timer(c, LossTimer::kPersist, persist_base(c));
}

void send_probe0(Conn& c) {
  const int error = write_wakeup(c, Mib::TcpExtTCPWinProbe);
  if (c.packets_out != 0 || !c.has_unsent()) {
    c.probes_out = 0;
    c.backoff = 0;
    c.probes_since = 0;
    return;
  }
  if (c.probes_out < 255) ++c.probes_out;
  if (error == 0) {
    if (c.backoff < c.tcp.ns.sysctl.tcp_retries2) ++c.backoff;
    arm_persist(c);
  } else {
    arm_loss_timer(c, LossTimer::kPersist, clamp_to_user_timeout(c, kResourceProbeInterval));
  }
}

// What the window takes of new data, or a segment below it that the peer must answer.
int write_wakeup(Conn& c, Mib counter) {
  if (c.state() == State::kClose) return EPIPE;
  refresh_time(c);
  TxSegment* t = c.send_head();
  if (t == nullptr || !before(t->seq, c.wnd_end())) {
    if (c.urg_mode && between(c.snd_up, c.snd_una + 1, c.snd_una + 0xffff)) send_probe_segment(c, true, counter);
    return send_probe_segment(c, false, counter);
  }
  const uint32_t mss = current_mss(c);
  uint32_t size = c.wnd_end() - t->seq;
  if (before(c.pushed_seq, t->end_seq)) c.pushed_seq = t->end_seq;
  if (size < t->end_seq - t->seq || t->length() > mss) {
    size = std::min(size, mss);
    t->flags |= wire::kTcpPsh;
    if (!fragment(c, false, *t, size, mss)) return ENOMEM;
  } else {
    set_segs(*t, mss);
  }
  t->flags |= wire::kTcpPsh;
  const int error = transmit_segment(c, *t, true);
  if (error == 0) new_data_sent(c, *t);
  return error;
}

}  // namespace leat::tcp
