// From a transport to the wire: network header, local fragmentation (RFC 791 §3.2, RFC 8200 §4.5), sizes.
// A super-segment keeps one header here; it is split behind the neighbour, if the link cannot (transmit.cpp).
#include <algorithm>

#include "ip/gso.h"
#include "ip/impl.h"
#include "link/checksum_complete.h"

namespace leat::ip {
namespace {

constexpr uint32_t kMaxDatagram = 65535;

// What one segment of a super-segment carries besides its payload.
uint32_t transport_header_bytes(const Packet& p) {
  if (p.gso_type == GsoType::kUdp) return 8;
  return p.linear_length() > 12 ? (uint32_t{p.data[12]} >> 4) * 4 : 20;
}

}  // namespace

Result<void> Ip::Impl::output(PacketPtr&& packet, const Route& r, const SendParams& params) {
  const bool is_v4 = params.dst.is_v4();
  count(ip_mibs(params.dst.family()).out_requests);
  Netif* const out = netif(r.ifindex);
  if (out == nullptr && (r.ifindex != 0 || !r.is_local)) {
    ns.drop(DropReason::kXmitNoDevice);
    return err(ENODEV);
  }
  const uint32_t header = is_v4 ? wire::kIpv4HeaderBytes : wire::kIpv6HeaderBytes;
  if (packet->length + (is_v4 ? header : 0) > kMaxDatagram) return err(EMSGSIZE);
  const uint32_t mtu = effective_mtu(out, r, params);
  if (packet->gso_size != 0 && packet->gso_size + transport_header_bytes(*packet) + header > mtu) {
    if (params.dont_fragment) return err(EMSGSIZE);
    return output_segments(std::move(packet), r, params);
  }
  if (!make_headroom(packet, header + wire::kIpv6FragmentHeaderBytes + wire::kEthernetHeaderBytes)) {
    count(ip_mibs(params.dst.family()).out_discards);
    ns.drop(DropReason::kNoMem);
    return err(ENOBUFS);
  }
  if (out != nullptr && out->is_blocked()) {
    NetifCounters::add(out->counters().tx_dropped, 1);
    return err(ENOBUFS);
  }
  packet->set_transport_header();
  return is_v4 ? output_v4(std::move(packet), r, params, mtu) : output_v6(std::move(packet), r, params, mtu);
}

uint32_t Ip::Impl::effective_mtu(const Netif* n, const Route& r, const SendParams& params) const {
  if (n == nullptr) return r.mtu;
  return params.ignore_pmtu ? n->mtu() : path_mtu(params.dst, r);
}

// In a copy that shares the payload, if there is none; false: no memory.
bool Ip::Impl::make_headroom(PacketPtr& packet, uint32_t bytes) {
  if (packet->headroom() >= bytes) return true;
  packet = pool.clone(*packet, std::min(packet->linear_length(), 256u));
  return packet != nullptr;
}

Result<void> Ip::Impl::output_v4(PacketPtr&& packet, const Route& r, const SendParams& params, uint32_t mtu) {
  const uint32_t total = packet->length + wire::kIpv4HeaderBytes;
  wire::Ipv4Header h;
  h.tos = params.tos;
  h.total_length = static_cast<uint16_t>(total);
  h.dont_fragment = params.dont_fragment;
  h.ttl = params.ttl != 0 ? params.ttl : ns.sysctl.ip_default_ttl.as<uint8_t>();
  h.protocol = params.protocol;
  h.src = params.src;
  h.dst = params.dst;
  h.id =
      params.has_id ? params.id : ids.reserve(h.src, h.dst, h.protocol, std::max<uint32_t>(packet->gso_segs, 1), now());
  const bool loops = r.is_multicast ? params.multicast_loop : r.is_broadcast;
  if (packet->gso_size == 0 && total > mtu) {
    if (!params.dont_fragment) return fragment_v4(std::move(packet), r, h, mtu, loops);
    count(Mib::IpFragFails);
    return err(EMSGSIZE);
  }
  wire::emit_ipv4(h, {packet->push(wire::kIpv4HeaderBytes), wire::kIpv4HeaderBytes});
  packet->set_network_header();
  packet->ethertype = wire::kEthertypeIpv4;
  if (loops) loop_group(*packet, r, h.dst);
  return finish_output(std::move(packet), r, h.src, h.dst);
}

Result<void> Ip::Impl::output_v6(PacketPtr&& packet, const Route& r, const SendParams& params, uint32_t mtu) {
  wire::Ipv6Header h;
  h.traffic_class = params.tos;
  h.flow_label = params.flow_label;
  h.payload_length = static_cast<uint16_t>(packet->length);
  h.next_header = params.protocol;
  h.hop_limit = params.ttl != 0 ? params.ttl : ns.sysctl.ipv6_hop_limit.as<uint8_t>();
  h.src = params.src;
  h.dst = params.dst;
  if (packet->gso_size == 0 && packet->length + wire::kIpv6HeaderBytes > mtu) {
    if (!params.dont_fragment)
      return fragment_v6(std::move(packet), r, h, mtu, r.is_multicast && params.multicast_loop);
    count(Mib::Ip6FragFails);
    return err(EMSGSIZE);
  }
  wire::emit_ipv6(h, {packet->push(wire::kIpv6HeaderBytes), wire::kIpv6HeaderBytes});
  packet->set_network_header();
  packet->ethertype = wire::kEthertypeIpv6;
  if (r.is_multicast && params.multicast_loop) loop_group(*packet, r, h.dst);
  return finish_output(std::move(packet), r, h.src, h.dst);
}

// A super-segment whose segments no longer fit the path (its MTU fell after the transport built it): each goes its way
// alone and is fragmented. The network header that the splitter wants is a scratch one.
Result<void> Ip::Impl::output_segments(PacketPtr&& packet, const Route& r, const SendParams& params) {
  if (!make_headroom(packet, wire::kIpv6HeaderBytes)) return err(ENOBUFS);
  const bool is_v4 = params.dst.is_v4();
  const uint32_t header = is_v4 ? wire::kIpv4HeaderBytes : wire::kIpv6HeaderBytes;
  packet->set_transport_header();
  MutableBytes out{packet->push(header), header};
  packet->set_network_header();
  if (is_v4) {
    wire::Ipv4Header h;
    h.src = params.src;
    h.dst = params.dst;
    wire::emit_ipv4(h, out);
  } else {
    wire::Ipv6Header h;
    h.src = params.src;
    h.dst = params.dst;
    wire::emit_ipv6(h, out);
  }
  PacketQueue segments;
  if (!gso_split(*packet, pool, false, segments)) return err(ENOBUFS);
  Result<void> result;
  while (PacketPtr s = segments.pop_front()) {
    s->pull(header);
    const Result<void> sent = output(std::move(s), r, params);
    if (!sent) result = sent;
  }
  return result;
}

Result<void> Ip::Impl::fragment_v4(PacketPtr&& packet, const Route& r, const wire::Ipv4Header& header, uint32_t mtu,
                                   bool loops) {
  if (mtu < 68 || !leat::complete_checksum(*packet)) return err(EMSGSIZE);
  const uint32_t room = (mtu - wire::kIpv4HeaderBytes) & ~7u;
  Result<void> result;
  for (uint32_t offset = 0; offset < packet->length; offset += room) {
    const uint32_t n = std::min(room, packet->length - offset);
    PacketPtr f = pool.make(0);
    if (f == nullptr || !share_bytes(*f, *packet, offset, n, pool)) {
      count(Mib::IpFragFails);
      ns.drop(DropReason::kNoMem);
      return err(ENOBUFS);
    }
    wire::Ipv4Header h = header;
    h.fragment_offset = static_cast<uint16_t>(offset);
    h.more_fragments = offset + n < packet->length;
    h.total_length = static_cast<uint16_t>(n + wire::kIpv4HeaderBytes);
    wire::emit_ipv4(h, {f->push(wire::kIpv4HeaderBytes), wire::kIpv4HeaderBytes});
    f->set_network_header();
    f->ethertype = wire::kEthertypeIpv4;
    f->mark = packet->mark;
    f->priority = packet->priority;
    count(Mib::IpFragCreates);
    if (loops) loop_group(*f, r, h.dst);
    const Result<void> sent = finish_output(std::move(f), r, h.src, h.dst);
    if (!sent) result = sent;
  }
  count(Mib::IpFragOKs);
  return result;
}

Result<void> Ip::Impl::fragment_v6(PacketPtr&& packet, const Route& r, const wire::Ipv6Header& header, uint32_t mtu,
                                   bool loops) {
  constexpr uint32_t kHeaders = wire::kIpv6HeaderBytes + wire::kIpv6FragmentHeaderBytes;
  if (mtu < 1280 || !leat::complete_checksum(*packet)) return err(EMSGSIZE);
  const uint32_t room = (mtu - kHeaders) & ~7u;
  const uint32_t id = ids.fragment_id();
  Result<void> result;
  for (uint32_t offset = 0; offset < packet->length; offset += room) {
    const uint32_t n = std::min(room, packet->length - offset);
    PacketPtr f = pool.make(0);
    if (f == nullptr || !share_bytes(*f, *packet, offset, n, pool)) {
      count(Mib::Ip6FragFails);
      ns.drop(DropReason::kNoMem);
      return err(ENOBUFS);
    }
    wire::Ipv6Fragment part{header.next_header, static_cast<uint16_t>(offset), offset + n < packet->length, id};
    wire::emit_ipv6_fragment(part, {f->push(wire::kIpv6FragmentHeaderBytes), wire::kIpv6FragmentHeaderBytes});
    wire::Ipv6Header h = header;
    h.next_header = wire::kIpv6FragmentHeader;
    h.payload_length = static_cast<uint16_t>(f->length);
    wire::emit_ipv6(h, {f->push(wire::kIpv6HeaderBytes), wire::kIpv6HeaderBytes});
    f->set_network_header();
    f->ethertype = wire::kEthertypeIpv6;
    f->mark = packet->mark;
    f->priority = packet->priority;
    count(Mib::Ip6FragCreates);
    if (loops) loop_group(*f, r, h.dst);
    const Result<void> sent = finish_output(std::move(f), r, h.src, h.dst);
    if (!sent) result = sent;
  }
  count(Mib::Ip6FragOKs);
  return result;
}

}  // namespace leat::ip
