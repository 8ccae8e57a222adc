// The states of a connection: how it is set up (Linux's tcp_init_sock), how it goes from one state to the next
// (tcp_set_state), and how it ends at once (tcp_done, tcp_reset, tcp_done_with_error).
#include <sys/epoll.h>

#include <utility>

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

// Everybody who waits looks again (Linux's sk_state_change).
constexpr uint32_t kStateChanged = EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLRDHUP | EPOLLHUP;

void free_packet(Packet& p) {
  PacketPtr owner(&p);
}

}  // namespace

Conn* attach_conn(Tcp& tcp, TcpSock& s) {
  s.conn = tcp.conns.create(tcp, s);
  if (s.conn != nullptr) init_conn(*s.conn);
  return s.conn;
}

void init_conn(Conn& c) {
  const inet::SockOptions& o = *c.sk.options;
  refresh_time(c);
  c.mdev_us = static_cast<uint32_t>(kTimeoutInit.us());
  c.rtt_min.reset(c.jiffies(), ~0u);
  c.app_limited = ~0u;  // until something was sent in earnest
  c.reordering = c.tcp.ns.sysctl.tcp_reordering.as<uint32_t>();
  c.max_pacing_rate = o.max_pacing_rate;
  c.rx_opt.user_mss = o.user_mss;
  if (c.max_pacing_rate != ~uint64_t{0}) c.pacing_status = 1;
  assign_congestion(c);
}

void assign_congestion(Conn& c) {
  const uint8_t chosen = c.sk.options->congestion;
  c.cc_algorithm = cc::at(chosen != 0 ? chosen : c.tcp.default_congestion.load(std::memory_order_relaxed));
}

void init_congestion(Conn& c) {
  const cc::Algorithm* a = c.cc_algorithm;
  if (a == nullptr) return;
  if ((a->flags & cc::kDraws) != 0) c.random = c.tcp.ns.rng.next32();
  if (a->init != nullptr) a->init(c);
  c.cc_initialized = true;
}

void release_congestion(Conn& c) {
  if (c.cc_initialized && c.cc_algorithm != nullptr && c.cc_algorithm->release != nullptr) c.cc_algorithm->release(c);
  c.cc_initialized = false;
}

// ---- states ----

namespace {

bool is_counted(State s) {
  return s == State::kEstablished || s == State::kCloseWait;
}

void count_transition(Tcp& tcp, State old, State fresh) {
  if (fresh == State::kClose && is_counted(old)) tcp.count(Mib::TcpEstabResets);
  if (is_counted(fresh) && !is_counted(old)) tcp.count(Mib::TcpCurrEstab);
  if (!is_counted(fresh) && is_counted(old)) tcp.ns.uncount(Mib::TcpCurrEstab);
}

// The caller holds a reference of its own.
void unhash(Tcp& tcp, TcpSock& s, State old) {
  bool was_hashed = old == State::kListen;
  if (was_hashed) {
    tcp.listeners.remove(&s);
  } else {
    was_hashed = tcp.established.remove(&s);
  }
  if (was_hashed) LEAT_CHECK(!s.put());
}

}  // namespace

void set_state(Conn& c, State fresh) {
  Tcp& tcp = c.tcp;
  TcpSock& s = c.sk;
  const State old = c.state();
  count_transition(tcp, old, fresh);
  s.state.store(static_cast<uint8_t>(fresh), std::memory_order_relaxed);
  if (fresh == State::kClose) {
    unhash(tcp, s, old);
    if ((s.bind_lock & inet::kBindLockPort) == 0) tcp.ports.release(s);
  }
  tcp.ns.trace([&] {
    return TraceEvent{.kind = TraceKind::kState,
                      .a8 = static_cast<uint8_t>(fresh),
                      .a16 = static_cast<uint16_t>(old),
                      .socket = s.cookie};
  });
}

void done(Conn& c) {
  if (in_state(c.state(), {State::kSynSent, State::kSynRecv})) c.tcp.count(Mib::TcpAttemptFails);
  set_state(c, State::kClose);
  disarm_all(c);
  remove_fastopen_request(c, false);
  c.sk.shutdown = inet::kRcvShutdown | inet::kSendShutdown;
  c.effects.send_data = c.effects.check_ack = c.effects.check_space = false;
  c.effects.events |= kStateChanged;
}

void fail(Conn& c, int error) {
  c.sk.error = static_cast<uint8_t>(error);
  purge_send_queues(c);
  done(c);
  c.effects.events |= EPOLLERR;
}

void reset_by_peer(Conn& c) {
  switch (c.state()) {
    case State::kSynSent:
      return fail(c, ECONNREFUSED);
    case State::kCloseWait:
      return fail(c, EPIPE);
    case State::kClose:
      return;
    default:
      return fail(c, ECONNRESET);
  }
}

// ---- queues ----

void purge_send_queues(Conn& c) {
  c.tsorted_sent.~TimeSortedList();  // its members go with their queues; an empty list remains
  new (&c.tsorted_sent) TimeSortedList;
  while (TxSegment* t = c.rtx_queue.pop_first())
    free_packet(t->packet());
  while (Packet* p = c.write_queue.pop_front())
    free_packet(*p);
  if (c.send_page != nullptr) PacketPool::unref(std::exchange(c.send_page, nullptr));
  c.send_page_used = 0;
  uncharge_to_send(c, static_cast<uint32_t>(c.wmem_queued));
  c.packets_out = c.retrans_out = c.sacked_out = c.lost_out = 0;
  c.highest_sack = c.retransmit_hint = nullptr;
  c.backoff = 0;
  chrono_stop(c, 1);
}

void purge_queues(Conn& c) {
  purge_send_queues(c);
  c.receive_queue.clear();
  while (RxSegment* r = c.out_of_order.pop_first())
    free_packet(r->packet());
  c.ooo_last = nullptr;
  uncharge_received(c, c.rmem_alloc);
}

}  // namespace leat::tcp
