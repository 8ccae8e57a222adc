// bind(2), listen(2), accept(2), and the segments that come for a listener (RFC 9293 §3.10.7.2; Linux's __inet_bind,
// inet6_bind, inet_csk_listen_start, inet_csk_accept, inet_csk_listen_stop).
#include <sys/epoll.h>

#include <new>

#include "inet/sock_lock.h"
#include "tcp/active.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/output.h"
#include "tcp/passive.h"
#include "tcp/recovery/recovery.h"
#include "tcp/timers.h"

namespace leat::tcp {

// ---- bind(2) ----

namespace {

bool may_bind_nonlocal(const Netns& ns, const TcpSock& s) {
  const bool allowed =
      s.family == Family::kIpv4 ? ns.sysctl.ip_nonlocal_bind != 0 : ns.sysctl.ipv6_ip_nonlocal_bind != 0;
  return allowed || s.options->freebind || s.options->transparent;
}

Result<void> check_local(const ip::Ip& ip, const Netns& ns, const TcpSock& s, const IpAddress& a) {
  if (a.is_any() || ip.is_local_address(a) || may_bind_nonlocal(ns, s)) return {};
  if (a.is_v4()) {
    if (a.is_multicast() || a.is_broadcast()) return {};
    const auto route = ip.route(a, IpAddress::any(Family::kIpv4));
    if (route && route->is_broadcast) return {};
  }
  return err(EADDRNOTAVAIL);
}

Result<void> check_bind_address(const ip::Ip& ip, const Netns& ns, const TcpSock& s, const IpAddress& a) {
  if (a.family() != s.family) return err(EAFNOSUPPORT);
  if (s.family == Family::kIpv4) return check_local(ip, ns, s, a);
  if (a.is_multicast()) return err(EINVAL);
  if (a.is_v4_mapped()) {
    if (s.v6only) return err(EINVAL);
    return check_local(ip, ns, s, a.from_v4_mapped());
  }
  if (a.is_link_local() && s.bound_ifindex == 0) return err(EINVAL);
  return check_local(ip, ns, s, a);
}

}  // namespace

Result<void> Tcp::bind(TcpSock& s, const IpAddress& address, uint16_t port, bool privileged) {
  inet::SockLock lock(s, &drain_backlog);
  if (auto ok = check_bind_address(ip, ns, s, address); !ok) return ok;
  if (port != 0 && port < ns.sysctl.ip_unprivileged_port_start && !privileged) return err(EACCES);
  if (s.get_state() != State::kClose || s.bind_bucket != nullptr) return err(EINVAL);
  const uint8_t v6only = s.v6only;
  if (address.is_v6() && !address.is_any() && !address.is_v4_mapped()) s.v6only = 1;
  if (auto ok = ports.bind(s, address, port, privileged); !ok) {
    s.v6only = v6only;
    return ok;
  }
  if (!address.is_any()) s.bind_lock = (s.bind_lock | inet::kBindLockAddress) & 3;
  if (port != 0) s.bind_lock = (s.bind_lock | inet::kBindLockPort) & 3;
  return {};
}

// ---- listen(2) ----

namespace {

// Whoever still waits for the lock to see to a request of it finds the request gone.
void free_listener(TcpSock& s) {
  delete s.listener;
  s.listener = nullptr;
}

Result<void> start_listening(Tcp& tcp, TcpSock& s) {
  Conn& c = *s.conn;
  c.ack = AckState{};
  s.listener->ack_backlog = 0;
  s.kind = inet::Kind::kListener;
  set_state(c, State::kListen);
  if (auto ok = tcp.ports.check_listen(s); !ok) {
    s.kind = inet::Kind::kConnection;
    s.state.store(static_cast<uint8_t>(State::kClose));  // it is in no table yet
    free_listener(s);
    return ok;
  }
  s.get();
  tcp.listeners.insert(&s);
  return {};
}

// tcp_fastopen says that all listeners take Fast Open, without TCP_FASTOPEN.
Result<void> enable_fastopen_by_sysctl(Conn& c, uint32_t backlog) {
  constexpr int kBoth = kFastOpenAllListeners | kFastOpenServer;
  if ((c.tcp.ns.sysctl.tcp_fastopen.as<int>() & kBoth) != kBoth) return {};
  if (c.fastopen_queue != nullptr && c.fastopen_queue->max_qlen != 0) return {};
  return set_fastopen_queue(c, backlog);
}

}  // namespace

Result<void> Tcp::listen(TcpSock& s, int backlog) {
  inet::SockLock lock(s, &drain_backlog);
  const State state = s.get_state();
  if (s.conn == nullptr || s.conn->user_state != UserState::kUnconnected) return err(EINVAL);
  if (state != State::kClose && state != State::kListen) return err(EINVAL);
  if (s.listener == nullptr) s.listener = new (std::nothrow) Listener;
  if (s.listener == nullptr) return err(ENOMEM);
  const auto most = ns.sysctl.somaxconn.as<uint32_t>();
  const auto wanted = static_cast<uint32_t>(backlog);  // a negative one is a large one
  s.listener->backlog = wanted > most ? most : wanted;
  if (state == State::kListen) return {};
  if (auto ok = enable_fastopen_by_sysctl(*s.conn, s.listener->backlog); !ok) return ok;
  return start_listening(*this, s);
}

// ---- accept(2) ----

Result<TcpSock*> Tcp::accept(TcpSock& l) {
  inet::SockLock lock(l, &drain_backlog);
  if (l.get_state() != State::kListen) return err(EINVAL);
  Guard queue(l.listener->queue_lock);
  Conn* child = l.listener->accept_queue.pop_front();
  if (child == nullptr) return err(EAGAIN);
  --l.listener->ack_backlog;
  note_accepted(l.conn->fastopen_queue, *child);
  return &child->sk;
}

bool queue_accepted(TcpSock& listener, TcpSock& child) {
  {
    Guard queue(listener.listener->queue_lock);
    if (listener.get_state() != State::kListen) return false;
    child.get();
    listener.listener->accept_queue.push_back(child.conn);
    ++listener.listener->ack_backlog;
  }
  if (listener.events != nullptr) listener.events->on_events(EPOLLIN | EPOLLRDNORM);
  return true;
}

// ---- the end of a listener ----

namespace {

// A connection that nobody accepted (Linux's inet_child_forget).
void abort_child(Tcp& tcp, TcpSock& child) {
  {
    inet::SockLock lock(child, &drain_backlog);
    Conn& c = *child.conn;
    refresh_time(c);
    c.orphan = true;
    tcp.counts.orphans.fetch_add(1, std::memory_order_relaxed);
    disconnect_locked(c);
    flush_effects(c);
  }
  tcp.release(child);
}

TcpSock* take_unaccepted(Listener& l) {
  Guard queue(l.queue_lock);
  Conn* c = l.accept_queue.pop_front();
  if (c != nullptr) --l.ack_backlog;
  return c == nullptr ? nullptr : &c->sk;
}

}  // namespace

void stop_listening(Tcp& tcp, TcpSock& s) {
  set_state(*s.conn, State::kClose);
  s.kind = inet::Kind::kConnection;
  Listener& l = *s.listener;
  while (Request* r = l.requests.front()) {
    if (tcp.established.remove(r)) forget_request(tcp, s, *r);
  }
  while (TcpSock* child = take_unaccepted(l))
    abort_child(tcp, *child);
  forget_reset_requests(tcp, *s.conn);
  free_listener(s);
}

// ---- a segment for a listener ----

namespace {

// What a locked listener makes of a segment that is not a SYN. A child: it wants the segment next.
TcpSock* on_non_syn(Tcp& tcp, TcpSock& l, const inet::FourTuple& tuple, const Segment& seg, bool& wants_reset) {
  bool is_cookie = false;
  if (seg.header.has_ack() && !seg.header.rst() && tcp.ns.sysctl.tcp_syncookies != 0) {
    TcpSock* child = on_cookie_ack(tcp, l, tuple, seg, is_cookie);
    if (child != nullptr) return child;
  }
  wants_reset = seg.header.has_ack() && !is_cookie;
  if (!is_cookie) tcp.ns.drop(seg.header.rst() ? DropReason::kTcpReset : DropReason::kTcpFlags);
  return nullptr;
}

}  // namespace

void on_listener_segment(Tcp& tcp, TcpSock& listener, const inet::FourTuple& tuple, Segment& seg, Seq time_wait_isn) {
  TcpSock* child = nullptr;
  bool wants_reset = false;
  {
    inet::SockLock lock(listener, &drain_backlog);
    const wire::TcpHeader& h = seg.header;
    if (listener.get_state() != State::kListen) {
      wants_reset = true;
    } else if (!h.syn()) {
      child = on_non_syn(tcp, listener, tuple, seg, wants_reset);
    } else if (h.has_ack()) {
      wants_reset = true;
    } else if (h.rst() || h.fin()) {
      tcp.ns.drop(h.rst() ? DropReason::kTcpReset : DropReason::kTcpFlags);
    } else {
      on_syn(tcp, listener, tuple, seg, time_wait_isn);
    }
  }
  if (wants_reset && !seg.header.rst()) send_reset_for(tcp, tuple, seg);
  if (child == nullptr) return;
  deliver_segment(*child, seg);
  auto drain = &drain_backlog;
  inet::SockLock<decltype(drain)>::release(*child, drain);
  tcp.release(*child);
}

}  // namespace leat::tcp
