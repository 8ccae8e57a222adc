// A received IPv6 packet: validate, walk its extension headers, is it for us, reassemble, deliver (RFC 8200; Linux's
// ipv6_rcv and ip6_input). The walk itself is wire::walk_ipv6; what is due when it objects happens here.
#include <algorithm>

#include "ip/impl.h"

namespace leat::ip {
namespace {

constexpr Mib kEcnMibs[] = {Mib::Ip6InNoECTPkts, Mib::Ip6InECT1Pkts, Mib::Ip6InECT0Pkts, Mib::Ip6InCEPkts};

// Extension headers beyond this are nobody's honest need; they are made linear to be read.
constexpr uint32_t kMaxHeaderBytes = 4096;

}  // namespace

void Ip::Impl::ipv6_input(PacketPtr&& packet, const Arrival& a) {
  const uint64_t segments = std::max<uint64_t>(packet->gso_segs, 1);
  count(Mib::Ip6InReceives, segments);
  count(Mib::Ip6InOctets, packet->length);
  packet->set_network_header();
  if (packet->pull_linear(wire::kIpv6HeaderBytes)) {
    packet->set_network_header();
    count(kEcnMibs[packet->data[1] >> 4 & 3], segments);
  }
  continue_ipv6(std::move(packet), a);
}

// Also the second time for a datagram that was reassembled.
void Ip::Impl::continue_ipv6(PacketPtr&& packet, const Arrival& a) {
  for (;;) {
    const auto chain = wire::walk_ipv6(packet->linear(), packet->length, {}, a.was_fragmented);
    packet->set_network_header();
    if (!chain && chain.error().kind == wire::Ipv6Fault::Kind::kMoreNeeded) {
      if (chain.error().pointer > kMaxHeaderBytes) {
        count(Mib::Ip6InHdrErrors);
        return discard(std::move(packet), DropReason::kIpv6BadExthdr);
      }
      if (packet->pull_linear(chain.error().pointer)) continue;
      return discard(std::move(packet), DropReason::kNoMem);
    }
    if (!chain) return refuse_ipv6(std::move(packet), chain.error(), a);
    packet->trim(chain->total_length);
    DropReason why = DropReason::kNotSpecified;
    if (!check_ipv6_addresses(chain->header, a, why)) {
      if (why == DropReason::kIpInAddrErrors) count(Mib::Ip6InAddrErrors);
      if (why == DropReason::kIpInhdr) count(Mib::Ip6InHdrErrors);
      return discard(std::move(packet), why);
    }
    if (chain->is_fragment) return reassemble_ipv6(std::move(packet), *chain, a);
    if (chain->has_fragment_header) {  // atomic (RFC 6946)
      count(Mib::Ip6ReasmReqds);
      count(Mib::Ip6ReasmOKs);
    }
    return deliver_ipv6(std::move(packet), *chain, a);
  }
}

bool Ip::Impl::check_ipv6_addresses(const wire::Ipv6Header& h, const Arrival& a, DropReason& why) const {
  auto refuse = [&](DropReason reason) {
    why = reason;
    return false;
  };
  if (!a.is_loopback) {
    if (h.src.is_loopback() || h.dst.is_loopback()) return refuse(DropReason::kIpInhdr);
    if (h.dst.is_multicast() && (h.dst.bytes()[1] & 15) == 1) return refuse(DropReason::kIpInhdr);  // ff01::
    // Linux has no such check for IPv6; IPv4's reasons hold here as well.
    if (!h.dst.is_multicast() && !h.src.is_any() && routes.is_local(h.src)) return refuse(DropReason::kIpLocalSource);
  }
  if (h.dst.is_any()) return refuse(DropReason::kIpInAddrErrors);
  if (h.dst.is_multicast()) {
    if (!a.was_fragmented) {
      ns.count(Mib::Ip6InMcastPkts);
      ns.count(Mib::Ip6InMcastOctets, h.payload_length + wire::kIpv6HeaderBytes);
    }
    return accepts_group(h.dst, a) || refuse(DropReason::kIpInvalidDest);
  }
  return routes.scope_of(h.dst, a.ifindex) == RouteTable::Scope::kUnicast || refuse(DropReason::kIpInAddrErrors);
}

void Ip::Impl::refuse_ipv6(PacketPtr&& packet, const wire::Ipv6Fault& fault, const Arrival& a) {
  using Kind = wire::Ipv6Fault::Kind;
  switch (fault.kind) {
    case Kind::kTruncated:
      count(Mib::Ip6InTruncatedPkts);
      return discard(std::move(packet), DropReason::kPktTooSmall);
    case Kind::kAddress:
      count(Mib::Ip6InAddrErrors);
      return discard(std::move(packet), DropReason::kIpInAddrErrors);
    case Kind::kDrop:
      return discard(std::move(packet), DropReason::kIpv6BadExthdr);
    case Kind::kMoreNeeded:
    case Kind::kHeader:
      count(Mib::Ip6InHdrErrors);
      return discard(std::move(packet), DropReason::kIpInhdr);
    case Kind::kParameterProblem:
      break;
  }
  count(Mib::Ip6InHdrErrors);
  const auto h = wire::parse_ipv6(packet->linear());
  DropReason why = DropReason::kIpv6BadExthdr;
  if (h && check_ipv6_addresses(h.value(), a, why)) {
    const bool is_group = (a.is_group_at_link || h->dst.is_multicast()) && !fault.answers_multicast;
    send_icmp6_error(*packet, wire::kIcmp6ParameterProblem, fault.code, fault.pointer, is_group);
    why = DropReason::kIpv6BadExthdr;
  }
  discard(std::move(packet), why);
}

void Ip::Impl::deliver_ipv6(PacketPtr&& packet, const wire::Ipv6Chain& c, const Arrival& a) {
  PacketInfo info;
  info.src = c.header.src;
  info.dst = c.header.dst;
  info.protocol = c.protocol;
  info.ttl = c.header.hop_limit;
  info.tos = c.header.traffic_class;
  info.flow_label = c.header.flow_label;
  info.ifindex = a.ifindex;
  info.is_broadcast_or_multicast = a.is_group_at_link || c.header.dst.is_multicast();
  packet->pull(c.offset);
  packet->set_transport_header();
  if (c.protocol == wire::kIpv6NoNextHeader) {
    count(Mib::Ip6InDelivers);  // RFC 8200 §4.7: there is nothing to do
    return;
  }
  if (c.protocol == wire::kProtocolIcmpv6) {
    count(Mib::Ip6InDelivers);
    return icmp6_input(std::move(packet), info, a);
  }
  if (deliver_to_transport(packet, info)) return;
  count(Mib::Ip6InUnknownProtos);
  send_icmp6_error(*packet, wire::kIcmp6ParameterProblem, wire::kIcmp6UnknownNextHeader, c.next_header_offset,
                   info.is_broadcast_or_multicast);
  discard(std::move(packet), DropReason::kIpNoproto);
}

void Ip::Impl::reassemble_ipv6(PacketPtr&& packet, const wire::Ipv6Chain& c, Arrival a) {
  Reassembly::Fragment f;
  const bool is_scoped = c.header.src.is_link_local() || c.header.dst.is_link_local() || c.header.dst.is_multicast();
  f.key = {c.header.src, c.header.dst, c.fragment.id, 0, is_scoped ? a.ifindex : uint16_t{0}};
  f.offset = c.fragment.offset;
  f.more = c.fragment.more;
  f.ecn = c.header.traffic_class & 3;
  f.header_bytes = c.offset;
  f.name_offset = c.unfragmentable_next_header_offset;
  packet->pull(c.offset);
  const Reassembly::Limits limits{static_cast<uint64_t>(int64_t{ns.sysctl.ip6frag_high_thresh}),
                                  Duration::from_s(ns.sysctl.ip6frag_time), 0};
  Reassembly::Result r = reassembly6.add(std::move(packet), f, limits, now());
  if (!note_reassembly(r, Family::kIpv6)) return;
  packet = std::move(r.packet);
  if (!own_header(packet, r.header_bytes)) return discard(std::move(packet), DropReason::kNoMem);
  // The first fragment's fragment header goes: what stands before it moves up, and names what followed it.
  uint8_t* ip = packet->data;
  const uint32_t before = r.header_bytes - wire::kIpv6FragmentHeaderBytes;
  const uint8_t next = ip[before];
  std::memmove(ip + wire::kIpv6FragmentHeaderBytes, ip, before);
  packet->pull(wire::kIpv6FragmentHeaderBytes);
  packet->set_network_header();
  ip = packet->data;
  ip[r.name_offset] = next;
  store_be16(ip + 4, static_cast<uint16_t>(packet->length - wire::kIpv6HeaderBytes));
  if (r.has_ce) ip[1] |= 0x30;
  a.was_fragmented = true;
  continue_ipv6(std::move(packet), a);
}

}  // namespace leat::ip
