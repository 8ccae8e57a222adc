// "SEGMENT ARRIVES" of all states but LISTEN and SYN_SENT (RFC 9293 §3.10.7.4), step by step. The acts are in the other
// rooms: ack.cpp, receive.cpp, reassembly.cpp, ack_policy.cpp, close.cpp.
#include "tcp/input.h"

#include <sys/epoll.h>

#include <algorithm>
#include <optional>

#include "tcp/active.h"
#include "tcp/doors.h"
#include "tcp/fastopen.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

// What may follow the handshake: header flags that carry no command but ACK and PSH, the window as it was, the next
// bytes in sequence (Linux's header prediction). The counters, a shortcut in process_ack and take_predicted_data
// depend on it.
bool is_predicted(const Conn& c, const Segment& seg) {
  constexpr uint8_t kIgnored = wire::kTcpPsh;
  if (!c.may_predict || (seg.header.flags & ~kIgnored) != wire::kTcpAck) return false;
  if (seg.header.header_length != c.tcp_header_len || seg.seq != c.rcv_nxt || after(seg.ack, c.snd_nxt)) return false;
  if (static_cast<uint32_t>(seg.header.window) << c.rx_opt.snd_wscale != c.snd_wnd) return false;
  if (seg.length != 0 && static_cast<int32_t>(seg.packet->truesize) > c.forward_alloc) return false;
  if (c.rx_opt.tstamp_ok) {
    if (!seg.options().has_timestamp || seg.options().sack_count != 0) return false;
    if (static_cast<int32_t>(seg.options().tsval - c.rx_opt.ts_recent) < 0) return false;
  }
  return true;
}

bool may_update_window(const Conn& c, const Segment& seg) {
  const uint32_t nwin = static_cast<uint32_t>(seg.header.window) << c.rx_opt.snd_wscale;
  return after(seg.ack, c.snd_una) || after(seg.seq, c.snd_wl1) ||
         (seg.seq == c.snd_wl1 && (nwin > c.snd_wnd || nwin == 0));
}

// A pure duplicate ACK that was overtaken on the way is old news, not an attack (RFC 7323 §5.3 would drop it).
// Nothing: it is just that. Otherwise why not.
std::optional<DropReason> why_not_disordered_ack(const Conn& c, const Segment& seg) {
  if (!seg.header.has_ack() || seg.seq != seg.end_seq) return DropReason::kTcpPaws;
  if (seg.seq != c.rcv_nxt) return before(seg.seq, c.rcv_nxt) ? DropReason::kTcpPawsAck : DropReason::kTcpPaws;
  if (seg.ack != c.snd_una || may_update_window(c, seg)) return DropReason::kTcpPaws;
  const auto replay_ms = static_cast<int32_t>(c.rto.ms() * 1200 / 1000);
  if (static_cast<int32_t>(c.rx_opt.ts_recent - c.rx_opt.rcv_tsval) > replay_ms) return DropReason::kTcpPaws;
  return std::nullopt;
}

Verdict reject_by_paws(Conn& c, Segment& seg, DropReason reason) {
  Tcp& tcp = c.tcp;
  if (seg.header.syn()) {
    tcp.count(Mib::TcpExtTCPSYNChallenge);
    send_challenge_ack(c);
    return Verdict::drop(DropReason::kTcpInvalidSyn);
  }
  if (reason == DropReason::kTcpPawsAck) {
    tcp.count(Mib::TcpExtPAWSOldAck);
    return Verdict::drop(reason);
  }
  tcp.count(Mib::TcpExtPAWSEstab);
  if (!is_oow_rate_limited(tcp.ns, seg, Mib::TcpExtTCPACKSkippedPAWS, c.last_oow_ack_time)) {
    send_dup_ack_with_dsack(c, seg);
  }
  return Verdict::drop(reason);
}

