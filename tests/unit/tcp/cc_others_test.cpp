// DCTCP, Vegas and Westwood+.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "tcp/cc/congestion.h"

namespace leat::tcp::cc {
namespace {

class AlgorithmTest : public testing::Test {
 protected:
  explicit AlgorithmTest(const char* name) : algorithm(find(name)) {
    s.mstamp_us = 0xffffffffull * 1000 - 20'000;  // the millisecond clock wraps soon
    s.snd_una = 0xfffffff0;
    s.mss_cache = 1000;
    s.snd_cwnd = 20;
    s.snd_nxt = s.snd_una + 20'000;
    s.is_cwnd_limited = true;
    s.ecn_ok = true;
    s.cc_algorithm = algorithm;
    algorithm->init(s);
  }
  template <size_t N>
  std::array<uint32_t, N> info() {
    std::array<uint8_t, 4 * N> bytes{};
    EXPECT_EQ(s.cc_algorithm->get_info(s, bytes), 4 * N);
    std::array<uint32_t, N> words;
    std::memcpy(words.data(), bytes.data(), bytes.size());
    return words;
  }

  const Algorithm* algorithm;
  Sender s;
};

// ---- DCTCP ----

class DctcpTest : public AlgorithmTest {
 protected:
  DctcpTest() : AlgorithmTest("dctcp") {}
  // A window of 20 segments comes back with `marked` of them.
  void window(uint32_t marked) {
    s.snd_una = s.snd_nxt;
    s.snd_nxt += 20'000;
    s.delivered += 20;
    s.delivered_ce += marked;
    algorithm->in_ack_event(s, marked != 0);
    ++s.snd_una;
    algorithm->in_ack_event(s, false);  // in the midst of the next window: nothing happens
  }
  uint32_t alpha() { return info<4>()[1]; }
};

TEST_F(DctcpTest, StartsWithAFullAlphaAndHalvesLikeReno) {
  EXPECT_EQ(alpha(), 1024u);
  EXPECT_EQ(algorithm->ssthresh(s), 10u);
}

TEST_F(DctcpTest, ForgetsASixteenthOfAlphaInEachWindowWithoutMarks) {
  window(0);
  EXPECT_EQ(alpha(), 960u);
  window(0);
  EXPECT_EQ(alpha(), 900u);
  for (int i = 0; i < 40; ++i)
    window(0);
  EXPECT_EQ(alpha(), 75u);
  for (int i = 0; i < 80; ++i)
    window(0);
  EXPECT_EQ(alpha(), 0u);
}

TEST_F(DctcpTest, AddsASixteenthOfTheMarkedShare) {
  for (int i = 0; i < 200; ++i)
    window(0);
  window(5);  // a quarter of 1024, / 16
  EXPECT_EQ(alpha(), 16u);
  window(20);
  EXPECT_EQ(alpha(), 16u - 1 + 64);
  for (int i = 0; i < 200; ++i)
    window(20);
  EXPECT_EQ(alpha(), 1024u);
}

TEST_F(DctcpTest, ReducesTheWindowByHalfOfAlpha) {
  for (int i = 0; i < 200; ++i)
    window(0);
  for (int i = 0; i < 4; ++i)
    window(20);
  s.snd_cwnd = 100;
  const uint32_t a = alpha();
  EXPECT_EQ(a, 234u);
  EXPECT_EQ(algorithm->ssthresh(s), 100 - ((100 * 234) >> 11));
  EXPECT_EQ(algorithm->undo_cwnd(s), 100u);
}

TEST_F(DctcpTest, HalvesOnALossOnceForEachRecovery) {
  for (int i = 0; i < 200; ++i)
    window(0);
  s.snd_cwnd = 30;
  algorithm->set_state(s, CaState::kRecovery);
  EXPECT_EQ(s.snd_ssthresh, 15u);
  s.ca_state = CaState::kRecovery;
  s.snd_cwnd = 8;
  algorithm->set_state(s, CaState::kRecovery);
  EXPECT_EQ(s.snd_ssthresh, 15u);
  algorithm->cwnd_event(s, Event::kLoss);
  EXPECT_EQ(s.snd_ssthresh, 4u);
  s.snd_cwnd = 1;
  EXPECT_EQ(algorithm->undo_cwnd(s), 8u);
}

TEST_F(DctcpTest, TellsTheReceiverOfEachChangeOfCe) {
  algorithm->cwnd_event(s, Event::kEcnNoCe);
  EXPECT_FALSE(s.ce_changed);
  algorithm->cwnd_event(s, Event::kEcnIsCe);
  EXPECT_TRUE(s.ce_changed);
  algorithm->cwnd_event(s, Event::kEcnIsCe);
  EXPECT_FALSE(s.ce_changed);
  EXPECT_EQ(info<4>()[0], 1u | 1u << 16);  // enabled, ce_state
  algorithm->cwnd_event(s, Event::kEcnNoCe);
  EXPECT_TRUE(s.ce_changed);
}

TEST_F(DctcpTest, CountsTheBytesOfTheWindowThatIsObserved) {
  s.delivered += 10;
  s.delivered_ce += 3;
  const auto i = info<4>();
  EXPECT_EQ(i[2], 3000u);
  EXPECT_EQ(i[3], 10'000u);
}

TEST_F(DctcpTest, IsRenoOnAConnectionWithoutEcn) {
  s.ecn_ok = false;
  algorithm->init(s);
  EXPECT_STREQ(s.cc_algorithm->name, "dctcp-reno");
  EXPECT_EQ(s.cc_algorithm->flags & kNeedsEcn, 0);
  EXPECT_EQ(s.cc_algorithm->ssthresh(s), 10u);
  EXPECT_EQ(info<4>()[0], 0u);
}

// ---- Vegas ----

class VegasTest : public AlgorithmTest {
 protected:
  VegasTest() : AlgorithmTest("vegas") { s.snd_ssthresh = 10; }
  void sample(int32_t us) { algorithm->pkts_acked(s, {.pkts_acked = 1, .rtt_us = us, .in_flight = 1}); }
  void round(int32_t rtt_us, int samples = 3) {
    for (int i = 0; i < samples; ++i)
      sample(rtt_us);
    s.snd_una = s.snd_nxt + 1000;
    s.snd_nxt = s.snd_una + 20'000;
    algorithm->cong_avoid(s, s.snd_una, 1);
  }
};

TEST_F(VegasTest, AddsASegmentWhileFewerThanTwoAreQueued) {
  round(99'999);
  EXPECT_EQ(s.snd_cwnd, 21u);
  round(104'999);  // 21 * 5 / 100 = 1
  EXPECT_EQ(s.snd_cwnd, 22u);
}

TEST_F(VegasTest, StaysBetweenTwoAndFourSegmentsOfQueue) {
  round(99'999);
  round(109'999);  // 21 * 0.1 = 2
  EXPECT_EQ(s.snd_cwnd, 21u);
  round(119'999);  // 4
  EXPECT_EQ(s.snd_cwnd, 21u);
}

TEST_F(VegasTest, TakesASegmentAwayWhenMoreThanFourAreQueued) {
  round(99'999);
  round(129'999);  // 21 * 0.3 = 6
  EXPECT_EQ(s.snd_cwnd, 20u);
  EXPECT_EQ(s.snd_ssthresh, 15u);  // three quarters of the window: no slow start comes of it
}

TEST_F(VegasTest, LeavesSlowStartForTheWindowThatThePathHolds) {
  s.snd_ssthresh = kInfiniteSsthresh;
  round(99'999);
  EXPECT_EQ(s.snd_cwnd, 21u);  // slow start: one ACK of one segment
  round(149'999);
  EXPECT_EQ(s.snd_cwnd, 15u);  // 21 * 100 / 150 + 1
  EXPECT_EQ(s.snd_ssthresh, 15u);
}

TEST_F(VegasTest, IsRenoForARoundTripWithTooFewSamples) {
  round(99'999);
  round(500'000, 2);
  EXPECT_EQ(s.snd_cwnd, 21u);
  EXPECT_EQ(s.snd_cwnd_cnt, 1u);
}

TEST_F(VegasTest, IsRenoWhileSomethingIsLost) {
  round(99'999);
  algorithm->set_state(s, CaState::kDisorder);
  EXPECT_EQ(info<4>()[0], 0u);
  round(500'000);
  EXPECT_EQ(s.snd_cwnd, 21u);
  EXPECT_EQ(s.snd_cwnd_cnt, 1u);
  algorithm->set_state(s, CaState::kOpen);
  EXPECT_EQ(info<4>()[0], 1u);
}

TEST_F(VegasTest, LearnsThePathAnewAfterASilence) {
  sample(50'000);
  EXPECT_EQ(info<4>()[2], 50'001u);
  algorithm->cwnd_event(s, Event::kTxStart);
  EXPECT_EQ(info<4>()[2], 0x7fffffffu);
  EXPECT_EQ(info<4>()[1], 0u);
}

// ---- Westwood+ ----

class WestwoodTest : public AlgorithmTest {
 protected:
  WestwoodTest() : AlgorithmTest("westwood") {}
  void sample(int32_t us) { algorithm->pkts_acked(s, {.pkts_acked = 1, .rtt_us = us, .in_flight = 1}); }
  void ack(uint32_t bytes) {
    s.snd_una += bytes;
    algorithm->in_ack_event(s, false);
  }
  void wait_ms(uint64_t ms) { s.mstamp_us += ms * 1000; }
  // 100 ms in which so many bytes are acknowledged, in segments.
  void interval(uint32_t bytes) {
    for (; bytes != 0; bytes -= 1000)
      ack(1000);
    wait_ms(100);
  }
};

TEST_F(WestwoodTest, TakesTheWindowThatThePathCarriedAfterAReduction) {
  sample(50'000);
  interval(30'000);
  interval(30'000);  // the first ACK of it ends the first interval: 300 bytes a ms
  algorithm->cwnd_event(s, Event::kCompleteCwr);
  EXPECT_EQ(s.snd_cwnd, 15u);  // 300 * 50 / 1000
  EXPECT_EQ(s.snd_ssthresh, 15u);
}

TEST_F(WestwoodTest, FiltersTheRateTwice) {
  sample(50'000);
  interval(40'000);
  interval(80'000);  // ends the first with 400 bytes a ms
  interval(80'000);  // ends the second with 800: filtered 450, and again 406
  algorithm->cwnd_event(s, Event::kLoss);
  EXPECT_EQ(s.snd_ssthresh, 20u);  // 406 * 50 / 1000
  EXPECT_EQ(s.snd_cwnd, 20u);      // recovery sets it
}

TEST_F(WestwoodTest, KeepsTwoSegmentsWhenNothingWasMeasured) {
  sample(50'000);
  ack(1000);
  algorithm->cwnd_event(s, Event::kLoss);
  EXPECT_EQ(s.snd_ssthresh, 2u);
}

TEST_F(WestwoodTest, CountsWhatDuplicateAcksStoodForOnlyOnce) {
  sample(50'000);
  ack(0);
  for (int i = 0; i < 5; ++i)
    ack(0);   // six segments have arrived out of order
  ack(7000);  // one more than that
  wait_ms(100);
  ack(1000);  // ends the interval: 7000 bytes in 100 ms
  for (int i = 0; i < 100; ++i)
    sample(1'000'000);
  algorithm->cwnd_event(s, Event::kCompleteCwr);
  EXPECT_EQ(s.snd_cwnd, 3u);  // 70 bytes a ms * 50 ms / 1000
}

TEST_F(WestwoodTest, LearnsTheSmallestRttAnewAfterATimeOut) {
  sample(50'000);
  ack(1000);
  sample(80'000);
  ack(1000);
  EXPECT_EQ(info<4>()[3], 50'000u);
  algorithm->cwnd_event(s, Event::kLoss);
  ack(1000);
  EXPECT_EQ(info<4>()[3], 80'000u);
  EXPECT_EQ(info<4>()[2], 80'000u);
}

TEST_F(WestwoodTest, GrowsLikeReno) {
  s.snd_ssthresh = 20;
  for (int i = 0; i < 20; ++i)
    algorithm->cong_avoid(s, s.snd_una, 1);
  EXPECT_EQ(s.snd_cwnd, 21u);
  EXPECT_EQ(algorithm->ssthresh(s), 10u);
}

}  // namespace
}  // namespace leat::tcp::cc
