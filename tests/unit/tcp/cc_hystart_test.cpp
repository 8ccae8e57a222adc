// HyStart, through CUBIC: what ends slow start before the queue overflows.
#include <gtest/gtest.h>

#include "tcp/cc/congestion.h"

namespace leat::tcp::cc {
namespace {

const Algorithm& cubic() {
  return *find("cubic");
}

class HyStartTest : public testing::Test {
 protected:
  HyStartTest() {
    s.mstamp_us = 0xffffffffull - 40'000;  // the 32 bits of the µs clock wrap during the first round trips
    s.snd_una = 0xffffff00;
    s.snd_cwnd = 20;
    start(20);
  }
  // The first round trip has so many segments.
  void start(uint32_t segs) {
    s.snd_nxt = s.snd_una + segs * s.mss_cache;
    cubic().init(s);
  }
  // An ACK of one segment `gap_us` after the last, with an RTT sample.
  void ack(uint64_t gap_us, int32_t rtt_us) {
    s.mstamp_us += gap_us;
    s.snd_una += s.mss_cache;
    cubic().pkts_acked(s, {.pkts_acked = 1, .rtt_us = rtt_us, .in_flight = s.snd_cwnd});
  }
  // What was sent since is acknowledged from here on.
  void new_round() {
    s.snd_nxt = s.snd_una + 20 * s.mss_cache;
    ack(50'000, 60'000);
  }
  bool has_left_slow_start() const { return s.snd_ssthresh != kInfiniteSsthresh; }

  Sender s;
};

TEST_F(HyStartTest, LeavesSlowStartWhenATrainOfAcksIsAsLongAsHalfThePath) {
  for (int i = 0; i < 15; ++i)
    ack(2000, 60'000);  // 30 ms after the round's start: not more than 60/2
  EXPECT_FALSE(has_left_slow_start());
  ack(1000, 60'000);
  EXPECT_TRUE(has_left_slow_start());
  EXPECT_EQ(s.snd_ssthresh, 20u);
  EXPECT_EQ(s.hystart_exit, kHystartTrain);
}

TEST_F(HyStartTest, AllowsATrainOfTheWholePathWhenPacingSpreadsTheSegments) {
  s.pacing_status = 1;
  start(40);
  for (int i = 0; i < 17; ++i)
    ack(2000, 60'000);  // 34 ms
  EXPECT_FALSE(has_left_slow_start());
  for (int i = 0; i < 13; ++i)
    ack(2000, 60'000);  // 60 ms
  EXPECT_FALSE(has_left_slow_start());
  ack(1, 60'000);
  EXPECT_EQ(s.hystart_exit, kHystartTrain);
}

TEST_F(HyStartTest, AddsTheTimeOfFourBurstsAtThePacingRateUpToAMillisecond) {
  s.pacing_rate = 1'000'000'000;  // 4 * 65215 bytes: 260 µs, halved 130
  for (int i = 0; i < 15; ++i)
    ack(2000, 60'000);
  ack(130, 60'000);
  EXPECT_FALSE(has_left_slow_start());
  ack(1, 60'000);
  EXPECT_TRUE(has_left_slow_start());
}

TEST_F(HyStartTest, CapsThatAllowanceAtAMillisecond) {
  s.pacing_rate = 1000;
  for (int i = 0; i < 15; ++i)
    ack(2000, 60'000);
  ack(500, 60'000);
  EXPECT_FALSE(has_left_slow_start());
  ack(1, 60'000);
  EXPECT_TRUE(has_left_slow_start());
}

TEST_F(HyStartTest, DoesNotCountAcksWithGapsAsOneTrain) {
  ack(2001, 60'000);
  for (int i = 0; i < 15; ++i)
    ack(2001, 60'000);
  EXPECT_FALSE(has_left_slow_start());
}

TEST_F(HyStartTest, StartsANewTrainWithEachRoundTrip) {
  for (int i = 0; i < 14; ++i)
    ack(2000, 60'000);
  for (int i = 0; i < 6; ++i)
    ack(5000, 60'000);
  new_round();
  for (int i = 0; i < 14; ++i)
    ack(2000, 60'000);  // 28 ms into the second
  EXPECT_FALSE(has_left_slow_start());
}

TEST_F(HyStartTest, LeavesSlowStartWhenTheRoundTripHasGrownByAnEighth) {
  for (int i = 0; i < 20; ++i)
    ack(3000, 80'000);  // the path: 80 ms
  new_round();          // its sample of 60 ms is the new minimum: limit 60 + 7.5 ms
  s.snd_nxt = s.snd_una + 20 * s.mss_cache;
  for (int i = 0; i < 20; ++i)
    ack(3000, 67'400);
  EXPECT_FALSE(has_left_slow_start());
  s.snd_nxt = s.snd_una + 40 * s.mss_cache;
  ack(50'000, 67'501);
  for (int i = 0; i < 7; ++i)
    ack(3000, 67'501);  // eight samples only teach
  EXPECT_FALSE(has_left_slow_start());
  ack(3000, 67'501);
  EXPECT_EQ(s.hystart_exit, kHystartDelay);
  EXPECT_EQ(s.snd_ssthresh, 20u);
}

TEST_F(HyStartTest, ToleratesFourMillisecondsOnAShortPath) {
  ack(3000, 1'000);
  s.snd_nxt = s.snd_una;
  ack(3000, 5'000);  // a new round
  for (int i = 0; i < 30; ++i)
    ack(3000, 5'000);
  EXPECT_FALSE(has_left_slow_start());
}

TEST_F(HyStartTest, ToleratesSixteenMillisecondsAtMostOnALongPath) {
  ack(3000, 400'000);
  s.snd_nxt = s.snd_una + 60 * s.mss_cache;
  ack(50'000, 416'001);
  ack(50'000, 416'001);
  for (int i = 0; i < 30; ++i)
    ack(3000, 416'001);
  EXPECT_EQ(s.hystart_exit, kHystartDelay);
}

TEST_F(HyStartTest, IsNotAskedBelowSixteenSegments) {
  s.snd_cwnd = 15;
  for (int i = 0; i < 60; ++i)
    ack(1000, 10'000 + 1000 * i);
  EXPECT_FALSE(has_left_slow_start());
}

TEST_F(HyStartTest, DoesNotCutTwiceButWatchesAgainAfterATimeOut) {
  for (int i = 0; i < 20; ++i)
    ack(2000, 60'000);
  EXPECT_EQ(s.hystart_exit, kHystartTrain);
  s.hystart_exit = 0;
  s.snd_ssthresh = kInfiniteSsthresh;
  for (int i = 0; i < 40; ++i)
    ack(1000, 60'000);
  EXPECT_FALSE(has_left_slow_start());
  s.snd_nxt = s.snd_una + 40 * s.mss_cache;
  cubic().set_state(s, CaState::kLoss);
  for (int i = 0; i < 40; ++i)
    ack(1000, 60'000);
  EXPECT_TRUE(has_left_slow_start());
}

TEST_F(HyStartTest, IgnoresAcksWithoutAnRttSample) {
  for (int i = 0; i < 60; ++i)
    ack(1000, -1);
  EXPECT_FALSE(has_left_slow_start());
}

}  // namespace
}  // namespace leat::tcp::cc
