// See live_packet.h.
#include "sim/drill/live_packet.h"

#include <cstdlib>
#include <span>

#include "sim/drill/tcp_options.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/protocol.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace leat::drill {
namespace {

struct Upper {
  uint8_t protocol = 0;
  size_t offset = 0;
  size_t end = 0;
  IpAddress src, dst;
};

std::optional<Upper> read_ip(ByteView bytes, PacketSpec* spec) {
  Upper u;
  if (const auto v4 = wire::parse_ipv4(bytes)) {
    u = {v4->protocol, v4->header_length, std::min<size_t>(v4->total_length, bytes.size()), v4->src, v4->dst};
    if (spec != nullptr) spec->tos = v4->tos, spec->ttl = v4->ttl;
  } else if (const auto v6 = wire::parse_ipv6(bytes)) {
    u = {v6->next_header, wire::kIpv6HeaderBytes,
         std::min<size_t>(wire::kIpv6HeaderBytes + v6->payload_length, bytes.size()), v6->src, v6->dst};
    if (const auto upper = wire::skip_ipv6_extensions(bytes, v6->next_header, wire::kIpv6HeaderBytes)) {
      u.protocol = upper->protocol;
      u.offset = upper->offset;
    }
    if (spec != nullptr) spec->tos = v6->traffic_class, spec->ttl = v6->hop_limit, spec->flow_label = v6->flow_label;
  } else {
    return std::nullopt;
  }
  return u.offset <= u.end ? std::optional(u) : std::nullopt;
}

bool read_tcp(ByteView b, PacketSpec& p) {
  const auto h = wire::parse_tcp(b);
  if (!h) return false;
  p.protocol = PacketSpec::Protocol::kTcp;
  p.src_port = h->src_port;
  p.dst_port = h->dst_port;
  p.flags = h->flags;
  p.ae = h->ae;
  p.seq = h->seq;
  p.ack = h->ack;
  p.window = h->window;
  p.urgent = h->urgent;
  p.payload = static_cast<uint32_t>(b.size() - h->header_length);
  p.options = split_options(b.subspan(wire::kTcpHeaderBytes, h->header_length - wire::kTcpHeaderBytes));
  return true;
}

struct IcmpName {
  const char* name;
  uint8_t number;
};
constexpr IcmpName kTypes4[] = {{"echo_reply", 0},         {"unreachable", 3},        {"source_quench", 4},
                                {"redirect", 5},           {"echo_request", 8},       {"time_exceeded", 11},
                                {"parameter_problem", 12}, {"timestamp_request", 13}, {"timestamp_reply", 14}};
constexpr IcmpName kUnreachable4[] = {{"net_unreachable", 0},
                                      {"host_unreachable", 1},
                                      {"protocol_unreachable", 2},
                                      {"port_unreachable", 3},
                                      {"frag_needed", 4},
                                      {"source_route_failed", 5},
                                      {"net_unknown", 6},
                                      {"host_unknown", 7},
                                      {"source_host_isolated", 8},
                                      {"net_prohibited", 9},
                                      {"host_prohibited", 10},
                                      {"net_unreachable_for_tos", 11},
                                      {"host_unreachable_for_tos", 12},
                                      {"packet_filtered", 13},
                                      {"precedence_violation", 14},
                                      {"precedence_cutoff", 15}};
constexpr IcmpName kTypes6[] = {{"unreachable", 1},       {"packet_too_big", 2}, {"time_exceeded", 3},
                                {"parameter_problem", 4}, {"echo_request", 128}, {"echo_reply", 129}};
constexpr IcmpName kUnreachable6[] = {{"net_unreachable", 0},     {"no_route", 0},
                                      {"admin_prohibited", 1},    {"not_neighbour", 2},
                                      {"address_unreachable", 3}, {"port_unreachable", 4}};
constexpr IcmpName kTimeExceeded6[] = {{"exceeded_hop_limit", 0}, {"exceeded_frag_time", 1}};
constexpr IcmpName kParameter6[] = {{"header_field", 0}, {"unknown_next_header", 1}, {"unknown_option", 2}};

std::optional<uint8_t> find(std::span<const IcmpName> names, const std::string& name, const char* prefix) {
  for (const IcmpName& n : names) {
    if (name == n.name) return n.number;
  }
  const std::string start = prefix;
  if (!name.starts_with(start)) return std::nullopt;
  char* end = nullptr;
  const unsigned long v = std::strtoul(name.c_str() + start.size(), &end, 10);
  return *end == '\0' && end != name.c_str() + start.size() && v < 256 ? std::optional(static_cast<uint8_t>(v))
                                                                       : std::nullopt;
}

std::span<const IcmpName> codes_of(Family family, const std::string& type) {
  if (family == Family::kIpv4)
    return type == "unreachable" ? std::span<const IcmpName>(kUnreachable4) : std::span<const IcmpName>();
  if (type == "unreachable") return kUnreachable6;
  if (type == "time_exceeded") return kTimeExceeded6;
  if (type == "parameter_problem") return kParameter6;
  return {};
}

std::string name_of(std::span<const IcmpName> names, uint8_t number, const char* prefix) {
  for (const IcmpName& n : names) {
    if (n.number == number) return n.name;
  }
  return prefix + std::to_string(number);
}

bool read_icmp(ByteView b, Family family, PacketSpec& p) {
  const auto h = wire::parse_icmp(b);
  if (!h) return false;
  p.protocol = PacketSpec::Protocol::kIcmp;
  const bool is_v4 = family == Family::kIpv4;
  p.icmp_type =
      name_of(is_v4 ? std::span<const IcmpName>(kTypes4) : std::span<const IcmpName>(kTypes6), h->type, "type_");
  const auto codes = codes_of(family, p.icmp_type);
  if (h->code != 0 || !codes.empty()) p.icmp_code = name_of(codes, h->code, "code_");
  if (p.icmp_type == "echo_request" || p.icmp_type == "echo_reply") p.icmp_id = h->echo_id();
  if (p.icmp_code == "frag_needed") p.icmp_mtu = h->mtu4();
  if (!is_v4 && p.icmp_type == "packet_too_big") p.icmp_mtu = h->mtu6();
  p.payload = static_cast<uint32_t>(b.size() - wire::kIcmpHeaderBytes);
  return true;
}

void put16(std::vector<uint8_t>& v, size_t at, uint16_t n) {
  store_be16(v.data() + at, n);
}

uint16_t transport_checksum(ByteView bytes, const IpAddress& src, const IpAddress& dst, uint8_t protocol) {
  uint64_t sum = wire::pseudo_header_sum(src, dst, protocol, static_cast<uint32_t>(bytes.size()));
  return wire::checksum_fold(wire::checksum_add(sum, bytes));
}

std::vector<uint8_t> ip_header(const PacketSpec& p, const IpAddress& src, const IpAddress& dst, uint8_t protocol,
                               size_t payload) {
  const uint8_t ttl = p.ttl == 0 ? 255 : p.ttl;
  std::vector<uint8_t> out(src.is_v4() ? wire::kIpv4HeaderBytes : wire::kIpv6HeaderBytes);
  if (src.is_v4()) {
    wire::Ipv4Header h;
    h.tos = p.tos;
    h.total_length = static_cast<uint16_t>(wire::kIpv4HeaderBytes + payload);
    h.ttl = ttl;
    h.protocol = protocol;
    h.src = src;
    h.dst = dst;
    wire::emit_ipv4(h, out);
  } else {
    wire::Ipv6Header h;
    h.traffic_class = p.tos;
    h.flow_label = p.flow_label;
    h.payload_length = static_cast<uint16_t>(payload);
    h.next_header = protocol;
    h.hop_limit = ttl;
    h.src = src;
    h.dst = dst;
    wire::emit_ipv6(h, out);
  }
  return out;
}

std::vector<uint8_t> build_tcp(const PacketSpec& p, const Endpoints& ends) {
  std::vector<uint8_t> t(wire::kTcpHeaderBytes);
  append_options(p.options, t);
  put16(t, 0, p.src_port != 0 ? p.src_port : ends.remote_port);
  put16(t, 2, p.dst_port != 0 ? p.dst_port : ends.local_port);
  store_be32(t.data() + 4, p.seq);
  store_be32(t.data() + 8, p.ack);
  t[12] = static_cast<uint8_t>((t.size() / 4) << 4 | (p.ae ? 1 : 0));
  t[13] = p.flags;
  put16(t, 14, p.window.value_or(0));
  put16(t, 18, p.urgent);
  t.resize(t.size() + p.payload);
  put16(t, 16, transport_checksum(t, ends.remote, ends.local, wire::kProtocolTcp));
  return t;
}

std::vector<uint8_t> build_udp(const PacketSpec& p, const Endpoints& ends) {
  std::vector<uint8_t> u(wire::kUdpHeaderBytes + p.payload);
  put16(u, 0, p.src_port != 0 ? p.src_port : ends.remote_port);
  put16(u, 2, p.dst_port != 0 ? p.dst_port : ends.local_port);
  put16(u, 4, static_cast<uint16_t>(u.size()));
  put16(u, 6, wire::udp_checksum_on_wire(transport_checksum(u, ends.remote, ends.local, wire::kProtocolUdp)));
  return u;
}

// The head of a packet that the local side sent: IP header and 8 bytes.
std::vector<uint8_t> build_quote(const PacketSpec& p, const Endpoints& ends) {
  const bool is_udp = p.icmp_echo.kind == IcmpEcho::Kind::kUdp;
  PacketSpec plain;
  const size_t transport =
      is_udp ? wire::kUdpHeaderBytes + p.icmp_echo.bytes : wire::kTcpHeaderBytes + p.icmp_echo.bytes;
  std::vector<uint8_t> q =
      ip_header(plain, ends.local, ends.remote, is_udp ? wire::kProtocolUdp : wire::kProtocolTcp, transport);
  const size_t at = q.size();
  q.resize(at + 8);
  put16(q, at, ends.local_port);
  put16(q, at + 2, ends.remote_port);
  if (is_udp) {
    put16(q, at + 4, static_cast<uint16_t>(transport));
  } else {
    store_be32(q.data() + at + 4, p.icmp_echo.seq);
  }
  return q;
}

std::vector<uint8_t> build_icmp(const PacketSpec& p, const Endpoints& ends) {
  const Family family = ends.local.family();
  const auto type = icmp_type_number(family, p.icmp_type);
  const auto code = icmp_code_number(family, p.icmp_type, p.icmp_code);
  const char* version = family == Family::kIpv4 ? "ICMP" : "ICMPv6";
  if (!type) throw ScriptError({}, std::string(version) + " has no type '" + p.icmp_type + "'");
  if (!code) throw ScriptError({}, std::string(version) + " has no code '" + p.icmp_code + "' for " + p.icmp_type);
  std::vector<uint8_t> m(wire::kIcmpHeaderBytes);
  wire::IcmpHeader h{*type, *code, 0};
  if (p.icmp_mtu) h.word = *p.icmp_mtu;
  if (p.icmp_id != 0) h.word = static_cast<uint32_t>(p.icmp_id) << 16;
  wire::emit_icmp(h, m);
  if (p.icmp_echo.kind == IcmpEcho::Kind::kRaw) {
    m.resize(std::max<size_t>(m.size(), p.icmp_echo.bytes));
  } else if (p.icmp_echo.kind != IcmpEcho::Kind::kNone) {
    const auto q = build_quote(p, ends);
    m.insert(m.end(), q.begin(), q.end());
  }
  if (family == Family::kIpv4) {
    wire::finish_icmp4(m);
  } else {
    wire::finish_icmp6(ends.remote, ends.local, m);
  }
  return m;
}

std::string flags_text(const PacketSpec& p) {
  static constexpr std::pair<uint8_t, char> kLetters[] = {
      {wire::kTcpFin, 'F'}, {wire::kTcpSyn, 'S'}, {wire::kTcpRst, 'R'}, {wire::kTcpPsh, 'P'}, {wire::kTcpUrg, 'U'}};
  std::string s;
  for (const auto& [bit, letter] : kLetters) {
    if (p.flags & bit) s += letter;
  }
  const bool has_ece = p.flags & wire::kTcpEce, has_cwr = p.flags & wire::kTcpCwr;
  if (!p.has_ace) {
    if (has_ece) s += 'E';
    if (has_cwr) s += 'W';
    if (p.ae) s += 'A';
  }
  if (p.flags & wire::kTcpAck) s += '.';
  if (p.has_ace) s += static_cast<char>('0' + (p.ae ? 4 : 0) + (has_cwr ? 2 : 0) + (has_ece ? 1 : 0));
  return s.empty() ? "-" : s;
}

std::string ip_text(const PacketSpec& p) {
  static constexpr const char* kEcn[] = {"[noecn] ", "[ect1] ", "[ect0] ", "[ce] "};
  switch (p.tos_check) {
    case PacketSpec::TosCheck::kNone:
      return "";
    case PacketSpec::TosCheck::kEcn:
      return kEcn[p.tos & 3];
    case PacketSpec::TosCheck::kEitherEct:
      return "[ect01] ";
    case PacketSpec::TosCheck::kTos:
      break;
  }
  char text[24];
  std::snprintf(text, sizeof text, "(tos 0x%x) ", p.tos);
  return text;
}

std::string tcp_text(const PacketSpec& p) {
  std::string s = flags_text(p) + " " + std::to_string(p.seq) + ":" + std::to_string(p.seq + p.payload) + "(" +
                  std::to_string(p.payload) + ")";
  if (p.flags & wire::kTcpAck) s += " ack " + std::to_string(p.ack);
  if (p.window) s += " win " + std::to_string(*p.window);
  if (p.urgent != 0) s += " urg " + std::to_string(p.urgent);
  const std::string options = p.any_options ? "<...>" : to_string_options(p.options);
  return options.empty() ? s : s + " " + options;
}

}  // namespace

