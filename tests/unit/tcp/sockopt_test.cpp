// IPPROTO_TCP's options as they are set and read, and ioctls. sockopt_effects_test.cpp has what they do.
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <set>

#include "unit/tcp/loop.h"

namespace leat::tcp {
namespace {

using test::error_of;
using test::Loop;
using test::Pair;

TEST(TcpOptionTable, HasARowForEachOptionOfLinuxAndNoneTwice) {
  std::set<int> names;
  for (const auto& rows : tcp_options()) {
    for (const TcpOption& o : rows) {
      EXPECT_TRUE(names.insert(o.name).second) << o.text;
      EXPECT_TRUE(std::string(o.text).starts_with("TCP_"));
    }
  }
  for (int name = 1; name <= 46; ++name) {
    if (name == 15) continue;  // TCP_COOKIE_TRANSACTIONS, gone from Linux
    EXPECT_TRUE(names.contains(name)) << name;
  }
  EXPECT_EQ(names.size(), 45u);
}

TEST(TcpOptionTable, RowsThatWorkCanBeReadBack) {
  for (const auto& rows : tcp_options()) {
    for (const TcpOption& o : rows) {
      if (o.status == OptionStatus::kFails) continue;
      EXPECT_TRUE(o.get != nullptr || o.get_bytes != nullptr) << o.text;
      EXPECT_TRUE(o.status != OptionStatus::kWorks || o.set != nullptr || o.set_bytes != nullptr) << o.text;
    }
  }
}

TEST(SockOpt, FreshSocketsHaveTheDefaultsOfLinux) {
  Loop l;
  TcpSock& s = l.socket();
  EXPECT_EQ(l.get(s, kOptNodelay), 0);
  EXPECT_EQ(l.get(s, kOptMaxseg), 536);
  EXPECT_EQ(l.get(s, kOptCork), 0);
  EXPECT_EQ(l.get(s, kOptKeepidle), 7200);
  EXPECT_EQ(l.get(s, kOptKeepintvl), 75);
  EXPECT_EQ(l.get(s, kOptKeepcnt), 9);
  EXPECT_EQ(l.get(s, kOptSyncnt), 6);
  EXPECT_EQ(l.get(s, kOptLinger2), 60);
  EXPECT_EQ(l.get(s, kOptDeferAccept), 0);
  EXPECT_EQ(l.get(s, kOptWindowClamp), 0);
  EXPECT_EQ(l.get(s, kOptQuickack), 1);
  EXPECT_EQ(l.get_text(s, kOptCongestion), "cubic");
  EXPECT_EQ(l.get(s, kOptUserTimeout), 0);
  EXPECT_EQ(l.get(s, kOptNotsentLowat), 0);
  EXPECT_EQ(l.get(s, kOptSaveSyn), 0);
  EXPECT_EQ(l.get(s, kOptInq), 0);
  EXPECT_EQ(l.get(s, kOptRtoMaxMs), 120000);
  EXPECT_EQ(l.get(s, kOptRtoMinUs), 200000);
  EXPECT_EQ(l.get(s, kOptDelackMaxUs), 200000);
  EXPECT_EQ(l.get(s, kOptIsMptcp), 0);
  EXPECT_EQ(l.get(s, kOptThinLinearTimeouts), 0);
}

struct Range {
  int name, low, high;
};
class SockOptRange : public testing::TestWithParam<Range> {};
TEST_P(SockOptRange, TakesItsRangeAndNothingElse) {
  Loop l;
  TcpSock& s = l.socket();
  const auto [name, low, high] = GetParam();
  EXPECT_EQ(l.set(s, name, low - 1), EINVAL);
  EXPECT_EQ(l.set(s, name, high + 1), EINVAL);
  EXPECT_EQ(l.set(s, name, -1), low == -1 ? 0 : EINVAL);
  EXPECT_EQ(l.set(s, name, low), 0);
  EXPECT_EQ(l.get(s, name), low);
  EXPECT_EQ(l.set(s, name, high), 0);
  EXPECT_EQ(l.get(s, name), high);
}
INSTANTIATE_TEST_SUITE_P(All, SockOptRange,
                         testing::Values(Range{kOptKeepidle, 1, 32767}, Range{kOptKeepintvl, 1, 32767},
                                         Range{kOptKeepcnt, 1, 127}, Range{kOptSyncnt, 1, 127},
                                         Range{kOptMaxseg, 88, 32767}, Range{kOptRtoMaxMs, 1000, 120000},
                                         Range{kOptThinLinearTimeouts, 0, 1}, Range{kOptInq, 0, 1}));

TEST(SockOpt, TimeOutsInMicrosecondsAreKeptInMillisecondsRoundedUp) {
  Loop l;
  TcpSock& s = l.socket();
  for (int name : {kOptRtoMinUs, kOptDelackMaxUs}) {
    EXPECT_EQ(l.set(s, name, 1000), EINVAL);
    EXPECT_EQ(l.set(s, name, 200001), EINVAL);
    EXPECT_EQ(l.set(s, name, -1), EINVAL);
    EXPECT_EQ(l.set(s, name, 1001), 0);
    EXPECT_EQ(l.get(s, name), 2000);
    EXPECT_EQ(l.set(s, name, 200000), 0);
    EXPECT_EQ(l.get(s, name), 200000);
  }
}

TEST(SockOpt, MaxsegCanBeTakenBack) {
  Loop l;
  TcpSock& s = l.socket();
  EXPECT_EQ(l.set(s, kOptMaxseg, 1000), 0);
  EXPECT_EQ(l.get(s, kOptMaxseg), 1000);
  EXPECT_EQ(l.set(s, kOptMaxseg, 0), 0);
  EXPECT_EQ(l.get(s, kOptMaxseg), 536);
}

TEST(SockOpt, Linger2IsClampedNotRefused) {
  Loop l;
  TcpSock& s = l.socket();
  EXPECT_EQ(l.set(s, kOptLinger2, 5), 0);
  EXPECT_EQ(l.get(s, kOptLinger2), 5);
  EXPECT_EQ(l.set(s, kOptLinger2, 121), 0);
  EXPECT_EQ(l.get(s, kOptLinger2), 120);
  EXPECT_EQ(l.set(s, kOptLinger2, -7), 0);
  EXPECT_EQ(l.get(s, kOptLinger2), -1);
  EXPECT_EQ(l.set(s, kOptLinger2, 0), 0);
  EXPECT_EQ(l.get(s, kOptLinger2), 60);
}

TEST(SockOpt, DeferAcceptGivesBackTheTimeOfTheSynAcksThatItTakes) {
  Loop l;
  TcpSock& s = l.socket();
  const int cases[][2] = {{1, 1},     {2, 3},     {3, 3},     {4, 7}, {10, 15}, {30, 31},
                          {100, 127}, {128, 247}, {248, 367}, {0, 0}, {-5, 0}};
  for (const auto& [given, back] : cases) {
    EXPECT_EQ(l.set(s, kOptDeferAccept, given), 0);
    EXPECT_EQ(l.get(s, kOptDeferAccept), back) << given;
  }
  EXPECT_EQ(l.set(s, kOptDeferAccept, INT32_MAX), 0);
  EXPECT_EQ(l.get(s, kOptDeferAccept), 29887);  // 255 SYN-ACKs
}

TEST(SockOpt, UserTimeoutIsNotNegative) {
  Loop l;
  TcpSock& s = l.socket();
  EXPECT_EQ(l.set(s, kOptUserTimeout, -1), EINVAL);
  EXPECT_EQ(l.set(s, kOptUserTimeout, INT32_MAX), 0);
  EXPECT_EQ(l.get(s, kOptUserTimeout), INT32_MAX);
}

TEST(SockOpt, ShortValuesAreInvalidEvenForWhatDoesNotExist) {
  Loop l;
  TcpSock& s = l.socket();
  const uint8_t bytes[3] = {1, 0, 0};
  EXPECT_EQ(error_of(l.tcp.set_option(s, kOptNodelay, bytes)), EINVAL);
  EXPECT_EQ(error_of(l.tcp.set_option(s, 999, bytes)), EINVAL);
  EXPECT_EQ(l.set(s, 999, 1), ENOPROTOOPT);
  EXPECT_EQ(l.get(s, 999), -ENOPROTOOPT);
  EXPECT_EQ(l.get(s, 15), -ENOPROTOOPT);
}

TEST(SockOpt, ReadsAreCutToTheRoomOfTheCaller) {
  Loop l;
  TcpSock& s = l.socket();
  uint8_t out[4] = {0xee, 0xee, 0xee, 0xee};
  EXPECT_EQ(*l.tcp.get_option(s, kOptKeepidle, {out, 2}), 2u);
  EXPECT_EQ(out[0], 7200 & 255);
  EXPECT_EQ(out[1], 7200 >> 8);
  EXPECT_EQ(out[2], 0xee);
  EXPECT_EQ(*l.tcp.get_option(s, kOptKeepidle, {out, 0}), 0u);
}

TEST(SockOpt, WhatIsNotBuiltFailsAsOnALinuxWithoutIt) {
  Loop l;
  TcpSock& s = l.socket();
  EXPECT_EQ(l.set_text(s, kOptUlp, "tls"), ENOENT);
  EXPECT_EQ(l.set_text(s, kOptUlp, ""), EINVAL);
  EXPECT_EQ(l.set(s, kOptTxDelay, 1000), ENOPROTOOPT);
  EXPECT_EQ(l.get(s, kOptTxDelay), -ENOPROTOOPT);
  EXPECT_EQ(l.set(s, kOptMd5sig, 0), ENOPROTOOPT);
  EXPECT_EQ(l.set(s, kOptRepair, 1), EPERM);
  EXPECT_EQ(l.get(s, kOptRepair), 0);
  EXPECT_EQ(l.set(s, kOptTimestamp, 1), EPERM);
  EXPECT_EQ(l.get(s, kOptFastopen), 0);
  EXPECT_EQ(l.set(s, kOptFastopen, -1), EINVAL);
  EXPECT_EQ(l.set(s, kOptFastopen, 5), 0);
  EXPECT_EQ(l.get(s, kOptFastopen), 5);
  EXPECT_EQ(l.set(s, kOptFastopenConnect, 2), EINVAL);
  EXPECT_EQ(l.set(s, kOptFastopenConnect, 1), 0);
  EXPECT_EQ(l.get(s, kOptFastopenConnect), 1);
  EXPECT_EQ(l.set(s, kOptFastopenNoCookie, -1), EINVAL);
  EXPECT_EQ(l.set(s, kOptFastopenNoCookie, 1), 0);
  EXPECT_EQ(l.get(s, kOptFastopenNoCookie), 1);
  EXPECT_EQ(l.set(s, kOptIsMptcp, 1), ENOPROTOOPT);
  EXPECT_EQ(l.set(s, kOptInfo, 1), ENOPROTOOPT);
  EXPECT_EQ(l.set(s, kOptThinDupack, 1), 0);
  EXPECT_EQ(l.get(s, kOptThinDupack), 0);
}

TEST(SockOpt, AChangeIsTheSocketsOwn) {
  Loop l;
  TcpSock& a = l.socket();
  TcpSock& b = l.socket();
  EXPECT_EQ(a.options, b.options);
  EXPECT_EQ(l.set(a, kOptKeepcnt, 3), 0);
  EXPECT_EQ(l.get(a, kOptKeepcnt), 3);
  EXPECT_EQ(l.get(b, kOptKeepcnt), 9);
  EXPECT_EQ(l.set(b, kOptUserTimeout, 0), 0);  // its value already: nothing is copied
  EXPECT_EQ(b.options, l.tcp.default_options);
}

TEST(SockOpt, ChildrenInheritFromTheirListener) {
  Loop l;
  TcpSock& listening = l.listener(80);
  EXPECT_EQ(l.set(listening, kOptNodelay, 1), 0);
  EXPECT_EQ(l.set(listening, kOptKeepidle, 77), 0);
  EXPECT_EQ(l.set_text(listening, kOptCongestion, "reno"), 0);
  l.connect(80);
  TcpSock& child = l.accept(listening);
  EXPECT_EQ(l.get(child, kOptNodelay), 1);
  EXPECT_EQ(l.get(child, kOptKeepidle), 77);
  EXPECT_EQ(l.get_text(child, kOptCongestion), "reno");
}

// ---- congestion control by name ----

TEST(SockOpt, CongestionControlIsFoundByName) {
  Loop l;
  TcpSock& s = l.socket();
  EXPECT_EQ(l.set_text(s, kOptCongestion, "reno"), 0);
  EXPECT_EQ(l.get_text(s, kOptCongestion), "reno");
  EXPECT_EQ(l.set_text(s, kOptCongestion, std::string("cubic\0junk", 10)), 0);
  EXPECT_EQ(l.get_text(s, kOptCongestion), "cubic");
  EXPECT_EQ(l.set_text(s, kOptCongestion, "nosuch"), ENOENT);
  EXPECT_EQ(l.set_text(s, kOptCongestion, "a name that is far too long"), ENOENT);
  EXPECT_EQ(l.set_text(s, kOptCongestion, ""), EINVAL);
  EXPECT_EQ(l.get_text(s, kOptCongestion), "cubic");
}

TEST(SockOpt, TheNameOfTheCongestionControlTakesSixteenBytes) {
  Loop l;
  TcpSock& s = l.socket();
  uint8_t out[20];
  std::fill(std::begin(out), std::end(out), uint8_t{0xee});
  EXPECT_EQ(*l.tcp.get_option(s, kOptCongestion, out), 16u);
  EXPECT_EQ(out[5], 0);
  EXPECT_EQ(out[15], 0);
  EXPECT_EQ(out[16], 0xee);
  EXPECT_EQ(*l.tcp.get_option(s, kOptCongestion, {out, 3}), 3u);
}

TEST(SockOpt, AConnectionChangesItsCongestionControlOnTheWay) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(l.send(p.client, 10'000), 10'000u);
  l.run();
  EXPECT_EQ(l.set_text(p.client, kOptCongestion, "reno"), 0);
  EXPECT_TRUE(p.client.conn->cc_initialized);
  EXPECT_EQ(l.set_text(p.client, kOptCongestion, "cubic"), 0);
  EXPECT_EQ(l.send(p.client, 100'000), 100'000u);
  l.run();
  EXPECT_EQ(l.receive(p.server, 200'000), 110'000u);
}

// ---- ioctl ----

TEST(TcpIoctl, CountsWhatWaitsToBeReadAndToBeAcknowledged) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(*l.tcp.ioctl(p.server, FIONREAD), 0);
  EXPECT_EQ(l.send(p.client, 1234), 1234u);
  EXPECT_EQ(*l.tcp.ioctl(p.client, TIOCOUTQ), 1234);
  l.run();
  EXPECT_EQ(*l.tcp.ioctl(p.server, FIONREAD), 1234);
  EXPECT_EQ(l.receive(p.server, 234), 234u);
  EXPECT_EQ(*l.tcp.ioctl(p.server, FIONREAD), 1000);
  EXPECT_EQ(l.get(p.server, 999), -ENOPROTOOPT);
}

TEST(TcpIoctl, DoesNotCountTheFin) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(l.send(p.client, 10), 10u);
  EXPECT_EQ(error_of(l.tcp.shutdown(p.client, SHUT_WR)), 0);
  l.run();
  EXPECT_EQ(*l.tcp.ioctl(p.server, FIONREAD), 10);
  EXPECT_EQ(l.receive(p.server, 100), 10u);
  EXPECT_EQ(*l.tcp.ioctl(p.server, FIONREAD), 0);
}

TEST(TcpIoctl, StopsAtTheUrgentByte) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(l.send(p.client, 10), 10u);
  EXPECT_EQ(l.send(p.client, 1, MSG_OOB), 1u);
  EXPECT_EQ(l.send(p.client, 5), 5u);
  l.run();
  EXPECT_EQ(*l.tcp.ioctl(p.server, FIONREAD), 10);
  EXPECT_EQ(*l.tcp.ioctl(p.server, SIOCATMARK), 0);
  EXPECT_EQ(l.receive(p.server, 10), 10u);
  EXPECT_EQ(*l.tcp.ioctl(p.server, SIOCATMARK), 1);
}

TEST(TcpIoctl, IsInvalidOnAListenerAndUnknownRequestsAreNotForSockets) {
  Loop l;
  TcpSock& listening = l.listener(80);
  EXPECT_EQ(error_of(l.tcp.ioctl(listening, FIONREAD)), EINVAL);
  EXPECT_EQ(error_of(l.tcp.ioctl(listening, TIOCOUTQ)), EINVAL);
  EXPECT_EQ(error_of(l.tcp.ioctl(listening, SIOCOUTQNSD)), EINVAL);
  EXPECT_EQ(*l.tcp.ioctl(listening, SIOCATMARK), 0);
  EXPECT_EQ(error_of(l.tcp.ioctl(listening, 0x5401)), ENOTTY);
}

}  // namespace
}  // namespace leat::tcp
