// The timer that retransmits, the one that probes a closed window, and when each gives up (RFC 6298, RFC 1122 §4.2.3.5,
// §4.2.2.17; Linux's tcp_retransmit_timer, tcp_probe_timer, tcp_write_timeout).
#include "tcp/timers.h"

#include <algorithm>
#include <bit>

#include "tcp/active.h"
#include "tcp/doors.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

inline constexpr uint32_t kThinRetries = 6;

// How long `boundary` retransmissions with doubling from `base` take (RFC 1122 §4.2.3.5 in time instead of counts).
Duration model_timeout(const Conn& c, uint32_t boundary, Duration base) {
  const auto ratio = static_cast<uint64_t>(std::max<int64_t>(1, rto_max(c).ns() / std::max<int64_t>(1, base.ns())));
  const auto threshold = static_cast<uint32_t>(std::bit_width(ratio) - 1);
  if (boundary <= threshold) return base * ((int64_t{2} << boundary) - 1);
  return base * ((int64_t{2} << threshold) - 1) + rto_max(c) * static_cast<int64_t>(boundary - threshold);
}

bool has_timed_out(const Conn& c, uint32_t boundary, uint32_t timeout_ms) {
  if (c.retransmits == 0) return false;
  int64_t limit_ms = timeout_ms;
  if (timeout_ms == 0) {
    const bool opening = in_state(c.state(), {State::kSynSent, State::kSynRecv});
    limit_ms = model_timeout(c, boundary, opening ? kTimeoutInit : Duration::from_ms(200)).ms();
  }
  return static_cast<int32_t>(timestamp_now(c) - c.retrans_stamp) >= limit_ms;
}

uint32_t orphan_retries(const Conn& c, bool alive) {
  auto retries = static_cast<uint32_t>(c.tcp.ns.sysctl.tcp_orphan_retries);
  if (c.sk.soft_error != 0 && !alive) retries = 0;
  if (retries == 0 && alive) retries = 8;  // more than 100 s with the smallest RTO
  return retries;
}

// Too many orphans or no memory for them: this one goes. True: it is gone.
bool is_out_of_resources(Conn& c, bool do_reset) {
  int shift = 0;
  const auto idle = static_cast<int32_t>(c.jiffies() - c.lsndtime);
  if (idle > 2 * rto_max(c).ms() || !do_reset) ++shift;
  if (c.sk.soft_error != 0) ++shift;
  if (!is_orphan_too_much(c, shift)) return false;
  if (idle <= kTimeWaitLen.ms() || (c.snd_wnd == 0 && c.packets_out == 0)) do_reset = true;
  if (do_reset) send_active_reset(c);
  done(c);
  c.tcp.count(Mib::TcpExtTCPAbortOnMemory);
  return true;
}

// True: the connection has been given up (tcp_write_timeout).
bool give_up_retransmitting(Conn& c) {
  const auto& sys = c.tcp.ns.sysctl;
  bool expired = false;
  uint32_t retry_until;
  if (in_state(c.state(), {State::kSynSent, State::kSynRecv})) {
    const uint8_t user = c.sk.options->syncnt;
    retry_until = user != 0 ? user : static_cast<uint32_t>(sys.tcp_syn_retries);
    uint32_t most = retry_until;
    if (c.state() == State::kSynSent) most += static_cast<uint32_t>(sys.tcp_syn_linear_timeouts);
    expired = c.retransmits >= most;
  } else {
    if (has_timed_out(c, static_cast<uint32_t>(sys.tcp_retries1), 0)) {
      on_mtu_black_hole(c);
      c.has_route = false;  // ask the routes again
    }
    retry_until = static_cast<uint32_t>(sys.tcp_retries2);
    if (c.is_orphan()) {
      const bool alive = c.rto < rto_max(c);
      retry_until = orphan_retries(c, alive);
      const bool do_reset = alive || !has_timed_out(c, retry_until, 0);
      if (is_out_of_resources(c, do_reset)) return true;
    }
  }
  if (!expired) expired = has_timed_out(c, retry_until, c.sk.options->user_timeout_ms);
  detect_blackhole(c, expired);
  if (expired) {
    write_error(c);
    return true;
  }
  // Another path may be better: routers that hash the flow label take one (Linux's sk_rethink_txhash).
  if (sys.txrehash != 0) {
    set_txhash(c, c.tcp.ns.rng.next32() | 1);
    ++c.timeout_rehash;
    c.tcp.count(Mib::TcpExtTcpTimeoutRehash);
  }
  return false;
}

