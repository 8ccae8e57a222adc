// Resizing in the middle of a look-up: 1024 buckets, of which one call of grow_if_needed moves the first 512, so that
// the old array is still there when the reader goes on.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "inet/nulls_table.h"
#include "nulls_table_support.h"

namespace leat::inet::test {
namespace {

using Table = NullsTable<AllChecks>;
constexpr uint32_t kEntries = 8192, kBuckets = 1024, kFull = 4 * kBuckets;

void stop_at_objects(std::function<void(int)> f) {
  AllChecks::objects = 0;
  static std::function<void(const SockCommon*)> step;
  step = [f = std::move(f)](const SockCommon*) {
    f(AllChecks::objects);
    AllChecks::object = step;
  };
  AllChecks::object = step;
}
struct ResizeTest : testing::Test {
  ~ResizeTest() override { AllChecks::object = nullptr; }
  // Full, but for the bucket that a test fills itself.
  void fill(Table& table, Tuples<AllChecks>& tuples, uint32_t but) {
    while (table.count() <= kFull)
      add(table, others.emplace_back(), tuples.next([&](uint32_t h) { return (h & (kBuckets - 1)) != but; }));
  }
  Rng rng{seed_of(4)};
  std::deque<Sock4> socks, others;
};

TEST_F(ResizeTest, ABucketThatMovesUnderAReaderLosesNothing) {
  Table table(rng, kEntries);
  Tuples<AllChecks> tuples{table};
  fill(table, tuples, kBuckets);
  int times = 0;
  for (Sock4& s : others) {
    if ((s.hash & (kBuckets - 1)) >= 512) continue;
    AllChecks::object = [&](const SockCommon*) {
      if (times++ == 0) table.grow_if_needed();
    };
    ASSERT_EQ(find(table, s.tuple()), &s);
  }
  EXPECT_EQ(table.buckets(), 2 * kBuckets);
}

// Seven in the slots, four in the chain; the reader stands on each of the chain when the bucket is split.
TEST_F(ResizeTest, AReaderAnywhereInAChainThatIsSplitFindsAll) {
  for (int stop = 1; stop <= 4; ++stop) {
    for (const size_t wanted : {0u, 7u, 8u, 9u, 10u, 11u}) {
      Table table(rng, kEntries);
      Tuples<AllChecks> tuples{table};
      socks.clear();
      others.clear();
      for (int i = 0; i < 12; ++i)
        set_tuple(socks.emplace_back(), tuples.of_bucket(7));
      for (size_t i = 0; i < 11; ++i)
        table.insert(&socks[i]);  // the last one is a miss
      fill(table, tuples, 7);
      stop_at_objects([&](int at) {
        if (at == stop) table.grow_if_needed();
      });
      ASSERT_EQ(find(table, socks[wanted].tuple()), wanted == 11 ? nullptr : &socks[wanted]) << stop << " " << wanted;
      AllChecks::object = nullptr;
    }
  }
}

// Of one half there are more than seven: from a chain into a chain.
TEST_F(ResizeTest, AChainThatStaysOneLosesNothing) {
  for (int stop = 1; stop <= 5; stop += 2) {
    for (const size_t wanted : {0u, 7u, 8u, 9u, 10u, 11u, 12u}) {
      Table table(rng, kEntries);
      Tuples<AllChecks> tuples{table};
      socks.clear();
      others.clear();
      for (int i = 0; i < 13; ++i)
        set_tuple(socks.emplace_back(),
                  tuples.next([](uint32_t h) { return (h & (2 * kBuckets - 1)) == kBuckets + 7; }));
      for (size_t i = 0; i < 12; ++i)
        table.insert(&socks[i]);
      fill(table, tuples, 7);
      stop_at_objects([&](int at) {
        if (at == stop) table.grow_if_needed();
      });
      ASSERT_EQ(find(table, socks[wanted].tuple()), wanted == 12 ? nullptr : &socks[wanted]) << stop << " " << wanted;
      AllChecks::object = nullptr;
      for (size_t i = 0; i < 12; ++i)
        ASSERT_TRUE(table.remove(&socks[i]));
    }
  }
}

// The reader has the old one in his hand when its bucket moves, and it is replaced in the new array.
TEST_F(ResizeTest, OneThatMovesAndIsReplacedThereIsFound) {
  for (const size_t wanted : {size_t{0}, size_t{9}}) {  // in a slot, in the chain
    Table table(rng, kEntries);
    Tuples<AllChecks> tuples{table};
    socks.clear();
    others.clear();
    for (int i = 0; i < 10; ++i)
      add(table, socks.emplace_back(), tuples.of_bucket(7));
    fill(table, tuples, 7);
    Sock4 fresh;
    set_tuple(fresh, socks[wanted].tuple());
    AllChecks::candidate = [&](const SockCommon* at) {
      ASSERT_EQ(at, &socks[wanted]);
      table.grow_if_needed();
      ASSERT_TRUE(table.replace(&socks[wanted], &fresh));
      ASSERT_TRUE(socks[wanted].put());
    };
    EXPECT_EQ(find(table, fresh.tuple()), &fresh);
  }
}

// Several buckets are joined into one: the end of its chain may have been reached from any of them.
TEST_F(ResizeTest, AReaderCarriedIntoTheChainThatItsOwnIsJoinedToStartsAgain) {
  Table table(rng, 1);
  for (uint32_t n = 0; n < 4000; ++n) {
    add(table, socks.emplace_back(), numbered(n));
    table.grow_if_needed();
  }
  for (int i = 0; i < 10; ++i)
    table.grow_if_needed();
  ASSERT_EQ(table.buckets(), 1024u);
  for (Sock4& s : socks)
    table.remove(&s);
  Tuples<AllChecks> tuples{table, 5000};
  fill_slots(table, tuples, 515, others);  // and of the joined one, when all are moved: 515 & 7 == 11 & 7
  fill_slots(table, tuples, 11, others);
  const FourTuple of_wanted = tuples.of_bucket(515), of_carried = tuples.of_bucket(515), joined = tuples.of_bucket(11);
  Sock4 wanted, carried;
  add(table, wanted, of_wanted);
  add(table, carried, of_carried);
  AllChecks::object = [&](const SockCommon* at) {
    ASSERT_EQ(at, &carried);
    table.grow_if_needed();
    ASSERT_EQ(table.buckets(), 8u);
    table.remove(&carried);
    table.insert(&made_again(carried, joined));
    EXPECT_NE(carried.chain, EhashBucket::kInSlot);
  };
  EXPECT_EQ(find(table, of_wanted), &wanted);
  EXPECT_EQ(find(table, joined), &carried);
}

// A large table is moved by tags alone; a small one is not.
TEST_F(ResizeTest, EachFindsItsPlaceAlsoByTheTag) {
  constexpr uint32_t kLarge = 1u << 16, kMany = 4 * kLarge + 1;
  Table table(rng, 8 * kLarge);
  std::vector<SockCommon> many(kMany);
  for (uint32_t n = 0; n < kMany; ++n) {
    set_tuple(many[n], numbered(n));
    many[n].refs = 1;
    table.insert(&many[n]);
  }
  for (int i = 0; i < 300; ++i)
    table.grow_if_needed();
  EXPECT_EQ(table.buckets(), 2 * kLarge);
  AllChecks::objects = 0;
  for (uint32_t n = 0; n < kMany; ++n)
    ASSERT_EQ(find(table, numbered(n)), &many[n]) << n;
  EXPECT_LT(AllChecks::objects, kMany + kMany / 100);
  for (SockCommon& s : many)
    ASSERT_TRUE(table.remove(&s));
  EXPECT_EQ(table.count(), 0u);
}

}  // namespace
}  // namespace leat::inet::test
