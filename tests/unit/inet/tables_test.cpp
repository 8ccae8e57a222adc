#include "inet/tables.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>

#include "support.h"

namespace leat::inet::test {
namespace {

class EstablishedTableTest : public testing::Test {
 protected:
  Sock4& add(const FourTuple& t) {
    Sock4& s = socks.emplace_back();
    set_tuple(s, t);
    table.insert(&s);
    return s;
  }
  SockCommon* find(const FourTuple& t, uint16_t ifindex = 1) {
    SockCommon* s = table.lookup(t, ifindex);
    if (s != nullptr) s->put();
    return s;
  }
  Rng rng{seed_of(1)};
  EstablishedTable table{rng, 4};
  std::deque<Sock4> socks;
};

TEST_F(EstablishedTableTest, FindsTheConnectionOfATupleAndTakesAReference) {
  Sock4& s = add(tuple("10.0.0.1", 80, "10.0.0.2", 4000));
  add(tuple("10.0.0.1", 80, "10.0.0.2", 4001));
  EXPECT_EQ(table.lookup(tuple("10.0.0.1", 80, "10.0.0.2", 4000), 1), &s);
  EXPECT_EQ(s.refs, 2u);
  EXPECT_EQ(find(tuple("10.0.0.1", 80, "10.0.0.2", 4002)), nullptr);
  EXPECT_EQ(find(tuple("10.0.0.2", 80, "10.0.0.1", 4000)), nullptr);
  EXPECT_EQ(find(tuple("10.0.0.1", 4000, "10.0.0.2", 80)), nullptr);
  EXPECT_EQ(table.count(), 2u);
}

TEST_F(EstablishedTableTest, FindsIpv6AndIpv4OverIpv6) {
  Sock6 six, mapped;
  set_tuple(six, tuple("fd00::1", 80, "fd00::2", 4000));
  set_tuple(mapped, tuple("::ffff:10.0.0.1", 80, "::ffff:10.0.0.2", 4000));
  table.insert(&six);
  table.insert(&mapped);
  EXPECT_EQ(find(tuple("fd00::1", 80, "fd00::2", 4000)), &six);
  EXPECT_EQ(find(tuple("fd00::1", 80, "fd00::3", 4000)), nullptr);
  EXPECT_EQ(find(tuple("10.0.0.1", 80, "10.0.0.2", 4000)), &mapped);
  EXPECT_EQ(six.tuple().remote, ip("fd00::2"));
  EXPECT_EQ(six.local().to_string(), "fd00::1");
}

TEST_F(EstablishedTableTest, ASocketOfADeviceMatchesOnThatDeviceOnly) {
  Sock4& s = add(tuple("10.0.0.1", 80, "10.0.0.2", 4000));
  s.bound_ifindex = 3;
  EXPECT_EQ(find(s.tuple(), 3), &s);
  EXPECT_EQ(find(s.tuple(), 2), nullptr);
}

TEST_F(EstablishedTableTest, RemovedIsNotFoundAndMayBeInsertedAgain) {
  Sock4& a = add(numbered(1));
  Sock4& b = add(numbered(2));
  Sock4& c = add(numbered(3));
  EXPECT_TRUE(EstablishedTable::is_hashed(&b));
  EXPECT_TRUE(table.remove(&b));
  EXPECT_FALSE(table.remove(&b));
  EXPECT_FALSE(EstablishedTable::is_hashed(&b));
  EXPECT_EQ(find(numbered(2)), nullptr);
  EXPECT_EQ(find(numbered(1)), &a);
  EXPECT_EQ(find(numbered(3)), &c);
  table.insert(&b);
  EXPECT_EQ(find(numbered(2)), &b);
}

TEST_F(EstablishedTableTest, UniqueInsertionRefusesATakenTupleUnlessItMayReplace) {
  Sock4& old = add(numbered(1));
  Sock4 fresh;
  set_tuple(fresh, numbered(1));
  SockCommon* replaced = nullptr;
  EXPECT_FALSE(table.insert_unique(&fresh, nullptr, nullptr, &replaced));
  EXPECT_FALSE(EstablishedTable::is_hashed(&fresh));
  const auto no = [](void*, SockCommon*) { return false; };
  EXPECT_FALSE(table.insert_unique(&fresh, no, nullptr, &replaced));
  EXPECT_EQ(find(numbered(1)), &old);
  const auto yes = [](void* asked, SockCommon* s) {
    *static_cast<SockCommon**>(asked) = s;
    return true;
  };
  SockCommon* asked = nullptr;
  EXPECT_TRUE(table.insert_unique(&fresh, yes, &asked, &replaced));
  EXPECT_EQ(asked, &old);
  EXPECT_EQ(replaced, &old);
  EXPECT_EQ(old.refs, 1u);
  EXPECT_FALSE(EstablishedTable::is_hashed(&old));
  EXPECT_EQ(find(numbered(1)), &fresh);
  EXPECT_EQ(table.count(), 1u);
}

TEST_F(EstablishedTableTest, TheSameTupleOnTwoDevicesIsNotADuplicate) {
  Sock4 a, b, c;
  SockCommon* replaced = nullptr;
  for (Sock4* s : {&a, &b, &c})
    set_tuple(*s, numbered(1));
  a.bound_ifindex = 1;
  b.bound_ifindex = 2;
  c.bound_ifindex = 2;
  EXPECT_TRUE(table.insert_unique(&a, nullptr, nullptr, &replaced));
  EXPECT_TRUE(table.insert_unique(&b, nullptr, nullptr, &replaced));
  EXPECT_FALSE(table.insert_unique(&c, nullptr, nullptr, &replaced));
}

TEST_F(EstablishedTableTest, ReplacePutsTheFreshOneInThePlaceOfTheOld) {
  Sock4& old = add(numbered(1));
  Sock4 fresh, late;
  set_tuple(fresh, numbered(1));
  set_tuple(late, numbered(1));
  EXPECT_TRUE(table.replace(&old, &fresh));
  EXPECT_EQ(find(numbered(1)), &fresh);
  EXPECT_FALSE(EstablishedTable::is_hashed(&old));
  EXPECT_FALSE(table.replace(&old, &late));
  EXPECT_FALSE(EstablishedTable::is_hashed(&late));
  EXPECT_EQ(late.hash, 0u);
  EXPECT_EQ(table.count(), 1u);
}

TEST_F(EstablishedTableTest, GrowsAndKeepsFindingEverythingOnTheWay) {
  for (uint32_t n = 0; n < 3000; ++n)
    add(numbered(n));
  EXPECT_EQ(table.buckets(), 1u);
  while (table.buckets() < 1024) {
    table.grow_if_needed();
    for (uint32_t n = 0; n < 3000; n += 7)
      ASSERT_EQ(find(numbered(n)), &socks[n]) << table.buckets();
    ASSERT_EQ(find(numbered(3000)), nullptr);
  }
  for (int i = 0; i < 100; ++i)
    table.grow_if_needed();
  EXPECT_EQ(table.buckets(), 1024u);  // four in each at most
  EXPECT_EQ(table.bytes(), 64 + 1024u * 64);
  for (uint32_t n = 0; n < 3000; ++n)
    ASSERT_EQ(find(numbered(n)), &socks[n]);
}

TEST_F(EstablishedTableTest, ShrinksAfterABurstAndKeepsFindingWhatIsLeft) {
  for (uint32_t n = 0; n < 40000; ++n) {
    add(numbered(n));
    table.grow_if_needed();
  }
  EXPECT_EQ(table.buckets(), 16384u);
  for (uint32_t n = 500; n < 40000; ++n)
    table.remove(&socks[n]);
  int calls = 0;
  for (; table.buckets() > 256 || calls < 40; ++calls) {
    table.grow_if_needed();
    for (uint32_t n = 0; n < 600; ++n)
      ASSERT_EQ(find(numbered(n)), n < 500 ? &socks[n] : nullptr);
    std::set<SockCommon*> seen;
    table.for_each([&](SockCommon& s) { ASSERT_TRUE(seen.insert(&s).second); });
    ASSERT_EQ(seen.size(), 500u);
    ASSERT_LT(calls, 100);
  }
  EXPECT_EQ(table.bytes(), 64 + 256u * 64);
  for (uint32_t n = 0; n < 500; ++n)
    table.remove(&socks[n]);
  for (int i = 0; i < 10; ++i)
    table.grow_if_needed();
  EXPECT_EQ(table.buckets(), 1u);
}

TEST_F(EstablishedTableTest, ChangesWhileItGrowsGoToTheRightArray) {
  std::map<uint32_t, Sock4*> there;
  for (uint32_t n = 0; n < 20000; ++n) {
    there[n] = &add(numbered(n));
    if (n % 10 == 0) table.grow_if_needed();
    if (n % 3 == 0) {
      const uint32_t victim = rng.below(n + 1);
      const auto it = there.find(victim);
      if (it != there.end()) {
        ASSERT_TRUE(table.remove(it->second));
        there.erase(it);
      }
    }
  }
  for (uint32_t n = 0; n < 20000; ++n) {
    const auto it = there.find(n);
    ASSERT_EQ(find(numbered(n)), it == there.end() ? nullptr : it->second);
  }
  EXPECT_EQ(table.count(), there.size());
}

TEST_F(EstablishedTableTest, BatchLookupFindsWhatLookupFinds) {
  for (uint32_t n = 0; n < 100; ++n)
    add(numbered(n * 2));
  std::vector<FourTuple> burst;
  for (uint32_t n = 0; n < 150; ++n)
    burst.push_back(numbered(n));
  std::vector<SockCommon*> out(150);
  table.lookup_batch(burst, 1, out);
  for (uint32_t n = 0; n < 150; ++n) {
    ASSERT_EQ(out[n], n % 2 == 0 ? &socks[n / 2] : nullptr) << n;
    if (out[n] != nullptr) out[n]->put();
  }
}

TEST_F(EstablishedTableTest, ForEachVisitsEachOnceAlsoInTheMiddleOfGrowing) {
  for (uint32_t n = 0; n < 5000; ++n)
    add(numbered(n));
  for (int round = 0; round < 60; ++round) {
    std::multiset<SockCommon*> seen;
    table.for_each([&](SockCommon& s) { seen.insert(&s); });
    ASSERT_EQ(seen.size(), 5000u);
    for (Sock4& s : socks)
      ASSERT_EQ(seen.count(&s), 1u);
    table.grow_if_needed();
  }
  EXPECT_EQ(table.buckets(), 2048u);
}

TEST_F(EstablishedTableTest, ForEachMayLetGoOfWhatItVisits) {
  std::vector<SockCommon*> released;
  table.set_release([](void* c, SockCommon* s) { static_cast<std::vector<SockCommon*>*>(c)->push_back(s); }, &released);
  for (uint32_t n = 0; n < 10; ++n)
    add(numbered(n));
  table.for_each([&](SockCommon& s) {
    if (s.local_port % 2 != 0) return;
    table.remove(&s);
    EXPECT_FALSE(s.put());  // for_each holds the last one
  });
  EXPECT_EQ(released.size(), 5u);
  EXPECT_EQ(table.count(), 5u);
}

TEST_F(EstablishedTableTest, TheHashIsKeyed) {
  Rng other_rng{seed_of(2)};
  EstablishedTable other(other_rng, 4);
  int equal = 0;
  for (uint32_t n = 0; n < 1000; ++n)
    equal += table.hash_of(numbered(n)) == other.hash_of(numbered(n)) ? 1 : 0;
  EXPECT_LE(equal, 1);
}

TEST_F(EstablishedTableTest, PortsAloneSpreadOverTheBuckets) {
  std::map<uint32_t, int> load;
  for (uint32_t port = 0; port < 16384; ++port) {
    FourTuple t = tuple("10.0.0.1", 80, "10.0.0.2", static_cast<uint16_t>(port));
    ++load[table.hash_of(t) & 1023];
  }
  EXPECT_EQ(load.size(), 1024u);
  for (const auto& [bucket, n] : load)
    EXPECT_LT(n, 48) << bucket;  // 16 on average
}

TEST_F(EstablishedTableTest, SomeAtATimeAreAllOnceAlsoWhileTheTableGrows) {
  for (uint16_t i = 0; i < 200; ++i)
    add(tuple("10.0.0.1", 80, "10.0.0.2", static_cast<uint16_t>(4000 + i)));
  while (table.buckets() < 4)
    table.grow_if_needed();
  std::map<uint16_t, int> seen;
  uint32_t cursor = 0;
  int calls = 0;
  do {
    cursor = table.for_each_some(cursor, 1, [&](SockCommon& s) { ++seen[s.remote_port]; });
    if (++calls % 2 == 0) table.grow_if_needed();
  } while (cursor != 0);
  for (uint16_t i = 0; i < 200; ++i)
    EXPECT_GE(seen[static_cast<uint16_t>(4000 + i)], 1) << i;
  EXPECT_GT(table.buckets(), 4u);
  seen.clear();
  while (table.buckets() < 64)
    table.grow_if_needed();
  for (int i = 0; i < 10; ++i)
    table.grow_if_needed();
  do
    cursor = table.for_each_some(cursor, 7, [&](SockCommon& s) { ++seen[s.remote_port]; });
  while (cursor != 0);
  EXPECT_EQ(seen.size(), 200u);
  for (const auto& [port, times] : seen)
    EXPECT_EQ(times, 1) << port;
}

TEST_F(EstablishedTableTest, SomeAtATimeMissNobodyWhileTheTableShrinks) {
  for (uint32_t n = 0; n < 20000; ++n) {
    add(numbered(n));
    table.grow_if_needed();
  }
  for (uint32_t n = 300; n < 20000; ++n)
    table.remove(&socks[n]);
  const uint32_t large = table.buckets();
  for (int i = 0; i < 3; ++i) {
    std::set<SockCommon*> seen;
    uint32_t cursor = 0;
    do {
      cursor = table.for_each_some(cursor, 64, [&](SockCommon& s) { seen.insert(&s); });
      table.grow_if_needed();
    } while (cursor != 0);
    EXPECT_EQ(seen.size(), 300u);
  }
  EXPECT_LT(table.buckets(), large / 8);
}

// Without a call of grow_if_needed: chains of a hundred.
TEST_F(EstablishedTableTest, SomeAtATimeAreAllOnceInLongChains) {
  for (uint32_t n = 0; n < 400; ++n)
    add(numbered(n));
  EXPECT_EQ(table.buckets(), 1u);
  std::multiset<SockCommon*> seen;
  EXPECT_EQ(table.for_each_some(0, 1, [&](SockCommon& s) { seen.insert(&s); }), 0u);
  EXPECT_EQ(seen.size(), 400u);
  for (Sock4& s : socks)
    EXPECT_EQ(seen.count(&s), 1u);
}

TEST_F(EstablishedTableTest, TheFirstArrayHasTheBytesOfLinuxsEntries) {
  EXPECT_EQ(EstablishedTable(rng, 65536).bytes(), 64 + 65536u * 8);
  EXPECT_EQ(EstablishedTable(rng, 65536).buckets(), 8192u);
  EXPECT_EQ(EstablishedTable(rng, 1).bytes(), 64 + 64u);
}

}  // namespace
}  // namespace leat::inet::test
