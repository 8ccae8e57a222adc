// What leaves and when: Nagle, the peer's window, zero-window probes, silly-window avoidance, retransmission time-outs,
// keepalive (RFC 9293 §3.8; RFC 6298; RFC 1122 §4.2.3).
#include "segment/harness.h"

namespace leat::segment {
namespace {

struct SendTest : SegmentTest {
  // Data that has left, in order from `from`; where it ends.
  uint32_t sent_from(uint32_t from) {
    for (const Seg& s : peer.drain()) {
      EXPECT_EQ(s.seq, from);
      EXPECT_LE(s.length, 1000u);
      from = s.seq + s.length;
    }
    return from;
  }
  Duration ms(int64_t n) const { return Duration::from_ms(n); }
};
LEAT_BOTH_FAMILIES(SendTest);

// ---- segments ----

TEST_P(SendTest, AWriteIsCutIntoSegmentsOfThePeersSizeAndPushedAtItsEnd) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 2500), 2500u);
  peer.expect(Seg(".", 1, 1, 1000));
  peer.expect(Seg(".", 1001, 1, 1000));
  peer.expect(Seg("P.", 2001, 1, 500));
  peer.send(Seg(".", 1, 2501));
  EXPECT_EQ(info(fd).bytes_acked, 2500u);
}

TEST_P(SendTest, TimestampsTakeTwelveBytesOfEachSegment) {
  peer.timestamps = true;
  const int fd = establish();
  EXPECT_EQ(write(fd, 2000), 2000u);
  EXPECT_TRUE(peer.expect(Seg(".", 1, 1, 988)).has_ts);
  peer.expect(Seg(".", 989, 1, 988));
  peer.expect(Seg("P.", 1977, 1, 24));
}

TEST_P(SendTest, TenSegmentsLeaveAtFirst) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 15000), 15000u);
  EXPECT_EQ(sent_from(1), 10001u);
  peer.send(Seg(".", 1, 2001));  // slow start: one more for each that was acknowledged
  EXPECT_EQ(sent_from(10001), 14001u);
}

TEST_P(SendTest, AStreamCrossesTheWrapUnharmed) {
  const int fd = establish();
  uint32_t end = 1, written = 0;
  for (int i = 0; i < 2000 && end < 300001; ++i) {
    written += static_cast<uint32_t>(write(fd, std::min<size_t>(20000, 300000 - written)));
    end = sent_from(end);
    peer.send(Seg(".", 1, end));
    advance(ms(1));
  }
  EXPECT_EQ(end, 300001u);
  EXPECT_EQ(info(fd).bytes_acked, 300000u);
  EXPECT_EQ(info(fd).total_retrans, 0u);
  EXPECT_EQ(packets(), 0u);
}

// ---- Nagle ----

TEST_P(SendTest, ASmallSegmentWaitsWhileAnotherIsUnacknowledged) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 1, 1, 100));
  EXPECT_EQ(write(fd, 50), 50u);
  EXPECT_EQ(write(fd, 50), 50u);
  peer.expect_nothing();
  peer.send(Seg(".", 1, 101));
  peer.expect(Seg("P.", 101, 1, 100));
}

TEST_P(SendTest, AFullSegmentDoesNotWait) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 1, 1, 100));
  EXPECT_EQ(write(fd, 1050), 1050u);
  peer.expect(Seg(".", 101, 1, 1000));
  peer.expect_nothing();
  peer.send(Seg(".", 1, 1101));
  peer.expect(Seg("P.", 1101, 1, 50));
}

// Minshall: only small segments hold small segments back.
TEST_P(SendTest, ASmallSegmentDoesNotWaitForFullOnes) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 1000), 1000u);
  peer.expect(Seg("P.", 1, 1, 1000));
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 1001, 1, 100));
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect_nothing();
}

TEST_P(SendTest, WithNodelayNothingWaits) {
  const int fd = establish();
  set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  for (uint32_t i = 0; i < 5; ++i) {
    EXPECT_EQ(write(fd, 10), 10u);
    peer.expect(Seg("P.", 1 + 10 * i, 1, 10));
  }
}

TEST_P(SendTest, TheFinDoesNotWait) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 1, 1, 100));
  EXPECT_EQ(write(fd, 50), 50u);
  shutdown(fd, SHUT_WR);
  peer.expect(Seg("FP.", 101, 1, 50));
}

TEST_P(SendTest, ACorkHoldsSmallSegmentsUntilItIsPulledOrTimeIsUp) {
  const int fd = establish();
  set(fd, IPPROTO_TCP, TCP_CORK, 1);
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect_nothing();
  EXPECT_EQ(write(fd, 1000), 1000u);
  peer.expect(Seg(".", 1, 1, 1000));
  peer.expect_nothing();
  set(fd, IPPROTO_TCP, TCP_CORK, 0);
  settle();
  peer.expect(Seg("P.", 1001, 1, 100));
  peer.send(Seg(".", 1, 1101));
  set(fd, IPPROTO_TCP, TCP_CORK, 1);
  EXPECT_EQ(write(fd, 10), 10u);
  peer.expect_after(ms(200), Seg("P.", 1101, 1, 10));
}

