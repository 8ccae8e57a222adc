// How a connection ends in order: FIN from the peer, shutdown(2) and close(2) from the user, and the hand-over to a
// time-wait (RFC 9293 §3.6, §3.10.4, §3.10.7.4 eighth; Linux's tcp_fin, tcp_shutdown, __tcp_close, tcp_time_wait).
//
//   close(): unread data → RST | SO_LINGER 0 → RST | else FIN; then the connection is an orphan: it goes on closing
//   with nobody to tell, bounded by tcp_max_orphans, by time (FIN_WAIT2) and by retransmissions (tcp_orphan_retries).
#include <sys/epoll.h>
#include <sys/socket.h>

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

constexpr uint8_t kBoth = inet::kRcvShutdown | inet::kSendShutdown;
constexpr int32_t kMinSndbuf = 4608;  // Linux's SOCK_MIN_SNDBUF

}  // namespace

// ---- the peer's FIN ----

void process_fin(Conn& c) {
  schedule_ack(c);
  c.sk.shutdown |= inet::kRcvShutdown;
  c.sock_done = true;
  switch (c.state()) {
    case State::kSynRecv:
    case State::kEstablished:
      set_state(c, State::kCloseWait);
      c.ack.pingpong = c.tcp.ns.sysctl.tcp_pingpong_thresh.as<uint8_t>();  // our FIN may carry the ACK
      break;
    case State::kFinWait1:  // both at once
      send_ack(c);
      set_state(c, State::kClosing);
      break;
    case State::kFinWait2:
      send_ack(c);
      enter_time_wait(c, State::kTimeWait, Duration());
      break;
    default:  // a retransmission
      break;
  }
  while (RxSegment* r = c.out_of_order.pop_first()) {
    PacketPtr beyond_the_end(&r->packet());
    uncharge_received(c, beyond_the_end->truesize);
  }
  c.ooo_last = nullptr;
  c.rx_opt.num_sacks = 0;
  c.has_dsack = false;
  c.effects.events |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
  if (c.sk.shutdown == kBoth) c.effects.events |= EPOLLHUP;
}

// ---- the user's FIN ----

namespace {

// Where a FIN of ours leads. true: it has to be sent (Linux's tcp_close_state).
bool enter_closing_state(Conn& c) {
  switch (c.state()) {
    case State::kEstablished:
    case State::kSynRecv:
      set_state(c, State::kFinWait1);
      return true;
    case State::kCloseWait:
      set_state(c, State::kLastAck);
      return true;
    case State::kSynSent:
      set_state(c, State::kClose);
      return false;
    default:
      return false;
  }
}

void adjust_user_state(Conn& c) {
  if (c.user_state != UserState::kConnecting) return;
  if (!in_state(c.state(), {State::kSynSent, State::kSynRecv, State::kClose})) c.user_state = UserState::kConnected;
}

}  // namespace

// Also by on_segment, when a connection that was shut down while it was made becomes ESTABLISHED.
void shutdown_send(Conn& c) {
  if (!in_state(c.state(), {State::kEstablished, State::kSynSent, State::kCloseWait})) return;
  if (enter_closing_state(c)) send_fin(c);
}

Result<void> Tcp::shutdown(TcpSock& s, int how) {
  if (how < SHUT_RD || how > SHUT_RDWR) return err(EINVAL);
  const auto bits = static_cast<uint8_t>(how + 1);
  inet::SockLock lock(s, &drain_backlog);
  Conn* awake = wake(s);
  if (awake == nullptr) return err(ENOBUFS);
  Conn& c = *awake;
  refresh_time(c);
  adjust_user_state(c);
  Result<void> result;
  switch (s.get_state()) {
    case State::kListen:
      if ((bits & inet::kRcvShutdown) != 0) disconnect_locked(c);
      break;
    case State::kSynSent:
      disconnect_locked(c);
      break;
    case State::kClose:
      result = err(ENOTCONN);
      [[fallthrough]];
    default:
      s.shutdown |= bits;
      if ((bits & inet::kSendShutdown) != 0) shutdown_send(c);
  }
  c.effects.events |= EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM | EPOLLRDHUP | EPOLLHUP;
  flush_effects(c);
  return result;
}

