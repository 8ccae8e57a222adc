// What may leave now: windows, Nagle, silly-window avoidance, bursts, pacing (RFC 9293 §3.8.6.2.1, RFC 896, RFC 5681).
#include "tcp/output.h"

#include <sys/epoll.h>

#include <algorithm>
#include <bit>

#include "tcp/input.h"
#include "tcp/memory.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

inline constexpr uint32_t kGsoMaxBytes = 65536;

struct XmitLimits {
  bool cwnd_limited = false;
  bool rwnd_limited = false;
};

uint32_t cwnd_room(const Conn& c) {
  const uint32_t in_flight = c.packets_in_flight();
  if (in_flight >= c.snd_cwnd) return 0;
  return std::min(std::max(c.snd_cwnd >> 1, 1u), c.snd_cwnd - in_flight);  // two bursts at least keep the ACKs coming
}

bool fits_send_window(const Conn& c, TxSegment& t, uint32_t mss) {
  const Seq end = t.length() > mss ? t.seq + mss : t.end_seq;
  return !after(end, c.wnd_end());
}

bool has_unacked_small(const Conn& c) {
  return after(c.snd_sml, c.snd_una) && !after(c.snd_sml, c.snd_nxt);
}

// Minshall's variant of Nagle: a small segment waits only while another small one is unacknowledged.
bool nagle_holds(bool partial, const Conn& c, uint8_t nonagle) {
  return partial && ((nonagle & kNagleCork) || (nonagle == 0 && c.packets_out != 0 && has_unacked_small(c)));
}

bool passes_nagle(Conn& c, TxSegment& t, uint32_t mss, uint8_t nonagle) {
  if (nonagle & kNaglePush) return true;
  if (c.urg_mode || (t.flags & wire::kTcpFin)) return true;
  return !nagle_holds(t.length() < mss, c, nonagle);
}

// A burst that could be larger after the next ACK waits for it, unless that ACK is far away (Linux's TSO deferral).
bool should_defer(Conn& c, TxSegment& t, uint32_t max_segs, XmitLimits& limits) {
  if (c.ca_state >= CaState::kRecovery) return false;
  if (static_cast<int64_t>(c.clock_cache_ns - c.wstamp_ns) - 1'000'000 > 0) return false;
  const uint32_t send_win = c.wnd_end() - t.seq;
  const uint32_t cong_win = (c.snd_cwnd - c.packets_in_flight()) * c.mss_cache;
  const uint32_t limit = std::min(send_win, cong_win);
  if (limit >= max_segs * c.mss_cache) return false;
  if (c.write_queue.back() != &t.packet() && limit >= t.length()) return false;
  const auto divisor = static_cast<uint32_t>(c.tcp.ns.sysctl.tcp_tso_win_divisor);
  if (divisor != 0) {
    const uint32_t chunk = std::min(c.snd_wnd, c.snd_cwnd * c.mss_cache) / divisor;
    if (limit >= chunk) return false;
  } else if (limit > 3 * c.mss_cache) {
    return false;
  }
  TxSegment* head = c.rtx_head();
  if (head == nullptr) return false;
  // The next ACK is due a round trip after the oldest data left. Waiting is for an ACK that is almost here.
  const int64_t srtt_us = c.srtt_us >> 3;
  const int64_t until_ack_us =
      static_cast<int64_t>(head->sent_us) + srtt_us - static_cast<int64_t>(c.clock_cache_ns / 1000);
  if (until_ack_us > std::min<int64_t>(srtt_us / 2, 1000)) return false;
  if (cong_win < send_win) {
    if (cong_win <= t.length()) {
      limits.cwnd_limited = true;
      return true;
    }
  } else if (send_win <= t.length()) {
    limits.rwnd_limited = true;
    return true;
  }
  return !(t.flags & wire::kTcpFin) && !t.eor;
}

uint32_t split_point(Conn& c, TxSegment& t, uint32_t mss, uint32_t max_segs, uint8_t nonagle) {
  const uint32_t window = c.wnd_end() - t.seq;
  const uint32_t max_len = mss * max_segs;
  if (max_len <= window && c.write_queue.back() != &t.packet()) return max_len;
  const uint32_t needed = std::min(t.length(), window);
  if (max_len <= needed) return max_len;
  const uint32_t partial = needed % mss;
  if (nagle_holds(partial != 0, c, nonagle)) return needed - partial;
  return needed;
}

