// How connections begin on the side that connects: active and simultaneous opens, and to oneself (RFC 9293 §3.5,
// §3.10.7.3).
#include "segment/harness.h"

namespace leat::segment {
namespace {

struct ActiveOpenTest : SegmentTest {};
LEAT_BOTH_FAMILIES(ActiveOpenTest);

TEST_P(ActiveOpenTest, ThreeSegmentsOpenAConnectionActively) {
  const int fd = connect_to(peer);
  const Seg syn = peer.expect(Seg("S", 0).mss(is_v6() ? 1440 : 1460).ws(10).sack_ok().win(is_v6() ? 64800 : 64240));
  EXPECT_TRUE(syn.has_ts);
  EXPECT_EQ(syn.tsecr, 0u);
  EXPECT_EQ(state(), State::kSynSent);
  EXPECT_EQ(events(fd) & (POLLOUT | POLLIN), 0);
  peer.synack();
  peer.expect(Seg(".", 1, 1).no_ts());
  EXPECT_EQ(state(), State::kEstablished);
  EXPECT_EQ(events(fd) & (POLLOUT | POLLHUP), POLLOUT);
  EXPECT_EQ(error(fd), 0);
  EXPECT_EQ(counter("TcpActiveOpens"), 1u);
}

// Four time-outs of a second each (tcp_syn_linear_timeouts), then doubling; ten SYNs again in all.
TEST_P(ActiveOpenTest, ASynIsSentAgainEverySecondThenEverLaterAndGivenUpAfter131Seconds) {
  const int fd = connect_to(peer);
  peer.expect(Seg("S", 0));
  for (const int s : {1, 1, 1, 1, 1, 2, 4, 8, 16, 32})
    peer.expect_after(Duration::from_s(s), Seg("S", 0));
  peer.expect_nothing_for(Duration::from_ms(63900));
  EXPECT_EQ(state(), State::kSynSent);
  peer.expect_nothing_for(Duration::from_ms(200));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(error(fd), ETIMEDOUT);
  EXPECT_EQ(counter("TcpAttemptFails"), 1u);
}

TEST_P(ActiveOpenTest, TcpSynCntBoundsTheSyns) {
  const int fd = socket();
  set(fd, IPPROTO_TCP, TCP_SYNCNT, 1);
  ASSERT_TRUE(sysctl("net.ipv4.tcp_syn_linear_timeouts", "0"));
  connect_to(peer, fd);
  peer.expect(Seg("S", 0));
  peer.expect_after(Duration::from_s(1), Seg("S", 0));
  peer.expect_nothing_for(Duration::from_ms(2100));
  EXPECT_EQ(error(fd), ETIMEDOUT);
}

TEST_P(ActiveOpenTest, AResetThatAcknowledgesTheSynRefusesTheConnection) {
  const int fd = connect_to(peer);
  peer.expect(Seg("S", 0));
  peer.send(Seg("R", 0));      // acknowledges nothing
  peer.send(Seg("R.", 0, 2));  // acknowledges what was not sent
  peer.send(Seg("R.", 0, 0));
  EXPECT_EQ(state(), State::kSynSent);
  peer.expect_nothing();
  peer.send(Seg("R.", 0, 1));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(error(fd), ECONNREFUSED);
  EXPECT_EQ(events(fd) & POLLHUP, POLLHUP);
}

// RFC 9293 §3.5.1, figure 8: the other end still has the old connection.
TEST_P(ActiveOpenTest, AnAckOfAnOlderConnectionIsResetAndTheSynSentAgainAtOnce) {
  connect_to(peer);
  peer.expect(Seg("S", 0));
  peer.send(Seg(".", 300, 100));
  peer.expect(Seg("R", 100));
  peer.expect_after(Duration::from_ms(2), Seg("S", 0));
  EXPECT_EQ(state(), State::kSynSent);
  peer.synack();
  peer.expect(Seg(".", 1, 1));
}

TEST_P(ActiveOpenTest, InSynSentNothingButASynCounts) {
  connect_to(peer);
  peer.expect(Seg("S", 0));
  peer.send(Seg(".", 1, 1));
  peer.send(Seg("F.", 1, 1));
  peer.send(Seg("P", 1, 0, 10));
  peer.expect_nothing();
  EXPECT_EQ(state(), State::kSynSent);
}

TEST_P(ActiveOpenTest, DataOfTheSynAckIsLeftToBeSentAgain) {
  const int fd = connect_to(peer);
  peer.expect(Seg("S", 0));
  peer.send(Seg("S.", 0, 1, 20).mss(1000));
  peer.expect(Seg(".", 1, 1));
  peer.send(Seg("P.", 1, 1, 20));
  peer.expect(Seg(".", 1, 21));
  EXPECT_EQ(read(fd), stream(1, 20));
}

TEST_P(ActiveOpenTest, ASynAckWithATimestampThatWeDidNotSendIsRefused) {
  connect_to(peer);
  const Seg syn = peer.expect(Seg("S", 0));
  peer.send(Seg("S.", 0, 1).mss(1000).ts(7, syn.tsval + 1000));
  peer.expect(Seg("R", 1));
  EXPECT_EQ(counter("TcpExtPAWSActive"), 1u);
  peer.expect_after(Duration::from_s(1), Seg("S", 0));
  peer.send(Seg("S.", 0, 1).mss(1000).ts(7, syn.tsval));
  peer.expect(Seg(".", 1, 1));
}

TEST_P(ActiveOpenTest, ASynAckThatComesAgainIsAcknowledgedAgain) {
  establish_active();
  peer.synack();
  peer.expect(Seg(".", 1, 1));
  EXPECT_EQ(state(), State::kEstablished);
  EXPECT_EQ(counter("TcpExtTCPSYNChallenge"), 1u);
}

TEST_P(ActiveOpenTest, ClosingInSynSentSaysNothing) {
  const int fd = connect_to(peer);
  peer.expect(Seg("S", 0));
  close(fd);
  peer.expect_nothing_for(Duration::from_s(5));
  EXPECT_EQ(state(), State::kClose);
  peer.synack();
  peer.expect(Seg("R", 1));
}

TEST_P(ActiveOpenTest, ShutdownInSynSentGivesUp) {
  const int fd = connect_to(peer);
  peer.expect(Seg("S", 0));
  shutdown(fd, SHUT_WR);
  EXPECT_EQ(state(), State::kClose);
  peer.expect_nothing_for(Duration::from_s(5));
}

// ---- both at once ----

TEST_P(ActiveOpenTest, CrossedSynsOpenOneConnection) {
  const int fd = connect_to(peer);
  peer.expect(Seg("S", 0));
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  EXPECT_EQ(state(), State::kSynRecv);
  peer.send(Seg(".", 1, 1));
  EXPECT_EQ(state(), State::kEstablished);
  peer.expect_nothing();
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 1, 1, 100));
  peer.send(Seg("P.", 1, 101, 100));
  EXPECT_EQ(read(fd), stream(1, 100));
  peer.drain();
}

