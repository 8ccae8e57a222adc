// The checks of a reader, each shown to be needed: an interleaving that is right with it and wrong without it.
#include "inet/nulls_table.h"

#include <gtest/gtest.h>

#include <deque>
#include <new>

#include "support.h"

namespace leat::inet::test {
namespace {

template <bool CheckEnd, bool CompareAgain, bool CheckReplaced = true>
struct TestHooks {
  static constexpr bool kCheckEnd = CheckEnd;
  static constexpr bool kCompareAgain = CompareAgain;
  static constexpr bool kCheckReplaced = CheckReplaced;
  static inline std::function<void(const SockCommon*)> object, candidate;
  static void on_object(const SockCommon* s) { run(object, s); }
  static void on_candidate(const SockCommon* s) { run(candidate, s); }
  static void run(std::function<void(const SockCommon*)>& f, const SockCommon* s) {
    if (!f) return;
    const auto once = std::move(f);
    f = nullptr;
    once(s);
  }
};

// A table of 16 buckets with `first` and `second`, in this order, in one chain, and tuples of other chains.
template <class Hooks>
struct Scene {
  Scene() {
    const uint32_t bucket = table.hash_of(numbered(0)) & 15;
    uint32_t same = 0, elsewhere = 0;
    for (uint32_t n = 1; same == 0; ++n)
      same = (table.hash_of(numbered(n)) & 15) == bucket ? n : 0;
    for (uint32_t n = 1; elsewhere == 0; ++n)
      elsewhere = (table.hash_of(numbered(n)) & 15) != bucket ? n : 0;
    of_second = numbered(0);
    of_first = numbered(same);
    of_other_chain = numbered(elsewhere);
    set_tuple(second, of_second);
    set_tuple(first, of_first);
    table.insert(&second);
    table.insert(&first);
    table.set_release([](void* c, SockCommon*) { ++*static_cast<int*>(c); }, &released);
  }
  // The object goes the way of a closed connection, and its memory becomes the connection of another tuple.
  void reuse(Sock4& s, const FourTuple& t) {
    table.remove(&s);
    ASSERT_TRUE(s.put());
    s.~Sock4();
    Sock4* again = new (&s) Sock4;
    set_tuple(*again, t);
    table.insert(again);
  }
  SockCommon* lookup(const FourTuple& t) { return table.lookup(table.hash_of(t), t, 1); }

