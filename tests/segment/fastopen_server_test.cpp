// Fast Open, the server (RFC 7413 §4): cookies, data in the SYN, connections that are not confirmed yet, and what a
// peer that lies or floods gets out of it.
#include "segment/harness.h"

namespace leat::segment {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr int kFastOpen = 23, kFastOpenKey = 33, kFastOpenNoCookie = 34;
constexpr uint8_t kSynData = 32, kChild = 128;

struct FastOpenServerTest : SegmentTest {
  FastOpenServerTest() {
    EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen", "2"));
    EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_key", "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"));
  }

  int listen_fast(int limit = 10, int backlog = 128) {
    const int fd = listen(backlog);
    set(fd, IPPROTO_TCP, kFastOpen, limit);
    return fd;
  }

  Peer& fresh() { return new_peer(next_port_++); }

  // As a client gets it: it asks, and goes away.
  Bytes ask_for_cookie(bool experimental = false) {
    Peer& p = fresh();
    p.send(Seg("S", 0).mss(1000).fo({}, experimental));
    const Seg s = p.expect(Seg("S.", 0, 1));
    p.send(Seg("R", 1));
    EXPECT_TRUE(s.cookie && s.cookie->experimental == experimental);
    if (!s.cookie) return {};
    return {s.cookie->bytes.begin(), s.cookie->bytes.begin() + s.cookie->length};
  }

  static Seg syn(uint32_t n, const Bytes& cookie) {
    Seg s("S", 0, 0, n);
    return s.mss(1000).sack_ok().fo(cookie);
  }

  // A child in SYN_RECV with n bytes to read, accepted.
  int open_fast(Peer& p, uint32_t n, const Bytes& cookie) {
    p.send(syn(n, cookie));
    p.expect(Seg("S.", 0, 1 + n).no_fo());
    return accept();
  }

  Result<void> set_keys(int fd, const Bytes& keys) {
    return stack().setsockopt(fd, IPPROTO_TCP, kFastOpenKey, keys.data(), static_cast<socklen_t>(keys.size()));
  }
  Bytes get_keys(int fd) {
    Bytes keys(64);
    auto length = static_cast<socklen_t>(keys.size());
    EXPECT_TRUE(stack().getsockopt(fd, IPPROTO_TCP, kFastOpenKey, keys.data(), &length));
    keys.resize(length);
    return keys;
  }
  int get(int fd, int name) {
    int v = -1;
    socklen_t length = sizeof v;
    EXPECT_TRUE(stack().getsockopt(fd, IPPROTO_TCP, name, &v, &length));
    return v;
  }

