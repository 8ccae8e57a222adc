// What ICMP does alike for both families: answering echoes, sending, handing errors to transports.
#include "ip/gso.h"
#include "ip/impl.h"
#include "wire/checksum.h"

namespace leat::ip {

// RFC 792, RFC 4443 §4.2; payload shared. The packet stands at the request's ICMP header.
void Ip::Impl::answer_echo(PacketPtr&& packet, const PacketInfo& info, uint8_t reply_type) {
  PacketPtr reply = pool.make(wire::kIcmpHeaderBytes);
  const bool fits = reply != nullptr && packet->pull_linear(wire::kIcmpHeaderBytes);
  if (!fits) return discard(std::move(packet), DropReason::kNoMem);
  std::memcpy(reply->put(wire::kIcmpHeaderBytes), packet->data, wire::kIcmpHeaderBytes);
  reply->data[0] = reply_type;
  const uint32_t payload = packet->length - wire::kIcmpHeaderBytes;
  if (!share_bytes(*reply, *packet, wire::kIcmpHeaderBytes, payload, pool)) {
    return discard(std::move(packet), DropReason::kNoMem);
  }
  reply->mark = packet->mark;
  const bool was_to_us = !info.dst.is_multicast() && routes.is_local(info.dst);
  const IpAddress src = was_to_us ? info.dst : IpAddress::any(info.dst.family());
  const bool needs_link = info.src.is_v6() && info.src.is_link_local();
  count(info.dst.is_v4() ? Mib::IcmpOutMsgs : Mib::Icmp6OutMsgs);
  count(info.dst.is_v4() ? Mib::IcmpOutEchoReps : Mib::Icmp6OutEchoReplies);
  (void)send_icmp(std::move(reply), src, info.src, info.tos, needs_link ? info.ifindex : uint16_t{0});
}

// The packet stands at the reply's ICMP header.
void Ip::Impl::deliver_echo_reply(PacketPtr&& packet, const PacketInfo& info) {
  if (Transport* t = transport(info.protocol); t != nullptr) t->on_packet(std::move(packet), info);
}

Result<void> Ip::Impl::send_icmp(PacketPtr message, const IpAddress& src, const IpAddress& dst, uint8_t tos,
                                 uint16_t oif) {
  const Result<Route> r = route(dst, src, oif);
  if (!r) {
    count(dst.is_v4() ? Mib::IcmpOutErrors : Mib::Icmp6OutErrors);
    ns.drop(DropReason::kIpOutNoRoutes);
    return std::unexpected(r.error());
  }
  const bool is_v4 = dst.is_v4();
  SendParams params;
  params.src = r->source;
  params.dst = dst;
  params.protocol = is_v4 ? wire::kProtocolIcmp : wire::kProtocolIcmpv6;
  params.tos = tos;
  store_be16(message->data + 2, 0);
  const uint64_t pseudo = is_v4 ? 0 : wire::pseudo_header_sum(params.src, params.dst, params.protocol, message->length);
  store_be16(message->data + 2, wire::checksum_fold(wire::checksum_packet(pseudo, *message, 0)));
  return output(std::move(message), *r, params);
}

// A quote of something that we never sent is a forgery or a mistake.
void Ip::Impl::dispatch_icmp_error(const wire::IcmpQuote& quote, IcmpError& e) {
  Transport* t = transport(quote.protocol);
  if (t == nullptr || !routes.is_local(quote.src)) return ns.drop(DropReason::kNoSocket);
  e.about.src = quote.src;
  e.about.dst = quote.dst;
  e.about.protocol = quote.protocol;
  e.about.tos = quote.tos;
  e.about.ttl = quote.ttl;
  e.about.flow_label = quote.flow_label;
  e.quoted = quote.transport;
  if (e.error == EMSGSIZE) {
    const uint32_t claimed = e.mtu;
    e.mtu = clamp_mtu(quote.dst.family(), claimed);
    if (t->recognizes(e)) learn_mtu(quote.dst, claimed);
  }
  t->on_icmp_error(e);
}

// Per destination first, then all together (Linux's icmpv4_xrlim_allow and icmp_global_allow).
bool Ip::Impl::may_send_icmp(const IpAddress& to, uint8_t type) {
  if (to.is_v4() && (ns.sysctl.icmp_ratemask.as<uint32_t>() >> (type & 31) & 1) == 0) return true;
  const Tunable& interval = to.is_v4() ? ns.sysctl.icmp_ratelimit : ns.sysctl.ipv6_icmp_ratelimit;
  if (!limiter.may_send_to(to, Duration::from_ms(interval), now())) {
    count(to.is_v4() ? Mib::IcmpOutRateLimitHost : Mib::Icmp6OutRateLimitHost);
    return false;
  }
  if (limiter.may_send_any(ns.sysctl.icmp_msgs_per_sec, ns.sysctl.icmp_msgs_burst, now())) return true;
  count(Mib::IcmpOutRateLimitGlobal);
  return false;
}

}  // namespace leat::ip
