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
