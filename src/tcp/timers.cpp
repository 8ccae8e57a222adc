// What happens when time has passed. All deadlines of a connection share one wheel timer, which is armed for the
// earliest of them and left alone when a deadline moves out: re-arming the RTO on each ACK costs a store. An armed
// wheel timer holds a reference on its socket.
#include "tcp/timers.h"

#include <algorithm>
#include <utility>

#include "inet/sock_lock.h"
#include "tcp/active.h"
#include "tcp/doors.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

Time earliest(const Deadlines& d) {
  return std::min({d.loss, d.delack, d.keepalive, d.pacing, d.compressed_ack, d.sleep});
}

// One deadline has moved to `at`; the others are no sooner than the wheel's timer.
void update_wheel(Conn& c, Time at) {
  if (at >= c.wheel_at) return;
  c.wheel_at = at;
  c.sk.get();
  if (c.tcp.wheel.arm(c.sk.timer, at)) c.sk.put();  // it had one already
}

void on_loss_timer(Conn& c) {
  const LossTimer kind = c.deadlines.loss_kind;
  if (in_state(c.state(), {State::kClose, State::kListen})) return;
  switch (kind) {
    case LossTimer::kReorder:
      rack_on_reorder_timer(c);
      return;
    case LossTimer::kLossProbe:
      send_loss_probe(c);
      return;
    case LossTimer::kRetransmit:
      c.deadlines.loss_kind = LossTimer::kNone;
      on_retransmit_timer(c);
      return;
    case LossTimer::kPersist:
      c.deadlines.loss_kind = LossTimer::kNone;
      on_persist_timer(c);
      return;
    case LossTimer::kNone:
      return;
  }
}

void on_delack_timer(Conn& c) {
  if (c.state() == State::kClose) return;
  if (c.compressed_ack != 0) {
    flush_compressed_acks(c);
    return;
  }
  if (!(c.ack.pending & kAckTimer)) return;
  c.ack.pending &= static_cast<uint8_t>(~kAckTimer);
  if (!(c.ack.pending & kAckScheduled)) return;
  if (!in_pingpong(c)) {
    c.ack.ato = std::min(c.ack.ato * 2, c.rto);  // the ACK found no data to ride on: wait longer next time
  } else {
    c.ack.pingpong = 0;
    c.ack.ato = kAtoMin;
  }
  c.tcp.count(Mib::TcpExtDelayedACKs);
  send_ack(c);
}

void on_compressed_ack_timer(Conn& c) {
  if (c.compressed_ack == 0 || c.state() == State::kClose) return;
  --c.compressed_ack;  // one of them leaves after all
  send_ack(c);
}

Duration keepalive_elapsed(const Conn& c) {
  const uint32_t now = c.jiffies();
  return Duration::from_ms(std::min(now - c.ack.lrcvtime, now - c.rcv_tstamp));
}

void on_fin_wait2_timer(Conn& c) {
  if (c.sk.options->linger2_s >= 0) {
    const Duration left = fin_timeout(c) - kTimeWaitLen;
    if (left > Duration{}) {
      enter_time_wait(c, State::kFinWait2, left);
      return;
    }
  }
  send_active_reset(c);
  done(c);
}

void on_keepalive_timer(Conn& c) {
  if (c.state() == State::kFinWait2 && c.is_orphan()) {
    on_fin_wait2_timer(c);
    return;
  }
  if (!c.sk.keepalive || in_state(c.state(), {State::kClose, State::kSynSent})) return;
  if (c.packets_out != 0 || c.has_unsent()) {  // data in flight keep it alive, or the RTO kills it
    arm_keepalive(c, keepalive_time(c));
    return;
  }
  const Duration elapsed = keepalive_elapsed(c);
  if (elapsed < keepalive_time(c)) {
    arm_keepalive(c, keepalive_time(c) - elapsed);
    return;
  }
  const uint32_t user_ms = c.sk.options->user_timeout_ms;
  const bool too_long =
      user_ms != 0 ? elapsed.ms() >= user_ms && c.probes_out > 0 : c.probes_out >= keepalive_probes(c);
  if (too_long) {
    send_active_reset(c);
    write_error(c);
    return;
  }
  if (write_wakeup(c, Mib::TcpExtTCPKeepAlive) == 0) {
    if (c.probes_out < 255) ++c.probes_out;
    arm_keepalive(c, keepalive_interval(c));
  } else {
    arm_keepalive(c, kResourceProbeInterval);
  }
}

