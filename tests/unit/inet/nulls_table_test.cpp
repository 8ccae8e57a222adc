// The checks of a reader, each shown to be needed: an interleaving that is right with it and wrong without it. In the
// slots of a bucket and in its chain, which begins behind seven others.
#include "inet/nulls_table.h"

#include <gtest/gtest.h>

#include "nulls_table_support.h"

namespace leat::inet::test {
namespace {

enum class Place { kSlots, kChain };

// Sixteen buckets. `first` and `second` are in one of them: in this order in its chain, or in its slots.
template <class Hooks>
struct Scene {
  explicit Scene(Place place = Place::kChain) {
    if (place == Place::kChain) fill_slots(table, tuples, kHome, fillers);
    fill_slots(table, tuples, kFull, fillers);
    of_second = tuples.of_bucket(kHome);
    of_first = tuples.of_bucket(kHome);
    of_other_chain = tuples.of_bucket(kFull);
    of_other_slot = tuples.of_bucket(kEmpty);
    add(table, second, of_second);
    add(table, first, of_first);
    table.set_release([](void* c, SockCommon*) { ++*static_cast<int*>(c); }, &released);
  }
  // The object goes the way of a closed connection, and its memory becomes the connection of another tuple.
  void reuse(Sock4& s, const FourTuple& t) {
    table.remove(&s);
    ASSERT_TRUE(s.put());
    table.insert(&made_again(s, t));
  }
  SockCommon* lookup(const FourTuple& t) { return table.lookup(table.hash_of(t), t, 1); }

