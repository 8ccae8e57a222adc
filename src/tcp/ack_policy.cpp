// When to acknowledge: quick at the start, then every second segment or after a delay that adapts to the session
// (RFC 1122 §4.2.3.2, RFC 5681 §4.2), compressed while the queue has holes.
#include <algorithm>
#include <utility>

#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {

bool in_pingpong(const Conn& c) {
  return c.ack.pingpong >= c.tcp.ns.sysctl.tcp_pingpong_thresh;
}

namespace {

bool in_quickack_mode(const Conn& c) {
  return (c.has_route && c.route.quickack) || (c.ack.quick != 0 && !in_pingpong(c));
}

// Enough has arrived for an ACK, and it would tell something: a full segment, and the window moves with it.
bool is_ack_due(Conn& c) {
  if (c.rcv_nxt - c.rcv_wup <= c.ack.rcv_mss) return false;
  const auto lowat = static_cast<uint32_t>(std::max(c.sk.options->rcvlowat, 1));
  return c.rcv_nxt - c.copied_seq < lowat || select_new_window(c) >= c.rcv_wnd;
}

void compress_ack(Conn& c) {
  if (c.compressed_ack < 255) ++c.compressed_ack;
  if (c.deadlines.compressed_ack != Time::never()) return;
  // A twentieth of the RTT, at most tcp_comp_sack_delay_ns; then the slack, for who has nothing else to wake for.
  uint32_t rtt = c.rcv_rtt_us;
  if (c.srtt_us != 0 && c.srtt_us < rtt) rtt = c.srtt_us;
  const auto& sys = c.tcp.ns.sysctl;
  const int64_t delay = std::min<int64_t>(sys.tcp_comp_sack_delay_ns, static_cast<int64_t>(rtt) * (1000 >> 3) / 20);
  const auto slack = std::min(int64_t{sys.tcp_comp_sack_slack_ns}, Duration::from_s(1).ns());
  arm_compressed_ack(c, Duration::from_ns(delay + slack));
}

}  // namespace

void schedule_ack(Conn& c) {
  c.ack.pending |= kAckScheduled;
}

void check_ack(Conn& c) {
  if (is_ack_due(c) || in_quickack_mode(c) || (c.ack.pending & kAckNow)) {
    send_ack(c);
    return;
  }
  if (c.out_of_order.is_empty()) {
    send_delayed_ack(c);
    return;
  }
  if (c.is_reno() || c.compressed_ack >= c.tcp.ns.sysctl.tcp_comp_sack_nr) {
    send_ack(c);
    return;
  }
  if (c.compressed_ack_rcv_nxt != c.rcv_nxt) {
    c.compressed_ack_rcv_nxt = c.rcv_nxt;
    c.dup_ack_counter = 0;
  }
  if (c.dup_ack_counter < kFastRetransThresh) {  // the sender's fast retransmit needs the first three
    ++c.dup_ack_counter;
    send_ack(c);
    return;
  }
  compress_ack(c);
}

namespace {

int64_t jiffy_of(const Conn& c, Time t) {
  return t.ms() & static_cast<int32_t>(c.jiffy_mask);
}

// Half of a time in jiffies.
Duration half(const Conn& c, Duration d) {
  return Duration::from_ms((d.ms() >> 1) & static_cast<int32_t>(c.jiffy_mask));
}

// When a timer of no jiffies fires: a FIN without data before it is acknowledged then, and whoever closes meanwhile
// takes the acknowledgement along.
Time next_tick(const Conn& c) {
  const auto a_jiffy = static_cast<int64_t>(c.whole_jiffies(1));
  return Time::from_us((jiffy_of(c, c.tcp.now()) + a_jiffy) * 1000);
}

}  // namespace

void send_delayed_ack(Conn& c) {
  Duration ato = c.ack.ato;
  if (ato > kDelackMin) {
    Duration most = Duration::from_ms(500);
    if (in_pingpong(c) || (c.ack.pending & kAckPushed)) most = kDelackMax;
    if (c.srtt_us != 0) most = std::min(most, std::max(Duration::from_ms(c.whole_jiffies(c.srtt_us >> 3)), kDelackMin));
    ato = std::min(ato, most);
  }
  ato = std::min(ato, delack_max(c));
  Time at = c.tcp.now() + ato;
  if (ato == Duration{}) at = next_tick(c);
  if (c.ack.pending & kAckTimer) {
    if (jiffy_of(c, c.deadlines.delack) <=
        jiffy_of(c, c.tcp.now()) + (ato / 4).ms()) {  // about to expire: now is as good
      send_ack(c);
      return;
    }
    at = std::min(at, c.deadlines.delack);
  }
  c.ack.pending |= kAckScheduled | kAckTimer;
  arm_delack(c, at - c.tcp.now());
}

