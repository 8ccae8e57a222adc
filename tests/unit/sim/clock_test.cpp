#include "sim/clock.h"

#include <gtest/gtest.h>

namespace leat::sim {
namespace {

constexpr Duration kMs = Duration::from_ms(1);

TEST(Clock, OfTenMillisecondsWakesUpAtTheNextMultiple) {
  Clock c(kMs * 10, Tick::kWakeup);
  const Time start = c.now();
  c.advance_to(start + Duration::from_ns(1));
  EXPECT_EQ(c.now(), start + kMs * 10);
  EXPECT_EQ(c.reading(), c.now());
}

TEST(Clock, ThatOnlyReadsCoarselyMovesExactly) {
  Clock c(kMs * 10, Tick::kReading);
  const Time start = c.now();
  c.advance_to(start + kMs * 3);
  EXPECT_EQ(c.now(), start + kMs * 3);
  EXPECT_EQ(c.reading(), start + kMs * 10);
  c.advance_to(start + kMs * 10);
  EXPECT_EQ(c.reading(), start + kMs * 10);
}

TEST(Clock, NeverGoesBack) {
  Clock c;
  const Time start = c.now();
  c.advance_to(start + kMs);
  c.advance_to(start);
  EXPECT_EQ(c.now(), start + kMs);
}

}  // namespace
}  // namespace leat::sim
