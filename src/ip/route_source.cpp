// Source address selection: Linux's inet_select_addr for IPv4, RFC 6724 §5 for IPv6.
#include <algorithm>

#include "ip/route_snapshot.h"

namespace leat::ip {

// As Linux: on the interface, the address whose prefix holds the next hop, else its first; else any that is not
// host-only.
IpAddress RouteTable::Snapshot::select_v4(const IpAddress& near, uint16_t ifindex) const {
  const Address* first = nullptr;
  for (const Address& a : addresses) {
    if (a.ifindex != ifindex || !a.cidr.address.is_v4()) continue;
    if (a.cidr.address.is_loopback() && !is_loopback_link(ifindex)) continue;
    if (a.cidr.contains(near)) return a.cidr.address;
    if (first == nullptr) first = &a;
  }
  if (first != nullptr) return first->cidr.address;
  for (const Address& a : addresses) {
    if (a.cidr.address.is_v4() && !a.cidr.address.is_loopback()) return a.cidr.address;
  }
  return is_loopback_link(ifindex) ? loopback_v4() : IpAddress();
}

namespace {

struct Candidate {
  IpAddress address;
  int prefix = 0;
  uint16_t ifindex = 0;
};

// RFC 6724 §5, pairwise: is `a` better than `b`? Rules 3, 4 and 7 need address states that leat has not.
bool is_better_source(const Candidate& a, const Candidate& b, const IpAddress& dst, uint16_t ifindex) {
  if ((a.address == dst) != (b.address == dst)) return a.address == dst;  // rule 1
  const int sa = ipv6_scope(a.address), sb = ipv6_scope(b.address), sd = ipv6_scope(dst);
  if (sa != sb) return sa < sb ? sa >= sd : sb < sd;                                  // rule 2
  if ((a.ifindex == ifindex) != (b.ifindex == ifindex)) return a.ifindex == ifindex;  // rule 5
  const bool la = ipv6_label(a.address) == ipv6_label(dst), lb = ipv6_label(b.address) == ipv6_label(dst);
  if (la != lb) return la;  // rule 6
  const int ma = std::min(common_prefix_bits(a.address, dst), a.prefix);
  const int mb = std::min(common_prefix_bits(b.address, dst), b.prefix);
  return ma > mb;  // rule 8
}

}  // namespace

IpAddress RouteTable::Snapshot::select_v6(const IpAddress& dst, uint16_t ifindex) const {
  // RFC 6724 §4: for link-local destinations and groups of that scope, only addresses of that link.
  const bool same_link = is_v6_link_local(dst) || is_link_scope_multicast(dst);
  Candidate best;
  for (const Address& a : addresses) {
    if (!a.cidr.address.is_v6() || a.cidr.address.is_loopback()) continue;
    if (a.ifindex != ifindex && (same_link || is_v6_link_local(a.cidr.address))) continue;
    const Candidate c{a.cidr.address, a.cidr.prefix, a.ifindex};
    if (best.address.family() == Family::kNone || is_better_source(c, best, dst, ifindex)) best = c;
  }
  if (best.address.family() == Family::kNone && is_loopback_link(ifindex)) return loopback_v6();
  return best.address;
}

}  // namespace leat::ip
