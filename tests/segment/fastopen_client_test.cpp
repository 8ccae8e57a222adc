// Fast Open, the client (RFC 7413 §4.1.3, §4.2.1): how cookies are asked for, kept and used, and what is sent again
// when data in the SYN do not get through.
#include <sys/uio.h>

#include "segment/fastopen.h"

namespace leat::segment {
namespace {

struct FastOpenClientTest : FastOpenClient {};
LEAT_BOTH_FAMILIES(FastOpenClientTest);

// ---- the cookie ----

TEST_P(FastOpenClientTest, TheFirstSynAsksForACookieAndTheSecondUsesIt) {
  get_cookie();
  const int fd = opened(peer, 900);
  peer.send(synack(901));
  peer.expect(Seg(".", 901, 1));
  EXPECT_EQ(state(), State::kEstablished);
  const tcp::TcpInfo i = info(fd);
  EXPECT_EQ(i.options & kSynData, kSynData);
  EXPECT_EQ(i.bytes_acked, 901u);  // Linux counts the SYN
  EXPECT_EQ(i.delivered, 1u);
  EXPECT_EQ(i.unacked, 0u);
  EXPECT_EQ(i.fastopen_client_fail, 0);
  EXPECT_EQ(counter("TcpExtTCPFastOpenActive"), 1u);
  EXPECT_EQ(counter("TcpExtTCPFastOpenActiveFail"), 0u);
}

TEST_P(FastOpenClientTest, WithoutACookieDataWaitForTheConnection) {
  const int fd = bound_socket(peer);
  EXPECT_EQ(open(peer, fd, 500).error(), Errno{EINPROGRESS});
  peer.expect(Seg("S", 0).fo());
  EXPECT_EQ(info(fd).fastopen_client_fail, 1);
  EXPECT_EQ(open(peer, fd, 500).error(), Errno{EALREADY});
  peer.send(synack(1));
  peer.expect(Seg(".", 1, 1));
  EXPECT_EQ(open(peer, fd, 500), 500u);  // connected by now: an ordinary write
  peer.expect(Seg("P.", 1, 1, 500));
  EXPECT_EQ(open(peer, fd, 500).error(), Errno{EISCONN});
}

TEST_P(FastOpenClientTest, OnlyAsMuchAsTheServersMssAllowsGoesWithTheSyn) {
  get_cookie(kCookie, 600);
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 2000), 560u);  // 40 bytes are left for options
  peer.expect(Seg("S", 0, 0, 560).fo(kCookie));
  peer.send(synack(561, 600));
  peer.expect(Seg(".", 561, 1));
}

TEST_P(FastOpenClientTest, ACookieOfSixteenBytesIsKept) {
  const Bytes cookie = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  get_cookie(cookie);
  EXPECT_EQ(open(peer, bound_socket(peer), 10), 10u);
  peer.expect(Seg("S", 0, 0, 10).fo(cookie));
}

TEST_P(FastOpenClientTest, AMalformedCookieIsNotKept) {
  for (const Bytes& o : {Bytes{34, 4, 1, 2}, Bytes{34, 5, 1, 2, 3}, Bytes{34, 255, 1, 2, 3, 4}}) {
    Peer& p = fresh();
    const int fd = bound_socket(p);
    EXPECT_EQ(open(p, fd, 10).error(), Errno{EINPROGRESS});
    p.next();
    p.send(Seg("S.", 0, 1).raw(o));
    p.expect(Seg(".", 1, 1));
    end(p, fd);
  }
}

TEST_P(FastOpenClientTest, ACookieThatNobodyAskedForIsNotKept) {
  Peer& p = fresh();
  const int fd = bound_socket(p);
  EXPECT_EQ(connect(p, fd).error(), Errno{EINPROGRESS});
  p.expect(Seg("S", 0).no_fo());
  p.send(synack(1).fo(kCookie));
  p.expect(Seg(".", 1, 1));
  EXPECT_EQ(open(peer, bound_socket(peer), 10).error(), Errno{EINPROGRESS});
  peer.expect(Seg("S", 0).fo());
}

