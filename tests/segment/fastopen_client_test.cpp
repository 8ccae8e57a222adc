// Fast Open, the client (RFC 7413 §4.1.3, §4.2.1): how cookies are asked for, kept and used, what is sent again when
// data in the SYN do not get through, and when it is given up for a while.
#include <sys/uio.h>

#include "segment/harness.h"

namespace leat::segment {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr int kFastOpen = 0x20000000;  // MSG_FASTOPEN
constexpr int kFastOpenConnect = 30, kFastOpenNoCookie = 34;
constexpr uint8_t kSynData = 32;
const Bytes kCookie = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};

struct FastOpenClientTest : SegmentTest {
  Peer& fresh() { return new_peer(next_port_++); }

  int bound_socket(const Peer& p) {
    const int fd = socket();
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    const Endpoint from = host_endpoint(p.host_port);
    EXPECT_TRUE(stack().bind(fd, from.data(), from.length()));
    return fd;
  }

  // sendto(MSG_FASTOPEN) of the stream's first n bytes.
  Result<size_t> open(const Peer& p, int fd, size_t n, uint32_t from = 1) {
    const Endpoint to = peer_endpoint(p.port);
    const std::string text = stream(from, n);
    const auto sent = stack().sendto(fd, text.data(), n, kFastOpen | MSG_DONTWAIT, to.data(), to.length());
    settle();
    return sent;
  }

  Result<void> connect(const Peer& p, int fd) {
    const Endpoint to = peer_endpoint(p.port);
    const auto done = stack().connect(fd, to.data(), to.length());
    settle();
    return done;
  }

  static Seg synack(uint32_t ack, uint16_t mss = 1000) { return Seg("S.", 0, ack).mss(mss).sack_ok(); }

  // The cookie is in the cache afterwards.
  void get_cookie(const Bytes& cookie = kCookie, uint16_t mss = 1000) {
    Peer& p = fresh();
    const int fd = bound_socket(p);
    EXPECT_EQ(open(p, fd, 100).error(), Errno{EINPROGRESS});
    p.expect(Seg("S", 0).fo());
    p.send(synack(1, mss).fo(cookie));
    p.expect(Seg(".", 1, 1));
    end(p, fd);
  }

  void end(Peer& p, int fd) {
    set_linger(fd, true, 0);
    close(fd);
    p.drain();
  }

  uint16_t next_port_ = 6000;
};
LEAT_BOTH_FAMILIES(FastOpenClientTest);

// ---- the cookie ----

TEST_P(FastOpenClientTest, TheFirstSynAsksForACookieAndTheSecondUsesIt) {
  get_cookie();
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 900), 900u);
  peer.expect(Seg("S", 0, 0, 900).fo(kCookie));
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
  EXPECT_EQ(stack().sendto(fd, "x", 1, kFastOpen, &none, sizeof none).error(), Errno{EOPNOTSUPP});
  EXPECT_EQ(stack().send(fd, "x", 1, kFastOpen).error(), Errno{EINVAL});
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
  EXPECT_EQ(stack().sendmsg(fd, &m, kFastOpen), 700u);
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
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 800), 800u);
  peer.expect(Seg("S", 0, 0, 800).fo(kCookie));
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
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 800), 800u);
  peer.expect(Seg("S", 0, 0, 800).fo(kCookie));
  peer.send(synack(301));
  peer.expect(Seg("P.", 301, 1, 500));
  EXPECT_EQ(counter("TcpExtTCPFastOpenActiveFail"), 1u);
  peer.send(Seg(".", 1, 801));
  EXPECT_EQ(info(fd).unacked, 0u);
}

TEST_P(FastOpenClientTest, DataAreSentAgainInSmallerSegmentsWhenTheMssHasShrunk) {
  get_cookie();
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 900), 900u);
  peer.expect(Seg("S", 0, 0, 900).fo(kCookie));
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
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 800), 800u);
  peer.expect(Seg("S", 0, 0, 800).fo(kCookie));
  peer.expect_after(Duration::from_s(1), Seg("S", 0).no_fo());
  peer.send(synack(1));
  peer.expect(Seg("P.", 1, 1, 800));
  EXPECT_EQ(info(fd).fastopen_client_fail, 3);
  peer.send(Seg(".", 1, 801));
  EXPECT_EQ(info(fd).unacked, 0u);
}

