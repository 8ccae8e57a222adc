// class Ip: configuration, the turn, and the doors for transports. The steps are in the files of their names.
#include "ip/ip.h"

#include <algorithm>

#include "ip/impl.h"

namespace leat::ip {

Ip::Impl::Impl(Netns& ns_in, PacketPool& pool_in)
    : ns(ns_in),
      pool(pool_in),
      pmtu(make_sip_key(ns_in.rng)),
      ids(ns_in.rng),
      limiter(ns_in.rng),
      neighbours4(ns_in.rng, NeighbourConfig::for_ipv4(ns_in.sysctl)),
      neighbours6(ns_in.rng, NeighbourConfig::for_ipv6(ns_in.sysctl)),
      reassembly4("ip_frag", ns_in.rng),
      reassembly6("ip6_frag", ns_in.rng) {}

Ip::Impl::~Impl() = default;

Ip::Ip(Netns& ns, PacketPool& pool) : ns_(ns), pool_(pool), impl_(std::make_unique<Impl>(ns, pool)) {}
Ip::~Ip() = default;

// --- configuration ------------------------------------------------------------------------------------------------

uint16_t Ip::add_interface(std::string name, std::unique_ptr<Link> link) {
  Guard guard(impl_->config_lock);
  if (impl_->owned.size() + 1 >= Impl::kMaxInterfaces) return 0;
  const auto ifindex = static_cast<uint16_t>(impl_->owned.size() + 1);
  impl_->owned.push_back(std::make_unique<Netif>(ifindex, std::move(name), std::move(link)));
  Netif* n = impl_->owned.back().get();
  impl_->interfaces[ifindex].store(n, std::memory_order_release);
  impl_->interface_count.store(ifindex, std::memory_order_release);
  impl_->routes.add_link({ifindex, n->mtu(), n->is_loopback()}, ns_.now());
  return ifindex;
}

Result<void> Ip::add_address(uint16_t ifindex, const Cidr& cidr) {
  return impl_->routes.add_address(ifindex, cidr, ns_.now());
}
Result<void> Ip::remove_address(uint16_t ifindex, const Cidr& cidr) {
  return impl_->routes.remove_address(ifindex, cidr, ns_.now());
}
Result<void> Ip::add_route(const RouteSpec& r) {
  return impl_->routes.add_route(r, ns_.now());
}
Result<void> Ip::remove_route(const Cidr& destination) {
  return impl_->routes.remove_route(destination, ns_.now());
}
std::vector<Address> Ip::addresses() const {
  return impl_->routes.addresses();
}
std::vector<RouteSpec> Ip::routes() const {
  return impl_->routes.routes();
}
Netif* Ip::interface(uint16_t ifindex) const {
  return impl_->netif(ifindex);
}
size_t Ip::interface_count() const {
  return impl_->interface_count.load(std::memory_order_acquire);
}

Netif* Ip::interface(const std::string& name) const {
  for (uint16_t i = 1; i <= interface_count(); ++i) {
    if (Netif* n = impl_->netif(i); n->name() == name) return n;
  }
  return nullptr;
}

void Ip::register_transport(uint8_t protocol, Transport* t) {
  impl_->transports[protocol].store(t, std::memory_order_release);
}

Result<void> Ip::join_group(uint16_t ifindex, const IpAddress& group) {
  if (impl_->netif(ifindex) == nullptr) return err(ENODEV);
  return impl_->groups.join(ifindex, group);
}
Result<void> Ip::leave_group(uint16_t ifindex, const IpAddress& group) {
  return impl_->groups.leave(ifindex, group);
}

Result<void> Ip::set_neighbour(uint16_t ifindex, const IpAddress& address, const wire::MacAddress& mac) {
  if (impl_->netif(ifindex) == nullptr) return err(ENODEV);
  NeighbourTable::Actions actions;
  const Result<void> r = impl_->neighbours(address.family()).set_permanent(ifindex, address, mac, ns_.now(), actions);
  impl_->perform(actions);
  return r;
}
Result<void> Ip::remove_neighbour(uint16_t ifindex, const IpAddress& address) {
  return impl_->neighbours(address.family()).remove(ifindex, address);
}
std::vector<NeighbourInfo> Ip::neighbours() const {
  std::vector<NeighbourInfo> all = impl_->neighbours4.list();
  const std::vector<NeighbourInfo> more = impl_->neighbours6.list();
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

// --- the turn -----------------------------------------------------------------------------------------------------

size_t Ip::receive(uint16_t ifindex, size_t budget) {
  impl_->drain_backlog();
  Netif* n = impl_->netif(ifindex);
  return n == nullptr ? 0 : impl_->receive(*n, budget);
}

void Ip::on_timer() {
  impl_->drain_backlog();
  const Time now = ns_.now();
  for (NeighbourTable* table : {&impl_->neighbours4, &impl_->neighbours6}) {
    for (bool more = true; more;) {
      NeighbourTable::Actions actions;
      more = table->on_timer(now, actions);
      impl_->perform(actions);
    }
  }
  impl_->expire_reassembly(now);
  if (impl_->pmtu.expire(now)) impl_->routes.bump_generation();
}

void Ip::flush() {
  for (uint16_t i = 1; i <= interface_count(); ++i) {
    if (Netif& n = impl_->present(i); n.has_queued()) n.flush(ns_.now());
  }
}

Ip::ReassemblyUse Ip::reassembly(Family family) const {
  const Reassembly& r = family == Family::kIpv4 ? impl_->reassembly4 : impl_->reassembly6;
  return {r.queues(), r.memory()};
}

Time Ip::next_deadline() const {
  const Impl& m = *impl_;
  if (m.backlog_count.load(std::memory_order_acquire) != 0) return ns_.now();
  Time next = std::min({m.neighbours4.next_deadline(), m.neighbours6.next_deadline(), m.reassembly4.next_deadline(),
                        m.reassembly6.next_deadline(), m.pmtu.next_expiry()});
  for (uint16_t i = 1; i <= interface_count(); ++i) {
    const Netif& n = m.present(i);
    next = std::min(next, n.has_queued() ? ns_.now() : n.link().next_event());
  }
  return next;
}

// --- for transports -----------------------------------------------------------------------------------------------

bool Ip::is_local_address(const IpAddress& a) const {
  return impl_->routes.is_local(a);
}
uint32_t Ip::route_generation() const {
  return impl_->routes.generation();
}

Result<Route> Ip::route(const IpAddress& dst, const IpAddress& src, uint16_t oif, uint32_t mark) const {
  (void)mark;  // there is no policy routing
  return impl_->route(dst, src, oif);
}

Result<void> Ip::output(PacketPtr&& packet, const Route& route, const SendParams& params) {
  return impl_->output(std::move(packet), route, params);
}

void Ip::send_port_unreachable(const Packet& packet, const PacketInfo& info) {
  if (info.dst.is_v4()) {
    impl_->send_icmp4_error(packet, wire::kIcmp4Unreachable, wire::kIcmp4PortUnreachable, 0,
                            info.is_broadcast_or_multicast);
  } else {
    impl_->send_icmp6_error(packet, wire::kIcmp6Unreachable, wire::kIcmp6PortUnreachable, 0,
                            info.is_broadcast_or_multicast);
  }
}

uint32_t Ip::path_mtu(const IpAddress& dst, const Route& route) const {
  return impl_->path_mtu(dst, route);
}

void Ip::confirm_neighbour(const Route& route) {
  if (route.is_local || route.is_multicast || route.is_broadcast) return;
  impl_->neighbours(route.next_hop.family()).confirm(route.ifindex, route.next_hop, ns_.now());
}

}  // namespace leat::ip
