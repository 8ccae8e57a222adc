// BBR: modes, bandwidth, windows, policers. One step is one round trip of 10 ms with segments of 1000 bytes.
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "tcp/cc/congestion.h"

namespace leat::tcp::cc {
namespace {

constexpr uint32_t kStartupGain = 739, kDrainGain = 88;

class BbrTest : public testing::Test {
 protected:
  BbrTest() {
    s.mstamp_us = 0xffffffffull * 1000 - 35'000;  // the millisecond clock wraps during the first round trips
    s.delivered_us = s.mstamp_us;
    s.delivered = 0xfffffff0;
    s.mss_cache = 1000;
    s.random = 1;
    s.clock_cache_ns = s.mstamp_us * 1000;
    s.cc_algorithm = &bbr;
    bbr.init(s);
  }
  RateSample sample(uint32_t segs, int32_t rtt_us = 10'000) {
    RateSample rs;
    rs.prior_delivered = s.delivered;
    rs.delivered = static_cast<int32_t>(segs);
    rs.acked_sacked = segs;
    rs.interval_us = 10'000;
    rs.rtt_us = rtt_us;
    rs.prior_in_flight = s.packets_in_flight();
    return rs;
  }
  void deliver(const RateSample& rs, uint64_t us = 10'000) {
    s.mstamp_us += us;
    s.clock_cache_ns = s.mstamp_us * 1000;
    s.delivered += rs.acked_sacked;
    s.lost += rs.losses;
    s.delivered_us = s.mstamp_us;
    bbr.cong_control(s, s.snd_una, rs);
  }
  void round(uint32_t segs, int32_t rtt_us = 10'000) { deliver(sample(segs, rtt_us)); }
  // The application has sent nothing for a while.
  void pause() {
    RateSample rs = sample(1);
    rs.is_app_limited = true;
    deliver(rs, 50'000);
  }
  // One of a steady stream of ACKs, at 40 segments a round trip.
  void acknowledge_one() {
    RateSample rs = sample(1);
    rs.prior_delivered = s.delivered - 40;
    rs.delivered = 40;
    deliver(rs, 250);
  }
  // 40 segments a round trip are the path's; the pipe is found full, then drained.
  void reach_probe_bw() {
    s.packets_out = 120;
    for (uint32_t segs : {10u, 20u, 40u, 40u, 40u, 40u})
      round(segs);
    EXPECT_EQ(pacing_gain(), kDrainGain);
    s.packets_out = 40;
    round(40);
    EXPECT_EQ(cwnd_gain(), 512u);
  }
  std::array<uint32_t, 5> info() {
    std::array<uint32_t, 5> words{};
    std::array<uint8_t, 20> bytes{};
    EXPECT_EQ(bbr.get_info(s, bytes), 20u);
    std::memcpy(words.data(), bytes.data(), bytes.size());
    return words;
  }
  uint32_t bytes_a_second() { return info()[0]; }
  uint32_t min_rtt() { return info()[2]; }
  uint32_t pacing_gain() { return info()[3]; }
  uint32_t cwnd_gain() { return info()[4]; }

  const Algorithm& bbr = *find("bbr");
  Sender s;
};

TEST_F(BbrTest, PacesTheInitialWindowOverAMillisecondBeforeItKnowsThePath) {
  EXPECT_EQ(s.pacing_status, 1);
  EXPECT_EQ(s.snd_ssthresh, kInfiniteSsthresh);
  // 10 segments a ms, times 739/256, less 1 %
  EXPECT_NEAR(static_cast<double>(s.pacing_rate), 10e6 * 739 / 256 * 0.99, 200.0);
}

TEST_F(BbrTest, PacesTheInitialWindowOverTheRttOfTheHandshake) {
  s.srtt_us = 50'000 << 3;
  bbr.init(s);
  EXPECT_NEAR(static_cast<double>(s.pacing_rate), 200e3 * 739 / 256 * 0.99, 200.0);
}

TEST_F(BbrTest, GrowsInStartupByWhatIsDelivered) {
  s.packets_out = 30;
  round(10);
  EXPECT_EQ(s.snd_cwnd, 20u);
  round(20);
  EXPECT_EQ(s.snd_cwnd, 40u);
  EXPECT_EQ(pacing_gain(), kStartupGain);
  EXPECT_EQ(cwnd_gain(), kStartupGain);
  EXPECT_EQ(bytes_a_second(), 1'999'974u);  // 20 segments in 10 ms, cut to 24 bits
  EXPECT_EQ(min_rtt(), 10'000u);
}

TEST_F(BbrTest, DrainsAfterThreeRoundTripsInWhichTheRateDidNotGrowByAQuarter) {
  s.packets_out = 120;
  for (uint32_t segs : {10u, 20u, 40u, 49u, 49u})
    round(segs);
  EXPECT_EQ(pacing_gain(), kStartupGain);
  round(49);
  EXPECT_EQ(pacing_gain(), kDrainGain);
  EXPECT_EQ(cwnd_gain(), kStartupGain);
}

TEST_F(BbrTest, StaysInStartupWhileTheApplicationIsTheLimit) {
  s.packets_out = 120;
  for (int i = 0; i < 10; ++i) {
    RateSample rs = sample(10);
    rs.is_app_limited = true;
    deliver(rs);
  }
  EXPECT_EQ(pacing_gain(), kStartupGain);
}

TEST_F(BbrTest, ProbesTheBandwidthOnceTheQueueIsGoneWithTwiceTheProduct) {
  reach_probe_bw();
  pause();
  for (int i = 0; i < 40 * 20; ++i)
    acknowledge_one();
  // 2 * 40, three bursts of 3 segments (4 while it probes upwards, and then 2 more), even
  EXPECT_GE(s.snd_cwnd, 90u);
  EXPECT_LE(s.snd_cwnd, 96u);
}

TEST_F(BbrTest, LeavesRoomForAcksThatComeInClumps) {
  reach_probe_bw();
  for (int i = 0; i < 20; ++i)
    round(40);  // a whole window at once: 40 segments more than the rate explains
  EXPECT_GE(s.snd_cwnd, 130u);
  EXPECT_LE(s.snd_cwnd, 136u);
  pause();
  for (int i = 0; i < 40 * 20; ++i)
    acknowledge_one();
  EXPECT_LE(s.snd_cwnd, 96u);  // forgotten after ten round trips
}

TEST_F(BbrTest, CyclesThroughEightPhasesOfOneMinRttEach) {
  reach_probe_bw();
  s.packets_out = 60;  // enough for the phase that probes upwards to end
  std::array<int, 3> seen{};
  for (int i = 0; i < 16; ++i) {
    RateSample rs = sample(40);
    rs.prior_in_flight = 70;
    deliver(rs, 10'001);
    ++seen[pacing_gain() == 320 ? 0u : pacing_gain() == 192 ? 1u : 2u];
  }
  EXPECT_EQ(seen, (std::array<int, 3>{2, 2, 12}));
}

TEST_F(BbrTest, EndsThePhaseThatDrainsAsSoonAsTheQueueIsGone) {
  reach_probe_bw();
  s.packets_out = 60;
  for (int i = 0; i < 16 && pacing_gain() != 192; ++i) {
    RateSample rs = sample(40);
    rs.prior_in_flight = 70;
    deliver(rs, 10'001);
  }
  ASSERT_EQ(pacing_gain(), 192u);
  RateSample rs = sample(1);
  rs.prior_in_flight = 70;
  deliver(rs, 100);
  EXPECT_EQ(pacing_gain(), 192u);
  rs = sample(1);
  rs.prior_in_flight = 30;
  deliver(rs, 100);
  EXPECT_EQ(pacing_gain(), 256u);
}

TEST_F(BbrTest, RemembersTheLargestRateForTenRoundTrips) {
  reach_probe_bw();
  round(40);
  for (int i = 0; i < 10; ++i)
    round(30);
  EXPECT_EQ(bytes_a_second(), 3'999'948u);
  round(30);
  EXPECT_EQ(bytes_a_second(), 2'999'961u);
}

TEST_F(BbrTest, IgnoresSlowSamplesOfASlowApplicationButNotFastOnes) {
  reach_probe_bw();
  for (int i = 0; i < 30; ++i) {
    RateSample rs = sample(5);
    rs.is_app_limited = true;
    deliver(rs);
  }
  EXPECT_EQ(bytes_a_second(), 3'999'948u);
  RateSample rs = sample(60);
  rs.is_app_limited = true;
  deliver(rs);
  EXPECT_EQ(bytes_a_second(), 5'999'982u);
}

TEST_F(BbrTest, IgnoresInvalidSamples) {
  reach_probe_bw();
  RateSample rs = sample(400);
  rs.delivered = -1;
  deliver(rs);
  rs = sample(400);
  rs.interval_us = -1;
  deliver(rs);
  EXPECT_EQ(bytes_a_second(), 3'999'948u);
}

TEST_F(BbrTest, ProbesTheRttAfterTenSecondsWithFourSegmentsForTwoHundredMilliseconds) {
  reach_probe_bw();
  for (int i = 0; i < 20; ++i)
    round(40);
  for (int i = 0; i < 965; ++i)
    round(40, 12'000);
  EXPECT_EQ(min_rtt(), 10'000u);
  EXPECT_GT(s.snd_cwnd, 80u);
  for (int i = 0; i < 30; ++i)
    round(40, 12'000);
  EXPECT_EQ(s.snd_cwnd, 4u);
  EXPECT_EQ(pacing_gain(), 256u);
  EXPECT_EQ(min_rtt(), 12'000u);  // the old one was too old
  EXPECT_NE(s.app_limited, 0u);
  s.packets_out = 4;
  RateSample rs = sample(4, 9'000);
  rs.is_app_limited = true;
  for (int i = 0; i < 21; ++i, rs.prior_delivered = s.delivered)
    deliver(rs);
  EXPECT_EQ(s.snd_cwnd, 4u);  // 200 ms since there were only four
  deliver(rs);
  EXPECT_GE(s.snd_cwnd, 80u);
  EXPECT_EQ(min_rtt(), 9'000u);
  EXPECT_EQ(cwnd_gain(), 512u);
}

// As Linux, which saves the window when it has entered the mode: the larger one of before stays.
TEST_F(BbrTest, LeavesTheProbeOfTheRttWithTheLargestWindowItHadSaved) {
  reach_probe_bw();
  for (int i = 0; i < 20; ++i)
    round(40);
  s.snd_cwnd = 500;
  (void)bbr.ssthresh(s);  // saves it
  s.snd_cwnd = 90;
  for (int i = 0; i < 1000; ++i)
    round(40, 12'000);
  EXPECT_EQ(s.snd_cwnd, 4u);
  s.packets_out = 4;
  for (int i = 0; i < 3; ++i)
    deliver(sample(4));
  s.mstamp_us += 300'000;
  s.app_limited = 1;
  bbr.cwnd_event(s, Event::kTxStart);  // ends it
  EXPECT_EQ(s.snd_cwnd, 500u);
}

TEST_F(BbrTest, HasNoGainsBeforeTheFirstAck) {
  EXPECT_EQ(pacing_gain(), 0u);  // Linux 6.18 says so in TCP_CC_INFO
  EXPECT_EQ(cwnd_gain(), 0u);
  round(10);
  EXPECT_EQ(pacing_gain(), kStartupGain);
  EXPECT_EQ(cwnd_gain(), kStartupGain);
}

TEST_F(BbrTest, ConservesPacketsForTheFirstRoundTripOfRecoveryAndRestoresTheWindowAfterIt) {
  reach_probe_bw();
  for (int i = 0; i < 20; ++i)
    round(40);
  EXPECT_GE(s.snd_cwnd, 130u);
  EXPECT_EQ(bbr.ssthresh(s), s.snd_ssthresh);
  bbr.set_state(s, CaState::kRecovery);
  s.ca_state = CaState::kRecovery;
  s.packets_out = 30;
  RateSample rs = sample(2);
  rs.prior_delivered = s.delivered - 10;  // in the midst of a round trip
  rs.losses = 1;
  deliver(rs, 100);
  EXPECT_EQ(s.snd_cwnd, 32u);
  s.ca_state = CaState::kOpen;
  rs = sample(2);
  rs.prior_delivered = s.delivered - 10;
  deliver(rs, 100);
  EXPECT_GE(s.snd_cwnd, 130u);
}

TEST_F(BbrTest, KeepsItsWindowWhenALossWasNone) {
  reach_probe_bw();
  const uint32_t cwnd = s.snd_cwnd;
  EXPECT_EQ(bbr.undo_cwnd(s), cwnd);
}

TEST_F(BbrTest, CountsRoundTripsWithoutGrowthAnewWhenALossWasNone) {
  for (uint32_t segs : {10u, 20u, 40u, 40u, 40u})
    round(segs);
  (void)bbr.undo_cwnd(s);
  for (int i = 0; i < 3; ++i)
    round(40);
  EXPECT_EQ(pacing_gain(), kStartupGain);
  round(40);
  EXPECT_NE(pacing_gain(), kStartupGain);
}

TEST_F(BbrTest, TakesTheRateOfAPolicerThatShowsTwice) {
  reach_probe_bw();
  // 30 delivered and 10 lost a round trip: far more than the fifth that makes a policer.
  for (int i = 0; i < 14; ++i) {
    RateSample rs = sample(30);
    rs.losses = 10;
    deliver(rs);
  }
  EXPECT_NEAR(bytes_a_second(), 3e6, 1e5);
  EXPECT_EQ(pacing_gain(), 256u);
  for (int i = 0; i < 20; ++i)
    round(30);
  EXPECT_EQ(pacing_gain(), 256u);  // no probing while it is believed in
}

TEST_F(BbrTest, ProbesAgainAfterFortyEightRoundTripsOfAPolicer) {
  reach_probe_bw();
  for (int i = 0; i < 9; ++i) {
    RateSample rs = sample(30);
    rs.losses = 10;
    deliver(rs);
  }
  bool probed = false;
  for (int i = 0; i < 70; ++i) {
    RateSample rs = sample(30);
    rs.prior_in_flight = 100;
    deliver(rs, 10'001);
    probed |= pacing_gain() == 320;
  }
  EXPECT_TRUE(probed);
}

TEST_F(BbrTest, PacesAtTheKnownRateAfterASilence) {
  reach_probe_bw();
  s.app_limited = 1;
  s.pacing_rate = 1;
  bbr.cwnd_event(s, Event::kTxStart);
  EXPECT_NEAR(static_cast<double>(s.pacing_rate), 4e6 * 0.99, 100.0);
}

TEST_F(BbrTest, ObeysTheMaximumOfThePacingRateAndTheClamp) {
  s.max_pacing_rate = 1000;
  s.snd_cwnd_clamp = 15;
  s.pacing_rate = 0;
  round(10);
  EXPECT_EQ(s.pacing_rate, 1000u);
  EXPECT_EQ(s.snd_cwnd, 15u);
  EXPECT_EQ(bbr.min_tso_segs(s), 1u);
  s.pacing_rate = 150'000;
  EXPECT_EQ(bbr.min_tso_segs(s), 2u);
}

}  // namespace
}  // namespace leat::tcp::cc