std::optional<uint8_t> icmp_type_number(Family family, const std::string& name) {
  return family == Family::kIpv4 ? find(kTypes4, name, "type_") : find(kTypes6, name, "type_");
}

std::optional<uint8_t> icmp_code_number(Family family, const std::string& type, const std::string& name) {
  if (name.empty()) return uint8_t{0};
  return find(codes_of(family, type), name, "code_");
}

std::optional<LivePacket> read_packet(const SentPacket& sent) {
  LivePacket live;
  live.at = sent.at;
  const ByteView bytes(sent.bytes);
  const auto u = read_ip(bytes, &live.spec);
  if (!u) return std::nullopt;
  live.src = u->src;
  live.dst = u->dst;
  const ByteView upper = bytes.subspan(u->offset, u->end - u->offset);
  bool is_known = false;
  if (u->protocol == wire::kProtocolTcp) {
    is_known = read_tcp(upper, live.spec);
  } else if (u->protocol == wire::kProtocolUdp) {
    const auto h = wire::parse_udp(upper);
    is_known = h.has_value();
    live.spec.protocol = PacketSpec::Protocol::kUdp;
    if (h) {
      live.spec.src_port = h->src_port;
      live.spec.dst_port = h->dst_port;
      live.spec.payload = static_cast<uint32_t>(upper.size() - wire::kUdpHeaderBytes);
    }
  } else if (u->protocol == wire::kProtocolIcmp || u->protocol == wire::kProtocolIcmpv6) {
    is_known = read_icmp(upper, u->src.family(), live.spec);
  }
  return is_known ? std::optional(std::move(live)) : std::nullopt;
}

