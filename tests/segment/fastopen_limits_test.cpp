// What resets, lies and floods get out of a server with Fast Open (RFC 7413 §5.1).
#include "segment/fastopen.h"

namespace leat::segment {
namespace {

struct FastOpenLimitsTest : FastOpenServer {};
LEAT_BOTH_FAMILIES(FastOpenLimitsTest);

TEST_P(FastOpenLimitsTest, AResetEndsAChildThatWaitsToBeAccepted) {
  listen_fast(1);
  const Bytes cookie = ask_for_cookie();
  peer.send(syn(10, cookie));
  peer.expect(Seg("S.", 0, 11));
  peer.send(Seg("R", 11));
  EXPECT_EQ(state(), State::kClose);
  const int fd = accept();
  EXPECT_EQ(stack().recv(fd, buffer_, sizeof buffer_, 0), 10u);  // what came is not lost
  EXPECT_EQ(read_error(fd), ECONNRESET);
  Peer& p = fresh();  // its place is free at once
  p.send(syn(10, cookie));
  p.expect(Seg("S.", 0, 11));
  p.send(Seg(".", 11, 1));
}

TEST_P(FastOpenLimitsTest, AResetAfterAcceptCountsForAMinuteMore) {
  listen_fast(1);
  const Bytes cookie = ask_for_cookie();
  const int fd = open_fast(peer, 10, cookie);
  peer.send(Seg("R", 11));
  EXPECT_EQ(error(fd), ECONNRESET);
  close(fd);
  Peer& refused = fresh();
  refused.send(syn(10, cookie));
  refused.expect(Seg("S.", 0, 1).no_fo());
  EXPECT_EQ(counter("TcpExtTCPFastOpenListenOverflow"), 1u);
  refused.send(Seg("R", 1));
  advance(Duration::from_s(61));
  Peer& p = fresh();
  p.send(syn(10, cookie));
  p.expect(Seg("S.", 0, 11));
  p.send(Seg(".", 11, 1));
}

TEST_P(FastOpenLimitsTest, AResetOutsideTheWindowIsNotBelieved) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  peer.send(Seg("R", 11 + 70000));
  peer.send(Seg("R", 5));
  EXPECT_EQ(state(), State::kSynRecv);
  EXPECT_EQ(error(fd), 0);
  peer.drain();
  peer.send(Seg(".", 11, 1));
  EXPECT_EQ(state(), State::kEstablished);
}

TEST_P(FastOpenLimitsTest, BeyondTheLimitHandshakesAreOrdinary) {
  listen_fast(2);
  const Bytes cookie = ask_for_cookie();
  for (int i = 0; i < 2; ++i)
    open_fast(fresh(), 10, cookie);
  peer.send(syn(10, cookie));
  peer.expect(Seg("S.", 0, 1).no_fo());
  EXPECT_EQ(counter("TcpExtTCPFastOpenListenOverflow"), 1u);
  peer.send(Seg("P.", 1, 1, 10));
  peer.expect(Seg(".", 1, 11));
  EXPECT_EQ(state(), State::kEstablished);
}

TEST_P(FastOpenLimitsTest, ConfirmedConnectionsDoNotCount) {
  listen_fast(1);
  const Bytes cookie = ask_for_cookie();
  for (int i = 0; i < 5; ++i) {
    Peer& p = fresh();
    open_fast(p, 10, cookie);
    p.send(Seg(".", 11, 1));
  }
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassive"), 5u);
  EXPECT_EQ(counter("TcpExtTCPFastOpenListenOverflow"), 0u);
}

TEST_P(FastOpenLimitsTest, AFloodWithAGoodCookieHoldsNoMoreThanTheLimit) {
  listen_fast(16, 64);
  const Bytes cookie = ask_for_cookie();
  for (int i = 0; i < 1000; ++i) {
    Peer& p = fresh();
    p.send(syn(900, cookie));
    p.drain();
  }
  EXPECT_EQ(connections(), 1u + 16u);
  EXPECT_LE(requests(), 16u + 65u);
  EXPECT_LE(packets(), 100u);
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassive"), 16u);
  advance(Duration::from_s(200));
  for (uint16_t port = 6000; port < next_port_; ++port)
    new_peer(port);
  EXPECT_EQ(requests(), 0u);
}

TEST_P(FastOpenLimitsTest, AFloodOfSynsAndResetsIsBoundedToo) {
  listen_fast(8);
  const Bytes cookie = ask_for_cookie();
  for (int i = 0; i < 100; ++i) {
    Peer& p = fresh();
    p.send(syn(10, cookie));
    if (can_accept()) {
      const int fd = accept();
      p.send(Seg("R", 11));
      close(fd);
    } else {
      p.send(Seg("R", 1));
    }
    p.drain();
  }
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassive"), 8u);
  EXPECT_EQ(requests(), 8u);
  EXPECT_EQ(connections(), 1u);
}

TEST_P(FastOpenLimitsTest, AFullAcceptQueueDropsTheSyn) {
  listen_fast(10, 1);
  const Bytes cookie = ask_for_cookie();
  for (int i = 0; i < 2; ++i) {
    Peer& p = fresh();
    p.send(syn(10, cookie));
    p.expect(Seg("S.", 0, 11));
    p.send(Seg(".", 11, 1));
  }
  peer.send(syn(10, cookie));
  peer.expect_nothing();
  EXPECT_EQ(counter("TcpExtListenOverflows"), 1u);
}

TEST_P(FastOpenLimitsTest, SynCookiesComeBeforeFastOpen) {
  listen_fast();
  const Bytes cookie = ask_for_cookie();
  EXPECT_TRUE(sysctl("net.ipv4.tcp_syncookies", "2"));
  peer.send(syn(10, cookie));
  peer.expect(Seg("S.", 0, 1).no_fo());
  EXPECT_EQ(requests(), 0u);
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassive"), 0u);
}

TEST_P(FastOpenLimitsTest, DeferAcceptDoesNotHoldAFastOpenBack) {
  set(listen_fast(), IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
  const int fd = open_fast(peer, 0, ask_for_cookie());
  peer.send(Seg(".", 1, 1));
  EXPECT_EQ(state(), State::kEstablished);
  (void)fd;
}

TEST_P(FastOpenLimitsTest, AnAckOfWhatWasNeverSentIsReset) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  peer.send(Seg(".", 11, 5000));
  peer.expect(Seg("R", 5000));
  EXPECT_EQ(state(), State::kSynRecv);
  EXPECT_EQ(error(fd), 0);
  peer.send(Seg(".", 11, 1));
  EXPECT_EQ(state(), State::kEstablished);
}

TEST_P(FastOpenLimitsTest, DataOutsideTheWindowAreAnsweredAndDropped) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  peer.send(Seg("P.", 11 + 100000, 1, 10));
  peer.expect(Seg(".", 1, 11));
  EXPECT_EQ(state(), State::kSynRecv);
  peer.send(Seg(".", 11, 1));
  EXPECT_EQ(read(fd), stream(1, 10));
}

