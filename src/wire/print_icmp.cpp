#include "wire/print_icmp.h"

#include <fmt/format.h>

#include "wire/icmp.h"

namespace leat::wire {
namespace {

std::string protocol_text(uint8_t protocol) {
  if (protocol == kProtocolTcp) return "tcp";
  if (protocol == kProtocolUdp) return "udp";
  return fmt::format("ip-proto-{}", protocol);
}

std::string unreachable4_text(const IcmpHeader& h, ByteView message) {
  const std::optional<IcmpQuote> q = parse_icmp4_quote(message);
  if (!q) return fmt::format("unreachable, code {}", h.code);
  const std::string dst = q->dst.to_string();
  switch (h.code) {
    case kIcmp4NetUnreachable:
      return "net " + dst + " unreachable";
    case kIcmp4HostUnreachable:
      return "host " + dst + " unreachable";
    case kIcmp4ProtocolUnreachable:
      return fmt::format("{} protocol {} unreachable", dst, q->protocol);
    case kIcmp4PortUnreachable:
      return fmt::format("{} {} port {} unreachable", dst, protocol_text(q->protocol),
                         load_be16(q->transport.data() + 2));
    case kIcmp4FragmentationNeeded:
      if (h.mtu4() == 0) return dst + " unreachable - need to frag";
      return fmt::format("{} unreachable - need to frag (mtu {})", dst, h.mtu4());
    case kIcmp4HostProhibited:
    case kIcmp4NetProhibited:
    case kIcmp4Filtered:
      return fmt::format("host {} unreachable - admin prohibited", dst);
    default:
      return fmt::format("{} unreachable - code {}", dst, h.code);
  }
}

std::string echo_text(const char* what, const IcmpHeader& h) {
  return fmt::format("echo {}, id {}, seq {}", what, h.echo_id(), h.echo_sequence());
}

std::string icmp4_body(const IcmpHeader& h, ByteView message) {
  switch (h.type) {
    case kIcmp4EchoReply:
      return echo_text("reply", h);
    case kIcmp4Echo:
      return echo_text("request", h);
    case kIcmp4Unreachable:
      return unreachable4_text(h, message);
    case kIcmp4Redirect:
      return fmt::format("redirect to {}", IpAddress::from_v4(h.word).to_string());
    case kIcmp4TimeExceeded:
      return h.code == kIcmpHopsExceeded ? "time exceeded in-transit" : "ip reassembly time exceeded";
    case kIcmp4ParameterProblem:
      return fmt::format("parameter problem - octet {}", h.pointer4());
    default:
      return fmt::format("type-#{} code {}", h.type, h.code);
  }
}

std::string unreachable6_text(const IcmpHeader& h, ByteView message) {
  static constexpr const char* kCodes[] = {"unreachable route",   "unreachable prohibited", "beyond scope",
                                           "unreachable address", "unreachable port",       "source policy failed",
                                           "reject route"};
  const std::optional<IcmpQuote> q = parse_icmp6_quote(message);
  std::string text = "destination unreachable, ";
  text += h.code < std::size(kCodes) ? kCodes[h.code] : fmt::format("code {}", h.code);
  if (!q) return text;
  if (h.code != kIcmp6PortUnreachable) return text + " " + q->dst.to_string();
  return text + fmt::format(", {} {} port {}", q->dst.to_string(), protocol_text(q->protocol),
                            load_be16(q->transport.data() + 2));
}

std::string neighbor_text(const char* what, const char* of, ByteView message) {
  if (message.size() < 24) return fmt::format("{} [|icmp6]", what);
  return fmt::format("{}, {} {}", what, of, IpAddress::from_v6_bytes(message.data() + 8).to_string());
}

std::string parameter_problem6_text(const IcmpHeader& h) {
  static constexpr const char* kCodes[] = {"erroneous", "next header", "option", "incomplete header chain"};
  const std::string what = h.code < std::size(kCodes) ? kCodes[h.code] : fmt::format("code {}", h.code);
  return fmt::format("parameter problem, {} - octet {}", what, h.pointer6());
}

std::string icmp6_body(const IcmpHeader& h, ByteView message) {
  switch (h.type) {
    case kIcmp6Unreachable:
      return unreachable6_text(h, message);
    case kIcmp6PacketTooBig:
      return fmt::format("packet too big, mtu {}", h.mtu6());
    case kIcmp6TimeExceeded:
      return h.code == kIcmpHopsExceeded ? "time exceeded in-transit" : "ip reassembly time exceeded";
    case kIcmp6ParameterProblem:
      return parameter_problem6_text(h);
    case kIcmp6Echo:
      return echo_text("request", h);
    case kIcmp6EchoReply:
      return echo_text("reply", h);
    case kIcmp6RouterSolicitation:
      return "router solicitation";
    case kIcmp6RouterAdvertisement:
      return "router advertisement";
    case kIcmp6NeighborSolicitation:
      return neighbor_text("neighbor solicitation", "who has", message);
    case kIcmp6NeighborAdvertisement:
      return neighbor_text("neighbor advertisement", "tgt is", message);
    case kIcmp6Mld2Report:
      return "multicast listener report v2";
    default:
      return fmt::format("type-#{} code {}", h.type, h.code);
  }
}

}  // namespace

std::string icmp4_text(ByteView message) {
  const std::optional<IcmpHeader> h = parse_icmp(message);
  return h ? "ICMP " + icmp4_body(*h, message) : "ICMP [|icmp]";
}

std::string icmp6_text(ByteView message) {
  const std::optional<IcmpHeader> h = parse_icmp(message);
  return h ? "ICMP6, " + icmp6_body(*h, message) : "ICMP6, [|icmp6]";
}

}  // namespace leat::wire