TEST_P(FastOpenClientTest, ANewCookieReplacesTheOld) {
  get_cookie();
  Peer& p = fresh();
  EXPECT_EQ(open(p, bound_socket(p), 10), 10u);
  p.expect(Seg("S", 0, 0, 10).fo(kCookie));
  p.send(synack(11).fo({9, 9, 9, 9}));
  p.expect(Seg(".", 11, 1));
  EXPECT_EQ(open(peer, bound_socket(peer), 10), 10u);
  peer.expect(Seg("S", 0, 0, 10).fo({9, 9, 9, 9}));
}

TEST_P(FastOpenClientTest, AServerThatDoesNotAnswerIsAskedByTheExperimentalNumberNext) {
  for (const bool experimental : {false, true, false}) {
    Peer& p = fresh();
    const int fd = bound_socket(p);
    EXPECT_EQ(open(p, fd, 10).error(), Errno{EINPROGRESS});
    p.expect(Seg("S", 0).fo({}, experimental));
    p.send(synack(1));
    p.expect(Seg(".", 1, 1));
    end(p, fd);
  }
}

TEST_P(FastOpenClientTest, AnExperimentalCookieIsUsedByItsNumber) {
  Peer& p = fresh();
  EXPECT_EQ(open(p, bound_socket(p), 10).error(), Errno{EINPROGRESS});
  p.expect(Seg("S", 0).fo());
  p.send(synack(1).fo(kCookie, true));
  p.expect(Seg(".", 1, 1));
  EXPECT_EQ(open(peer, bound_socket(peer), 10), 10u);
  peer.expect(Seg("S", 0, 0, 10).fo(kCookie, true));
}

TEST_P(FastOpenClientTest, ASysctlOrAnOptionSendsDataWithoutACookie) {
  const int fd = bound_socket(peer);
  set(fd, IPPROTO_TCP, kFastOpenNoCookie, 1);
  ASSERT_EQ(open(peer, fd, 1000), 1000u);
  peer.expect(Seg("S", 0, 0, 1000).no_fo());
  peer.send(synack(1001));
  peer.expect(Seg(".", 1001, 1));
  EXPECT_EQ(info(fd).options & kSynData, kSynData);
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen", "5"));
  Peer& p = fresh();
  ASSERT_EQ(open(p, bound_socket(p), 1000), 960u);  // the server's MSS is known
  p.expect(Seg("S", 0, 0, 960).no_fo());
}

// ---- the call ----

TEST_P(FastOpenClientTest, WhatCannotBeDoneSaysWhy) {
  const int fd = bound_socket(peer);
  const sockaddr none{AF_UNSPEC, {}};
  EXPECT_EQ(stack().sendto(fd, "x", 1, kMsgFastOpen, &none, sizeof none).error(), Errno{EOPNOTSUPP});
  EXPECT_EQ(stack().send(fd, "x", 1, kMsgFastOpen).error(), Errno{EINVAL});
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen", "2"));
  EXPECT_EQ(open(peer, fd, 1).error(), Errno{EOPNOTSUPP});
  int one = 1;
  EXPECT_EQ(stack().setsockopt(fd, IPPROTO_TCP, kFastOpenConnect, &one, sizeof one).error(), Errno{EOPNOTSUPP});
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen", "1"));
  EXPECT_EQ(open(peer, listen(1, 81), 1).error(), Errno{EISCONN});
  peer.expect_nothing();
}

TEST_P(FastOpenClientTest, AnEmptySendWithACookieSendsItWithoutData) {
  get_cookie();
  const int fd = bound_socket(peer);
  EXPECT_EQ(open(peer, fd, 0).error(), Errno{EINPROGRESS});
  peer.expect(Seg("S", 0).fo(kCookie));
  peer.send(synack(1));
  peer.expect(Seg(".", 1, 1));
  EXPECT_EQ(info(fd).options & kSynData, 0);
}

