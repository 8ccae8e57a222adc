// TIME_WAIT: what it answers, what prolongs it, what it gives way to (RFC 9293 §3.6.1, §3.10.7.4; RFC 6191; RFC 7323
// §5).
#include "segment/harness.h"

namespace leat::segment {
namespace {

struct TimeWaitTest : SegmentTest {};
LEAT_BOTH_FAMILIES(TimeWaitTest);

TEST_P(TimeWaitTest, ThePeersFinIsAcknowledgedAgainAndTheMinuteBeginsAnew) {
  reach(State::kTimeWait);
  advance(Duration::from_s(50));
  peer.send(Seg("F.", 1, 2));
  peer.expect(Seg(".", 2, 2));
  advance(Duration::from_s(59));
  EXPECT_EQ(state(), State::kTimeWait);
  advance(Duration::from_s(2));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(TimeWaitTest, LateDataIsAcknowledged) {
  reach(State::kTimeWait);
  peer.send(Seg("P.", 2, 2, 100));
  peer.expect(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kTimeWait);
}

TEST_P(TimeWaitTest, AnAckOfTheLastFinIsTakenInSilence) {
  reach(State::kTimeWait);
  peer.send(Seg(".", 2, 2));
  peer.expect_nothing();
}

TEST_P(TimeWaitTest, AnswersToNonsenseAreLimitedToTwoASecond) {
  reach(State::kTimeWait);
  peer.send(Seg(".", 100, 2));
  peer.expect(Seg(".", 2, 2));
  peer.send(Seg(".", 100, 2));
  peer.expect_nothing();
  EXPECT_EQ(counter("TcpExtTCPACKSkippedTimeWait"), 1u);
  advance(Duration::from_ms(500));
  peer.send(Seg(".", 100, 2));
  peer.expect(Seg(".", 2, 2));
}

TEST_P(TimeWaitTest, AResetEndsIt) {
  reach(State::kTimeWait);
  peer.send(Seg("R", 3));  // not the next number
  EXPECT_EQ(state(), State::kTimeWait);
  peer.send(Seg("R", 2));
  EXPECT_EQ(state(), State::kClose);
  peer.expect_nothing();
}

TEST_P(TimeWaitTest, UnderRfc1337AResetDoesNotEndIt) {
  ASSERT_TRUE(sysctl("net.ipv4.tcp_rfc1337", "1"));
  reach(State::kTimeWait);
  peer.send(Seg("R", 2));
  EXPECT_EQ(state(), State::kTimeWait);
  peer.expect_nothing();
}

TEST_P(TimeWaitTest, ASynWithAHigherNumberOpensANewConnectionBeyondTheOldOnesNumbers) {
  reach(State::kTimeWait);
  const uint32_t old_iss = *peer.host_iss;
  peer.isn += 1000;
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  EXPECT_EQ(*peer.host_iss - old_iss, 2u + 65535 + 2);
  EXPECT_EQ(time_waits(), 0u);
  peer.send(Seg(".", 1, 1));
  accept();
  EXPECT_EQ(state(), State::kEstablished);
}

TEST_P(TimeWaitTest, ASynWithAnOldNumberIsAnsweredWithTheOldAck) {
  reach(State::kTimeWait);
  peer.send(Seg("S", 0).mss(1000));
  peer.expect(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kTimeWait);
  peer.send(Seg("R", 2));  // as the peer does then (RFC 9293 §3.5.1)
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
}

TEST_P(TimeWaitTest, ASynWithANewerTimestampOpensWhateverItsNumber) {
  peer.timestamps = true;
  reach(State::kTimeWait);
  advance(Duration::from_ms(10));
  peer.isn -= 100000;
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg(".", 1, 1));
  accept();
}

TEST_P(TimeWaitTest, ASynWithAnOlderTimestampIsNotBelieved) {
  peer.timestamps = true;
  reach(State::kTimeWait);
  peer.send(Seg("S", 100000).mss(1000).ts(peer.clock() - 1000, 0));
  peer.expect(Seg(".", 2, 2));
  EXPECT_EQ(counter("TcpExtPAWSTimewait"), 1u);
  EXPECT_EQ(state(), State::kTimeWait);
}

TEST_P(TimeWaitTest, WithoutAListenerASynIsOnlyAcknowledged) {
  const int fd = establish_active();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg("F.", 1, 2));
  peer.expect(Seg(".", 2, 2));
  peer.send(Seg("S", 1000).mss(1000));
  peer.expect(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kTimeWait);
}

TEST_P(TimeWaitTest, ItsAcksEchoTheLastTimestamp) {
  peer.timestamps = true;
  reach(State::kTimeWait);
  const uint32_t last = peer.clock();
  advance(Duration::from_ms(300));
  peer.send(Seg("P.", 2, 2, 10).ts(peer.clock(), peer.last_tsval()));
  const Seg ack = peer.expect(Seg(".", 2, 2));
  EXPECT_TRUE(ack.has_ts);
  EXPECT_EQ(ack.tsecr, last);
}

TEST_P(TimeWaitTest, TheirNumberIsLimited) {
  ASSERT_TRUE(sysctl("net.ipv4.tcp_max_tw_buckets", "3"));
  listen();
  for (uint16_t i = 0; i < 5; ++i) {
    Peer& p = new_peer(static_cast<uint16_t>(6000 + i));
    const int fd = establish(p);
    close(fd);
    p.expect(Seg("F.", 1, 1));
    p.send(Seg("F.", 1, 2));
    p.drain();
  }
  EXPECT_EQ(time_waits(), 3u);
  EXPECT_EQ(counter("TcpExtTCPTimeWaitOverflow"), 2u);
}

TEST_P(TimeWaitTest, AConnectMayNotTakeItsPlace) {
  const int fd = establish_active();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg("F.", 1, 2));
  peer.expect(Seg(".", 2, 2));
  const int again = socket();
  set(again, SOL_SOCKET, SO_REUSEADDR, 1);
  const Endpoint from = host_endpoint(), to = peer_endpoint(kPeerPort);
  ASSERT_TRUE(stack().bind(again, from.data(), from.length()));
  EXPECT_EQ(stack().connect(again, to.data(), to.length()).error(), Errno{EADDRNOTAVAIL});
}

// tcp_tw_reuse 1: with timestamps, a second later.
TEST_P(TimeWaitTest, AConnectTakesItsPlaceWhenTimestampsKeepOldSegmentsOut) {
  ASSERT_TRUE(sysctl("net.ipv4.tcp_tw_reuse", "1"));
  const int fd = connect_to(peer);
  const Seg syn = peer.expect(Seg("S", 0));
  peer.timestamps = true;
  peer.send(Seg("S.", 0, 1).mss(1000).ts(peer.clock(), syn.tsval));
  peer.expect(Seg(".", 1, 1));
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg("F.", 1, 2));
  peer.expect(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kTimeWait);
  advance(Duration::from_ms(1100));
  const uint32_t old_iss = *peer.host_iss;
  connect_to(peer);
  peer.expect(Seg("S", 0));
  EXPECT_EQ(*peer.host_iss - old_iss, 2u + 65535 + 2);
  EXPECT_EQ(counter("TcpExtTWRecycled"), 1u);
  EXPECT_EQ(time_waits(), 0u);
}

}  // namespace
}  // namespace leat::segment