// RFC 9293 §3.10.7.4, the four cases of acceptability; with Linux's latitude for one segment beyond an empty queue.
std::optional<DropReason> why_outside_window(const Conn& c, const Segment& seg) {
  if (before(seg.end_seq, c.rcv_wup)) return DropReason::kTcpOldSequence;
  const Seq edge = c.rcv_nxt + c.receive_window();
  if (!after(seg.end_seq, edge)) return std::nullopt;
  if (seg.header.fin() && !after(seg.end_seq - 1, edge)) return std::nullopt;
  if (after(seg.seq, edge)) return DropReason::kTcpInvalidSequence;
  if (!c.receive_queue.is_empty()) return DropReason::kTcpInvalidEndSequence;
  return std::nullopt;
}

// A peer that closed may count its FIN differently in its RST.
bool is_reset_after_fin(const Conn& c, const Segment& seg) {
  return seg.seq == c.rcv_nxt - 1 && in_state(c.state(), {State::kCloseWait, State::kLastAck, State::kClosing});
}

Verdict be_reset(Conn& c) {
  reset_by_peer(c);
  return Verdict::drop(DropReason::kTcpReset);
}

// A Fast Open child has had this at its SYN.
void finish_handshake(Conn& c) {
  if (c.undo_marker != 0 && c.retrans_stamp != 0 && c.rx_opt.saw_tstamp && c.rx_opt.rcv_tsecr == c.retrans_stamp) {
    c.undo_marker = 0;  // the first SYN-ACK had arrived: its repetition was spurious
  }
  c.retrans_stamp = 0;
  init_transfer(c);
  c.copied_seq = c.rcv_nxt;
}

// The handshake's last ACK has come: ESTABLISHED (passive, or the end of crossed SYNs).
void finish_syn_recv(Conn& c, const Segment& seg) {
  ++c.delivered;  // the SYN-ACK
  const Request* const r = c.fastopen_request;
  if (r != nullptr && c.srtt_us == 0) synack_rtt_meas(c, r->num_retrans == 0 ? r->snt_synack_us : 0);
  if (c.rx_opt.tstamp_ok) c.advmss -= 12;
  if (r != nullptr) {
    finish_fastopen(c);
  } else {
    finish_handshake(c);
  }
  set_state(c, State::kEstablished);
  c.effects.events |= EPOLLOUT;
  c.snd_una = seg.ack;
  c.snd_wnd = static_cast<uint32_t>(seg.header.window) << c.rx_opt.snd_wscale;
  c.max_window = std::max(c.max_window, c.snd_wnd);
  c.snd_wl1 = seg.seq;
  c.may_predict = true;
  if (c.cc_algorithm->cong_control == nullptr) update_pacing_rate(c);
  c.lsndtime = c.jiffies();
  initialize_rcv_mss(c);
  if (c.sk.shutdown & inet::kSendShutdown) shutdown_send(c);
}

// FIN_WAIT1, and all that was sent is acknowledged.
Verdict enter_fin_wait2(Conn& c, const Segment& seg) {
  set_state(c, State::kFinWait2);
  c.sk.shutdown |= inet::kSendShutdown;
  if (!c.is_orphan()) {
    c.effects.events |= EPOLLOUT | EPOLLHUP;  // wakes a lingering close()
    return Verdict::go_on();
  }
  const bool has_more = seg.end_seq != seg.seq && after(seg.end_seq - (seg.header.fin() ? 1u : 0u), c.rcv_nxt);
  if (c.sk.options->linger2_s < 0 || has_more) {
    done(c);
    c.tcp.count(Mib::TcpExtTCPAbortOnData);
    return Verdict::reset(DropReason::kTcpAbortOnData);
  }
  const Duration timeout = fin_timeout(c);
  if (timeout > kTimeWaitLen) {
    arm_keepalive(c, timeout - kTimeWaitLen);
  } else if (seg.header.fin()) {
    arm_keepalive(c, timeout);  // the FIN itself is yet to be processed here
  } else {
    enter_time_wait(c, State::kFinWait2, timeout);
    return Verdict::consumed();
  }
  return Verdict::go_on();
}

Verdict advance_state_by_ack(Conn& c, const Segment& seg) {
  switch (c.state()) {
    case State::kSynRecv:
      finish_syn_recv(c, seg);
      return Verdict::go_on();
    case State::kFinWait1:
      if (c.fastopen_request != nullptr) finish_fastopen(c);
      return c.snd_una == c.write_seq ? enter_fin_wait2(c, seg) : Verdict::go_on();
    case State::kClosing:
      if (c.snd_una != c.write_seq) return Verdict::go_on();
      enter_time_wait(c, State::kTimeWait, kTimeWaitLen);
      return Verdict::consumed();
    case State::kLastAck:
      if (c.snd_una != c.write_seq) return Verdict::go_on();
      done(c);
      return Verdict::consumed();
    default:
      return Verdict::go_on();
  }
}

