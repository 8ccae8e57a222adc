// The ladder: frame → network header → transport header. Every step gets a view cut to what its header claims and to
// what is really there, and says "[|name]" when that is too little.
#include "wire/print.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "wire/arp.h"
#include "wire/ethernet.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/print_icmp.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace leat::wire {
namespace {

template <class... Args>
void append(std::string& out, fmt::format_string<Args...> format, Args&&... args) {
  fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
}

// What a network header says about the transport part behind it.
struct Inner {
  IpAddress src;
  IpAddress dst;
  uint8_t protocol = 0;
  uint32_t length = 0;  // as claimed; `bytes` may hold less
  ByteView bytes;
};

std::string flags_text(const TcpHeader& h) {
  static constexpr struct {
    uint8_t flag;
    char letter;
  } kLetters[] = {{kTcpFin, 'F'}, {kTcpSyn, 'S'}, {kTcpRst, 'R'}, {kTcpPsh, 'P'},
                  {kTcpAck, '.'}, {kTcpUrg, 'U'}, {kTcpEce, 'E'}, {kTcpCwr, 'W'}};
  std::string text;
  for (const auto& l : kLetters) {
    if (h.flags & l.flag) text += l.letter;
  }
  if (h.ae) text += 'e';
  return text.empty() ? "none" : text;
}

std::string hex_text(ByteView bytes) {
  std::string text;
  for (uint8_t b : bytes)
    append(text, "{:02x}", b);
  return text;
}

std::string fast_open_text(ByteView cookie) {
  return cookie.empty() ? "tfo  cookiereq" : "tfo  cookie " + hex_text(cookie);
}

std::string sack_text(ByteView value) {
  std::string text = fmt::format("sack {} ", value.size() / 8);
  for (; value.size() >= 8; value = value.subspan(8)) {
    append(text, "{{{}:{}}}", load_be32(value.data()), load_be32(value.data() + 4));
  }
  return text;
}

// One option as it stands, whether or not a stack would believe it.
std::string tcp_option_text(uint8_t kind, ByteView value) {
  const uint8_t* p = value.data();
  if (kind == 2 && value.size() == 2) return fmt::format("mss {}", load_be16(p));
  if (kind == 3 && value.size() == 1) return fmt::format("wscale {}", p[0]);
  if (kind == 4 && value.empty()) return "sackOK";
  if (kind == 5 && !value.empty() && value.size() % 8 == 0) return sack_text(value);
  if (kind == 8 && value.size() == 8) return fmt::format("TS val {} ecr {}", load_be32(p), load_be32(p + 4));
  if (kind == 34) return fast_open_text(value);
  if (kind == 254 && value.size() >= 2 && load_be16(p) == 0xf989) return "exp-" + fast_open_text(value.subspan(2));
  return fmt::format("unknown-{} 0x{}", kind, hex_text(value));
}

std::string tcp_options_text(ByteView options) {
  std::string text;
  while (!options.empty()) {
    if (!text.empty()) text += ',';
    const uint8_t kind = options[0];
    if (kind <= 1) {
      text += kind == 0 ? "eol" : "nop";
      if (kind == 0) return text;
      options = options.subspan(1);
      continue;
    }
    const size_t size = options.size() < 2 ? 0 : options[1];
    if (size < 2 || size > options.size()) return text + "[bad opt]";
    text += tcp_option_text(kind, options.subspan(2, size - 2));
    options = options.subspan(size);
  }
  return text;
}

void append_ports(std::string& out, const Inner& in) {
  append(out, "{}.{} > {}.{}: ", in.src.to_string(), load_be16(in.bytes.data()), in.dst.to_string(),
         load_be16(in.bytes.data() + 2));
}

void append_addresses(std::string& out, const Inner& in) {
  append(out, "{} > {}: ", in.src.to_string(), in.dst.to_string());
}

void append_tcp(std::string& out, const Inner& in) {
  const std::optional<TcpHeader> h = parse_tcp(in.bytes);
  if (!h) {
    append_addresses(out, in);
    out += "[|tcp]";
    return;
  }
  append_ports(out, in);
  append(out, "Flags [{}]", flags_text(*h));
  const uint32_t length = std::max(in.length, uint32_t{h->header_length}) - h->header_length;
  if (length != 0 || (h->flags & (kTcpSyn | kTcpFin | kTcpRst))) append(out, ", seq {}", h->seq);
  if (length != 0) append(out, ":{}", h->seq + length);
  if (h->has_ack()) append(out, ", ack {}", h->ack);
  append(out, ", win {}", h->window);
  if (h->flags & kTcpUrg) append(out, ", urg {}", h->urgent);
  const ByteView options = in.bytes.subspan(kTcpHeaderBytes, h->header_length - kTcpHeaderBytes);
  if (!options.empty()) append(out, ", options [{}]", tcp_options_text(options));
  append(out, ", length {}", length);
}

void append_udp(std::string& out, const Inner& in) {
  const std::optional<UdpHeader> h = parse_udp(in.bytes);
  if (!h) {
    append_addresses(out, in);
    out += "[|udp]";
    return;
  }
  append_ports(out, in);
  const std::optional<uint32_t> length = udp_datagram_length(*h, in.length, in.src.family());
  if (length) {
    append(out, "UDP, length {}", *length - kUdpHeaderBytes);
  } else {
    append(out, "UDP, bad length {} > {}", h->length, in.length);
  }
}

void append_transport(std::string& out, const Inner& in) {
  if (in.protocol == kProtocolTcp) return append_tcp(out, in);
  if (in.protocol == kProtocolUdp) return append_udp(out, in);
  append_addresses(out, in);
  if (in.protocol == kProtocolIcmp && in.src.is_v4()) {
    append(out, "{}, length {}", icmp4_text(in.bytes), in.length);
  } else if (in.protocol == kProtocolIcmpv6 && in.src.is_v6()) {
    append(out, "{}, length {}", icmp6_text(in.bytes), in.length);
  } else {
    append(out, "ip-proto-{}, length {}", in.protocol, in.length);
  }
}

void append_fragment(std::string& out, uint32_t id, uint32_t offset, uint32_t length, bool more) {
  append(out, " (frag {}:{}@{}{})", id, length, offset, more ? "+" : "");
}

std::string ipv4_text(ByteView packet) {
  const std::optional<Ipv4Header> h = parse_ipv4(packet);
  if (!h) return "IP [|ip]";
  if (h->total_length < h->header_length) return fmt::format("IP bad-len {}", h->total_length);
  const uint32_t length = h->total_length - uint32_t{h->header_length};
  const ByteView rest = packet.subspan(h->header_length);
  const Inner in{h->src, h->dst, h->protocol, length, rest.first(std::min(rest.size(), size_t{length}))};
  std::string out = "IP ";
  if (h->fragment_offset != 0) {
    append_addresses(out, in);
    append(out, "ip-proto-{}", h->protocol);
  } else {
    append_transport(out, in);
  }
  if (h->is_fragment()) append_fragment(out, h->id, h->fragment_offset, length, h->more_fragments);
  return out;
}

// The fragment header of a packet, if it has one among its extension headers.
std::optional<Ipv6Fragment> find_fragment(ByteView packet, uint8_t next_header, uint32_t& offset) {
  while (next_header == kIpv6HopByHop || next_header == kIpv6Routing || next_header == kIpv6DestinationOptions) {
    if (packet.size() < offset + 8u) return std::nullopt;
    next_header = packet[offset];
    offset += (packet[offset + 1] + 1u) * 8;
  }
  if (next_header != kIpv6FragmentHeader || packet.size() < offset) return std::nullopt;
  return parse_ipv6_fragment(packet.subspan(offset));
}

std::string ipv6_text(ByteView packet) {
  const std::optional<Ipv6Header> h = parse_ipv6(packet);
  if (!h) return "IP6 [|ip6]";
  packet = packet.first(std::min(packet.size(), size_t{kIpv6HeaderBytes} + h->payload_length));
  const uint32_t end = kIpv6HeaderBytes + h->payload_length;
  std::string out = "IP6 ";
  Inner in{h->src, h->dst, h->next_header, 0, {}};
  const std::optional<Ipv6Upper> upper = skip_ipv6_extensions(packet, h->next_header, kIpv6HeaderBytes);
  uint32_t offset = kIpv6HeaderBytes;
  const std::optional<Ipv6Fragment> fragment = find_fragment(packet, h->next_header, offset);
  if (upper && upper->offset <= packet.size() && upper->protocol != kIpv6FragmentHeader) {
    in.protocol = upper->protocol;
    in.length = end - upper->offset;
    in.bytes = packet.subspan(upper->offset);
    append_transport(out, in);
  } else {
    append_addresses(out, in);
    if (fragment) append(out, "ip-proto-{}", fragment->next_header);
    if (!fragment) out += h->next_header == kIpv6NoNextHeader ? "no next header" : "[|ip6-ext]";
  }
  if (fragment) append_fragment(out, fragment->id, fragment->offset, end - offset - 8, fragment->more);
  return out;
}

std::string arp_text(ByteView bytes) {
  const std::optional<ArpPacket> a = parse_arp(bytes);
  if (!a) return "ARP [|arp]";
  if (a->operation == ArpOperation::kReply) {
    return fmt::format("ARP, Reply {} is-at {}, length {}", a->sender_ip.to_string(), a->sender_mac.to_string(),
                       bytes.size());
  }
  return fmt::format("ARP, Request who-has {} tell {}, length {}", a->target_ip.to_string(), a->sender_ip.to_string(),
                     bytes.size());
}

}  // namespace

std::string to_string_packet(ByteView ip_packet) {
  if (ip_packet.empty()) return "IP [|ip]";
  const int version = ip_packet[0] >> 4;
  if (version == 4) return ipv4_text(ip_packet);
  if (version == 6) return ipv6_text(ip_packet);
  return fmt::format("unknown ip version {}, length {}", version, ip_packet.size());
}

std::string to_string_frame(ByteView frame) {
  const std::optional<EthernetHeader> h = parse_ethernet(frame);
  if (!h) return "[|ether]";
  const ByteView payload = frame.subspan(kEthernetHeaderBytes);
  if (h->ethertype == kEthertypeArp) return arp_text(payload);
  if (h->ethertype == kEthertypeIpv4 || h->ethertype == kEthertypeIpv6) return to_string_packet(payload);
  return fmt::format("{} > {}, ethertype 0x{:04x}, length {}", h->src.to_string(), h->dst.to_string(), h->ethertype,
                     frame.size());
}

}  // namespace leat::wire