  uint16_t next_port_ = 6000;
  char buffer_[100];
};
LEAT_BOTH_FAMILIES(FastOpenServerTest);

// ---- cookies ----

TEST_P(FastOpenServerTest, WhoAsksIsGivenACookieAndAnOrdinaryHandshake) {
  listen_fast();
  peer.send(Seg("S", 0).mss(1000).fo());
  const Seg s = peer.expect(Seg("S.", 0, 1));
  ASSERT_TRUE(s.cookie);
  EXPECT_EQ(s.cookie->length, 8);
  EXPECT_EQ(requests(), 1u);
  EXPECT_FALSE(can_accept());
  peer.send(Seg(".", 1, 1));
  EXPECT_EQ(info(accept()).options & (kSynData | kChild), 0);
  EXPECT_EQ(counter("TcpExtTCPFastOpenCookieReqd"), 1u);
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassive"), 0u);
}

TEST_P(FastOpenServerTest, TheExperimentalOptionIsAnsweredInKind) {
  listen_fast();
  const Bytes exp = ask_for_cookie(true);
  EXPECT_EQ(exp, ask_for_cookie(false));
  peer.send(Seg("S", 0, 0, 100).mss(1000).fo(exp, true));
  peer.expect(Seg("S.", 0, 101).no_fo());
  peer.send(Seg(".", 101, 1));
}

TEST_P(FastOpenServerTest, DataWithAWrongCookieAreLeftAndTheRightCookieIsGiven) {
  listen_fast();
  const Bytes good = ask_for_cookie();
  Bytes bad = good;
  bad[7] ^= 1;
  peer.send(syn(500, bad));
  peer.expect(Seg("S.", 0, 1).fo(good));
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassiveFail"), 1u);
  peer.send(Seg("P.", 1, 1, 500));
  peer.expect(Seg(".", 1, 501));
  EXPECT_EQ(read(accept()), stream(1, 500));
}

TEST_P(FastOpenServerTest, ACookieOfAnotherLengthIsWrong) {
  listen_fast();
  const Bytes good = ask_for_cookie();
  for (const size_t n : {4u, 6u, 10u, 16u}) {
    Bytes bad = good;
    bad.resize(n);
    Peer& p = fresh();
    p.send(syn(10, bad));
    p.expect(Seg("S.", 0, 1).fo(good));
  }
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassiveFail"), 4u);
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassive"), 0u);
}

TEST_P(FastOpenServerTest, AMalformedOptionIsNone) {
  listen_fast();
  const Bytes odd = {34, 5, 1, 2, 3}, two = {34, 4, 1, 2},
              long_one = {34, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
  for (const Bytes& o : {odd, two, long_one}) {
    Peer& p = fresh();
    p.send(Seg("S", 0, 0, 10).raw(o));
    p.expect(Seg("S.", 0, 1).no_fo());
  }
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassiveFail"), 0u);
}

TEST_P(FastOpenServerTest, DataWithoutAnOptionAreLeft) {
  listen_fast();
  peer.send(Seg("S", 0, 0, 10).mss(1000));
  peer.expect(Seg("S.", 0, 1).no_fo());
}

TEST_P(FastOpenServerTest, NothingIsAnsweredWhereItIsNotSwitchedOn) {
  listen();  // without TCP_FASTOPEN
  peer.send(Seg("S", 0).mss(1000).fo());
  peer.expect(Seg("S.", 0, 1).no_fo());
}

TEST_P(FastOpenServerTest, NothingIsAnsweredWithoutTheServersBit) {
  listen_fast();
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen", "1"));
  peer.send(Seg("S", 0).mss(1000).fo());
  peer.expect(Seg("S.", 0, 1).no_fo());
  EXPECT_EQ(counter("TcpExtTCPFastOpenCookieReqd"), 1u);
}

TEST_P(FastOpenServerTest, ABitOfTheSysctlOpensAllListeners) {
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen", "0x402"));
  const int fd = listen(7);
  EXPECT_EQ(get(fd, kFastOpen), 7);
  EXPECT_EQ(ask_for_cookie().size(), 8u);
}

TEST_P(FastOpenServerTest, ABitOfTheSysctlTakesDataWithoutACookie) {
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen", "0x202"));
  listen_fast();
  peer.send(Seg("S", 0, 0, 400).mss(1000));
  peer.expect(Seg("S.", 0, 401).no_fo());
  EXPECT_EQ(read(accept()), stream(1, 400));
  peer.send(Seg(".", 401, 1));
}

TEST_P(FastOpenServerTest, AListenerMayTakeDataWithoutACookie) {
  set(listen_fast(), IPPROTO_TCP, kFastOpenNoCookie, 1);
  peer.send(syn(400, {1, 2, 3, 4}));
  peer.expect(Seg("S.", 0, 401).no_fo());
  EXPECT_EQ(read(accept()), stream(1, 400));
  peer.send(Seg(".", 401, 1));
}

// ---- keys ----

TEST_P(FastOpenServerTest, AnOldKeysCookieIsTakenAndTheNewKeysGiven) {
  const int fd = listen_fast();
  const Bytes first(16, 1);
  ASSERT_TRUE(set_keys(fd, first));
  const Bytes old = ask_for_cookie();
  Bytes both(16, 2);
  both.insert(both.end(), first.begin(), first.end());
  ASSERT_TRUE(set_keys(fd, both));
  EXPECT_EQ(get_keys(fd), both);
  const Bytes fresh_cookie = ask_for_cookie();
  EXPECT_NE(old, fresh_cookie);
  peer.send(syn(100, old));
  peer.expect(Seg("S.", 0, 101).fo(fresh_cookie));
  peer.send(Seg(".", 101, 1));
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassiveAltKey"), 1u);
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassive"), 1u);
  Peer& p = fresh();
  p.send(syn(100, fresh_cookie));
  p.expect(Seg("S.", 0, 101).no_fo());
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassiveAltKey"), 1u);
  p.send(Seg(".", 101, 1));
}

TEST_P(FastOpenServerTest, AKeyHasSixteenBytesOrTwiceThat) {
  const int fd = socket();
  for (const size_t n : {0u, 1u, 15u, 17u, 31u, 33u})
    EXPECT_EQ(set_keys(fd, Bytes(n)).error(), Errno{EINVAL}) << n;
  ASSERT_TRUE(set_keys(fd, Bytes(32, 9)));
  EXPECT_EQ(get_keys(fd), Bytes(32, 9));
  ASSERT_TRUE(set_keys(fd, Bytes(16, 8)));
  EXPECT_EQ(get_keys(fd), Bytes(16, 8));
}

TEST_P(FastOpenServerTest, TheNamespacesKeysArePrintedAsTheyWereWritten) {
  const char* name = "net.ipv4.tcp_fastopen_key";
  EXPECT_EQ(*stack().get_sysctl(name), "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4");
  const char* two = "00000001-00000002-00000003-00000004,0000000a-0000000b-0000000c-0000000d";
  ASSERT_TRUE(sysctl(name, two));
  EXPECT_EQ(*stack().get_sysctl(name), two);
  for (const char* bad : {"", "1-2-3", "1-2-3-x", "1-2-3-4,5-6-7", "g-1-2-3"})
    EXPECT_EQ(sysctl(name, bad).error(), Errno{EINVAL}) << bad;
  EXPECT_EQ(*stack().get_sysctl(name), two);
  const Bytes keys = get_keys(socket());
  ASSERT_EQ(keys.size(), 32u);
  EXPECT_EQ(keys[0], 1);
  EXPECT_EQ(keys[28], 13);
}

TEST_P(FastOpenServerTest, TheLimitMayBeSetBeforeAndAfterListen) {
  const int fd = socket();
  EXPECT_EQ(get(fd, kFastOpen), 0);
  set(fd, IPPROTO_TCP, kFastOpen, 5);
  EXPECT_EQ(get(fd, kFastOpen), 5);
  const Endpoint at = host_endpoint();
  ASSERT_TRUE(stack().bind(fd, at.data(), at.length()));
  ASSERT_TRUE(stack().listen(fd, 10));
  EXPECT_EQ(ask_for_cookie().size(), 8u);
  set(fd, IPPROTO_TCP, kFastOpen, 1 << 20);
  EXPECT_EQ(get(fd, kFastOpen), 4096);  // somaxconn
  int v = -1;
  EXPECT_EQ(stack().setsockopt(fd, IPPROTO_TCP, kFastOpen, &v, sizeof v).error(), Errno{EINVAL});
  set(fd, IPPROTO_TCP, kFastOpen, 0);
  peer.send(Seg("S", 0).mss(1000).fo());
  peer.expect(Seg("S.", 0, 1).no_fo());
  peer.send(Seg(".", 1, 1));
  const int child = stack().accept(fd, nullptr, nullptr).value();
  EXPECT_EQ(stack().setsockopt(child, IPPROTO_TCP, kFastOpen, &v, sizeof v).error(), Errno{EINVAL});
}

// ---- a connection that is not confirmed ----

TEST_P(FastOpenServerTest, DataAreReadAndAnsweredBeforeTheHandshakeEnds) {
  listen_fast();
  const int fd = open_fast(peer, 500, ask_for_cookie());
  EXPECT_EQ(state(), State::kSynRecv);
  EXPECT_EQ(events(fd) & (POLLIN | POLLOUT), POLLIN | POLLOUT);
  EXPECT_EQ(read(fd), stream(1, 500));
  EXPECT_EQ(write(fd, 300), 300u);
  peer.expect(Seg("P.", 1, 501, 300));
  peer.send(Seg(".", 501, 301));
  EXPECT_EQ(state(), State::kEstablished);
  EXPECT_EQ(requests(), 0u);
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassive"), 1u);
  EXPECT_EQ(counter("TcpPassiveOpens"), 1u);
  const tcp::TcpInfo i = info(fd);
  EXPECT_EQ(i.options & (kSynData | kChild), kSynData | kChild);
  EXPECT_EQ(i.bytes_received, 500u);
  EXPECT_EQ(i.bytes_acked, 300u);
  EXPECT_EQ(i.segs_in, 2u);
  EXPECT_EQ(i.data_segs_in, 1u);
  peer.send(Seg("P.", 501, 301, 100));
  EXPECT_EQ(read(fd), stream(501, 100));
  peer.expect(Seg(".", 301, 601));
}

TEST_P(FastOpenServerTest, DataThatCrossTheWrapOfSequenceNumbersAreRead) {
  listen_fast();
  peer.isn = 0xfffffff0;
  const int fd = open_fast(peer, 900, ask_for_cookie());
  EXPECT_EQ(read(fd), stream(1, 900));
  peer.send(Seg("P.", 901, 1, 100));
  EXPECT_EQ(read(fd), stream(901, 100));
  peer.expect(Seg(".", 1, 1001));
}

TEST_P(FastOpenServerTest, ACookieWithoutDataMakesAChildAsWell) {
  listen_fast();
  const int fd = open_fast(peer, 0, ask_for_cookie());
  EXPECT_EQ(state(), State::kSynRecv);
  EXPECT_EQ(read_error(fd), EAGAIN);
  peer.send(Seg(".", 1, 1));
  EXPECT_EQ(state(), State::kEstablished);
  EXPECT_EQ(info(fd).options & (kSynData | kChild), kChild);
}

TEST_P(FastOpenServerTest, TheThirdSegmentMayCarryData) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  peer.send(Seg("P.", 11, 1, 90));
  EXPECT_EQ(read(fd), stream(1, 100));
  peer.expect(Seg(".", 1, 101));
}

TEST_P(FastOpenServerTest, ASecondSynIsAnsweredAgainWithoutACookie) {
  const Bytes first(16, 1), second(16, 2);
  const int fd = listen_fast();
  ASSERT_TRUE(set_keys(fd, first));
  const Bytes old = ask_for_cookie();
  Bytes both = second;
  both.insert(both.end(), first.begin(), first.end());
  ASSERT_TRUE(set_keys(fd, both));
  peer.send(syn(50, old));
  EXPECT_TRUE(peer.expect(Seg("S.", 0, 51)).cookie);
  peer.send(syn(50, old));
  peer.expect(Seg("S.", 0, 51).no_fo());
  EXPECT_EQ(counter("TcpRetransSegs"), 1u);
  peer.send(Seg(".", 51, 1));
  EXPECT_EQ(read(accept()), stream(1, 50));
}

TEST_P(FastOpenServerTest, OnlyTheSynAckIsSentAgainAndOnceMoreThanUsual) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  write(fd, 100);
  peer.expect(Seg("P.", 1, 11, 100));
  for (const int s : {1, 2, 4, 8, 16, 32})
    peer.expect_after(Duration::from_s(s), Seg("S.", 0, 11).no_fo());
  EXPECT_EQ(read(fd), stream(1, 10));
  peer.expect_nothing_for(Duration::from_s(65));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(read_error(fd), ETIMEDOUT);
  EXPECT_EQ(counter("TcpExtTCPSynRetrans"), 6u);
}

