// Options of time: keepalive, retries, time-outs.
#include <algorithm>

#include "tcp/options_table.h"
#include "tcp/output.h"
#include "tcp/timers.h"

namespace leat::tcp {
namespace {

using O = inet::SockOptions;

constexpr int kMaxKeepSeconds = 32767;  // MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL
constexpr int kMaxCount = 127;          // MAX_TCP_KEEPCNT, MAX_TCP_SYNCNT
constexpr int kMaxLingerSeconds = 120;  // TCP_FIN_TIMEOUT_MAX
constexpr int kMinTimeoutMs = 2;        // TCP_TIMEOUT_MIN
constexpr int kMaxTimeoutMs = 200;      // TCP_RTO_MIN, TCP_DELACK_MAX

Result<void> check_range(int v, int low, int high) {
  return v < low || v > high ? Result<void>(err(EINVAL)) : Result<void>();
}

// Time since the peer was last heard counts towards the new idle time.
void rearm_keepalive(Conn& c) {
  if (!c.sk.keepalive || in_state(c.state(), {State::kClose, State::kListen})) return;
  const uint32_t now = c.jiffies();
  const Duration elapsed = Duration::from_ms(std::min(now - c.ack.lrcvtime, now - c.rcv_tstamp));
  arm_keepalive(c, std::max(keepalive_time(c) - elapsed, Duration{}));
}

Result<void> set_keepidle(Conn& c, int v) {
  if (auto ok = check_range(v, 1, kMaxKeepSeconds); !ok) return ok;
  if (auto ok = set_shared<&O::keepidle_s>(c, v); !ok) return ok;
  rearm_keepalive(c);
  return {};
}
Result<int> get_keepidle(Conn& c) {
  return static_cast<int>(keepalive_time(c).s());
}

Result<void> set_keepintvl(Conn& c, int v) {
  if (auto ok = check_range(v, 1, kMaxKeepSeconds); !ok) return ok;
  return set_shared<&O::keepintvl_s>(c, v);
}
Result<int> get_keepintvl(Conn& c) {
  return static_cast<int>(keepalive_interval(c).s());
}

Result<void> set_keepcnt(Conn& c, int v) {
  if (auto ok = check_range(v, 1, kMaxCount); !ok) return ok;
  return set_shared<&O::keepcnt>(c, v);
}
Result<int> get_keepcnt(Conn& c) {
  return static_cast<int>(keepalive_probes(c));
}

Result<void> set_syncnt(Conn& c, int v) {
  if (auto ok = check_range(v, 1, kMaxCount); !ok) return ok;
  return set_shared<&O::syncnt>(c, v);
}
Result<int> get_syncnt(Conn& c) {
  const uint8_t own = c.sk.options->syncnt;
  return own != 0 ? int{own} : c.tcp.ns.sysctl.tcp_syn_retries.as<int>();
}

// Below 0: an orphan in FIN_WAIT2 is not kept at all; 0: tcp_fin_timeout.
Result<void> set_linger2(Conn& c, int v) {
  return set_shared<&O::linger2_s>(c, std::clamp(v, -1, kMaxLingerSeconds));
}
Result<int> get_linger2(Conn& c) {
  const int own = c.sk.options->linger2_s;
  return own != 0 ? own : c.tcp.ns.sysctl.tcp_fin_timeout.as<int>();
}

Result<void> set_user_timeout(Conn& c, int v) {
  if (v < 0) return err(EINVAL);
  return set_shared<&O::user_timeout_ms>(c, v);
}
Result<int> get_user_timeout(Conn& c) {
  return static_cast<int>(c.sk.options->user_timeout_ms);
}

// ---- time-outs; Linux counts them in milliseconds, rounded up ----

int to_ms(int us) {
  return static_cast<int>((static_cast<int64_t>(static_cast<uint32_t>(us)) + 999) / 1000);
}

Result<void> set_rto_max(Conn& c, int v) {
  if (auto ok = check_range(v, 1000, 120000); !ok) return ok;
  return set_shared<&O::rto_max_ms>(c, v);
}
Result<int> get_rto_max(Conn& c) {
  return static_cast<int>(rto_max(c).ms());
}

Result<void> set_rto_min(Conn& c, int v) {
  if (auto ok = check_range(to_ms(v), kMinTimeoutMs, kMaxTimeoutMs); !ok) return ok;
  return set_shared<&O::rto_min_us>(c, to_ms(v) * 1000);
}
Result<int> get_rto_min(Conn& c) {
  const uint32_t own = c.sk.options->rto_min_us;
  return static_cast<int>(own != 0 ? own : c.tcp.ns.sysctl.tcp_rto_min_us.as<uint32_t>());
}

Result<void> set_delack_max(Conn& c, int v) {
  if (auto ok = check_range(to_ms(v), kMinTimeoutMs, kMaxTimeoutMs); !ok) return ok;
  return set_shared<&O::delack_max_us>(c, to_ms(v) * 1000);
}
Result<int> get_delack_max(Conn& c) {
  const uint32_t own = c.sk.options->delack_max_us;
  return static_cast<int>(own != 0 ? own : kDelackMax.us());
}

Result<void> set_thin_linear_timeouts(Conn& c, int v) {
  if (auto ok = check_range(v, 0, 1); !ok) return ok;
  return set_shared<&O::thin_linear_timeouts>(c, v != 0);
}
Result<int> get_thin_linear_timeouts(Conn& c) {
  return c.sk.options->thin_linear_timeouts ? 1 : 0;
}

// Accepted without effect, and read as 0: RACK has taken its place in Linux.
Result<void> set_thin_dupack(Conn&, int v) {
  return check_range(v, 0, 1);
}
Result<int> get_thin_dupack(Conn&) {
  return 0;
}

using enum OptionStatus;
using T = OptionType;

constexpr TcpOption kRows[] = {
    {kOptKeepidle, "TCP_KEEPIDLE", T::kInt, kWorks, set_keepidle, get_keepidle},
    {kOptKeepintvl, "TCP_KEEPINTVL", T::kInt, kWorks, set_keepintvl, get_keepintvl},
    {kOptKeepcnt, "TCP_KEEPCNT", T::kInt, kWorks, set_keepcnt, get_keepcnt},
    {kOptSyncnt, "TCP_SYNCNT", T::kInt, kWorks, set_syncnt, get_syncnt},
    {kOptLinger2, "TCP_LINGER2", T::kInt, kWorks, set_linger2, get_linger2},
    {kOptThinLinearTimeouts, "TCP_THIN_LINEAR_TIMEOUTS", T::kInt, kWorks, set_thin_linear_timeouts,
     get_thin_linear_timeouts},
    {kOptThinDupack, "TCP_THIN_DUPACK", T::kInt, kWorks, set_thin_dupack, get_thin_dupack},
    {kOptUserTimeout, "TCP_USER_TIMEOUT", T::kInt, kWorks, set_user_timeout, get_user_timeout},
    {kOptRtoMaxMs, "TCP_RTO_MAX_MS", T::kInt, kWorks, set_rto_max, get_rto_max},
    {kOptRtoMinUs, "TCP_RTO_MIN_US", T::kInt, kWorks, set_rto_min, get_rto_min},
    {kOptDelackMaxUs, "TCP_DELACK_MAX_US", T::kInt, kWorks, set_delack_max, get_delack_max},
};

}  // namespace

std::span<const TcpOption> timer_options() {
  return kRows;
}

}  // namespace leat::tcp
