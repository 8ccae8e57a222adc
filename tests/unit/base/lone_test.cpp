// Counting with and without a second thread in the process.
#include "base/lone.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/spinlock.h"

namespace leat {
namespace {

TEST(Lone, CountsAreExactAlsoOnceThereIsASecondThread) {
  std::atomic<uint32_t> n{0};
  EXPECT_EQ(count_up(n, 5u), 0u);
  EXPECT_EQ(count_down(n, 2u), 5u);
  const auto hundred_thousand = [&n] {
    for (int i = 0; i < 100'000; ++i)
      count_up(n, 1u);
  };
  std::thread other(hundred_thousand);
  hundred_thousand();
  other.join();
  EXPECT_EQ(n, 200'003u);
}

TEST(Lone, ALockTakenBeforeThereWasASecondThreadKeepsItOut) {
  SpinLock lock;
  lock.lock();
  bool got_it = true;
  std::thread other([&] { got_it = lock.try_lock(); });
  other.join();
  EXPECT_FALSE(got_it);
  lock.unlock();
  EXPECT_TRUE(lock.try_lock());
  lock.unlock();
}

TEST(Lone, SwapIfTellsWhatItFound) {
  std::atomic<uint32_t> n{7};
  uint32_t expected = 6;
  EXPECT_FALSE(swap_if(n, expected, 9u));
  EXPECT_EQ(expected, 7u);
  EXPECT_TRUE(swap_if(n, expected, 9u));
  EXPECT_EQ(n, 9u);
}

}  // namespace
}  // namespace leat
