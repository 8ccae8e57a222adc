// The receive window: what is offered at the start, how it follows the buffer, and how the buffer follows the reader
// (RFC 9293 §3.8.6, RFC 7323 §2; auto-tuning as Linux's dynamic right-sizing).
#include <algorithm>
#include <bit>

#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

int ilog2(uint32_t v) {
  return 31 - std::countl_zero(v | 1);
}

uint32_t round_down(uint32_t v, uint32_t unit) {
  return unit == 0 ? v : v - v % unit;
}

int64_t rmem_max(const Conn& c) {
  return c.tcp.ns.sysctl.tcp_rmem[2];
}

uint32_t space_from_window(const Conn& c, uint64_t window) {
  return static_cast<uint32_t>(std::min<uint64_t>((window << 8) / std::max<uint8_t>(c.scaling_ratio, 1), INT32_MAX));
}

}  // namespace

InitialWindow select_initial_window(Netns& ns, int space_in, uint32_t mss, uint32_t window_clamp, bool wscale_ok,
                                    uint32_t init_rcv_wnd) {
  InitialWindow w{};
  if (window_clamp == 0) window_clamp = 65535u << kMaxWscale;
  uint32_t space = std::min<uint32_t>(window_clamp, space_in < 0 ? 0u : static_cast<uint32_t>(space_in));
  if (space > mss) space = round_down(space, mss);
  w.rcv_wnd = space;
  if (init_rcv_wnd != 0) w.rcv_wnd = std::min(w.rcv_wnd, init_rcv_wnd * mss);
  if (wscale_ok) {  // scale for the largest window that the buffer may ever grow to
    space = std::max({space, static_cast<uint32_t>(ns.sysctl.tcp_rmem[2]), static_cast<uint32_t>(ns.sysctl.rmem_max)});
    space = std::min(space, window_clamp);
    w.rcv_wscale = static_cast<uint8_t>(std::clamp(ilog2(space) - 15, 0, static_cast<int>(kMaxWscale)));
  }
  w.window_clamp = std::min<uint32_t>(65535u << w.rcv_wscale, window_clamp);
  return w;
}

uint32_t window_from_space(const Conn& c, int64_t space) {
  return space <= 0 ? 0 : static_cast<uint32_t>((space * c.scaling_ratio) >> 8);
}

int full_space(const Conn& c) {
  return static_cast<int>(window_from_space(c, c.sk.rcvbuf));
}

int free_space(const Conn& c) {
  const int64_t used = static_cast<int64_t>(c.rmem_alloc) + c.sk.backlog_bytes.load(std::memory_order_relaxed);
  const int64_t left = c.sk.rcvbuf - used;
  return left < 0 ? -static_cast<int>(window_from_space(c, -left)) : static_cast<int>(window_from_space(c, left));
}

namespace {

// tcp_shrink_window: the window follows the memory that is left, also back.
uint32_t shrinking_window(Conn& c, int free, int full, int allowed, int mss) {
  const int unit = 1 << c.rx_opt.rcv_wscale;
  free = free < 0 ? -((-free + unit - 1) / unit * unit) : free - free % unit;
  if (free < (full >> 1)) {
    c.ack.quick = 0;
    if (c.tcp.counts.under_pressure.load(std::memory_order_relaxed)) {
      c.rcv_ssthresh = std::min(c.rcv_ssthresh, 4u * c.advmss);
    }
    if (free < (allowed >> 4) || free < mss || free < unit) return 0;
  }
  const auto limit = static_cast<int>(c.rcv_ssthresh);
  if (free > limit) free = (limit + unit - 1) / unit * unit;
  return static_cast<uint32_t>(free);
}

}  // namespace

