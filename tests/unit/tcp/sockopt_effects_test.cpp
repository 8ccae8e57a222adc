// What the options of a TCP socket do, those of other levels among them.
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "unit/tcp/loop.h"

namespace leat::tcp {
namespace {

using test::error_of;
using test::Loop;
using test::Pair;

TEST(SockOptEffects, CorkHoldsASmallSegmentBackUntilItIsTakenOff) {
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

TEST(SockOptEffects, NodelayPushesWhatNagleHoldsBack) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(l.send(p.client, 100), 100u);
  EXPECT_EQ(l.send(p.client, 50), 50u);  // the first is not acknowledged yet
  EXPECT_EQ(*l.tcp.ioctl(p.client, SIOCOUTQNSD), 50);
  EXPECT_EQ(l.set(p.client, kOptNodelay, 1), 0);
  EXPECT_EQ(*l.tcp.ioctl(p.client, SIOCOUTQNSD), 0);
  EXPECT_EQ(*l.tcp.ioctl(p.client, TIOCOUTQ), 150);
}

TEST(SockOptEffects, QuickackAcknowledgesAtOnceAndAnEvenNumberOnlyOnce) {
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

TEST(SockOptEffects, WindowClampBindsAConnectionAtOnceAndIsNeverTooSmall) {
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

TEST(SockOptEffects, WindowClampOfAnUnconnectedSocketShapesTheHandshake) {
  Loop l;
  l.listener(80);
  TcpSock& s = l.socket();
  EXPECT_EQ(l.set(s, kOptWindowClamp, 5000), 0);
  EXPECT_EQ(error_of(l.tcp.connect(s, IpAddress::from_v4(0x7f000001), 80)), EINPROGRESS);
  EXPECT_LE(s.conn->rcv_wnd, 5000u);
  EXPECT_EQ(s.conn->window_clamp, 5000u);
}

TEST(SockOptEffects, MaxsegIsWhatTheConnectionOffers) {
  Loop l;
  TcpSock& listening = l.listener(80);
  EXPECT_EQ(l.set(listening, kOptMaxseg, 1000), 0);
  TcpSock& client = l.connect(80);
  EXPECT_EQ(l.get(client, kOptMaxseg), 1000 - 12);  // less the timestamp option
}

TEST(SockOptEffects, KeepidleStartsTheTimerAnewWithTheTimeThatHasPassed) {
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

TEST(SockOptEffects, KeepaliveIsArmedAndDisarmed) {
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

TEST(SockOptEffects, AMaximumOfThePacingRateSwitchesPacingOn) {
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

TEST(SockOptEffects, ALargeLowWaterMarkGrowsTheReceiveBuffer) {
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

TEST(SockOptEffects, ALowWaterMarkIsAtMostHalfOfABufferThatTheUserHasSet) {
  Loop l;
  Pair p(l);
  p.server.buf_lock = inet::kBufLockReceive;
  p.server.rcvbuf = 20'000;
  inet::own_options(p.server)->rcvlowat = 1'000'000;
  l.tcp.on_option_changed(p.server, SOL_SOCKET, SO_RCVLOWAT);
  EXPECT_EQ(p.server.options->rcvlowat, 10'000);
  EXPECT_EQ(p.server.rcvbuf, 20'000);
}

TEST(SockOptEffects, TheSynIsSavedAndReadOnce) {
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

TEST(SockOptEffects, TheSynIsSavedWithTheLinksHeaderWhereThereIsOne) {
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

TEST(SockOptEffects, InqTellsWhatIsLeftAndOneMoreForTheEndOfTheStream) {
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

}  // namespace
}  // namespace leat::tcp
