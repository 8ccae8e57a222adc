// Scripts against leat: what passes, and how what does not is shown.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/drill/leat_target.h"
#include "sim/drill/runner.h"

namespace leat::drill {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kOpen = R"(0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 10000 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 10000
+0 accept(3, ..., ...) = 4
)";

RunOptions options(Variant v = Variant::kIpv4) {
  RunOptions o;
  o.variant = v;
  o.print = [](const std::string&) {};
  o.make_target = [](const Network& n, std::string&) {
    LeatOptions l;
    l.mtu = n.mtu;
    return make_leat_target(l);
  };
  return o;
}

Outcome run(const std::string& text, Variant v = Variant::kIpv4) {
  return run_text("t.pkt", text, options(v));
}

TEST(DrillRun, a_handshake_passes_over_every_variant) {
  for (const Variant v : {Variant::kIpv4, Variant::kIpv6, Variant::kMapped}) {
    const Outcome o = run(kOpen, v);
    EXPECT_EQ(o.kind, Outcome::Kind::kPassed) << o.report;
    EXPECT_EQ(o.events, 7u);
  }
}

TEST(DrillRun, a_packet_that_differs_is_shown_beside_the_expected_one) {
  const Outcome o = run(std::string(kOpen) + "+0 write(4, ..., 500) = 500\n+0 > P. 1:501(500) ack 9\n");
  EXPECT_EQ(o.kind, Outcome::Kind::kFailed);
  EXPECT_THAT(o.report, StartsWith("t.pkt:9:1: the packet is not as expected\n"
                                   "  expected  0.100000  > P. 1:501(500) ack 9\n"
                                   "  was       0.100020  > P. 1:501(500) ack 1 win 64240\n"
                                   "  ack: expected 9, was 1\n"));
  EXPECT_THAT(o.report, HasSubstr("    0.100020  write(4, ..., 500) = 500"));
}

TEST(DrillRun, a_packet_that_does_not_come_is_waited_for_a_little_and_then_missed) {
  const Outcome o = run(std::string(kOpen) + "+.1 > . 1:1(0) ack 1\n");
  EXPECT_EQ(o.kind, Outcome::Kind::kFailed);
  EXPECT_THAT(o.report, HasSubstr("t.pkt:8:1: the packet did not come by"));
}

TEST(DrillRun, a_packet_at_another_time_fails) {
  const Outcome o = run(std::string(kOpen) + "+0 write(4, ..., 500) = 500\n+.1 > P. 1:501(500) ack 1\n");
  EXPECT_THAT(o.report, HasSubstr("the packet came at 0.100020, expected at 0.200000"));
}

TEST(DrillRun, results_and_errnos_of_calls_are_compared) {
  EXPECT_THAT(run("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 read(3, ..., 1) = 5\n").report,
              HasSubstr("t.pkt:2:4: read gave another result\n  expected  5\n  was       -1 ENOTCONN"));
  EXPECT_EQ(run("0 read(3, ..., 1) = -1 EBADF (Bad file descriptor)\n").kind, Outcome::Kind::kPassed);
  EXPECT_THAT(run("0 frobnicate(3) = 0\n").report, HasSubstr("t.pkt:1:3: there is no system call 'frobnicate'"));
  EXPECT_THAT(run("0 socket(..., SOCK_ODD, 0) = 3\n").report, HasSubstr("t.pkt:1:15: 'SOCK_ODD' is not a constant"));
}

TEST(DrillRun, a_blocking_call_ends_when_its_time_says) {
  const std::string read = std::string(kOpen) + "+0...0.1 read(4, ..., 100) = 10\n+.1 < P. 1:11(10) ack 1 win 10000\n";
  EXPECT_EQ(run(read + "+0 > . 1:1(0) ack 11\n").kind, Outcome::Kind::kPassed) << run(read).report;
  const std::string late = std::string(kOpen) + "+0...0.9 read(4, ..., 100) = 10\n+.1 < P. 1:11(10) ack 1 win 10000\n";
  EXPECT_THAT(run(late).report, HasSubstr("read ended at 0.200000, expected at 1.000000"));
  EXPECT_THAT(run(std::string(kOpen) + "+0...0.1 read(4, ..., 100) = 10\n+5 `true`\n").report,
              HasSubstr("read still blocks at"));
}

TEST(DrillRun, a_call_that_should_not_block_but_does_is_an_error) {
  EXPECT_THAT(run(std::string(kOpen) + "+0 read(4, ..., 1) = -1\n+0 `true`\n").report, HasSubstr("t.pkt:8:4: "));
}

TEST(DrillRun, commands_that_are_not_known_are_refused) {
  EXPECT_THAT(run("0 `rm -rf /tmp/nothing`\n").report, HasSubstr("t.pkt:1:1: 'rm' is not understood here"));
  EXPECT_THAT(run("0 `sysctl -q net.ipv4.no_such=1`\n").report, HasSubstr("leat has no sysctl net.ipv4.no_such"));
  EXPECT_EQ(
      run("`sysctl -q net.ipv4.tcp_sack=0 &&\n sysctl -w -q net.ipv4.tcp_rmem=\"4096 8192 16384\"`\n0 `true`\n").kind,
      Outcome::Kind::kPassed);
}