Verdict check_ack_field(Conn& c, Segment& seg) {
  const bool established = c.state() == State::kEstablished;
  uint32_t flag = kFlagSlowPath | kFlagUpdateTsRecent;
  if (!established) flag |= kFlagNoChallengeAck;
  const AckResult r = process_ack(c, seg, flag);
  if (established) {
    if (r == AckResult::kInvalid) return Verdict::drop(DropReason::kTcpAckUnsentData);
    if (r == AckResult::kChallenged) return Verdict::drop(DropReason::kTcpTooOldAck);
    return Verdict::go_on();
  }
  if (c.state() == State::kSynRecv && r != AckResult::kAcceptable) {
    return Verdict::reset(r == AckResult::kOld ? DropReason::kTcpOldAck : DropReason::kTcpInvalidAckSequence);
  }
  if (r == AckResult::kInvalid || r == AckResult::kChallenged) {
    send_challenge_ack(c);
    return Verdict::drop(DropReason::kTcpInvalidAckSequence);
  }
  return advance_state_by_ack(c, seg);
}

// RFC 1122 §4.2.2.13: data for a reader who has gone is answered with RST.
bool is_data_for_nobody(const Conn& c, const Segment& seg) {
  return (c.sk.shutdown & inet::kRcvShutdown) && seg.end_seq != seg.seq &&
         after(seg.end_seq - (seg.header.fin() ? 1u : 0u), c.rcv_nxt);
}

Verdict process_text(Conn& c, Segment& seg) {
  switch (c.state()) {
    case State::kCloseWait:
    case State::kClosing:
    case State::kLastAck:
      if (!before(seg.seq, c.rcv_nxt)) return Verdict::go_on();
      [[fallthrough]];
    case State::kFinWait1:
    case State::kFinWait2:
      if (is_data_for_nobody(c, seg)) {
        c.tcp.count(Mib::TcpExtTCPAbortOnData);
        reset_by_peer(c);
        return Verdict::reset(DropReason::kTcpAbortOnData);
      }
      [[fallthrough]];
    case State::kEstablished:
      // A duplicate that is yet to be reported is forgotten for other data, but not for what was expected.
      if (seg.seq != seg.end_seq) c.has_dsack = false;
      process_data(c, seg);
      return Verdict::go_on();
    default:
      return Verdict::go_on();
  }
}

void measure_rcv_rtt_by_timestamp(Conn& c, const Segment& seg) {
  if (c.rx_opt.rcv_tsecr == c.rcv_rtt_last_tsecr || !c.rx_opt.saw_tstamp) return;
  c.rcv_rtt_last_tsecr = c.rx_opt.rcv_tsecr;
  if (seg.end_seq - seg.seq < c.ack.rcv_mss) return;
  if (const int64_t us = tsopt_rtt_us(c, 0); us > 0) update_rcv_rtt(c, static_cast<uint32_t>(us), false);
}

// The next bytes, and nothing unusual: as in Linux they are queued before their ACK is looked at, and an ACK that says
// nothing new is not looked at, so that it is no sign of life of the peer's (tcpi_last_ack_recv) and does not let go
// what waits to be sent.
Verdict take_predicted_data(Conn& c, Segment& seg) {
  measure_rcv_rtt_by_timestamp(c, seg);
  c.tcp.count(Mib::TcpExtTCPHPHits);
  queue_in_order(c, seg);
  c.effects.check_ack = true;
  if (seg.ack == c.snd_una) {
    c.snd_wl1 = seg.seq;
    return Verdict::consumed();
  }
  (void)process_ack(c, seg, kFlagData);
  c.effects.send_data = c.effects.check_space = true;
  return Verdict::consumed();
}

