// IPPROTO_TCP's options, ioctls, and the effect of options of other levels.
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

// ---- effects ----

TEST(SockOpt, CorkHoldsASmallSegmentBackUntilItIsTakenOff) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(l.set(p.client, kOptCork, 1), 0);
  EXPECT_EQ(l.send(p.client, 100), 100u);
  l.run();
  EXPECT_EQ(l.receive(p.server, 1000), 0u);
  EXPECT_EQ(*l.tcp.ioctl(p.client, SIOCOUTQNSD), 100);
  EXPECT_EQ(l.set(p.client, kOptCork, 0), 0);
  l.run();
  EXPECT_EQ(l.receive(p.server, 1000), 100u);
}

TEST(SockOpt, NodelayPushesWhatNagleHoldsBack) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(l.send(p.client, 100), 100u);
  EXPECT_EQ(l.send(p.client, 50), 50u);  // the first is not acknowledged yet
  EXPECT_EQ(*l.tcp.ioctl(p.client, SIOCOUTQNSD), 50);
  EXPECT_EQ(l.set(p.client, kOptNodelay, 1), 0);
  EXPECT_EQ(*l.tcp.ioctl(p.client, SIOCOUTQNSD), 0);
  EXPECT_EQ(*l.tcp.ioctl(p.client, TIOCOUTQ), 150);
}

TEST(SockOpt, QuickackAcknowledgesAtOnceAndAnEvenNumberOnlyOnce) {
  Loop l;
  Pair p(l);
  Conn& server = *p.server.conn;
  EXPECT_EQ(l.set(p.server, kOptQuickack, 0), 0);
  EXPECT_EQ(l.get(p.server, kOptQuickack), 0);
  EXPECT_EQ(l.send(p.client, 100), 100u);
  l.run();
  EXPECT_EQ(l.receive(p.server, 1000), 100u);
  EXPECT_TRUE(server.ack.pending & kAckScheduled);
  EXPECT_EQ(*l.tcp.ioctl(p.client, TIOCOUTQ), 100);
  EXPECT_EQ(l.set(p.server, kOptQuickack, 2), 0);
  EXPECT_FALSE(server.ack.pending & kAckScheduled);
  EXPECT_EQ(l.get(p.server, kOptQuickack), 0);
  l.run();
  EXPECT_EQ(*l.tcp.ioctl(p.client, TIOCOUTQ), 0);
  EXPECT_EQ(l.set(p.server, kOptQuickack, 1), 0);
  EXPECT_EQ(l.get(p.server, kOptQuickack), 1);
}

