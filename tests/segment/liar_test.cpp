// A peer that lies: about its window, about what it has received, about what it sends, about its options. It gets what
// RFC 9293 and 5961 say, and no memory (issue 2, item 7; CVE-2019-11477 to 11479; Savage et al. on misbehaving
// receivers).
#include "segment/harness.h"

namespace leat::segment {
namespace {

using Blocks = std::vector<wire::SackBlock>;

struct LiarTest : SegmentTest {
  Duration ms(int64_t n) const { return Duration::from_ms(n); }
  int with_buffer(int bytes) {
    const int listener = listen();
    set(listener, SOL_SOCKET, SO_RCVBUF, bytes);
    return establish();
  }
  size_t bytes() {
    peer.drain();
    return packets();
  }
};
LEAT_BOTH_FAMILIES(LiarTest);

// ---- windows ----

TEST_P(LiarTest, AWindowThatShrinksUnderDataInFlightDoesNoHarm) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 20000), 20000u);
  EXPECT_EQ(peer.drain().size(), 10u);
  peer.window = 3000;
  peer.send(Seg(".", 1, 1001));  // six thousand bytes were sent beyond this
  for (const Seg& s : peer.drain())
    EXPECT_LE(s.seq + s.length, 10001u);
  peer.send(Seg(".", 1, 10001));
  uint32_t end = 10001;
  for (int i = 0; i < 100 && end < 20001; ++i) {
    for (const Seg& s : peer.drain())
      end = std::max(end, s.seq + s.length);
    peer.send(Seg(".", 1, end));
    advance(ms(10));
  }
  EXPECT_EQ(end, 20001u);
}

// Linux: segments of ours that the peer no longer offers to take carry the number that it still accepts.
TEST_P(LiarTest, AnAckBeyondAShrunkenWindowCarriesAnAcceptableNumber) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 5000), 5000u);
  EXPECT_EQ(peer.drain().size(), 5u);
  peer.window = 1000;
  peer.send(Seg("P.", 1, 1001, 10));
  peer.expect(Seg(".", 2001, 11));
  EXPECT_EQ(read(fd), stream(1, 10));
  peer.window = 65535;
  peer.send(Seg(".", 11, 5001));
}

TEST_P(LiarTest, AHugeWindowTakesNoMoreThanTheSendBufferAndTheCongestionWindowGive) {
  peer.wscale = 14;
  const int fd = establish();
  set(fd, SOL_SOCKET, SO_SNDBUF, 65536);
  size_t taken = 0;
  for (int i = 0; i < 100; ++i)
    taken += write(fd, 100000);
  EXPECT_LE(taken, 300000u);
  EXPECT_EQ(peer.drain().size(), 10u);
  EXPECT_EQ(write_error(fd), EAGAIN);
}

TEST_P(LiarTest, AWindowScaleAboveFourteenCountsAsFourteen) {
  listen();
  peer.send(Seg("S", 0).mss(1000).ws(15));
  peer.expect(Seg("S.", 0, 1));
  peer.send(Seg(".", 1, 1).win(2));
  EXPECT_EQ(info(accept()).snd_wscale, 14);
}

TEST_P(LiarTest, AOneByteWindowGivesOneByteAProbe) {
  peer.window = 1;
  const int fd = establish();
  EXPECT_EQ(write(fd, 1000), 1000u);
  peer.expect_nothing();
  uint32_t end = 1;
  int segments = 0;
  for (int i = 0; i < 200; ++i) {
    advance(ms(100));
    for (const Seg& s : peer.drain()) {
      EXPECT_LE(s.seq + s.length, end + 1);
      end = std::max(end, s.seq + s.length);
      ++segments;
      peer.send(Seg(".", 1, end));
    }
  }
  EXPECT_LE(segments, 110);  // one each 200 ms at the most: no flood of crumbs
  EXPECT_GT(end, 3u);
}

