#include "ip/route.h"

#include <algorithm>

#include "ip/route_snapshot.h"

namespace leat::ip {

// --- building -----------------------------------------------------------------------------------------------------

void RouteTable::Snapshot::build() {
  connected.clear();
  locals = addresses;
  std::sort(locals.begin(), locals.end(), [](const Address& a, const Address& b) {
    return a.cidr.address != b.cidr.address ? a.cidr.address < b.cidr.address : a.ifindex < b.ifindex;
  });
  broadcasts.clear();
  v4 = PrefixTable();
  v6 = PrefixTable();
  for (const Address& a : addresses)
    connect(a);
  std::vector<IpAddress> own;
  for (const Address& a : locals) {
    if (a.cidr.address.is_v6()) own.push_back(a.cidr.address);
  }
  local_set.assign(own);
  kinds.assign(locals, broadcasts);
  for (const RouteSpec& r : specs)
    insert(r);
  for (const RouteSpec& r : connected)
    insert(r);
}

void RouteTable::Snapshot::insert(const RouteSpec& r) {
  RouteEntry e;
  e.network = r.destination.address;
  e.metric = r.metric;
  use_link(r.ifindex, r.gateway, e.route);
  if (r.mtu != 0) e.route.mtu = r.mtu;
  e.route.mtu_locked = r.mtu_locked;
  e.route.advmss = r.advmss;
  e.route.initcwnd = r.initcwnd;
  e.route.initrwnd = r.initrwnd;
  e.route.window = r.window;
  e.route.rto_min_ms = r.rto_min_ms;
  e.route.quickack = r.quickack;
  e.route.source = r.preferred_source;
  (e.network.is_v4() ? v4 : v6).insert(r.destination.prefix, e);
}

// The on-link route that an address brings along. A further address in the same prefix is Linux's "secondary": no
// route of its own; when the first one goes, the next takes its place (promote_secondaries = 1).
void RouteTable::Snapshot::connect(const Address& a) {
  const Cidr& c = a.cidr;
  const bool is_loopback = is_loopback_link(a.ifindex);
  if (c.address.is_v4() && c.prefix < 31 && !is_loopback) broadcasts.push_back(subnet_broadcast(c));
  if (c.prefix == c.address.bits() || is_loopback) return;
  RouteSpec r;
  r.destination = {masked(c.address, c.prefix), c.prefix};
  r.ifindex = a.ifindex;
  r.metric = c.address.is_v6() ? 256 : 0;  // Linux's IP6_RT_PRIO_ADDRCONF and 0
  if (c.address.is_v4()) r.preferred_source = c.address;
  for (const RouteSpec& other : connected) {
    if (other.ifindex == r.ifindex && other.destination.address == r.destination.address &&
        other.destination.prefix == r.destination.prefix) {
      return;
    }
  }
  connected.push_back(r);
}

// --- what is ours -------------------------------------------------------------------------------------------------

bool RouteTable::Snapshot::has_local_on(const IpAddress& a, uint16_t ifindex) const {
  if (a.is_loopback()) return ifindex == 0 || is_loopback_link(ifindex);
  if (a.is_v6() && !local_set.has(a)) return false;
  if (ifindex == 0) return true;
  auto it = std::lower_bound(locals.begin(), locals.end(), a,
                             [](const Address& l, const IpAddress& key) { return l.cidr.address < key; });
  for (; it != locals.end() && it->cidr.address == a; ++it) {
    if (it->ifindex == ifindex) return true;
  }
  return false;
}

RouteTable::Scope RouteTable::scope_of(const IpAddress& a, uint16_t ifindex) const {
  const Snapshot* s = snapshot();
  if (a.is_v4()) return s->kinds.of(a.v4());
  const bool bound_to_link = is_v6_link_local(a) && !s->is_loopback_link(ifindex) && ifindex != 0;
  return s->has_local(a, bound_to_link ? ifindex : uint16_t{0}) ? Scope::kUnicast : Scope::kNotOurs;
}

bool RouteTable::is_local(const IpAddress& a) const {
  return snapshot()->has_local(a, 0);
}
bool RouteTable::is_local_on(const IpAddress& a, uint16_t ifindex) const {
  return snapshot()->has_local(a, ifindex);
}
bool RouteTable::has_solicited_node(const IpAddress& group, uint16_t ifindex) const {
  for (const Address& a : snapshot()->addresses) {
    if (a.ifindex != ifindex || !a.cidr.address.is_v6()) continue;
    if (std::memcmp(a.cidr.address.bytes() + 13, group.bytes() + 13, 3) == 0) return true;
  }
  return false;
}
uint16_t RouteTable::loopback_ifindex() const {
  return snapshot()->loopback();
}
IpAddress RouteTable::select_source(const IpAddress& near, uint16_t ifindex) const {
  return snapshot()->select(near, ifindex);
}

// --- look-up ------------------------------------------------------------------------------------------------------

void RouteTable::Snapshot::use_link(uint16_t ifindex, const IpAddress& dst, Route& out) const {
  const LinkInfo* l = link(ifindex);
  out.ifindex = ifindex;
  out.next_hop = dst;
  out.mtu = l == nullptr ? 0 : l->mtu;
}

void RouteTable::Snapshot::use(const Route& r, const IpAddress& dst, Route& out) {
  out = r;
  if (out.next_hop.family() == Family::kNone) out.next_hop = dst;
}

// RFC 1122 §3.2.1.3: only an address of ours may be a source. A source on a group or broadcast destination also names
// the interface, as on Linux.
Result<uint16_t> RouteTable::Snapshot::check_source(const IpAddress& dst, const IpAddress& src, uint16_t oif) const {
  if (src.family() != Family::kNone && src.family() != dst.family()) return err(EINVAL);
  if (src.family() == Family::kNone || src.is_any()) return oif;
  if (!has_local(src, 0)) return err(EINVAL);  // as no group and no broadcast address is
  if (oif != 0 || !(dst.is_multicast() || dst.is_broadcast())) {
    if (oif == 0 && is_v6_link_local(src) && is_v6_link_local(dst)) {
      for (const Address& a : addresses) {
        if (a.cidr.address == src) return a.ifindex;
      }
    }
    return oif;
  }
  for (const Address& a : addresses) {
    if (a.cidr.address == src) return a.ifindex;
  }
  return oif;
}

bool RouteTable::Snapshot::fill_local(const IpAddress& dst, Scope kind, uint16_t oif, Route& out) const {
  if (kind != Scope::kUnicast) return false;
  if (oif != 0 && !is_loopback_link(oif) && !has_local_on(dst, oif)) return false;
  use_link(loopback(), dst, out);
  if (loopback() == 0) out.mtu = 65536;  // the internal loopback
  out.is_local = true;
  out.source = dst.is_v4() && dst.is_loopback() ? loopback_v4() : dst;
  return true;
}

Result<void> RouteTable::Snapshot::fill_group(const IpAddress& dst, uint16_t oif, Route& out) const {
  if (oif == 0) {
    const Route* r = table(dst.family()).find(dst, 0);
    if (r != nullptr) {
      use(*r, dst, out);
      out.next_hop = dst;  // a group is never sent to a gateway's link address
    } else if (dst.is_v6()) {
      // Linux has ff00::/8 on every interface; the first one answers.
      for (const LinkInfo& l : links) {
        if (!l.is_loopback && select_v6(dst, l.ifindex).family() != Family::kNone) {
          oif = l.ifindex;
          break;
        }
      }
    }
    if (r == nullptr && oif == 0) return err(ENETUNREACH);
  }
  if (oif != 0) use_link(oif, dst, out);
  out.is_multicast = dst.is_multicast();
  out.is_broadcast = dst.is_broadcast();
  if (out.source.family() == Family::kNone) out.source = select(dst, out.ifindex);

  return {};
}

Result<void> RouteTable::Snapshot::fill_remote(const IpAddress& dst, uint16_t oif, Route& out) const {
  const Route* r = table(dst.family()).find(dst, oif);
  if (r != nullptr) {
    use(*r, dst, out);
  } else if (oif != 0 && dst.is_v4()) {
    use_link(oif, dst, out);  // Linux: a named interface without a route is taken to reach it directly
  } else {
    return err(ENETUNREACH);
  }
  if (out.source.family() == Family::kNone) out.source = select(dst.is_v6() ? dst : out.next_hop, out.ifindex);
  return {};
}

// Nearly every one: from an IPv4 address of ours, or whichever is right, to a host elsewhere. false: nothing is said.
bool RouteTable::Snapshot::fill_ordinary_v4(const IpAddress& dst, const IpAddress& src, Route& out) const {
  constexpr uint32_t kGroups = 0xe0000000;  // and what lies behind them
  const uint32_t to = dst.v4();
  if (to == 0 || to >= kGroups || kinds.of(to) != Scope::kNotOurs) return false;
  const bool has_source = src.is_v4() && src.v4() != 0;
  if (!has_source ? src.is_v6() : kinds.of(src.v4()) != Scope::kUnicast) return false;
  const Route* r = v4.find(dst, 0);
  if (r == nullptr) return false;
  use(*r, dst, out);
  if (has_source) out.source = src;
  return out.source.family() != Family::kNone;
}

Result<Route> RouteTable::look_up(const IpAddress& dst, const IpAddress& src, uint16_t oif) const {
  const uint32_t before = generation();  // of this snapshot or an older one
  const Snapshot* s = snapshot();
  Result<Route> out(std::in_place);
  if (dst.is_v4() && oif == 0 && s->fill_ordinary_v4(dst, src, *out)) {
    out->generation = before;
    return out;
  }
  *out = Route();
  const auto fail = [&out](Errno why) { out = std::unexpected(why); };
  if (dst.family() == Family::kNone) {
    fail(Errno{EINVAL});
  } else if (oif != 0 && s->link(oif) == nullptr) {
    fail(Errno{ENODEV});
  } else if (const Result<void> found = s->fill(dst, src, oif, *out); !found) {
    fail(found.error());
  } else {
    out->generation = before;
  }
  return out;
}

Result<void> RouteTable::Snapshot::fill(const IpAddress& dst, const IpAddress& src, uint16_t oif, Route& out) const {
  IpAddress to = dst;
  if (dst.is_any()) to = dst.is_v4() ? loopback_v4() : loopback_v6();  // as on Linux: this host
  const Result<uint16_t> device = check_source(to, src, oif);
  if (!device) return std::unexpected(device.error());
  const Scope kind = kind_of(to);
  if (!fill_local(to, kind, *device, out)) {
    const bool is_group = to.is_multicast() || to.is_broadcast();
    const Result<void> found = is_group ? fill_group(to, *device, out) : fill_remote(to, *device, out);
    if (!found) return std::unexpected(found.error());
    if (!is_group) out.is_broadcast = kind == Scope::kBroadcast;  // of a network
  }
  if (src.family() != Family::kNone && !src.is_any()) out.source = src;
  if (out.source.family() == Family::kNone) {
    // No address at all: IPv4 sends from 0.0.0.0 (DHCP does), IPv6 cannot.
    if (to.is_v6() && !to.is_multicast()) return err(EADDRNOTAVAIL);
    out.source = IpAddress::any(to.family());
  }
  return {};
}

// --- changing -----------------------------------------------------------------------------------------------------

RouteTable::RouteTable() {
  auto first = std::make_unique<Snapshot>();
  first->build();
  publish(std::move(first), Time());
}

RouteTable::~RouteTable() {
  delete current_.load(std::memory_order_relaxed);
}

void RouteTable::publish(std::unique_ptr<Snapshot> next, Time now) {
  next->build();
  std::unique_ptr<const Snapshot> old(current_.exchange(next.release(), std::memory_order_acq_rel));
  bump_generation();
  if (old != nullptr) retired_.push_back({std::move(old), now});
  while (retired_.size() > kKeep && retired_.front().at + kGrace < now)
    retired_.erase(retired_.begin());
}

void RouteTable::add_link(const LinkInfo& link, Time now) {
  Guard guard(lock_);
  auto next = std::make_unique<Snapshot>(*snapshot());
  auto it = std::find_if(next->links.begin(), next->links.end(),
                         [&](const LinkInfo& l) { return l.ifindex == link.ifindex; });
  if (it != next->links.end()) {
    *it = link;
  } else {
    next->links.push_back(link);
  }
  publish(std::move(next), now);
}

Result<void> RouteTable::add_address(uint16_t ifindex, const Cidr& cidr, Time now) {
  Guard guard(lock_);
  const Snapshot* s = snapshot();
  if (s->link(ifindex) == nullptr) return err(ENODEV);
  const IpAddress& a = cidr.address;
  if (a.family() == Family::kNone || cidr.prefix < 0 || cidr.prefix > a.bits()) return err(EINVAL);
  if (a.is_multicast() || a.is_any() || a.is_broadcast()) return err(a.is_v6() ? EADDRNOTAVAIL : EINVAL);
  for (const Address& other : s->addresses) {
    if (other.ifindex != ifindex || other.cidr.address != a) continue;
    if (a.is_v6() || other.cidr.prefix == cidr.prefix) return err(EEXIST);
  }
  auto next = std::make_unique<Snapshot>(*s);
  next->addresses.push_back({cidr, ifindex});
  publish(std::move(next), now);
  return {};
}

Result<void> RouteTable::remove_address(uint16_t ifindex, const Cidr& cidr, Time now) {
  Guard guard(lock_);
  if (snapshot()->link(ifindex) == nullptr) return err(ENODEV);
  auto next = std::make_unique<Snapshot>(*snapshot());
  const size_t gone = std::erase_if(next->addresses, [&](const Address& a) {
    return a.ifindex == ifindex && a.cidr.address == cidr.address && a.cidr.prefix == cidr.prefix;
  });
  if (gone == 0) return err(EADDRNOTAVAIL);
  // Linux forgets routes that prefer a source which is no longer there.
  std::erase_if(next->specs, [&](const RouteSpec& r) {
    return r.preferred_source == cidr.address &&
           std::none_of(next->addresses.begin(), next->addresses.end(),
                        [&](const Address& a) { return a.cidr.address == cidr.address; });
  });
  publish(std::move(next), now);
  return {};
}

Result<void> RouteTable::add_route(const RouteSpec& spec, Time now) {
  Guard guard(lock_);
  const Snapshot* s = snapshot();
  RouteSpec r = spec;
  const IpAddress& to = r.destination.address;
  if (to.family() == Family::kNone || r.destination.prefix < 0 || r.destination.prefix > to.bits()) return err(EINVAL);
  if (masked(to, r.destination.prefix) != to) return err(EINVAL);  // host bits set, as Linux
  if (r.gateway.family() != Family::kNone && (r.gateway.is_any() || r.gateway.is_multicast())) return err(EINVAL);
  if (r.ifindex == 0 && r.gateway.family() != Family::kNone) {
    const Result<Route> via = look_up(r.gateway, IpAddress(), 0);
    if (!via || via->is_local) return err(via ? EINVAL : ENETUNREACH);
    r.ifindex = via->ifindex;
  }
  if (s->link(r.ifindex) == nullptr) return err(ENODEV);
  if (r.preferred_source.family() != Family::kNone && !s->has_local(r.preferred_source, 0)) return err(EINVAL);
  if (r.metric == 0 && to.is_v6()) r.metric = 1024;  // Linux's IP6_RT_PRIO_USER
  auto next = std::make_unique<Snapshot>(*s);
  std::erase_if(next->specs, [&](const RouteSpec& o) {
    return o.destination.address == to && o.destination.prefix == r.destination.prefix && o.metric == r.metric;
  });
  next->specs.push_back(r);
  publish(std::move(next), now);
  return {};
}

Result<void> RouteTable::remove_route(const Cidr& destination, Time now) {
  Guard guard(lock_);
  auto next = std::make_unique<Snapshot>(*snapshot());
  auto best = next->specs.end();
  for (auto it = next->specs.begin(); it != next->specs.end(); ++it) {
    const Cidr& d = it->destination;
    if (d.address != destination.address || d.prefix != destination.prefix) continue;
    if (best == next->specs.end() || it->metric < best->metric) best = it;
  }
  if (best == next->specs.end()) return err(ESRCH);
  next->specs.erase(best);
  publish(std::move(next), now);
  return {};
}

std::vector<Address> RouteTable::addresses() const {
  return snapshot()->addresses;
}

std::vector<RouteSpec> RouteTable::routes() const {
  const Snapshot* s = snapshot();
  std::vector<RouteSpec> all = s->connected;
  all.insert(all.end(), s->specs.begin(), s->specs.end());
  return all;
}

}  // namespace leat::ip