TEST_P(FastOpenLimitsTest, ASynInsideTheWindowIsReset) {
  listen_fast();
  open_fast(peer, 10, ask_for_cookie());
  peer.send(Seg("S", 20));
  peer.expect(Seg("R.", 0u - kHostIss, 21));  // sequence number 0, for there was no ACK
  EXPECT_EQ(state(), State::kSynRecv);
}

// What is left behind is looked for when the test ends.
TEST_P(FastOpenLimitsTest, WhateverPeersAndUsersDoNothingIsLeftBehind) {
  const int l = listen_fast(6, 8);
  const Bytes good = ask_for_cookie();
  Rng rng{Seed{}};
  std::vector<Peer*> peers;
  for (int i = 0; i < 8; ++i)
    peers.push_back(&fresh());
  std::vector<int> fds;
  constexpr const char* kFlags[] = {"S", "S", "S", ".", ".", "P.", "F.", "R", "R.", "S.", "SF", "FP.", "", "FP"};
  for (int step = 0; step < 6000; ++step) {
    Peer& p = *peers[rng.below(8)];
    Seg s(kFlags[rng.below(std::size(kFlags))], rng.below(4) == 0 ? rng.below(70000) : rng.below(40), rng.below(60),
          rng.below(3) == 0 ? rng.below(1400) : 0);
    if (s.flags == "S") s.seq = rng.below(8) == 0 ? 7 : 0;
    if (rng.below(2) == 0) s.fo(rng.below(4) == 0 ? Bytes(8, 7) : good, rng.below(2) == 0);
    p.send(s);
    p.drain();
    if (rng.below(3) == 0 && can_accept(l)) fds.push_back(accept(l));
    if (!fds.empty()) {
      const size_t i = rng.below(static_cast<uint32_t>(fds.size()));
      switch (rng.below(6)) {
        case 0:
          read(fds[i]);
          break;
        case 1:
          (void)stack().send(fds[i], "abc", 3, MSG_NOSIGNAL);
          break;
        case 2:
          close(fds[i]);
          fds.erase(fds.begin() + static_cast<ptrdiff_t>(i));
          break;
        default:
          break;
      }
    }
    if (rng.below(20) == 0) advance(Duration::from_ms(rng.below(3000)));
    ASSERT_LE(connections(), 200u);
    ASSERT_LE(requests(), 40u);
  }
  EXPECT_GT(counter("TcpExtTCPFastOpenPassive"), 50u);
  EXPECT_GT(counter("TcpExtTCPFastOpenPassiveFail"), 10u);
  for (Peer* p : peers)
    p->drain();
  for (const int fd : fds)
    close(fd);
  for (Peer* p : peers)
    p->drain();
  advance(Duration::from_s(3600));
  for (Peer* p : peers)
    p->drain();
}

}  // namespace
}  // namespace leat::segment