TEST_P(LiarTest, AnUnansweredZeroWindowFreesTheConnectionInTheEnd) {
  peer.window = 1000;
  const int fd = establish();
  EXPECT_EQ(write(fd, 10000), 10000u);
  peer.drain();
  peer.window = 0;
  peer.send(Seg(".", 1, 1001));
  close(fd);
  advance(Duration::from_s(1200));
  EXPECT_EQ(connections(), 1u);
  EXPECT_EQ(bytes(), 0u);
}

// An orphan whose peer keeps its window shut for ever is not kept for ever.
TEST_P(LiarTest, AnOrphanBehindAZeroWindowThatIsAnsweredEnds) {
  peer.window = 1000;
  const int fd = establish();
  EXPECT_EQ(write(fd, 10000), 10000u);
  peer.drain();
  peer.window = 0;
  peer.send(Seg(".", 1, 1001));
  close(fd);
  for (int i = 0; i < 3600 && state() != State::kClose; ++i) {
    advance(Duration::from_s(1));
    if (!peer.drain().empty() && state() != State::kClose) peer.send(Seg(".", 1, 1001));
  }
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(bytes(), 0u);
}

// ---- acknowledgements ----

TEST_P(LiarTest, AnAckOfUnsentDataFreesNothingAndIsAnsweredOnceInHalfASecond) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 20000), 20000u);
  EXPECT_EQ(peer.drain().size(), 10u);
  for (const uint32_t ack : {10002u, 15001u, 20001u, 0x70000000u})
    peer.send(Seg(".", 1, ack));
  peer.expect(Seg(".", 10001, 1));
  peer.expect_nothing();
  EXPECT_EQ(info(fd).unacked, 10u);
  EXPECT_EQ(info(fd).bytes_acked, 0u);
  EXPECT_EQ(state(), State::kEstablished);
}

TEST_P(LiarTest, DataWithAnAckOfUnsentDataIsNotTaken) {
  const int fd = establish();
  peer.send(Seg("P.", 1, 1000, 100));
  peer.expect(Seg(".", 1, 1));
  EXPECT_EQ(read_error(fd), EAGAIN);
}

// Savage et al.: many ACKs for the parts of one segment must not open the window faster than one does.
TEST_P(LiarTest, DividedAcksDoNotInflateTheWindow) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 60000), 60000u);
  EXPECT_EQ(peer.drain().size(), 10u);
  for (uint32_t ack = 101; ack <= 1001; ack += 100)
    peer.send(Seg(".", 1, ack));  // ten for one segment
  EXPECT_LE(info(fd).snd_cwnd, 11u);
  peer.drain();
}

TEST_P(LiarTest, OptimisticAcksOnlyHurtTheirSender) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 60000), 60000u);
  uint32_t end = 1;
  for (const Seg& s : peer.drain())
    end = s.seq + s.length;
  for (int i = 0; i < 5; ++i) {  // all that was sent, as soon as it was
    peer.send(Seg(".", 1, end));
    for (const Seg& s : peer.drain())
      end = s.seq + s.length;
  }
  EXPECT_EQ(info(fd).state, uint8_t(State::kEstablished));
  EXPECT_LE(info(fd).snd_cwnd, 400u);
}

TEST_P(LiarTest, SpoofedDuplicateAcksSendNoMoreThanTheirNumber) {
  peer.sack = false;
  const int fd = establish();
  EXPECT_EQ(write(fd, 60000), 60000u);
  EXPECT_EQ(peer.drain().size(), 10u);
  for (int i = 0; i < 1000; ++i)
    peer.send(Seg(".", 1, 1));
  EXPECT_LE(peer.drain().size(), 60u);
  EXPECT_LE(info(fd).snd_cwnd, 100u);
}

// ---- SACK ----

