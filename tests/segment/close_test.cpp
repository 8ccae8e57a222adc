// How connections end in order: FINs from either end and from both, half-closed ones, orphans and their bounds
// (RFC 9293 §3.6, §3.10.4, §3.10.7.4 eighth).
#include "leat/runner.h"
#include "segment/harness.h"

namespace leat::segment {
namespace {

struct CloseTest : SegmentTest {};
LEAT_BOTH_FAMILIES(CloseTest);

constexpr Duration kMinute = Duration::from_s(60);

// ---- who closes first ----

TEST_P(CloseTest, TheHostClosesFirstAndWaitsAMinute) {
  const int fd = establish();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  EXPECT_EQ(state(), State::kFinWait1);
  peer.send(Seg(".", 1, 2));
  EXPECT_EQ(state(), State::kFinWait2);
  peer.send(Seg("F.", 1, 2));
  peer.expect(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kTimeWait);
  EXPECT_EQ(connections(), 1u);  // the listener's: a time-wait is a small object of its own
  EXPECT_EQ(time_waits(), 1u);
  advance(kMinute - Duration::from_ms(10));
  EXPECT_EQ(state(), State::kTimeWait);
  advance(Duration::from_ms(20));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(counter("TcpExtTW"), 1u);
  EXPECT_EQ(counter("TcpCurrEstab"), 0u);
}

TEST_P(CloseTest, ThePeerClosesFirst) {
  const int fd = establish();
  peer.send(Seg("F.", 1, 1));
  EXPECT_EQ(state(), State::kCloseWait);
  EXPECT_EQ(read_error(fd), -1);
  EXPECT_EQ(events(fd) & (POLLIN | POLLRDHUP | POLLHUP), POLLIN | POLLRDHUP);
  advance(Duration::from_ms(200));
  peer.expect(Seg(".", 1, 2));
  close(fd);
  peer.expect(Seg("F.", 1, 2));
  EXPECT_EQ(state(), State::kLastAck);
  peer.send(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(time_waits(), 0u);
  peer.send(Seg(".", 2, 2));
  peer.expect(Seg("R", 2));
}

TEST_P(CloseTest, TheFinOfAnAnswerCarriesTheAckOfThePeersFin) {
  const int fd = establish();
  peer.send(Seg("F.", 1, 1));
  close(fd);
  peer.drain();
  EXPECT_EQ(state(), State::kLastAck);
  peer.send(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(CloseTest, BothCloseAtOnce) {
  const int fd = establish();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg("F.", 1, 1));  // sent before ours arrived
  peer.expect(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kClosing);
  peer.send(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kTimeWait);
  peer.expect_nothing();
}

TEST_P(CloseTest, AFinThatAcknowledgesOursLeadsStraightToTimeWait) {
  const int fd = establish();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg("F.", 1, 2));
  peer.expect(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kTimeWait);
}

TEST_P(CloseTest, TheFinWaitsForTheDataBeforeIt) {
  peer.window = 1000;
  const int fd = establish();
  EXPECT_EQ(write(fd, 1500), 1500u);
  shutdown(fd, SHUT_WR);
  const auto first = peer.drain();
  ASSERT_FALSE(first.empty());
  uint32_t end = 1;
  for (const Seg& s : first) {
    EXPECT_EQ(s.flags.find('F'), std::string::npos);
    end = s.seq + s.length;
  }
  EXPECT_LE(end, 1001u);
  peer.send(Seg(".", 1, end));
  uint32_t fin_at = 0;
  for (int i = 0; i < 10 && fin_at == 0; ++i) {
    for (const Seg& s : peer.drain()) {
      end = s.seq + s.length;
      if (s.flags.find('F') != std::string::npos) fin_at = end;
    }
    peer.send(Seg(".", 1, end));
  }
  EXPECT_EQ(fin_at, 1501u);
}

// ---- half closed ----

TEST_P(CloseTest, AHalfClosedConnectionStillReceives) {
  const int fd = establish();
  shutdown(fd, SHUT_WR);
  peer.expect(Seg("F.", 1, 1));
  EXPECT_EQ(write_error(fd), EPIPE);
  peer.send(Seg("P.", 1, 1, 100));  // FIN_WAIT1
  peer.expect(Seg(".", 2, 101));
  peer.send(Seg("P.", 101, 2, 100));  // FIN_WAIT2
  peer.expect(Seg(".", 2, 201));
  EXPECT_EQ(state(), State::kFinWait2);
  EXPECT_EQ(read(fd), stream(1, 200));
  advance(Duration::from_s(3600));  // it has a user: no time-out
  EXPECT_EQ(state(), State::kFinWait2);
  peer.send(Seg("FP.", 201, 2, 100));
  peer.expect(Seg(".", 2, 302));
  EXPECT_EQ(read(fd), stream(201, 100));
  EXPECT_EQ(read_error(fd), -1);
  EXPECT_EQ(state(), State::kTimeWait);
}

TEST_P(CloseTest, AHalfClosedPeerStillReceives) {
  const int fd = reach(State::kCloseWait);
  EXPECT_EQ(write(fd, 100), 100u);
  peer.expect(Seg("P.", 1, 2, 100));
  peer.send(Seg(".", 2, 101));
  EXPECT_EQ(write(fd, 1000), 1000u);
  peer.expect(Seg("P.", 101, 2, 1000));
  shutdown(fd, SHUT_WR);
  peer.expect(Seg("F.", 1101, 2));
  peer.send(Seg(".", 2, 1102));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(CloseTest, DataThatWaitsInTheQueueIsReadAfterThePeersFin) {
  const int fd = establish();
  peer.send(Seg("FP.", 1, 1, 300));
  peer.drain();
  EXPECT_EQ(read(fd), stream(1, 300));
  EXPECT_EQ(read_error(fd), -1);
  EXPECT_EQ(read_error(fd), -1);
  advance(Duration::from_ms(200));
  peer.drain();
}

TEST_P(CloseTest, ShutdownOfReadingEndsReadsAndTellsThePeerNothing) {
  const int fd = establish();
  shutdown(fd, SHUT_RD);
  EXPECT_EQ(read_error(fd), -1);
  peer.expect_nothing();
  peer.send(Seg("P.", 1, 1, 100));  // and yet what comes is there: Linux's way
  peer.expect(Seg(".", 1, 101));
  EXPECT_EQ(read(fd), stream(1, 100));
}

// ---- FINs out of order and repeated ----

TEST_P(CloseTest, AFinBeyondAGapWaitsForTheGap) {
  const int fd = establish();
  peer.send(Seg("FP.", 101, 1, 100));
  peer.expect(Seg(".", 1, 1).sack({{101, 202}}));
  EXPECT_EQ(state(), State::kEstablished);
  peer.send(Seg("P.", 1, 1, 100));
  EXPECT_EQ(state(), State::kCloseWait);
  advance(Duration::from_ms(200));
  peer.expect(Seg(".", 1, 202));
  EXPECT_EQ(read(fd), stream(1, 200));
  EXPECT_EQ(read_error(fd), -1);
}

TEST_P(CloseTest, AFinThatComesAgainIsAcknowledgedAgain) {
  reach(State::kCloseWait);
  peer.send(Seg("F.", 1, 1));
  peer.expect(Seg(".", 1, 2).sack({{1, 2}}));
  EXPECT_EQ(state(), State::kCloseWait);
}

TEST_P(CloseTest, DataBehindThePeersFinIsNotTaken) {
  const int fd = reach(State::kCloseWait);
  peer.send(Seg("P.", 2, 1, 50));
  peer.drain();
  EXPECT_EQ(read_error(fd), -1);
  EXPECT_EQ(state(), State::kCloseWait);
}

TEST_P(CloseTest, TheFinIsSentAgain) {
  peer.sack = false;  // no tail-loss probe: the plain time-out
  reach(State::kFinWait1);
  peer.expect_after(Duration::from_ms(200), Seg("F.", 1, 1));
  peer.expect_after(Duration::from_ms(400), Seg("F.", 1, 1));
  peer.expect_after(Duration::from_ms(800), Seg("F.", 1, 1));
  peer.send(Seg(".", 1, 2));
  EXPECT_EQ(state(), State::kFinWait2);
}

TEST_P(CloseTest, TheFinOfLastAckIsSentAgain) {
  peer.sack = false;
  reach(State::kLastAck);
  peer.expect_after(Duration::from_ms(200), Seg("F.", 1, 2));
  peer.send(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(CloseTest, TheFinOfClosingIsSentAgain) {
  peer.sack = false;
  reach(State::kClosing);
  peer.expect_after(Duration::from_ms(200), Seg("F.", 1, 2));
  peer.send(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kTimeWait);
}

// ---- close() that aborts ----

TEST_P(CloseTest, ClosingWithUnreadDataResets) {
  const int fd = establish();
  peer.send(Seg("P.", 1, 1, 100));
  peer.expect(Seg(".", 1, 101));
  close(fd);
  peer.expect(Seg("R.", 1, 101));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(counter("TcpExtTCPAbortOnClose"), 1u);
}

TEST_P(CloseTest, ClosingBehindAFinThatWasNotReadDoesNotReset) {
  const int fd = reach(State::kCloseWait);
  close(fd);
  peer.expect(Seg("F.", 1, 2));
}

TEST_P(CloseTest, DataForAUserWhoHasClosedIsReset) {
  const int fd = establish();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg("P.", 1, 1, 100));  // FIN_WAIT1
  peer.expect(Seg("R", 1));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(counter("TcpExtTCPAbortOnData"), 1u);
}

TEST_P(CloseTest, DataForAnOrphanInFinWait2IsReset) {
  const int fd = establish();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg(".", 1, 2));
  EXPECT_EQ(state(), State::kFinWait2);
  peer.send(Seg("P.", 1, 2, 100));
  peer.expect(Seg("R", 2));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(CloseTest, LingerOfZeroResetsAndDropsWhatWasNotSent) {
  peer.window = 1000;
  const int fd = establish();
  set_linger(fd, true, 0);
  EXPECT_EQ(write(fd, 5000), 5000u);
  peer.drain();
  close(fd);
  const auto sent = peer.drain();
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(sent[0].flags, "R.");
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(packets(), 0u);
}

TEST_P(CloseTest, LingerOfZeroInCloseWaitResetsToo) {
  const int fd = reach(State::kCloseWait);
  set_linger(fd, true, 0);
  close(fd);
  peer.expect(Seg("R.", 1, 2));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(CloseTest, DisconnectingResetsAndTheSocketMayConnectAgain) {
  const int fd = establish_active();
  const sockaddr nobody{AF_UNSPEC, {}};
  ASSERT_TRUE(stack().connect(fd, &nobody, sizeof nobody));
  settle();
  peer.expect(Seg("R.", 1, 1));
  EXPECT_EQ(state(), State::kClose);
  Peer& next = new_peer(5001);
  const Endpoint to = peer_endpoint(5001);
  ASSERT_EQ(stack().connect(fd, to.data(), to.length()).error(), Errno{EINPROGRESS});
  settle();
  EXPECT_EQ(state(next), State::kSynSent);
  next.expect(Seg("S", 0));
  next.synack();
  next.expect(Seg(".", 1, 1));
  EXPECT_EQ(write(fd, 10), 10u);
  next.expect(Seg("P.", 1, 1, 10));
}

// ---- SO_LINGER with a time ----

// Whoever waits turns the clock, and at some time the peer answers.
struct LingerRunner final : Runner {
  Harness& h;
  Duration answer_after;
  Time begun;
  std::function<void()> answer;
  explicit LingerRunner(Harness& harness) : h(harness), begun(harness.now) {}
  Time enter() override { return h.now; }
  void leave() override {}
  Time now() override { return h.now; }
  void wake(Wakeup& w) override { w.set(); }
  WaitResult wait(Wakeup& w, Time deadline) override {
    for (int i = 0; i < 100000 && !w.is_set(); ++i) {
      h.settle();
      if (answer && h.now - begun >= answer_after) std::exchange(answer, nullptr)();
      if (w.is_set()) break;
      if (h.now >= deadline) return WaitResult::kTimeout;
      h.now = std::min(h.now + Duration::from_ms(10), deadline);
    }
    return WaitResult::kWoken;
  }
};

TEST_P(CloseTest, LingeringCloseReturnsWhenThePeerHasAcknowledgedTheFin) {
  const int fd = establish();
  set_linger(fd, true, 5);
  LingerRunner runner(*this);
  runner.answer_after = Duration::from_ms(100);
  runner.answer = [this] { peer.send(Seg(".", 1, 2)); };
  stack().set_runner(&runner);
  close(fd);
  stack().set_runner(nullptr);
  EXPECT_NEAR(static_cast<double>((now - runner.begun).ms()), 100, 20);
  peer.expect(Seg("F.", 1, 1));
  EXPECT_EQ(state(), State::kFinWait2);
  peer.drain();
}

TEST_P(CloseTest, LingeringCloseGivesUpWaitingAfterItsTimeAndGoesOnAlone) {
  const int fd = establish();
  set_linger(fd, true, 3);
  LingerRunner runner(*this);
  stack().set_runner(&runner);
  close(fd);
  stack().set_runner(nullptr);
  EXPECT_NEAR(static_cast<double>((now - runner.begun).ms()), 3000, 20);
  EXPECT_EQ(state(), State::kFinWait1);
  peer.drain();
  peer.send(Seg(".", 1, 2));
  EXPECT_EQ(state(), State::kFinWait2);
}

// ---- orphans ----

TEST_P(CloseTest, AnOrphanWaitsAMinuteInFinWait2) {
  const int fd = establish();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg(".", 1, 2));
  EXPECT_EQ(connections(), 1u);  // spent as a time-wait: only the listener is left
  advance(Duration::from_ms(59900));
  EXPECT_EQ(state(), State::kFinWait2);
  advance(Duration::from_ms(200));
  EXPECT_EQ(state(), State::kClose);
  peer.expect_nothing();
  peer.send(Seg("F.", 1, 2));
  peer.expect(Seg("R", 2));
}

TEST_P(CloseTest, ClosingInFinWait2BeginsThatMinute) {
  const int fd = reach(State::kFinWait2);
  advance(Duration::from_s(600));
  EXPECT_EQ(state(), State::kFinWait2);
  close(fd);
  advance(Duration::from_ms(59900));
  EXPECT_EQ(state(), State::kFinWait2);
  advance(Duration::from_ms(200));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(CloseTest, ALongFinTimeoutIsSpentAsAConnectionFirst) {
  ASSERT_TRUE(sysctl("net.ipv4.tcp_fin_timeout", "90"));
  const int fd = establish();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg(".", 1, 2));
  EXPECT_EQ(connections(), 2u);
  advance(Duration::from_ms(30100));
  EXPECT_EQ(connections(), 1u);
  EXPECT_EQ(state(), State::kFinWait2);
  advance(Duration::from_ms(29800));  // what is beyond a minute, twice: as Linux counts
  EXPECT_EQ(state(), State::kFinWait2);
  advance(Duration::from_ms(400));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(CloseTest, TcpLinger2ShortensFinWait2) {
  const int fd = establish();
  set(fd, IPPROTO_TCP, TCP_LINGER2, 5);
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg(".", 1, 2));
  advance(Duration::from_ms(4900));
  EXPECT_EQ(state(), State::kFinWait2);
  advance(Duration::from_ms(200));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(CloseTest, ANegativeTcpLinger2ResetsInsteadOfWaiting) {
  const int fd = reach(State::kFinWait2);
  set(fd, IPPROTO_TCP, TCP_LINGER2, -1);
  close(fd);
  peer.expect(Seg("R.", 2, 1));
  EXPECT_EQ(counter("TcpExtTCPAbortOnLinger"), 1u);
}

TEST_P(CloseTest, AFinEndsTheOrphansFinWait2) {
  const int fd = establish();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.send(Seg(".", 1, 2));
  advance(Duration::from_s(50));
  peer.send(Seg("F.", 1, 2));
  peer.expect(Seg(".", 2, 2));
  EXPECT_EQ(state(), State::kTimeWait);
  advance(Duration::from_s(59));
  EXPECT_EQ(state(), State::kTimeWait);
  advance(Duration::from_s(2));
  EXPECT_EQ(state(), State::kClose);
}

TEST_P(CloseTest, AnOrphanWithoutAnswerIsGivenUpAfterMinutesNotHours) {
  peer.sack = false;
  const int fd = establish();
  close(fd);
  int fins = 0;
  Time last = now;
  while (state() != State::kClose && fins < 100) {
    advance(Duration::from_ms(100));
    for (const Seg& s : peer.drain()) {
      EXPECT_EQ(s.flags, "F.");
      ++fins;
      last = now;
    }
  }
  // 0, 0.2, 0.6, … 102.2 s: the eight doublings of tcp_orphan_retries are over at the next one.
  EXPECT_EQ(fins, 10);
  EXPECT_EQ(counter("TcpExtTCPAbortOnTimeout"), 1u);
}

TEST_P(CloseTest, MoreOrphansThanAllowedAreReset) {
  ASSERT_TRUE(sysctl("net.ipv4.tcp_max_orphans", "-1"));
  const int fd = establish();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.expect(Seg("R.", 2, 1));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(counter("TcpExtTCPAbortOnMemory"), 1u);
}

TEST_P(CloseTest, AnOrphanCountsItselfAtATimeOutButNotWhenItIsClosed) {
  ASSERT_TRUE(sysctl("net.ipv4.tcp_max_orphans", "0"));
  const int fd = establish();
  close(fd);
  peer.expect(Seg("F.", 1, 1));
  peer.expect_nothing();
  advance(Duration::from_ms(300));
  peer.expect(Seg("F.", 1, 1));  // the tail loss probe
  advance(Duration::from_ms(500));
  peer.expect(Seg("R.", 2, 1));
  EXPECT_EQ(state(), State::kClose);
  EXPECT_EQ(counter("TcpExtTCPAbortOnMemory"), 1u);
}

TEST_P(CloseTest, AnOrphansDataStillArrives) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 5000), 5000u);
  close(fd);
  uint32_t end = 1;
  bool fin = false;
  for (int i = 0; i < 10 && !fin; ++i) {
    for (const Seg& s : peer.drain()) {
      EXPECT_EQ(s.seq, end);
      end = s.seq + s.length;
      fin = s.flags.find('F') != std::string::npos;
    }
    peer.send(Seg(".", 1, end + (fin ? 1 : 0)));
  }
  EXPECT_EQ(end, 5001u);
  EXPECT_TRUE(fin);
  EXPECT_EQ(state(), State::kFinWait2);
}

}  // namespace
}  // namespace leat::segment
