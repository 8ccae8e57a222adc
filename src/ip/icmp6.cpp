// ICMPv6 (RFC 4443): echoes answered, errors sent and heard; Neighbor Discovery goes to nd.cpp. MLD is counted only.
#include <algorithm>

#include "ip/icmp_quote.h"
#include "ip/impl.h"
#include "wire/checksum.h"

namespace leat::ip {
namespace {

constexpr uint32_t kMaxQuote = 1280 - wire::kIpv6HeaderBytes - wire::kIcmpHeaderBytes;  // RFC 4443 §2.4 (c)

struct Meaning {
  int error;
  bool is_fatal;
};

// By code of "destination unreachable": Linux's icmpv6_err_convert.
constexpr Meaning kUnreachable[] = {
    {ENETUNREACH, false}, {EACCES, true}, {EHOSTUNREACH, false}, {EHOSTUNREACH, false},
    {ECONNREFUSED, true}, {EACCES, true}, {EACCES, true},
};

Mib in_mib(uint8_t type) {
  switch (type) {
    case wire::kIcmp6Unreachable:
      return Mib::Icmp6InDestUnreachs;
    case wire::kIcmp6PacketTooBig:
      return Mib::Icmp6InPktTooBigs;
    case wire::kIcmp6TimeExceeded:
      return Mib::Icmp6InTimeExcds;
    case wire::kIcmp6ParameterProblem:
      return Mib::Icmp6InParmProblems;
    case wire::kIcmp6Echo:
      return Mib::Icmp6InEchos;
    case wire::kIcmp6EchoReply:
      return Mib::Icmp6InEchoReplies;
    case wire::kIcmp6MldQuery:
      return Mib::Icmp6InGroupMembQueries;
    case wire::kIcmp6MldReport:
      return Mib::Icmp6InGroupMembResponses;
    case wire::kIcmp6MldDone:
      return Mib::Icmp6InGroupMembReductions;
    case wire::kIcmp6RouterSolicitation:
      return Mib::Icmp6InRouterSolicits;
    case wire::kIcmp6RouterAdvertisement:
      return Mib::Icmp6InRouterAdvertisements;
    case wire::kIcmp6NeighborSolicitation:
      return Mib::Icmp6InNeighborSolicits;
    case wire::kIcmp6NeighborAdvertisement:
      return Mib::Icmp6InNeighborAdvertisements;
    case wire::kIcmp6Redirect:
      return Mib::Icmp6InRedirects;
    case wire::kIcmp6Mld2Report:
      return Mib::Icmp6InMLDv2Reports;
    default:
      return Mib::kCount;
  }
}

Mib out_mib(uint8_t type) {
  switch (type) {
    case wire::kIcmp6PacketTooBig:
      return Mib::Icmp6OutPktTooBigs;
    case wire::kIcmp6TimeExceeded:
      return Mib::Icmp6OutTimeExcds;
    case wire::kIcmp6ParameterProblem:
      return Mib::Icmp6OutParmProblems;
    default:
      return Mib::Icmp6OutDestUnreachs;
  }
}

}  // namespace

void Ip::Impl::icmp6_input(PacketPtr&& packet, const PacketInfo& info, const Arrival& a) {
  auto refuse = [&](DropReason why) {
    count(Mib::Icmp6InErrors);
    discard(std::move(packet), why);
  };
  count(Mib::Icmp6InMsgs);
  if (packet->checksum != Checksum::kVerified) {
    const uint64_t pseudo = wire::pseudo_header_sum(info.src, info.dst, wire::kProtocolIcmpv6, packet->length);
    if (wire::checksum_fold(wire::checksum_packet(pseudo, *packet, 0)) != 0) {
      count(Mib::Icmp6InCsumErrors);
      return refuse(DropReason::kIcmpCsum);
    }
  }
  if (!packet->pull_linear(wire::kIcmpHeaderBytes)) return refuse(DropReason::kPktTooSmall);
  const wire::IcmpHeader icmp = *wire::parse_icmp(packet->linear());
  if (const Mib m = in_mib(icmp.type); m != Mib::kCount) count(m);
  switch (icmp.type) {
    case wire::kIcmp6Echo:
      if (ns.sysctl.ipv6_icmp_echo_ignore_all != 0) return discard(std::move(packet), DropReason::kNotSpecified);
      return answer_echo(std::move(packet), info, wire::kIcmp6EchoReply);
    case wire::kIcmp6EchoReply:
      return deliver_echo_reply(std::move(packet), info);
    case wire::kIcmp6RouterSolicitation:
    case wire::kIcmp6RouterAdvertisement:
    case wire::kIcmp6NeighborSolicitation:
    case wire::kIcmp6NeighborAdvertisement:
    case wire::kIcmp6Redirect:
      return nd_input(std::move(packet), info, icmp, a);
    default:
      if (wire::is_icmp6_error(icmp.type)) on_icmp6_error(icmp, *packet, info);
  }
}

void Ip::Impl::on_icmp6_error(const wire::IcmpHeader& icmp, const Packet& packet, const PacketInfo& info) {
  uint8_t bytes[wire::kIcmpHeaderBytes + 1280];
  const auto n = std::min<uint32_t>(packet.length, sizeof bytes);
  packet.copy_out(0, bytes, n);
  const auto quote = wire::parse_icmp6_quote({bytes, n});
  if (!quote) {
    count(Mib::Icmp6InErrors);
    return ns.drop(DropReason::kPktTooSmall);
  }
  IcmpError e;
  e.reporter = info.src;
  e.type = icmp.type;
  e.code = icmp.code;
  e.about.ifindex = info.ifindex;
  e.error = EPROTO;  // Linux's, for what it does not know
  switch (icmp.type) {
    case wire::kIcmp6Unreachable:
      e.is_fatal = true;
      if (icmp.code < std::size(kUnreachable)) {
        e.error = kUnreachable[icmp.code].error;
        e.is_fatal = kUnreachable[icmp.code].is_fatal;
      }
      break;
    case wire::kIcmp6PacketTooBig:
      e.error = EMSGSIZE;
      e.mtu = icmp.mtu6();
      break;
    case wire::kIcmp6ParameterProblem:
      e.is_fatal = true;
      break;
    case wire::kIcmp6TimeExceeded:
      e.error = EHOSTUNREACH;
      break;
    default:
      break;
  }
  dispatch_icmp_error(*quote, e);
}

// RFC 4443 §2.4 (e): when an error must not be sent, none is.
void Ip::Impl::send_icmp6_error(const Packet& packet, uint8_t type, uint8_t code, uint32_t word, bool is_group) {
  const ByteView view = network_view(packet);
  const auto h = wire::parse_ipv6(view);
  if (!h || is_group || h->src.is_any() || h->src.is_multicast()) return;
  if (const auto upper = wire::skip_ipv6_extensions(view, h->next_header, wire::kIpv6HeaderBytes)) {
    if (upper->protocol == wire::kIpv6FragmentHeader) return;  // a later fragment
    if (upper->protocol == wire::kProtocolIcmpv6) {
      if (upper->offset >= view.size() || wire::is_icmp6_error(view[upper->offset])) return;
      if (view[upper->offset] == wire::kIcmp6Redirect) return;
    }
  }
  const bool is_limited = type != wire::kIcmp6PacketTooBig && !packet.is_loopback;
  if (is_limited && !may_send_icmp(h->src, type)) return;
  const uint32_t quoted = std::min(bytes_from_network(packet, view), kMaxQuote);
  PacketPtr message = pool.make(wire::kIcmpHeaderBytes + quoted);
  if (message == nullptr) return ns.drop(DropReason::kNoMem);
  wire::emit_icmp({type, code, word}, {message->put(wire::kIcmpHeaderBytes), wire::kIcmpHeaderBytes});
  copy_from_network(packet, view, message->put(quoted), quoted);
  const bool was_to_us = !h->dst.is_multicast() && routes.is_local(h->dst);
  const IpAddress src = was_to_us ? h->dst : IpAddress::any(Family::kIpv6);
  count(Mib::Icmp6OutMsgs);
  count(out_mib(type));
  (void)send_icmp(std::move(message), src, h->src, 0, h->src.is_link_local() ? packet.ifindex : uint16_t{0});
}

}  // namespace leat::ip
