// Options that shape what is sent, acknowledged and offered: NODELAY, CORK, MAXSEG, NOTSENT_LOWAT, QUICKACK,
// WINDOW_CLAMP, CONGESTION, DEFER_ACCEPT, FASTOPEN*, and those that need more than leat has.
#include <algorithm>

#include "tcp/doors.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/options_table.h"
#include "tcp/output.h"

namespace leat::tcp {
namespace {

constexpr int kMaxTcpWindow = 32767;       // MAX_TCP_WINDOW
constexpr int kMinWindowClamp = 2304 / 2;  // SOCK_MIN_RCVBUF / 2
constexpr size_t kCongestionNameMax = 16;

bool is_unconnected(const Conn& c) {
  return in_state(c.state(), {State::kClose, State::kListen});
}

void set_bit(uint8_t& bits, uint8_t bit, bool on) {
  bits = static_cast<uint8_t>(on ? bits | bit : bits & ~bit);
}

// ---- Nagle and cork (RFC 896) ----

// What waits goes at once, even if it is small.
Result<void> set_nodelay(Conn& c, int v) {
  set_bit(c.nonagle, kNagleOff, v != 0);
  if (v != 0) {
    c.nonagle |= kNaglePush;
    c.effects.send_data = true;
  }
  return {};
}
Result<int> get_nodelay(Conn& c) {
  return c.nonagle & kNagleOff ? 1 : 0;
}

Result<void> set_cork(Conn& c, int v) {
  set_bit(c.nonagle, kNagleCork, v != 0);
  if (v == 0) {
    if (c.nonagle & kNagleOff) c.nonagle |= kNaglePush;
    c.effects.send_data = true;
  }
  return {};
}
Result<int> get_cork(Conn& c) {
  return c.nonagle & kNagleCork ? 1 : 0;
}

// ---- sizes ----

Result<void> set_maxseg(Conn& c, int v) {
  if (v != 0 && (v < static_cast<int>(kMinMss) || v > kMaxTcpWindow)) return err(EINVAL);
  c.rx_opt.user_mss = static_cast<uint16_t>(v);
  return set_shared<&inet::SockOptions::user_mss>(c, v);
}
Result<int> get_maxseg(Conn& c) {
  if (c.rx_opt.user_mss != 0 && is_unconnected(c)) return int{c.rx_opt.user_mss};
  return static_cast<int>(c.mss_cache);
}

Result<void> set_notsent_lowat(Conn& c, int v) {
  c.effects.check_space = true;
  return set_shared<&inet::SockOptions::notsent_lowat>(c, v);
}
Result<int> get_notsent_lowat(Conn& c) {
  return static_cast<int>(c.sk.options->notsent_lowat);
}

// Unconnected sockets keep it for the handshake; a connection's window follows at once.
Result<void> set_window_clamp(Conn& c, int v) {
  const bool unconnected = is_unconnected(c);
  if (v == 0) {
    if (c.state() != State::kClose) return err(EINVAL);
    c.window_clamp = 0;
    return set_shared<&inet::SockOptions::window_clamp>(c, 0);
  }
  const auto fresh = static_cast<uint32_t>(std::max(v, kMinWindowClamp));
  const uint32_t old = c.window_clamp;
  if (unconnected) {
    if (auto ok = set_shared<&inet::SockOptions::window_clamp>(c, fresh); !ok) return ok;
  }
  c.window_clamp = fresh;
  if (fresh < old) {
    c.rcv_ssthresh = std::min(c.rcv_ssthresh, fresh);
  } else {
    c.rcv_ssthresh = std::max(c.rcv_ssthresh, std::min(c.rcv_wnd, fresh));
  }
  return {};
}
Result<int> get_window_clamp(Conn& c) {
  return static_cast<int>(c.window_clamp);
}

// ---- acknowledging ----

// 1: acknowledge at once from now on; an even number but 0: this once.
Result<void> set_quickack(Conn& c, int v) {
  const auto interactive = c.tcp.ns.sysctl.tcp_pingpong_thresh.as<uint8_t>();
  if (v == 0) {
    c.ack.pingpong = interactive;
    return {};
  }
  c.ack.pingpong = 0;
  if (!in_state(c.state(), {State::kEstablished, State::kCloseWait}) || !(c.ack.pending & kAckScheduled)) return {};
  c.ack.pending |= kAckPushed;
  cleanup_receive_buffer(c, 1);
  if (!(v & 1)) c.ack.pingpong = interactive;
  return {};
}
Result<int> get_quickack(Conn& c) {
  return in_pingpong(c) ? 0 : 1;
}

// ---- TCP_DEFER_ACCEPT: seconds, which Linux keeps as a number of SYN-ACKs and gives back as those last ----

constexpr int kDeferMostTimeouts = 255;
constexpr int kDeferRtoMax = 120;

Result<void> set_defer_accept(Conn& c, int seconds) {
  int timeout = 1, period = 0, n = 0;
  while (seconds > period && n < kDeferMostTimeouts) {
    period += timeout;
    timeout = std::min(timeout * 2, kDeferRtoMax);
    ++n;
  }
  return set_shared<&inet::SockOptions::defer_accept_s>(c, period);
}
Result<int> get_defer_accept(Conn& c) {
  return int{c.sk.options->defer_accept_s};
}

// ---- congestion control ----

Result<void> set_congestion(Conn& c, std::span<const uint8_t> value) {
  if (value.empty()) return err(EINVAL);
  const auto* text = reinterpret_cast<const char*>(value.data());
  const std::string_view name(text, strnlen(text, std::min(value.size(), kCongestionNameMax - 1)));
  const cc::Algorithm* a = cc::find(name);
  if (a == nullptr) return err(ENOENT);
  if (auto ok = set_shared<&inet::SockOptions::congestion>(c, cc::index_of(*a)); !ok) return ok;
  if (a == c.cc_algorithm) return {};
  release_congestion(c);
  c.cc_algorithm = a;
  c.cc = cc::State{};
  if (is_unconnected(c)) return {};
  c.prior_ssthresh = 0;
  init_congestion(c);
  return {};
}

Result<size_t> get_congestion(Conn& c, std::span<uint8_t> out) {
  uint8_t name[kCongestionNameMax] = {};
  const std::string_view text = c.cc_algorithm->name;
  std::copy_n(text.begin(), std::min(text.size(), kCongestionNameMax - 1), name);
  const size_t n = std::min(out.size(), sizeof name);
  std::copy_n(name, n, out.data());
  return n;
}

Result<void> set_no_ulp(Conn&, std::span<const uint8_t> value) {  // as where no module is there to load
  return err(value.empty() ? EINVAL : ENOENT);
}
Result<size_t> get_no_ulp(Conn&, std::span<uint8_t>) {
  return size_t{0};
}

// ---- Fast Open (RFC 7413) ----

Result<void> set_fastopen(Conn& c, int v) {
  if (v < 0 || !is_unconnected(c)) return err(EINVAL);
  return set_fastopen_queue(c, static_cast<uint32_t>(v));
}
Result<int> get_fastopen(Conn& c) {
  if (c.fastopen_queue == nullptr) return 0;
  Guard guard(c.fastopen_queue->lock);
  return static_cast<int>(c.fastopen_queue->max_qlen);
}

Result<void> set_fastopen_connect(Conn& c, int v) {
  if (v < 0 || v > 1) return err(EINVAL);
  if ((c.tcp.ns.sysctl.tcp_fastopen.as<int>() & kFastOpenClient) == 0) return err(EOPNOTSUPP);
  if (c.state() != State::kClose) return err(EINVAL);
  return set_shared<&inet::SockOptions::fastopen_connect>(c, v != 0);
}
Result<int> get_fastopen_connect(Conn& c) {
  return c.sk.options->fastopen_connect ? 1 : 0;
}

Result<void> set_fastopen_no_cookie(Conn& c, int v) {
  if (v < 0 || v > 1 || !is_unconnected(c)) return err(EINVAL);
  return set_shared<&inet::SockOptions::fastopen_no_cookie>(c, v != 0);
}
Result<int> get_fastopen_no_cookie(Conn& c) {
  return c.sk.options->fastopen_no_cookie ? 1 : 0;
}

Result<size_t> get_fastopen_key(Conn& c, std::span<uint8_t> out) {
  return get_fastopen_keys(c, out);
}

using enum OptionStatus;
using T = OptionType;

constexpr TcpOption kRows[] = {
    {kOptNodelay, "TCP_NODELAY", T::kInt, kWorks, set_nodelay, get_nodelay},
    {kOptMaxseg, "TCP_MAXSEG", T::kInt, kWorks, set_maxseg, get_maxseg},
    {kOptCork, "TCP_CORK", T::kInt, kWorks, set_cork, get_cork},
    {kOptDeferAccept, "TCP_DEFER_ACCEPT", T::kInt, kWorks, set_defer_accept, get_defer_accept},
    {kOptWindowClamp, "TCP_WINDOW_CLAMP", T::kInt, kWorks, set_window_clamp, get_window_clamp},
    {kOptQuickack, "TCP_QUICKACK", T::kInt, kWorks, set_quickack, get_quickack},
    {kOptCongestion, "TCP_CONGESTION", T::kBytes, kWorks, nullptr, nullptr, set_congestion, get_congestion},
    {kOptNotsentLowat, "TCP_NOTSENT_LOWAT", T::kInt, kWorks, set_notsent_lowat, get_notsent_lowat},
    {kOptFastopen, "TCP_FASTOPEN", T::kInt, kWorks, set_fastopen, get_fastopen},
    {kOptFastopenConnect, "TCP_FASTOPEN_CONNECT", T::kInt, kWorks, set_fastopen_connect, get_fastopen_connect},
    {kOptFastopenNoCookie, "TCP_FASTOPEN_NO_COOKIE", T::kInt, kWorks, set_fastopen_no_cookie, get_fastopen_no_cookie},
    {kOptFastopenKey, "TCP_FASTOPEN_KEY", T::kBytes, kWorks, nullptr, nullptr, set_fastopen_keys, get_fastopen_key},
    {kOptUlp, "TCP_ULP", T::kBytes, kFails, nullptr, nullptr, set_no_ulp, get_no_ulp},
    {kOptTxDelay, "TCP_TX_DELAY", T::kInt, kFails},
};

}  // namespace

std::span<const TcpOption> sending_options() {
  return kRows;
}

}  // namespace leat::tcp