TEST_P(FastOpenClientTest, SeveralPiecesGoIntoOneSyn) {
  get_cookie();
  const int fd = bound_socket(peer);
  const std::string text = stream(1, 700);
  iovec pieces[] = {{const_cast<char*>(text.data()), 100},
                    {const_cast<char*>(text.data()), 0},
                    {const_cast<char*>(text.data()) + 100, 599},
                    {const_cast<char*>(text.data()) + 699, 1}};
  const Endpoint to = peer_endpoint(peer.port);
  msghdr m{};
  m.msg_name = const_cast<sockaddr*>(to.data());
  m.msg_namelen = to.length();
  m.msg_iov = pieces;
  m.msg_iovlen = 4;
  EXPECT_EQ(stack().sendmsg(fd, &m, kMsgFastOpen), 700u);
  peer.expect(Seg("S", 0, 0, 700).fo(kCookie));
}

// ---- TCP_FASTOPEN_CONNECT ----

TEST_P(FastOpenClientTest, ConnectIsPutOffUntilTheFirstWrite) {
  get_cookie();
  const int fd = bound_socket(peer);
  set(fd, IPPROTO_TCP, kFastOpenConnect, 1);
  EXPECT_TRUE(connect(peer, fd));
  peer.expect_nothing_for(Duration::from_s(10));
  EXPECT_EQ(events(fd), POLLOUT);
  EXPECT_EQ(read_error(fd), EAGAIN);
  EXPECT_EQ(connect(peer, fd).error(), Errno{EISCONN});
  EXPECT_EQ(write(fd, 400), 400u);
  peer.expect(Seg("S", 0, 0, 400).fo(kCookie));
  EXPECT_EQ(write_error(fd), EAGAIN);
  peer.send(synack(401));
  peer.expect(Seg(".", 401, 1));
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 401, 1, 100));
  EXPECT_TRUE(connect(peer, fd));
  EXPECT_EQ(connect(peer, fd).error(), Errno{EISCONN});
}

TEST_P(FastOpenClientTest, ConnectWithoutACookieAsksForOne) {
  const int fd = bound_socket(peer);
  set(fd, IPPROTO_TCP, kFastOpenConnect, 1);
  EXPECT_EQ(connect(peer, fd).error(), Errno{EINPROGRESS});
  peer.expect(Seg("S", 0).fo());
  peer.send(synack(1).fo(kCookie));
  peer.expect(Seg(".", 1, 1));
  Peer& p = fresh();
  const int second = bound_socket(p);
  set(second, IPPROTO_TCP, kFastOpenConnect, 1);
  EXPECT_TRUE(connect(p, second));
  write(second, 10);
  p.expect(Seg("S", 0, 0, 10).fo(kCookie));
}

