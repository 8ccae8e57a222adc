// How connections begin on the side that listens, and what a SYN is answered with (RFC 9293 §3.5, §3.10.7.1, .2, .4).
// active_open_test.cpp has the other side.
#include "segment/harness.h"

namespace leat::segment {
namespace {

struct OpenTest : SegmentTest {
  std::vector<Peer*> many(int n) {
    std::vector<Peer*> peers;
    for (int i = 0; i < n; ++i)
      peers.push_back(&new_peer(static_cast<uint16_t>(6000 + i)));
    return peers;
  }
};
LEAT_BOTH_FAMILIES(OpenTest);

// ---- passive ----

TEST_P(OpenTest, ThreeSegmentsOpenAConnectionPassively) {
  listen();
  EXPECT_EQ(state(), State::kClose);
  peer.syn();
  peer.expect(Seg("S.", 0, 1).mss(is_v6() ? 1440 : 1460).win(is_v6() ? 64800 : 64240).sack_ok());
  EXPECT_EQ(requests(), 1u);
  EXPECT_EQ(connections(), 1u);  // the listener's own
  EXPECT_EQ(state(), State::kSynRecv);
  EXPECT_FALSE(can_accept());
  peer.send(Seg(".", 1, 1));
  EXPECT_EQ(state(), State::kEstablished);
  EXPECT_EQ(requests(), 0u);
  const int fd = accept();
  EXPECT_EQ(info(fd).state, uint8_t(State::kEstablished));
  EXPECT_EQ(counter("TcpPassiveOpens"), 1u);
  EXPECT_EQ(counter("TcpCurrEstab"), 1u);
}

TEST_P(OpenTest, BothEndsSequenceNumbersBeginJustBelowTheWrap) {
  establish();
  EXPECT_EQ(*peer.host_iss, kHostIss);
  EXPECT_EQ(peer.isn, 0xffffff00u);
}

TEST_P(OpenTest, ASynAckOffersOnlyWhatTheSynOffered) {
  listen();
  Peer& bare = new_peer(5001);
  bare.send(Seg("S", 0));
  Seg s = bare.expect(Seg("S.", 0, 1));
  EXPECT_FALSE(s.sack_permitted || s.has_ts || s.wscale);
  Peer& full = new_peer(5002);
  full.wscale = 7;
  full.timestamps = true;
  full.syn();
  s = full.expect(Seg("S.", 0, 1).ws(10).sack_ok());
  EXPECT_TRUE(s.has_ts);
  EXPECT_EQ(s.tsecr, full.clock());
  EXPECT_EQ(s.window, is_v6() ? 64260 : 65160);
}

TEST_P(OpenTest, APeerWithoutAnMssOptionGetsSegmentsOfTheDefaultSize) {
  listen();
  peer.send(Seg("S", 0));
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg(".", 1, 1));
  EXPECT_EQ(info(accept()).snd_mss, is_v6() ? 1220u : 536u);
}

TEST_P(OpenTest, TheSynAckIsSentAgainAfterOneThreeSevenFifteenAndThirtyOneSeconds) {
  listen();
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  for (const int s : {1, 2, 4, 8, 16})
    peer.expect_after(Duration::from_s(s), Seg("S.", 0, 1));
  EXPECT_EQ(requests(), 1u);
  peer.expect_nothing_for(Duration::from_s(32));
  EXPECT_EQ(requests(), 0u);
  EXPECT_EQ(counter("TcpExtTCPSynRetrans"), 5u);
  peer.send(Seg(".", 1, 1));
  peer.expect(Seg("R", 1));
}

TEST_P(OpenTest, ASynThatComesAgainIsAnsweredAgainButNotMoreThanTwiceASecond) {
  listen();
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.syn();
  peer.expect_nothing();
  EXPECT_EQ(counter("TcpExtTCPACKSkippedSynRecv"), 1u);
  advance(Duration::from_ms(500));
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  EXPECT_EQ(requests(), 1u);
}

TEST_P(OpenTest, TheThirdSegmentMayBringDataAndTheFin) {
  listen();
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg("FP.", 1, 1, 100));
  const int fd = accept();
  advance(Duration::from_ms(200));
  peer.expect(Seg(".", 1, 102));
  EXPECT_EQ(read(fd), stream(1, 100));
  EXPECT_EQ(read_error(fd), -1);
  EXPECT_EQ(state(), State::kCloseWait);
}

