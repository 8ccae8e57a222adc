// TIME-WAIT (RFC 9293 §3.6.1, RFC 6191, RFC 7323 §5): for 60 s the pair of addresses and ports is kept busy by a small
// object that stands in the connection's place in ehash and on its port. It acknowledges what comes late, and gives
// way to a SYN that cannot be an old duplicate. The rest of an orphan's FIN_WAIT2 is spent as one, too (substate).
// After Linux's tcp_time_wait, tcp_timewait_state_process and tcp_twsk_unique.
#include "tcp/active.h"
#include "tcp/doors.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/timers.h"

namespace leat::tcp {
namespace {

constexpr Duration kShortWait = Duration::from_s(4);  // what ends sooner counts as TWKilled

TimeWait* alloc_time_wait(Tcp& tcp, bool v6) {
  const auto limit = tcp.ns.sysctl.tcp_max_tw_buckets.as<int64_t>();
  if (static_cast<int64_t>(tcp.counts.time_waits.load(std::memory_order_relaxed)) >= limit) return nullptr;
  if (!v6) return tcp.time_waits.create();
  TimeWait6* t = tcp.time_waits6.create();
  if (t == nullptr) return nullptr;
  const auto here = reinterpret_cast<uintptr_t>(static_cast<inet::SockCommon*>(t));
  t->v6_offset = static_cast<uint16_t>(reinterpret_cast<uintptr_t>(t->v6_bytes) - here);
  return t;
}

void copy_identity(TimeWait& t, const TcpSock& s) {
  t.kind = inet::Kind::kTimeWait;
  t.state.store(static_cast<uint8_t>(State::kTimeWait));
  t.family = s.family;
  t.v6only = s.v6only;
  t.v4only = s.v4only;
  t.reuse_address = s.reuse_address;
  t.reuse_port = s.reuse_port;
  t.bound_ifindex = s.bound_ifindex;
  t.set_addresses(s.local(), s.remote());
  t.local_port = s.local_port;
  t.remote_port = s.remote_port;
}

void copy_sequence(TimeWait& t, const Conn& c, State substate) {
  t.rcv_nxt = c.rcv_nxt;
  t.snd_nxt = c.snd_nxt;
  t.rcv_wnd = c.receive_window();
  t.rcv_wscale = c.rx_opt.rcv_wscale & 15;
  t.ts_recent = c.rx_opt.ts_recent;
  t.ts_recent_stamp = c.rx_opt.tstamp_ok ? c.rx_opt.ts_recent_stamp : 0;
  t.ts_offset = c.tsoffset;
  t.entry_stamp = clock_ms(c.tcp);
  t.dsfield = c.sk.options->tos | c.sent_ecn;
  t.substate = static_cast<uint8_t>(substate) & 15;
}

// In the connection's place. false: it was not hashed.
bool take_place(Tcp& tcp, TimeWait& t, TcpSock& s) {
  t.refs.store(2, std::memory_order_release);  // the table's and ours: anybody may kill it as soon as it is there
  tcp.ports.hand_over(s, t);
  if (tcp.established.replace(&s, &t)) {
    LEAT_CHECK(!s.put());
    return true;
  }
  tcp.ports.release(t);
  LEAT_CHECK(!t.put());
  return false;
}

void schedule(Tcp& tcp, TimeWait& t, Duration timeout) {
  tcp.count(timeout <= kShortWait ? Mib::TcpExtTWKilled : Mib::TcpExtTW);
  tcp.time_wait_wheel.arm(t.timer, tcp.now() + timeout);
}

void reschedule(Tcp& tcp, TimeWait& t) {
  if (inet::EstablishedTable::is_hashed(&t)) tcp.time_wait_wheel.arm(t.timer, tcp.now() + kTimeWaitLen);
}

}  // namespace

void enter_time_wait(Conn& c, State substate, Duration timeout) {
  Tcp& tcp = c.tcp;
  TimeWait* t = alloc_time_wait(tcp, c.sk.addresses_are_v6 != 0);
  if (t == nullptr) {
    tcp.count(Mib::TcpExtTCPTimeWaitOverflow);
    return done(c);
  }
  copy_identity(*t, c.sk);
  copy_sequence(*t, c, substate);
  count_up(tcp.counts.time_waits, 1u);
  const Duration three_and_a_half = (c.rto << 2) - c.rto / 2;
  if (timeout < three_and_a_half) timeout = three_and_a_half;
  if (substate == State::kTimeWait) timeout = kTimeWaitLen;
  if (take_place(tcp, *t, c.sk)) schedule(tcp, *t, timeout);
  put_time_wait(tcp, *t);
  done(c);
}

// ---- the end of one ----

void put_time_wait(Tcp& tcp, TimeWait& t) {
  if (!t.put()) return;
  tcp.time_wait_wheel.cancel(t.timer);
  count_down(tcp.counts.time_waits, 1u);
  if (t.v6_offset != 0) {
    tcp.time_waits6.destroy(static_cast<TimeWait6*>(&t));
  } else {
    tcp.time_waits.destroy(&t);
  }
}

void retire_time_wait(Tcp& tcp, TimeWait& t) {
  tcp.time_wait_wheel.cancel(t.timer);
  tcp.ports.release(t);
  put_time_wait(tcp, t);
}

void kill_time_wait(Tcp& tcp, TimeWait& t) {
  if (tcp.established.remove(&t)) retire_time_wait(tcp, t);
}

// The timer holds no reference: the memory may be another time-wait by now, whose timer is then armed or not yet.
void on_time_wait_timer(Tcp& tcp, TimeWait& t) {
  if (!t.try_get()) return;
  if (!t.timer.is_armed()) kill_time_wait(tcp, t);
  put_time_wait(tcp, t);
}

// ---- a segment for one ----

namespace {

struct Stamp {  // the segment's timestamp, as far as it concerns this time-wait
  bool saw = false;
  uint32_t tsval = 0;
  bool is_old = false;  // PAWS
};

Stamp stamp_of(const Tcp& tcp, const TimeWait& t, const Segment& seg) {
  const wire::TcpOptions& o = seg.options();
  if (t.ts_recent_stamp == 0 || !o.has_timestamp || tcp.ns.sysctl.tcp_timestamps == 0) return {};
  const bool old = is_paws_reject(t.ts_recent, t.ts_recent_stamp, o.tsval, seg.header.rst(), stamp_s(tcp));
  return {true, o.tsval, old};
}

void store_stamp(Tcp& tcp, TimeWait& t, const Stamp& stamp) {
  if (!stamp.saw) return;
  t.ts_recent = stamp.tsval;
  t.ts_recent_stamp = stamp_s(tcp);
}

TimeWaitAnswer ack_unless_limited(Tcp& tcp, TimeWait& t, const Segment& seg, Mib skipped) {
  const bool limited = is_oow_rate_limited(tcp.ns, seg, skipped, t.last_oow_ack_time);
  return limited ? TimeWaitAnswer::kSuccess : TimeWaitAnswer::kAck;
}

TimeWaitAnswer kill(Tcp& tcp, TimeWait& t, TimeWaitAnswer answer) {
  kill_time_wait(tcp, t);
  return answer;
}

TimeWaitAnswer in_fin_wait2(Tcp& tcp, TimeWait& t, const Segment& seg, const Stamp& stamp) {
  const wire::TcpHeader& h = seg.header;
  if (stamp.is_old || !is_in_window(seg.seq, seg.end_seq, t.rcv_nxt, t.rcv_nxt + t.rcv_wnd)) {
    return ack_unless_limited(tcp, t, seg, Mib::TcpExtTCPACKSkippedFinWait2);
  }
  if (h.rst()) return kill(tcp, t, TimeWaitAnswer::kSuccess);
  if (h.syn() && !before(seg.seq, t.rcv_nxt)) return kill(tcp, t, TimeWaitAnswer::kReset);
  const bool brings_nothing = !h.has_ack() || !after(seg.end_seq, t.rcv_nxt) || seg.end_seq == seg.seq;
  if (brings_nothing) return TimeWaitAnswer::kSuccess;
  // Data for a user who has closed: it is lost, and the peer must learn that.
  if (!h.fin() || seg.end_seq != t.rcv_nxt + 1) return kill(tcp, t, TimeWaitAnswer::kReset);
  t.substate = static_cast<uint8_t>(State::kTimeWait) & 15;
  t.rcv_nxt = seg.end_seq;
  t.entry_stamp = clock_ms(tcp);
  store_stamp(tcp, t, stamp);
  reschedule(tcp, t);
  return TimeWaitAnswer::kAck;
}

// RFC 6191: a SYN that is newer than all that the old connection can have sent.
bool may_open_anew(const TimeWait& t, const Segment& seg, const Stamp& stamp) {
  const wire::TcpHeader& h = seg.header;
  if (!h.syn() || h.rst() || h.has_ack() || stamp.is_old) return false;
  return after(seg.seq, t.rcv_nxt) || (stamp.saw && static_cast<int32_t>(t.ts_recent - stamp.tsval) < 0);
}

// Sequence numbers that no segment of the old connection can reach: a window beyond, and the SYN and FIN.
Seq isn_beyond(const TimeWait& t) {
  const Seq isn = t.snd_nxt + 65535 + 2;
  return isn == 0 ? 1 : isn;
}

TimeWaitAnswer in_time_wait(Tcp& tcp, TimeWait& t, const Segment& seg, const Stamp& stamp, Seq& isn) {
  const wire::TcpHeader& h = seg.header;
  if (!stamp.is_old && seg.seq == t.rcv_nxt && (seg.seq == seg.end_seq || h.rst())) {
    if (h.rst()) {  // RFC 1337 tells why one may want to ignore it
      if (tcp.ns.sysctl.tcp_rfc1337 == 0) return kill(tcp, t, TimeWaitAnswer::kSuccess);
    } else {
      reschedule(tcp, t);
    }
    store_stamp(tcp, t, stamp);
    return TimeWaitAnswer::kSuccess;
  }
  if (may_open_anew(t, seg, stamp)) {
    isn = isn_beyond(t);
    return TimeWaitAnswer::kSyn;
  }
  if (stamp.is_old) tcp.count(Mib::TcpExtPAWSTimewait);
  if (h.rst()) return TimeWaitAnswer::kSuccess;
  // A SYN without ACK may be old or new: it does not prolong the wait.
  if (stamp.is_old || h.has_ack()) reschedule(tcp, t);
  return ack_unless_limited(tcp, t, seg, Mib::TcpExtTCPACKSkippedTimeWait);
}

}  // namespace

TimeWaitAnswer on_time_wait_segment(Tcp& tcp, TimeWait& t, Segment& seg, Seq& isn) {
  Guard guard(t.lock);
  const Stamp stamp = stamp_of(tcp, t, seg);
  if (t.substate == static_cast<uint8_t>(State::kFinWait2)) return in_fin_wait2(tcp, t, seg, stamp);
  return in_time_wait(tcp, t, seg, stamp, isn);
}

void send_time_wait_ack(Tcp& tcp, TimeWait& t, const Segment&) {
  BareSegment b;
  b.tuple = t.tuple();
  b.ifindex = t.bound_ifindex;
  b.tos = t.dsfield;
  b.header.flags = wire::kTcpAck;
  {
    Guard guard(t.lock);
    b.header.seq = t.snd_nxt;
    b.header.ack = t.rcv_nxt;
    b.header.window = static_cast<uint16_t>(t.rcv_wnd >> t.rcv_wscale);
    if (t.ts_recent_stamp != 0) {
      b.header.options.has_timestamp = true;
      b.header.options.tsval = clock_ms(tcp) + t.ts_offset;
      b.header.options.tsecr = t.ts_recent;
    }
  }
  (void)send_bare(tcp, b);
}

// ---- connect() over one ----

// Linux's tcp_twsk_unique: PAWS keeps the old connection's segments out once a millisecond clock has moved on. Who was
// bound to its port has no other one to go to: no sysctl and no delay keeps it away.
bool may_reuse_time_wait(Tcp& tcp, const TimeWait& t, bool is_bound) {
  if (t.ts_recent_stamp == 0) return false;
  if (is_bound) return true;
  auto reuse = tcp.ns.sysctl.tcp_tw_reuse.as<int>();
  if (t.substate == static_cast<uint8_t>(State::kFinWait2)) reuse = 0;
  const bool over_loopback = t.bound_ifindex == 1 || t.local().is_loopback() || t.remote().is_loopback();
  if (reuse == 2 && !over_loopback) reuse = 0;
  if (reuse == 0) return false;
  const uint32_t from = t.entry_stamp + tcp.ns.sysctl.tcp_tw_reuse_delay.as<uint32_t>();
  return static_cast<int32_t>(clock_ms(tcp) - from) > 0;
}

}  // namespace leat::tcp
