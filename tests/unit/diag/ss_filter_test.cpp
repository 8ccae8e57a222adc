#include "diag/ss_filter.h"

#include <gtest/gtest.h>

namespace leat::diag {
namespace {

SocketRow row(const char* local, uint16_t local_port, const char* remote, uint16_t remote_port) {
  SocketRow r;
  r.local = *IpAddress::parse(local);
  r.remote = *IpAddress::parse(remote);
  r.local_port = local_port;
  r.remote_port = remote_port;
  r.device = "leat0";
  return r;
}

bool matches(const std::vector<std::string>& words, const SocketRow& r) {
  SsFilter f;
  std::string error;
  EXPECT_TRUE(SsFilter::parse(words, f, error)) << error;
  return f.matches(r);
}

std::string error_of(const std::vector<std::string>& words) {
  SsFilter f;
  std::string error;
  EXPECT_FALSE(SsFilter::parse(words, f, error));
  return error;
}

const SocketRow kWeb = row("10.1.2.3", 80, "192.0.2.7", 40000);
const SocketRow kWeb6 = row("fd00::1", 80, "2001:db8::7", 40000);

TEST(SsFilter, NoWordsMatchEverything) {
  EXPECT_TRUE(matches({}, kWeb));
  EXPECT_TRUE(matches({"  "}, kWeb));
}

TEST(SsFilter, PortsCompareWithEveryRelationAndSpelling) {
  EXPECT_TRUE(matches({"sport", "=", ":80"}, kWeb));
  EXPECT_TRUE(matches({"sport = :80"}, kWeb));
  EXPECT_TRUE(matches({"sport=80"}, kWeb));
  EXPECT_TRUE(matches({"sport", ":80"}, kWeb));
  EXPECT_TRUE(matches({"sport", "=", ":http"}, kWeb));
  EXPECT_FALSE(matches({"sport", "!=", ":80"}, kWeb));
  EXPECT_TRUE(matches({"dport", ">", ":1023"}, kWeb));
  EXPECT_TRUE(matches({"dport", "ge", ":40000"}, kWeb));
  EXPECT_FALSE(matches({"dport", "<", ":40000"}, kWeb));
  EXPECT_TRUE(matches({"dport", "leq", ":40000"}, kWeb));
}

TEST(SsFilter, HostsArePrefixesWithOrWithoutAPort) {
  EXPECT_TRUE(matches({"src", "10.0.0.0/8"}, kWeb));
  EXPECT_FALSE(matches({"src", "10.2.0.0/16"}, kWeb));
  EXPECT_TRUE(matches({"dst", "192.0.2.7:40000"}, kWeb));
  EXPECT_FALSE(matches({"dst", "192.0.2.7:40001"}, kWeb));
  EXPECT_TRUE(matches({"dst", "=", "192.0.2.7"}, kWeb));
  EXPECT_FALSE(matches({"dst", "!=", "192.0.2.7"}, kWeb));
  EXPECT_TRUE(matches({"dst", "[2001:db8::]/32"}, kWeb6));
  EXPECT_TRUE(matches({"dst", "[2001:db8::7]:40000"}, kWeb6));
  EXPECT_TRUE(matches({"src", "fd00::1"}, kWeb6));
  EXPECT_TRUE(matches({"dst", "*:40000"}, kWeb6));
  EXPECT_FALSE(matches({"dst", "10.0.0.0/8"}, kWeb6));
  EXPECT_TRUE(matches({"dst", "::ffff:192.0.2.0/120"}, kWeb));
}

TEST(SsFilter, AndBindsTighterThanOrAndMayBeLeftOut) {
  EXPECT_TRUE(matches({"sport", ":80", "or", "sport", ":81", "and", "dport", ":1"}, kWeb));
  EXPECT_FALSE(matches({"(", "sport", ":80", "or", "sport", ":81", ")", "dport", ":1"}, kWeb));
  EXPECT_TRUE(matches({"( dport = :80 or sport = :80 ) dst 192.0.2.0/24"}, kWeb));
  EXPECT_TRUE(matches({"not", "sport", ":81"}, kWeb));
  EXPECT_TRUE(matches({"!", "(", "sport", ":81", "||", "dport", ":81", ")"}, kWeb));
  EXPECT_TRUE(matches({"dev", "=", "leat0", "&&", "sport", ":80"}, kWeb));
  EXPECT_FALSE(matches({"dev", "!=", "leat0"}, kWeb));
}

TEST(SsFilter, WhatIsWrongIsSaidInOneLine) {
  EXPECT_EQ(error_of({"sport", "="}), "a port is missing");
  EXPECT_EQ(error_of({"sport", "=", ":99999"}), "':99999' is not a port");
  EXPECT_EQ(error_of({"src", ">", "10.0.0.1"}), "'>' is not expected here: wanted = or !=");
  EXPECT_EQ(error_of({"sport", "=", ":nosuchservice"}), "':nosuchservice' is not a port");
  EXPECT_EQ(error_of({"dst", "300.1.1.1"}), "'300.1.1.1' is not ADDRESS[/PREFIX][:PORT]");
  EXPECT_EQ(error_of({"(", "sport", ":80"}), "')' is missing");
  EXPECT_EQ(error_of({"sport", ":80", ")"}), "')' is not expected here");
  EXPECT_EQ(error_of({"bogus"}), "'bogus' is not a test: wanted sport, dport, src, dst or dev");
  EXPECT_EQ(error_of({"sport", ":80", "and"}), "the filter ends too early");
}

TEST(SsFilter, DepthIsBounded) {
  EXPECT_EQ(error_of(std::vector<std::string>(100000, "(")), "the filter is too long");
  EXPECT_EQ(error_of(std::vector<std::string>(100000, "!")), "the filter is too long");
  std::vector<std::string> chain;
  for (int i = 0; i < 1000; ++i)
    chain.insert(chain.end(), {"sport", ":80"});
  EXPECT_EQ(error_of(chain), "the filter is too long");
}

TEST(SsFilter, NamesOfStates) {
  using inet::State;
  EXPECT_EQ(states_of_name("established"), 1u << 1);
  EXPECT_EQ(states_of_name("bucket"), (1u << 3) | (1u << 6));
  EXPECT_EQ(states_of_name("all"), 0xffeu);
  EXPECT_EQ(states_of_name("connected"), 0xffeu & ~((1u << 7) | (1u << 10)));
  EXPECT_EQ(states_of_name("nonsense"), 0u);
}

}  // namespace
}  // namespace leat::diag