TEST_P(SendTest, MsgMoreHoldsLikeACork) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 100, MSG_MORE), 100u);
  peer.expect_nothing();
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 1, 1, 200));
}

// ---- the peer's window ----

TEST_P(SendTest, NothingLeavesBeyondThePeersWindow) {
  peer.window = 4000;
  const int fd = establish();
  EXPECT_EQ(write(fd, 10000), 10000u);
  EXPECT_EQ(sent_from(1), 4001u);
  peer.send(Seg(".", 1, 2001));
  EXPECT_EQ(sent_from(4001), 6001u);
  peer.send(Seg(".", 1, 6001).win(0));
  peer.expect_nothing();
  peer.send(Seg(".", 1, 6001).win(4000));
  EXPECT_EQ(sent_from(6001), 10001u);
}

TEST_P(SendTest, TheWindowIsScaledByWhatThePeerSaidInItsSyn) {
  peer.wscale = 7;
  peer.window = 40;  // 5120 bytes
  const int fd = establish();
  EXPECT_EQ(write(fd, 10000), 10000u);
  EXPECT_EQ(sent_from(1), 5121u);
  EXPECT_EQ(info(fd).snd_wscale, 7);
  EXPECT_EQ(info(fd).snd_wnd, 5120u);
}

TEST_P(SendTest, TheWindowOfASynIsNotScaled) {
  peer.wscale = 7;
  const int fd = connect_to(peer);
  peer.expect(Seg("S", 0));
  peer.window = 3000;
  peer.synack();
  peer.expect(Seg(".", 1, 1));
  EXPECT_EQ(info(fd).snd_wnd, 3000u);
}

// ---- probes ----

TEST_P(SendTest, AClosedWindowIsProbedEverMoreSeldom) {
  peer.window = 2000;
  const int fd = establish();
  EXPECT_EQ(write(fd, 5000), 5000u);
  EXPECT_EQ(sent_from(1), 2001u);
  peer.window = 0;
  peer.send(Seg(".", 1, 2001));
  for (const int64_t t : {200, 400, 800, 1600, 3200}) {
    peer.expect_after(ms(t), Seg(".", 2000, 1));
    peer.send(Seg(".", 1, 2001));
  }
  EXPECT_EQ(counter("TcpExtTCPWinProbe"), 5u);
  peer.window = 2000;
  peer.send(Seg(".", 1, 2001));
  EXPECT_EQ(sent_from(2001), 4001u);
}

TEST_P(SendTest, APeerThatAnswersProbesIsProbedForEver) {
  peer.window = 2000;
  const int fd = establish();
  EXPECT_EQ(write(fd, 5000), 5000u);
  peer.drain();
  peer.window = 0;
  peer.send(Seg(".", 1, 2001));
  Time last = now;
  for (int i = 0; i < 40; ++i) {
    for (int k = 0; k < 1300 && !peer.has_sent(); ++k)
      advance(ms(100));
    ASSERT_TRUE(peer.has_sent());
    EXPECT_LE((now - last).s(), 121);
    last = now;
    peer.drain();
    peer.send(Seg(".", 1, 2001));
  }
  EXPECT_EQ(state(), State::kEstablished);
}

TEST_P(SendTest, ProbesThatNobodyAnswersEndAfterFifteen) {
  peer.window = 2000;
  const int fd = establish();
  EXPECT_EQ(write(fd, 5000), 5000u);
  peer.drain();
  peer.window = 0;
  peer.send(Seg(".", 1, 2001));
  advance(ms(924500));
  EXPECT_EQ(peer.drain().size(), 15u);
  EXPECT_EQ(state(), State::kEstablished);
  advance(ms(200));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(error(fd), ETIMEDOUT);
}

TEST_P(SendTest, AWindowSmallerThanASegmentIsUsedOnlyAfterTheProbesTime) {
  peer.window = 2000;
  const int fd = establish();
  EXPECT_EQ(write(fd, 5000), 5000u);
  EXPECT_EQ(sent_from(1), 2001u);
  peer.window = 10;
  peer.send(Seg(".", 1, 2001));
  peer.expect_nothing();
  peer.expect_after(ms(200), Seg("P.", 2001, 1, 10));
}

// ---- time-outs ----

TEST_P(SendTest, TheTimeoutDoubles) {
  peer.sack = false;
  const int fd = establish();
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 1, 1, 100));
  for (const int64_t t : {200, 400, 800, 1600, 3200, 6400})
    peer.expect_after(ms(t), Seg("P.", 1, 1, 100));
  EXPECT_EQ(info(fd).retransmits, 6);
  EXPECT_EQ(info(fd).snd_cwnd, 1u);
  peer.send(Seg(".", 1, 101));
  EXPECT_EQ(info(fd).retransmits, 0);
  EXPECT_EQ(counter("TcpExtTCPTimeouts"), 6u);
  peer.expect_nothing_for(Duration::from_s(60));
}