  Rng rng{seed_of(3)};
  NullsTable<Hooks> table{rng, 16};
  FourTuple of_first, of_second, of_other_chain;
  Sock4 first, second;
  int released = 0;
};

TEST(NullsTable, AReaderCarriedIntoAnotherChainNoticesAtItsEnd) {
  using Hooks = TestHooks<true, true>;
  Scene<Hooks> s;
  Hooks::object = [&](const SockCommon* at) {
    EXPECT_EQ(at, &s.first);
    s.reuse(s.first, s.of_other_chain);
  };
  EXPECT_EQ(s.lookup(s.of_second), &s.second);
}

TEST(NullsTable, WithoutTheCheckOfTheEndItWouldMissAConnection) {
  using Hooks = TestHooks<false, true>;
  Scene<Hooks> s;
  Hooks::object = [&](const SockCommon*) { s.reuse(s.first, s.of_other_chain); };
  EXPECT_EQ(s.lookup(s.of_second), nullptr);
}

TEST(NullsTable, AnObjectReusedBeforeItsReferenceIsTakenIsNotReturned) {
  using Hooks = TestHooks<true, true>;
  Scene<Hooks> s;
  Hooks::candidate = [&](const SockCommon* at) {
    EXPECT_EQ(at, &s.second);
    s.reuse(s.second, s.of_other_chain);
  };
  EXPECT_EQ(s.lookup(s.of_second), nullptr);
  EXPECT_EQ(s.second.refs, 1u);
}

TEST(NullsTable, WithoutComparingAgainItWouldReturnAStranger) {
  using Hooks = TestHooks<true, false>;
  Scene<Hooks> s;
  Hooks::candidate = [&](const SockCommon*) { s.reuse(s.second, s.of_other_chain); };
  SockCommon* found = s.lookup(s.of_second);
  ASSERT_EQ(found, &s.second);
  EXPECT_FALSE(found->matches(s.of_second, 1));
}

TEST(NullsTable, AReaderOnAnObjectThatIsTakenOutStartsAgain) {
  using Hooks = TestHooks<true, true>;
  Scene<Hooks> s;
  Hooks::object = [&](const SockCommon*) { s.table.remove(&s.first); };
  EXPECT_EQ(s.lookup(s.of_second), &s.second);
}

TEST(NullsTable, AnObjectReusedInTheSameChainHasAllOfItBehindIt) {
  using Hooks = TestHooks<true, true>;
  Scene<Hooks> s;
  // The reader stands on `second`, the last, when it becomes `first`'s replacement: at the head, not in its place.
  Hooks::object = [&](const SockCommon*) {
    Hooks::object = [&](const SockCommon* at) {
      ASSERT_EQ(at, &s.second);
      s.table.remove(&s.second);
      s.second.~Sock4();
      Sock4* again = new (&s.second) Sock4;
      set_tuple(*again, s.of_first);
      ASSERT_TRUE(s.table.replace(&s.first, again));
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

TEST(NullsTable, AReplacedConnectionIsFoundAlsoBetweenTheTwoPlaces) {
  EXPECT_TRUE((finds_fresh_behind_its_back<TestHooks<true, true>>()));
}

TEST(NullsTable, WithoutTheCountOfReplacementsItWouldBeMissed) {
  EXPECT_FALSE((finds_fresh_behind_its_back<TestHooks<true, true, false>>()));
}

TEST(NullsTable, WhoeverLetsGoLastReleases) {
  using Hooks = TestHooks<true, true>;
  Scene<Hooks> s;
  // Reused as another, and closed by its owner while the reader holds a reference on it.
  Hooks::candidate = [&](const SockCommon*) {
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

// Growth in the middle of a look-up: 8192 buckets, of which one call moves the first 4096 at most, so that the old
// array is still there when the reader goes on.
TEST(NullsTable, AChainThatMovesUnderAReaderLosesNothing) {
  using Hooks = TestHooks<true, true>;
  Rng rng(seed_of(4));
  NullsTable<Hooks> table(rng, 8192);
  std::deque<Sock4> socks;
  while (table.count() < 4100) {
    set_tuple(socks.emplace_back(), numbered(static_cast<uint32_t>(socks.size())));
    table.insert(&socks.back());
  }
  int moved = 0;
  for (Sock4& s : socks) {
    if ((s.hash & 8191) >= 4096) continue;
    NullsTable<Hooks>* t = &table;
    Hooks::object = [&moved, t](const SockCommon*) {
      ++moved;
      if (moved == 1) t->grow_if_needed();
    };
    ASSERT_EQ(table.lookup(s.hash, s.tuple(), 1), &s);
    Hooks::object = nullptr;
  }
  EXPECT_EQ(table.buckets(), 16384u);
}

// Each object of a chain of four, as the place of a reader when the chain is split.
TEST(NullsTable, AReaderAnywhereInAChainThatIsSplitFindsAll) {
  using Hooks = TestHooks<true, true>;
  for (int stop = 1; stop <= 4; ++stop) {
    for (int wanted = 0; wanted < 5; ++wanted) {
      Rng rng(seed_of(5));
      NullsTable<Hooks> table(rng, 8192);
      std::deque<Sock4> socks, others;
      uint32_t n = 0;
      while (socks.size() < 5) {
        const FourTuple t = numbered(n++);
        if ((table.hash_of(t) & 8191) != 7) continue;
        set_tuple(socks.emplace_back(), t);
      }
      for (int i = 3; i >= 0; --i)
        table.insert(&socks[static_cast<size_t>(i)]);  // chain: 0 1 2 3; 4 is a miss
      while (table.count() < 4100) {
        set_tuple(others.emplace_back(), numbered(n++));
        if ((table.hash_of(others.back().tuple()) & 8191) != 7) table.insert(&others.back());
      }
      int at = 0;
      std::function<void(const SockCommon*)> step = [&](const SockCommon*) {
        if (++at == stop) {
          table.grow_if_needed();
        } else {
          Hooks::object = step;
        }
      };
      Hooks::object = step;
      SockCommon* expected = wanted == 4 ? nullptr : &socks[static_cast<size_t>(wanted)];
      const FourTuple t = socks[static_cast<size_t>(wanted)].tuple();
      ASSERT_EQ(table.lookup(table.hash_of(t), t, 1), expected) << stop << " " << wanted;
      Hooks::object = nullptr;
    }
  }
}

// Several buckets are joined into one: its end may have been reached from any of them. The first call of
// grow_if_needed moves buckets 0 to 4095 of 8192; the reader is in a later one.
TEST(NullsTable, AReaderCarriedIntoTheChainThatItsOwnIsJoinedToStartsAgain) {
  using Hooks = TestHooks<true, true>;
  Rng rng(seed_of(6));
  NullsTable<Hooks> table(rng, 1);
  std::deque<Sock4> socks;
  for (uint32_t n = 0; n < 4000; ++n) {
    set_tuple(socks.emplace_back(), numbered(n));
    table.insert(&socks.back());
    table.grow_if_needed();
  }
  ASSERT_EQ(table.buckets(), 8192u);
  for (Sock4& s : socks)
    table.remove(&s);
  uint32_t n = 5000;
  const auto next_of_bucket = [&](auto wanted) {
    while (!wanted(table.hash_of(numbered(n)) & 8191))
      ++n;
    return numbered(n++);
  };
  Sock4 carried, wanted;
  set_tuple(wanted, next_of_bucket([](uint32_t b) { return b >= 4096; }));
  const uint32_t bucket = table.hash_of(wanted.tuple()) & 8191;
  set_tuple(carried, next_of_bucket([=](uint32_t b) { return b == bucket; }));
  const FourTuple joined = next_of_bucket([=](uint32_t b) { return b < 4096 && (b & 7) == (bucket & 7); });
  table.insert(&wanted);
  table.insert(&carried);
  Hooks::object = [&](const SockCommon* at) {
    ASSERT_EQ(at, &carried);
    table.grow_if_needed();
    EXPECT_EQ(table.buckets(), 8u);
    table.remove(&carried);
    carried.~Sock4();
    set_tuple(*new (&carried) Sock4, joined);
    table.insert(&carried);
  };
  EXPECT_EQ(table.lookup(table.hash_of(wanted.tuple()), wanted.tuple(), 1), &wanted);
  EXPECT_EQ(table.lookup(table.hash_of(joined), joined, 1), &carried);
}

}  // namespace
}  // namespace leat::inet::test