TEST_P(FastOpenClientTest, AConnectThatWasPutOffMayBeClosed) {
  get_cookie();
  const int fd = bound_socket(peer);
  set(fd, IPPROTO_TCP, kFastOpenConnect, 1);
  EXPECT_TRUE(connect(peer, fd));
  close(fd);
  peer.expect_nothing_for(Duration::from_s(100));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(FastOpenClientTest, AConnectThatWasPutOffMayBeUndone) {
  get_cookie();
  const int fd = bound_socket(peer);
  set(fd, IPPROTO_TCP, kFastOpenConnect, 1);
  EXPECT_TRUE(connect(peer, fd));
  const sockaddr none{AF_UNSPEC, {}};
  EXPECT_TRUE(stack().connect(fd, &none, sizeof none));
  EXPECT_EQ(write_error(fd), ECONNRESET);
  EXPECT_EQ(write_error(fd), EPIPE);
  peer.expect_nothing();
}

// ---- what goes wrong ----

TEST_P(FastOpenClientTest, DataThatWereNotTakenAreSentAgainAtOnce) {
  get_cookie();
  const int fd = opened(peer, 800);
  peer.send(synack(1));
  peer.expect(Seg("P.", 1, 1, 800));
  EXPECT_EQ(counter("TcpExtTCPFastOpenActiveFail"), 1u);
  EXPECT_EQ(info(fd).fastopen_client_fail, 2);
  EXPECT_EQ(info(fd).options & kSynData, 0);
  peer.send(Seg(".", 1, 801));
  EXPECT_EQ(info(fd).unacked, 0u);
  EXPECT_EQ(info(fd).ca_state, 0);
  write(fd, 0);
}

TEST_P(FastOpenClientTest, WhatWasNotTakenOfTheDataIsSentAgain) {
  get_cookie();
  const int fd = opened(peer, 800);
  peer.send(synack(301));
  peer.expect(Seg("P.", 301, 1, 500));
  EXPECT_EQ(counter("TcpExtTCPFastOpenActiveFail"), 1u);
  peer.send(Seg(".", 1, 801));
  EXPECT_EQ(info(fd).unacked, 0u);
}

TEST_P(FastOpenClientTest, DataAreSentAgainInSmallerSegmentsWhenTheMssHasShrunk) {
  get_cookie();
  const int fd = opened(peer, 900);
  peer.send(synack(1, 400));
  uint32_t next = 1;
  for (const Seg& s : peer.drain()) {
    EXPECT_EQ(s.seq, next);
    EXPECT_LE(s.length, 400u);
    EXPECT_EQ(*s.data, stream(s.seq, s.length));
    next += s.length;
  }
  EXPECT_EQ(next, 901u);
  peer.send(Seg(".", 1, 901));
  EXPECT_EQ(info(fd).unacked, 0u);
}

TEST_P(FastOpenClientTest, ASynAckOfWhatWasNeverSentIsReset) {
  get_cookie();
  ASSERT_EQ(open(peer, bound_socket(peer), 800), 800u);
  peer.expect(Seg("S", 0, 0, 800).fo(kCookie));
  peer.send(synack(802));
  peer.expect_reset(802);
  EXPECT_EQ(state(), State::kSynSent);
  peer.send(Seg("S.", 0, 0));
  peer.expect_reset(0);
  peer.expect_after(Duration::from_ms(2), Seg("S", 0).no_fo());
}

TEST_P(FastOpenClientTest, ALostSynIsSentAgainBareAndTheDataOnceItIsAnswered) {
  get_cookie();
  const int fd = opened(peer, 800);
  peer.expect_after(Duration::from_s(1), Seg("S", 0).no_fo());
  peer.send(synack(1));
  peer.expect(Seg("P.", 1, 1, 800));
  EXPECT_EQ(info(fd).fastopen_client_fail, 3);
  peer.send(Seg(".", 1, 801));
  EXPECT_EQ(info(fd).unacked, 0u);
}

TEST_P(FastOpenClientTest, ALateAnswerToTheFirstSynStillTakesItsData) {
  get_cookie();
  const int fd = opened(peer, 800);
  peer.expect_after(Duration::from_s(1), Seg("S", 0).no_fo());
  peer.send(synack(801));
  peer.expect(Seg(".", 801, 1));
  EXPECT_EQ(info(fd).options & kSynData, kSynData);
  EXPECT_EQ(counter("TcpExtTCPFastOpenActive"), 1u);
}

TEST_P(FastOpenClientTest, AResetRefuses) {
  get_cookie();
  const int fd = opened(peer, 100);
  peer.send(Seg("R.", 0, 101));
  EXPECT_EQ(write_error(fd), ECONNREFUSED);
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(FastOpenClientTest, SilenceEndsInATimeOut) {
  get_cookie();
  const int fd = bound_socket(peer);
  set(fd, IPPROTO_TCP, TCP_SYNCNT, 2);
  ASSERT_EQ(open(peer, fd, 100), 100u);
  peer.expect(Seg("S", 0, 0, 100));
  advance(Duration::from_s(60));
  for (const Seg& s : peer.drain())
    EXPECT_EQ(s.length, 0u);
  EXPECT_EQ(write_error(fd), ETIMEDOUT);
}

// ---- data with the SYN-ACK ----

TEST_P(FastOpenClientTest, DataThatComeWithTheSynAckAreTaken) {
  get_cookie();
  const int fd = opened(peer, 100);
  Seg s("S.", 0, 101, 400);
  peer.send(s.mss(1000).sack_ok());
  peer.expect(Seg(".", 101, 401));
  EXPECT_EQ(read(fd), stream(1, 400));
  peer.send(Seg("P.", 401, 101, 10));
  EXPECT_EQ(read(fd), stream(401, 10));
  advance(Duration::from_ms(300));
  peer.expect(Seg(".", 101, 411));
}

TEST_P(FastOpenClientTest, AFinThatComesWithTheSynAckEndsTheStream) {
  get_cookie();
  const int fd = opened(peer, 100);
  Seg s("SF.", 0, 101, 400);
  peer.send(s.mss(1000).sack_ok());
  peer.expect_after(Duration::from_ms(200), Seg(".", 101, 402));  // perhaps the user has something to say to it
  EXPECT_EQ(read(fd), stream(1, 400));
  EXPECT_EQ(read_error(fd), -1);
  EXPECT_EQ(state(), State::kCloseWait);
}

TEST_P(FastOpenClientTest, WithoutFastOpenTheyAreLeft) {
  const int fd = bound_socket(peer);
  EXPECT_EQ(connect(peer, fd).error(), Errno{EINPROGRESS});
  peer.expect(Seg("S", 0).no_fo());
  Seg s("S.", 0, 1, 400);
  peer.send(s.mss(1000));
  peer.expect(Seg(".", 1, 1));
  EXPECT_EQ(read_error(fd), EAGAIN);
}

// ---- crossed SYNs ----

TEST_P(FastOpenClientTest, CrossedSynsOpenAndTheDataFollow) {
  get_cookie();
  const int fd = opened(peer, 300);
  Seg s("S", 0, 0, 200);
  peer.send(s.mss(1000).sack_ok());
  peer.expect(Seg("S.", 0, 1).no_fo());
  peer.send(Seg("S.", 0, 301).mss(1000).sack_ok());
  EXPECT_EQ(state(), State::kEstablished);
  peer.drain();
  peer.send(Seg("P.", 1, 301, 200));
  EXPECT_EQ(read(fd), stream(1, 200));
  peer.drain();
}

// What is left behind is looked for when the test ends.
TEST_P(FastOpenClientTest, WhateverAServerAnswersNothingIsLeftBehind) {
  get_cookie();
  Rng rng{Seed{}};
  constexpr const char* kFlags[] = {"S.", "S.", "S.", ".", "P.", "F.", "R", "R.", "S", "SF.", "FP."};
  for (int round = 0; round < 300; ++round) {
    Peer& p = new_peer(5500);
    const int fd = bound_socket(p);
    if (rng.below(4) == 0) set(fd, IPPROTO_TCP, kFastOpenConnect, 1), (void)connect(p, fd);
    uint32_t sent = 0;
    if (rng.below(8) != 0) sent = static_cast<uint32_t>(open(p, fd, rng.below(2000)).value_or(0));
    p.drain();
    for (uint32_t n = rng.below(8); n > 0; --n) {
      Seg s(kFlags[rng.below(std::size(kFlags))], rng.below(3) == 0 ? rng.below(2000) : 0,
            rng.below(2) == 0 ? sent + 1 : rng.below(1500), rng.below(3) == 0 ? rng.below(1400) : 0);
      if (rng.below(2) == 0) s.mss(static_cast<uint16_t>(rng.below(1500)));
      if (rng.below(2) == 0) s.fo(Bytes(rng.below(9) * 2, static_cast<uint8_t>(round)), rng.below(2) == 0);
      if (p.host_iss) p.send(s);
      p.drain();
      if (rng.below(3) == 0) (void)stack().send(fd, "abc", 3, MSG_NOSIGNAL);
      if (rng.below(5) == 0) advance(Duration::from_ms(rng.below(3000)));
      p.drain();
      read(fd);
    }
    end(p, fd);
    advance(Duration::from_ms(10));
    p.drain();
  }
  EXPECT_GT(counter("TcpExtTCPFastOpenActive"), 10u);
  EXPECT_GT(counter("TcpExtTCPFastOpenActiveFail"), 10u);
}

}  // namespace
}  // namespace leat::segment