void validate_cwnd_use(Conn& c, bool limited) {
  if (!before(c.snd_una, c.cwnd_usage_seq) || limited || (!c.is_cwnd_limited && c.packets_out > c.max_packets_out)) {
    c.is_cwnd_limited = limited;
    c.max_packets_out = c.packets_out;
    c.cwnd_usage_seq = c.snd_nxt;
  }
  if (cc::is_cwnd_limited(c)) {
    c.snd_cwnd_used = 0;
    c.snd_cwnd_stamp = c.jiffies();
    return;
  }
  if (c.packets_out > c.snd_cwnd_used) c.snd_cwnd_used = c.packets_out;
  const auto unused_ms = static_cast<int32_t>(c.jiffies() - c.snd_cwnd_stamp);
  if (c.tcp.ns.sysctl.tcp_slow_start_after_idle != 0 && unused_ms >= c.rto.ms() &&
      c.cc_algorithm->cong_control == nullptr) {
    if (c.ca_state == CaState::kOpen && !c.nospace) {  // RFC 2861: what is not used decays
      const uint32_t init = c.route.initcwnd != 0 ? c.route.initcwnd : kInitialCwnd;
      const uint32_t used = std::max(c.snd_cwnd_used, init);
      if (used < c.snd_cwnd) {
        c.snd_ssthresh = current_ssthresh(c);
        c.snd_cwnd = (c.snd_cwnd + used) >> 1;
      }
      c.snd_cwnd_used = 0;
    }
    c.snd_cwnd_stamp = c.jiffies();
  }
  if (!c.has_unsent() && c.nospace && in_state(c.state(), {State::kEstablished, State::kCloseWait})) chrono_start(c, 3);
}

// Fragments of `from` that hold its first n bytes.
uint32_t fragments_of(const Packet& from, uint32_t n) {
  uint32_t count = 0;
  for (uint32_t seen = 0; seen < n && count < from.frag_count; ++count)
    seen += from.frags[count].length;
  return count;
}

// A burst has room for `missing` more bytes: they come from the next segment, which may be used up (tcp_grow_skb).
void grow_segment(Conn& c, TxSegment& t, uint32_t missing) {
  Packet& p = t.packet();
  Packet* q = c.write_queue.next(&p);
  if (q == nullptr || t.eor || (t.flags & wire::kTcpFin) || q->linear_length() != 0 || q->more != nullptr) return;
  TxSegment& next = tx_segment(*q);
  const uint32_t n = std::min(missing, q->length);
  const uint32_t count = fragments_of(*q, n);
  if (n == 0 || p.frag_count + count > Packet::kMaxFragments) return;
  uint32_t left = n;
  for (uint32_t i = 0; i < count; ++i) {
    const Fragment& f = q->frags[i];
    const uint32_t k = std::min(left, f.length);
    p.add_fragment(f.buffer, f.offset, k);  // charges k bytes
    left -= k;
  }
  t.end_seq += n;
  q->truesize -= n;
  if (n < q->length) {
    q->pull(n);
    next.seq += n;
    next.segs = 0;
    return;
  }
  t.end_seq = next.end_seq;  // a FIN as well
  t.flags |= next.flags;
  t.eor = next.eor;
  uncharge_to_send(c, q->truesize);
  PacketList::erase(q);
  PacketPtr owner(q);
}