TEST_P(ActiveOpenTest, CrossedSynsMayBeAnsweredWithASynAck) {
  connect_to(peer);
  peer.expect(Seg("S", 0));
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg("S.", 0, 1).mss(1000).sack_ok());
  EXPECT_EQ(state(), State::kEstablished);
  peer.expect(Seg(".", 1, 1).sack({{0, 1}}));  // the SYN has come twice
}

TEST_P(ActiveOpenTest, TheSynAckOfCrossedSynsIsSentAgain) {
  connect_to(peer);
  peer.expect(Seg("S", 0));
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.expect_after(Duration::from_s(1), Seg("S.", 0, 1));
  peer.syn();
  EXPECT_EQ(state(), State::kSynRecv);
  peer.drain();
}

TEST_P(ActiveOpenTest, InSynRecvAnAckOfSomethingElseIsReset) {
  reach(State::kSynRecv);
  peer.send(Seg(".", 1, 2));
  peer.expect(Seg("R", 2));
  EXPECT_EQ(state(), State::kSynRecv);
}

TEST_P(ActiveOpenTest, ClosingInSynRecvSendsAFin) {
  const int fd = reach(State::kSynRecv);
  close(fd);
  peer.drain();
  EXPECT_EQ(state(), State::kFinWait1);
  peer.send(Seg(".", 1, 1));
  peer.send(Seg(".", 1, 2));
  peer.drain();
  EXPECT_EQ(state(), State::kFinWait2);
}

// ---- with oneself ----

TEST_P(ActiveOpenTest, ASocketMayConnectToItself) {
  const int fd = socket();
  const Endpoint me = host_endpoint(7777);
  ASSERT_TRUE(stack().bind(fd, me.data(), me.length()));
  ASSERT_EQ(stack().connect(fd, me.data(), me.length()).error(), Errno{EINPROGRESS});
  settle();
  EXPECT_EQ(error(fd), 0);
  EXPECT_EQ(info(fd).state, uint8_t(State::kEstablished));
  EXPECT_EQ(write(fd, 5000), 5000u);
  EXPECT_EQ(read(fd), stream(1, 5000));
  shutdown(fd, SHUT_WR);
  advance(Duration::from_s(1));
  EXPECT_EQ(read_error(fd), -1);
}

TEST_P(ActiveOpenTest, TwoSocketsMayConnectToEachOther) {
  const int a = socket(), b = socket();
  const Endpoint left = host_endpoint(7001), right = host_endpoint(7002);
  ASSERT_TRUE(stack().bind(a, left.data(), left.length()));
  ASSERT_TRUE(stack().bind(b, right.data(), right.length()));
  ASSERT_EQ(stack().connect(a, right.data(), right.length()).error(), Errno{EINPROGRESS});
  ASSERT_EQ(stack().connect(b, left.data(), left.length()).error(), Errno{EINPROGRESS});
  settle();
  EXPECT_EQ(info(a).state, uint8_t(State::kEstablished));
  EXPECT_EQ(info(b).state, uint8_t(State::kEstablished));
  EXPECT_EQ(write(a, 3000), 3000u);
  EXPECT_EQ(read(b), stream(1, 3000));
  EXPECT_EQ(write(b, 2000), 2000u);
  EXPECT_EQ(read(a), stream(1, 2000));
}

}  // namespace
}  // namespace leat::segment
