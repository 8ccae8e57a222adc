// Counters, drop reasons, the clock and the trace ring.
#include "netns/netns.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

namespace leat {
namespace {

std::string name_of(Mib m) {
  return std::string(mib_info(m).group) + mib_info(m).name;
}

TEST(Mib, NamesAreThoseThatNstatPrints) {
  EXPECT_EQ(name_of(Mib::TcpExtTCPTimeouts), "TcpExtTCPTimeouts");
  EXPECT_EQ(name_of(Mib::TcpExtTcpTimeoutRehash), "TcpExtTcpTimeoutRehash");
  EXPECT_EQ(name_of(Mib::Ip6InReceives), "Ip6InReceives");
  EXPECT_EQ(std::string(mib_info(Mib::Ip6InReceives).group), "Ip6");
}

TEST(Mib, GroupsHaveTheKernelsNumberOfNamesInItsOrder) {
  std::map<std::string, int> count;
  for (size_t i = 0; i < static_cast<size_t>(Mib::kCount); ++i)
    ++count[mib_info(static_cast<Mib>(i)).group];
  EXPECT_EQ(count["Ip"], 20);
  EXPECT_EQ(count["Icmp"], 29);
  EXPECT_EQ(count["Tcp"], 15);
  EXPECT_EQ(count["Udp"], 9);
  EXPECT_EQ(count["TcpExt"], 135);
  EXPECT_EQ(count["IpExt"], 18);
  EXPECT_EQ(count["Ip6"], 33);
  EXPECT_EQ(count["Icmp6"], 36);
  EXPECT_EQ(count["Udp6"], 9);
  EXPECT_EQ(static_cast<int>(Mib::TcpExtTCPAODroppedIcmps) - static_cast<int>(Mib::TcpExtSyncookiesSent), 134);
}

TEST(Netns, CountsAndUncounts) {
  Netns ns{Seed{}};
  ns.count(Mib::TcpInSegs);
  ns.count(Mib::TcpInSegs, 41);
  EXPECT_EQ(ns.counter(Mib::TcpInSegs), 42u);
  ns.count(Mib::TcpCurrEstab, 2);
  ns.uncount(Mib::TcpCurrEstab);
  EXPECT_EQ(ns.counter(Mib::TcpCurrEstab), 1u);
  EXPECT_EQ(ns.counter(Mib::TcpOutSegs), 0u);
}

TEST(Netns, ConstantsOfTheMibAreLinuxs) {
  Netns ns{Seed{}};
  EXPECT_EQ(ns.counter(Mib::TcpRtoAlgorithm), 1u);
  EXPECT_EQ(ns.counter(Mib::TcpRtoMin), 200u);
  EXPECT_EQ(ns.counter(Mib::TcpRtoMax), 120000u);
  EXPECT_EQ(static_cast<int64_t>(ns.counter(Mib::TcpMaxConn)), -1);
  EXPECT_EQ(ns.counter(Mib::IpDefaultTTL), 64u);
}

TEST(DropReason, NamesAreLinuxsAndDistinct) {
  EXPECT_STREQ(drop_reason_name(DropReason::kNoSocket), "NO_SOCKET");
  EXPECT_STREQ(drop_reason_name(DropReason::kTcpPawsAck), "TCP_RFC7323_PAWS_ACK");
  EXPECT_STREQ(drop_reason_name(DropReason::kTcpReqQFull), "TCP_REQQFULLDROP");
  EXPECT_STREQ(drop_reason_text(DropReason::kTcpCsum), "bad TCP checksum");
  std::set<std::string> names;
  for (size_t i = 0; i < static_cast<size_t>(DropReason::kCount); ++i) {
    EXPECT_TRUE(names.insert(drop_reason_name(static_cast<DropReason>(i))).second);
    EXPECT_NE(drop_reason_text(static_cast<DropReason>(i))[0], '\0');
  }
}

TEST(Netns, ADropIsCountedAndTraced) {
  Netns ns{Seed{}};
  ns.start_tracing();
  ns.set_now(Time::from_ns(77));
  ns.drop(DropReason::kUdpCsum);
  EXPECT_EQ(ns.drops(DropReason::kUdpCsum), 1u);
  EXPECT_EQ(ns.drops(DropReason::kTcpCsum), 0u);
  const auto traces = ns.last_traces(10);
  ASSERT_EQ(traces.size(), 1u);
  EXPECT_EQ(traces[0].at, Time::from_ns(77));
  EXPECT_EQ(traces[0].kind, TraceKind::kDrop);
  EXPECT_EQ(traces[0].a8, static_cast<uint8_t>(DropReason::kUdpCsum));
}

TEST(Netns, TheClockNeverGoesBack) {
  Netns ns{Seed{}};
  ns.set_now(Time::from_ns(100));
  ns.set_now(Time::from_ns(50));
  EXPECT_EQ(ns.now(), Time::from_ns(100));
}

TEST(Netns, TheTraceRingKeepsTheLastThousandAndGivesTheOldestFirst) {
  Netns ns{Seed{}};
  ns.drop(DropReason::kUdpCsum);
  EXPECT_TRUE(ns.last_traces(5).empty()) << "nobody has asked yet";
  ns.start_tracing();
  for (uint32_t i = 0; i < 3000; ++i)
    ns.trace([i] { return TraceEvent{.kind = TraceKind::kCwnd, .a = i}; });
  const auto all = ns.last_traces(100'000);
  ASSERT_EQ(all.size(), 1024u);
  EXPECT_EQ(all.front().a, 3000u - 1024);
  EXPECT_EQ(all.back().a, 2999u);
  const auto three = ns.last_traces(3);
  ASSERT_EQ(three.size(), 3u);
  EXPECT_EQ(three[0].a, 2997u);
  EXPECT_TRUE(ns.last_traces(0).empty());
}

TEST(Netns, CookiesStartAtOneAndTheSameSeedGivesTheSameRandomness) {
  Netns a{Seed{}}, b{Seed{}};
  EXPECT_EQ(a.next_cookie(), 1u);
  EXPECT_EQ(a.next_cookie(), 2u);
  EXPECT_EQ(a.rng.next64(), b.rng.next64());
}

}  // namespace
}  // namespace leat