TEST_P(LiarTest, SackBlocksOutsideWhatIsInFlightAreDiscarded) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 10000), 10000u);
  EXPECT_EQ(peer.drain().size(), 10u);
  for (const Blocks& b : {Blocks{{20001, 21001}}, Blocks{{9001, 12001}}, Blocks{{3001, 2001}}, Blocks{{2001, 2001}},
                          Blocks{{0x7fff0000, 0x80000000}}, Blocks{{1, 0x80000001}}}) {
    peer.send(Seg(".", 1, 1).sack(b));
  }
  peer.expect_nothing();
  EXPECT_EQ(info(fd).sacked, 0u);
  EXPECT_GE(counter("TcpExtTCPSACKDiscard"), 5u);
  peer.send(Seg(".", 1, 10001));
  EXPECT_EQ(info(fd).unacked, 0u);
}

TEST_P(LiarTest, DsacksOfWhatWasNeverSentAgainAreDubious) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 5000), 5000u);
  peer.drain();
  peer.send(Seg(".", 1, 5001));
  for (int i = 0; i < 10; ++i)
    peer.send(Seg(".", 1, 5001).sack({{1, 1001}}));
  EXPECT_EQ(counter("TcpExtTCPDSACKIgnoredDubious"), 10u);
  EXPECT_EQ(counter("TcpExtTCPDSACKUndo"), 0u);
  peer.expect_nothing();
  EXPECT_EQ(info(fd).reordering, 3u);
}

TEST_P(LiarTest, SacksOnAConnectionWithoutSackAreNotLookedAt) {
  peer.sack = false;
  const int fd = establish();
  EXPECT_EQ(write(fd, 10000), 10000u);
  EXPECT_EQ(peer.drain().size(), 10u);
  peer.send(Seg(".", 1, 1).sack({{2001, 10001}}));
  EXPECT_LE(info(fd).sacked, 1u);  // one duplicate ACK, no more
  peer.send(Seg(".", 1, 10001));
}

// CVE-2019-11477: segments of few bytes and blocks that let them be joined beyond what a counter holds.
TEST_P(LiarTest, ATinyMssIsRaisedToTcpMinSndMss) {
  peer.mss = 1;
  const int fd = establish();
  EXPECT_EQ(info(fd).snd_mss, 48u);
  EXPECT_EQ(write(fd, 480), 480u);
  const auto sent = peer.drain();
  EXPECT_EQ(sent.size(), 10u);
  for (const Seg& s : sent)
    EXPECT_EQ(s.length, 48u);
}

// CVE-2019-11478: blocks that cut the retransmit queue into crumbs. What is kept stays within a multiple of the send
// buffer, and cutting stops with a counter.
TEST_P(LiarTest, SacksThatCutTheQueueIntoCrumbsMeetALimit) {
  peer.mss = 48;
  peer.wscale = 8;
  const int fd = establish();
  set(fd, SOL_SOCKET, SO_SNDBUF, 1 << 19);
  EXPECT_GT(write(fd, 1 << 20), 100000u);
  uint32_t end = 1, una = 1;
  for (int round = 0; round < 400; ++round) {
    for (const Seg& s : peer.drain())
      end = std::max(end, s.seq + s.length);
    if (end < una + 96 * 20) {
      peer.send(Seg(".", 1, end - 48));
      una = end - 48;
      continue;
    }
    for (uint32_t at = una + 48; at + 48 * 8 < end; at += 48 * 8) {
      peer.send(
          Seg(".", 1, una).sack({{at, at + 48}, {at + 96, at + 144}, {at + 192, at + 240}, {at + 288, at + 336}}));
    }
    if (round % 8 == 7) una = end - 48, peer.send(Seg(".", 1, una));
    write(fd, 100000);
  }
  peer.drain();
  const size_t held = packets();
  EXPECT_LE(held, 20000u);
  EXPECT_EQ(info(fd).state, uint8_t(State::kEstablished));
  peer.send(Seg("R", 1));
  peer.drain();
  EXPECT_EQ(packets(), 0u);
}

// ---- data ----