bool take_due(Time& deadline, Time now) {
  if (deadline > now) return false;
  deadline = Time::never();
  return true;
}

void run_due(Conn& c, Time now) {
  Deadlines& d = c.deadlines;
  if (take_due(d.pacing, now)) c.effects.send_data = true;
  if (c.effects.send_data && c.retrans_out < c.lost_out && c.ca_state >= CaState::kRecovery) transmit_lost(c);
  if (take_due(d.compressed_ack, now)) on_compressed_ack_timer(c);
  // Of two that are due together the one that was armed last is first, as on Linux's wheel: a retransmission takes the
  // ACK along.
  if (d.is_loss_newer && take_due(d.loss, now)) on_loss_timer(c);
  if (take_due(d.delack, now)) on_delack_timer(c);
  if (take_due(d.loss, now)) on_loss_timer(c);
  if (c.sk.conn == &c && take_due(d.keepalive, now)) on_keepalive_timer(c);
}

// Nothing has happened for kSleepAfter, and nothing is under way. False: not yet, or not now.
bool go_to_sleep(Conn& c) {
  const uint32_t now = c.jiffies();
  const uint32_t idle = std::min({now - c.lsndtime, now - c.ack.lrcvtime, now - c.rcv_tstamp});
  if (idle < kSleepAfter.ms()) {
    c.deadlines.sleep = c.tcp.now() + (kSleepAfter - Duration::from_ms(idle));
    return false;
  }
  return try_sleep(c);
}

}  // namespace

void on_sock_timer(void* context, Timer& timer) {
  Tcp& tcp = *static_cast<Tcp*>(context);
  auto* s = reinterpret_cast<TcpSock*>(reinterpret_cast<uint8_t*>(&timer) - offsetof(TcpSock, timer));
  {
    inet::SockLock lock(*s, drain_backlog);
    if (Conn* c = wake(*s); c != nullptr) {
      refresh_time(*c);
      c->wheel_at = Time::never();
      const bool tired = take_due(c->deadlines.sleep, tcp.now());
      run_due(*c, tcp.now());
      if (s->conn == c) flush_effects(*c);
      if (s->conn == c && !(tired && go_to_sleep(*c))) update_wheel(*c, earliest(c->deadlines));
    }
  }
  tcp.release(*s);
}

void on_request_wheel_timer(void* tcp, Timer& timer) {
  auto* r = reinterpret_cast<Request*>(reinterpret_cast<uint8_t*>(&timer) - offsetof(Request, timer));
  on_request_timer(*static_cast<Tcp*>(tcp), *r);
}

void on_time_wait_wheel_timer(void* tcp, Timer& timer) {
  auto* t = reinterpret_cast<TimeWait*>(reinterpret_cast<uint8_t*>(&timer) - offsetof(TimeWait, timer));
  on_time_wait_timer(*static_cast<Tcp*>(tcp), *t);
}

void prepare_time_wait_timer(void* tcp, Timer& timer) {
  const auto* t = reinterpret_cast<TimeWait*>(reinterpret_cast<uint8_t*>(&timer) - offsetof(TimeWait, timer));
  static_cast<Tcp*>(tcp)->established.prefetch_bucket(t->hash);
  __builtin_prefetch(t->bind_bucket, 1);  // nobody changes it while the timer is armed
}

namespace {

// Timers in jiffies count from where the present one began. A jiffy of a millisecond is as good as none: leat's timers
// are exact.
Time in_jiffies(const Conn& c, Duration after) {
  if (c.jiffy_mask == ~0u) return c.tcp.now() + after;
  const int64_t began_ms = c.tcp.now().ms() & static_cast<int32_t>(c.jiffy_mask);
  return Time::from_us((began_ms + c.whole_jiffies(static_cast<uint64_t>(after.us()))) * 1000);
}

}  // namespace