// RFC 9293 §3.8.6.2.2: small increments are not worth telling; nor may the right edge move back.
uint32_t select_new_window(Conn& c) {
  int mss = static_cast<int>(c.ack.rcv_mss);
  int free = free_space(c);
  const int allowed = full_space(c);
  const int full = static_cast<int>(std::min<uint32_t>(c.window_clamp, static_cast<uint32_t>(allowed)));
  if (mss > full) {
    mss = full;
    if (mss <= 0) return 0;
  }
  if (c.tcp.ns.sysctl.tcp_shrink_window != 0 && c.rx_opt.rcv_wscale != 0) {
    return shrinking_window(c, free, full, allowed, mss);
  }
  const int unit = 1 << c.rx_opt.rcv_wscale;
  if (free < (full >> 1)) {
    c.ack.quick = 0;
    if (c.tcp.counts.under_pressure.load(std::memory_order_relaxed)) {
      c.rcv_ssthresh = std::min(c.rcv_ssthresh, 4u * c.advmss);
    }
    free = free < 0 ? 0 : free - free % unit;
    // Close the window while there is still room for what is on its way.
    if (free < (allowed >> 4) || free < mss) return 0;
  }
  free = static_cast<int>(std::min<uint32_t>(static_cast<uint32_t>(free), c.rcv_ssthresh));
  if (c.rx_opt.rcv_wscale != 0) return static_cast<uint32_t>((free + unit - 1) / unit * unit);
  auto window = static_cast<int>(c.rcv_wnd);
  if (window <= free - mss || window > free) {
    window = static_cast<int>(round_down(static_cast<uint32_t>(free), static_cast<uint32_t>(mss)));
  } else if (mss == full && free > window + (full >> 1)) {
    window = free;
  }
  return static_cast<uint32_t>(window);
}

uint16_t select_window(Conn& c) {
  const uint32_t old = c.rcv_wnd;
  if (c.ack.pending & kAckNoMem) {  // what came could not be kept: offer nothing
    c.rcv_wnd = 0;
    c.rcv_wup = c.rcv_nxt;
    return 0;
  }
  const uint32_t current = c.receive_window();
  uint32_t fresh = select_new_window(c);
  if (fresh < current) {  // RFC 9293 §3.8.6: never take back what was offered
    if (c.tcp.ns.sysctl.tcp_shrink_window == 0 || c.rx_opt.rcv_wscale == 0) {
      if (fresh == 0) c.tcp.count(Mib::TcpExtTCPWantZeroWindowAdv);
      const uint32_t unit = 1u << c.rx_opt.rcv_wscale;
      fresh = (current + unit - 1) / unit * unit;
    }
  }
  c.rcv_wnd = fresh;
  c.rcv_wup = c.rcv_nxt;
  fresh = std::min(fresh, 65535u << c.rx_opt.rcv_wscale) >> c.rx_opt.rcv_wscale;
  if (fresh == 0) {
    c.may_predict = false;
    if (old != 0) c.tcp.count(Mib::TcpExtTCPToZeroWindowAdv);
  } else if (old == 0) {
    c.tcp.count(Mib::TcpExtTCPFromZeroWindowAdv);
  }
  return static_cast<uint16_t>(fresh);
}

void initialize_rcv_mss(Conn& c) {
  uint32_t hint = std::min(c.advmss, c.mss_cache);
  hint = std::min(hint, c.rcv_wnd / 2);
  hint = std::min(hint, kMinRcvMss);
  c.ack.rcv_mss = std::max(hint, kMinMss);
}

void init_buffer_space(Conn& c) {
  const auto app_win = c.tcp.ns.sysctl.tcp_app_win.as<int>();
  if (!(c.sk.buf_lock & inet::kBufLockSend)) expand_send_buffer(c);
  c.rcvq_time_us = c.mstamp_us;
  c.rcvq_seq = c.copied_seq;
  const auto maxwin = static_cast<uint32_t>(full_space(c));
  if (c.window_clamp >= maxwin) {
    c.window_clamp = maxwin;
    if (app_win != 0 && maxwin > 4 * c.advmss) {
      c.window_clamp = std::max(maxwin - (maxwin >> app_win), 4 * c.advmss);
    }
  }
  if (app_win != 0 && c.window_clamp > 2 * c.advmss && c.window_clamp + c.advmss > maxwin) {
    c.window_clamp = std::max(2 * c.advmss, maxwin - c.advmss);
  }
  c.rcv_ssthresh = std::min(c.rcv_ssthresh, c.window_clamp);
  c.snd_cwnd_stamp = c.jiffies();
  c.rcvq_space = std::min({c.rcv_ssthresh, c.rcv_wnd, kInitialCwnd * c.advmss});
}

