// What arrives: in order and not, twice and in part; when it is acknowledged, with which SACK blocks, and what window
// is offered (RFC 9293 §3.8.6, §3.10.7.4 first and seventh; RFC 1122 §4.2.3.2; RFC 2018; RFC 2883; RFC 7323).
#include <sys/ioctl.h>

#include "segment/harness.h"

namespace leat::segment {
namespace {

using Blocks = std::vector<wire::SackBlock>;

struct ReceiveTest : SegmentTest {
  Duration ms(int64_t n) const { return Duration::from_ms(n); }
  int without_quickack() {
    const int fd = establish();
    set(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
    return fd;
  }
  void without_compression() { ASSERT_TRUE(sysctl("net.ipv4.tcp_comp_sack_nr", "0")); }
};
LEAT_BOTH_FAMILIES(ReceiveTest);

// ---- acknowledging ----

TEST_P(ReceiveTest, TheFirstSegmentsAreAcknowledgedAtOnce) {
  const int fd = establish();
  for (uint32_t i = 0; i < 4; ++i) {
    peer.send(Seg("P.", 1 + 100 * i, 1, 100));
    peer.expect(Seg(".", 1, 101 + 100 * i));
  }
  EXPECT_EQ(read(fd), stream(1, 400));
}

TEST_P(ReceiveTest, ALoneSegmentIsAcknowledgedAfterFortyMilliseconds) {
  const int fd = without_quickack();
  peer.send(Seg("P.", 1, 1, 100));
  peer.expect_after(ms(40), Seg(".", 1, 101));
  EXPECT_EQ(counter("TcpExtDelayedACKs"), 1u);
  EXPECT_EQ(read(fd), stream(1, 100));
}

TEST_P(ReceiveTest, EverySecondFullSegmentIsAcknowledgedAtOnce) {
  const int fd = without_quickack();
  for (uint32_t at = 1; at < 11200; at += 2800) {
    peer.send(Seg(".", at, 1, 1400));
    peer.expect_nothing();
    peer.send(Seg(".", at + 1400, 1, 1400));
    peer.expect(Seg(".", 1, at + 2800));
    EXPECT_EQ(read(fd), stream(at, 2800));
  }
}

TEST_P(ReceiveTest, AnAnswerCarriesTheAck) {
  const int fd = without_quickack();
  peer.send(Seg("P.", 1, 1, 100));
  advance(ms(10));
  EXPECT_EQ(write(fd, 50), 50u);
  peer.expect(Seg("P.", 1, 101, 50));
  peer.send(Seg(".", 101, 51));
  peer.expect_nothing_for(ms(300));
  EXPECT_EQ(read(fd), stream(1, 100));
}

TEST_P(ReceiveTest, ASegmentThatFillsAGapIsAcknowledgedAtOnce) {
  const int fd = without_quickack();
  peer.send(Seg(".", 1001, 1, 1000));
  peer.expect(Seg(".", 1, 1).sack({{1001, 2001}}));
  peer.send(Seg(".", 1, 1, 1000));
  peer.expect(Seg(".", 1, 2001));
  EXPECT_EQ(read(fd), stream(1, 2000));
}

// ---- out of order, doubled, overlapping ----

TEST_P(ReceiveTest, SegmentsInAnyOrderMakeOneStream) {
  const int fd = establish();
  for (const uint32_t i : {7u, 3u, 9u, 0u, 5u, 1u, 8u, 2u, 6u, 4u})
    peer.send(Seg("P.", 1 + 300 * i, 1, 300));
  peer.drain();
  EXPECT_EQ(read(fd), stream(1, 3000));
  EXPECT_EQ(packets(), 0u);
}

TEST_P(ReceiveTest, TheNewestSackBlockComesFirst) {
  without_compression();
  establish();
  peer.send(Seg(".", 1001, 1, 500));
  peer.expect(Seg(".", 1, 1).sack({{1001, 1501}}));
  peer.send(Seg(".", 3001, 1, 500));
  peer.expect(Seg(".", 1, 1).sack({{3001, 3501}, {1001, 1501}}));
  peer.send(Seg(".", 5001, 1, 500));
  peer.expect(Seg(".", 1, 1).sack({{5001, 5501}, {3001, 3501}, {1001, 1501}}));
  peer.send(Seg(".", 7001, 1, 500));
  peer.expect(Seg(".", 1, 1).sack({{7001, 7501}, {5001, 5501}, {3001, 3501}, {1001, 1501}}));
  peer.send(Seg(".", 9001, 1, 500));  // four fit
  peer.expect(Seg(".", 1, 1).sack({{9001, 9501}, {7001, 7501}, {5001, 5501}, {3001, 3501}}));
  peer.send(Seg(".", 5501, 1, 500));  // an old one grows and comes to the front
  peer.expect(Seg(".", 1, 1).sack({{5001, 6001}, {9001, 9501}, {7001, 7501}, {3001, 3501}}));
  peer.send(Seg(".", 6001, 1, 1000));  // two grow together
  peer.expect(Seg(".", 1, 1).sack({{5001, 7501}, {9001, 9501}, {3001, 3501}}));
}

TEST_P(ReceiveTest, WithTimestampsThreeBlocksFit) {
  without_compression();
  peer.timestamps = true;
  establish();
  for (uint32_t i = 0; i < 5; ++i)
    peer.send(Seg(".", 1001 + 2000 * i, 1, 500));
  EXPECT_EQ(peer.drain().back().sacks, (Blocks{{9001, 9501}, {7001, 7501}, {5001, 5501}}));
}

TEST_P(ReceiveTest, BlocksLeaveAsTheirGapsAreFilled) {
  without_compression();
  establish();
  peer.send(Seg(".", 1001, 1, 1000));
  peer.send(Seg(".", 3001, 1, 1000));
  peer.drain();
  peer.send(Seg(".", 1, 1, 1000));
  peer.expect(Seg(".", 1, 2001).sack({{3001, 4001}}));
  peer.send(Seg(".", 2001, 1, 1000));
  peer.expect(Seg(".", 1, 4001));
}

TEST_P(ReceiveTest, AfterThreeDuplicatesAcksOfAHoleAreCompressed) {
  peer.timestamps = true;
  const int fd = without_quickack();
  for (uint32_t i = 0; i < 3; ++i) {  // the peer's distance is measured by its timestamps: 40 ms
    peer.send(Seg("P.", 1 + 1000 * i, 1, 1000));
    advance(ms(40));
    EXPECT_EQ(read(fd), stream(1 + 1000 * i, 1000));
  }
  peer.drain();
  set(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
  for (uint32_t i = 0; i < 10; ++i)
    peer.send(Seg(".", 4001 + 1000 * i, 1, 1000));
  EXPECT_EQ(peer.drain().size(), 3u);
  peer.expect_after(ms(1), Seg(".", 1, 3001).sack({{4001, 14001}}));
  EXPECT_EQ(counter("TcpExtTCPAckCompressed"), 6u);
}

TEST_P(ReceiveTest, ADuplicateIsReportedAsSuch) {
  const int fd = establish();
  peer.send(Seg("P.", 1, 1, 1000));
  peer.expect(Seg(".", 1, 1001));
  peer.send(Seg("P.", 1, 1, 1000));
  peer.expect(Seg(".", 1, 1001).sack({{1, 1001}}));
  peer.send(Seg("P.", 501, 1, 1000));  // half of it
  peer.expect(Seg(".", 1, 1501).sack({{501, 1001}}));
  EXPECT_EQ(counter("TcpExtTCPDSACKOldSent"), 2u);
  EXPECT_EQ(read(fd), stream(1, 1500));
}

TEST_P(ReceiveTest, ADuplicateOutOfOrderIsReportedBeforeItsBlock) {
  without_compression();
  const int fd = establish();
  peer.send(Seg(".", 1001, 1, 1000));
  peer.expect(Seg(".", 1, 1).sack({{1001, 2001}}));
  peer.send(Seg(".", 1001, 1, 1000));
  peer.expect(Seg(".", 1, 1).sack({{1001, 2001}, {1001, 2001}}));
  peer.send(Seg(".", 1501, 1, 1000));
  peer.expect(Seg(".", 1, 1).sack({{1501, 2001}, {1001, 2501}}));
  EXPECT_EQ(counter("TcpExtTCPDSACKOfoSent"), 2u);
  peer.send(Seg(".", 1, 1, 1000));
  EXPECT_EQ(read(fd), stream(1, 2500));
  peer.drain();
}

TEST_P(ReceiveTest, WithoutSackNobodyIsToldOfBlocks) {
  peer.sack = false;
  const int fd = establish();
  peer.send(Seg(".", 1001, 1, 1000));
  peer.expect(Seg(".", 1, 1));
  peer.send(Seg(".", 1001, 1, 1000));
  peer.expect(Seg(".", 1, 1));
  peer.send(Seg(".", 1, 1, 1000));
  peer.expect(Seg(".", 1, 2001));
  EXPECT_EQ(read(fd), stream(1, 2000));
}

TEST_P(ReceiveTest, DsackCanBeSwitchedOff) {
  ASSERT_TRUE(sysctl("net.ipv4.tcp_dsack", "0"));
  const int fd = establish();
  peer.send(Seg("P.", 1, 1, 100));
  peer.expect(Seg(".", 1, 101));
  peer.send(Seg("P.", 1, 1, 100));
  peer.expect(Seg(".", 1, 101));
  EXPECT_EQ(read(fd), stream(1, 100));
}

// ---- the window that is offered ----

TEST_P(ReceiveTest, TheWindowIsScaledByWhatTheSynAckSaid) {
  peer.wscale = 0;
  listen();
  peer.syn();
  peer.expect(Seg("S.", 0, 1).ws(10).win(is_v6() ? 64800 : 64240));
  peer.send(Seg(".", 1, 1));
  const int fd = accept();
  peer.send(Seg("P.", 1, 1, 1000));
  const Seg ack = peer.expect(Seg(".", 1, 1001));
  EXPECT_GE(uint32_t{*ack.window} << 10, 60000u);
  EXPECT_LE(uint32_t{*ack.window}, 70u);
  EXPECT_EQ(read(fd), stream(1, 1000));
}

// Short segments are charged more for each byte than the window was reckoned with: what was offered is taken all the
// same, the buffer grows with it as long as nobody has fixed its size.
TEST_P(ReceiveTest, WhatWasOfferedIsTakenHoweverItIsCut) {
  const int fd = establish();
  uint32_t next = 1, edge = 60001;
  while (next < edge) {
    while (next < edge) {
      const uint32_t length = std::min(edge - next, 592u);
      peer.send(Seg(".", next, 1, length));
      next += length;
    }
    advance(ms(40));
    const auto acks = peer.drain();
    ASSERT_FALSE(acks.empty());
    EXPECT_EQ(acks.back().ack, next);
    edge = acks.back().ack + *acks.back().window;
  }
  EXPECT_EQ(counter("TcpExtRcvPruned"), 0u);
  EXPECT_EQ(read(fd), stream(1, next - 1));
  EXPECT_FALSE(peer.drain().empty());  // the window opens again
}

struct SmallBufferTest : ReceiveTest {
  int establish_small(int bytes) {
    const int listener = listen();
    set(listener, SOL_SOCKET, SO_RCVBUF, bytes);
    return establish();
  }
};
LEAT_BOTH_FAMILIES(SmallBufferTest);

TEST_P(SmallBufferTest, TheRightEdgeOfTheWindowNeverMovesBack) {
  establish_small(16384);
  uint32_t edge = 0, next = 1;
  for (int i = 0; i < 200; ++i) {
    peer.send(Seg(".", next, 1, 1400));
    for (const Seg& s : peer.drain()) {
      EXPECT_GE(s.ack + *s.window, edge) << "after " << i;
      edge = s.ack + *s.window;
      next = s.ack;
    }
    if (edge < next + 1400) break;
    advance(ms(1));
  }
  EXPECT_GT(next, 4000u);
  EXPECT_LT(edge - next, 1400u);
}

TEST_P(SmallBufferTest, AFullBufferOffersNothingAndTakesNoProbe) {
  const int fd = establish_small(8192);
  uint32_t next = 1, window = 65535;
  for (int i = 0; i < 100 && window != 0; ++i) {
    peer.send(Seg("P.", next, 1, std::min(1400u, window)));
    advance(ms(40));
    for (const Seg& s : peer.drain())
      next = s.ack, window = *s.window;
  }
  ASSERT_EQ(window, 0u);
  peer.send(Seg("P.", next, 1, 1));
  peer.expect(Seg(".", 1, next).win(0));
  EXPECT_EQ(counter("TcpExtBeyondWindow"), 1u);
  EXPECT_GE(counter("TcpExtTCPToZeroWindowAdv"), 1u);
  EXPECT_EQ(read(fd, 10), stream(1, 10));  // not worth telling
  peer.expect_nothing();
  EXPECT_EQ(read(fd), stream(11, next - 11));
  const Seg update = peer.expect(Seg(".", 1, next));
  EXPECT_GT(*update.window, 2000u);
  EXPECT_EQ(counter("TcpExtTCPFromZeroWindowAdv"), 1u);
  EXPECT_EQ(packets(), 0u);
}

// What a packet is charged beyond its bytes must not eat the window that was offered.
TEST_P(SmallBufferTest, ManySmallSegmentsFitIntoTheWindow) {
  const int fd = establish_small(32768);
  for (uint32_t at = 1; at < 5001; ++at)
    peer.send(Seg("P.", at, 1, 1));
  advance(ms(200));
  const auto acks = peer.drain();
  ASSERT_FALSE(acks.empty());
  EXPECT_EQ(acks.back().ack, 5001u);
  EXPECT_GT(*acks.back().window, 5000u);
  EXPECT_LT(packets(), 120u);
  EXPECT_GT(counter("TcpExtTCPRcvCoalesce"), 4800u);
  peer.send(Seg("FP.", 5001, 1, 100));
  EXPECT_EQ(read(fd), stream(1, 5100));
  EXPECT_EQ(read_error(fd), -1);
  advance(ms(200));
  peer.drain();
}

// RFC 9293 §3.8.6.2.2: a reader who takes a byte at a time does not make the window creep.
TEST_P(SmallBufferTest, SmallReadsDoNotOpenTheWindowBySmallSteps) {
  const int fd = establish_small(8192);
  uint32_t next = 1, window = 65535;
  for (int i = 0; i < 100 && window != 0; ++i) {
    peer.send(Seg("P.", next, 1, std::min(1400u, window)));
    advance(ms(40));
    for (const Seg& s : peer.drain())
      next = s.ack, window = *s.window;
  }
  std::vector<uint32_t> updates;
  for (uint32_t i = 1; i < next; ++i) {
    ASSERT_EQ(read(fd, 1).size(), 1u);
    for (const Seg& s : peer.drain())
      updates.push_back(*s.window);
  }
  EXPECT_LE(updates.size(), 4u);
  for (const uint32_t w : updates)
    EXPECT_GE(w, 500u);
}

// ---- timestamps ----

TEST_P(ReceiveTest, TheTimestampOfTheSegmentThatWasAcknowledgedLastIsEchoed) {
  peer.timestamps = true;
  const int fd = without_quickack();
  const uint32_t t = peer.clock();
  peer.send(Seg(".", 1, 1, 1400).ts(t + 1, peer.last_tsval()));
  peer.send(Seg(".", 1401, 1, 1400).ts(t + 2, peer.last_tsval()));  // RFC 7323 §4.3: the first one's counts
  EXPECT_EQ(peer.expect(Seg(".", 1, 2801)).tsecr, t + 1);
  peer.send(Seg(".", 4201, 1, 1400).ts(t + 9, peer.last_tsval()));  // nor that of one out of order
  EXPECT_EQ(peer.expect(Seg(".", 1, 2801).sack({{4201, 5601}})).tsecr, t + 1);
  EXPECT_EQ(read(fd), stream(1, 2800));
}

TEST_P(ReceiveTest, ASegmentWithAnOldTimestampIsDroppedAndAcknowledged) {
  peer.timestamps = true;
  const int fd = establish();
  const uint32_t t = peer.clock();
  peer.send(Seg("P.", 1, 1, 100).ts(t + 1000, peer.last_tsval()));
  peer.expect(Seg(".", 1, 101));
  peer.send(Seg("P.", 101, 1, 100).ts(t + 900, peer.last_tsval()));
  peer.expect(Seg(".", 1, 101));
  EXPECT_EQ(counter("TcpExtPAWSEstab"), 1u);
  EXPECT_EQ(read(fd), stream(1, 100));
  peer.send(Seg("P.", 101, 1, 100).ts(t + 1000, peer.last_tsval()));
  peer.expect(Seg(".", 1, 201));
  EXPECT_EQ(read(fd), stream(101, 100));
}

TEST_P(ReceiveTest, TimestampsWrapToo) {
  peer.timestamps = true;
  listen();
  peer.send(Seg("S", 0).mss(1000).sack_ok().ts(0xfffffff0, 0));
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg(".", 1, 1).ts(0xfffffff8, peer.last_tsval()));
  const int fd = accept();
  peer.send(Seg("P.", 1, 1, 100).ts(8, peer.last_tsval()));
  EXPECT_EQ(peer.expect(Seg(".", 1, 101)).tsecr, 8u);
  peer.send(Seg("P.", 101, 1, 100).ts(0xfffffff9, peer.last_tsval()));
  peer.expect(Seg(".", 1, 101));
  EXPECT_EQ(counter("TcpExtPAWSEstab"), 1u);
  EXPECT_EQ(read(fd), stream(1, 100));
}

// Whoever had no clock for 24 days is believed (RFC 7323 §5.5).
TEST_P(ReceiveTest, AfterTwentyFourDaysAnOldTimestampIsNoReason) {
  peer.timestamps = true;
  const int fd = establish();
  const uint32_t t = peer.clock();
  peer.send(Seg("P.", 1, 1, 100).ts(t, peer.last_tsval()));
  peer.drain();
  advance(Duration::from_s(25 * 24 * 3600));
  peer.send(Seg("P.", 101, 1, 100).ts(t - 1000, peer.last_tsval()));
  peer.expect(Seg(".", 1, 201));
  EXPECT_EQ(read(fd), stream(1, 200));
}

TEST_P(ReceiveTest, AResetNeedsNoTimestamp) {
  peer.timestamps = true;
  establish();
  peer.send(Seg("R", 1).ts(peer.clock() - 5000, 0));
  EXPECT_EQ(state(), State::kClose);
}

// ---- urgent ----

TEST_P(ReceiveTest, AnUrgentByteIsReadByItself) {
  const int fd = establish();
  peer.send(Seg("PU.", 1, 1, 10).urg(5));
  peer.expect(Seg(".", 1, 11));
  EXPECT_EQ(events(fd) & POLLPRI, POLLPRI);
  char byte = 0;
  ASSERT_EQ(stack().recv(fd, &byte, 1, MSG_OOB).value(), 1u);
  EXPECT_EQ(byte, stream(5, 1)[0]);
  EXPECT_EQ(stack().recv(fd, &byte, 1, MSG_OOB).error(), Errno{EINVAL});
  char text[20];
  ASSERT_EQ(stack().recv(fd, text, sizeof text, 0).value(), 4u);  // up to the mark
  int at_mark = 0;
  ASSERT_TRUE(stack().ioctl(fd, SIOCATMARK, &at_mark));
  EXPECT_EQ(at_mark, 1);
  EXPECT_EQ(read(fd), stream(6, 5));
}

TEST_P(ReceiveTest, InlineUrgentDataIsData) {
  const int fd = establish();
  set(fd, SOL_SOCKET, SO_OOBINLINE, 1);
  peer.send(Seg("PU.", 1, 1, 10).urg(5));
  peer.expect(Seg(".", 1, 11));
  EXPECT_EQ(read(fd), stream(1, 10));
}

}  // namespace
}  // namespace leat::segment
