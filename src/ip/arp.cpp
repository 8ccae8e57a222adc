// ARP (RFC 826, RFC 5227 for probes), with Linux's defaults: any address of this host is answered for on any
// interface (arp_ignore 0), the waiting packet's source is announced (arp_announce 0), gratuitous packets refresh
// entries that exist and never create any (arp_accept 0).
#include "wire/arp.h"
#include "ip/impl.h"

namespace leat::ip {

void Ip::Impl::arp_input(Netif& n, PacketPtr&& packet, bool is_unicast_at_link) {
  const bool is_whole = packet->pull_linear(wire::kArpBytes);
  const auto arp = is_whole ? wire::parse_arp(packet->linear()) : std::nullopt;
  if (!arp) return discard(std::move(packet), DropReason::kPktTooSmall);
  const IpAddress& target = arp->target_ip;
  const IpAddress& sender = arp->sender_ip;
  const bool is_nonsense = target.is_loopback() || target.is_multicast() || sender.is_multicast() ||
                           sender.is_loopback() || sender.is_broadcast() || arp->sender_mac.is_multicast();
  // Our own address as sender: an echo of ours or a conflict; neither is worth a table entry.
  if (is_nonsense || (!sender.is_any() && routes.is_local(sender))) {
    return discard(std::move(packet), DropReason::kIpInvalidSource);
  }
  const bool is_request = arp->operation == wire::ArpOperation::kRequest;
  const bool asks_us = is_request && routes.is_local(target);
  if (!sender.is_any()) {
    const bool is_gratuitous = sender == target;
    NeighbourTable::Evidence e;
    e.mac = arp->sender_mac;
    e.is_reachable = !is_request && is_unicast_at_link && !is_gratuitous;
    e.may_override = true;
    e.may_create = asks_us;
    e.respects_locktime = !is_gratuitous;
    NeighbourTable::Actions actions;
    neighbours4.on_evidence(n.ifindex(), sender, e, now(), actions);
    perform(actions);
  }
  if (!asks_us) return;
  PacketPtr reply = pool.make(wire::kArpBytes);
  if (reply == nullptr) return ns.drop(DropReason::kNoMem);
  wire::emit_arp({wire::ArpOperation::kReply, n.mac(), target, arp->sender_mac, sender},
                 {reply->put(wire::kArpBytes), wire::kArpBytes});
  send_ethernet(n, std::move(reply), arp->sender_mac, wire::kEthertypeArp);
}

void Ip::Impl::send_arp_request(Netif& n, const NeighbourTable::Solicitation& s) {
  PacketPtr p = pool.make(wire::kArpBytes);
  if (p == nullptr) return ns.drop(DropReason::kNoMem);
  IpAddress source = s.source;
  if (!source.is_v4() || source.is_any() || !routes.is_local(source))
    source = routes.select_source(s.target, n.ifindex());
  if (!source.is_v4()) source = IpAddress::any(Family::kIpv4);
  wire::ArpPacket arp;
  arp.operation = wire::ArpOperation::kRequest;
  arp.sender_mac = n.mac();
  arp.sender_ip = source;
  arp.target_ip = s.target;
  if (s.is_unicast) arp.target_mac = s.mac;
  wire::emit_arp(arp, {p->put(wire::kArpBytes), wire::kArpBytes});
  send_ethernet(n, std::move(p), s.is_unicast ? s.mac : wire::MacAddress::broadcast(), wire::kEthertypeArp);
}

}  // namespace leat::ip