void count_failure(Conn& c) {
  const bool reno = c.is_reno();
  if (c.ca_state == CaState::kRecovery) {
    c.tcp.count(reno ? Mib::TcpExtTCPRenoRecoveryFail : Mib::TcpExtTCPSackRecoveryFail);
  } else if (c.ca_state == CaState::kLoss) {
    c.tcp.count(Mib::TcpExtTCPLossFailures);
  } else if (c.ca_state == CaState::kDisorder || c.sacked_out != 0) {
    c.tcp.count(reno ? Mib::TcpExtTCPRenoFailures : Mib::TcpExtTCPSackFailures);
  }
}

Duration clamp_rto_to_user_timeout(const Conn& c) {
  const uint32_t user_ms = c.sk.options->user_timeout_ms;
  if (user_ms == 0) return c.rto;
  const auto elapsed = static_cast<int32_t>(timestamp_now(c) - c.retrans_stamp);
  const int64_t remaining = static_cast<int64_t>(user_ms) - elapsed;
  if (remaining <= 0) return Duration::from_ms(1);
  return std::min(c.rto, Duration::from_ms(remaining));
}

Duration base_rto(const Conn& c) {
  return Duration::from_ms(((c.srtt_us >> 3) + c.rttvar_us + 999) / 1000);
}

void back_off(Conn& c) {
  const auto& sys = c.tcp.ns.sysctl;
  const bool thin = (c.sk.options->thin_linear_timeouts || sys.tcp_thin_linear_timeouts != 0) && c.packets_out < 4 &&
                    !c.in_initial_slowstart();
  if (c.state() == State::kEstablished && thin && c.retransmits <= kThinRetries) {
    c.backoff = 0;
    c.rto = std::clamp(base_rto(c), rto_min(c), rto_max(c));
  } else if (c.state() != State::kSynSent || c.total_rto > sys.tcp_syn_linear_timeouts) {
    if (c.backoff < 255) ++c.backoff;
    c.rto = std::min(c.rto * 2, rto_max(c));
  }
}

// The peer has closed its window under data in flight: retransmissions are probes, and only silence ends them.
bool probes_with_retransmission(Conn& c) {
  if (c.snd_wnd != 0 || c.is_orphan() || in_state(c.state(), {State::kSynSent, State::kSynRecv})) return false;
  const auto since_answer = static_cast<int32_t>(c.jiffies() - c.rcv_tstamp);
  const uint32_t user_ms = c.sk.options->user_timeout_ms;
  const TxSegment* head = c.rtx_head();
  const uint32_t start = c.retrans_stamp != 0 ? c.retrans_stamp : timestamp_of(c, *head);
  const auto trying = static_cast<int32_t>(timestamp_now(c) - start);
  if (user_ms != 0 ? (since_answer > static_cast<int32_t>(user_ms) && trying > static_cast<int32_t>(user_ms))
                   : (since_answer > rto_max(c).ms() * 2 && trying > rto_max(c).ms() * 2)) {
    write_error(c);
    return true;
  }
  enter_loss(c);
  retransmit(c, *c.rtx_head(), 1);
  c.has_route = false;
  back_off(c);
  arm_loss_timer(c, LossTimer::kRetransmit, clamp_rto_to_user_timeout(c));
  return true;
}

}  // namespace

void on_retransmit_timer(Conn& c) {
  if (c.fastopen_request != nullptr) return on_synack_timer(c);
  if (c.packets_out == 0 || c.rtx_head() == nullptr) return;
  if (probes_with_retransmission(c)) return;
  c.tcp.count(Mib::TcpExtTCPTimeouts);
  if (give_up_retransmitting(c)) return;
  if (c.retransmits == 0) count_failure(c);
  enter_loss(c);
  count_rto(c);
  const int error = retransmit(c, *c.rtx_head(), 1);
  if (error == ENOBUFS || error == ENOMEM) {  // out of memory here, not there: try again soon
    arm_loss_timer(c, LossTimer::kRetransmit, kResourceProbeInterval);
    return;
  }
  back_off(c);
  arm_loss_timer(c, LossTimer::kRetransmit, clamp_rto_to_user_timeout(c));
  if (has_timed_out(c, static_cast<uint32_t>(c.tcp.ns.sysctl.tcp_retries1) + 1, 0)) c.has_route = false;
}