// One segment of the write queue, cut to what may go. False: stop.
bool send_one(Conn& c, TxSegment& t, uint32_t mss, uint8_t nonagle, int push_mode, uint32_t quota, uint32_t max_segs,
              XmitLimits& limits) {
  const uint64_t burst = static_cast<uint64_t>(quota) * mss;
  if (t.length() != 0 && burst > t.length()) grow_segment(c, t, static_cast<uint32_t>(burst - t.length()));
  set_segs(t, mss);
  if (!fits_send_window(c, t, mss)) {
    limits.rwnd_limited = true;
    return false;
  }
  if (t.segs == 1) {
    const bool is_last = c.write_queue.back() == &t.packet();
    if (!passes_nagle(c, t, mss, is_last ? nonagle : kNaglePush)) return false;
  } else if (push_mode == 0 && should_defer(c, t, max_segs, limits)) {
    return false;
  }
  uint32_t limit = mss;
  if (t.segs > 1 && !c.urg_mode) limit = split_point(c, t, mss, quota, nonagle);
  if (t.length() > limit && !fragment(c, false, t, limit, mss)) return false;
  if (t.end_seq == t.seq) return false;
  return transmit_segment(c, t, true) == 0;
}

}  // namespace

TxSegment* Conn::send_head() const {
  Packet* p = write_queue.front();
  return p == nullptr ? nullptr : &tx_segment(*p);
}

void refresh_time(Conn& c) {
  const Time now = c.tcp.now();
  c.mstamp_us = static_cast<uint64_t>(now.us());
  c.clock_cache_ns = static_cast<uint64_t>(now.ns());
  c.jiffy_mask = c.tcp.jiffy_mask;
}

void set_segs(TxSegment& t, uint32_t mss) {
  const uint32_t length = t.length();
  if (length <= mss) {
    t.segs = 1;
    t.mss = 0;
  } else {
    t.segs = static_cast<uint16_t>((length + mss - 1) / mss);
    t.mss = static_cast<uint16_t>(mss);
  }
}

uint32_t max_burst_segs(Conn& c, uint32_t mss) {
  const auto& sys = c.tcp.ns.sysctl;
  const uint32_t min_segs = c.cc_algorithm->min_tso_segs != nullptr ? c.cc_algorithm->min_tso_segs(c)
                                                                    : static_cast<uint32_t>(sys.tcp_min_tso_segs);
  // About a millisecond's worth at the pacing rate, more on short paths.
  uint64_t bytes = c.pacing_rate >> 10;
  const uint32_t shift = c.rtt_min.get() >> static_cast<uint32_t>(sys.tcp_tso_rtt_log);
  if (shift < 32) bytes += kGsoMaxBytes >> shift;
  bytes = std::min<uint64_t>(bytes, kGsoMaxBytes - 1 - c.tcp.pool.charges.header);
  // Never more than one IP packet can hold: over loopback that is a single segment of 65,483 bytes.
  const uint32_t most = std::max<uint32_t>((kGsoMaxBytes - 1 - c.tcp.pool.charges.header) / mss, 1);
  return std::min(std::max(static_cast<uint32_t>(bytes / mss), min_segs), most);
}

bool must_wait_for_pacing(Conn& c) {
  if (!is_paced(c) || c.wstamp_ns <= c.clock_cache_ns) return false;
  arm_pacing(c, Time::from_ns(static_cast<int64_t>(c.wstamp_ns)));
  return true;
}

bool write_xmit(Conn& c, uint32_t mss, uint8_t nonagle, int push_mode) {
  refresh_time(c);
  uint32_t sent = 0;
  if (push_mode == 0 && c.mtu_search.enabled) {
    const MtuProbe probe = send_mtu_probe(c);
    if (probe == MtuProbe::kWait) return false;
    if (probe == MtuProbe::kSent) sent = 1;
  }
  const uint32_t max_segs = max_burst_segs(c, mss);
  XmitLimits limits;
  while (TxSegment* t = c.send_head()) {
    if (must_wait_for_pacing(c)) break;
    uint32_t quota = cwnd_room(c);
    if (quota == 0) {
      if (push_mode != 2) break;
      quota = 1;  // a loss probe goes out whatever the window
    }
    if (!send_one(c, *t, mss, nonagle, push_mode, std::min(quota, max_segs), max_segs, limits)) break;
    new_data_sent(c, *t);
    if (t->length() < static_cast<uint32_t>(t->segs) * mss) c.snd_sml = t->end_seq;
    sent += t->segs;
    if (push_mode != 0) break;
  }
  if (limits.rwnd_limited) {
    chrono_start(c, 2);
  } else {
    chrono_stop(c, 2);
  }
  limits.cwnd_limited |= c.packets_in_flight() >= c.snd_cwnd;
  if (sent != 0 || limits.cwnd_limited) validate_cwnd_use(c, limits.cwnd_limited);
  if (sent != 0) {
    if (c.in_cwnd_reduction()) c.prr_out += sent;
    if (push_mode != 2) schedule_loss_probe(c, false);
    return false;
  }
  return c.packets_out == 0 && c.has_unsent();
}

