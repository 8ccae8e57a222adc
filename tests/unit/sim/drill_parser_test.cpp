// The packetdrill language as src/sim/drill reads it, and what it says of scripts that are wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/drill/live_packet.h"
#include "sim/drill/parser.h"
#include "sim/drill/tcp_options.h"
#include "wire/tcp.h"

namespace leat::drill {
namespace {

using ::testing::HasSubstr;

Event only_event(const std::string& text) {
  const Script s = parse_script("t.pkt", text);
  EXPECT_EQ(s.events.size(), 1u);
  return s.events.at(0);
}

PacketSpec packet(const std::string& text) {
  return only_event("0 " + text).packet;
}

// "LINE:COLUMN: what"
std::string error(const std::string& text) {
  try {
    parse_script("t.pkt", text);
  } catch (const ScriptError& e) {
    return std::to_string(e.place.line) + ":" + std::to_string(e.place.column) + ": " + e.what();
  }
  return "none";
}

TEST(DrillParser, times_are_absolute_relative_any_or_ranges) {
  EXPECT_EQ(only_event("1.5 `true`").time.us, 1'500'000);
  EXPECT_EQ(only_event("+.000001 `true`").time.us, 1);
  EXPECT_EQ(only_event("+.1 `true`").time.kind, EventTime::Kind::kRelative);
  EXPECT_EQ(only_event("* > . 1:1(0) ack 1").time.kind, EventTime::Kind::kAny);
  const Event absolute = only_event("0.1~0.25 > . 1:1(0) ack 1");
  EXPECT_EQ(absolute.time.kind, EventTime::Kind::kAbsoluteRange);
  EXPECT_EQ(absolute.time.end_us, 250'000);
  const Event relative = only_event("+0.1~+1 > . 1:1(0) ack 1");
  EXPECT_EQ(relative.time.kind, EventTime::Kind::kRelativeRange);
  EXPECT_EQ(relative.time.end_us, 1'000'000);
}

TEST(DrillParser, comments_of_all_three_kinds_are_passed_over) {
  const Script s = parse_script("t.pkt", "// one\n# two\n0 `true` /* three\n four */ // five\n+1 `true`\n");
  ASSERT_EQ(s.events.size(), 2u);
  EXPECT_EQ(s.events[1].place.line, 5);
}

TEST(DrillParser, a_tcp_packet_has_flags_range_ack_window_and_urgent_pointer) {
  const PacketSpec p = packet("< P. 1:1001(1000) ack 7 win 257 urg 3");
  EXPECT_TRUE(p.is_inbound);
  EXPECT_EQ(p.flags, wire::kTcpPsh | wire::kTcpAck);
  EXPECT_EQ(p.seq, 1u);
  EXPECT_EQ(p.payload, 1000u);
  EXPECT_EQ(p.ack, 7u);
  EXPECT_EQ(p.window, 257);
  EXPECT_EQ(p.urgent, 3);
}

TEST(DrillParser, a_range_may_wrap) {
  EXPECT_EQ(packet("> . 4294967200:104(200) ack 1").seq, 4294967200u);
}

TEST(DrillParser, options_are_a_list_in_any_order) {
  const PacketSpec p = packet("> S 0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7,FO 0102,eol>");
  EXPECT_EQ(to_string_options(p.options), "<mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7,FO 0102,eol>");
  EXPECT_TRUE(packet("> S 0:0(0) <...>").any_options);
  EXPECT_EQ(to_string_options(packet("> . 1:1(0) ack 1 <nop,nop,sack 1:2 5:9>").options), "<nop,nop,sack 1:2 5:9>");
  EXPECT_EQ(to_string_options(packet("> . 1:1(0) ack 1 <ECN e1b 1 ceb 0 e0b 1>").options), "<ECN e1b 1 ceb 0 e0b 1>");
}

TEST(DrillParser, ecn_marks_tos_and_ports_stand_before_the_flags) {
  const PacketSpec p = packet("< [ect0] 20000>8080 SEW 0:0(0) win 1");
  EXPECT_EQ(p.tos_check, PacketSpec::TosCheck::kEcn);
  EXPECT_EQ(p.tos, 2);
  EXPECT_EQ(p.src_port, 20000);
  EXPECT_EQ(p.dst_port, 8080);
  EXPECT_EQ(p.flags, wire::kTcpSyn | wire::kTcpEce | wire::kTcpCwr);
  EXPECT_EQ(packet("> (tos 0x10) . 1:1(0) ack 1").tos, 0x10);
}

TEST(DrillParser, the_ace_field_may_be_a_number) {
  const PacketSpec p = packet("> .5 1:1(0) ack 1");
  EXPECT_TRUE(p.has_ace);
  EXPECT_TRUE(p.ae);
  EXPECT_EQ(p.flags, wire::kTcpAck | wire::kTcpEce);
}

TEST(DrillParser, udp_and_icmp_have_lines_of_their_own) {
  EXPECT_EQ(packet("> udp (100)").payload, 100u);
  const PacketSpec p = packet("< icmp unreachable frag_needed mtu 1200 [1:1461(1460)]");
  EXPECT_EQ(p.icmp_type, "unreachable");
  EXPECT_EQ(p.icmp_code, "frag_needed");
  EXPECT_EQ(p.icmp_mtu, 1200u);
  EXPECT_EQ(p.icmp_echo.seq, 1u);
  EXPECT_EQ(p.icmp_echo.bytes, 1460u);
}

TEST(DrillParser, a_call_has_arguments_a_result_an_errno_and_perhaps_an_end) {
  const Event e = only_event("+0...0.3 read(4, ..., 1000) = -1 EAGAIN (Resource temporarily unavailable)");
  EXPECT_EQ(e.call.name, "read");
  EXPECT_EQ(e.call.blocks_us, 300'000);
  ASSERT_EQ(e.call.arguments.size(), 3u);
  EXPECT_EQ(e.call.arguments[1].kind, Expr::Kind::kEllipsis);
  EXPECT_EQ(e.call.result.number, -1);
  EXPECT_EQ(e.call.errno_name, "EAGAIN");
}

TEST(DrillParser, structures_and_lists_nest) {
  const Event e =
      only_event("0 recvmsg(3, {msg_name(...)=..., msg_iov(2)=[{..., 10}, {..., 20}], msg_flags=0}, 0) = 30");
  const Expr* iov = e.call.arguments[1].field("msg_iov");
  ASSERT_NE(iov, nullptr);
  ASSERT_EQ(iov->items.size(), 2u);
  EXPECT_EQ(iov->items[1].items[1].number, 20);
}

TEST(DrillParser, defined_words_are_replaced_in_calls_and_packets) {
  const Script s = parse_script("t.pkt",
                                "--define=SIZE=100\n--define=CC=\"reno\"\n0 write(4, ..., SIZE) = SIZE\n"
                                "+0 > P. 1:101(SIZE) ack 1\n+0 setsockopt(4, SOL_TCP, 13, CC, 4) = 0\n");
  EXPECT_EQ(s.events[0].call.result.number, 100);
  EXPECT_EQ(s.events[1].packet.payload, 100u);
  EXPECT_EQ(s.events[2].call.arguments[3].text, "reno");
}

TEST(DrillParser, commands_without_a_time_come_first_and_last) {
  const Script s = parse_script("t.pkt", "`first`\n0 `middle`\n`last`\n");
  EXPECT_EQ(s.init_command, "first");
  EXPECT_EQ(s.cleanup_command, "last");
  EXPECT_EQ(s.events.size(), 1u);
}

TEST(DrillParser, a_packet_is_printed_as_it_is_written) {
  for (const char* text : {"> P. 1:1001(1000) ack 1 win 257 <nop,nop,TS val 1 ecr 2>", "< [ce] FE. 5:5(0) ack 1 win 0",
                           "> S 0:0(0) <mss 1460>", "> udp (10)", "> icmp echo_reply id 7"}) {
    EXPECT_EQ(to_string_spec(packet(text)), text);
  }
}

TEST(DrillParser, faults_have_a_place_and_say_what_was_expected) {
  EXPECT_EQ(error("0 < P. 1:1001(999) ack 1 win 5"), "1:8: the range 1:1001 does not hold 999 bytes");
  EXPECT_THAT(error("0 `true`\n+0 < . 1:1(0) ack 1"), HasSubstr("expected 'win'"));
  EXPECT_THAT(error("0 > Q 0:0(0)"), HasSubstr("1:5: found 'Q'; expected TCP flags"));
  EXPECT_THAT(error("0 read(4, ..., 10)\n+0 `true`"), HasSubstr("2:1: found '+'; expected '=' in a system call"));
  EXPECT_THAT(error("+0~+1 `true`"), HasSubstr("only a packet that is expected"));
  EXPECT_THAT(error("0.2~0.1 > . 1:1(0) ack 1"), HasSubstr("ends before it begins"));
  EXPECT_THAT(error("0 > S 0:0(0) <mss 70000>"), HasSubstr("an MSS must be from 0 to 65535, not 70000"));
  EXPECT_THAT(error("0 > S 0:0(0) <what 1>"), HasSubstr("1:15: found 'what'; expected a TCP option"));
  EXPECT_THAT(error("0 /* open"), HasSubstr("expected */"));
  EXPECT_THAT(error("0 %{ assert 1"), HasSubstr("expected }%"));
  EXPECT_THAT(error("0 %{ assert 1 + }%"), HasSubstr("1:17: found the end; expected a value"));
  EXPECT_THAT(error("0 < S 0:0(0) win 1 <...>"), HasSubstr("says nothing about what to send"));
  EXPECT_THAT(error("0 < ipv4 1.2.3.4 > 5.6.7.8: . 1:1(0) ack 1 win 1"), HasSubstr("tunnels"));
  EXPECT_THAT(error("99999999999999999999 `true`"), HasSubstr("below 1000000000 seconds"));
  EXPECT_THAT(error("--define=X=abc\n0 < S 0:0(0) win X"), HasSubstr("'abc', which this word stands for"));
  EXPECT_THAT(error("0 write(4, " + std::string(100'000, '[')), HasSubstr("nested less deeply"));
  EXPECT_THAT(error("0 write(4, 99999999999999999999, 1) = 1"), HasSubstr("does not fit into 64 bits"));
}

}  // namespace
}  // namespace leat::drill