void flush_compressed_acks(Conn& c) {
  if (c.compressed_ack == 0) return;
  disarm_compressed_ack(c);
  c.tcp.count(Mib::TcpExtTCPAckCompressed, c.compressed_ack - 1u);  // one leaves after all
  c.compressed_ack = 0;
  send_ack(c);
}

void incr_quickack(Conn& c, uint32_t max_quickacks) {
  uint32_t quickacks = c.rcv_wnd / (2 * std::max<uint32_t>(c.ack.rcv_mss, 1));
  if (quickacks == 0) quickacks = 2;
  quickacks = std::min(quickacks, max_quickacks);
  if (quickacks > c.ack.quick) c.ack.quick = static_cast<uint8_t>(quickacks);
}

void enter_quickack_mode(Conn& c, uint32_t max_quickacks) {
  incr_quickack(c, max_quickacks);
  c.ack.pingpong = 0;
  c.ack.ato = kAtoMin;
}

void on_ack_sent(Conn& c, Seq rcv_nxt) {
  if (c.compressed_ack != 0) {
    c.tcp.count(Mib::TcpExtTCPAckCompressed, c.compressed_ack);
    c.compressed_ack = 0;
    disarm_compressed_ack(c);
  }
  if (rcv_nxt != c.rcv_nxt) return;
  if (c.ack.quick != 0) {
    const uint8_t used = c.ack.pending & kAckScheduled ? 1 : 0;
    if (used >= c.ack.quick) {
      c.ack.quick = 0;
      c.ack.ato = kAtoMin;
    } else {
      c.ack.quick = static_cast<uint8_t>(c.ack.quick - used);
    }
  }
  c.ack.pending = 0;
  c.ack.retry = 0;
  disarm_delack(c);
}

namespace {

// The goal of the window's growth follows the clamp down, and up to what has been offered (tcp_set_window_clamp).
void set_clamp(Conn& c, uint32_t fresh) {
  constexpr uint32_t kLeast = 2304 / 2;  // SOCK_MIN_RCVBUF / 2
  fresh = std::max(fresh, kLeast);
  if (fresh == c.window_clamp) return;
  c.rcv_ssthresh =
      fresh < c.window_clamp ? std::min(c.rcv_ssthresh, fresh) : std::max(c.rcv_ssthresh, std::min(c.rcv_wnd, fresh));
  c.window_clamp = fresh;
}

}  // namespace

// What the peer calls a full segment, guessed from what comes; and how much of its memory cost is payload.
void measure_rcv_mss(Conn& c, const Segment& seg) {
  const uint32_t last = c.ack.last_seg_size;
  c.ack.last_seg_size = 0;
  const Packet& p = *seg.packet;
  uint32_t length = p.gso_size != 0 ? p.gso_size : seg.length;
  if (length >= c.ack.rcv_mss) {
    if (length != c.ack.rcv_mss) {
      const uint64_t ratio = (static_cast<uint64_t>(seg.length) << 8) / std::max<uint32_t>(p.truesize, 1);
      const auto fresh = static_cast<uint8_t>(std::clamp<uint64_t>(ratio, 1, 255));
      if (fresh != c.scaling_ratio) {
        c.scaling_ratio = fresh;
        set_clamp(c, window_from_space(c, c.sk.rcvbuf));
        if (c.window_clamp < c.rcvq_space) c.rcvq_space = c.window_clamp;
      }
    }
    c.ack.rcv_mss = std::min(length, c.advmss);
    if (seg.header.flags & wire::kTcpPsh) c.ack.pending |= kAckPushed;  // the end of a write: no more may come
    return;
  }
  length += seg.header.header_length;
  constexpr uint8_t kSpecial = wire::kTcpFin | wire::kTcpUrg | wire::kTcpSyn | wire::kTcpPsh;
  if (length >= kMinRcvMss + wire::kTcpHeaderBytes ||
      (length >= kMinMss + wire::kTcpHeaderBytes && !(seg.header.flags & kSpecial))) {
    length -= c.tcp_header_len;
    c.ack.last_seg_size = length;
    if (length == last) {
      c.ack.rcv_mss = length;
      return;
    }
  }
  if (c.ack.pending & kAckPushed) c.ack.pending |= kAckPushed2;
  c.ack.pending |= kAckPushed;
}

