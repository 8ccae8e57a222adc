// Path MTU discovery (RFC 1191, RFC 8201): what routes say, lowered by what ICMP has taught.
// Linux's rules: an MTU below route.min_pmtu (552) is not believed, but then the packets go out without DF ("locked");
// IPv6 stops at 1280. What was learnt is forgotten after route.mtu_expires (600 s).
#include <algorithm>

#include "ip/impl.h"

namespace leat::ip {

Result<Route> Ip::Impl::route(const IpAddress& dst, const IpAddress& src, uint16_t oif) const {
  Result<Route> r = routes.look_up(dst, src, oif);
  if (!r) {
    if (to_int(r.error()) == ENETUNREACH) ns.count(dst.is_v4() ? Mib::IpOutNoRoutes : Mib::Ip6OutNoRoutes);
    return r;
  }
  if (r->is_local || r->is_multicast || r->is_broadcast) return r;
  const PmtuCache::Entry learnt = pmtu.find(dst, now());
  if (learnt.mtu != 0 && learnt.mtu <= r->mtu && !r->mtu_locked) {
    r->mtu = learnt.mtu;
    r->mtu_locked = learnt.is_locked;
  }
  return r;
}

uint32_t Ip::Impl::path_mtu(const IpAddress& dst, const Route& r) const {
  if (r.is_local || r.mtu_locked) return r.mtu;
  const PmtuCache::Entry learnt = pmtu.find(dst, now());
  return learnt.mtu != 0 ? std::min(learnt.mtu, r.mtu) : r.mtu;
}

uint32_t Ip::Impl::clamp_mtu(Family f, uint32_t mtu) const {
  return std::max(mtu, f == Family::kIpv4 ? ns.sysctl.route_min_pmtu.as<uint32_t>() : 1280u);
}

void Ip::Impl::learn_mtu(const IpAddress& dst, uint32_t mtu) {
  const Result<Route> r = routes.look_up(dst, IpAddress(), 0);
  if (!r || r->is_local || r->is_multicast || r->is_broadcast || r->mtu_locked) return;
  const PmtuCache::Entry before = pmtu.find(dst, now());
  const uint32_t current = before.mtu != 0 ? std::min(before.mtu, r->mtu) : r->mtu;
  if (before.is_locked || mtu > current) return;
  const uint32_t floor = clamp_mtu(dst.family(), mtu);
  PmtuCache::Entry e;
  e.mtu = std::min(current, floor);
  e.is_locked = dst.is_v4() && floor != mtu;
  const Tunable& lifetime = dst.is_v4() ? ns.sysctl.route_mtu_expires : ns.sysctl.ipv6_route_mtu_expires;
  e.expires = now() + Duration::from_s(lifetime);
  if (e.mtu == r->mtu && !e.is_locked) return;  // nothing that the route does not say
  pmtu.learn(dst, e);
  if (e.mtu != current || e.is_locked) routes.bump_generation();
}

}  // namespace leat::ip