TEST_P(FastOpenServerTest, DataAreSentAgainOnceTheSynAckIsAnswered) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  write(fd, 100);
  peer.expect(Seg("P.", 1, 11, 100));  // is lost
  peer.expect_after(Duration::from_s(1), Seg("S.", 0, 11));
  peer.send(Seg(".", 11, 1));
  EXPECT_EQ(state(), State::kEstablished);
  advance(Duration::from_s(4));
  const auto all = peer.drain();
  ASSERT_FALSE(all.empty());
  for (const Seg& s : all) {
    EXPECT_EQ(s.seq, 1u);
    EXPECT_EQ(s.length, 100u);
  }
  peer.send(Seg(".", 11, 101));
  EXPECT_EQ(info(fd).unacked, 0u);
}

TEST_P(FastOpenServerTest, AUserMayCloseBeforeTheHandshakeEnds) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  EXPECT_EQ(read(fd), stream(1, 10));
  write(fd, 20);
  peer.expect(Seg("P.", 1, 11, 20));
  close(fd);
  peer.expect(Seg("F.", 21, 11));
  EXPECT_EQ(state(), State::kFinWait1);
  peer.expect_after(Duration::from_s(1), Seg("S.", 0, 11));
  peer.send(Seg(".", 11, 22));
  EXPECT_EQ(state(), State::kFinWait2);
  peer.send(Seg("F.", 11, 22));
  peer.expect(Seg(".", 22, 12));
}

