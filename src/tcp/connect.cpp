// connect(2) and its undoing (RFC 9293 §3.10.1; Linux's __inet_stream_connect, tcp_v4_connect, tcp_v6_connect,
// tcp_disconnect). Initial sequence numbers and timestamp offsets: RFC 6528, RFC 7323 §5.4.
#include <sys/epoll.h>

#include <utility>

#include "inet/sock_lock.h"
#include "tcp/active.h"
#include "tcp/doors.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"
#include "tcp/timers.h"

namespace leat::tcp {
namespace {

constexpr uint32_t kLoopback = 0x7f000001;

// ---- where to ----

// The destination that packets will carry: "any" means this host, a v4-mapped address IPv4.
Result<IpAddress> destination_of(const TcpSock& s, const IpAddress& address) {
  if (address.family() != s.family) return err(EAFNOSUPPORT);
  const IpAddress bound = s.local();
  if (s.family == Family::kIpv6 && !address.is_v4_mapped()) {
    const bool bound_v4 = s.v4only || (bound.is_v4() && !bound.is_any());
    if (address.is_any()) return bound_v4 ? IpAddress::from_v4(kLoopback) : *IpAddress::parse("::1");
    if (address.is_link_local() && s.bound_ifindex == 0) return err(EINVAL);
    if (bound_v4) return err(EAFNOSUPPORT);
    return address;
  }
  if (s.family == Family::kIpv6 && s.v6only) return err(ENETUNREACH);
  const IpAddress v4 = address.from_v4_mapped();
  if (!v4.is_any()) return v4;
  return bound.is_v4() && !bound.is_any() ? bound : IpAddress::from_v4(kLoopback);
}

Result<ip::Route> route_to(Tcp& tcp, const TcpSock& s, const IpAddress& to, const IpAddress& from) {
  if (to.is_multicast()) return err(ENETUNREACH);
  auto route = tcp.ip.route(to, from, s.bound_ifindex, s.options->mark);
  if (!route) {
    if (route.error() == Errno{ENETUNREACH}) tcp.count(to.is_v4() ? Mib::IpOutNoRoutes : Mib::Ip6OutNoRoutes);
    return route;
  }
  if (route->is_multicast || route->is_broadcast) return err(ENETUNREACH);
  return route;
}

// The address that bind(2) gave, or any() for the route to choose.
Result<IpAddress> source_for(const TcpSock& s, const IpAddress& to) {
  const IpAddress bound = s.local();
  if (bound.is_any()) return IpAddress::any(to.family());
  if (bound.family() != to.family()) return err(EINVAL);
  return bound;
}

// ---- the port ----

// Sequence numbers beyond those of the old connection, and its timestamps.
void go_on_behind(Conn& c, const TimeWait& t) {
  const Seq next = t.snd_nxt + 65535 + 2;
  c.write_seq = next == 0 ? 1 : next;
  c.rx_opt.ts_recent = t.ts_recent;
  c.rx_opt.ts_recent_stamp = t.ts_recent_stamp;
}

// May a time-wait give way to us?
bool may_replace(void* context, inet::SockCommon* existing) {
  Conn& c = *static_cast<Conn*>(context);
  if (existing->kind != inet::Kind::kTimeWait) return false;
  TimeWait& t = *static_cast<TimeWait*>(existing);
  // The table's bucket is locked, and who has the time-wait's lock may want that: no waiting here.
  if (!t.lock.try_lock()) return false;
  const bool may = may_reuse_time_wait(c.tcp, t, c.sk.bind_bucket != nullptr);
  if (may && !c.repair) go_on_behind(c, t);
  t.lock.unlock();
  return may;
}

Result<void> take_port(Conn& c) {
  inet::SockCommon* replaced = nullptr;
  c.sk.get();  // the table's
  auto ok = c.tcp.ports.connect(c.sk, c.tcp.established, &may_replace, &c, &replaced);
  if (!ok) {
    LEAT_CHECK(!c.sk.put());
    return ok;
  }
  if (replaced != nullptr) {
    c.tcp.count(Mib::TcpExtTWRecycled);
    retire_time_wait(c.tcp, *static_cast<TimeWait*>(replaced));
  }
  return {};
}

// ---- connect ----

void forget_inherited_state(Conn& c, const IpAddress& to) {
  if (c.rx_opt.ts_recent_stamp == 0 || c.sk.remote() == to) return;
  c.rx_opt.ts_recent = c.rx_opt.ts_recent_stamp = 0;
  if (!c.repair) c.write_seq = 0;
}

void set_identity(Conn& c, const ip::Route& route, const IpAddress& to, uint16_t port) {
  TcpSock& s = c.sk;
  if (s.local().is_any()) {
    s.set_addresses(route.source, to);
    s.tcp->ports.on_local_address_changed(s);
  } else {
    s.set_addresses(s.local(), to);
  }
  s.remote_port = port;
  c.route = route;
  c.has_route = true;
}

void forget_addresses(TcpSock& s) {
  const IpAddress none = IpAddress::any(s.family);
  const IpAddress bound = (s.bind_lock & inet::kBindLockAddress) != 0 ? s.local() : none;
  s.set_addresses(bound, bound.is_any() ? none : IpAddress::any(bound.family()));
  s.remote_port = 0;
  if (s.bind_bucket == nullptr) s.local_port = 0;
}

void abandon_handshake(Conn& c) {
  set_state(c, State::kClose);
  disarm_all(c);
  purge_send_queues(c);
  c.has_route = false;
  forget_addresses(c.sk);
}

// What the SYN says (Linux's tcp_connect_init).
void init_handshake(Conn& c) {
  const Sysctls& sysctl = c.tcp.ns.sysctl;
  const inet::SockOptions& o = *c.sk.options;
  c.tcp_header_len = sysctl.tcp_timestamps != 0 ? 32 : 20;
  if (o.user_mss != 0) c.rx_opt.mss_clamp = o.user_mss;
  c.max_window = 0;
  init_mtu_search(c);
  sync_mss(c, path_mtu(c));
  c.window_clamp = o.window_clamp != 0 ? o.window_clamp : c.route.window;
  c.advmss = advertised_mss(c);
  if (o.user_mss != 0 && o.user_mss < c.advmss) c.advmss = o.user_mss;
  initialize_rcv_mss(c);
  const auto full = static_cast<uint32_t>(full_space(c));
  const bool locked = (c.sk.buf_lock & inet::kBufLockReceive) != 0;
  if (locked && (c.window_clamp > full || c.window_clamp == 0)) c.window_clamp = full;
  const uint32_t options = c.rx_opt.ts_recent_stamp != 0 ? c.tcp_header_len - 20u : 0;
  const InitialWindow w = select_initial_window(c.tcp.ns, static_cast<int>(full), c.advmss - options, c.window_clamp,
                                                sysctl.tcp_window_scaling != 0, c.route.initrwnd);
  c.rcv_wnd = c.rcv_ssthresh = w.rcv_wnd;
  c.window_clamp = w.window_clamp;
  c.rx_opt.rcv_wscale = w.rcv_wscale;
}

void init_sequences(Conn& c) {
  c.snd_una = c.snd_nxt = c.snd_sml = c.snd_up = c.write_seq;
  c.snd_wnd = 0;
  c.snd_wl1 = 0;
  if (!c.repair) c.rcv_nxt = 0;
  c.rcv_wup = c.copied_seq = c.rcv_nxt;
  c.rto = kTimeoutInit;
  c.retransmits = 0;
  c.total_retrans = 0;
  c.undo_marker = 0;
  c.undo_retrans = -1;
}

Result<void> send_first_syn(Conn& c, SynData* data) {
  init_handshake(c);
  init_sequences(c);
  set_txhash(c, c.tcp.ns.rng.next32() | 1);
  return send_syn(c, data);
}

// data: what a Fast Open sends. nullptr: connect(2), whose SYN TCP_FASTOPEN_CONNECT keeps for the first write.
Result<void> begin_handshake(Conn& c, SynData* data) {
  if (auto ok = take_port(c); !ok) return ok;
  const inet::FourTuple t = c.sk.tuple();
  if (!c.repair) {
    if (c.write_seq == 0) c.write_seq = select_iss(c.tcp, t);
    c.tsoffset = select_ts_offset(c.tcp, t);
  }
  c.sk.error = 0;
  c.sock_done = false;
  purge_send_queues(c);
  if (data == nullptr && c.sk.options->fastopen_connect && may_defer_connect(c)) {
    c.defer_connect = true;
    return {};
  }
  SynData none;
  return send_first_syn(c, data == nullptr && c.sk.options->fastopen_connect ? &none : data);
}

Result<void> start_connect(Conn& c, const IpAddress& address, uint16_t port, SynData* data) {
  TcpSock& s = c.sk;
  const auto to = destination_of(s, address);
  if (!to) return std::unexpected(to.error());
  const auto from = source_for(s, *to);
  if (!from) return std::unexpected(from.error());
  const auto route = route_to(c.tcp, s, *to, *from);
  if (!route) return std::unexpected(route.error());
  forget_inherited_state(c, *to);
  set_identity(c, *route, *to, port);
  c.rx_opt.mss_clamp = to->is_v6() ? 1220 : kMssDefault;
  set_state(c, State::kSynSent);
  auto ok = begin_handshake(c, data);
  if (!ok) abandon_handshake(c);
  return ok;
}

// A second connect(2) asks what became of the first.
Result<void> finish_of_connect(Conn& c) {
  if (c.defer_connect) return err(EISCONN);
  if (in_state(c.state(), {State::kSynSent, State::kSynRecv})) return err(EALREADY);
  if (c.state() != State::kClose) {
    c.user_state = UserState::kConnected;
    return {};
  }
  const int e = c.sk.error != 0 ? c.sk.error : ECONNABORTED;
  c.sk.error = 0;
  disconnect_locked(c);
  return err(e);
}

}  // namespace

void set_txhash(Conn& c, uint32_t h) {
  c.txhash = h;
  const bool labels = c.sk.addresses_are_v6 && c.sk.options->auto_flow_label && c.tcp.ns.sysctl.auto_flowlabels != 0;
  c.flow_label = labels ? h & 0xfffff : 0;
}

Result<void> Tcp::connect(TcpSock& s, const IpAddress& address, uint16_t port) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* awake = wake(s);
  if (awake == nullptr) return err(ENOBUFS);
  Conn& c = *awake;
  refresh_time(c);
  Result<void> result = err(EINPROGRESS);
  if (c.user_state == UserState::kConnecting) {
    result = finish_of_connect(c);
  } else if (c.user_state == UserState::kConnected || s.get_state() != State::kClose) {
    return err(EISCONN);
  } else if (auto ok = start_connect(c, address, port, nullptr); !ok) {
    return ok;
  } else {
    c.user_state = UserState::kConnecting;
    if (c.defer_connect) result = {};
  }
  flush_effects(c);
  return result;
}