TEST_P(FastOpenClientTest, ALateAnswerToTheFirstSynStillTakesItsData) {
  get_cookie();
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 800), 800u);
  peer.expect(Seg("S", 0, 0, 800).fo(kCookie));
  peer.expect_after(Duration::from_s(1), Seg("S", 0).no_fo());
  peer.send(synack(801));
  peer.expect(Seg(".", 801, 1));
  EXPECT_EQ(info(fd).options & kSynData, kSynData);
  EXPECT_EQ(counter("TcpExtTCPFastOpenActive"), 1u);
}

TEST_P(FastOpenClientTest, AResetRefuses) {
  get_cookie();
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 100), 100u);
  peer.expect(Seg("S", 0, 0, 100));
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
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 100), 100u);
  peer.expect(Seg("S", 0, 0, 100));
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
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 100), 100u);
  peer.expect(Seg("S", 0, 0, 100));
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
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 300), 300u);
  peer.expect(Seg("S", 0, 0, 300));
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

// ---- blackholes ----

TEST_P(FastOpenClientTest, ThreeTimeOutsInARowSwitchItOffForAWhile) {
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "100"));
  get_cookie();
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 100), 100u);
  peer.expect(Seg("S", 0, 0, 100));
  for (int i = 0; i < 2; ++i)
    peer.expect_after(Duration::from_s(1), Seg("S", 0).no_fo());
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 0u);
  peer.expect_after(Duration::from_s(1), Seg("S", 0).no_fo());
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 1u);
  end(peer, fd);
  Peer& p = fresh();
  const int careful = bound_socket(p);
  EXPECT_EQ(open(p, careful, 100).error(), Errno{EINPROGRESS});
  p.expect(Seg("S", 0).no_fo());
  end(p, careful);
  advance(Duration::from_s(101));
  Peer& again = fresh();
  EXPECT_EQ(open(again, bound_socket(again), 100), 100u);
  again.expect(Seg("S", 0, 0, 100).fo(kCookie));
  again.send(synack(101));
  again.expect(Seg(".", 101, 1));
}

TEST_P(FastOpenClientTest, TheSecondTimeItIsOffForTwiceAsLongUntilItWorks) {
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "100"));
  get_cookie();
  for (int i = 0; i < 2; ++i) {
    Peer& p = fresh();
    const int fd = bound_socket(p);
    ASSERT_EQ(open(p, fd, 100), 100u);
    p.expect(Seg("S", 0, 0, 100));
    advance(Duration::from_ms(3500));
    p.drain();
    end(p, fd);
    advance(Duration::from_s(101));
  }
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 2u);
  const int fd = bound_socket(peer);
  EXPECT_EQ(open(peer, fd, 100).error(), Errno{EINPROGRESS});
  peer.expect(Seg("S", 0).no_fo());
  end(peer, fd);
  advance(Duration::from_s(100));
  Peer& works = fresh();
  const int good = bound_socket(works);
  ASSERT_EQ(open(works, good, 100), 100u);
  works.expect(Seg("S", 0, 0, 100));
  works.send(synack(101));
  works.expect(Seg(".", 101, 1));
  works.send(Seg("P.", 1, 101, 10));
  read(good);
  end(works, good);
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "100"));
  EXPECT_EQ(*stack().get_sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec"), "100");
  EXPECT_EQ(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "-1").error(), Errno{EINVAL});
}

TEST_P(FastOpenClientTest, AResetOutOfOrderBeforeAnyDataIsASignOfABlackhole) {
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "100"));
  get_cookie();
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 100), 100u);
  peer.expect(Seg("S", 0, 0, 100));
  peer.send(synack(101));
  peer.expect(Seg(".", 101, 1));
  peer.send(Seg("R", 500));
  peer.expect(Seg(".", 101, 1));  // the challenge
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 1u);
}

TEST_P(FastOpenClientTest, AFinWhoseDataNeverCameIsASignOfABlackhole) {
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "100"));
  get_cookie();
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 100), 100u);
  peer.expect(Seg("S", 0, 0, 100));
  peer.send(synack(101));
  peer.expect(Seg(".", 101, 1));
  peer.send(Seg("F.", 501, 101));
  peer.drain();
  end(peer, fd);
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 1u);
}

TEST_P(FastOpenClientTest, ByDefaultBlackholesAreNotLookedFor) {
  EXPECT_EQ(*stack().get_sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec"), "0");
  get_cookie();
  const int fd = bound_socket(peer);
  ASSERT_EQ(open(peer, fd, 100), 100u);
  peer.expect(Seg("S", 0, 0, 100));
  advance(Duration::from_s(5));
  peer.drain();
  end(peer, fd);
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 0u);
  Peer& p = fresh();
  EXPECT_EQ(open(p, bound_socket(p), 100), 100u);
  p.expect(Seg("S", 0, 0, 100).fo(kCookie));
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
