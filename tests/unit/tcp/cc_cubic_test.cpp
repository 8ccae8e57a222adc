// CUBIC: the numbers are those of Linux's integers.
#include <gtest/gtest.h>

#include <vector>

#include "tcp/cc/congestion.h"
#include "tcp/cc/cube_root.h"

namespace leat::tcp::cc {
namespace {

const Algorithm& cubic() {
  return *find("cubic");
}

class CubicTest : public testing::Test {
 protected:
  CubicTest() {
    s.snd_una = 0xffffff00;
    s.snd_nxt = s.snd_una;
    s.is_cwnd_limited = true;
    at_ms(5000);
    cubic().init(s);
  }
  void at_ms(uint64_t ms) { s.mstamp_us = ms * 1000; }
  uint64_t now_ms() const { return s.mstamp_us / 1000; }
  void rtt_sample(int32_t us) { cubic().pkts_acked(s, {.pkts_acked = 1, .rtt_us = us, .in_flight = 1}); }

  // A loss at `cwnd`, and recovery done.
  void lose_at(uint32_t cwnd) {
    s.snd_cwnd = cwnd;
    s.prior_cwnd = cwnd;
    s.snd_ssthresh = cubic().ssthresh(s);
    s.snd_cwnd = s.snd_ssthresh;
    s.snd_cwnd_cnt = 0;
  }
  // Whole windows are acknowledged one ACK a segment; the window at the end of each second.
  std::vector<uint32_t> run(uint32_t rtt_ms, size_t seconds) {
    std::vector<uint32_t> windows;
    const uint64_t start = now_ms();
    while (windows.size() < seconds) {
      for (uint32_t n = s.snd_cwnd; n != 0; --n) {
        s.snd_una += s.mss_cache;
        s.snd_nxt = s.snd_una + s.snd_cwnd * s.mss_cache;
        cubic().cong_avoid(s, s.snd_una, 1);
      }
      at_ms(now_ms() + rtt_ms);
      while (windows.size() < seconds && now_ms() - start >= 1000 * (windows.size() + 1))
        windows.push_back(s.snd_cwnd);
    }
    return windows;
  }