// ---- sendmsg(MSG_FASTOPEN), and the first write of TCP_FASTOPEN_CONNECT ----

namespace {

// 0: connected, else why not.
int open_with(Conn& c, const Result<Destination>& to, SynData& data) {
  if (c.user_state == UserState::kConnected) return EISCONN;
  if (c.user_state == UserState::kUnconnected) {
    if (c.state() != State::kClose) return EISCONN;
    if (!to) return to_int(to.error());
    if (auto ok = start_connect(c, to->address, to->port, &data); !ok) return to_int(ok.error());
    c.user_state = UserState::kConnecting;
    return EINPROGRESS;
  }
  const bool was_deferred = std::exchange(c.defer_connect, false);
  if (was_deferred) {
    if (auto ok = send_first_syn(c, &data); !ok) abandon_handshake(c);
    if (c.state() == State::kSynSent) return EINPROGRESS;
  }
  const auto done = finish_of_connect(c);
  return done ? 0 : to_int(done.error());
}

}  // namespace

OpenWithData Tcp::open_with_data(TcpSock& s, const Result<Destination>& to, std::span<const iovec> data) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* awake = wake(s);
  if (awake == nullptr) return {0, ENOBUFS};
  Conn& c = *awake;
  refresh_time(c);
  if ((ns.sysctl.tcp_fastopen.as<int>() & kFastOpenClient) == 0) return {0, EOPNOTSUPP};
  SynData syn;
  syn.data = data;
  for (const iovec& v : data)
    syn.size += v.iov_len;
  const int error = open_with(c, to, syn);
  flush_effects(c);
  return {syn.copied, error};
}