TEST_P(LiarTest, RewrittenBytesBelowTheNextNumberAreNotTaken) {
  const int fd = establish();
  peer.send(Seg("P.", 1, 1).bytes("first"));
  peer.drain();
  peer.send(Seg("P.", 1, 1).bytes("LIES!second"));
  peer.drain();
  EXPECT_EQ(read(fd), "firstsecond");
}

TEST_P(LiarTest, RewrittenBytesOutOfOrderAreDeliveredOnceAndInOneVersion) {
  const int fd = establish();
  peer.send(Seg("P.", 4, 1).bytes("def"));
  peer.send(Seg("P.", 5, 1).bytes("EFG"));  // overlaps its end: the first bytes win
  peer.send(Seg("P.", 4, 1).bytes("DE"));   // all of it is there
  peer.send(Seg("P.", 1, 1).bytes("abcX"));
  peer.drain();
  EXPECT_EQ(read(fd), "abcXefG");  // in the order of the sequence numbers
  peer.send(Seg("P.", 8, 1).bytes("h"));
  EXPECT_EQ(read(fd), "h");
  peer.drain();
  EXPECT_EQ(packets(), 0u);
}

// Linux: what waits out of order and is covered whole by a later segment with the same start gives way to it.
TEST_P(LiarTest, ALongerSegmentReplacesTheOnesThatItCovers) {
  const int fd = establish();
  peer.send(Seg("P.", 4, 1).bytes("def"));
  peer.send(Seg("P.", 8, 1).bytes("hi"));
  peer.send(Seg("P.", 4, 1).bytes("DEFGHIJ"));
  peer.send(Seg("P.", 1, 1).bytes("abc"));
  peer.drain();
  EXPECT_EQ(read(fd), "abcDEFGHIJ");
  EXPECT_EQ(packets(), 0u);
}

TEST_P(LiarTest, CrumbsOutOfOrderTakeNoMoreThanTheReceiveBuffer) {
  with_buffer(65536);
  for (uint32_t i = 0; i < 20000; ++i) {
    peer.send(Seg(".", 3 + 2 * i, 1, 1));
    if (i % 64 == 0) peer.drain();
  }
  // Linux charges each its truesize: 128 KiB hold fewer than two hundred.
  EXPECT_LE(bytes(), 200u);
  EXPECT_GE(counter("TcpExtTCPOFODrop") + counter("TcpExtOfoPruned") + counter("TcpExtBeyondWindow"), 1u);
}

TEST_P(LiarTest, CrumbsInOrderTakeNoMoreThanTheReceiveBuffer) {
  const int fd = with_buffer(65536);
  uint32_t next = 1;
  for (uint32_t i = 0; i < 20000; ++i) {
    peer.send(Seg("P.", next, 1, 1));
    for (const Seg& s : peer.drain())
      next = s.ack;
    if (i % 16 == 0) advance(ms(40));
  }
  EXPECT_LE(bytes(), 200u);
  const std::string text = read(fd);
  EXPECT_EQ(text, stream(1, text.size()));
  peer.drain();
  EXPECT_EQ(packets(), 0u);
}

TEST_P(LiarTest, DataBeyondTheWindowTakesNoMemory) {
  with_buffer(65536);
  for (uint32_t i = 0; i < 1000; ++i)
    peer.send(Seg(".", 100001 + 1000 * i, 1, 1000));
  EXPECT_EQ(bytes(), 0u);
  EXPECT_EQ(counter("TcpExtBeyondWindow"), 1000u);
}

TEST_P(LiarTest, AFinWithinEarlierDataDoesNotEndTheStream) {
  const int fd = establish();
  peer.send(Seg("P.", 1, 1, 100));
  peer.drain();
  peer.send(Seg("F.", 51, 1));  // below the next number
  peer.drain();
  EXPECT_EQ(state(), State::kEstablished);
  peer.send(Seg("P.", 101, 1, 10));
  EXPECT_EQ(read(fd), stream(1, 110));
  peer.drain();
}

