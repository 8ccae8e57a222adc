// A peer that lies in what it sends: data that change, overlap or pass the window, options and urgent pointers that are
// nonsense. It gets what RFC 9293 says, and no memory.
#include "segment/harness.h"

namespace leat::segment {
namespace {

struct LiarDataTest : SegmentTest {
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
LEAT_BOTH_FAMILIES(LiarDataTest);

// ---- data ----

TEST_P(LiarDataTest, RewrittenBytesBelowTheNextNumberAreNotTaken) {
  const int fd = establish();
  peer.send(Seg("P.", 1, 1).bytes("first"));
  peer.drain();
  peer.send(Seg("P.", 1, 1).bytes("LIES!second"));
  peer.drain();
  EXPECT_EQ(read(fd), "firstsecond");
}

TEST_P(LiarDataTest, RewrittenBytesOutOfOrderAreDeliveredOnceAndInOneVersion) {
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
TEST_P(LiarDataTest, ALongerSegmentReplacesTheOnesThatItCovers) {
  const int fd = establish();
  peer.send(Seg("P.", 4, 1).bytes("def"));
  peer.send(Seg("P.", 8, 1).bytes("hi"));
  peer.send(Seg("P.", 4, 1).bytes("DEFGHIJ"));
  peer.send(Seg("P.", 1, 1).bytes("abc"));
  peer.drain();
  EXPECT_EQ(read(fd), "abcDEFGHIJ");
  EXPECT_EQ(packets(), 0u);
}

TEST_P(LiarDataTest, CrumbsOutOfOrderTakeNoMoreThanTheReceiveBuffer) {
  with_buffer(65536);
  for (uint32_t i = 0; i < 20000; ++i) {
    peer.send(Seg(".", 3 + 2 * i, 1, 1));
    if (i % 64 == 0) peer.drain();
  }
  // Linux charges each its truesize: 128 KiB hold fewer than two hundred.
  EXPECT_LE(bytes(), 200u);
  EXPECT_GE(counter("TcpExtTCPOFODrop") + counter("TcpExtOfoPruned") + counter("TcpExtBeyondWindow"), 1u);
}

TEST_P(LiarDataTest, CrumbsInOrderTakeNoMoreThanTheReceiveBuffer) {
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

TEST_P(LiarDataTest, DataBeyondTheWindowTakesNoMemory) {
  with_buffer(65536);
  for (uint32_t i = 0; i < 1000; ++i)
    peer.send(Seg(".", 100001 + 1000 * i, 1, 1000));
  EXPECT_EQ(bytes(), 0u);
  EXPECT_EQ(counter("TcpExtBeyondWindow"), 1000u);
}

TEST_P(LiarDataTest, AFinWithinEarlierDataDoesNotEndTheStream) {
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

TEST_P(LiarDataTest, TwoFinsAtDifferentPlacesMeanTheFirstInOrder) {
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

TEST_P(LiarDataTest, OptionsWithBadLengthsAreSkippedOrEndTheList) {
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

TEST_P(LiarDataTest, AnOptionListThatEndsInTheMiddleKeepsWhatCameBefore) {
  listen();
  peer.send(Seg("S", 0).raw({2, 4, 3, 232, 3, 1, 0, 0}));
  EXPECT_FALSE(peer.expect(Seg("S.", 0, 1)).wscale);
  peer.send(Seg(".", 1, 1));
  EXPECT_EQ(info(accept()).snd_mss, 1000u);
}

TEST_P(LiarDataTest, SackOptionsWithBadLengthsAreNotLookedAt) {
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

TEST_P(LiarDataTest, ADataOffsetBeyondTheSegmentIsDropped) {
  establish();
  for (const int words : {0, 4, 15})
    peer.send_with_offset(Seg("P.", 1, 1, 8), static_cast<uint8_t>(words));
  peer.expect_nothing();
  EXPECT_EQ(counter("TcpInErrs"), 3u);
  EXPECT_EQ(state(), State::kEstablished);
}

TEST_P(LiarDataTest, ABadChecksumIsCountedAndNothingElse) {
  const int fd = establish();
  Seg s("P.", 1, 1, 100);
  peer.send_damaged(s);
  peer.expect_nothing();
  EXPECT_EQ(counter("TcpInCsumErrors"), 1u);
  EXPECT_EQ(read_error(fd), EAGAIN);
}

TEST_P(LiarDataTest, TimestampsThatWereNotNegotiatedAreIgnored) {
  const int fd = establish();
  peer.send(Seg("P.", 1, 1, 100).ts(1, 2));
  peer.expect(Seg(".", 1, 101).no_ts());
  peer.send(Seg("P.", 101, 1, 100).ts(0, 0xffffffff));
  peer.expect(Seg(".", 1, 201));
  EXPECT_EQ(read(fd), stream(1, 200));
}

TEST_P(LiarDataTest, ATimestampEchoFromTheFutureMeasuresNothing) {
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

TEST_P(LiarDataTest, AnUrgentPointerBeyondTheDataIsOnlyAnAnnouncement) {
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

TEST_P(LiarDataTest, AnUrgentPointerOfZeroOrIntoThePastDoesNoHarm) {
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

}  // namespace
}  // namespace leat::segment
