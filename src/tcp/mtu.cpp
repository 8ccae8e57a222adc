// Sizes: path MTU → MSS → what fits a segment with the options of now (RFC 9293 §3.7.1, RFC 1191, RFC 8201).
#include <algorithm>

#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

uint32_t network_header_bytes(const Conn& c) {
  return c.sk.addresses_are_v6 ? 40 : 20;
}

// A peer with a tiny window gets segments of half of it, so that two can be in flight.
uint32_t bound_to_half_window(const Conn& c, uint32_t size) {
  const uint32_t cutoff = c.max_window > kMssDefault ? c.max_window >> 1 : c.max_window;
  if (cutoff != 0 && size > cutoff) return std::max<uint32_t>(cutoff, 68u - c.tcp_header_len);
  return size;
}

}  // namespace

bool refresh_route(Conn& c) {
  if (c.has_route && c.route.generation == c.tcp.ip.route_generation()) return true;
  const uint32_t mark = c.sk.options != nullptr ? c.sk.options->mark : 0;
  auto r = c.tcp.ip.route(c.sk.remote(), c.sk.local(), c.sk.bound_ifindex, mark);
  c.has_route = r.has_value();
  if (r) c.route = *r;
  return c.has_route;
}

uint32_t path_mtu(Conn& c) {
  refresh_route(c);
  return c.route.mtu != 0 ? c.route.mtu : 1500;
}

uint32_t segment_room(const Conn& c, uint32_t pmtu) {
  const uint32_t headers = network_header_bytes(c) + wire::kTcpHeaderBytes;
  const uint32_t mss = pmtu > headers ? pmtu - headers : 0;
  return std::max(std::min<uint32_t>(mss, c.rx_opt.mss_clamp), c.tcp.ns.sysctl.tcp_min_snd_mss.as<uint32_t>());
}

// The least MSS has room for all options (tcp_min_snd_mss is 48 or more, options take 40 at most).
uint32_t mtu_to_mss(const Conn& c, uint32_t pmtu) {
  return segment_room(c, pmtu) - (c.tcp_header_len - wire::kTcpHeaderBytes);
}

uint32_t mss_to_mtu(const Conn& c, uint32_t mss) {
  return mss + c.tcp_header_len + network_header_bytes(c);
}

uint32_t sync_mss(Conn& c, uint32_t pmtu) {
  MtuSearch& m = c.mtu_search;
  m.high = std::min(m.high, static_cast<int32_t>(pmtu));
  c.mss_cache = bound_to_half_window(c, mtu_to_mss(c, pmtu));
  if (m.enabled) c.mss_cache = std::min(c.mss_cache, mtu_to_mss(c, static_cast<uint32_t>(std::max(m.low, 0))));
  c.pmtu_cookie = pmtu;
  return c.mss_cache;
}

namespace {

// The MTU of the route in use. That there is a new one is seen, as in Linux, when the next segment leaves by it; a
// narrower one at once, for what is too long now would not leave.
uint32_t known_mtu(Conn& c) {
  if (!c.has_route && c.route.generation == 0) return path_mtu(c);  // none was asked for since the connection slept
  const uint32_t known = c.has_route && c.route.mtu != 0 ? c.route.mtu : c.pmtu_cookie;
  if (!c.has_route || c.route.generation == c.tcp.ip.route_generation()) return known;
  const ip::Route old = c.route;
  const uint32_t fresh = path_mtu(c);
  if (c.has_route && fresh < known) return fresh;
  c.route = old;
  c.has_route = true;
  return known;
}

}  // namespace

uint32_t current_mss(Conn& c) {
  const uint32_t pmtu = known_mtu(c);
  if (pmtu != c.pmtu_cookie) sync_mss(c, pmtu);
  uint32_t mss = c.mss_cache;
  // mss_cache is made for tcp_header_len; SACK blocks take more.
  const uint32_t blocks = c.rx_opt.num_sacks + (c.has_dsack ? 1u : 0u);
  if (blocks != 0 && c.rx_opt.sack_ok) {
    const uint32_t room = wire::kTcpMaxHeaderBytes - c.tcp_header_len;
    const uint32_t fit = room >= 12 ? std::min(blocks, (room - 4) / 8) : 0;
    if (fit != 0) mss -= 4 + 8 * fit;
  }
  return mss;
}

uint32_t advertised_mss(const Conn& c) {
  const uint32_t headers = network_header_bytes(c) + wire::kTcpHeaderBytes;
  uint32_t mss = c.route.advmss;
  if (mss == 0) {
    const uint32_t mtu = c.route.mtu != 0 ? c.route.mtu : 1500;
    mss =
        std::max<uint32_t>(mtu > headers ? mtu - headers : 0, static_cast<uint32_t>(c.tcp.ns.sysctl.route_min_adv_mss));
    mss = std::min<uint32_t>(mss, 65535u - headers);
  }
  return mss;
}

// The path takes less than we sent: segments that are too big are sent again, smaller (tcp_simple_retransmit).
void on_mtu_reduced(Conn& c, uint32_t mtu) {
  if (c.pmtu_cookie <= mtu) return;
  refresh_time(c);
  sync_mss(c, mtu);
  simple_retransmit(c);
}

void simple_retransmit(Conn& c) {
  const uint32_t mss = current_mss(c);
  // A SYN with data stands in the queue as two segments, neither of which is too big.
  const bool all = c.syn_data && c.state() == State::kSynSent;
  TxSegment* next = nullptr;
  for (TxSegment* t = c.rtx_head(); t != nullptr; t = next) {
    next = c.rtx_queue.next(t);
    const uint32_t seglen = t->segs > 1 ? t->mss : t->length();
    if (all || seglen > mss) mark_lost(c, *t);
  }
  clear_retransmit_hints(c);
  if (c.lost_out == 0) return;
  if (c.is_reno()) check_reno_reordering(c, 0);
  retransmit_without_congestion(c);
}

// The window stays, but the state must let lost segments out.
void retransmit_without_congestion(Conn& c) {
  if (c.ca_state != CaState::kLoss) {
    c.high_seq = c.snd_nxt;
    c.snd_ssthresh = current_ssthresh(c);
    c.prior_ssthresh = 0;
    c.undo_marker = 0;
    set_ca_state(c, CaState::kLoss);
  }
  transmit_lost(c);
}

}  // namespace leat::tcp
