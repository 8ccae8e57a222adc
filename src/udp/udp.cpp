// The life of a UDP socket: ports, addresses, connect, close.
#include "udp/udp.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include <cstddef>
#include <utility>

#include "inet/sock_options.h"
#include "wire/protocol.h"
#include "wire/udp.h"

namespace leat::udp {

using inet::State;

UdpSock::UdpSock(Udp& u, Family f) : udp(u) {
  kind = inet::Kind::kUdp;
  family = f;
  const auto here = reinterpret_cast<uintptr_t>(static_cast<SockCommon*>(this));
  v6_offset = static_cast<uint16_t>(reinterpret_cast<uintptr_t>(v6_bytes) - here);
}

Udp::Udp(Netns& ns, PacketPool& pool, ip::Ip& ip) : ns_(ns), pool_(pool), ip_(ip), tables_(ns.rng), socks_("udp_sock") {
  ip_.register_transport(wire::kProtocolUdp, this);
}

Udp::~Udp() {
  ip_.register_transport(wire::kProtocolUdp, nullptr);
}

Result<UdpSock*> Udp::create(Family family) {
  if (family != Family::kIpv4 && family != Family::kIpv6) return err(EAFNOSUPPORT);
  UdpSock* s = socks_.create(*this, family);
  if (s == nullptr) return err(ENOMEM);
  s->options = inet::make_options();
  if (s->options == nullptr) {
    socks_.destroy(s);
    return err(ENOMEM);
  }
  s->sndbuf = ns_.sysctl.wmem_default.as<int32_t>();
  s->rcvbuf = ns_.sysctl.rmem_default.as<int32_t>();
  s->v6only = family == Family::kIpv6 && ns_.sysctl.bindv6only != 0 ? 1 : 0;
  s->cookie = ns_.next_cookie();
  s->set_addresses(IpAddress::any(family), IpAddress::any(family));
  s->refs.store(1, std::memory_order_release);
  return s;
}

Result<void> Udp::check_bind_address(const UdpSock& s, const IpAddress& address) const {
  const IpAddress a = address.from_v4_mapped();
  if (a.is_any() || a.is_multicast() || a.is_broadcast() || ip_.is_local_address(a)) return {};
  const auto& nonlocal = a.is_v4() ? ns_.sysctl.ip_nonlocal_bind : ns_.sysctl.ipv6_ip_nonlocal_bind;
  if (s.options->freebind || s.options->transparent || nonlocal != 0) return {};
  const auto route = ip_.route(a, IpAddress::any(a.family()));  // a subnet's broadcast address may be bound, too
  if (route && route->is_broadcast) return {};
  return err(EADDRNOTAVAIL);
}

Result<void> Udp::bind(UdpSock& s, const IpAddress& address, uint16_t port, bool privileged) {
  Guard guard(s.lock);
  if (auto ok = check_bind_address(s, address); !ok) return ok;
  if (port != 0 && port < ns_.sysctl.ip_unprivileged_port_start && !privileged) return err(EACCES);
  if (s.local_port != 0) return err(EINVAL);
  const auto none = IpAddress::any(address.family());
  s.set_addresses(address, none);
  const Result<void> bound = port == 0 ? autobind(s) : tables_.try_bind(s, port) ? Result<void>{} : err(EADDRINUSE);
  if (!bound) {
    s.set_addresses(IpAddress::any(s.family), IpAddress::any(s.family));
    return bound;
  }
  if (!address.from_v4_mapped().is_any()) s.locks |= kAddressLock;
  if (port != 0) s.locks |= kPortLock;
  return {};
}

// A random start and then one after the other, within the socket's or the namespace's range.
Result<void> Udp::autobind(UdpSock& s) {
  if (s.local_port != 0) return {};
  auto low = ns_.sysctl.ip_local_port_range[0].as<uint32_t>();
  auto high = ns_.sysctl.ip_local_port_range[1].as<uint32_t>();
  const inet::SockOptions& o = *s.options;
  if (o.local_port_low != 0 && o.local_port_low >= low && o.local_port_low <= high) low = o.local_port_low;
  if (o.local_port_high != 0 && o.local_port_high >= low && o.local_port_high <= high) high = o.local_port_high;
  const uint32_t ports = high - low + 1;
  const uint32_t first = ns_.rng.below(ports);
  for (uint32_t i = 0; i < ports; ++i) {
    if (tables_.try_bind(s, static_cast<uint16_t>(low + (first + i) % ports))) return {};
  }
  return err(EADDRINUSE);
}

Result<void> Udp::connect(UdpSock& s, const IpAddress& address, uint16_t port, uint16_t ifindex) {
  IpAddress remote = address.from_v4_mapped();
  Guard guard(s.lock);
  if (remote.is_any()) remote = remote.is_v4() ? IpAddress::from_v4(0x7f000001) : *IpAddress::parse("::1");
  const bool wildcard = (s.locks & kAddressLock) == 0;
  const uint16_t device = s.bound_ifindex != 0 ? s.bound_ifindex.load() : ifindex;
  const auto source = wildcard ? IpAddress::any(remote.family()) : s.local();
  const auto route = ip_.route(remote, source, device, s.options->mark);
  if (!route) {
    if (route.error() == Errno{ENETUNREACH}) ns_.count(remote.is_v4() ? Mib::IpOutNoRoutes : Mib::Ip6OutNoRoutes);
    return std::unexpected(route.error());
  }
  if (route->is_broadcast && !s.options->broadcast) return err(EACCES);
  if (!wildcard && s.local().family() != remote.family()) return err(EINVAL);
  s.set_addresses(wildcard ? route->source : s.local(), remote);
  s.remote_port = port;
  if (auto ok = autobind(s); !ok) {
    s.set_addresses(IpAddress::any(s.family), IpAddress::any(s.family));
    s.remote_port = 0;
    return err(EAGAIN);
  }
  tables_.on_address_changed(s);
  s.state.store(static_cast<uint8_t>(State::kEstablished), std::memory_order_relaxed);
  return {};
}

// Linux's __udp_disconnect: what the user did not bind is given back.
Result<void> Udp::disconnect(UdpSock& s) {
  Guard guard(s.lock);
  const IpAddress none = IpAddress::any(s.family);
  s.set_addresses((s.locks & kAddressLock) != 0 ? s.local() : none, none);
  s.remote_port = 0;
  s.state.store(static_cast<uint8_t>(State::kClose), std::memory_order_relaxed);
  if ((s.locks & kPortLock) == 0) {
    tables_.remove(s);
    s.local_port = 0;
  } else {
    tables_.on_address_changed(s);
  }
  return {};
}

Result<void> Udp::shutdown(UdpSock& s, int how) {
  Guard guard(s.lock);
  if (!s.is_connected()) return err(ENOTCONN);
  s.shutdown = static_cast<uint8_t>(s.shutdown | (how + 1));
  if (s.events != nullptr) s.events->on_events(EPOLLIN | EPOLLRDHUP | EPOLLOUT | (s.shutdown == 3 ? EPOLLHUP : 0u));
  return {};
}

void Udp::close(UdpSock& s) {
  tables_.remove(s);
  PacketQueue received;
  PacketQueue errors;
  {
    Guard guard(s.lock);
    s.events = nullptr;
    while (PacketPtr p = s.receive_queue.pop_front())
      received.push_back(std::move(p));
    while (PacketPtr p = s.error_queue.pop_front())
      errors.push_back(std::move(p));
    s.rmem = 0;
    s.pending.reset();
  }
  release(s);
}

void Udp::release(UdpSock& s) {
  if (s.put()) destroy(s);
}

void Udp::destroy(UdpSock& s) {
  inet::release_options(s);
  socks_.destroy(&s);
}

uint32_t Udp::poll_events(UdpSock& s) {
  Guard guard(s.lock);
  uint32_t events = EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
  if (s.error != 0 || !s.error_queue.is_empty()) events |= EPOLLERR;
  if (!s.receive_queue.is_empty()) events |= EPOLLIN | EPOLLRDNORM;
  if ((s.shutdown & inet::kRcvShutdown) != 0) events |= EPOLLRDHUP | EPOLLIN | EPOLLRDNORM;
  if (s.shutdown == (inet::kRcvShutdown | inet::kSendShutdown)) events |= EPOLLHUP;
  return events;
}

int Udp::take_error(UdpSock& s) {
  Guard guard(s.lock);
  const int error = s.error != 0 ? s.error : s.soft_error;
  if (s.error != 0) {
    s.error = 0;
  } else {
    s.soft_error = 0;
  }
  return error;
}

void Udp::attach(UdpSock& s, inet::SockEvents* file) {
  Guard guard(s.lock);
  s.events = file;
}

Result<int> Udp::ioctl(UdpSock& s, unsigned long request) {
  Guard guard(s.lock);
  switch (request) {
    case SIOCINQ:
      return s.receive_queue.is_empty() ? 0 : static_cast<int>(s.receive_queue.front()->length);
    case SIOCOUTQ:
      return 0;
    default:
      return err(ENOTTY);
  }
}

uint32_t Udp::path_mtu(UdpSock& s) {
  Guard guard(s.lock);
  if (!s.is_connected()) return 0;
  const auto route = ip_.route(s.remote(), s.local(), s.bound_ifindex, s.options->mark);
  return route ? ip_.path_mtu(s.remote(), *route) : 0;
}

}  // namespace leat::udp