void on_persist_timer(Conn& c) {
  if (c.packets_out != 0 || !c.has_unsent()) {
    c.probes_out = 0;
    c.probes_since = 0;
    return;
  }
  const uint32_t user_ms = c.sk.options->user_timeout_ms;
  if (c.probes_since == 0) {
    c.probes_since = c.jiffies();
  } else if (user_ms != 0 && c.jiffies() - c.probes_since >= c.whole_jiffies(uint64_t{user_ms} * 1000)) {
    write_error(c);
    return;
  }
  auto most = static_cast<uint32_t>(c.tcp.ns.sysctl.tcp_retries2);
  if (c.is_orphan()) {
    const bool alive = (c.rto << std::min<int>(c.backoff, 20)) < rto_max(c);
    most = orphan_retries(c, alive);
    if (!alive && c.backoff >= most) {
      write_error(c);
      return;
    }
    if (is_out_of_resources(c, true)) return;
  }
  if (c.probes_out >= most) {
    write_error(c);
  } else {
    send_probe0(c);
  }
}

void count_rto(Conn& c) {
  if (c.retransmits == 0) {
    ++c.total_rto_recoveries;
    c.rto_stamp = timestamp_now(c);
  }
  if (c.retransmits < 255) ++c.retransmits;
  ++c.total_rto;
}

void rearm_rto(Conn& c) {
  if (c.fastopen_request != nullptr) return;  // the timer is the SYN-ACK's
  if (c.packets_out == 0) {
    disarm_loss_timer(c);
    return;
  }
  Duration rto = c.rto;
  if (c.deadlines.loss_kind == LossTimer::kReorder || c.deadlines.loss_kind == LossTimer::kLossProbe) {
    rto = std::max(rto_remaining(c), Duration::from_us(1));  // what has passed since the head was sent counts
    rto = Duration::from_ms((rto.us() + 999) / 1000);
  }
  arm_loss_timer(c, LossTimer::kRetransmit, rto);
}

void set_loss_timer(Conn& c) {
  if (!schedule_loss_probe(c, true)) rearm_rto(c);
}

Duration rto_remaining(const Conn& c) {
  const TxSegment* head = c.rtx_head();
  if (head == nullptr) return c.rto;
  return c.rto - Duration::from_us(static_cast<int64_t>(c.mstamp_us - head->sent_us));
}

void write_error(Conn& c) {
  fail(c, c.sk.soft_error != 0 ? c.sk.soft_error : ETIMEDOUT);
  c.tcp.count(Mib::TcpExtTCPAbortOnTimeout);
}

Duration rto_min(const Conn& c) {
  if (c.has_route && c.route.rto_min_ms != 0) return Duration::from_ms(c.route.rto_min_ms);
  const uint32_t user = c.sk.options->rto_min_us;
  return Duration::from_us(user != 0 ? user : static_cast<int64_t>(c.tcp.ns.sysctl.tcp_rto_min_us));
}

Duration delack_max(const Conn& c) {
  const int64_t jiffy_ms = static_cast<int64_t>(~c.jiffy_mask) + 1;
  const int64_t rto_ms = c.whole_jiffies(static_cast<uint64_t>(rto_min(c).us()));
  const uint32_t user = c.sk.options->delack_max_us;
  return std::min(user != 0 ? Duration::from_us(user) : kDelackMax,
                  Duration::from_ms(std::max(rto_ms, 2 * jiffy_ms) - jiffy_ms));
}

Duration rto_max(const Conn& c) {
  const uint32_t user = c.sk.options->rto_max_ms;
  return Duration::from_ms(user != 0 ? user : static_cast<int64_t>(c.tcp.ns.sysctl.tcp_rto_max_ms));
}

}  // namespace leat::tcp
