// class Tcp: the objects of a namespace's TCP, what a socket is between its calls, and how it ends.
//
// References. A table holds one on what stands in it, a file one on its socket, an accept queue one on each child, a
// request one on its listener, a look-up one on what it found, an armed timer one on its socket. Timers of requests
// and time-waits hold none: they are cancelled before the object is freed, and what they call takes a reference first
// or finds that there is nothing left to do. Whoever drops the last one destroys the object, without holding its lock.
#include "tcp/tcp.h"

#include <sys/epoll.h>

#include <vector>

#include "base/rcu.h"
#include "inet/sock_lock.h"
#include "inet/sock_options.h"
#include "tcp/doors.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"
#include "tcp/timers.h"
#include "wire/protocol.h"

namespace leat::tcp {

namespace {

constexpr uint16_t kUrgValid = 0x0100;  // in Conn::urg_data: the byte is there
constexpr uint32_t kIn = EPOLLIN | EPOLLRDNORM;
constexpr uint32_t kOut = EPOLLOUT | EPOLLWRNORM;

// The owner let go while a look-up held the last reference.
void release_common(void* context, inet::SockCommon* s) {
  Tcp& tcp = *static_cast<Tcp*>(context);
  s->get();
  switch (s->kind) {
    case inet::Kind::kRequest:
      return put_request(tcp, *static_cast<Request*>(s));
    case inet::Kind::kTimeWait:
      return put_time_wait(tcp, *static_cast<TimeWait*>(s));
    default:
      return tcp.release(*static_cast<TcpSock*>(s));
  }
}

uint8_t default_congestion_index() {
  const cc::Algorithm* a = cc::find("cubic");
  if (a == nullptr) a = cc::find("reno");
  return a == nullptr ? uint8_t{0} : cc::index_of(*a);
}

template <class T>
uint16_t v6_offset_of(T& s) {
  const auto here = reinterpret_cast<uintptr_t>(static_cast<inet::SockCommon*>(&s));
  return static_cast<uint16_t>(reinterpret_cast<uintptr_t>(s.v6_bytes) - here);
}

}  // namespace

Tcp::Tcp(Netns& n, PacketPool& p, ip::Ip& i, const Config& config)
    : ns(n),
      pool(p),
      ip(i),
      established(n.rng, config.ehash_entries),
      listeners(n.rng),
      ports(n, n.rng),
      wheel(&on_sock_timer, this),
      request_wheel(&on_request_wheel_timer, this),
      time_wait_wheel(&on_time_wait_wheel_timer, this, &prepare_time_wait_timer),
      isn_hash(make_sip_key(n.rng)),
      ts_hash(make_sip_key(n.rng)),
      syncookie_keys{make_sip_key(n.rng), make_sip_key(n.rng)},
      default_options(inet::make_options()),
      default_congestion(default_congestion_index()),
      socks("TCP"),
      socks6("TCPv6"),
      conns("tcp_conn"),
      requests("request_sock_TCP"),
      requests6("request_sock_TCPv6"),
      time_waits("tw_sock_TCP"),
      time_waits6("tw_sock_TCPv6"),
      fastopen(std::make_unique<FastOpen>(n.rng)) {
  LEAT_CHECK(default_options != nullptr);
  established.set_release(&release_common, this);
  listeners.set_release(&release_common, this);
  register_sysctls(*this);
  ip.register_transport(wire::kProtocolTcp, this);
}

// What nobody's file holds any more ends here without a word to the peer: requests, time-waits, orphans.
Tcp::~Tcp() {
  ip.register_transport(wire::kProtocolTcp, nullptr);
  established.for_each([this](inet::SockCommon& s) {
    if (s.kind == inet::Kind::kRequest) return drop_request(*this, static_cast<Request&>(s));
    if (s.kind == inet::Kind::kTimeWait) return kill_time_wait(*this, static_cast<TimeWait&>(s));
    Conn* awake = wake(static_cast<TcpSock&>(s));
    LEAT_CHECK(awake != nullptr);
    Conn& c = *awake;
    disarm_all(c);
    set_state(c, State::kClose);
  });
  listeners.reclaim();
  inet::put_options(default_options);
}

// ---- making and freeing ----

TcpSock* make_sock(Tcp& tcp, Family family) {
  TcpSock* s = nullptr;
  if (family == Family::kIpv6) {
    TcpSock6* s6 = tcp.socks6.create();
    if (s6 == nullptr) return nullptr;
    s6->v6_offset = v6_offset_of(*s6);
    s = s6;
  } else {
    s = tcp.socks.create();
    if (s == nullptr) return nullptr;
  }
  s->tcp = &tcp;
  s->kind = inet::Kind::kConnection;
  s->family = family;
  s->cookie = tcp.ns.next_cookie();
  count_up(tcp.counts.allocated, 1u);
  return s;
}

Result<TcpSock*> Tcp::create(Family family) {
  if (family != Family::kIpv4 && family != Family::kIpv6) return err(EAFNOSUPPORT);
  TcpSock* s = make_sock(*this, family);
  if (s == nullptr) return err(ENOMEM);
  inet::share_options(*s, default_options);
  s->sndbuf = ns.sysctl.tcp_wmem[1].as<int32_t>();
  s->rcvbuf = ns.sysctl.tcp_rmem[1].as<int32_t>();
  s->v6only = family == Family::kIpv6 && ns.sysctl.bindv6only != 0 ? 1 : 0;
  s->set_addresses(IpAddress::any(family), IpAddress::any(family));
  if (attach_conn(*this, *s) == nullptr) {
    destroy_sock(*s);
    return err(ENOMEM);
  }
  s->refs.store(1, std::memory_order_release);
  return s;
}

void Tcp::release(TcpSock& s) {
  if (s.put()) destroy_sock(s);
}

void Tcp::destroy_sock(TcpSock& s) {
  LEAT_CHECK(s.refs == 0 && !inet::EstablishedTable::is_hashed(&s) && !s.timer.is_armed());
  // A packet may lie here if its deliverer found the lock taken by somebody who was not a SockLock (a listener's).
  for (Packet* p = s.backlog.exchange(nullptr, std::memory_order_acquire); p != nullptr;) {
    auto* next = reinterpret_cast<Packet*>(p->node.next);
    p->node.next = nullptr;
    PacketPtr freed(p);
    p = next;
  }
  if (is_dormant(s)) {
    forget_dormant(s);
  } else {
    delete s.listener;
  }
  if (s.conn != nullptr) {
    remove_fastopen_request(*s.conn, false);
    check_blackhole_at_end(*s.conn);
    put_queue(s.conn->fastopen_queue);
    purge_queues(*s.conn);
    uncharge_memory(*s.conn);
    release_congestion(*s.conn);
    if (s.conn->orphan) count_down(counts.orphans, 1u);
    conns.destroy(s.conn);
    s.conn = nullptr;
  }
  s.listener = nullptr;
  ports.release(s);
  inet::release_options(s);
  count_down(counts.allocated, 1u);
  if (s.v6_offset != 0) {
    socks6.destroy(static_cast<TcpSock6*>(&s));
  } else {
    socks.destroy(&s);
  }
}

// ---- what the file asks ----

void Tcp::attach(TcpSock& s, inet::SockEvents* file) {
  inet::SockLock lock(s, &drain_backlog);
  s.events = file;
  if (s.conn != nullptr) arm_sleep(*s.conn);  // it could not sleep while it waited to be accepted
}

int Tcp::take_error(TcpSock& s) {
  inet::SockLock lock(s, &drain_backlog);
  uint8_t& from = s.error != 0 ? s.error : s.soft_error;
  const int e = from;
  from = 0;
  return e;
}

namespace {

// Linux's tcp_stream_is_readable.
bool is_readable(const Conn& c) {
  const auto available = static_cast<int32_t>(c.rcv_nxt - c.copied_seq);
  if (available <= 0) return false;
  int32_t target = c.sk.options->rcvlowat < 1 ? 1 : c.sk.options->rcvlowat;
  if ((c.urg_data & kUrgValid) != 0 && c.urg_seq == c.copied_seq && !c.sk.oob_inline) ++target;
  if (available >= target) return true;
  if (c.tcp.counts.under_pressure.load(std::memory_order_relaxed)) return true;
  return c.rmem_alloc > static_cast<uint32_t>(c.sk.rcvbuf) - (static_cast<uint32_t>(c.sk.rcvbuf) >> 3) ||
         c.receive_window() <= c.ack.rcv_mss;
}

// Whoever asks and finds no room is told when there is (Linux's SOCK_NOSPACE).
bool is_writable_or_noted(Conn& c) {
  if (is_writable(c)) return true;
  c.nospace = true;
  return is_writable(c);
}

uint32_t events_of_connection(Conn& c) {
  const uint8_t shut = c.sk.shutdown;
  const State state = c.state();
  uint32_t events = 0;
  if (shut == (inet::kRcvShutdown | inet::kSendShutdown) || state == State::kClose) events |= EPOLLHUP;
  if ((shut & inet::kRcvShutdown) != 0) events |= kIn | EPOLLRDHUP;
  const bool is_opening = state == State::kSynSent || (state == State::kSynRecv && c.fastopen_request == nullptr);
  if (!is_opening) {
    if (is_readable(c)) events |= kIn;
    if ((shut & inet::kSendShutdown) != 0 || is_writable_or_noted(c)) events |= kOut;
    if ((c.urg_data & kUrgValid) != 0) events |= EPOLLPRI;
  } else if (state == State::kSynSent && c.defer_connect) {
    events |= kOut;
  }
  return events;
}

}  // namespace

uint32_t Tcp::poll_events(TcpSock& s) {
  inet::SockLock lock(s, &drain_backlog);
  uint32_t events = 0;
  if (s.get_state() == State::kListen) {
    Guard queue(s.listener->queue_lock);
    events = s.listener->accept_queue.is_empty() ? 0 : kIn;
  } else {
    // Asleep: nothing to read, all room to write; it need not wake to say so.
    events = is_dormant(s) ? kOut : events_of_connection(*s.conn);
  }
  const bool has_untold = s.conn != nullptr && (s.conn->zerocopy_untold != s.conn->zerocopy_next ||
                                                (s.conn->stamping != nullptr && !s.conn->stamping->reports.empty()));
  return s.error != 0 || has_untold ? events | EPOLLERR : events;
}

// Linux's tcp_abort. A request or a time-wait that `ss -K` names has its own way: drop_request, kill_time_wait.
Result<void> Tcp::destroy(TcpSock& s, int error) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* awake = wake(s);
  if (awake == nullptr) return err(ENOBUFS);
  Conn& c = *awake;
  refresh_time(c);
  const State state = s.get_state();
  if (state == State::kClose) return err(ENOENT);
  if (state == State::kListen) stop_listening(*this, s);
  if (in_state(state, {State::kEstablished, State::kCloseWait, State::kFinWait1, State::kFinWait2, State::kSynRecv})) {
    send_active_reset(c);
  }
  fail(c, error);
  flush_effects(c);
  return {};
}

// Readers of the tables may still stand on what died in these: they are waited for.
bool Tcp::give_memory_back() {
  constexpr size_t kWorthIt = 4u << 20;
  bool has_more = conns.trim_surplus();
  for (SlabBase* s :
       std::initializer_list<SlabBase*>{&socks, &socks6, &requests, &requests6, &time_waits, &time_waits6}) {
    has_more |= s->trim_surplus(&rcu_synchronize);
  }
  has_more |= dormants.trim_surplus();
  if (pool.packets_in_use() == 0 && pool.bytes() > kWorthIt) pool.trim();
  return has_more;
}

void Tcp::end_turn() {
  established.grow_if_needed();
  listeners.reclaim();
}

}  // namespace leat::tcp