void Tcp::count_pending_write(TcpSock& s, bool begins) {
  inet::SockLock lock(s, &drain_backlog);
  if (s.conn == nullptr) return;  // it idles: the connection has been made long ago
  uint8_t& n = s.conn->write_pending;
  if (begins && n < 255) ++n;
  if (!begins && n > 0) --n;
}

// ---- connect(AF_UNSPEC) ----

namespace {

bool needs_reset(State s) {
  return in_state(s, {State::kEstablished, State::kCloseWait, State::kFinWait1, State::kFinWait2, State::kSynRecv});
}

// What the user will find in SO_ERROR; the peer is told where it believes that the connection lives.
void end_old_connection(Conn& c, State old) {
  const bool fin_is_out = c.snd_nxt != c.write_seq && in_state(old, {State::kClosing, State::kLastAck});
  if (c.repair) {
    c.sk.error = ECONNABORTED;
  } else if (needs_reset(old) || fin_is_out) {
    send_active_reset(c);
    c.sk.error = ECONNRESET;
  } else if (old == State::kSynSent) {
    c.sk.error = ECONNRESET;
  }
}

// A Conn as attach_conn makes it, but for what the user has set and a sequence number beyond the old ones.
void renew(Conn& c) {
  Tcp& tcp = c.tcp;
  TcpSock& s = c.sk;
  const Seq next = c.write_seq + c.max_window + 2;
  const uint8_t nonagle = c.nonagle;
  const bool orphan = c.orphan;
  const bool repair = c.repair;
  const uint32_t events = c.effects.events;
  const uint8_t write_pending = c.write_pending;
  std::unique_ptr<Stamping> stamping = std::move(c.stamping);
  const uint32_t zerocopy_next = c.zerocopy_next, zerocopy_untold = c.zerocopy_untold;
  FastOpenQueue* const queue = c.fastopen_queue;
  remove_fastopen_request(c, false);
  check_blackhole_at_end(c);
  purge_queues(c);
  uncharge_memory(c);
  release_congestion(c);
  c.~Conn();
  init_conn(*new (&c) Conn(tcp, s));
  c.write_seq = next == 0 ? 1 : next;
  c.nonagle = nonagle;
  c.orphan = orphan;
  c.repair = repair;
  c.effects.events = events;
  c.write_pending = write_pending;
  c.zerocopy_next = zerocopy_next;
  c.zerocopy_untold = zerocopy_untold;
  c.stamping = std::move(stamping);
  if (c.stamping != nullptr) c.stamping->marks.clear();  // what has been reported stays
  c.fastopen_queue = queue;
}

}  // namespace

