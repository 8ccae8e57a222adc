// Loss as ACKs tell of it: SACK and duplicate ACKs, partial ACKs, D-SACKs, reneging; and the order in which an ACK's
// consequences leave (RFC 5681, RFC 6675, RFC 8985, RFC 2883; design decision 6).
#include "segment/harness.h"

namespace leat::segment {
namespace {

struct LossTest : SegmentTest {
  Duration ms(int64_t n) const { return Duration::from_ms(n); }
  // A connection whose round trip has been measured as 20 ms, with `n` segments of 1000 bytes in flight from 1001 on,
  // which were sent 20 ms ago.
  int in_flight(uint32_t n) {
    listen();
    peer.syn();
    peer.expect(Seg("S.", 0, 1));
    advance(ms(20));
    peer.send(Seg(".", 1, 1));
    const int fd = accept();
    EXPECT_EQ(write(fd, 1000), 1000u);
    peer.drain();
    advance(ms(20));
    peer.send(Seg(".", 1, 1001));
    EXPECT_EQ(write(fd, 1000 * n), 1000u * n);
    EXPECT_EQ(peer.drain().size(), n);
    advance(ms(20));
    peer.expect_nothing();
    return fd;
  }
};
LEAT_BOTH_FAMILIES(LossTest);

TEST_P(LossTest, ThreeSackedSegmentsBehindAHoleSendItAgain) {
  const int fd = in_flight(6);
  peer.send(Seg(".", 1, 1001).sack({{2001, 3001}}));
  peer.send(Seg(".", 1, 1001).sack({{2001, 4001}}));
  peer.expect_nothing();
  peer.send(Seg(".", 1, 1001).sack({{2001, 5001}}));
  peer.expect(Seg(".", 1001, 1, 1000));
  EXPECT_EQ(counter("TcpExtTCPSackRecovery"), 1u);
  EXPECT_EQ(counter("TcpExtTCPFastRetrans"), 1u);
  EXPECT_EQ(info(fd).ca_state, 3);
  peer.send(Seg(".", 1, 7001));
  EXPECT_EQ(info(fd).ca_state, 0);
  EXPECT_EQ(info(fd).total_retrans, 1u);
  peer.drain();
}

TEST_P(LossTest, WithoutSackThreeDuplicateAcksDo) {
  peer.sack = false;
  in_flight(6);
  peer.send(Seg(".", 1, 1001));
  peer.send(Seg(".", 1, 1001));
  peer.expect_nothing();
  peer.send(Seg(".", 1, 1001));
  peer.expect(Seg(".", 1001, 1, 1000));
  EXPECT_EQ(counter("TcpExtTCPRenoRecovery"), 1u);
}

TEST_P(LossTest, WithoutSackAPartialAckSendsTheNextHole) {
  peer.sack = false;
  in_flight(6);
  for (int i = 0; i < 3; ++i)
    peer.send(Seg(".", 1, 1001));
  peer.expect(Seg(".", 1001, 1, 1000));
  peer.drain();
  advance(ms(20));
  peer.send(Seg(".", 1, 3001));
  peer.expect(Seg(".", 3001, 1, 1000));
  peer.send(Seg(".", 1, 7001));
  peer.drain();
}

TEST_P(LossTest, AWindowUpdateIsNoDuplicateAck) {
  peer.sack = false;
  peer.window = 60000;
  in_flight(6);
  for (uint16_t i = 1; i <= 6; ++i)
    peer.send(Seg(".", 1, 1001).win(static_cast<uint16_t>(60000 + i)));
  peer.expect_nothing();
}

TEST_P(LossTest, DataWithTheSameAckIsNoDuplicateAck) {
  peer.sack = false;
  in_flight(6);
  for (uint32_t i = 0; i < 6; ++i)
    peer.send(Seg("P.", 1 + 10 * i, 1001, 10));
  for (const Seg& s : peer.drain())
    EXPECT_EQ(s.length, 0u);
}

TEST_P(LossTest, EveryHoleIsSentAgainAndNothingElse) {
  const int fd = in_flight(9);
  peer.send(Seg(".", 1, 1001).sack({{2001, 3001}}));
  peer.send(Seg(".", 1, 1001).sack({{4001, 5001}, {2001, 3001}}));
  peer.send(Seg(".", 1, 1001).sack({{6001, 10001}, {4001, 5001}, {2001, 3001}}));
  uint32_t again = 0;
  for (int i = 0; i < 5; ++i) {
    for (const Seg& s : peer.drain()) {
      EXPECT_TRUE(s.seq == 1001 || s.seq == 3001 || s.seq == 5001) << s.seq;
      EXPECT_EQ(s.length, 1000u);
      ++again;
      if (s.seq == 1001) peer.send(Seg(".", 1, 3001).sack({{6001, 10001}, {4001, 5001}}));
    }
  }
  EXPECT_EQ(again, 3u);
  peer.send(Seg(".", 1, 10001));
  EXPECT_EQ(info(fd).total_retrans, 3u);
  EXPECT_EQ(info(fd).unacked, 0u);
}

// Design decision 6: the retransmission that an ACK triggers leaves before that segment's data moves rcv_nxt.
TEST_P(LossTest, ARetransmissionThatAnAckTriggersLeavesBeforeThatSegmentsDataMovesRcvNxt) {
  const int fd = in_flight(6);
  peer.send(Seg(".", 1, 1001).sack({{2001, 3001}}));
  peer.send(Seg(".", 1, 1001).sack({{2001, 4001}}));
  peer.expect_nothing();
  peer.send(Seg("P.", 1, 1001, 500).sack({{2001, 5001}}));
  peer.expect(Seg(".", 1001, 1, 1000));  // still acknowledges 1
  peer.expect(Seg(".", 7001, 501));
  EXPECT_EQ(read(fd), stream(1, 500));
}

TEST_P(LossTest, ATimeoutSendsTheHeadAndGoesOnFromThere) {
  const int fd = in_flight(6);
  peer.drain();
  while (counter("TcpExtTCPTimeouts") == 0)
    advance(ms(1));
  const auto sent = peer.drain();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent.back().seq, 1001u);
  EXPECT_EQ(info(fd).ca_state, 4);
  EXPECT_EQ(info(fd).snd_cwnd, 1u);
  peer.send(Seg(".", 1, 2001));
  for (const Seg& s : peer.drain())
    EXPECT_GE(s.seq, 2001u);
  peer.send(Seg(".", 1, 7001));
  EXPECT_EQ(info(fd).unacked, 0u);
  peer.drain();
}

// Linux's sk_rethink_txhash: after a time-out another flow label, so that routers may take another path.
TEST_P(LossTest, ATimeoutTriesAnotherPath) {
  const int fd = in_flight(1);
  EXPECT_EQ(write(fd, 1000), 1000u);
  const uint32_t before = peer.drain().back().flow_label;
  for (int i = 0; i < 3000 && counter("TcpExtTCPTimeouts") == 0; ++i)
    advance(ms(1));
  const uint32_t after = peer.drain().back().flow_label;
  EXPECT_EQ(counter("TcpExtTcpTimeoutRehash"), 1u);
  EXPECT_EQ(info(fd).rehash, 1u);
  EXPECT_EQ(after != before, GetParam() == Family::kIpv6);
  ASSERT_TRUE(sysctl("net.core.txrehash", "0"));
  for (int i = 0; i < 6000 && counter("TcpExtTCPTimeouts") == 1; ++i)
    advance(ms(1));
  EXPECT_EQ(peer.drain().back().flow_label, after);
  EXPECT_EQ(counter("TcpExtTcpTimeoutRehash"), 1u);
}

// RFC 2883, RFC 3708: all retransmissions came back as duplicates, so nothing had been lost.
TEST_P(LossTest, DsacksOfAllRetransmissionsUndoTheReduction) {
  const int fd = in_flight(4);
  const uint32_t cwnd = info(fd).snd_cwnd;
  peer.send(Seg(".", 1, 1001).sack({{2001, 5001}}));
  peer.expect(Seg(".", 1001, 1, 1000));
  EXPECT_EQ(info(fd).ca_state, 3);
  advance(ms(5));
  peer.send(Seg(".", 1, 5001));  // the original had only been late
  EXPECT_LT(info(fd).snd_cwnd, cwnd);
  peer.send(Seg(".", 1, 5001).sack({{1001, 2001}}));
  EXPECT_EQ(counter("TcpExtTCPDSACKRecv"), 1u);
  EXPECT_EQ(counter("TcpExtTCPDSACKUndo"), 1u);
  EXPECT_GE(info(fd).snd_cwnd, cwnd);
}

TEST_P(LossTest, APeerThatForgetsWhatItSackedGetsItAgain) {
  const int fd = in_flight(6);
  peer.send(Seg(".", 1, 1001).sack({{2001, 7001}}));  // all but the first
  peer.expect(Seg(".", 1001, 1, 1000));
  peer.send(Seg(".", 1, 2001));  // and yet the next is asked for: it has reneged
  uint32_t end = 2001;
  for (int i = 0; i < 400 && end < 7001; ++i) {
    advance(ms(10));
    for (const Seg& s : peer.drain()) {
      if (s.seq == end) end += s.length;
    }
    peer.send(Seg(".", 1, end));
  }
  EXPECT_EQ(end, 7001u);
  EXPECT_EQ(counter("TcpExtTCPSACKReneging"), 1u);
  EXPECT_EQ(info(fd).unacked, 0u);
}

TEST_P(LossTest, AZeroWindowBehindDataInFlightDoesNotStopItsRetransmission) {
  peer.sack = false;
  const int fd = establish();
  EXPECT_EQ(write(fd, 3000), 3000u);
  EXPECT_EQ(peer.drain().size(), 3u);
  peer.window = 0;
  peer.send(Seg(".", 1, 1001));
  peer.expect_after(ms(200), Seg(".", 1001, 1, 1000));
  peer.send(Seg(".", 1, 1001));
  peer.expect_after(ms(400), Seg(".", 1001, 1, 1000));
  peer.window = 65535;
  peer.send(Seg(".", 1, 3001));
  EXPECT_EQ(info(fd).unacked, 0u);
}

}  // namespace
}  // namespace leat::segment
