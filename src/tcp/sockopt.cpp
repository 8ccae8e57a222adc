// setsockopt, getsockopt and ioctl of a TCP socket, and what a change at another level means for a connection. The
// options themselves are rows of a table: options_*.cpp.
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>

#include "inet/sock_lock.h"
#include "tcp/info.h"
#include "tcp/input.h"
#include "tcp/options_table.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"
#include "tcp/timers.h"

namespace leat::tcp {
namespace {

const TcpOption* find_option(int name) {
  for (const auto& rows : tcp_options()) {
    for (const TcpOption& o : rows) {
      if (o.name == name) return &o;
    }
  }
  return nullptr;
}

Result<void> set_by_row(Conn& c, const TcpOption* row, std::span<const uint8_t> value) {
  if (row != nullptr && row->set_bytes != nullptr) return row->set_bytes(c, value);
  int v;
  if (value.size() < sizeof v) return err(EINVAL);  // even for what does not exist, as on Linux
  if (row == nullptr || row->set == nullptr) return err(row == nullptr ? ENOPROTOOPT : row->fails_with);
  std::memcpy(&v, value.data(), sizeof v);
  return row->set(c, v);
}

Result<size_t> get_by_row(Conn& c, const TcpOption* row, std::span<uint8_t> out) {
  if (row == nullptr) return err(ENOPROTOOPT);
  if (row->get_bytes != nullptr) return row->get_bytes(c, out);
  if (row->get == nullptr) return err(row->fails_with);
  const auto v = row->get(c);
  if (!v) return std::unexpected(v.error());
  const size_t n = std::min(out.size(), sizeof *v);
  std::memcpy(out.data(), &*v, n);
  return n;
}

}  // namespace

Result<void> Tcp::set_option(TcpSock& s, int name, std::span<const uint8_t> value) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* c = wake(s);
  if (c == nullptr) return err(ENOBUFS);
  if (name != TCP_QUICKACK) refresh_time(*c);  // its ACK has the time stamp of what it acknowledges, as Linux's has
  const auto done = set_by_row(*c, find_option(name), value);
  options_cache.unify(s);
  flush_effects(*c);
  return done;
}

Result<size_t> Tcp::get_option(TcpSock& s, int name, std::span<uint8_t> value) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* c = wake(s);
  if (c == nullptr) return err(ENOBUFS);
  const auto got = get_by_row(*c, find_option(name), value);
  flush_effects(*c);  // it may go back to sleep
  return got;
}

// ---- ioctl ----

namespace {

int unacknowledged(const Conn& c) {
  if (in_state(c.state(), {State::kSynSent, State::kSynRecv})) return 0;
  return static_cast<int>(c.write_seq - c.snd_una);
}

int unsent(const Conn& c) {
  if (in_state(c.state(), {State::kSynSent, State::kSynRecv})) return 0;
  return static_cast<int>(c.write_seq - c.snd_nxt);
}

}  // namespace

Result<int> Tcp::ioctl(TcpSock& s, unsigned long request) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* awake = wake(s);
  if (awake == nullptr) return err(ENOBUFS);
  const Conn& c = *awake;
  const bool listens = s.get_state() == State::kListen;
  switch (request) {
    case SIOCATMARK:
      return c.urg_data != 0 && c.urg_seq == c.copied_seq ? 1 : 0;
    case FIONREAD:  // SIOCINQ
      return listens ? Result<int>(err(EINVAL)) : static_cast<int>(bytes_to_read(c));
    case TIOCOUTQ:  // SIOCOUTQ
      return listens ? Result<int>(err(EINVAL)) : unacknowledged(c);
    case SIOCOUTQNSD:
      return listens ? Result<int>(err(EINVAL)) : unsent(c);
    default:
      return err(ENOTTY);
  }
}

// ---- changes at other levels ----

namespace {

void on_keepalive_changed(Conn& c) {
  if (in_state(c.state(), {State::kClose, State::kListen})) return;
  if (!c.sk.keepalive) {
    disarm_keepalive(c);
  } else if (c.deadlines.keepalive == Time::never()) {
    arm_keepalive(c, keepalive_time(c));
  }
}

// The buffer must be able to hold what the reader waits for.
void on_rcvlowat_changed(Conn& c) {
  const bool locked = c.sk.buf_lock & inet::kBufLockReceive;
  const auto most = static_cast<int32_t>((locked ? c.sk.rcvbuf : c.tcp.ns.sysctl.tcp_rmem[2].as<int32_t>()) >> 1);
  const int32_t lowat = std::max(std::min(c.sk.options->rcvlowat, most), 1);
  if (!set_shared<&inet::SockOptions::rcvlowat>(c, lowat)) return;  // a larger one works as well, only worse
  if (c.rcv_nxt - c.copied_seq >= static_cast<uint32_t>(lowat)) c.effects.events |= EPOLLIN | EPOLLRDNORM;
  if (locked) return;
  const int64_t space = (static_cast<int64_t>(lowat) << 8) / std::max<uint8_t>(c.scaling_ratio, 1);
  if (space <= c.sk.rcvbuf) return;
  c.sk.rcvbuf = static_cast<int32_t>(std::min<int64_t>(space, INT32_MAX));
  if (c.window_clamp != 0) c.window_clamp = std::max(c.window_clamp, static_cast<uint32_t>(lowat));
}

void on_pacing_rate_changed(Conn& c) {
  const uint64_t rate = c.sk.options->max_pacing_rate;
  if (rate != ~uint64_t{0}) c.pacing_status = 1;
  c.max_pacing_rate = rate;
  c.pacing_rate = std::min(c.pacing_rate, rate);
}

void on_socket_option_changed(Conn& c, int name) {
  switch (name) {
    case SO_KEEPALIVE:
      return on_keepalive_changed(c);
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
      c.effects.check_space = true;
      return;
    case SO_RCVLOWAT:
      return on_rcvlowat_changed(c);
    case SO_MAX_PACING_RATE:
      return on_pacing_rate_changed(c);
    case SO_MARK:
    case SO_BINDTODEVICE:
    case SO_BINDTOIFINDEX:
      c.has_route = false;
      return;
    default:
      return;
  }
}

}  // namespace

void Tcp::on_option_changed(TcpSock& s, int level, int name) {
  inet::SockLock lock(s, &drain_backlog);
  options_cache.unify(s);
  Conn* awake = wake(s);
  if (awake == nullptr) return;  // no memory: it finds the new value when it wakes
  Conn& c = *awake;
  refresh_time(c);
  if (level == SOL_SOCKET) {
    on_socket_option_changed(c, name);
  } else if ((level == IPPROTO_IP && name == IP_TOS) || (level == IPPROTO_IPV6 && name == IPV6_TCLASS)) {
    c.has_route = false;
  }
  flush_effects(c);
}

}  // namespace leat::tcp