TEST_P(OpenTest, DataOfTheSynIsLeftToBeSentAgain) {
  listen();
  peer.send(Seg("S", 0, 0, 50).mss(1000));
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg("P.", 1, 1, 50));
  const int fd = accept();
  peer.expect(Seg(".", 1, 51));
  EXPECT_EQ(read(fd), stream(1, 50));
}

// ---- half open ----

TEST_P(OpenTest, AResetInTheWindowEndsAHalfOpenConnection) {
  listen();
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg("R", 70000));
  EXPECT_EQ(requests(), 1u);
  peer.send(Seg("R", 1));
  EXPECT_EQ(requests(), 0u);
  EXPECT_EQ(counter("TcpAttemptFails"), 1u);
  EXPECT_EQ(counter("TcpExtEmbryonicRsts"), 1u);
  peer.expect_nothing();
}

TEST_P(OpenTest, AnAckOfSomethingElseIsResetAndTheHalfOpenConnectionStays) {
  listen();
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg(".", 1, 2));
  peer.expect(Seg("R", 2));
  peer.send(Seg(".", 1, 0));
  peer.expect(Seg("R", 0));
  EXPECT_EQ(requests(), 1u);
  peer.send(Seg(".", 1, 1));
  accept();
}

TEST_P(OpenTest, ASegmentBeyondTheWindowOfAHalfOpenConnectionIsAcknowledged) {
  listen();
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg(".", 70000, 1, 10));
  peer.expect(Seg(".", 1, 1));
  EXPECT_EQ(requests(), 1u);
}

TEST_P(OpenTest, AnotherSynInTheWindowResetsTheHalfOpenConnection) {
  listen();
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg("S", 100).mss(1000));
  peer.expect(Seg("R.", 0 - *peer.host_iss, 101));  // it acknowledged nothing, so the number is 0
  EXPECT_EQ(requests(), 0u);
}

TEST_P(OpenTest, ASegmentWithoutAckDoesNotOpen) {
  listen();
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg("P", 1, 0, 10));
  peer.expect_nothing();
  EXPECT_EQ(requests(), 1u);
  EXPECT_FALSE(can_accept());
}

TEST_P(OpenTest, ClosingTheListenerForgetsTheHalfOpenAndResetsTheUnaccepted) {
  const int listener = listen();
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  Peer& done = new_peer(5001);
  done.syn();
  done.expect(Seg("S.", 0, 1));
  done.send(Seg(".", 1, 1));
  close(listener);
  EXPECT_EQ(requests(), 0u);
  done.expect(Seg("R.", 1, 1));
  peer.expect_nothing();
  peer.send(Seg(".", 1, 1));
  peer.expect(Seg("R", 1));
}

// ---- nobody, or a listener, is asked ----

TEST_P(OpenTest, AClosedPortAnswersWithAResetThatTheSenderMustBelieve) {
  peer.send(Seg("S", 0));
  peer.expect(Seg("R.", 0, 1));
  peer.send(Seg(".", 1, 1000));
  peer.expect(Seg("R", 1000));
  peer.send(Seg("P", 1, 0, 10));
  peer.expect(Seg("R.", 0, 11));
  peer.send(Seg("R", 1));
  peer.send(Seg("R.", 1, 1));
  peer.expect_nothing();
  EXPECT_EQ(counter("TcpOutRsts"), 3u);
}

TEST_P(OpenTest, AListenerTakesNothingButASyn) {
  listen();
  peer.send(Seg("R", 0));
  peer.send(Seg("R.", 0, 5));
  peer.send(Seg("SF", 0));
  peer.send(Seg("SR", 0));
  peer.send(Seg("", 0));
  peer.send(Seg("F", 0));
  peer.expect_nothing();
  peer.send(Seg(".", 0, 77));
  peer.expect(Seg("R", 77));
  peer.send(Seg("S.", 0, 78));
  peer.expect(Seg("R", 78));
  EXPECT_EQ(requests(), 0u);
}

// ---- limits ----

