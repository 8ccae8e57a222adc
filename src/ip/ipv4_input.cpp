// A received IPv4 packet: validate, is it for us, reassemble, deliver (RFC 1122 §3.2; Linux's ip_rcv and
// ip_local_deliver). Options are passed over; nothing is forwarded; the TTL does not matter to the destination.
#include <algorithm>

#include "ip/impl.h"

namespace leat::ip {
namespace {

constexpr Mib kEcnMibs[] = {Mib::IpExtInNoECTPkts, Mib::IpExtInECT1Pkts, Mib::IpExtInECT0Pkts, Mib::IpExtInCEPkts};

bool is_zero_net(const IpAddress& a) {
  return a.v4() >> 24 == 0;
}
bool is_local_group(const IpAddress& a) {
  return a.v4() >> 8 == 0xe00000;
}  // 224.0.0.0/24

// Neither of network 0, nor loopback, nor a group.
bool is_ordinary(const IpAddress& a) {
  const uint8_t net = a.v4_bytes()[0];
  return net != 0 && net != 127 && net < 224;
}

struct Fault {
  Mib mib;
  DropReason reason;
};

Fault explain(wire::Ipv4Fault f) {
  switch (f) {
    case wire::Ipv4Fault::kChecksum:
      return {Mib::IpInHdrErrors, DropReason::kIpCsum};
    case wire::Ipv4Fault::kTruncated:
      return {Mib::IpExtInTruncatedPkts, DropReason::kPktTooSmall};
    case wire::Ipv4Fault::kHeader:
      break;
  }
  return {Mib::IpInHdrErrors, DropReason::kIpInhdr};
}

// The header with its options; as much of it as there is.
bool make_header_linear(Packet& p) {
  if (!p.pull_linear(std::min(p.length, wire::kIpv4HeaderBytes))) return false;
  const uint32_t claimed = (p.data[0] & 0x0fu) * 4;
  return p.pull_linear(std::min(p.length, std::max(claimed, p.linear_length())));
}

}  // namespace

void Ip::Impl::ipv4_input(PacketPtr&& packet, const Arrival& a) {
  const uint64_t segments = std::max<uint64_t>(packet->gso_segs, 1);
  count(Mib::IpInReceives, segments);
  count(Mib::IpExtInOctets, packet->length);
  if (!make_header_linear(*packet)) return discard(std::move(packet), DropReason::kNoMem);
  const auto h = wire::check_ipv4(packet->linear(), packet->length);
  if (h || h.error() != wire::Ipv4Fault::kHeader) count(kEcnMibs[packet->data[1] & 3], segments);
  if (!h) {
    const Fault f = explain(h.error());
    if (h.error() == wire::Ipv4Fault::kChecksum) count(Mib::IpExtInCsumErrors);
    count(f.mib);
    return discard(std::move(packet), f.reason);
  }
  packet->trim(h->total_length);  // the link's padding
  packet->set_network_header();
  bool is_group = a.is_group_at_link;
  DropReason why = DropReason::kNotSpecified;
  if (!check_ipv4_addresses(*h, a, is_group, why)) {
    if (why == DropReason::kIpInAddrErrors) count(Mib::IpInAddrErrors);
    return discard(std::move(packet), why);
  }
  packet->pull(h->header_length);
  packet->set_transport_header();
  if (h->is_fragment()) return reassemble_ipv4(std::move(packet), *h, a, is_group);
  deliver_ipv4(std::move(packet), *h, a, is_group);
}

// RFC 1122 §3.2.1.3, RFC 1812 §5.3.7 and Linux's ip_route_input: who may have sent it, and is it for us?
bool Ip::Impl::check_ipv4_addresses(const wire::Ipv4Header& h, const Arrival& a, bool& is_group,
                                    DropReason& why) const {
  auto refuse = [&](DropReason reason) {
    why = reason;
    return false;
  };
  const RouteTable::Scope dst = routes.scope_of(h.dst, a.ifindex);
  const RouteTable::Scope src = routes.scope_of(h.src, a.ifindex);
  // Nearly every packet: from a host elsewhere to an address of ours.
  if (dst == RouteTable::Scope::kUnicast && src == RouteTable::Scope::kNotOurs && is_ordinary(h.src) &&
      is_ordinary(h.dst)) {
    return true;
  }
  const bool is_broadcast = dst == RouteTable::Scope::kBroadcast;
  if (h.src.is_multicast() || src == RouteTable::Scope::kBroadcast) {
    return refuse(DropReason::kIpInvalidSource);
  }
  const bool may_be_anonymous = h.dst.is_broadcast() || is_local_group(h.dst);  // DHCP, IGMP
  if (is_zero_net(h.src) && !(h.src.is_any() && may_be_anonymous)) return refuse(DropReason::kIpInvalidSource);
  if (is_zero_net(h.dst)) return refuse(DropReason::kIpInvalidDest);
  if (!a.is_loopback) {
    if (h.src.is_loopback() || h.dst.is_loopback()) return refuse(DropReason::kIpLocalnet);
    if (!h.dst.is_multicast() && src == RouteTable::Scope::kUnicast) return refuse(DropReason::kIpLocalSource);
  }
  if (h.dst.is_multicast()) {
    if (!accepts_group(h.dst, a)) return refuse(DropReason::kIpInAddrErrors);
    count_group(h, Mib::IpExtInMcastPkts, Mib::IpExtInMcastOctets);
  } else if (is_broadcast) {
    count_group(h, Mib::IpExtInBcastPkts, Mib::IpExtInBcastOctets);
  } else if (dst == RouteTable::Scope::kNotOurs) {
    return refuse(DropReason::kIpInAddrErrors);
  }
  is_group = is_group || is_broadcast || h.dst.is_multicast();
  return true;
}

void Ip::Impl::count_group(const wire::Ipv4Header& h, Mib packets, Mib octets) const {
  ns.count(packets);
  ns.count(octets, h.total_length);
}

void Ip::Impl::deliver_ipv4(PacketPtr&& packet, const wire::Ipv4Header& h, const Arrival& a, bool is_group) {
  PacketInfo info;
  info.src = h.src;
  info.dst = h.dst;
  info.protocol = h.protocol;
  info.ttl = h.ttl;
  info.tos = h.tos;
  info.ifindex = a.ifindex;
  info.is_broadcast_or_multicast = is_group;
  if (h.protocol == wire::kProtocolIcmp) {
    count(Mib::IpInDelivers);
    return icmp4_input(std::move(packet), info);
  }
  if (deliver_to_transport(packet, info)) return;
  count(Mib::IpInUnknownProtos);
  send_icmp4_error(*packet, wire::kIcmp4Unreachable, wire::kIcmp4ProtocolUnreachable, 0, is_group);
  discard(std::move(packet), DropReason::kIpNoproto);
}

void Ip::Impl::reassemble_ipv4(PacketPtr&& packet, const wire::Ipv4Header& h, Arrival a, bool is_group) {
  Reassembly::Fragment f;
  f.key = {h.src, h.dst, h.id, h.protocol, 0};
  f.offset = h.fragment_offset;
  f.more = h.more_fragments;
  f.ecn = h.tos & 3;
  f.header_bytes = h.header_length;
  // All but the last carry a multiple of 8 bytes; Linux cuts the rest off.
  if (f.more) packet->trim(packet->length & ~7u);
  const Reassembly::Limits limits{static_cast<uint64_t>(int64_t{ns.sysctl.ipfrag_high_thresh}),
                                  Duration::from_s(ns.sysctl.ipfrag_time), ns.sysctl.ipfrag_max_dist.as<uint32_t>()};
  Reassembly::Result r = reassembly4.add(std::move(packet), f, limits, now());
  if (!note_reassembly(r, Family::kIpv4)) return;
  packet = std::move(r.packet);
  packet->set_network_header();
  if (!own_header(packet, r.header_bytes)) return discard(std::move(packet), DropReason::kNoMem);
  uint8_t* ip = packet->data;
  if (r.has_ce) ip[1] |= 3;  // RFC 3168 §5.3
  store_be16(ip + 2, static_cast<uint16_t>(packet->length));
  store_be16(ip + 6, 0);
  store_be16(ip + 10, 0);
  store_be16(ip + 10, wire::ipv4_checksum({ip, r.header_bytes}));
  const auto whole = wire::parse_ipv4(packet->linear());
  if (!whole) return discard(std::move(packet), DropReason::kIpInhdr);
  packet->pull(r.header_bytes);
  packet->set_transport_header();
  a.was_fragmented = true;
  deliver_ipv4(std::move(packet), *whole, a, is_group);
}

}  // namespace leat::ip
