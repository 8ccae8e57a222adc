#include "wire/print.h"

#include <gtest/gtest.h>

#include <random>

#include "bytes_of.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"

namespace leat::wire {
namespace {

using test::Bytes;
using test::hex;
using test::ip;
using test::zeros;
using test::operator+;

Bytes ip4(uint8_t protocol, const Bytes& payload) {
  Ipv4Header h;
  h.total_length = static_cast<uint16_t>(20 + payload.size());
  h.ttl = 64;
  h.protocol = protocol;
  h.src = ip("10.0.0.1");
  h.dst = ip("10.0.0.2");
  Bytes b(20);
  emit_ipv4(h, b);
  return b + payload;
}

Bytes ip6(uint8_t next, const Bytes& payload) {
  Ipv6Header h;
  h.payload_length = static_cast<uint16_t>(payload.size());
  h.next_header = next;
  h.src = ip("fd00::1");
  h.dst = ip("fd00::2");
  Bytes b(40);
  emit_ipv6(h, b);
  return b + payload;
}

Bytes tcp(const TcpHeader& h, size_t data = 0) {
  Bytes b(tcp_header_length(h));
  emit_tcp(h, b);
  return b + zeros(data);
}

TcpHeader segment(uint8_t flags) {
  TcpHeader h;
  h.src_port = 80;
  h.dst_port = 5000;
  h.seq = 1;
  h.ack = 2;
  h.flags = flags;
  h.window = 65535;
  return h;
}

TEST(Print, ASynAckWithItsOptions) {
  TcpHeader h = segment(kTcpSyn | kTcpAck);
  h.options.mss = 1460;
  h.options.sack_permitted = true;
  h.options.has_timestamp = true;
  h.options.tsval = 1;
  h.options.tsecr = 2;
  h.options.has_wscale = true;
  h.options.wscale = 7;
  EXPECT_EQ(
      to_string_packet(ip4(6, tcp(h))),
      "IP 10.0.0.1.80 > 10.0.0.2.5000: Flags [S.], seq 1, ack 2, win 65535, options [mss 1460,sackOK,TS val 1 ecr "
      "2,nop,wscale 7], length 0");
}

TEST(Print, DataOverIpv6WithARangeThatWraps) {
  TcpHeader h = segment(kTcpPsh | kTcpAck);
  h.seq = 0xfffffffe;
  EXPECT_EQ(to_string_packet(ip6(6, tcp(h, 100))),
            "IP6 fd00::1.80 > fd00::2.5000: Flags [P.], seq 4294967294:98, ack 2, win 65535, length 100");
}

TEST(Print, FlagsAcksAndUrgency) {
  EXPECT_EQ(to_string_packet(ip4(6, tcp(segment(kTcpAck)))),
            "IP 10.0.0.1.80 > 10.0.0.2.5000: Flags [.], ack 2, win 65535, length 0");
  EXPECT_EQ(to_string_packet(ip4(6, tcp(segment(kTcpRst)))),
            "IP 10.0.0.1.80 > 10.0.0.2.5000: Flags [R], seq 1, win 65535, length 0");
  TcpHeader h = segment(0xff);
  h.ae = true;
  h.urgent = 9;
  EXPECT_EQ(to_string_packet(ip4(6, tcp(h))),
            "IP 10.0.0.1.80 > 10.0.0.2.5000: Flags [FSRP.UEWe], seq 1, ack 2, win 65535, urg 9, length 0");
  EXPECT_NE(to_string_packet(ip4(6, tcp(segment(0)))).find("Flags [none], win"), std::string::npos);
}

std::string options_of(std::string_view options) {
  Bytes o = hex(options);
  Bytes b = tcp(segment(kTcpAck)) + o;
  b[12] = static_cast<uint8_t>((20 + o.size()) / 4 << 4);
  const std::string text = to_string_packet(ip4(6, b));
  const size_t from = text.find("options [") + 9;
  return text.substr(from, text.rfind(", length") - from - 1);
}

TEST(Print, OptionsAsTheyStandWhetherOrNotTheyMakeSense) {
  EXPECT_EQ(options_of("0101050a fffffffe 00000003"), "nop,nop,sack 1 {4294967294:3}");
  EXPECT_EQ(options_of("05120000000100000002000000030000000400 00"), "sack 2 {1:2}{3:4},eol");
  EXPECT_EQ(options_of("2206 01020304 2202"), "tfo  cookie 01020304,tfo  cookiereq");
  EXPECT_EQ(options_of("fe04f989"), "exp-tfo  cookiereq");
  EXPECT_EQ(options_of("fd04abcd"), "unknown-253 0xabcd");
  EXPECT_EQ(options_of("0203 05 00"), "unknown-2 0x05,eol");
  EXPECT_EQ(options_of("01010400"), "nop,nop,[bad opt]");
  EXPECT_EQ(options_of("01010109"), "nop,nop,nop,[bad opt]");
}

TEST(Print, Udp) {
  EXPECT_EQ(to_string_packet(ip4(17, hex("0035 c350 000c 0000 01020304"))),
            "IP 10.0.0.1.53 > 10.0.0.2.50000: UDP, length 4");
  EXPECT_EQ(to_string_packet(ip4(17, hex("0035 c350 00ff 0000"))),
            "IP 10.0.0.1.53 > 10.0.0.2.50000: UDP, bad length 255 > 8");
}

TEST(Print, Icmp) {
  EXPECT_EQ(to_string_packet(ip4(1, hex("08 00 0000 0001 0002 6162"))),
            "IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 2, length 10");
  const Bytes quote = ip4(17, hex("c350 1388 0008 0000"));
  EXPECT_EQ(to_string_packet(ip4(1, hex("03 03 0000 00000000") + quote)),
            "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.2 udp port 5000 unreachable, length 36");
  EXPECT_EQ(to_string_packet(ip4(1, hex("03 04 0000 00000578") + quote)),
            "IP 10.0.0.1 > 10.0.0.2: ICMP 10.0.0.2 unreachable - need to frag (mtu 1400), length 36");
  EXPECT_EQ(to_string_packet(ip4(1, hex("0b 00 0000 00000000") + quote)),
            "IP 10.0.0.1 > 10.0.0.2: ICMP time exceeded in-transit, length 36");
}

TEST(Print, Icmp6AndNeighborDiscovery) {
  EXPECT_EQ(to_string_packet(ip6(58, hex("02 00 0000 00000500"))),
            "IP6 fd00::1 > fd00::2: ICMP6, packet too big, mtu 1280, length 8");
  EXPECT_EQ(to_string_packet(ip6(58, hex("87 00 0000 00000000 fe800000000000000000000000000002"))),
            "IP6 fd00::1 > fd00::2: ICMP6, neighbor solicitation, who has fe80::2, length 24");
  EXPECT_EQ(
      to_string_packet(ip6(58, hex("01 04 0000 00000000") + ip6(17, hex("c350 1388 0008 0000")))),
      "IP6 fd00::1 > fd00::2: ICMP6, destination unreachable, unreachable port, fd00::2 udp port 5000, length 56");
}

TEST(Print, Fragments) {
  Bytes b = ip4(17, zeros(16));
  store_be16(b.data() + 4, 7);
  store_be16(b.data() + 6, 0x20b9);
  EXPECT_EQ(to_string_packet(b), "IP 10.0.0.1 > 10.0.0.2: ip-proto-17 (frag 7:16@1480+)");
  EXPECT_EQ(to_string_packet(ip6(44, hex("11 00 05a8 00000007") + zeros(16))),
            "IP6 fd00::1 > fd00::2: ip-proto-17 (frag 7:16@1448)");
}

TEST(Print, SaysWhereSomethingIsCutOff) {
  EXPECT_EQ(to_string_packet({}), "IP [|ip]");
  EXPECT_EQ(to_string_packet(hex("45 00")), "IP [|ip]");
  EXPECT_EQ(to_string_packet(hex("60 00")), "IP6 [|ip6]");
  EXPECT_EQ(to_string_packet(hex("50 00")), "unknown ip version 5, length 2");
  EXPECT_EQ(to_string_packet(ip4(6, zeros(19))), "IP 10.0.0.1 > 10.0.0.2: [|tcp]");
  EXPECT_EQ(to_string_packet(ip4(17, zeros(7))), "IP 10.0.0.1 > 10.0.0.2: [|udp]");
  EXPECT_EQ(to_string_packet(ip4(1, zeros(7))), "IP 10.0.0.1 > 10.0.0.2: ICMP [|icmp], length 7");
  EXPECT_EQ(to_string_packet(ip6(0, zeros(7))), "IP6 fd00::1 > fd00::2: [|ip6-ext]");
}

TEST(Print, Frames) {
  const Bytes macs = hex("ffffffffffff 020000000001");
  const Bytes arp = hex("0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002");
  EXPECT_EQ(to_string_frame(macs + hex("0806") + arp), "ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28");
  Bytes reply = arp;
  reply[7] = 2;
  EXPECT_EQ(to_string_frame(macs + hex("0806") + reply), "ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01, length 28");
  EXPECT_EQ(to_string_frame(macs + hex("0800") + ip4(17, hex("0001 0002 0008 0000"))),
            "IP 10.0.0.1.1 > 10.0.0.2.2: UDP, length 0");
  EXPECT_EQ(to_string_frame(macs + hex("88cc")), "02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ethertype 0x88cc, length 14");
  EXPECT_EQ(to_string_frame(macs), "[|ether]");
}

TEST(Print, SurvivesAnyBytes) {
  std::mt19937 rng(5);
  for (int round = 0; round < 20000; ++round) {
    Bytes b(rng() % 90);
    for (uint8_t& x : b)
      x = static_cast<uint8_t>(rng());
    if (b.size() > 9) {
      b[0] = rng() % 2 ? 0x45 : 0x60;
      const uint8_t protocols[] = {0, 1, 6, 17, 43, 44, 58, 59, 60};
      b[b[0] == 0x45 ? 9 : 6] = protocols[rng() % 9];
      if (b[0] == 0x45) b[6] = 0, b[7] = 0;
    }
    EXPECT_FALSE(to_string_packet(b).empty());
  }
}

}  // namespace
}  // namespace leat::wire