TEST_P(LiarTest, TwoFinsAtDifferentPlacesMeanTheFirstInOrder) {
  const int fd = establish();
  peer.send(Seg("FP.", 101, 1, 50));
  peer.send(Seg("F.", 51, 1));
  peer.send(Seg("P.", 1, 1, 100));
  peer.drain();
  const std::string text = read(fd);
  EXPECT_EQ(text, stream(1, text.size()));
  EXPECT_TRUE(text.size() == 50 || text.size() == 150) << text.size();
  EXPECT_EQ(read_error(fd), -1);
  advance(ms(200));
  peer.drain();
  EXPECT_EQ(packets(), 0u);
}

// ---- options ----

TEST_P(LiarTest, OptionsWithBadLengthsAreSkippedOrEndTheList) {
  listen();
  const std::vector<std::vector<uint8_t>> lies = {
      {2, 0, 3, 232},                        // MSS of length 0
      {2, 1, 3, 232},                        // of length 1
      {2, 3, 3, 1},                          // of length 3
      {2, 40, 3, 232},                       // beyond the header
      {3, 4, 7, 7},                          // window scale of length 4
      {8, 9, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1},  // timestamps of length 9
      {4, 3, 0, 0},                          // sackOK of length 3
      {2},                                   // a kind without a length
      {253, 255, 1, 1},
      {0, 2, 4, 3, 232, 0, 0, 0},  // behind the end of the list
  };
  for (size_t i = 0; i < lies.size(); ++i) {
    Peer& p = new_peer(static_cast<uint16_t>(6000 + i));
    p.send(Seg("S", 0).raw(lies[i]));
    const Seg s = p.expect(Seg("S.", 0, 1));
    EXPECT_FALSE(s.wscale || s.has_ts || s.sack_permitted) << i;
    p.send(Seg(".", 1, 1));
    EXPECT_EQ(info(accept()).snd_mss, is_v6() ? 1220u : 536u) << i;
  }
}

TEST_P(LiarTest, AnOptionListThatEndsInTheMiddleKeepsWhatCameBefore) {
  listen();
  peer.send(Seg("S", 0).raw({2, 4, 3, 232, 3, 1, 0, 0}));
  EXPECT_FALSE(peer.expect(Seg("S.", 0, 1)).wscale);
  peer.send(Seg(".", 1, 1));
  EXPECT_EQ(info(accept()).snd_mss, 1000u);
}

TEST_P(LiarTest, SackOptionsWithBadLengthsAreNotLookedAt) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 10000), 10000u);
  EXPECT_EQ(peer.drain().size(), 10u);
  for (const int length : {0, 1, 2, 3, 9, 11, 17, 255}) {
    std::vector<uint8_t> raw(12, 0);
    raw[0] = 5;
    raw[1] = static_cast<uint8_t>(length);
    store_be32(raw.data() + 2, *peer.host_iss + 2001);
    store_be32(raw.data() + 6, *peer.host_iss + 4001);
    peer.send(Seg(".", 1, 1).raw(raw));
  }
  EXPECT_EQ(info(fd).sacked, 0u);
  peer.drain();
  peer.send(Seg(".", 1, 10001));
}

TEST_P(LiarTest, ADataOffsetBeyondTheSegmentIsDropped) {
  establish();
  for (const int words : {0, 4, 15})
    peer.send_with_offset(Seg("P.", 1, 1, 8), static_cast<uint8_t>(words));
  peer.expect_nothing();
  EXPECT_EQ(counter("TcpInErrs"), 3u);
  EXPECT_EQ(state(), State::kEstablished);
}

TEST_P(LiarTest, ABadChecksumIsCountedAndNothingElse) {
  const int fd = establish();
  Seg s("P.", 1, 1, 100);
  peer.send_damaged(s);
  peer.expect_nothing();
  EXPECT_EQ(counter("TcpInCsumErrors"), 1u);
  EXPECT_EQ(read_error(fd), EAGAIN);
}