void grow_window(Conn& c, const Packet& p, bool adjust) {
  (void)adjust;
  const int limit = std::min(static_cast<int>(std::min<uint32_t>(c.window_clamp, INT32_MAX)), free_space(c));
  const int room = limit - static_cast<int>(c.rcv_ssthresh);
  if (room <= 0) return;
  if (c.tcp.counts.under_pressure.load(std::memory_order_relaxed)) {
    c.rcv_ssthresh = std::min(c.rcv_ssthresh, 4u * c.advmss);
    return;
  }
  uint32_t incr = 0;
  if (window_from_space(c, p.truesize) <= p.length) {
    incr = 2 * c.advmss;
  } else {
    // The packet costs more than it carries: grow only as far as such packets would still fit.
    uint32_t truesize = window_from_space(c, p.truesize) >> 1;
    uint32_t window = window_from_space(c, rmem_max(c)) >> 1;
    while (c.rcv_ssthresh <= window && window != 0) {
      if (truesize <= p.length) {
        incr = 2 * c.ack.rcv_mss;
        break;
      }
      truesize >>= 1;
      window >>= 1;
    }
  }
  if (incr == 0) return;
  incr = std::max(incr, 2 * p.length);
  c.rcv_ssthresh += std::min(static_cast<uint32_t>(room), incr);
  c.ack.quick |= 1;
}

// The queue outgrows the buffer, by the charge for packets that are smaller than those that the window was offered for:
// the buffer follows as far as it may, else the window must fall.
void clamp_window(Conn& c) {
  c.ack.quick = 0;
  const bool is_scarce = c.tcp.counts.under_pressure.load(std::memory_order_relaxed);
  if (c.sk.rcvbuf < rmem_max(c) && !(c.sk.buf_lock & inet::kBufLockReceive) && !is_scarce) {
    c.sk.rcvbuf = static_cast<int32_t>(std::min<int64_t>(c.rmem_alloc, rmem_max(c)));
  }
  if (c.rmem_alloc > static_cast<uint32_t>(c.sk.rcvbuf)) {
    c.rcv_ssthresh = std::min(c.window_clamp, 2 * c.advmss);
  } else if (is_scarce) {
    c.rcv_ssthresh = std::min(c.rcv_ssthresh, 4u * c.advmss);
  }
}

void grow_receive_buffer(Conn& c, uint32_t copied) {
  const uint32_t old = std::max<uint32_t>(c.rcvq_space, 1);
  c.rcvq_space = copied;
  if (c.tcp.ns.sysctl.tcp_moderate_rcvbuf == 0 || (c.sk.buf_lock & inet::kBufLockReceive)) return;
  uint64_t window = static_cast<uint64_t>(copied) << 1;  // the measure is one RTT late
  window += window * (copied - old) / old * 2;           // and the sender may double in slow start
  if (c.ooo_last != nullptr) window += c.ooo_last->end_seq - c.rcv_nxt;
  const auto rcvbuf = static_cast<int32_t>(std::min<int64_t>(space_from_window(c, window), rmem_max(c)));
  if (rcvbuf <= c.sk.rcvbuf) return;
  c.sk.rcvbuf = rcvbuf;
  c.window_clamp = window_from_space(c, rcvbuf);
}

void rcv_space_adjust(Conn& c) {
  const uint64_t elapsed = c.mstamp_us - c.rcvq_time_us;
  if (c.rcv_rtt_us == 0 || elapsed < (c.rcv_rtt_us >> 3)) return;
  const auto copied = static_cast<int32_t>(c.copied_seq - c.rcvq_seq - (c.rcv_nxt - c.copied_seq));
  if (copied > static_cast<int32_t>(c.rcvq_space)) grow_receive_buffer(c, static_cast<uint32_t>(copied));
  c.rcvq_seq = c.copied_seq;
  c.rcvq_time_us = c.mstamp_us;
}

}  // namespace leat::tcp