std::string checksum_fault(const SentPacket& sent) {
  const ByteView bytes(sent.bytes);
  const auto u = read_ip(bytes, nullptr);
  if (!u) return "the packet has no IP header";
  if (const auto v4 = wire::parse_ipv4(bytes); v4 && wire::ipv4_checksum(bytes.first(v4->header_length)) != 0) {
    return "the IPv4 header's checksum is wrong";
  }
  const ByteView upper = bytes.subspan(u->offset, u->end - u->offset);
  if (u->protocol == wire::kProtocolTcp && transport_checksum(upper, u->src, u->dst, u->protocol) != 0) {
    return "the TCP checksum is wrong";
  }
  return "";
}

std::vector<uint8_t> build_packet(const PacketSpec& p, const Endpoints& ends) {
  std::vector<uint8_t> upper;
  uint8_t protocol = wire::kProtocolTcp;
  if (p.protocol == PacketSpec::Protocol::kTcp) {
    upper = build_tcp(p, ends);
  } else if (p.protocol == PacketSpec::Protocol::kUdp) {
    upper = build_udp(p, ends);
    protocol = wire::kProtocolUdp;
  } else {
    upper = build_icmp(p, ends);
    protocol = ends.local.is_v4() ? wire::kProtocolIcmp : wire::kProtocolIcmpv6;
  }
  std::vector<uint8_t> out = ip_header(p, ends.remote, ends.local, protocol, upper.size());
  out.insert(out.end(), upper.begin(), upper.end());
  return out;
}

std::string to_string_spec(const PacketSpec& p) {
  std::string s = (p.is_inbound ? "< " : "> ") + ip_text(p);
  if (p.protocol == PacketSpec::Protocol::kUdp) return s + "udp (" + std::to_string(p.payload) + ")";
  if (p.protocol == PacketSpec::Protocol::kTcp) return s + tcp_text(p);
  s += "icmp " + p.icmp_type;
  if (!p.icmp_code.empty()) s += " " + p.icmp_code;
  if (p.icmp_mtu) s += " mtu " + std::to_string(*p.icmp_mtu);
  if (p.icmp_id != 0) s += " id " + std::to_string(p.icmp_id);
  return s;
}

}  // namespace leat::drill
