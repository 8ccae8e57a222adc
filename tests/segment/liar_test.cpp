// A peer that lies about its window and about what it has received, and one that floods. It gets what RFC 9293 and 5961
// say, and no memory (CVE-2019-11477 to 11479; Savage et al. on misbehaving receivers). liar_data_test.cpp has lies in
// data and options.
#include "segment/harness.h"

namespace leat::segment {
namespace {

using Blocks = std::vector<wire::SackBlock>;

struct LiarTest : SegmentTest {
  Duration ms(int64_t n) const { return Duration::from_ms(n); }
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

TEST_P(LiarTest, AnAckOfUnsentDataFreesNothingAndIsAnsweredWithWhatIsKnown) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 20000), 20000u);
  EXPECT_EQ(peer.drain().size(), 10u);
  for (const uint32_t ack : {10002u, 15001u, 20001u, 0x70000000u})
    peer.send(Seg(".", 1, ack));
  peer.expect(Seg(".", 10001, 1));  // one challenge ACK in half a second
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