// An ACK alone, as expected; even one that is too old lets go what waits to be sent.
Verdict take_predicted_ack(Conn& c, Segment& seg) {
  (void)process_ack(c, seg, 0);
  c.rcv_rtt_last_tsecr = c.rx_opt.rcv_tsecr;
  c.effects.send_data = c.effects.check_space = true;
  return Verdict::consumed();
}

}  // namespace

void check_prediction(Conn& c) {
  const bool has_room = c.rcv_wnd != 0 && c.rmem_alloc < static_cast<uint32_t>(c.sk.rcvbuf);
  if (c.out_of_order.is_empty() && has_room && c.urg_data == 0) c.may_predict = true;
}

Verdict on_segment(Conn& c, Segment& seg) {
  parse_established_options(c, seg);
  if (c.fastopen_request != nullptr && !check_fastopen_segment(c, seg)) return Verdict::consumed();
  const bool predicted = is_predicted(c, seg);
  if (!seg.header.has_ack() && !seg.header.rst() && !seg.header.syn()) return Verdict::drop(DropReason::kTcpFlags);
  if (Verdict v = check_sequence(c, seg); !v.is_continue()) return v;  // first
  if (Verdict v = check_reset(c, seg); !v.is_continue()) return v;     // second; third is obsolete
  if (Verdict v = check_syn(c, seg); !v.is_continue()) return v;       // fourth
  const bool was_established = c.state() == State::kEstablished;
  // What is predicted needs no look at its ACK before its timestamp is taken.
  if (predicted && was_established) {
    replace_ts_recent(c, seg.seq);
    return seg.length != 0 ? take_predicted_data(c, seg) : take_predicted_ack(c, seg);
  }
  if (Verdict v = check_ack_field(c, seg); !v.is_continue()) return v;  // fifth
  if (c.state() == State::kClose) return Verdict::consumed();
  if (was_established) measure_rcv_rtt_by_timestamp(c, seg);
  process_urgent(c, seg);  // sixth
  Conn* const self = &c;
  TcpSock& sk = c.sk;
  if (Verdict v = process_text(c, seg); !v.is_continue()) return v;  // seventh, and eighth: process_fin
  if (sk.conn == self && c.state() != State::kClose) {
    c.effects.send_data = c.effects.check_space = c.effects.check_ack = true;
  }
  return Verdict::consumed();
}

void parse_established_options(Conn& c, const Segment& seg) {
  const wire::TcpOptions& o = seg.options();
  c.rx_opt.saw_tstamp = o.has_timestamp && c.rx_opt.tstamp_ok;
  if (!c.rx_opt.saw_tstamp) return;
  c.rx_opt.rcv_tsval = o.tsval;
  c.rx_opt.rcv_tsecr = o.tsecr;  // on the offset clock, as timestamp_now() is
}

bool paws_discard(const ReceivedOptions& o, uint32_t now_s) {
  if (static_cast<int32_t>(o.ts_recent - o.rcv_tsval) <= kPawsWindow) return false;
  if (static_cast<int32_t>(now_s - (o.ts_recent_stamp + kPawsWrap)) >= 0) return false;
  return o.ts_recent != 0;
}

Verdict check_sequence(Conn& c, Segment& seg) {
  // RFC 7323 §5.3 R1: the timestamp first. A RST needs none.
  if (c.rx_opt.saw_tstamp && !seg.header.rst() &&
      paws_discard(c.rx_opt, static_cast<uint32_t>(c.mstamp_us / 1000000))) {
    if (auto reason = why_not_disordered_ack(c, seg)) return reject_by_paws(c, seg, *reason);
  }
  const auto reason = why_outside_window(c, seg);
  if (!reason) return Verdict::go_on();
  if (seg.header.rst()) return is_reset_after_fin(c, seg) ? be_reset(c) : Verdict::drop(*reason);
  if (seg.header.syn()) {
    if (c.state() == State::kEstablished) c.tcp.count(Mib::TcpInErrs);
    c.tcp.count(Mib::TcpExtTCPSYNChallenge);
    send_challenge_ack(c);
    return Verdict::drop(DropReason::kTcpInvalidSyn);
  }
  if (*reason != DropReason::kTcpOldSequence) c.tcp.count(Mib::TcpExtBeyondWindow);
  if (!is_oow_rate_limited(c.tcp.ns, seg, Mib::TcpExtTCPACKSkippedSeq, c.last_oow_ack_time)) {
    send_dup_ack_with_dsack(c, seg);
  }
  return Verdict::drop(*reason);
}

