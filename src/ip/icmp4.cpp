// ICMP for IPv4 (RFC 792, RFC 1122 §3.2.2, RFC 1191): echoes answered, errors sent and heard.
// Redirects and source quench are counted and not obeyed; timestamps need a wall clock, which the core has not.
#include <algorithm>

#include "ip/icmp_quote.h"
#include "ip/impl.h"
#include "wire/checksum.h"

namespace leat::ip {
namespace {

constexpr uint8_t kMaxType = 18;          // Linux's NR_ICMP_TYPES
constexpr uint32_t kMaxQuote = 576 - 28;  // RFC 1812 §4.3.2.3
constexpr uint8_t kTimestamp = 13, kAddressMask = 17, kAddressMaskReply = 18;

struct Meaning {
  int error;
  bool is_fatal;
};

// By code of "destination unreachable": Linux's icmp_err_convert.
constexpr Meaning kUnreachable[] = {
    {ENETUNREACH, false},  {EHOSTUNREACH, false}, {ENOPROTOOPT, true},  {ECONNREFUSED, true},
    {EMSGSIZE, false},     {EOPNOTSUPP, false},   {ENETUNREACH, true},  {EHOSTDOWN, true},
    {ENONET, true},        {ENETUNREACH, true},   {EHOSTUNREACH, true}, {ENETUNREACH, false},
    {EHOSTUNREACH, false}, {EHOSTUNREACH, true},  {EHOSTUNREACH, true}, {EHOSTUNREACH, true},
};

Mib in_mib(uint8_t type) {
  switch (type) {
    case wire::kIcmp4EchoReply:
      return Mib::IcmpInEchoReps;
    case wire::kIcmp4Unreachable:
      return Mib::IcmpInDestUnreachs;
    case wire::kIcmp4SourceQuench:
      return Mib::IcmpInSrcQuenchs;
    case wire::kIcmp4Redirect:
      return Mib::IcmpInRedirects;
    case wire::kIcmp4Echo:
      return Mib::IcmpInEchos;
    case wire::kIcmp4TimeExceeded:
      return Mib::IcmpInTimeExcds;
    case wire::kIcmp4ParameterProblem:
      return Mib::IcmpInParmProbs;
    case 13:
      return Mib::IcmpInTimestamps;
    case 14:
      return Mib::IcmpInTimestampReps;
    case 17:
      return Mib::IcmpInAddrMasks;
    case 18:
      return Mib::IcmpInAddrMaskReps;
    default:
      return Mib::kCount;
  }
}

Mib out_mib(uint8_t type) {
  switch (type) {
    case wire::kIcmp4TimeExceeded:
      return Mib::IcmpOutTimeExcds;
    case wire::kIcmp4ParameterProblem:
      return Mib::IcmpOutParmProbs;
    default:
      return Mib::IcmpOutDestUnreachs;
  }
}

}  // namespace

void Ip::Impl::icmp4_input(PacketPtr&& packet, const PacketInfo& info) {
  auto refuse = [&](DropReason why) {
    count(Mib::IcmpInErrors);
    discard(std::move(packet), why);
  };
  count(Mib::IcmpInMsgs);
  if (packet->checksum != Checksum::kVerified && wire::checksum_fold(wire::checksum_packet(0, *packet, 0)) != 0) {
    count(Mib::IcmpInCsumErrors);
    return refuse(DropReason::kIcmpCsum);
  }
  if (!packet->pull_linear(wire::kIcmpHeaderBytes)) return refuse(DropReason::kPktTooSmall);
  const wire::IcmpHeader icmp = *wire::parse_icmp(packet->linear());
  if (icmp.type > kMaxType) return refuse(DropReason::kUnhandledProto);  // RFC 1122 §3.2.2
  if (const Mib m = in_mib(icmp.type); m != Mib::kCount) count(m);
  if (info.is_broadcast_or_multicast) {
    const bool is_question = icmp.type == wire::kIcmp4Echo || icmp.type == kTimestamp;
    if (is_question && ns.sysctl.icmp_echo_ignore_broadcasts != 0) return refuse(DropReason::kInvalidProto);
    if (!is_question && icmp.type != kAddressMask && icmp.type != kAddressMaskReply) {
      return refuse(DropReason::kInvalidProto);
    }
  }
  if (icmp.type == wire::kIcmp4Echo) {
    if (ns.sysctl.icmp_echo_ignore_all != 0) return discard(std::move(packet), DropReason::kNotSpecified);
    return answer_echo(std::move(packet), info, wire::kIcmp4EchoReply);
  }
  if (icmp.type == wire::kIcmp4EchoReply) return deliver_echo_reply(std::move(packet), info);
  const bool is_followed = icmp.type == wire::kIcmp4Unreachable || icmp.type == wire::kIcmp4TimeExceeded ||
                           icmp.type == wire::kIcmp4ParameterProblem;
  if (is_followed) on_icmp4_error(icmp, *packet, info);
}

// RFC 1122 §3.2.2: the error goes to the transport that it quotes.
void Ip::Impl::on_icmp4_error(const wire::IcmpHeader& icmp, const Packet& packet, const PacketInfo& info) {
  uint8_t bytes[wire::kIcmpHeaderBytes + wire::kIpv4MaxHeaderBytes + 256];
  const auto n = std::min<uint32_t>(packet.length, sizeof bytes);
  packet.copy_out(0, bytes, n);
  const auto quote = wire::parse_icmp4_quote({bytes, n});
  if (!quote) {
    count(Mib::IcmpInErrors);
    return ns.drop(DropReason::kPktTooSmall);
  }
  // RFC 1122 §3.2.2.1: an error about a broadcast is bogus.
  if (routes.scope_of(quote->dst, info.ifindex) == RouteTable::Scope::kBroadcast) {
    return ns.drop(DropReason::kInvalidProto);
  }
  IcmpError e;
  e.reporter = info.src;
  e.type = icmp.type;
  e.code = icmp.code;
  e.about.ifindex = info.ifindex;
  e.error = EHOSTUNREACH;
  if (icmp.type == wire::kIcmp4Unreachable) {
    if (icmp.code > wire::kIcmp4PrecedenceCutoff) return ns.drop(DropReason::kInvalidProto);
    e.error = kUnreachable[icmp.code].error;
    e.is_fatal = kUnreachable[icmp.code].is_fatal;
  } else if (icmp.type == wire::kIcmp4ParameterProblem) {
    e.error = EPROTO;
    e.is_fatal = true;
  }
  if (e.error == EMSGSIZE) {
    if (ns.sysctl.ip_no_pmtu_disc != 0) return ns.drop(DropReason::kNotSpecified);
    e.mtu = icmp.mtu4();
  }
  dispatch_icmp_error(*quote, e);
}

// RFC 1122 §3.2.2, RFC 1812 §4.3.2.7: when an error must not be sent, none is.
void Ip::Impl::send_icmp4_error(const Packet& packet, uint8_t type, uint8_t code, uint32_t word, bool is_group) {
  const ByteView view = network_view(packet);
  const auto h = wire::parse_ipv4(view);
  if (!h || is_group || h->fragment_offset != 0) return;
  if (h->dst.is_multicast() || routes.scope_of(h->dst, packet.ifindex) == RouteTable::Scope::kBroadcast) return;
  if (h->src.is_any() || h->src.is_multicast() ||
      routes.scope_of(h->src, packet.ifindex) == RouteTable::Scope::kBroadcast) {
    return;
  }
  if (h->protocol == wire::kProtocolIcmp) {
    if (view.size() <= h->header_length) return;
    const uint8_t inner = view[h->header_length];
    if (inner > kMaxType || wire::is_icmp4_error(inner)) return;
  }
  if (!packet.is_loopback && !may_send_icmp(h->src, type)) return;
  const uint32_t quoted = std::min(bytes_from_network(packet, view), kMaxQuote);
  PacketPtr message = pool.make(wire::kIcmpHeaderBytes + quoted);
  if (message == nullptr) return ns.drop(DropReason::kNoMem);
  wire::emit_icmp({type, code, word}, {message->put(wire::kIcmpHeaderBytes), wire::kIcmpHeaderBytes});
  copy_from_network(packet, view, message->put(quoted), quoted);
  const IpAddress src = routes.is_local(h->dst) ? h->dst : IpAddress::any(Family::kIpv4);
  count(Mib::IcmpOutMsgs);
  count(out_mib(type));
  constexpr uint8_t kInternetControl = 0xc0;
  (void)send_icmp(std::move(message), src, h->src, static_cast<uint8_t>((h->tos & 0x1c) | kInternetControl), 0);
}

}  // namespace leat::ip