void new_data_sent(Conn& c, TxSegment& t) {
  const uint32_t prior = c.packets_out;
  c.snd_nxt = t.end_seq;
  PacketList::erase(&t.packet());
  if (TxSegment* last = c.rtx_queue.last()) {
    c.rtx_queue.insert_after(last, &t);
  } else {
    c.rtx_queue.insert(&t);
  }
  if (c.highest_sack == nullptr) c.highest_sack = &t;
  c.packets_out += t.segs;
  if (prior == 0 || c.deadlines.loss_kind == LossTimer::kLossProbe) rearm_rto(c);
  c.tcp.count(Mib::TcpExtTCPOrigDataSent, t.segs);
  check_space(c);
}

void push_pending(Conn& c, uint32_t mss, uint8_t nonagle) {
  if (c.state() == State::kClose) return;
  if (write_xmit(c, mss, nonagle, 0)) {
    if (c.packets_out == 0 && c.deadlines.loss_kind == LossTimer::kNone) arm_first_persist(c);
  }
}

void push_pending(Conn& c) {
  if (c.has_unsent()) push_pending(c, current_mss(c), c.nonagle);
}

void push_one(Conn& c, uint32_t mss) {
  write_xmit(c, mss, kNaglePush, 1);
}

bool may_send_now(Conn& c) {
  TxSegment* t = c.send_head();
  return t != nullptr && cwnd_room(c) != 0 && fits_send_window(c, *t, current_mss(c));
}

// Cuts t after `length` bytes; the rest stands behind it in the same queue, with the same marks.
bool fragment(Conn& c, bool in_rtx_queue, TxSegment& t, uint32_t length, uint32_t mss) {
  Packet& p = t.packet();
  if (length == 0 || length > p.length) return false;
  // CVE-2019-11478: a peer must not make us cut the queue into crumbs without end.
  const int64_t limit = static_cast<int64_t>(c.sk.sndbuf) + 2 * (65536 + 4096);
  if (in_rtx_queue && (c.wmem_queued >> 1) > limit && &t != c.rtx_head() && &t != c.rtx_queue.last()) {
    c.tcp.count(Mib::TcpExtTCPWqueueTooBig);
    return false;
  }
  const uint32_t truesize = p.truesize;
  PacketPtr rest = c.tcp.pool.split(p, length);
  if (rest == nullptr) return false;
  const uint32_t rest_length = rest->length;
  TxSegment& r = make_tx_segment(*rest);
  p.truesize = truesize - rest_length;
  rest->truesize = rest_length + c.tcp.pool.charges.tx_overhead;
  reserve_memory(c, c.tcp.pool.charges.tx_overhead);
  charge_to_send(c, c.tcp.pool.charges.tx_overhead);
  r.seq = t.seq + length;
  r.end_seq = t.end_seq;
  t.end_seq = r.seq;
  r.flags = t.flags;
  t.flags &= static_cast<uint8_t>(~(wire::kTcpFin | wire::kTcpPsh));
  r.flags &= static_cast<uint8_t>(~wire::kTcpSyn);
  r.sacked = t.sacked;
  r.eor = t.eor;
  t.eor = false;
  r.sent_us = t.sent_us;
  r.first_tx_us = t.first_tx_us;
  r.delivered_us = t.delivered_us;
  r.delivered = t.delivered;
  r.delivered_ce = t.delivered_ce;
  r.is_app_limited = t.is_app_limited;
  const int32_t prior = t.segs;
  set_segs(t, mss);
  set_segs(r, mss);
  if (in_rtx_queue) {
    if (const int32_t diff = prior - t.segs - r.segs; diff != 0) adjust_segs(c, t, diff);
    c.rtx_queue.insert_after(&t, &r);
    if (t.by_time.is_linked()) c.tsorted_sent.insert_after(&t, &r);
    (void)rest.release();
  } else {
    c.write_queue.insert_after(&p, rest.release());
  }
  return true;
}

