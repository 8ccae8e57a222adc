// From the link to the network layer: batches, link headers, the internal loopback, and the last step up.
#include <algorithm>

#include "ip/gro.h"
#include "ip/impl.h"
#include "wire/ethernet.h"

namespace leat::ip {

size_t Ip::Impl::receive(Netif& n, size_t budget) {
  std::array<Packet*, Netif::kBatch> batch;
  size_t taken = 0;
  while (taken < budget) {
    const size_t room = std::min(batch.size(), budget - taken);
    const size_t got = n.receive_batch({batch.data(), room}, pool, now());
    if (Transport* tcp = transport(wire::kProtocolTcp); tcp != nullptr && got > 1) {
      tcp->expect({batch.data(), got}, n.is_ethernet() ? wire::kEthernetHeaderBytes : 0);
    }
    n.is_gro_on() ? merge_batch(n, {batch.data(), got}) : on_batch(n, {batch.data(), got});
    taken += got;
    if (got < room) break;
  }
  return taken;
}

void Ip::Impl::on_batch(Netif& n, std::span<Packet*> batch) {
  for (Packet* p : batch)
    on_frame(n, PacketPtr(p));
}

// Only what is meant for us alone is merged; the link header is taken off first.
void Ip::Impl::merge_batch(Netif& n, std::span<Packet*> batch) {
  Gro gro(pool);
  PacketQueue up;
  const Arrival a{.netif = &n, .ifindex = n.ifindex(), .is_loopback = n.is_loopback()};
  for (Packet* p : batch) {
    PacketPtr packet(p);
    p->ifindex = n.ifindex();
    if (n.is_ethernet()) {
      const auto h = wire::parse_ethernet(p->linear());
      const bool is_plain =
          h && h->dst == n.mac() && (h->ethertype == wire::kEthertypeIpv4 || h->ethertype == wire::kEthertypeIpv6);
      if (!is_plain) {
        on_frame(n, std::move(packet));
        continue;
      }
      p->pull(wire::kEthernetHeaderBytes);
      p->ethertype = h->ethertype;
    }
    gro.add(std::move(packet), up);
    while (PacketPtr ready = up.pop_front())
      on_ip(std::move(ready), a);
  }
  gro.flush(up);
  while (PacketPtr ready = up.pop_front())
    on_ip(std::move(ready), a);
}

void Ip::Impl::on_frame(Netif& n, PacketPtr&& packet) {
  packet->ifindex = n.ifindex();
  if (n.is_ethernet()) return on_ethernet(n, std::move(packet));
  on_ip(std::move(packet), {.netif = &n, .ifindex = n.ifindex(), .is_loopback = n.is_loopback()});
}

void Ip::Impl::on_ethernet(Netif& n, PacketPtr&& packet) {
  const bool is_whole = packet->pull_linear(wire::kEthernetHeaderBytes);
  const auto h = is_whole ? wire::parse_ethernet(packet->linear()) : std::nullopt;
  if (!h) return discard(std::move(packet), DropReason::kPktTooSmall);
  const bool is_group = h->dst.is_multicast();
  if (!is_group && h->dst != n.mac()) return discard(std::move(packet), DropReason::kOtherHost);
  if (is_group) NetifCounters::add(n.counters().multicast, 1);
  packet->pull(wire::kEthernetHeaderBytes);
  packet->ethertype = h->ethertype;
  switch (h->ethertype) {
    case wire::kEthertypeArp:
      return arp_input(n, std::move(packet), !is_group);
    case wire::kEthertypeIpv4:
    case wire::kEthertypeIpv6:
      return on_ip(std::move(packet), {.netif = &n, .ifindex = n.ifindex(), .is_group_at_link = is_group});
    default:
      return discard(std::move(packet), DropReason::kUnhandledProto);
  }
}

// The version must be what the ethertype says, where there is one.
void Ip::Impl::on_ip(PacketPtr&& packet, Arrival a) {
  if (!packet->pull_linear(1)) return discard(std::move(packet), DropReason::kPktTooSmall);
  // A sender in our memory need not have finished the checksum; the bytes are as good as verified.
  if (packet->checksum == Checksum::kPartial) packet->checksum = Checksum::kVerified;
  packet->is_loopback = a.is_loopback;
  const int version = *packet->data >> 4;
  const uint16_t says = packet->ethertype;
  if (version == 4 && says != wire::kEthertypeIpv6) {
    packet->ethertype = wire::kEthertypeIpv4;
    return ipv4_input(std::move(packet), a);
  }
  if (version == 6 && says != wire::kEthertypeIpv4) {
    packet->ethertype = wire::kEthertypeIpv6;
    return ipv6_input(std::move(packet), a);
  }
  if (says == wire::kEthertypeIpv4) count(Mib::IpInHdrErrors);
  if (says == wire::kEthertypeIpv6) count(Mib::Ip6InHdrErrors);
  discard(std::move(packet), says == 0 ? DropReason::kUnhandledProto : DropReason::kIpInhdr);
}

bool Ip::Impl::accepts_group(const IpAddress& group, const Arrival& a) const {
  if (group.is_v4() && group.v4() == 0xe0000001) return true;  // all hosts (RFC 1112 §4)
  if (group.is_v6()) {
    const uint8_t* b = group.bytes();
    const bool is_low = std::all_of(b + 2, b + 11, [](uint8_t x) { return x == 0; });
    // All nodes of the node and of the link.
    if (is_low && (b[1] == 1 || b[1] == 2) && b[11] == 0 && b[12] == 0 && b[13] == 0 && b[14] == 0 && b[15] == 1) {
      return true;
    }
    if (is_low && b[1] == 2 && b[11] == 1 && b[12] == 0xff) return routes.has_solicited_node(group, a.ifindex);
  }
  return groups.contains(a.ifindex, group);
}

bool Ip::Impl::deliver_to_transport(PacketPtr& packet, const PacketInfo& info) {
  Transport* t = transport(info.protocol);
  if (t == nullptr) return false;
  count(info.dst.is_v4() ? Mib::IpInDelivers : Mib::Ip6InDelivers);
  t->on_packet(std::move(packet), info);
  return true;
}

void Ip::Impl::discard(PacketPtr packet, DropReason why) {
  ns.drop(why);
  if (why != DropReason::kUnhandledProto) return;
  if (Netif* n = netif(packet->ifindex); n != nullptr) NetifCounters::add(n->counters().rx_dropped, 1);
}

// --- the internal loopback ----------------------------------------------------------------------------------------

void Ip::Impl::queue_backlog(PacketPtr packet, uint16_t ifindex) {
  packet->ifindex = ifindex;
  {
    Guard guard(backlog_lock);
    if (backlog.count() < kBacklogLimit) {
      backlog.push_back(std::move(packet));
      backlog_count.store(backlog.count(), std::memory_order_release);
    }
  }
  if (packet != nullptr) ns.drop(DropReason::kFullRing);
}

// What is queued meanwhile waits for the next call, so that two sockets that talk to each other do not keep us here.
void Ip::Impl::drain_backlog() {
  if (backlog_count.load(std::memory_order_acquire) == 0 || !draining.try_lock()) return;
  for (size_t left = backlog_count.load(std::memory_order_acquire); left != 0; --left) {
    PacketPtr packet;
    {
      Guard guard(backlog_lock);
      packet = backlog.pop_front();
      backlog_count.store(backlog.count(), std::memory_order_release);
    }
    if (packet == nullptr) break;
    const uint16_t ifindex = packet->ifindex;
    packet->received = now();
    packet->ethertype = 0;
    on_ip(std::move(packet), {.netif = netif(ifindex), .ifindex = ifindex, .is_loopback = true});
  }
  draining.unlock();
}

}  // namespace leat::ip
