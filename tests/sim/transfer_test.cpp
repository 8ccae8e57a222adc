// Two hosts on a link impaired at random move 1 MiB each way: every byte once and in order, no stall beyond what the
// retransmission time-outs make of it, nothing left two minutes later. All of that is checked by sim::run().
//
// Under the sanitizers the first 150 seeds; ctest's simulate_transfer runs 1,000 with the release build.
#include <gtest/gtest.h>

#include "sim/scenario.h"

namespace leat::sim {
namespace {

void run_seeds(uint64_t first, uint64_t count, Scenario (*draw)(uint64_t), const char* kind) {
  for (uint64_t number = first; number < first + count; ++number) {
    const Scenario s = draw(number);
    const Outcome outcome = run(s);
    EXPECT_EQ(outcome.failure, "") << "seed " << number << ": " << s.describe() << "\nagain: build/release/bin/"
                                   << "leat-simulate " << kind << " --seed " << number << " --pcap /tmp/seed" << number;
  }
}

constexpr uint64_t kSeedsATest = 10;

struct RandomLinks : testing::TestWithParam<uint64_t> {};

TEST_P(RandomLinks, MoveOneMebibyteEachWayAndLeaveNothing) {
  run_seeds(GetParam() * kSeedsATest, kSeedsATest, draw_transfer, "transfer");
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomLinks, testing::Range<uint64_t>(0, 15));

// Round trips from 10 µs to 1 s, clocks of 1 µs to 10 ms, up to a fifth of the packets lost each way, reordering, late
// and lost ACKs, small buffers, slow readers. ctest's simulate_stall runs more.
struct HardPaths : testing::TestWithParam<uint64_t> {};

TEST_P(HardPaths, NeverStallLongerThanTheTimeOutsAllow) {
  run_seeds(GetParam() * kSeedsATest, kSeedsATest, draw_stall, "stall");
}
INSTANTIATE_TEST_SUITE_P(Seeds, HardPaths, testing::Range<uint64_t>(0, 10));

// A SACK, or a segment into a closed window, starts the timer anew just before it is due.
struct PutOff : testing::TestWithParam<uint64_t> {};

TEST_P(PutOff, ATimerThatStartsAnewIsNoStall) {
  run_seeds(GetParam(), 1, draw_stall, "stall");
}
INSTANTIATE_TEST_SUITE_P(Seeds, PutOff, testing::Values(1127, 4636, 7838));

struct Again : testing::TestWithParam<uint64_t> {};

TEST_P(Again, TheSameSeedGivesTheSameCaptureByteForByte) {
  for (Scenario s : {draw_transfer(GetParam()), draw_stall(GetParam())}) {
    s.wire.is_captured = true;
    const Outcome first = run(s), second = run(s);
    for (size_t end = 0; end < 2; ++end) {
      EXPECT_GT(first.captures[end].size(), 1000u);
      EXPECT_TRUE(first.captures[end] == second.captures[end]) << "end " << end << " of seed " << s.number;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, Again, testing::Values(1, 2, 3, 4));

TEST(OtherSeeds, GiveOtherCaptures) {
  Scenario s = draw_transfer(1);
  s.wire.is_captured = true;
  const Outcome one = run(s);
  s.number = 2;
  EXPECT_FALSE(one.captures[0] == run(s).captures[0]);
}

}  // namespace
}  // namespace leat::sim