  Sender s;
};

TEST(CubeRoot, IsTheLargestIntegerWhoseCubeFits) {
  EXPECT_EQ(cube_root(0), 0u);
  EXPECT_EQ(cube_root(1), 1u);
  EXPECT_EQ(cube_root(7), 1u);
  EXPECT_EQ(cube_root(8), 2u);
  for (uint64_t x = 1; x < 2'000'000; x += 1 + x / 7) {
    EXPECT_EQ(cube_root(x * x * x), x);
    EXPECT_EQ(cube_root(x * x * x - 1), x - 1);
  }
  EXPECT_EQ(cube_root(~uint64_t{0}), 2642245u);
}

TEST_F(CubicTest, DoublesARoundTripInSlowStart) {
  s.snd_cwnd = 10;
  for (int i = 0; i < 10; ++i)
    cubic().cong_avoid(s, s.snd_una, 1);
  EXPECT_EQ(s.snd_cwnd, 20u);
}

TEST_F(CubicTest, ReducesToSevenTenthsAndNotBelowTwo) {
  s.snd_cwnd = 100;
  EXPECT_EQ(cubic().ssthresh(s), 70u);
  s.snd_cwnd = 1000;
  EXPECT_EQ(cubic().ssthresh(s), 700u);
  s.snd_cwnd = 2;
  EXPECT_EQ(cubic().ssthresh(s), 2u);
}

TEST_F(CubicTest, FollowsTheCurveToTheOldMaximumRestsThereAndProbesBeyond) {
  rtt_sample(100'000);
  lose_at(100);
  EXPECT_EQ(s.snd_cwnd, 70u);
  EXPECT_EQ(run(100, 12), (std::vector<uint32_t>{87, 96, 100, 100, 100, 102, 108, 121, 143, 177, 225, 288}));
}

TEST_F(CubicTest, FollowsTheCurveOfALargeWindow) {
  rtt_sample(100'000);
  lose_at(1000);
  EXPECT_EQ(run(100, 20), (std::vector<uint32_t>{789,  858,  910,  948,  973,  989,  998,  1000, 1000, 1000,
                                                 1002, 1010, 1024, 1047, 1082, 1132, 1198, 1283, 1390, 1521}));
}

TEST_F(CubicTest, IsAsFastAsRenoOnAShortPath) {
  rtt_sample(20'000);
  lose_at(10);
  EXPECT_EQ(s.snd_cwnd, 7u);
  EXPECT_EQ(run(20, 6), (std::vector<uint32_t>{31, 58, 84, 112, 139, 165}));
}

TEST_F(CubicTest, GrowsByAFifthOfAWindowARoundTripAtMostBeforeTheFirstLoss) {
  s.snd_cwnd = s.snd_ssthresh = 10;
  rtt_sample(100'000);
  EXPECT_EQ(run(100, 5), (std::vector<uint32_t>{16, 25, 41, 67, 109}));
}

TEST_F(CubicTest, GivesWayWhenTheLastMaximumWasNotReachedAgain) {
  rtt_sample(100'000);
  lose_at(100);
  lose_at(80);  // W_max: 80 * 0.85 = 68, not 80
  EXPECT_EQ(s.snd_cwnd, 56u);
  // The plateau is at 68: it is passed within two seconds.
  EXPECT_EQ(run(100, 4), (std::vector<uint32_t>{65, 69, 71, 77}));
}

TEST_F(CubicTest, RestsAtTheLastMaximumWhenThatWasExceeded) {
  rtt_sample(100'000);
  lose_at(100);
  lose_at(120);
  EXPECT_EQ(s.snd_cwnd, 84u);
  EXPECT_EQ(run(100, 4), (std::vector<uint32_t>{104, 114, 120, 120}));
}

TEST_F(CubicTest, GoesOnWhereItWasOnTheCurveAfterASilence) {
  rtt_sample(100'000);
  lose_at(100);
  EXPECT_EQ(run(100, 2).back(), 96u);
  s.lsndtime = s.jiffies();
  at_ms(now_ms() + 60'000);
  cubic().cwnd_event(s, Event::kTxStart);
  EXPECT_EQ(run(100, 3), (std::vector<uint32_t>{100, 100, 100}));
}

TEST_F(CubicTest, ForgetsTheCurveOnATimeOut) {
  rtt_sample(100'000);
  lose_at(100);
  run(100, 2);
  cubic().set_state(s, CaState::kLoss);
  s.snd_cwnd = s.snd_ssthresh = 10;
  s.snd_cwnd_cnt = 0;
  rtt_sample(100'000);
  EXPECT_EQ(run(100, 5), (std::vector<uint32_t>{16, 25, 41, 67, 109}));
}

TEST_F(CubicTest, KeepsTheCurveInOtherStates) {
  rtt_sample(100'000);
  lose_at(100);
  cubic().set_state(s, CaState::kDisorder);
  cubic().set_state(s, CaState::kOpen);
  EXPECT_EQ(run(100, 3), (std::vector<uint32_t>{87, 96, 100}));
}

TEST_F(CubicTest, TakesBackAReductionThatWasForNothing) {
  lose_at(100);
  EXPECT_EQ(cubic().undo_cwnd(s), 100u);
  s.snd_cwnd = 120;
  EXPECT_EQ(cubic().undo_cwnd(s), 120u);
}

TEST_F(CubicTest, DoesNotGrowAWindowThatIsNotUsed) {
  lose_at(100);
  s.is_cwnd_limited = false;
  EXPECT_EQ(run(100, 2), (std::vector<uint32_t>{70, 70}));
}

TEST_F(CubicTest, WorksWhileTheMillisecondClockWraps) {
  at_ms(0xffffffffull - 1500);
  rtt_sample(100'000);
  lose_at(100);
  EXPECT_EQ(run(100, 5), (std::vector<uint32_t>{87, 96, 100, 100, 100}));
}

}  // namespace
}  // namespace leat::tcp::cc