void arm_loss_timer(Conn& c, LossTimer kind, Duration after) {
  const Time before = c.deadlines.loss;
  c.deadlines.loss_kind = kind;
  c.deadlines.loss = in_jiffies(c, std::min(after, rto_max(c)));
  // A time that pacing holds back does not count (tcp_reset_xmit_timer with pace_delay).
  if (is_paced(c) && c.wstamp_ns > c.clock_cache_ns && kind != LossTimer::kReorder) {
    c.deadlines.loss = c.deadlines.loss + Duration::from_ns(static_cast<int64_t>(c.wstamp_ns - c.clock_cache_ns));
  }
  if (c.deadlines.loss != before) c.deadlines.is_loss_newer = true;
  update_wheel(c, c.deadlines.loss);
}

void disarm_loss_timer(Conn& c) {
  c.deadlines.loss_kind = LossTimer::kNone;
  c.deadlines.loss = Time::never();
}

void arm_delack(Conn& c, Duration after) {
  const Time before = std::exchange(c.deadlines.delack, in_jiffies(c, after));
  if (c.deadlines.delack != before) c.deadlines.is_loss_newer = false;
  update_wheel(c, c.deadlines.delack);
}

void disarm_delack(Conn& c) {
  c.deadlines.delack = Time::never();
}

void arm_keepalive(Conn& c, Duration after) {
  c.deadlines.keepalive = in_jiffies(c, after);
  update_wheel(c, c.deadlines.keepalive);
}

void disarm_keepalive(Conn& c) {
  c.deadlines.keepalive = Time::never();
}

void arm_sleep(Conn& c) {
  if (c.deadlines.sleep != Time::never() || !may_sleep(c)) return;
  if (c.send_page != nullptr) PacketPool::unref(c.send_page);  // nothing is left in it
  c.send_page = nullptr;
  c.deadlines.sleep = c.tcp.now() + kSleepAfter;
  update_wheel(c, c.deadlines.sleep);
}

void keep_wheel_for(TcpSock& s, Time keepalive) {
  TimerWheel& wheel = s.tcp->wheel;
  if (keepalive != Time::never()) {
    s.get();
    if (wheel.arm(s.timer, keepalive)) s.put();
    return;
  }
  if (wheel.cancel(s.timer)) s.put();
  s.timer.expires = Time::never();
}

void arm_pacing(Conn& c, Time at) {
  c.deadlines.pacing = at;
  update_wheel(c, c.deadlines.pacing);
}

void arm_compressed_ack(Conn& c, Duration after) {
  c.deadlines.compressed_ack = c.tcp.now() + after;
  update_wheel(c, c.deadlines.compressed_ack);
}

void disarm_compressed_ack(Conn& c) {
  c.deadlines.compressed_ack = Time::never();
}

void disarm_all(Conn& c) {
  c.deadlines = Deadlines{};
  c.wheel_at = Time::never();
  c.ack.pending = 0;
  if (c.tcp.wheel.cancel(c.sk.timer)) c.sk.put();
}

void reset_keepalive_timer(Conn& c) {
  if (in_state(c.state(), {State::kClose, State::kListen})) return;
  if (c.sk.keepalive) {
    arm_keepalive(c, keepalive_time(c));
  } else {
    disarm_keepalive(c);
  }
}

Duration keepalive_time(const Conn& c) {
  const uint32_t user = c.sk.options->keepidle_s;
  return Duration::from_s(user != 0 ? user : static_cast<int64_t>(c.tcp.ns.sysctl.tcp_keepalive_time));
}

Duration keepalive_interval(const Conn& c) {
  const uint32_t user = c.sk.options->keepintvl_s;
  return Duration::from_s(user != 0 ? user : static_cast<int64_t>(c.tcp.ns.sysctl.tcp_keepalive_intvl));
}

uint32_t keepalive_probes(const Conn& c) {
  const uint8_t user = c.sk.options->keepcnt;
  return user != 0 ? user : static_cast<uint32_t>(c.tcp.ns.sysctl.tcp_keepalive_probes);
}

Duration fin_timeout(const Conn& c) {
  const int32_t user = c.sk.options->linger2_s;
  const Duration set = Duration::from_s(user > 0 ? user : static_cast<int64_t>(c.tcp.ns.sysctl.tcp_fin_timeout));
  return std::max(set, (c.rto << 2) - c.rto / 2);  // 3.5 RTOs at least
}

}  // namespace leat::tcp
