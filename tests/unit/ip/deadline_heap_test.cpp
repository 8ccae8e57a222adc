// Deadlines come back in order, whatever was armed and disarmed before.
#include "ip/deadline_heap.h"

#include <gtest/gtest.h>

#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

TEST(DeadlineHeap, GivesThemBackInOrder) {
  struct Item {
    Deadline deadline;
    int id = 0;
  };
  DeadlineHeap<Item, &Item::deadline> heap;
  std::vector<Item> items(200);
  Rng rng(Seed{5});
  for (int round = 0; round < 20; ++round) {
    for (auto& i : items) {
      if (rng.below(4) == 0) {
        heap.disarm(&i);
      } else {
        heap.arm(&i, at_ms(rng.below(1000)));
      }
    }
    size_t armed = 0;
    for (const auto& i : items)
      armed += i.deadline.is_armed() ? 1 : 0;
    ASSERT_EQ(heap.size(), armed);
  }
  Time last;
  while (heap.size() != 0) {
    const Time next = heap.next();
    EXPECT_EQ(heap.pop_due(next - Duration::from_ns(1)), nullptr);
    Item* i = heap.pop_due(next);
    ASSERT_NE(i, nullptr);
    EXPECT_FALSE(i->deadline.is_armed());
    EXPECT_GE(next, last);
    last = next;
  }
  EXPECT_EQ(heap.next(), Time::never());
}

}  // namespace
}  // namespace leat::ip