void disconnect_locked(Conn& c) {
  TcpSock& s = c.sk;
  const State old = c.state();
  if (old == State::kListen) {
    stop_listening(c.tcp, s);
  } else {
    if (old != State::kClose) set_state(c, State::kClose);
    end_old_connection(c, old);
    remove_fastopen_request(c, false);
  }
  disarm_all(c);
  renew(c);
  forget_addresses(s);
  s.shutdown = 0;
  if (s.error != 0) c.effects.events |= EPOLLERR;
  c.effects.events |= EPOLLIN | EPOLLOUT | EPOLLHUP;
}

Result<void> Tcp::disconnect(TcpSock& s) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* awake = wake(s);
  if (awake == nullptr) return err(ENOBUFS);
  Conn& c = *awake;
  refresh_time(c);
  disconnect_locked(c);
  flush_effects(c);
  return {};
}

// ---- numbers that nobody can guess ----

// RFC 6528 §3: a keyed hash of the tuple, plus a clock that ticks every 64 ns as Linux's does.
Seq select_iss(Tcp& tcp, const inet::FourTuple& t) {
  return static_cast<uint32_t>(tcp.isn_hash(t)) + static_cast<uint32_t>(tcp.now().ns() >> 6);
}

// The same for all connections between two hosts, so that a successor's timestamps are greater. tcp_timestamps 2: none.
uint32_t select_ts_offset(Tcp& tcp, const inet::FourTuple& t) {
  return tcp.ns.sysctl.tcp_timestamps == 1 ? static_cast<uint32_t>(tcp.ts_hash.of_hosts(t)) : 0;
}

}  // namespace leat::tcp
