// The last steps out: loopback or wire, neighbour, splitting and checksums for links that want them, link header.
#include <algorithm>

#include "ip/gso.h"
#include "ip/impl.h"
#include "link/checksum_complete.h"

namespace leat::ip {

Result<void> Ip::Impl::finish_output(PacketPtr&& packet, const Route& r, const IpAddress& src, const IpAddress& dst) {
  const IpMibs& mibs = ip_mibs(dst.family());
  count(mibs.out_transmits);
  count(mibs.out_octets, packet->length);
  if (dst.is_multicast()) {
    count(mibs.out_mcast_pkts);
    count(mibs.out_mcast_octets, packet->length);
  } else if (r.is_broadcast) {
    count(Mib::IpExtOutBcastPkts);
    count(Mib::IpExtOutBcastOctets, packet->length);
  }
  Netif* n = netif(r.ifindex);
  if (n == nullptr) {
    queue_backlog(std::move(packet), 0);
    return {};
  }
  if (!n->is_ethernet()) {
    transmit(*n, std::move(packet), nullptr);
    return {};
  }
  wire::MacAddress mac;
  if (dst.is_multicast() || r.is_broadcast) {
    mac = dst.is_multicast() ? wire::MacAddress::for_multicast(dst) : wire::MacAddress::broadcast();
    transmit(*n, std::move(packet), &mac);
    return {};
  }
  NeighbourTable::Actions actions;
  bool refused = false;
  if (neighbours(r.next_hop.family()).resolve(n->ifindex(), r.next_hop, packet, src, now(), mac, refused, actions)) {
    transmit(*n, std::move(packet), &mac);
    return {};
  }
  perform(actions);
  if (!refused) return {};
  count(mibs.out_discards);
  ns.drop(DropReason::kNeighCreatefail);
  return err(ENOBUFS);
}

// What goes to a group or to everybody comes back to this host's own listeners.
void Ip::Impl::loop_group(const Packet& packet, const Route& r, const IpAddress& dst) {
  if (dst.is_multicast() && !accepts_group(dst, {.ifindex = r.ifindex})) return;
  PacketPtr copy = pool.clone(packet, std::min(packet.linear_length(), 128u));
  if (copy != nullptr) queue_backlog(std::move(copy), r.ifindex);
}

void Ip::Impl::transmit(Netif& n, PacketPtr&& packet, const wire::MacAddress* mac) {
  const LinkFeatures& can = n.features();
  const bool may_stay_whole =
      packet->gso_size == 0 || (packet->length <= can.max_gso_bytes && can.takes_partial_checksums);
  if (may_stay_whole) return transmit_whole(n, std::move(packet), mac);
  PacketQueue segments;
  if (!gso_split(*packet, pool, can.takes_partial_checksums, segments)) {
    NetifCounters::add(n.counters().tx_dropped, 1);
    return ns.drop(DropReason::kNoMem);
  }
  while (PacketPtr s = segments.pop_front())
    transmit_whole(n, std::move(s), mac);
}

void Ip::Impl::transmit_whole(Netif& n, PacketPtr&& packet, const wire::MacAddress* mac) {
  const bool has_checksum = n.features().takes_partial_checksums || leat::complete_checksum(*packet);
  if (!has_checksum || (mac != nullptr && packet->headroom() < wire::kEthernetHeaderBytes)) {
    NetifCounters::add(n.counters().tx_dropped, 1);
    return ns.drop(DropReason::kDevReady);
  }
  if (mac == nullptr) return n.transmit(std::move(packet), now());
  send_ethernet(n, std::move(packet), *mac, 0);
}

// ethertype 0: the packet's own.
void Ip::Impl::send_ethernet(Netif& n, PacketPtr payload, const wire::MacAddress& mac, uint16_t ethertype) {
  const wire::EthernetHeader h{mac, n.mac(), ethertype != 0 ? ethertype : payload->ethertype};
  wire::emit_ethernet(h, {payload->push(wire::kEthernetHeaderBytes), wire::kEthernetHeaderBytes});
  n.transmit(std::move(payload), now());
}

}  // namespace leat::ip
