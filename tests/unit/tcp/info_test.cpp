// TCP_INFO as a program sees it: bytes at Linux's offsets.
#include <gtest/gtest.h>

#include "tcp/info.h"
#include "unit/tcp/loop.h"

namespace leat::tcp {
namespace {

using test::Loop;
using test::Pair;

TcpInfo info_of(Loop& l, TcpSock& s) {
  TcpInfo i;
  const auto n = l.tcp.get_option(s, kOptInfo, {reinterpret_cast<uint8_t*>(&i), sizeof i});
  EXPECT_EQ(*n, 280u);
  return i;
}

TEST(TcpInfo, GivesAsMuchAsTheCallerKnowsOf) {
  Loop l;
  TcpSock& s = l.socket();
  uint8_t out[400];
  for (size_t n : {size_t{0}, size_t{1}, size_t{104}, size_t{232}, size_t{280}}) {
    std::fill(std::begin(out), std::end(out), uint8_t{0xee});
    EXPECT_EQ(*l.tcp.get_option(s, kOptInfo, {out, n}), n);
    EXPECT_EQ(out[n], 0xee);
  }
  EXPECT_EQ(*l.tcp.get_option(s, kOptInfo, out), 280u);
}

TEST(TcpInfo, OfAFreshSocketHasTheStartingValues) {
  Loop l;
  const TcpInfo i = info_of(l, l.socket());
  EXPECT_EQ(i.state, 7);
  EXPECT_EQ(i.options, 0);
  EXPECT_EQ(i.rto, 1'000'000u);
  EXPECT_EQ(i.snd_mss, 536u);
  EXPECT_EQ(i.snd_cwnd, 10u);
  EXPECT_EQ(i.snd_ssthresh, 0x7fffffffu);
  EXPECT_EQ(i.reordering, 3u);
  EXPECT_EQ(i.rttvar, 250'000u);
  EXPECT_EQ(i.min_rtt, ~0u);
  EXPECT_EQ(i.pacing_rate, ~uint64_t{0});
  EXPECT_EQ(i.max_pacing_rate, ~uint64_t{0});
}

TEST(TcpInfo, OfAListenerTellsItsQueueAndItsBacklog) {
  Loop l;
  TcpSock& listening = l.listener(80, 5);
  l.connect(80);
  l.connect(80);
  TcpInfo i = info_of(l, listening);
  EXPECT_EQ(i.state, 10);
  EXPECT_EQ(i.unacked, 2u);
  EXPECT_EQ(i.sacked, 5u);
  EXPECT_EQ(i.snd_cwnd, 10u);
  EXPECT_EQ(i.rto, 0u);
  l.accept(listening);
  i = info_of(l, listening);
  EXPECT_EQ(i.unacked, 1u);
}

TEST(TcpInfo, OfAConnectionTellsWhatWasNegotiated) {
  Loop l;
  Pair p(l);
  const TcpInfo i = info_of(l, p.client);
  EXPECT_EQ(i.state, 1);
  EXPECT_EQ(i.options, kInfoTimestamps | kInfoSack | kInfoWscale);
  EXPECT_EQ(i.snd_wscale, p.client.conn->rx_opt.snd_wscale);
  EXPECT_EQ(i.rcv_wscale, p.client.conn->rx_opt.rcv_wscale);
  EXPECT_GT(i.rcv_wscale, 0);
  EXPECT_EQ(i.pmtu, 65536u);
  EXPECT_EQ(i.advmss, 65483u);
  EXPECT_EQ(i.ca_state, 0);
  EXPECT_EQ(i.segs_out, 2u);
  EXPECT_EQ(i.segs_in, 1u);
}

TEST(TcpInfo, CountsBytesAndSegmentsOfBothDirections) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(l.send(p.client, 1000), 1000u);
  TcpInfo i = info_of(l, p.client);
  EXPECT_EQ(i.unacked, 1u);
  EXPECT_EQ(i.bytes_sent, 1000u);
  EXPECT_EQ(i.data_segs_out, 1u);
  EXPECT_EQ(i.bytes_acked, 1u);  // the SYN
  l.advance(Duration::from_ms(300));
  i = info_of(l, p.client);
  EXPECT_EQ(i.unacked, 0u);
  EXPECT_EQ(i.bytes_acked, 1001u);
  EXPECT_EQ(i.bytes_retrans, 0u);
  EXPECT_EQ(i.total_retrans, 0u);
  EXPECT_EQ(i.delivered, 2u);
  const TcpInfo r = info_of(l, p.server);
  EXPECT_EQ(r.bytes_received, 1000u);
  EXPECT_EQ(r.data_segs_in, 1u);
  EXPECT_EQ(r.rcv_ooopack, 0u);
}

TEST(TcpInfo, TellsInMillisecondsHowLongAgoDataWasSentAndHeard) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(l.send(p.client, 1000), 1000u);
  l.advance(Duration::from_ms(1500));
  EXPECT_EQ(info_of(l, p.client).last_data_sent, 1500u);
  EXPECT_EQ(info_of(l, p.server).last_data_recv, 1500u);
  EXPECT_GE(info_of(l, p.client).last_ack_recv, 1300u);
  EXPECT_EQ(info_of(l, p.client).last_ack_sent, 0u);
}

TEST(TcpInfo, CountsWhatIsNotSentYet) {
  Loop l;
  Pair p(l);
  EXPECT_EQ(l.set(p.client, kOptCork, 1), 0);
  EXPECT_EQ(l.send(p.client, 700), 700u);
  EXPECT_EQ(info_of(l, p.client).notsent_bytes, 700u);
}

TEST(TcpInfo, TimesThePartsOfBusyTimeThatAWindowOrTheBufferHeldUp) {
  Loop l;
  TcpSock& s = l.socket();
  Conn& c = *s.conn;
  c.chrono_stat[0] = 5;
  c.chrono_stat[1] = 7;
  c.chrono_stat[2] = 11;
  c.chrono_type = 2;
  c.chrono_start = l.ns.now().jiffies() - 100;
  const TcpInfo i = info_of(l, s);
  EXPECT_EQ(i.busy_time, 123'000u);
  EXPECT_EQ(i.rwnd_limited, 107'000u);
  EXPECT_EQ(i.sndbuf_limited, 11'000u);
}

TEST(TcpInfo, IsBusyWhileDataIsUnacknowledgedAndNotDuringTheHandshake) {
  Loop l;
  l.listener(80);
  TcpSock& s = l.socket();
  EXPECT_EQ(l.tcp.connect(s, IpAddress::from_v4(0x7f000001), 80).error(), Errno{EINPROGRESS});
  l.ns.set_now(l.ns.now() + Duration::from_ms(10));
  l.run();
  EXPECT_EQ(info_of(l, s).state, 1);
  EXPECT_EQ(info_of(l, s).busy_time, 0u);
  EXPECT_EQ(l.send(s, 100), 100u);
  l.ns.set_now(l.ns.now() + Duration::from_ms(20));
  EXPECT_EQ(info_of(l, s).busy_time, 20'000u);
  l.advance(Duration::from_ms(500));
  const uint64_t busy = info_of(l, s).busy_time;
  EXPECT_LE(busy, 60'000u);
  l.advance(Duration::from_s(5));
  EXPECT_EQ(info_of(l, s).busy_time, busy);
}

TEST(TcpInfo, DerivesTheDeliveryRateFromTheBestSample) {
  Loop l;
  TcpSock& s = l.socket();
  s.conn->rate_delivered = 20;
  s.conn->rate_interval_us = 10'000;
  s.conn->rate_app_limited = false;
  EXPECT_EQ(info_of(l, s).delivery_rate, 20ull * 536 * 100);
  EXPECT_EQ(info_of(l, s).delivery_rate_app_limited, 0);
}

TEST(TcpInfo, ScalesTheFixedPointNumbers) {
  Loop l;
  TcpSock& s = l.socket();
  s.conn->srtt_us = 80'000;
  s.conn->mdev_us = 4'000;
  s.conn->rcv_rtt_us = 16'000;
  s.conn->ack.ato = Duration::from_s(1);
  const TcpInfo i = info_of(l, s);
  EXPECT_EQ(i.rtt, 10'000u);
  EXPECT_EQ(i.rttvar, 1'000u);
  EXPECT_EQ(i.rcv_rtt, 2'000u);
  EXPECT_EQ(i.ato, 199'000u);  // a jiffy less than the least RTO
}

TEST(TcpCcInfo, IsEmptyForAnAlgorithmThatTellsNothing) {
  Loop l;
  TcpSock& s = l.socket();
  uint8_t out[64];
  EXPECT_EQ(*l.tcp.get_option(s, kOptCcInfo, out), 0u);
}

}  // namespace
}  // namespace leat::tcp