TEST(SockOpt, WindowClampBindsAConnectionAtOnceAndIsNeverTooSmall) {
  Loop l;
  Pair p(l);
  Conn& c = *p.server.conn;
  EXPECT_EQ(l.set(p.server, kOptWindowClamp, 0), EINVAL);
  EXPECT_EQ(l.set(p.server, kOptWindowClamp, 10'000), 0);
  EXPECT_EQ(l.get(p.server, kOptWindowClamp), 10'000);
  EXPECT_EQ(c.rcv_ssthresh, 10'000u);
  EXPECT_EQ(l.set(p.server, kOptWindowClamp, 1), 0);
  EXPECT_EQ(l.get(p.server, kOptWindowClamp), 1152);
}

TEST(SockOpt, WindowClampOfAnUnconnectedSocketShapesTheHandshake) {
  Loop l;
  l.listener(80);
  TcpSock& s = l.socket();
  EXPECT_EQ(l.set(s, kOptWindowClamp, 5000), 0);
  EXPECT_EQ(error_of(l.tcp.connect(s, IpAddress::from_v4(0x7f000001), 80)), EINPROGRESS);
  EXPECT_LE(s.conn->rcv_wnd, 5000u);
  EXPECT_EQ(s.conn->window_clamp, 5000u);
}

TEST(SockOpt, MaxsegIsWhatTheConnectionOffers) {
  Loop l;
  TcpSock& listening = l.listener(80);
  EXPECT_EQ(l.set(listening, kOptMaxseg, 1000), 0);
  TcpSock& client = l.connect(80);
  EXPECT_EQ(l.get(client, kOptMaxseg), 1000 - 12);  // less the timestamp option
}

TEST(SockOpt, KeepidleStartsTheTimerAnewWithTheTimeThatHasPassed) {
  Loop l;
  Pair p(l);
  Conn& c = *p.client.conn;
  p.client.keepalive = true;
  l.tcp.on_option_changed(p.client, SOL_SOCKET, SO_KEEPALIVE);
  EXPECT_EQ(c.deadlines.keepalive, l.ns.now() + Duration::from_s(7200));
  l.ns.set_now(l.ns.now() + Duration::from_s(3));
  EXPECT_EQ(l.set(p.client, kOptKeepidle, 10), 0);
  EXPECT_EQ(c.deadlines.keepalive, l.ns.now() + Duration::from_s(7));
  l.ns.set_now(l.ns.now() + Duration::from_s(3));
  EXPECT_EQ(l.set(p.client, kOptKeepidle, 5), 0);
  EXPECT_EQ(c.deadlines.keepalive, l.ns.now());
}

TEST(SockOpt, KeepaliveIsArmedAndDisarmed) {
  Loop l;
  Pair p(l);
  Conn& c = *p.client.conn;
  EXPECT_EQ(l.set(p.client, kOptKeepidle, 10), 0);
  EXPECT_EQ(c.deadlines.keepalive, Time::never());
  p.client.keepalive = true;
  l.tcp.on_option_changed(p.client, SOL_SOCKET, SO_KEEPALIVE);
  l.advance(Duration::from_s(11));
  EXPECT_EQ(l.ns.counter(Mib::TcpExtTCPKeepAlive), 1u);
  p.client.keepalive = false;
  l.tcp.on_option_changed(p.client, SOL_SOCKET, SO_KEEPALIVE);
  EXPECT_EQ(c.deadlines.keepalive, Time::never());
  l.advance(Duration::from_s(60));
  EXPECT_EQ(l.ns.counter(Mib::TcpExtTCPKeepAlive), 1u);
}

TEST(SockOpt, AMaximumOfThePacingRateSwitchesPacingOn) {
  Loop l;
  Pair p(l);
  Conn& c = *p.client.conn;
  EXPECT_EQ(c.pacing_status, 0);
  inet::own_options(p.client)->max_pacing_rate = 5000;
  l.tcp.on_option_changed(p.client, SOL_SOCKET, SO_MAX_PACING_RATE);
  EXPECT_EQ(c.pacing_status, 1);
  EXPECT_EQ(c.pacing_rate, 5000u);
  EXPECT_EQ(c.max_pacing_rate, 5000u);
}

TEST(SockOpt, ALargeLowWaterMarkGrowsTheReceiveBuffer) {
  Loop l;
  Pair p(l);
  Conn& c = *p.server.conn;
  c.scaling_ratio = 128;
  inet::own_options(p.server)->rcvlowat = 1'000'000;
  l.tcp.on_option_changed(p.server, SOL_SOCKET, SO_RCVLOWAT);
  EXPECT_EQ(p.server.rcvbuf, 2'000'000);
  EXPECT_EQ(c.window_clamp, 1'000'000u);
  inet::own_options(p.server)->rcvlowat = INT32_MAX;
  l.tcp.on_option_changed(p.server, SOL_SOCKET, SO_RCVLOWAT);
  EXPECT_EQ(p.server.options->rcvlowat, 33554432 / 2);
}

TEST(SockOpt, ALowWaterMarkIsAtMostHalfOfABufferThatTheUserHasSet) {
  Loop l;
  Pair p(l);
  p.server.buf_lock |= inet::kBufLockReceive;
  p.server.rcvbuf = 20'000;
  inet::own_options(p.server)->rcvlowat = 1'000'000;
  l.tcp.on_option_changed(p.server, SOL_SOCKET, SO_RCVLOWAT);
  EXPECT_EQ(p.server.options->rcvlowat, 10'000);
  EXPECT_EQ(p.server.rcvbuf, 20'000);
}

TEST(SockOpt, TheSynIsSavedAndReadOnce) {
  Loop l;
  TcpSock& listening = l.listener(80);
  EXPECT_EQ(l.set(listening, kOptSaveSyn, 1), 0);
  EXPECT_EQ(l.set(listening, kOptSaveSyn, 3), EINVAL);
  l.connect(80);
  TcpSock& s = l.accept(listening);
  uint8_t out[128];
  EXPECT_EQ(error_of(l.tcp.get_option(s, kOptSavedSyn, {out, 59})), EINVAL);
  EXPECT_EQ(*l.tcp.get_option(s, kOptSavedSyn, out), 60u);  // 20 of IPv4, 40 of TCP with its options
  EXPECT_EQ(out[0], 0x45);
  EXPECT_EQ(out[20 + 13], 0x02);
  EXPECT_EQ(*l.tcp.get_option(s, kOptSavedSyn, out), 0u);
}

TEST(SockOpt, TheSynIsSavedWithTheLinksHeaderWhereThereIsOne) {
  Loop l;
  TcpSock& listening = l.listener(80);
  EXPECT_EQ(l.set(listening, kOptSaveSyn, 2), 0);
  EXPECT_EQ(l.get(listening, kOptSaveSyn), 2);
  l.connect(80);
  TcpSock& s = l.accept(listening);
  uint8_t out[128];
  EXPECT_EQ(*l.tcp.get_option(s, kOptSavedSyn, out), 60u);  // the loop has none
  EXPECT_EQ(out[0], 0x45);
}

TEST(SockOpt, InqTellsWhatIsLeftAndOneMoreForTheEndOfTheStream) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(l.send(p.client, 300), 300u);
  l.run();
  char bytes[1000];
  const auto read = [&](size_t n) {
    const iovec v{bytes, n};
    ReceiveInfo info;
    (void)l.tcp.receive(p.server, {&v, 1}, 0, &info);
    return info;
  };
  EXPECT_FALSE(read(100).has_inq);
  EXPECT_EQ(l.set(p.server, kOptInq, 1), 0);
  ReceiveInfo info = read(100);
  EXPECT_TRUE(info.has_inq);
  EXPECT_EQ(info.inq, 100u);
  EXPECT_EQ(read(100).inq, 0u);
  EXPECT_EQ(l.send(p.client, 50), 50u);
  EXPECT_EQ(error_of(l.tcp.shutdown(p.client, SHUT_WR)), 0);
  l.run();
  EXPECT_EQ(read(50).inq, 1u);
  EXPECT_EQ(read(50).inq, 1u);
}

class EachAlgorithm : public testing::TestWithParam<const char*> {};
TEST_P(EachAlgorithm, CarriesAMegabyte) {
  Loop l;
  TcpSock& listening = l.listener(80);
  EXPECT_EQ(l.set_text(listening, kOptCongestion, GetParam()), 0);
  TcpSock& client = l.socket();
  EXPECT_EQ(l.set_text(client, kOptCongestion, GetParam()), 0);
  EXPECT_EQ(error_of(l.tcp.connect(client, IpAddress::from_v4(0x7f000001), 80)), EINPROGRESS);
  l.run();
  TcpSock& server = l.accept(listening);
  EXPECT_EQ(l.get_text(client, kOptCongestion), GetParam());
  EXPECT_EQ(l.get_text(server, kOptCongestion), GetParam());
  size_t sent = 0, received = 0;
  for (int i = 0; i < 20'000 && received < 1'000'000; ++i) {
    if (sent < 1'000'000) sent += l.send(client, std::min<size_t>(20'000, 1'000'000 - sent));
    l.advance(Duration::from_us(200));
    received += l.receive(server, 100'000);
  }
  EXPECT_EQ(received, 1'000'000u);
  EXPECT_EQ(l.ns.counter(Mib::TcpRetransSegs), 0u);
}
INSTANTIATE_TEST_SUITE_P(All, EachAlgorithm, testing::Values("reno", "cubic", "dctcp", "vegas", "westwood", "bbr"));

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
