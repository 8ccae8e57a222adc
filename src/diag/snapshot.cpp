// Tables are walked with references, without stopping anybody; who sleeps is looked at without being woken.
#include "diag/snapshot.h"

#include <algorithm>
#include <tuple>

#include "base/rcu.h"
#include "inet/sock_lock.h"
#include "ip/netif.h"
#include "stack/stack_impl.h"
#include "tcp/cc/congestion.h"
#include "tcp/doors.h"
#include "tcp/dormant.h"
#include "tcp/input.h"

namespace leat::diag {
namespace {

using inet::Kind;
using inet::Sock;
using inet::SockCommon;
using inet::State;
using tcp::TcpSock;

// Rows while a Stack's tables are walked.
class Collector {
 public:
  explicit Collector(Stack& stack) : impl_(stack.impl()), now_(impl_.ns.now()) {}

  void add_tcp();
  void add_listeners();
  uint32_t add_some_connections(uint32_t cursor);
  void add_udp();
  std::vector<SocketRow> take();
  std::vector<SocketRow> take_unsorted() { return std::move(rows_); }

 private:
  SocketRow common(const SockCommon& s) const;
  void add_sock_fields(SocketRow& row, const Sock& s) const;
  void add(SockCommon& s);
  void add_listener(TcpSock& s);
  void add_connection(TcpSock& s);
  void add_state(const TcpSock& s, const tcp::Conn& c);
  void add_awake(TcpSock& s, const tcp::Conn& c);
  void add_request(tcp::Request& r);
  void add_time_wait(tcp::TimeWait& t);
  int64_t ms_until(Time at) const { return at == Time::never() ? 0 : std::max<int64_t>((at - now_).ms(), 0); }
  void set_timer(SocketRow& row, RowTimer kind, Time at, uint32_t retrans) const {
    row.timer = kind;
    row.timer_ms = ms_until(at);
    row.timer_retrans = retrans;
  }
  void set_connection_timer(SocketRow& row, const tcp::Conn& c) const;

