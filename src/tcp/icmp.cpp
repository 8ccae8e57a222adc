// ICMP errors about segments of ours (Linux's tcp_v4_err, tcp_v6_err; RFC 5927 says whom not to believe, RFC 6069 what
// an unreachable tells a sender that backs off). Only an error that quotes a sequence number in flight is believed.
// On an established connection errors are soft, told when it gives up; before that they end it.
#include <sys/epoll.h>

#include "inet/sock_lock.h"
#include "tcp/doors.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"
#include "tcp/timers.h"
#include "wire/icmp.h"

namespace leat::tcp {
namespace {

// What an error is, whichever the family.
struct Meaning {
  bool is_too_big = false;
  bool is_unreachable = false;  // of network or host: RFC 6069
  bool ends_request = false;
};

constexpr uint8_t kV4Unreachable = 3, kV4TimeExceeded = 11, kV4ParameterProblem = 12;
constexpr uint8_t kV4NetUnreachable = 0, kV4HostUnreachable = 1, kV4FragNeeded = 4;
constexpr uint8_t kV6Unreachable = 1, kV6TooBig = 2, kV6NoRoute = 0;

Meaning meaning_of(const ip::IcmpError& e) {
  Meaning m;
  if (e.about.src.is_v6()) {
    m.is_too_big = e.type == kV6TooBig;
    m.is_unreachable = e.type == kV6Unreachable && e.code == kV6NoRoute;
    m.ends_request = e.is_fatal;
    return m;
  }
  const bool far = e.code == kV4NetUnreachable || e.code == kV4HostUnreachable;
  m.is_too_big = e.type == kV4Unreachable && e.code == kV4FragNeeded;
  m.is_unreachable = e.type == kV4Unreachable && far;
  m.ends_request = m.is_unreachable || e.type == kV4TimeExceeded || e.type == kV4ParameterProblem;
  return m;
}

void count_stray(Tcp& tcp, const ip::IcmpError& e) {
  tcp.count(e.about.src.is_v6() ? Mib::Icmp6InErrors : Mib::IcmpInErrors);
}

// Silently: POSIX wants no network errors from accept().
void on_request_error(Tcp& tcp, Request& r, Seq seq, bool ends) {
  if (seq != r.snt_isn) {
    tcp.count(Mib::TcpExtOutOfWindowIcmps);
  } else if (ends) {
    drop_request(tcp, r);
    tcp.count(Mib::TcpExtListenDrops);
  }
}

// RFC 6069: the retransmission was lost to a missing route, not to congestion: the last doubling is taken back.
void revert_rto(Conn& c, Seq seq) {
  if (seq != c.snd_una || c.retransmits == 0 || c.backoff == 0) return;
  const TxSegment* head = c.rtx_head();
  if (head == nullptr) return;
  --c.backoff;
  const auto estimate = Duration::from_us((c.srtt_us >> 3) + c.rttvar_us);
  const Duration base = c.srtt_us != 0 ? estimate : kTimeoutInit;
  const Duration most = rto_max(c);
  c.rto = base << (c.backoff < 20 ? c.backoff : 20);
  if (c.rto > most) c.rto = most;
  const auto since = Duration::from_us(static_cast<int64_t>(c.mstamp_us - head->sent_us));
  arm_loss_timer(c, LossTimer::kRetransmit, c.rto > since ? c.rto - since : Duration());
}

void on_connection_error(Conn& c, const ip::IcmpError& e) {
  if (!is_accepted(c) && in_state(c.state(), {State::kSynSent, State::kSynRecv})) return fail(c, e.error);
  if (!c.sk.options->recv_error) {
    c.sk.soft_error = static_cast<uint8_t>(e.error);
  } else {
    c.sk.error = static_cast<uint8_t>(e.error);
    c.effects.events |= EPOLLERR;
  }
}

// IP_PMTUDISC_DONT has no use for it, INTERFACE and OMIT do not believe it.
bool uses_path_mtu(const Conn& c) {
  const uint8_t how = c.sk.options->pmtu_discover;
  return how != 0 && how < 4;
}

// The SYN-ACK of a Fast Open child is in flight, too.
Seq first_in_flight(const Conn& c) {
  return c.fastopen_request != nullptr ? c.fastopen_request->snt_isn : c.snd_una;
}

void on_sock_error(Tcp& tcp, TcpSock& s, const ip::IcmpError& e, Seq seq) {
  inet::SockLock lock(s, &drain_backlog);
  if (in_state(s.get_state(), {State::kClose, State::kListen})) return;
  Conn* awake = wake(s);
  if (awake == nullptr) return;
  Conn& c = *awake;
  refresh_time(c);
  if (!between(seq, first_in_flight(c), c.snd_nxt)) return tcp.count(Mib::TcpExtOutOfWindowIcmps);
  const Meaning m = meaning_of(e);
  if (m.is_too_big) {
    if (uses_path_mtu(c)) on_mtu_reduced(c, path_mtu(c));  // which ip has just learnt
  } else if (e.error != 0) {
    if (m.is_unreachable) revert_rto(c, seq);
    on_connection_error(c, e);
  }
  flush_effects(c);
}

inet::FourTuple tuple_of(const ip::IcmpError& e) {
  return {e.about.src, e.about.dst, load_be16(e.quoted.data()), load_be16(e.quoted.data() + 2)};
}

bool is_in_flight(TcpSock& s, Seq seq) {
  inet::SockLock lock(s, &drain_backlog);
  if (s.conn == nullptr || in_state(s.get_state(), {State::kClose, State::kListen})) return false;  // null: it idles
  return between(seq, first_in_flight(*s.conn), s.conn->snd_nxt);
}

}  // namespace

bool Tcp::recognizes(const ip::IcmpError& e) {
  if (e.quoted.size() < 8) return false;
  inet::SockCommon* found = established.lookup(tuple_of(e), e.about.ifindex);
  if (found == nullptr) return false;
  const Seq seq = load_be32(e.quoted.data() + 4);
  if (found->kind == inet::Kind::kTimeWait) {
    put_time_wait(*this, *static_cast<TimeWait*>(found));
    return false;
  }
  if (found->kind == inet::Kind::kRequest) {
    auto& r = *static_cast<Request*>(found);
    const bool is_ours = seq == r.snt_isn;
    put_request(*this, r);
    return is_ours;
  }
  auto& s = *static_cast<TcpSock*>(found);
  const bool is_ours = is_in_flight(s, seq);
  release(s);
  return is_ours;
}

void Tcp::on_icmp_error(const ip::IcmpError& e) {
  if (e.quoted.size() < 8) return count_stray(*this, e);
  inet::SockCommon* found = established.lookup(tuple_of(e), e.about.ifindex);
  if (found == nullptr) return count_stray(*this, e);
  const Seq seq = load_be32(e.quoted.data() + 4);
  if (found->kind == inet::Kind::kTimeWait) {
    put_time_wait(*this, *static_cast<TimeWait*>(found));
  } else if (found->kind == inet::Kind::kRequest) {
    auto& r = *static_cast<Request*>(found);
    on_request_error(*this, r, seq, meaning_of(e).ends_request);
    put_request(*this, r);
  } else {
    auto& s = *static_cast<TcpSock*>(found);
    on_sock_error(*this, s, e, seq);
    release(s);
  }
}

}  // namespace leat::tcp
