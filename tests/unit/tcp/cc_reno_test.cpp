// Reno, the registry, and the windowed minimum of the RTT.
#include <gtest/gtest.h>

#include "tcp/cc/congestion.h"

namespace leat::tcp::cc {
namespace {

Sender busy_sender(uint32_t cwnd, uint32_t ssthresh) {
  Sender s;
  s.snd_una = 0xfffffff0;
  s.snd_nxt = s.snd_una + cwnd * s.mss_cache;
  s.snd_cwnd = cwnd;
  s.snd_ssthresh = ssthresh;
  s.is_cwnd_limited = true;
  return s;
}

TEST(CongestionRegistry, ListsRenoAndCubicFirstAsLinuxDoes) {
  ASSERT_GE(available().size(), 2u);
  EXPECT_STREQ(available()[0]->name, "reno");
  EXPECT_STREQ(available()[1]->name, "cubic");
}

TEST(CongestionRegistry, NeverGivesTheIndexZeroWhichMeansTheDefault) {
  EXPECT_EQ(at(0), nullptr);
  for (const Algorithm* a : available()) {
    EXPECT_NE(index_of(*a), 0);
    EXPECT_EQ(at(index_of(*a)), a);
    EXPECT_EQ(find(a->name), a);
  }
  EXPECT_EQ(at(255), nullptr);
}

TEST(CongestionRegistry, KnowsNoUnknownNames) {
  EXPECT_EQ(find(""), nullptr);
  EXPECT_EQ(find("cubi"), nullptr);
  EXPECT_EQ(find("cubic2"), nullptr);
}

TEST(CongestionRegistry, GivesAnIndexToWhatNobodyCanAskForToo) {
  EXPECT_EQ(find("dctcp-reno"), nullptr);
  const Algorithm* hidden = at(static_cast<uint8_t>(available().size() + 1));
  ASSERT_NE(hidden, nullptr);
  EXPECT_STREQ(hidden->name, "dctcp-reno");
  EXPECT_EQ(index_of(*hidden), available().size() + 1);
}

TEST(CongestionRegistry, EveryAlgorithmHasWhatThePipelineCallsUnasked) {
  for (const Algorithm* a : available()) {
    EXPECT_NE(a->ssthresh, nullptr) << a->name;
    EXPECT_NE(a->undo_cwnd, nullptr) << a->name;
    EXPECT_TRUE(a->cong_avoid != nullptr || a->cong_control != nullptr) << a->name;
  }
}

TEST(Reno, DoublesTheWindowInOneRoundTripOfSlowStart) {
  Sender s = busy_sender(10, kInfiniteSsthresh);
  for (int i = 0; i < 10; ++i)
    reno_cong_avoid(s, s.snd_una, 1);
  EXPECT_EQ(s.snd_cwnd, 20u);
}

TEST(Reno, SpendsOfOneAckOnlyWhatIsMissingToSsthreshInSlowStart) {
  Sender s = busy_sender(8, 10);
  reno_cong_avoid(s, s.snd_una, 5);
  EXPECT_EQ(s.snd_cwnd, 10u);
  EXPECT_EQ(s.snd_cwnd_cnt, 3u);
}

TEST(Reno, AddsOneSegmentARoundTripAboveSsthresh) {
  Sender s = busy_sender(10, 10);
  for (int i = 0; i < 9; ++i)
    reno_cong_avoid(s, s.snd_una, 1);
  EXPECT_EQ(s.snd_cwnd, 10u);
  reno_cong_avoid(s, s.snd_una, 1);
  EXPECT_EQ(s.snd_cwnd, 11u);
  EXPECT_EQ(s.snd_cwnd_cnt, 0u);
}

TEST(Reno, CreditsAStretchAckWithAllThatItAcknowledges) {
  Sender s = busy_sender(10, 10);
  reno_cong_avoid(s, s.snd_una, 25);
  EXPECT_EQ(s.snd_cwnd, 12u);
  EXPECT_EQ(s.snd_cwnd_cnt, 5u);
}

TEST(Reno, UsesCreditOfATimeWithALargerWindowForOneSegmentAtMost) {
  Sender s = busy_sender(10, 10);
  s.snd_cwnd_cnt = 35;
  cong_avoid_ai(s, 10, 1);
  EXPECT_EQ(s.snd_cwnd, 11u);
  EXPECT_EQ(s.snd_cwnd_cnt, 1u);
}

TEST(Reno, DoesNotGrowAWindowThatIsNotUsed) {
  Sender s = busy_sender(10, 10);
  s.is_cwnd_limited = false;
  reno_cong_avoid(s, s.snd_una, 25);
  EXPECT_EQ(s.snd_cwnd, 10u);
}

TEST(Reno, LetsSlowStartGrowToTwiceWhatWasInFlight) {
  Sender s = busy_sender(10, kInfiniteSsthresh);
  s.is_cwnd_limited = false;
  s.max_packets_out = 6;
  EXPECT_TRUE(is_cwnd_limited(s));
  s.snd_cwnd = 12;
  EXPECT_FALSE(is_cwnd_limited(s));
}

TEST(Reno, ObeysTheClamp) {
  Sender s = busy_sender(10, kInfiniteSsthresh);
  s.snd_cwnd_clamp = 12;
  reno_cong_avoid(s, s.snd_una, 10);
  EXPECT_EQ(s.snd_cwnd, 12u);
  s.snd_ssthresh = 10;
  reno_cong_avoid(s, s.snd_una, 100);
  EXPECT_EQ(s.snd_cwnd, 12u);
}

TEST(Reno, HalvesOnLossButKeepsTwoSegments) {
  Sender s = busy_sender(11, 8);
  EXPECT_EQ(reno_ssthresh(s), 5u);
  s.snd_cwnd = 1;
  EXPECT_EQ(reno_ssthresh(s), 2u);
}

TEST(Reno, TakesBackAReductionThatWasForNothing) {
  Sender s = busy_sender(5, 5);
  s.prior_cwnd = 11;
  EXPECT_EQ(reno_undo_cwnd(s), 11u);
  s.snd_cwnd = 13;
  EXPECT_EQ(reno_undo_cwnd(s), 13u);
}

// ---- minimum of the RTT ----

TEST(RttMin, IsInfiniteBeforeTheFirstSample) {
  RttMinFilter f;
  EXPECT_EQ(f.get(), ~0u);
}

TEST(RttMin, FollowsSmallerSamplesAtOnceAndIgnoresLargerOnes) {
  RttMinFilter f;
  f.reset(0xffffff00, 50000);
  EXPECT_EQ(f.running_min(300000, 0xffffff10, 60000), 50000u);
  EXPECT_EQ(f.running_min(300000, 0xffffff20, 40000), 40000u);
  EXPECT_EQ(f.running_min(300000, 0xffffff30, 40000), 40000u);
}

TEST(RttMin, ForgetsTheMinimumAfterTheWindowAndRemembersTheSecondBest) {
  RttMinFilter f;
  const uint32_t t0 = 0xfffffff0;  // wraps during the window
  f.reset(t0, 10);
  EXPECT_EQ(f.running_min(1000, t0 + 300, 30), 10u);  // older than a quarter: 30 becomes the second choice
  EXPECT_EQ(f.running_min(1000, t0 + 900, 50), 10u);  // older than a half: third
  EXPECT_EQ(f.running_min(1000, t0 + 1001, 70), 30u);
  EXPECT_EQ(f.running_min(1000, t0 + 1301, 80), 50u);
}

TEST(RttMin, StartsAnewWhenNothingCameForAWholeWindow) {
  RttMinFilter f;
  f.reset(100, 10);
  EXPECT_EQ(f.running_min(1000, 1101, 500), 500u);
  EXPECT_EQ(f.s[1].value, 500u);
  EXPECT_EQ(f.s[2].value, 500u);
}

}  // namespace
}  // namespace leat::tcp::cc