struct BacklogTest : OpenTest {
  // A listener with room for two, which are there, and a third whose SYN was answered before.
  std::vector<Peer*> overfull() {
    listen(1);
    auto peers = many(3);
    for (Peer* p : {peers[0], peers[1], peers[2]}) {
      p->syn();
      p->expect(Seg("S.", 0, 1));
      if (p == peers[0]) p->send(Seg(".", 1, 1));
    }
    peers[1]->send(Seg(".", 1, 1));
    EXPECT_EQ(requests(), 1u);
    EXPECT_EQ(counter("TcpExtListenOverflows"), 0u);
    peers[2]->send(Seg(".", 1, 1));
    EXPECT_EQ(counter("TcpExtListenOverflows"), 1u);
    EXPECT_EQ(counter("TcpExtListenDrops"), 1u);
    return peers;
  }
};
LEAT_BOTH_FAMILIES(BacklogTest);

TEST_P(BacklogTest, AFullAcceptQueueTakesNoMoreConnections) {
  auto peers = overfull();
  peers[2]->expect_nothing();
  Peer& late = new_peer(7000);
  late.syn();
  late.expect_nothing();
  EXPECT_EQ(counter("TcpExtListenOverflows"), 2u);
  accept();
  accept();
  EXPECT_FALSE(can_accept());
}

TEST_P(BacklogTest, AnAckThatFoundTheQueueFullIsAskedForAgain) {
  auto peers = overfull();
  accept();
  peers[2]->expect_after(Duration::from_s(1), Seg("S.", 0, 1));
  peers[2]->send(Seg(".", 1, 1));
  accept();
  accept();
}

TEST_P(BacklogTest, AnOverflowIsResetWhenTheSysctlSaysSo) {
  ASSERT_TRUE(sysctl("net.ipv4.tcp_abort_on_overflow", "1"));
  auto peers = overfull();
  peers[2]->expect(Seg("R", 1));
  EXPECT_EQ(requests(), 0u);
}

TEST_P(OpenTest, AFloodOfSynsIsAnsweredWithCookiesAndTakesNoMemory) {
  const int listener = listen(1);
  auto peers = many(1000);
  for (Peer* p : peers) {
    p->syn();
    p->expect(Seg("S.", 0, 1));
  }
  EXPECT_EQ(requests(), 2u);
  EXPECT_EQ(packets(), 0u);
  EXPECT_EQ(counter("TcpExtSyncookiesSent"), 998u);
  EXPECT_EQ(counter("TcpExtTCPReqQFullDoCookies"), 998u);
  Peer& guest = *peers[500];
  guest.send(Seg("P.", 1, 1, 100));
  EXPECT_EQ(counter("TcpExtSyncookiesRecv"), 1u);
  guest.expect(Seg(".", 1, 101));
  const int fd = accept(listener);
  EXPECT_EQ(read(fd), stream(1, 100));
  EXPECT_EQ(info(fd).snd_mss, is_v6() ? 1220u : 536u);  // what a cookie can say nearest to 1000, as Linux rounds
  for (Peer* p : peers)
    p->drain();
}

TEST_P(OpenTest, AWrongCookieOpensNothing) {
  listen(0);
  auto peers = many(3);
  for (Peer* p : peers)
    p->syn(), p->expect(Seg("S.", 0, 1));
  peers[2]->send(Seg(".", 1, 0x1000001));
  peers[2]->expect(Seg("R", 0x1000001));
  EXPECT_EQ(counter("TcpExtSyncookiesFailed"), 1u);
  EXPECT_FALSE(can_accept());
}

TEST_P(OpenTest, WithoutCookiesAFullSynQueueDrops) {
  ASSERT_TRUE(sysctl("net.ipv4.tcp_syncookies", "0"));
  listen(1);
  auto peers = many(10);
  for (Peer* p : peers)
    p->syn();
  EXPECT_EQ(requests(), 2u);
  EXPECT_EQ(counter("TcpExtTCPReqQFullDrop"), 8u);
  for (Peer* p : peers)
    p->drain();
}

TEST_P(OpenTest, DeferAcceptWaitsForData) {
  const int listener = listen();
  set(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
  peer.syn();
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg(".", 1, 1));
  EXPECT_FALSE(can_accept());
  EXPECT_EQ(counter("TcpExtTCPDeferAcceptDrop"), 1u);
  peer.send(Seg("P.", 1, 1, 10));
  EXPECT_TRUE(can_accept());
  const int fd = accept();
  peer.expect(Seg(".", 1, 11));
  EXPECT_EQ(read(fd), stream(1, 10));
}

}  // namespace
}  // namespace leat::segment