  Stack::Impl& impl_;
  const Time now_;
  std::vector<SocketRow> rows_;
};

SocketRow Collector::common(const SockCommon& s) const {
  SocketRow row;
  row.family = s.family;
  row.state = s.get_state();
  row.local = s.local();
  row.remote = s.remote();
  row.local_port = s.local_port;
  row.remote_port = s.remote_port;
  row.v6only = s.v6only != 0;
  row.refs = s.refs - 1;  // without ours
  if (s.bound_ifindex != 0) {
    const ip::Netif* n = impl_.ip.interface(s.bound_ifindex);
    row.device = n == nullptr ? "if" + std::to_string(s.bound_ifindex) : n->name();
  }
  return row;
}

void Collector::add_sock_fields(SocketRow& row, const Sock& s) const {
  row.cookie = s.cookie;
  row.has_file = s.events != nullptr;
  row.shutdown = s.shutdown;
  row.has_details = true;
  if (s.options != nullptr) {
    row.mark = s.options->mark;
    row.tos = s.options->tos;
  }
  row.memory.rcvbuf = static_cast<uint32_t>(s.rcvbuf);
  row.memory.sndbuf = static_cast<uint32_t>(s.sndbuf);
  row.memory.backlog = s.backlog_bytes;
}

// inet_diag's choice: the loss timers first, then whatever sk_timer is for.
void Collector::set_connection_timer(SocketRow& row, const tcp::Conn& c) const {
  using tcp::LossTimer;
  const tcp::Deadlines& d = c.deadlines;
  if (d.loss_kind == LossTimer::kPersist) return set_timer(row, RowTimer::kPersist, d.loss, c.probes_out);
  if (d.loss_kind != LossTimer::kNone) return set_timer(row, RowTimer::kOn, d.loss, c.retransmits);
  if (d.keepalive != Time::never()) set_timer(row, RowTimer::kKeepalive, d.keepalive, c.probes_out);
}

void Collector::add_connection(TcpSock& s) {
  inet::SockLock lock(s, &tcp::drain_backlog);
  if (s.get_state() == State::kClose) return;
  struct Here {
    Collector* collector;
    TcpSock* sock;
  } here{this, &s};
  // Who sleeps is not woken: a million idle connections stay small while they are looked at.
  tcp::look_at(
      s,
      [](void* context, const tcp::Conn& c) {
        const Here& h = *static_cast<Here*>(context);
        h.collector->add_state(*h.sock, c);
      },
      &here);
}

void Collector::add_state(const TcpSock& s, const tcp::Conn& c) {
  SocketRow row = common(s);
  add_sock_fields(row, s);
  row.recv_q = c.rcv_nxt - c.copied_seq;
  row.send_q = c.write_seq - c.snd_una;
  row.memory.rmem = c.rmem_alloc;
  row.memory.forward = static_cast<uint32_t>(std::max(c.forward_alloc, 0));
  row.memory.wmem_queued = static_cast<uint32_t>(std::max(c.wmem_queued, 0));
  row.is_quick_ack = c.ack.quick != 0;
  row.is_pingpong = c.ack.pingpong != 0;
  set_connection_timer(row, c);
  if (c.cc_algorithm != nullptr) {
    row.congestion = c.cc_algorithm->name;
    const std::span<uint8_t> room(reinterpret_cast<uint8_t*>(row.cc_info.data()), sizeof row.cc_info);
    if (c.cc_algorithm->get_info != nullptr) row.cc_info_bytes = c.cc_algorithm->get_info(c, room);
  }
  row.has_info = true;
  row.info = tcp::get_info(c);
  rows_.push_back(std::move(row));
}

void Collector::add_listener(TcpSock& s) {
  inet::SockLock lock(s, &tcp::drain_backlog);
  if (s.listener == nullptr || s.get_state() != State::kListen) return;
  SocketRow row = common(s);
  add_sock_fields(row, s);
  {
    Guard guard(s.listener->queue_lock);
    row.recv_q = s.listener->ack_backlog;
    row.send_q = s.listener->backlog;
  }
  // Of a listener TCP_INFO has little else than its queue.
  row.has_info = true;
  row.info.snd_cwnd = tcp::kInitialCwnd;
  row.info.unacked = row.recv_q;
  row.info.sacked = row.send_q;
  uint8_t index = s.options == nullptr ? uint8_t{0} : s.options->congestion;
  if (index == 0) index = impl_.tcp.default_congestion;
  if (const tcp::cc::Algorithm* a = tcp::cc::at(index); a != nullptr) row.congestion = a->name;
  rows_.push_back(std::move(row));
}

void Collector::add_request(tcp::Request& r) {
  SocketRow row = common(r);
  row.state = State::kSynRecv;
  set_timer(row, RowTimer::kOn, r.timer.is_armed() ? r.timer.expires : Time::never(), r.num_timeout);
  rows_.push_back(std::move(row));
}

void Collector::add_time_wait(tcp::TimeWait& t) {
  SocketRow row = common(t);
  Guard guard(t.lock);
  row.state = static_cast<State>(t.substate);
  set_timer(row, RowTimer::kTimeWait, t.timer.is_armed() ? t.timer.expires : Time::never(), 0);
  rows_.push_back(std::move(row));
}

void Collector::add(SockCommon& s) {
  switch (s.kind) {
    case Kind::kConnection:
      return add_connection(static_cast<TcpSock&>(s));
    case Kind::kRequest:
      return add_request(static_cast<tcp::Request&>(s));
    case Kind::kTimeWait:
      return add_time_wait(static_cast<tcp::TimeWait&>(s));
    case Kind::kListener:
    case Kind::kUdp:
      return;
  }
}

void Collector::add_tcp() {
  add_listeners();
  impl_.tcp.established.for_each([this](SockCommon& s) { add(s); });
}

void Collector::add_listeners() {
  impl_.tcp.listeners.for_each([this](Sock& s) { add_listener(static_cast<TcpSock&>(s)); });
}

uint32_t Collector::add_some_connections(uint32_t cursor) {
  constexpr uint32_t kBuckets = 512;  // of four connections at most, on average
  return impl_.tcp.established.for_each_some(cursor, kBuckets, [this](SockCommon& s) { add(s); });
}

void Collector::add_udp() {
  for (udp::UdpSock* s : impl_.udp.all()) {
    {
      Guard guard(s->lock);
      SocketRow row = common(*s);
      row.is_udp = true;
      add_sock_fields(row, *s);
      row.recv_q = s->rmem;
      row.memory.rmem = s->rmem;
      row.memory.drops = s->drops;
      rows_.push_back(std::move(row));
    }
    impl_.udp.release(*s);
  }
}

std::vector<SocketRow> Collector::take() {
  auto key = [](const SocketRow& r) {
    const bool is_listener = r.state == State::kListen;
    return std::tuple(r.is_udp, !is_listener, r.local_port, r.remote, r.remote_port, r.local);
  };
  std::ranges::stable_sort(rows_, [&](const SocketRow& a, const SocketRow& b) { return key(a) < key(b); });
  return std::move(rows_);
}

SlabRow row_of(const SlabBase& s) {
  return {s.name(), s.in_use(), s.object_size(), s.bytes()};
}

}  // namespace

std::vector<SocketRow> snapshot(Stack& stack) {
  RcuThread reader;
  Collector collector(stack);
  collector.add_tcp();
  collector.add_udp();
  return collector.take();
}

std::vector<SocketRow> RowWalk::next() {
  if (is_done()) return {};
  RcuThread reader;
  Collector collector(*stacks_[at_]);
  if (cursor_ == 0) collector.add_listeners();
  cursor_ = collector.add_some_connections(cursor_);
  if (cursor_ == 0) {
    collector.add_udp();
    ++at_;
  }
  return collector.take_unsorted();
}

size_t count_sockets(Stack& stack) {
  return stack.impl().tcp.established.count() + stack.impl().udp.sockets();
}

std::vector<SocketRow> destroy_sockets(Stack& stack, const std::function<bool(const SocketRow&)>& wanted) {
  std::vector<SocketRow> chosen;
  for (RowWalk walk({&stack}); !walk.is_done();) {  // piece by piece: of millions, only those that go are held
    for (SocketRow& row : walk.next()) {
      if (row.cookie != 0 && !row.is_udp && wanted(row)) chosen.push_back(std::move(row));
    }
  }
  std::vector<uint32_t> cookies;
  for (const SocketRow& row : chosen)
    cookies.push_back(row.cookie);
  std::ranges::sort(cookies);
  RcuThread reader;
  tcp::Tcp& tcp = stack.impl().tcp;
  // References are taken first: destroying changes the tables that are being walked.
  std::vector<TcpSock*> socks;
  auto collect = [&](SockCommon& s) {
    if (s.kind != Kind::kConnection && s.kind != Kind::kListener) return;
    auto& sock = static_cast<TcpSock&>(s);
    if (!std::ranges::binary_search(cookies, sock.cookie)) return;
    sock.get();
    socks.push_back(&sock);
  };
  tcp.listeners.for_each([&](Sock& s) { collect(s); });
  tcp.established.for_each([&](SockCommon& s) { collect(s); });
  for (TcpSock* s : socks) {
    (void)tcp.destroy(*s, ECONNABORTED);
    tcp.release(*s);
  }
  stack.impl().ip.flush();
  return chosen;
}

SocketTotals& SocketTotals::operator+=(const SocketTotals& o) {
  used += o.used;
  tcp_inuse4 += o.tcp_inuse4;
  tcp_inuse6 += o.tcp_inuse6;
  orphans += o.orphans;
  time_waits += o.time_waits;
  allocated += o.allocated;
  established += o.established;
  udp_inuse4 += o.udp_inuse4;
  udp_inuse6 += o.udp_inuse6;
  tcp_pages += o.tcp_pages;
  udp_pages += o.udp_pages;
  frag4 += o.frag4;
  frag6 += o.frag6;
  frag4_memory += o.frag4_memory;
  frag6_memory += o.frag6_memory;
  return *this;
}

// Counted where they stand: a row for each of ten million would cost more than they do.
SocketTotals totals(Stack& stack) {
  RcuThread reader;
  SocketTotals t;
  Stack::Impl& impl = stack.impl();
  auto count_tcp = [&](const SockCommon& s) {
    if (s.kind != Kind::kConnection && s.kind != Kind::kListener) return;
    if (s.get_state() == State::kClose) return;
    ++(s.family == Family::kIpv4 ? t.tcp_inuse4 : t.tcp_inuse6);
  };
  impl.tcp.listeners.for_each([&](Sock& s) { count_tcp(s); });
  impl.tcp.established.for_each([&](SockCommon& s) { count_tcp(s); });
  for (udp::UdpSock* s : impl.udp.all()) {
    ++(s->family == Family::kIpv4 ? t.udp_inuse4 : t.udp_inuse6);
    t.udp_pages += (s->rmem + 4095) / 4096;
    impl.udp.release(*s);
  }
  t.used = impl.sockets.open_files();
  t.orphans = impl.tcp.counts.orphans;
  t.time_waits = impl.tcp.counts.time_waits;
  t.allocated = impl.tcp.counts.allocated;
  t.established = impl.ns.counter(Mib::TcpCurrEstab);
  t.tcp_pages = static_cast<uint64_t>(std::max<int64_t>(impl.tcp.counts.memory_pages, 0));
  const auto frag4 = impl.ip.reassembly(Family::kIpv4), frag6 = impl.ip.reassembly(Family::kIpv6);
  t.frag4 = frag4.queues;
  t.frag6 = frag6.queues;
  t.frag4_memory = frag4.memory;
  t.frag6_memory = frag6.memory;
  return t;
}

std::vector<SlabRow> slabs(Stack& stack) {
  Stack::Impl& impl = stack.impl();
  const tcp::Tcp& t = impl.tcp;
  std::vector<SlabRow> rows;
  for (const SlabBase* s : std::initializer_list<const SlabBase*>{&t.socks, &t.socks6, &t.conns, &t.requests,
                                                                  &t.requests6, &t.time_waits, &t.time_waits6}) {
    rows.push_back(row_of(*s));
  }
  rows.push_back({"tcp_dormant", t.dormants.in_use(), 0, t.dormants.bytes()});
  rows.push_back({"udp_sock", impl.udp.sockets(), sizeof(udp::UdpSock), 0});
  rows.push_back({"file", impl.sockets.open_files(), sizeof(socket::File), impl.sockets.bytes_of_files()});
  rows.push_back(
      {"eventpoll_epi", impl.sockets.poll_items(), sizeof(socket::EpollItem), impl.sockets.bytes_of_items()});
  rows.push_back({"fdtable", impl.sockets.open_files(), sizeof(void*), impl.sockets.bytes_of_fds()});
  rows.push_back({"ehash", t.established.count(), sizeof(void*), t.established.bytes()});
  rows.push_back({"tcp_bind_bucket", t.ports.buckets(), 0, t.ports.bytes()});
  rows.push_back({"packet", impl.pool.packets_in_use(), 0, impl.pool.bytes()});
  return rows;
}

}  // namespace leat::diag
