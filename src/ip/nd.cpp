// Neighbor Discovery (RFC 4861) for hosts: solicitations and advertisements. Ethernet only.
// Not here: duplicate address detection (RFC 4862; addresses are usable at once, and a probe for one of ours is
// answered as the RFC wants), router discovery and redirects (routes are configured), MLD.
#include "wire/nd.h"

#include "ip/impl.h"

namespace leat::ip {
namespace {

constexpr uint32_t kMaxMessage = 2048;  // an honest one has some 32 bytes

IpAddress all_nodes() {
  static constexpr uint8_t kBytes[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return IpAddress::from_v6_bytes(kBytes);
}

}  // namespace

void Ip::Impl::nd_input(PacketPtr&& packet, const PacketInfo& info, const wire::IcmpHeader& icmp, const Arrival& a) {
  if (info.ttl != 255) return discard(std::move(packet), DropReason::kIpv6NdiscHopLimit);
  if (icmp.code != 0) return discard(std::move(packet), DropReason::kIpv6NdiscBadCode);
  // RFC 6980: never in fragments.
  if (a.was_fragmented) return discard(std::move(packet), DropReason::kIpv6BadExthdr);
  if (a.netif == nullptr || !a.netif->is_ethernet()) return;
  if (packet->length > kMaxMessage || !packet->pull_linear(packet->length)) {
    return discard(std::move(packet), DropReason::kPktTooBig);
  }
  switch (icmp.type) {
    case wire::kIcmp6NeighborSolicitation:
      return on_neighbor_solicitation(*a.netif, packet->linear(), info);
    case wire::kIcmp6NeighborAdvertisement:
      return on_neighbor_advertisement(*a.netif, packet->linear(), info);
    default:
      return;  // routers' business: counted by type, not followed
  }
}

// RFC 4861 §7.2.3 and §7.2.4.
void Ip::Impl::on_neighbor_solicitation(Netif& n, ByteView message, const PacketInfo& info) {
  const auto ns_message = wire::parse_neighbor_solicitation(message, {info.src, info.dst, info.ttl});
  if (!ns_message) return ns.drop(DropReason::kIpv6NdiscBadOptions);
  if (!routes.is_local_on(ns_message->target, n.ifindex())) return;
  if (!info.src.is_any() && ns_message->source_mac && !ns_message->source_mac->is_multicast()) {
    NeighbourTable::Evidence e;
    e.mac = *ns_message->source_mac;
    e.may_override = true;
    e.may_create = true;
    NeighbourTable::Actions actions;
    neighbours6.on_evidence(n.ifindex(), info.src, e, now(), actions);
    perform(actions);
  }
  const bool is_probe = info.src.is_any();  // somebody tests whether the address is free
  send_neighbor_advertisement(n, ns_message->target, is_probe ? all_nodes() : info.src, !is_probe);
}

// RFC 4861 §7.2.5.
void Ip::Impl::on_neighbor_advertisement(Netif& n, ByteView message, const PacketInfo& info) {
  const auto na = wire::parse_neighbor_advertisement(message, {info.src, info.dst, info.ttl});
  if (!na) return ns.drop(DropReason::kIpv6NdiscBadOptions);
  if (routes.is_local(na->target)) return;  // a conflict; there is nothing sensible to do
  NeighbourTable::Evidence e;
  e.has_mac = na->target_mac.has_value();
  if (e.has_mac) e.mac = *na->target_mac;
  if (e.has_mac && e.mac.is_multicast()) return ns.drop(DropReason::kIpv6NdiscBadOptions);
  e.is_reachable = na->is_solicited;
  e.may_override = na->is_override;
  e.weak_override = true;
  NeighbourTable::Actions actions;
  neighbours6.on_evidence(n.ifindex(), na->target, e, now(), actions);
  perform(actions);
}

void Ip::Impl::send_neighbor_solicitation(Netif& n, const NeighbourTable::Solicitation& s) {
  IpAddress src = s.source;
  if (!src.is_v6() || !routes.is_local_on(src, n.ifindex())) src = routes.select_source(s.target, n.ifindex());
  if (!src.is_v6()) return;  // an unspecified source would be a probe for duplicates
  PacketPtr p = pool.make(wire::kNdMaxBytes);
  if (p == nullptr) return ns.drop(DropReason::kNoMem);
  uint8_t bytes[wire::kNdMaxBytes];
  const uint32_t size = wire::emit_neighbor_solicitation({s.target, n.mac()}, bytes);
  std::memcpy(p->put(size), bytes, size);
  count(Mib::Icmp6OutMsgs);
  count(Mib::Icmp6OutNeighborSolicits);
  const IpAddress dst = s.is_unicast ? s.target : wire::solicited_node_multicast(s.target);
  const wire::MacAddress mac = s.is_unicast ? s.mac : wire::MacAddress::for_multicast(dst);
  send_nd(n, std::move(p), src, dst, &mac);
}

void Ip::Impl::send_neighbor_advertisement(Netif& n, const IpAddress& target, const IpAddress& to, bool is_solicited) {
  PacketPtr p = pool.make(wire::kNdMaxBytes);
  if (p == nullptr) return ns.drop(DropReason::kNoMem);
  wire::NeighborAdvertisement na;
  na.target = target;
  na.is_solicited = is_solicited;
  na.is_override = true;
  na.target_mac = n.mac();
  uint8_t bytes[wire::kNdMaxBytes];
  const uint32_t size = wire::emit_neighbor_advertisement(na, bytes);
  std::memcpy(p->put(size), bytes, size);
  count(Mib::Icmp6OutMsgs);
  count(Mib::Icmp6OutNeighborAdvertisements);
  send_nd(n, std::move(p), target, to, nullptr);
}

// mac nullptr: by way of the neighbour table, or the group's address.
void Ip::Impl::send_nd(Netif& n, PacketPtr message, const IpAddress& src, const IpAddress& dst,
                       const wire::MacAddress* mac) {
  wire::finish_icmp6(src, dst, {message->data, message->length});
  wire::Ipv6Header h;
  h.payload_length = static_cast<uint16_t>(message->length);
  h.next_header = wire::kProtocolIcmpv6;
  h.hop_limit = 255;
  h.src = src;
  h.dst = dst;
  message->set_transport_header();
  wire::emit_ipv6(h, {message->push(wire::kIpv6HeaderBytes), wire::kIpv6HeaderBytes});
  message->set_network_header();
  message->ethertype = wire::kEthertypeIpv6;
  count(Mib::Ip6OutRequests);
  if (mac == nullptr) {
    Route r;
    r.ifindex = n.ifindex();
    r.next_hop = dst;
    r.is_multicast = dst.is_multicast();
    (void)finish_output(std::move(message), r, src, dst);
    return;
  }
  count(Mib::Ip6OutTransmits);
  count(Mib::Ip6OutOctets, message->length);
  if (dst.is_multicast()) {
    count(Mib::Ip6OutMcastPkts);
    count(Mib::Ip6OutMcastOctets, message->length);
  }
  transmit(n, std::move(message), mac);
}

}  // namespace leat::ip
