// What the neighbour tables want done: solicitations sent, waiting packets sent or given up.
#include "ip/impl.h"

namespace leat::ip {

void Ip::Impl::perform(NeighbourTable::Actions& actions) {
  for (const NeighbourTable::Solicitation& s : actions.solicit) {
    Netif* n = netif(s.ifindex);
    if (n == nullptr) continue;
    s.target.is_v4() ? send_arp_request(*n, s) : send_neighbor_solicitation(*n, s);
  }
  if (Netif* n = netif(actions.ifindex); n != nullptr) {
    while (PacketPtr p = actions.send.pop_front())
      transmit(*n, std::move(p), &actions.mac);
  }
  for (; actions.discarded != 0; --actions.discarded)
    ns.drop(DropReason::kNeighQueueFull);
  while (PacketPtr p = actions.failed.pop_front())
    report_unreachable(std::move(p));
}

// Linux sends itself an ICMP host unreachable; the sender is always local here, so it is told at once
// (RFC 1122 §2.3.2.2, RFC 4861 §7.2.2).
void Ip::Impl::report_unreachable(PacketPtr packet) {
  ns.drop(DropReason::kNeighFailed);
  const ByteView bytes = packet->linear();
  IcmpError e;
  e.error = EHOSTUNREACH;
  wire::IcmpQuote quote;
  uint32_t offset = 0;
  if (const auto v4 = wire::parse_ipv4(bytes); v4 && v4->fragment_offset == 0) {
    e.type = wire::kIcmp4Unreachable;
    e.code = wire::kIcmp4HostUnreachable;
    quote = {.src = v4->src, .dst = v4->dst, .protocol = v4->protocol, .tos = v4->tos, .ttl = v4->ttl};
    offset = v4->header_length;
  } else if (const auto v6 = wire::parse_ipv6(bytes)) {
    const auto upper = wire::skip_ipv6_extensions(bytes, v6->next_header, wire::kIpv6HeaderBytes);
    if (!upper) return;
    e.type = wire::kIcmp6Unreachable;
    e.code = wire::kIcmp6AddressUnreachable;
    quote = {.src = v6->src,
             .dst = v6->dst,
             .protocol = upper->protocol,
             .tos = v6->traffic_class,
             .ttl = v6->hop_limit,
             .flow_label = v6->flow_label};
    offset = upper->offset;
  } else {
    return;
  }
  // Up to 8 bytes of transport header; a fragment of ours carries them behind its linear part.
  if (!packet->pull_linear(offset + 8)) return;
  quote.transport = packet->linear().subspan(offset);
  e.reporter = quote.src;
  e.about.ifindex = packet->ifindex;
  dispatch_icmp_error(quote, e);
}

}  // namespace leat::ip