TEST_P(FastOpenServerTest, CloseWithUnreadDataResets) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  close(fd);
  peer.expect(Seg("R.", 1, 11));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(connections(), 1u);
}

TEST_P(FastOpenServerTest, ShutdownWaitsForTheHandshake) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  shutdown(fd, SHUT_WR);
  peer.expect_nothing();
  peer.send(Seg(".", 11, 1));
  peer.expect(Seg("F.", 1, 11));
}

TEST_P(FastOpenServerTest, AListenerThatClosesResetsWhomNobodyAccepted) {
  const int l = listen_fast();
  const Bytes cookie = ask_for_cookie();
  peer.send(syn(10, cookie));
  peer.expect(Seg("S.", 0, 11));
  Peer& kept = fresh();
  kept.send(syn(20, cookie));
  kept.expect(Seg("S.", 0, 21));
  const int fd = accept();  // the first
  close(l);
  kept.expect(Seg("R.", 1, 21));
  EXPECT_EQ(state(), State::kSynRecv);
  peer.send(Seg(".", 11, 1));
  EXPECT_EQ(state(), State::kEstablished);
  EXPECT_EQ(read(fd), stream(1, 10));
}

TEST_P(FastOpenServerTest, ASocketThatListenedMayConnectWhileAChildOfItIsOpening) {
  const int l = listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  const sockaddr none{AF_UNSPEC, {}};
  ASSERT_TRUE(stack().connect(l, &none, sizeof none));
  EXPECT_EQ(get(l, kFastOpen), 10);
  peer.send(Seg(".", 11, 1));
  EXPECT_EQ(state(), State::kEstablished);
  EXPECT_EQ(read(fd), stream(1, 10));
}

