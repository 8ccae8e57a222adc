#include "diag/nstat.h"

#include <gtest/gtest.h>

namespace leat::diag {
namespace {

const std::vector<Counter> kCounters = {
    {"Ip", "Forwarding", 2}, {"Ip", "InReceives", 5},      {"Ip", "InHdrErrors", 0},    {"Tcp", "CurrEstab", 3},
    {"Tcp", "InSegs", 7},    {"TcpExt", "TCPTimeouts", 1}, {"IpExt", "InOctets", 1000}, {"Ip6", "InReceives", 4},
};

NstatOptions options(const std::vector<std::string>& words) {
  NstatOptions o;
  std::string error;
  EXPECT_TRUE(parse_nstat_options(words, o, error)) << error;
  return o;
}

TEST(Nstat, LinesAreNstatsWithItsOrderOfGroupsAndWithoutGauges) {
  NstatHistory history;
  EXPECT_EQ(format_nstat(options({"-a"}), kCounters, history),
            "#kernel\n"
            "IpInReceives                    5                  0.0\n"
            "TcpInSegs                       7                  0.0\n"
            "Ip6InReceives                   4                  0.0\n"
            "TcpExtTCPTimeouts               1                  0.0\n"
            "IpExtInOctets                   1000               0.0\n");
}

TEST(Nstat, ShowsWhatWasCountedSinceTheLastTime) {
  NstatHistory history;
  format_nstat(options({}), kCounters, history);
  EXPECT_EQ(format_nstat(options({}), kCounters, history), "#kernel\n");
  std::vector<Counter> later = kCounters;
  later[4].value = 9;
  EXPECT_EQ(format_nstat(options({"-s"}), later, history),
            "#kernel\nTcpInSegs                       2                  0.0\n");
  EXPECT_EQ(format_nstat(options({}), later, history),
            "#kernel\nTcpInSegs                       2                  0.0\n");
  EXPECT_EQ(format_nstat(options({}), later, history), "#kernel\n");
  EXPECT_EQ(format_nstat(options({"-n", "-r"}), later, history), "");
}

TEST(Nstat, ZerosPatternsAndJson) {
  NstatHistory history;
  EXPECT_EQ(format_nstat(options({"-az", "ip*"}), kCounters, history),
            "#kernel\n"
            "IpInReceives                    5                  0.0\n"
            "IpInHdrErrors                   0                  0.0\n"
            "Ip6InReceives                   4                  0.0\n"
            "IpExtInOctets                   1000               0.0\n");
  EXPECT_EQ(format_nstat(options({"-a", "TcpInSegs", "TcpExtTCPTimeouts", "-j"}), kCounters, history),
            "{\"kernel\":{\"TcpInSegs\":7,\"TcpExtTCPTimeouts\":1}}\n");
  EXPECT_EQ(format_nstat(options({"-a", "nothing"}), kCounters, history), "#kernel\n");
}

TEST(Nstat, UnknownOptionsAreNamed) {
  NstatOptions o;
  std::string error;
  EXPECT_FALSE(parse_nstat_options(std::vector<std::string>{"-aQ"}, o, error));
  EXPECT_EQ(error, "nstat: there is no option -Q (leat nstat --help)");
}

}  // namespace
}  // namespace leat::diag