namespace {

// Without timestamps the time that a whole window takes to arrive bounds the RTT from above.
void measure_rcv_rtt(Conn& c) {
  if (c.rcv_rtt_time_us != 0) {
    if (before(c.rcv_nxt, c.rcv_rtt_seq)) return;
    const uint64_t us = c.mstamp_us - c.rcv_rtt_time_us;
    update_rcv_rtt(c, static_cast<uint32_t>(us != 0 ? us : 1), true);
  }
  c.rcv_rtt_seq = c.rcv_nxt + c.rcv_wnd;
  c.rcv_rtt_time_us = c.mstamp_us;
}

void adapt_ato(Conn& c, uint32_t now) {
  if (c.ack.ato == Duration{}) {
    incr_quickack(c, kMaxQuickAcks);
    c.ack.ato = kAtoMin;
    return;
  }
  const Duration m = Duration::from_ms(static_cast<int32_t>(now - c.ack.lrcvtime));
  if (m <= kAtoMin / 2) {
    c.ack.ato = half(c, c.ack.ato) + kAtoMin / 2;
  } else if (m < c.ack.ato) {
    c.ack.ato = std::min(half(c, c.ack.ato) + m, c.rto);
  } else if (m > c.rto) {
    incr_quickack(c, kMaxQuickAcks);  // a long gap: the sender may have restarted its window
  }
}

}  // namespace

void update_rcv_rtt(Conn& c, uint32_t sample_us, bool is_upper_bound) {
  const uint32_t old = c.rcv_rtt_us;
  const uint32_t m = sample_us << 3;
  if (old == 0 || m < old) {
    c.rcv_rtt_us = m;
    return;
  }
  if (is_upper_bound || c.rcv_nxt != c.copied_seq) return;
  c.rcv_rtt_us = old - (old >> 3) + sample_us;
}

void on_data_received(Conn& c, const Segment& seg) {
  schedule_ack(c);
  measure_rcv_mss(c, seg);
  measure_rcv_rtt(c);
  const uint32_t now = c.jiffies();
  adapt_ato(c, now);
  c.ack.lrcvtime = now;
  ecn_check_ce(c, seg.dsfield);
  if (seg.length >= 128) grow_window(c, *seg.packet, true);
}

void ecn_accept_cwr(Conn& c, const Segment& seg) {
  if (!(seg.header.flags & wire::kTcpCwr)) return;
  c.ecn_flags &= static_cast<uint8_t>(~kEcnDemandCwr);
  // With CWR comes new data: acknowledge it at once, so that the sender's smaller window is not stalled.
  if (seg.seq != seg.end_seq) c.ack.pending |= kAckNow;
}

namespace {

void demand_cwr(Conn& c, bool on) {
  c.ecn_flags = static_cast<uint8_t>(on ? c.ecn_flags | kEcnDemandCwr : c.ecn_flags & ~kEcnDemandCwr);
}

// RFC 8257 §3.2: each change of CE is told at once, after what was held back from before it.
void echo_each_ce(Conn& c, bool is_ce) {
  if (std::exchange(c.ce_changed, false)) {
    if (c.ack.pending & kAckTimer) {
      demand_cwr(c, !is_ce);
      send_ack_for(c, c.ce_rcv_nxt);
    }
    c.ack.pending |= kAckNow;
  }
  demand_cwr(c, is_ce);
}

void tell_algorithm(Conn& c, bool is_ce) {
  if (!(c.cc_algorithm->flags & cc::kNeedsEcn)) return;
  cwnd_event(c, is_ce ? cc::Event::kEcnIsCe : cc::Event::kEcnNoCe);
  if (c.cc_algorithm->flags & cc::kEchoesEachCe) echo_each_ce(c, is_ce);
}

}  // namespace

// RFC 3168 §6.1.3: CE is echoed until CWR comes.
void ecn_check_ce(Conn& c, uint8_t dsfield) {
  if (!(c.ecn_flags & kEcnOk)) return;
  switch (dsfield & 3) {
    case 0:
      // Not ECN-capable after ECN was seen: a retransmission, most likely. Let the sender know quickly.
      if (c.ecn_flags & kEcnSeen) enter_quickack_mode(c, 2);
      break;
    case 3:
      tell_algorithm(c, true);
      if (!(c.ecn_flags & kEcnDemandCwr)) {
        enter_quickack_mode(c, 2);
        c.ecn_flags |= kEcnDemandCwr;
      }
      c.ecn_flags |= kEcnSeen;
      break;
    default:
      tell_algorithm(c, false);
      c.ecn_flags |= kEcnSeen;
      break;
  }
  c.ce_rcv_nxt = c.rcv_nxt;
}

}  // namespace leat::tcp