TEST(DrillRun, interface_commands_do_what_they_say_or_are_refused) {
  const auto why = [](const std::string& command) { return run("0 `" + command + "`\n").report; };
  EXPECT_EQ(why("ip route change 192.0.2.1 via 192.168.0.2 dev tun0 advmss 600 mtu lock 640 rto_min 20ms"), "");
  EXPECT_EQ(why("tc qdisc replace dev tun0 root pfifo limit 10; tc qdisc delete dev tun0 root"), "");
  EXPECT_THAT(why("ip route del 192.0.2.1"), HasSubstr("add, change or replace"));
  EXPECT_THAT(why("ip route change 192.0.2.1 congctl bbr"), HasSubstr("leat's routes have no 'congctl bbr'"));
  EXPECT_THAT(why("ip route change 192.0.2.1 advmss lock 600"), HasSubstr("no 'advmss lock 600'"));
  EXPECT_THAT(why("ip route change 192.0.2.1 mtu 12x"), HasSubstr("no 'mtu 12x'"));
  EXPECT_THAT(why("tc qdisc replace dev tun0 root netem delay 10ms"), HasSubstr("no 'netem'"));
  EXPECT_THAT(why("tc qdisc replace dev tun0 root fq maxrate 1mbit"), HasSubstr("no 'maxrate'"));
  EXPECT_THAT(why("tc qdisc show"), HasSubstr("not 'show'"));
}

TEST(DrillRun, the_command_at_the_end_counts) {
  EXPECT_THAT(run("0 `true`\n`sysctl -q net.ipv4.no_such=1`\n").report,
              HasSubstr("t.pkt:2:1: the command failed: leat has no sysctl"));
}

TEST(DrillRun, the_ports_and_the_flow_label_of_an_expected_packet_are_compared) {
  const std::string connect =
      "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0\n"
      "+0 connect(3, ..., ...) = -1 EINPROGRESS\n";
  EXPECT_THAT(run(connect + "+0 > 1>8081 S 0:0(0) <...>\n").report,
              HasSubstr("destination port: expected 8081, was 8080"));
  EXPECT_THAT(run(connect + "+0 > 1>8080 S 0:0(0) <...>\n").report, HasSubstr("source port: expected 1, was "));
  EXPECT_THAT(run(connect + "+0 > (flowlabel 0x1) S 0:0(0) <...>\n", Variant::kIpv6).report,
              HasSubstr("flow label: expected 1, was "));
}

TEST(DrillRun, values_that_cannot_be_are_refused) {
  EXPECT_THAT(run("--tolerance_percent=abc\n0 `true`\n").report, HasSubstr("needs a percentage"));
  EXPECT_THAT(run("--mtu=67\n0 `true`\n").report, HasSubstr("needs a number from 68 to 65535, not '67'"));
  const std::string tcp = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n";
  EXPECT_THAT(run(tcp + "+0 setsockopt(3, SOL_TCP, TCP_CONGESTION, \"\\xzz\", 4) = 0\n").report,
              HasSubstr("\\x needs two hexadecimal digits, not 'zz'"));
  EXPECT_THAT(run(tcp + "+0 getsockopt(3, SOL_SOCKET, SO_LINGER, {onoff=1, linger=2}, [8]) = 0\n").report,
              HasSubstr("the value: expected [1, 2], was [0, 0]"));
  EXPECT_EQ(run(tcp + "+0 setsockopt(3, SOL_SOCKET, SO_RCVBUF, [1], -1) = -1 EINVAL\n").report, "");
  EXPECT_THAT(run(tcp + "+0 getsockopt(3, SOL_SOCKET, SO_TYPE, [1], [9999999999999]) = 0\n").report,
              HasSubstr("the value's length: expected 9999999999999, was 4"));
  EXPECT_THAT(run("0 epoll_create(1) = 3\n+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4\n"
                  "+0 epoll_ctl(3, EPOLL_CTL_ADD, 4, {events=EPOLLIN, fd=4}) = 0\n+0 epoll_wait(3, [], 1, 0) = 1\n")
                  .report,
              HasSubstr("no event is listed here"));
}

TEST(DrillRun, a_script_for_another_variant_is_skipped) {
  EXPECT_EQ(run("--ip_version=ipv6\n0 `true`\n").kind, Outcome::Kind::kSkipped);
  EXPECT_EQ(run("--local_ip=192.168.0.1\n0 `true`\n", Variant::kIpv6).kind, Outcome::Kind::kSkipped);
  EXPECT_THAT(run("--what=1\n0 `true`\n").report, HasSubstr("t.pkt:1:1: there is no option --what"));
}

TEST(DrillRun, the_same_script_gives_the_same_trace) {
  const std::string text = std::string(kOpen) + "+0 write(4, ..., 5000) = 5000\n* > P. 1:1001(1000) ack 1\n";
  EXPECT_EQ(run(text).trace, run(text).trace);
}

}  // namespace
}  // namespace leat::drill
