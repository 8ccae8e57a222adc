// Fast Open, the server (RFC 7413 §4): cookies, data in the SYN, connections that are not confirmed yet.
#include "segment/fastopen.h"

namespace leat::segment {
namespace {

struct FastOpenServerTest : FastOpenServer {};
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

}  // namespace
}  // namespace leat::segment