TEST_P(LiarTest, TimestampsThatWereNotNegotiatedAreIgnored) {
  const int fd = establish();
  peer.send(Seg("P.", 1, 1, 100).ts(1, 2));
  peer.expect(Seg(".", 1, 101).no_ts());
  peer.send(Seg("P.", 101, 1, 100).ts(0, 0xffffffff));
  peer.expect(Seg(".", 1, 201));
  EXPECT_EQ(read(fd), stream(1, 200));
}

TEST_P(LiarTest, ATimestampEchoFromTheFutureMeasuresNothing) {
  peer.timestamps = true;
  const int fd = establish();
  const uint32_t before = info(fd).rtt;
  EXPECT_EQ(write(fd, 100), 100u);
  peer.drain();
  peer.send(Seg(".", 1, 101).ts(peer.clock(), peer.last_tsval() + 100000));
  EXPECT_LE(info(fd).rtt, before + 1000);
  EXPECT_LE(info(fd).rto, 1000000u);
}

// ---- urgent pointers ----

TEST_P(LiarTest, AnUrgentPointerBeyondTheDataIsOnlyAnAnnouncement) {
  const int fd = establish();
  peer.send(Seg("PU.", 1, 1, 10).urg(60000));
  peer.expect(Seg(".", 1, 11));
  EXPECT_EQ(read(fd), stream(1, 10));
  char byte;
  EXPECT_EQ(stack().recv(fd, &byte, 1, MSG_OOB).error(), Errno{EAGAIN});
  for (int i = 0; i < 100; ++i)
    peer.send(Seg("U.", 11, 1).urg(static_cast<uint16_t>(i * 600)));
  peer.drain();
  EXPECT_EQ(packets(), 0u);
}

TEST_P(LiarTest, AnUrgentPointerOfZeroOrIntoThePastDoesNoHarm) {
  const int fd = establish();
  peer.send(Seg("PU.", 1, 1, 10).urg(0));
  peer.send(Seg("PU.", 11, 1, 10).urg(1));
  peer.send(Seg("PU.", 11, 1, 10).urg(1));
  peer.drain();
  std::string text = read(fd);
  text += read(fd);
  EXPECT_LE(text.size(), 20u);
  EXPECT_GE(text.size(), 18u);
  EXPECT_EQ(read_error(fd), EAGAIN);
}

// ---- floods ----

TEST_P(LiarTest, AFloodOfSynsInTheWindowIsAnsweredTwiceASecond) {
  establish();
  size_t answers = 0;
  for (int i = 0; i < 1000; ++i) {
    peer.send(Seg("S", static_cast<uint32_t>(i)).mss(1000));
    advance(ms(1));
    answers += peer.drain().size();
  }
  EXPECT_LE(answers, 3u);
  EXPECT_EQ(state(), State::kEstablished);
}

TEST_P(LiarTest, AFloodOfAcksOutsideTheWindowIsAnsweredTwiceASecond) {
  establish();
  size_t answers = 0;
  for (int i = 0; i < 1000; ++i) {
    peer.send(Seg(".", 0x10000000, 1));
    advance(ms(1));
    answers += peer.drain().size();
  }
  EXPECT_LE(answers, 3u);
  EXPECT_GE(counter("TcpExtTCPACKSkippedSeq"), 990u);
}

// Two liars, or a spoofer between two hosts, must not keep each other busy (ACK loops).
TEST_P(LiarTest, AFloodOfOldTimestampsIsAnsweredTwiceASecond) {
  peer.timestamps = true;
  establish();
  peer.send(Seg("P.", 1, 1, 10));
  peer.drain();
  size_t answers = 0;
  for (int i = 0; i < 1000; ++i) {
    peer.send(Seg(".", 12, 1).ts(peer.clock() - 100000, 0));
    advance(ms(1));
    answers += peer.drain().size();
  }
  EXPECT_LE(answers, 3u);
}

}  // namespace
}  // namespace leat::segment