// ---- close(2) ----

namespace {

// Gives the receive queue back. true: there was data that the user never read.
bool drop_unread(Conn& c) {
  bool unread = false;
  while (PacketPtr p = c.receive_queue.pop_front()) {
    const RxSegment& r = rx_segment(*p);
    const Seq end = r.is_fin() ? r.end_seq - 1 : r.end_seq;
    if (after(end, c.copied_seq)) unread = true;
    uncharge_received(c, p->truesize);
  }
  return unread;
}

void leave_file(Conn& c) {
  c.sk.events = nullptr;
  c.orphan = true;
  count_up(c.tcp.counts.orphans, 1u);
}

bool is_out_of_memory(const Conn& c) {
  const auto limit = c.tcp.ns.sysctl.tcp_mem[2].as<int64_t>();
  return c.wmem_queued > kMinSndbuf && c.tcp.counts.memory_pages.load(std::memory_order_relaxed) > limit;
}

void abort_connection(Conn& c, Mib why) {
  set_state(c, State::kClose);
  send_active_reset(c);
  c.tcp.count(why);
}

void begin_close(Conn& c) {
  const inet::SockOptions& o = *c.sk.options;
  const bool unread = drop_unread(c);
  if (c.state() == State::kClose) return;
  if (c.repair) {
    disconnect_locked(c);
  } else if (unread) {  // RFC 2525 §2.17: the peer must learn that its data was lost
    abort_connection(c, Mib::TcpExtTCPAbortOnClose);
  } else if (o.linger_on && o.linger_s == 0) {
    disconnect_locked(c);
    c.tcp.count(Mib::TcpExtTCPAbortOnData);
  } else if (enter_closing_state(c)) {
    send_fin(c);
  }
}

int64_t orphans(const Tcp& tcp) {
  return static_cast<int64_t>(tcp.counts.orphans.load(std::memory_order_relaxed));
}

bool is_too_much(const Conn& c, int64_t orphans) {
  return orphans > c.tcp.ns.sysctl.tcp_max_orphans || is_out_of_memory(c);
}

// The file is gone: what is left must end by itself.
void bound_orphan(Conn& c) {
  if (c.state() == State::kFinWait2) {
    if (c.sk.options->linger2_s < 0) {
      abort_connection(c, Mib::TcpExtTCPAbortOnLinger);
    } else {
      const Duration wait = fin_timeout(c);
      if (wait <= kTimeWaitLen) return enter_time_wait(c, State::kFinWait2, wait);
      arm_keepalive(c, wait - kTimeWaitLen);
    }
  }
  // Linux counts ten times a second: this one is not yet among them.
  if (c.state() != State::kClose && is_too_much(c, orphans(c.tcp) - 1)) {
    abort_connection(c, Mib::TcpExtTCPAbortOnMemory);
  }
}

}  // namespace

bool is_orphan_too_much(const Conn& c, int shift) {
  return is_too_much(c, orphans(c.tcp) << shift);
}

void Tcp::close(TcpSock& s) {
  {
    inet::SockLock lock(s, &drain_backlog);
    Conn* awake = wake(s);
    LEAT_CHECK(awake != nullptr);  // a close without memory cannot say goodbye, nor be refused
    Conn& c = *awake;
    refresh_time(c);
    s.shutdown = kBoth;
    if (s.get_state() == State::kListen) {
      stop_listening(*this, s);
      leave_file(c);
    } else {
      begin_close(c);
      leave_file(c);
      bound_orphan(c);
      if (c.state() == State::kClose) {
        disarm_all(c);
        remove_fastopen_request(c, false);
      }
    }
    flush_effects(c);
  }
  release(s);
}

}  // namespace leat::tcp