TEST_P(SendTest, WithSackAProbeOfTheTailComesBeforeTheTimeout) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 3000), 3000u);
  EXPECT_EQ(sent_from(1), 3001u);
  const Time begun = now;
  while (!peer.has_sent())
    advance(ms(1));
  EXPECT_LT((now - begun).ms(), 50);
  peer.expect(Seg("P.", 2001, 1, 1000));
  EXPECT_EQ(counter("TcpExtTCPLossProbes"), 1u);
  peer.expect_after(ms(200), Seg(".", 1, 1, 1000));
  EXPECT_EQ(counter("TcpExtTCPTimeouts"), 1u);
}

TEST_P(SendTest, TheRttDecidesTheTimeout) {
  peer.sack = false;
  const int fd = establish();
  for (uint32_t i = 0; i < 30; ++i) {
    EXPECT_EQ(write(fd, 100), 100u);
    peer.drain();
    advance(ms(100));
    peer.send(Seg(".", 1, 101 + 100 * i));
  }
  EXPECT_NEAR(info(fd).rtt, 100000, 2500);
  EXPECT_NEAR(info(fd).rto, 300000, 5000);  // srtt and the least variance, tcp_rto_min
  EXPECT_EQ(write(fd, 100), 100u);
  peer.drain();
  const int64_t rto = info(fd).rto / 1000;
  peer.expect_after(ms(rto), Seg("P.", 3001, 1, 100));
}

// Karn: an ACK of what was sent twice measures nothing, but with timestamps.
TEST_P(SendTest, ARetransmittedSegmentIsNotMeasured) {
  peer.sack = false;
  const int fd = establish();
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 1, 1, 100));
  const uint32_t before = info(fd).rtt;
  peer.expect_after(ms(200), Seg("P.", 1, 1, 100));
  advance(ms(100));
  peer.send(Seg(".", 1, 101));
  EXPECT_EQ(info(fd).rtt, before);
}

TEST_P(SendTest, RetriesAreGivenUpWithEtimedout) {
  peer.sack = false;
  ASSERT_TRUE(sysctl("net.ipv4.tcp_retries2", "3"));
  const int fd = establish();
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 1, 1, 100));
  for (const int64_t t : {200, 400, 800, 1600})
    peer.expect_after(ms(t), Seg("P.", 1, 1, 100));
  peer.expect_nothing_for(ms(3300));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(read_error(fd), ETIMEDOUT);
  EXPECT_EQ(counter("TcpExtTCPAbortOnTimeout"), 1u);
}

TEST_P(SendTest, FifteenRetriesTakeAQuarterOfAnHour) {
  peer.sack = false;
  const int fd = establish();
  EXPECT_EQ(write(fd, 100), 100u);
  advance(Duration::from_s(924));
  EXPECT_EQ(state(), State::kEstablished);
  advance(Duration::from_s(122));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(error(fd), ETIMEDOUT);
  EXPECT_EQ(peer.drain().size(), 17u);
}

TEST_P(SendTest, TcpUserTimeoutGivesUpEarlier) {
  peer.sack = false;
  const int fd = establish();
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 1000);
  EXPECT_EQ(write(fd, 100), 100u);
  peer.drain();
  advance(ms(1150));
  EXPECT_EQ(state(), State::kEstablished);
  advance(ms(100));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(error(fd), ETIMEDOUT);
  peer.drain();
}

// ---- keepalive ----

TEST_P(SendTest, AnIdlePeerIsAskedWhetherItLives) {
  const int fd = establish();
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 3);
  set(fd, IPPROTO_TCP, TCP_KEEPCNT, 2);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  peer.expect_after(Duration::from_s(10), Seg(".", 0, 1));
  peer.send(Seg(".", 1, 1));
  peer.expect_after(Duration::from_s(10), Seg(".", 0, 1));
  peer.expect_after(Duration::from_s(3), Seg(".", 0, 1));
  peer.expect_after(Duration::from_s(3), Seg("R.", 1, 1));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(read_error(fd), ETIMEDOUT);
  EXPECT_EQ(counter("TcpExtTCPKeepAlive"), 3u);
}

TEST_P(SendTest, DataPutsTheKeepaliveOff) {
  const int fd = establish();
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  advance(Duration::from_s(7));
  peer.send(Seg("P.", 1, 1, 10));
  peer.expect(Seg(".", 1, 11));
  peer.expect_nothing_for(Duration::from_ms(9900));
  peer.expect_after(Duration::from_ms(100), Seg(".", 0, 11));
  EXPECT_EQ(read(fd), stream(1, 10));
}

TEST_P(SendTest, AKeepaliveOfThePeerIsAnswered) {
  establish();
  peer.send(Seg(".", 0, 1));
  peer.expect(Seg(".", 1, 1));
  advance(Duration::from_s(1));
  peer.send(Seg(".", 0, 1, 1));  // with the old garbage byte
  peer.expect(Seg(".", 1, 1).sack({{0, 1}}));
}

// ---- urgent ----

TEST_P(SendTest, AnUrgentByteIsPointedAt) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 5, MSG_OOB), 5u);
  peer.expect(Seg("PU.", 1, 1, 5).urg(5));
}

}  // namespace
}  // namespace leat::segment