  static constexpr uint32_t kHome = 3, kFull = 5, kEmpty = 9;
  Rng rng{seed_of(3)};
  NullsTable<Hooks> table{rng, 128};
  Tuples<Hooks> tuples{table};
  FourTuple of_first, of_second, of_other_chain, of_other_slot;
  std::deque<Sock4> fillers;
  Sock4 first, second;
  int released = 0;
};

template <class Hooks>
SockCommon* carried_off(Scene<Hooks>& s, const FourTuple& to) {
  Hooks::object = [&](const SockCommon* at) {
    EXPECT_EQ(at, &s.first);
    s.reuse(s.first, to);
  };
  return s.lookup(s.of_second);
}

TEST(NullsTable, AReaderCarriedIntoAnotherChainNoticesAtItsEnd) {
  Scene<AllChecks> s;
  EXPECT_EQ(carried_off(s, s.of_other_chain), &s.second);
}

TEST(NullsTable, AReaderWhoseObjectGetsASlotElsewhereNotices) {
  Scene<AllChecks> s;
  EXPECT_EQ(carried_off(s, s.of_other_slot), &s.second);
}

TEST(NullsTable, WithoutTheCheckOfTheEndItWouldMissAConnection) {
  Scene<TestHooks<false>> chain, slot;
  EXPECT_EQ(carried_off(chain, chain.of_other_chain), nullptr);
  EXPECT_EQ(carried_off(slot, slot.of_other_slot), nullptr);
}

TEST(NullsTable, AnObjectReusedBeforeItsReferenceIsTakenIsNotReturned) {
  for (const Place place : {Place::kSlots, Place::kChain}) {
    Scene<AllChecks> s(place);
    AllChecks::candidate = [&](const SockCommon* at) {
      EXPECT_EQ(at, &s.second);
      s.reuse(s.second, s.of_other_chain);
    };
    EXPECT_EQ(s.lookup(s.of_second), nullptr);
    EXPECT_EQ(s.second.refs, 1u);
  }
}

TEST(NullsTable, WithoutComparingAgainItWouldReturnAStranger) {
  using Hooks = TestHooks<true, false>;
  for (const Place place : {Place::kSlots, Place::kChain}) {
    Scene<Hooks> s(place);
    Hooks::candidate = [&](const SockCommon*) { s.reuse(s.second, s.of_other_chain); };
    SockCommon* found = s.lookup(s.of_second);
    ASSERT_EQ(found, &s.second);
    EXPECT_FALSE(found->matches(s.of_second, 1));
  }
}

TEST(NullsTable, ASlotTakenByAnotherUnderAReaderIsNotReturned) {
  Scene<AllChecks> s(Place::kSlots);
  Sock4 other;
  const FourTuple of_other = s.tuples.of_bucket(s.kHome);
  AllChecks::object = [&](const SockCommon* at) {
    EXPECT_EQ(at, &s.second);
    s.table.remove(&s.second);
    add(s.table, other, of_other);
  };
  EXPECT_EQ(s.lookup(s.of_second), nullptr);
  EXPECT_EQ(find(s.table, of_other), &other);
}

TEST(NullsTable, AReaderOnAnObjectThatIsTakenOutStartsAgain) {
  Scene<AllChecks> s;
  AllChecks::object = [&](const SockCommon*) { s.table.remove(&s.first); };
  EXPECT_EQ(s.lookup(s.of_second), &s.second);
}

TEST(NullsTable, AnObjectReusedInTheSameChainHasAllOfItBehindIt) {
  Scene<AllChecks> s;
  // The reader stands on `second`, the last, when it becomes `first`'s replacement: at the head, not in its place.
  AllChecks::object = [&](const SockCommon*) {
    AllChecks::object = [&](const SockCommon* at) {
      ASSERT_EQ(at, &s.second);
      s.table.remove(&s.second);
      ASSERT_TRUE(s.table.replace(&s.first, &made_again(s.second, s.of_first)));
    };
  };
  EXPECT_EQ(s.lookup(s.of_second), nullptr);
  EXPECT_EQ(s.lookup(s.of_first), &s.second);
}

// The reader stands on the first when the second gives way to a fresh one, which goes in before the first.
template <class Hooks>
bool finds_fresh_behind_its_back() {
  Scene<Hooks> s;
  Sock4 fresh;
  set_tuple(fresh, s.of_second);
  Hooks::object = [&](const SockCommon* at) {
    EXPECT_EQ(at, &s.first);
    EXPECT_TRUE(s.table.replace(&s.second, &fresh));
  };
  return s.lookup(s.of_second) == &fresh;
}

// The reader has the old one of a slot in his hand when its owner lets go of it.
template <class Hooks>
bool finds_fresh_in_the_slot() {
  Scene<Hooks> s(Place::kSlots);
  Sock4 fresh;
  set_tuple(fresh, s.of_second);
  Hooks::candidate = [&](const SockCommon* at) {
    EXPECT_EQ(at, &s.second);
    EXPECT_TRUE(s.table.replace(&s.second, &fresh));
    EXPECT_TRUE(s.second.put());
  };
  return s.lookup(s.of_second) == &fresh;
}

// The reader stands on the first of the chain, has not seen the second in a slot, and finds it no more in the chain.
template <class Hooks>
bool finds_who_got_a_slot() {
  Scene<Hooks> s;
  Hooks::object = [&](const SockCommon* at) {
    EXPECT_EQ(at, &s.first);
    s.table.remove(&s.first);
    s.table.remove(&s.fillers[0]);  // its slot is the second's
    s.table.insert(&s.first);       // alone in the chain
  };
  return s.lookup(s.of_second) == &s.second;
}

TEST(NullsTable, AReplacedConnectionIsFoundAlsoBetweenTheTwoPlaces) {
  EXPECT_TRUE(finds_fresh_behind_its_back<AllChecks>());
  EXPECT_TRUE(finds_fresh_in_the_slot<AllChecks>());
}

TEST(NullsTable, AConnectionThatGetsASlotIsFoundAlsoBetweenTheTwoPlaces) {
  EXPECT_TRUE(finds_who_got_a_slot<AllChecks>());
}

TEST(NullsTable, WithoutTheCountOfChangesItWouldBeMissed) {
  using Hooks = TestHooks<true, true, false>;
  EXPECT_FALSE(finds_fresh_behind_its_back<Hooks>());
  EXPECT_FALSE(finds_fresh_in_the_slot<Hooks>());
  EXPECT_FALSE(finds_who_got_a_slot<Hooks>());
}

TEST(NullsTable, WhoeverLetsGoLastReleases) {
  for (const Place place : {Place::kSlots, Place::kChain}) {
    Scene<AllChecks> s(place);
    // Reused as another, and closed by its owner while the reader holds a reference on it.
    AllChecks::candidate = [&](const SockCommon*) {
      s.reuse(s.second, s.of_other_chain);
      s.second.get();  // stands for the reader's own, which it takes next
      s.table.remove(&s.second);
      EXPECT_FALSE(s.second.put());
      EXPECT_FALSE(s.second.refs == 0u);
    };
    EXPECT_EQ(s.lookup(s.of_second), nullptr);
    EXPECT_EQ(s.second.refs, 1u);
    EXPECT_EQ(s.released, 0);
  }
}

// ---- one bucket: slots and chain ----

struct OneBucket : testing::Test {
  Sock4& add_one() {
    const auto n = static_cast<uint32_t>(socks.size());
    add(table, socks.emplace_back(), numbered(n));
    return socks.back();
  }
  int objects_looked_at(const FourTuple& t) {
    AllChecks::objects = 0;
    find(table, t);
    return AllChecks::objects;
  }
  void expect_all_found(uint32_t from = 0) {
    for (size_t i = from; i < socks.size(); ++i)
      EXPECT_EQ(find(table, socks[i].tuple()), &socks[i]) << i;
  }
  Rng rng{seed_of(7)};
  NullsTable<AllChecks> table{rng, 1};
  std::deque<Sock4> socks;
};

TEST_F(OneBucket, SevenAreFoundAtOnceAndTheRestInTheChain) {
  for (int i = 0; i < 10; ++i)
    add_one();
  EXPECT_EQ(table.buckets(), 1u);
  expect_all_found();
  for (size_t i = 0; i < 7; ++i)
    EXPECT_EQ(objects_looked_at(socks[i].tuple()), 1) << i;
  for (size_t i = 7; i < 10; ++i)
    EXPECT_EQ(objects_looked_at(socks[i].tuple()), 10 - static_cast<int>(i)) << i;  // the last one is the first
  EXPECT_EQ(objects_looked_at(numbered(99)), 3);
}

TEST_F(OneBucket, WhoGoesFromASlotLeavesItToTheChain) {
  for (int i = 0; i < 10; ++i)
    add_one();
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(table.remove(&socks[i]));
    EXPECT_EQ(find(table, socks[i].tuple()), nullptr);
    expect_all_found(static_cast<uint32_t>(i) + 1);
  }
  for (size_t i = 3; i < 10; ++i)
    EXPECT_EQ(objects_looked_at(socks[i].tuple()), 1) << i;
  EXPECT_EQ(objects_looked_at(numbered(99)), 0);
  for (size_t i = 3; i < 10; ++i)
    ASSERT_TRUE(table.remove(&socks[i]));
  EXPECT_EQ(table.count(), 0u);
}

TEST_F(OneBucket, AnyOneMayGoAndComeBack) {
  for (int i = 0; i < 12; ++i)
    add_one();
  for (int round = 0; round < 500; ++round) {
    Sock4& a = socks[rng.below(12)];
    Sock4& b = socks[rng.below(12)];
    ASSERT_TRUE(table.remove(&a));
    ASSERT_EQ(table.remove(&b), &a != &b);
    EXPECT_EQ(find(table, a.tuple()), nullptr);
    table.insert(&a);
    if (&a != &b) table.insert(&b);
    expect_all_found();
  }
  EXPECT_EQ(table.count(), 12u);
}

TEST_F(OneBucket, UniqueInsertionAndReplacementSeeSlotsAndChain) {
  for (int i = 0; i < 12; ++i)
    add_one();
  std::deque<Sock4> fresh;
  for (Sock4& s : socks) {
    Sock4& f = fresh.emplace_back();
    set_tuple(f, s.tuple());
    SockCommon* replaced = nullptr;
    ASSERT_FALSE(table.insert_unique(&f, nullptr, nullptr, &replaced));
    ASSERT_TRUE(table.insert_unique(&f, [](void*, SockCommon*) { return true; }, nullptr, &replaced));
    EXPECT_EQ(replaced, &s);
    EXPECT_FALSE(EstablishedTable::is_hashed(&s));
    EXPECT_EQ(find(table, f.tuple()), &f);
  }
  for (Sock4& f : fresh) {
    Sock4& s = made_again(socks[static_cast<size_t>(f.local_port - 1024)], f.tuple());
    ASSERT_TRUE(table.replace(&f, &s));
    EXPECT_FALSE(table.replace(&f, &fresh.front()));
  }
  expect_all_found();
  EXPECT_EQ(table.count(), 12u);
}

TEST_F(OneBucket, TwoOfOneTagAreToldApart) {
  Tuples<AllChecks> tuples{table};
  const FourTuple t = tuples.next([](uint32_t) { return true; });
  const uint32_t hash = table.hash_of(t);
  const FourTuple same_tag = tuples.next([&](uint32_t h) { return h >> 16 == hash >> 16; });
  const FourTuple third = tuples.next([&](uint32_t h) { return h >> 16 == hash >> 16; });
  Sock4 a, b;
  add(table, a, t);
  add(table, b, same_tag);
  EXPECT_EQ(find(table, t), &a);
  EXPECT_EQ(find(table, same_tag), &b);
  EXPECT_EQ(objects_looked_at(same_tag), 2);
  EXPECT_EQ(find(table, third), nullptr);
  table.remove(&a);
  EXPECT_EQ(find(table, t), nullptr);
  EXPECT_EQ(find(table, same_tag), &b);
}

TEST_F(OneBucket, ATagOfZeroIsNotThatOfEmptySlots) {
  Tuples<AllChecks> tuples{table};
  const FourTuple t = tuples.next([](uint32_t h) { return h >> 16 == 0; });
  EXPECT_EQ(find(table, t), nullptr);
  add_one();
  Sock4 s;
  add(table, s, t);
  EXPECT_EQ(find(table, t), &s);
  EXPECT_EQ(objects_looked_at(t), 1);
}

}  // namespace
}  // namespace leat::inet::test