void slow_start_after_idle(Conn& c) {
  if (c.tcp.ns.sysctl.tcp_slow_start_after_idle == 0 || c.packets_out != 0 || c.cc_algorithm->cong_control) return;
  const Duration idle = Duration::from_ms(static_cast<int32_t>(c.jiffies() - c.lsndtime));
  if (idle > c.rto) cwnd_restart(c, idle);
}

void cwnd_restart(Conn& c, Duration idle) {
  const uint32_t init = c.route.initcwnd != 0 ? c.route.initcwnd : kInitialCwnd;
  uint32_t cwnd = c.snd_cwnd;
  cwnd_event(c, cc::Event::kCwndRestart);
  c.snd_ssthresh = current_ssthresh(c);
  const uint32_t restart = std::min(init, cwnd);
  int64_t left_ns = idle.ns();
  while ((left_ns -= c.rto.ns()) > 0 && cwnd > restart)
    cwnd >>= 1;
  c.snd_cwnd = std::max(cwnd, restart);
  c.snd_cwnd_stamp = c.jiffies();
  c.snd_cwnd_used = 0;
}

namespace {

void set_chrono(Conn& c, uint8_t type) {
  if (c.chrono_type != 0) c.chrono_stat[c.chrono_type - 1] += c.jiffies() - c.chrono_start;
  c.chrono_start = c.jiffies();
  c.chrono_type = type;
}

}  // namespace

// The most telling of the reasons that limit sending is timed: send buffer before receive window before mere business.
void chrono_start(Conn& c, uint8_t type) {
  if (type > c.chrono_type) set_chrono(c, type);
}

void chrono_stop(Conn& c, uint8_t type) {
  if (c.rtx_queue.is_empty() && !c.has_unsent()) {
    set_chrono(c, 0);
  } else if (type == c.chrono_type) {
    set_chrono(c, 1);
  }
}

void expand_send_buffer(Conn& c) {
  uint32_t per_mss = std::max<uint32_t>(c.rx_opt.mss_clamp, c.mss_cache) + c.tcp.pool.charges.header + 320;
  per_mss = std::bit_ceil(per_mss) + 256;
  const uint32_t segs = std::max({kInitialCwnd, c.snd_cwnd, c.reordering + 1});
  const uint64_t factor =
      c.cc_algorithm != nullptr && c.cc_algorithm->sndbuf_expand != nullptr ? c.cc_algorithm->sndbuf_expand(c) : 2;
  const uint64_t want = factor * segs * per_mss;
  if (static_cast<uint64_t>(c.sk.sndbuf) < want) {
    c.sk.sndbuf = static_cast<int32_t>(std::min<uint64_t>(want, static_cast<uint64_t>(c.tcp.ns.sysctl.tcp_wmem[2])));
  }
}

void check_space(Conn& c) {
  if (!c.nospace) {
    chrono_stop(c, 3);
    return;
  }
  const bool pressure = c.tcp.counts.under_pressure.load(std::memory_order_relaxed);
  if (!(c.sk.buf_lock & inet::kBufLockSend) && !pressure && c.packets_in_flight() < c.snd_cwnd) {
    expand_send_buffer(c);
    c.snd_cwnd_stamp = c.jiffies();
  }
  if (!is_writable(c)) return;
  c.nospace = false;
  c.effects.events |= EPOLLOUT;
  chrono_stop(c, 3);
}

void flush_effects(Conn& c) {
  Effects& e = c.effects;
  if (c.state() != State::kClose) {
    if (e.send_data) {
      e.send_data = false;
      push_pending(c);
    }
    if (e.check_ack && c.state() != State::kClose) {
      e.check_ack = false;
      if (c.ack.pending & kAckScheduled) check_ack(c);
    }
  }
  if (e.check_space) {
    e.check_space = false;
    check_space(c);
  }
  account_memory(c);
  arm_sleep(c);
  const uint32_t events = e.events;
  c.effects = {};
  if (events != 0 && c.sk.events != nullptr) c.sk.events->on_events(events);
}

}  // namespace leat::tcp
