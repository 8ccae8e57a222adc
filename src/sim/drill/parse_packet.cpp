// Packets:  < [ect0] 8080>1234 P. 1:1001(1000) ack 1 win 257 urg 5 <nop,nop,TS val 1 ecr 2>
//           > udp (100)      < icmp unreachable frag_needed mtu 1200 [1:1461(1460)]
#include <cctype>
#include <string>

#include "sim/drill/parser.h"
#include "sim/drill/tcp_options.h"
#include "wire/tcp.h"

namespace leat::drill {
namespace {

constexpr int64_t kMax8 = 0xff, kMax16 = 0xffff, kMax20 = 0xfffff, kMax24 = 0xffffff, kMax32 = 0xffffffff;

bool take_ecn(Cursor& c, PacketSpec& p) {
  static constexpr const char* kNames[] = {"noecn", "ect1", "ect0", "ce"};
  for (uint8_t i = 0; i < 4; ++i) {
    if (!c.take_word(kNames[i])) continue;
    p.tos_check = PacketSpec::TosCheck::kEcn;
    p.tos = i;
    return true;
  }
  if (!c.take_word("ect01")) return false;
  p.tos_check = PacketSpec::TosCheck::kEitherEct;
  return true;
}

// [ect0] [ce, flowlabel 0x1] (tos 0x10) [ttl 64]
void parse_ip_info(Cursor& c, PacketSpec& p) {
  const bool is_square = c.take("[");
  if (!is_square && !c.take("(")) return;
  do {
    if (take_ecn(c, p)) continue;
    if (c.take_word("tos")) {
      p.tos_check = PacketSpec::TosCheck::kTos;
      p.tos = static_cast<uint8_t>(c.integer("a TOS", kMax8));
    } else if (c.take_word("flowlabel")) {
      p.flow_label = static_cast<uint32_t>(c.integer("a flow label", kMax20));
    } else if (c.take_word("ttl")) {
      p.ttl = static_cast<uint8_t>(c.integer("a TTL", kMax8));
    } else {
      c.fail("noecn, ect0, ect1, ect01, ce, tos 0x…, flowlabel 0x… or ttl …");
    }
  } while (c.take(","));
  c.expect(is_square ? "]" : ")", "what the IP header holds");
}

void parse_ports(Cursor& c, PacketSpec& p) {
  if (!c.at_number()) return;
  const size_t from = c.offset();
  if (c.peek() == '.' || c.peek() == '-') return;
  const int64_t src = c.integer("a port", kMax16);
  if (!c.take(">")) {
    c.rewind(from);
    return;
  }
  p.src_port = static_cast<uint16_t>(src);
  p.dst_port = static_cast<uint16_t>(c.integer("a port", kMax16));
}

uint8_t flag_of(char f) {
  switch (f) {
    case 'F':
      return wire::kTcpFin;
    case 'S':
      return wire::kTcpSyn;
    case 'R':
      return wire::kTcpRst;
    case 'P':
      return wire::kTcpPsh;
    case '.':
      return wire::kTcpAck;
    case 'U':
      return wire::kTcpUrg;
    case 'E':
      return wire::kTcpEce;
    case 'W':
      return wire::kTcpCwr;
    default:
      return 0;
  }
}

void parse_flags(Cursor& c, PacketSpec& p) {
  c.skip();
  const size_t from = c.offset();
  if (c.take("-")) return;  // none
  bool any = false, has_ecn = false;
  for (; std::isspace(static_cast<unsigned char>(c.peek())) == 0 && c.peek() != '\0'; any = true) {
    const char f = c.peek();
    if (f >= '0' && f <= '7' && !p.has_ace && !has_ecn) {
      const int ace = f - '0';
      p.has_ace = true;
      p.ae = (ace & 4) != 0;
      p.flags = static_cast<uint8_t>(p.flags | ((ace & 2) ? wire::kTcpCwr : 0) | ((ace & 1) ? wire::kTcpEce : 0));
    } else if (f == 'A' && !p.has_ace) {
      p.ae = has_ecn = true;
    } else if (const uint8_t bit = flag_of(f); bit != 0 && !(p.has_ace && (f == 'E' || f == 'W'))) {
      p.flags |= bit;
      has_ecn |= f == 'E' || f == 'W';
    } else {
      c.fail("TCP flags: letters of FSRP.UEWA, or the ACE field as a digit from 0 to 7, or - for none");
    }
    c.rewind(c.offset() + 1);
  }
  if (!any) c.fail_at(from, "the TCP flags are missing");
}

void parse_seq(Cursor& c, uint32_t& seq, uint32_t& payload, int64_t max_payload) {
  c.skip();
  const size_t from = c.offset();
  const int64_t start = c.integer("a sequence number range, first:end(length)", kMax32);
  c.expect(":", "a sequence number range, first:end(length)");
  const int64_t end = c.integer("where the sequence number range ends", kMax32);
  c.expect("(", "a sequence number range, first:end(length)");
  const int64_t length = c.integer("the payload's length", max_payload);
  c.expect(")", "a sequence number range, first:end(length)");
  seq = static_cast<uint32_t>(start);
  payload = static_cast<uint32_t>(length);
  if (static_cast<uint32_t>(start + length) != static_cast<uint32_t>(end)) {
    c.fail_at(from, "the range " + std::to_string(start) + ":" + std::to_string(end) + " does not hold " +
                        std::to_string(length) + " bytes");
  }
}

TcpOption parse_sack(Cursor& c) {
  std::vector<wire::SackBlock> blocks;
  while (c.at_number() || c.at_word()) {
    const auto left = static_cast<uint32_t>(c.integer("a SACK block's left edge", kMax32));
    c.expect(":", "a SACK block, left:right");
    blocks.push_back({left, static_cast<uint32_t>(c.integer("a SACK block's right edge", kMax32))});
  }
  if (blocks.empty()) c.fail("SACK blocks, left:right");
  return sack_option(blocks);
}

// Hexadecimal digits, which may look like a number, a word or both; none is an empty cookie.
std::vector<uint8_t> parse_hex(Cursor& c, std::string_view what) {
  c.skip();
  const size_t from = c.offset();
  std::string digits;
  if (c.is_at_defined()) digits = c.defined(what);
  while (std::isxdigit(static_cast<unsigned char>(c.peek())) != 0) {
    digits += c.peek();
    c.rewind(c.offset() + 1);
  }
  if (digits.size() % 2 != 0) c.fail_at(from, "an odd number of hexadecimal digits; expected " + std::string(what));
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < digits.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(std::stoul(digits.substr(i, 2), nullptr, 16)));
  return bytes;
}

// ECN e0b 1 ceb 2 e1b 3, or the other order (draft-ietf-tcpm-accurate-ecn).
TcpOption parse_accecn(Cursor& c) {
  TcpOption o;
  const bool is_first_order = c.is_next("e0b");
  o.kind = is_first_order ? kOptAccEcn0 : kOptAccEcn1;
  static constexpr const char* kFirst[] = {"e0b", "ceb", "e1b"};
  static constexpr const char* kSecond[] = {"e1b", "ceb", "e0b"};
  for (int i = 0; i < 3; ++i) {
    if (!c.take_word(is_first_order ? kFirst[i] : kSecond[i])) {
      if (i == 0) c.fail("e0b or e1b after ECN");
      break;
    }
    const int64_t v = c.integer("a 24-bit AccECN counter", kMax24);
    for (int shift = 16; shift >= 0; shift -= 8)
      o.value.push_back(static_cast<uint8_t>(v >> shift));
  }
  return o;
}

TcpOption parse_timestamp(Cursor& c) {
  c.expect("val", "TS val … ecr …");
  const auto val = static_cast<uint32_t>(c.integer("a timestamp", kMax32));
  c.expect("ecr", "TS val … ecr …");
  return timestamp_option(val, static_cast<uint32_t>(c.integer("an echoed timestamp", kMax32)));
}

TcpOption parse_tcp_option(Cursor& c) {
  if (c.take_word("nop")) return {kOptNop, {}};
  if (c.take_word("eol")) return {kOptEol, {}};
  if (c.take_word("mss")) return number_option(kOptMss, static_cast<uint32_t>(c.integer("an MSS", kMax16)), 2);
  if (c.take_word("wscale")) {
    return number_option(kOptWscale, static_cast<uint32_t>(c.integer("a window scale", kMax8)), 1);
  }
  if (c.take_word("sackOK")) return {kOptSackOk, {}};
  if (c.take_word("sack")) return parse_sack(c);
  if (c.take_word("TS")) return parse_timestamp(c);
  if (c.take_word("FO")) return {kOptFastOpen, parse_hex(c, "a Fast Open cookie in hexadecimal")};
  if (c.take_word("FOEXP")) {
    TcpOption o{kOptExperimental, {0xf9, 0x89}};
    for (const uint8_t b : parse_hex(c, "a Fast Open cookie in hexadecimal"))
      o.value.push_back(b);
    return o;
  }
  if (c.take_word("md5")) return {kOptMd5, parse_hex(c, "an MD5 digest in hexadecimal")};
  if (c.take_word("ECN")) return parse_accecn(c);
  c.fail("a TCP option: mss, wscale, sackOK, sack, TS, FO, FOEXP, md5, ECN, nop or eol");
}

void parse_tcp_options(Cursor& c, PacketSpec& p) {
  if (!c.take("<")) return;
  c.skip();
  const size_t from = c.offset();
  if (c.take("...")) {
    p.any_options = true;
    if (p.is_inbound) c.fail_at(from, "<...> says nothing about what to send; expected a list of options");
  } else {
    do {
      p.options.push_back(parse_tcp_option(c));
    } while (c.take(","));
  }
  c.expect(">", "a list of TCP options");
  if (options_length(p.options) > 40) c.fail_at(from, "these options need more than 40 bytes");
}

void parse_tcp(Cursor& c, PacketSpec& p) {
  parse_flags(c, p);
  parse_seq(c, p.seq, p.payload, kMax16);
  if (c.take_word("ack")) p.ack = static_cast<uint32_t>(c.integer("an acknowledgement number", kMax32));
  if (c.take_word("win")) p.window = static_cast<uint16_t>(c.integer("a window", kMax16));
  if (c.take_word("urg")) p.urgent = static_cast<uint16_t>(c.integer("an urgent pointer", kMax16));
  if (p.is_inbound && !p.window) c.fail("'win' and a window, which a packet to be sent must have");
  parse_tcp_options(c, p);
}

void parse_udp(Cursor& c, PacketSpec& p) {
  p.protocol = PacketSpec::Protocol::kUdp;
  parse_ports(c, p);
  c.expect("(", "udp (length)");
  p.payload = static_cast<uint32_t>(c.integer("a payload's length", kMax16));
  c.expect(")", "udp (length)");
}

void parse_quote(Cursor& c, PacketSpec& p) {
  if (!c.take("[")) return;
  if (c.take_word("udp") || c.take_word("raw")) {
    c.rewind(c.offset() - 3);
    p.icmp_echo.kind = c.is_next("udp") ? IcmpEcho::Kind::kUdp : IcmpEcho::Kind::kRaw;
    c.rewind(c.offset() + 3);
    c.expect("(", "udp (length)");
    p.icmp_echo.bytes = static_cast<uint32_t>(c.integer("a payload's length", kMax16));
    c.expect(")", "udp (length)");
  } else {
    p.icmp_echo.kind = IcmpEcho::Kind::kTcp;
    parse_seq(c, p.icmp_echo.seq, p.icmp_echo.bytes, kMax16);
  }
  c.expect("]", "what the ICMP message quotes, [1:1001(1000)]");
}

void parse_icmp(Cursor& c, PacketSpec& p) {
  p.protocol = PacketSpec::Protocol::kIcmp;
  p.icmp_type = c.word("an ICMP type, such as unreachable");
  const std::string next = c.peek_word();
  if (!next.empty() && next != "mtu" && next != "id" && c.at_word()) {
    p.icmp_code = c.is_at_defined() ? c.defined("an ICMP code") : c.word("an ICMP code");
  }
  if (c.take_word("mtu")) p.icmp_mtu = static_cast<uint32_t>(c.integer("an MTU", kMax32));
  if (c.take_word("id")) p.icmp_id = static_cast<uint16_t>(c.integer("an echo identifier", kMax16));
  parse_quote(c, p);
}

}  // namespace

PacketSpec parse_packet(Cursor& c) {
  PacketSpec p;
  p.is_inbound = c.take("<");
  if (!p.is_inbound) c.expect(">", "a packet's direction");
  parse_ip_info(c, p);
  if (p.is_inbound && p.tos_check == PacketSpec::TosCheck::kEitherEct)
    c.fail("[ect0] or [ect1]: [ect01] is for packets that are expected");
  if (c.take_word("udp")) {
    parse_udp(c, p);
  } else if (c.take_word("icmp")) {
    parse_icmp(c, p);
  } else if (c.is_next("ipv4") || c.is_next("ipv6") || c.is_next("gre") || c.is_next("mpls")) {
    c.fail("a TCP, UDP or ICMP packet: tunnels (ipv4, ipv6, gre, mpls headers) are not in this runner");
  } else {
    parse_ports(c, p);
    parse_tcp(c, p);
  }
  return p;
}

}  // namespace leat::drill