// RFC 5961 §3.2: only the very next sequence number resets; anything else in the window is asked back.
Verdict check_reset(Conn& c, Segment& seg) {
  if (!seg.header.rst()) return Verdict::go_on();
  if (seg.seq == c.rcv_nxt || is_reset_after_fin(c, seg)) return be_reset(c);
  if (c.rx_opt.sack_ok && c.rx_opt.num_sacks > 0) {  // the peer may take the end of what we sacked for rcv_nxt
    Seq highest = c.selective_acks[0].end;
    for (size_t i = 1; i < c.rx_opt.num_sacks; ++i)
      highest = seq_max(highest, c.selective_acks[i].end);
    if (seg.seq == highest) return be_reset(c);
  }
  // All that has come is this: perhaps a middlebox does not bear Fast Open.
  if (c.syn_fastopen && c.data_segs_in == 0 && c.state() == State::kEstablished) disable_fastopen(c);
  send_challenge_ack(c);
  return Verdict::drop(DropReason::kTcpReset);
}

// RFC 5961 §4.2: a SYN in a synchronised state is never believed at once.
Verdict check_syn(Conn& c, Segment& seg) {
  if (!seg.header.syn()) return Verdict::go_on();
  // The SYN-ACK of a connection to itself, or of crossed SYNs.
  if (c.state() == State::kSynRecv && seg.header.has_ack() && seg.seq + 1 == c.rcv_nxt && seg.ack == c.snd_nxt) {
    return Verdict::go_on();
  }
  if (c.state() == State::kEstablished) c.tcp.count(Mib::TcpInErrs);
  c.tcp.count(Mib::TcpExtTCPSYNChallenge);
  send_challenge_ack(c);
  return Verdict::drop(DropReason::kTcpInvalidSyn);
}

// At most one answer each tcp_invalid_ratelimit ms to segments that only a broken or lying peer sends. Data never
// count.
bool is_oow_rate_limited(Netns& ns, const Segment& seg, Mib counter, uint32_t& last_oow_ack_time) {
  if (seg.seq != seg.end_seq && !seg.header.syn()) return false;
  const uint32_t now = ns.now().jiffies();
  if (last_oow_ack_time != 0) {
    const auto elapsed = static_cast<int32_t>(now - last_oow_ack_time);
    if (elapsed >= 0 && elapsed < ns.sysctl.tcp_invalid_ratelimit) {
      ns.count(counter);
      return true;
    }
  }
  last_oow_ack_time = now != 0 ? now : 1;
  return false;
}

// RFC 5961 §7: challenge ACKs are limited for the connection and for the whole namespace.
void send_challenge_ack(Conn& c) {
  Tcp& tcp = c.tcp;
  const uint32_t now = c.jiffies();
  if (c.last_oow_ack_time != 0) {
    const auto elapsed = static_cast<int32_t>(now - c.last_oow_ack_time);
    if (elapsed >= 0 && elapsed < tcp.ns.sysctl.tcp_invalid_ratelimit) {
      tcp.count(Mib::TcpExtTCPACKSkippedChallenge);
      return;
    }
  }
  c.last_oow_ack_time = now != 0 ? now : 1;
  const auto limit = static_cast<uint32_t>(tcp.ns.sysctl.tcp_challenge_ack_limit);
  if (limit != 0x7fffffff) {
    const auto second = static_cast<uint32_t>(tcp.now().ns() / 1'000'000'000);
    if (tcp.challenge_timestamp.exchange(second, std::memory_order_relaxed) != second) {
      tcp.challenge_count.store(limit / 2 + tcp.ns.rng.below(limit), std::memory_order_relaxed);
    }
    const uint32_t left = tcp.challenge_count.load(std::memory_order_relaxed);
    if (left == 0) return;
    tcp.challenge_count.store(left - 1, std::memory_order_relaxed);
  }
  tcp.count(Mib::TcpExtTCPChallengeACK);
  send_ack(c);
}

}  // namespace leat::tcp