// ---- resets, limits, liars ----

TEST_P(FastOpenServerTest, AResetEndsAChildThatWaitsToBeAccepted) {
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

TEST_P(FastOpenServerTest, AResetAfterAcceptCountsForAMinuteMore) {
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

TEST_P(FastOpenServerTest, AResetOutsideTheWindowIsNotBelieved) {
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

TEST_P(FastOpenServerTest, BeyondTheLimitHandshakesAreOrdinary) {
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

TEST_P(FastOpenServerTest, ConfirmedConnectionsDoNotCount) {
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

TEST_P(FastOpenServerTest, AFloodWithAGoodCookieHoldsNoMoreThanTheLimit) {
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

TEST_P(FastOpenServerTest, AFloodOfSynsAndResetsIsBoundedToo) {
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

TEST_P(FastOpenServerTest, AFullAcceptQueueDropsTheSyn) {
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

TEST_P(FastOpenServerTest, SynCookiesComeBeforeFastOpen) {
  listen_fast();
  const Bytes cookie = ask_for_cookie();
  EXPECT_TRUE(sysctl("net.ipv4.tcp_syncookies", "2"));
  peer.send(syn(10, cookie));
  peer.expect(Seg("S.", 0, 1).no_fo());
  EXPECT_EQ(requests(), 0u);
  EXPECT_EQ(counter("TcpExtTCPFastOpenPassive"), 0u);
}

TEST_P(FastOpenServerTest, DeferAcceptDoesNotHoldAFastOpenBack) {
  set(listen_fast(), IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
  const int fd = open_fast(peer, 0, ask_for_cookie());
  peer.send(Seg(".", 1, 1));
  EXPECT_EQ(state(), State::kEstablished);
  (void)fd;
}

TEST_P(FastOpenServerTest, AnAckOfWhatWasNeverSentIsReset) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  peer.send(Seg(".", 11, 5000));
  peer.expect(Seg("R", 5000));
  EXPECT_EQ(state(), State::kSynRecv);
  EXPECT_EQ(error(fd), 0);
  peer.send(Seg(".", 11, 1));
  EXPECT_EQ(state(), State::kEstablished);
}

TEST_P(FastOpenServerTest, DataOutsideTheWindowAreAnsweredAndDropped) {
  listen_fast();
  const int fd = open_fast(peer, 10, ask_for_cookie());
  peer.send(Seg("P.", 11 + 100000, 1, 10));
  peer.expect(Seg(".", 1, 11));
  EXPECT_EQ(state(), State::kSynRecv);
  peer.send(Seg(".", 11, 1));
  EXPECT_EQ(read(fd), stream(1, 10));
}

TEST_P(FastOpenServerTest, ASynInsideTheWindowIsReset) {
  listen_fast();
  open_fast(peer, 10, ask_for_cookie());
  peer.send(Seg("S", 20));
  peer.expect(Seg("R.", 0u - kHostIss, 21));  // sequence number 0, for there was no ACK
  EXPECT_EQ(state(), State::kSynRecv);
}

// What is left behind is looked for when the test ends.
TEST_P(FastOpenServerTest, WhateverPeersAndUsersDoNothingIsLeftBehind) {
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
