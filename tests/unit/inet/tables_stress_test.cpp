// Threads on one table: some look up, others insert, remove, replace, free, reuse and grow. For the tsan preset above
// all. What stays in the table must be found by every look-up; what is returned must be what was asked for.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/rcu.h"
#include "base/slab.h"
#include "inet/tables.h"
#include "support.h"

namespace leat::inet::test {
namespace {

constexpr uint32_t kStaying = 64;

struct Stress {
  static void release(void* c, SockCommon* s) { static_cast<Stress*>(c)->slab.destroy(static_cast<BoundSock*>(s)); }
  Stress() { table.set_release(&release, this); }
  BoundSock* make(const FourTuple& t) {
    BoundSock* s = slab.create();
    set_tuple(*s, t);
    s->refs = 1;
    return s;
  }
  BoundSock* add(uint32_t n) {
    BoundSock* s = make(numbered(n));
    table.insert(s);
    return s;
  }
  void put(SockCommon* s) {
    if (s->put()) release(this, s);
  }
  void remove(SockCommon* s) {
    ASSERT_TRUE(table.remove(s));
    put(s);
  }

  Rng rng{seed_of(1)};
  Slab<BoundSock> slab{"stress"};
  EstablishedTable table{rng, 1};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0}, missed{0}, hits{0};
};

void read_all_the_time(Stress& s, uint32_t seed, uint32_t churned) {
  RcuThread registered;
  uint32_t x = seed;
  uint64_t hits = 0;
  std::vector<FourTuple> burst(8);
  std::vector<SockCommon*> out(8);
  do {
    for (uint32_t i = 0; i < 8; ++i) {
      x = x * 1664525 + 1013904223;
      burst[i] = numbered(i % 2 == 0 ? (x >> 8) % kStaying : kStaying + (x >> 8) % churned);
    }
    if ((x & 1) != 0) {
      s.table.lookup_batch(burst, 1, out);
    } else {
      for (size_t i = 0; i < 8; ++i)
        out[i] = s.table.lookup(burst[i], 1);
    }
    for (size_t i = 0; i < 8; ++i) {
      if (out[i] == nullptr) {
        if (i % 2 == 0) ++s.missed;
        continue;
      }
      ++hits;
      if (!out[i]->matches(burst[i], 1)) ++s.wrong;
      s.put(out[i]);
    }
    rcu_quiescent();
  } while (!s.stop);
  s.hits += hits;
}

TEST(TablesStress, LookupsAgainstInsertRemoveReuseAndGrowth) {
  Stress s;
  std::vector<BoundSock*> staying;
  for (uint32_t n = 0; n < kStaying; ++n)
    staying.push_back(s.add(n));
  constexpr uint32_t kChurned = 3000;
  std::vector<std::thread> readers;
  for (uint32_t i = 0; i < 2; ++i)
    readers.emplace_back([&s, i] { read_all_the_time(s, i + 1, kChurned); });
  std::vector<std::thread> writers;
  for (uint32_t w = 0; w < 2; ++w) {
    writers.emplace_back([&s, w] {
      RcuThread registered;
      std::vector<BoundSock*> mine(kChurned, nullptr);
      uint32_t x = 77 + w;
      for (uint32_t step = 0; step < 60000; ++step) {
        x = x * 1664525 + 1013904223;
        const uint32_t limit = 10 + step / 20;  // the table grows little by little
        const uint32_t n = ((x >> 8) % (limit < kChurned ? limit : kChurned)) & ~1u;
        BoundSock*& at = mine[n + w];
        if (at == nullptr) {
          at = s.add(kStaying + n + w);
        } else if ((x & 128) != 0) {
          BoundSock* fresh = s.make(at->tuple());
          ASSERT_TRUE(s.table.replace(at, fresh));
          s.put(at);
          at = fresh;
        } else {
          s.remove(at);
          at = nullptr;
        }
        if (step % 64 == 0) {
          s.table.grow_if_needed();
          rcu_quiescent();
        }
      }
      for (size_t n = 0; n < mine.size(); ++n) {
        if (mine[n] != nullptr) s.remove(mine[n]);
        if (n % 64 == 0) s.table.grow_if_needed();  // shrinks by now
        rcu_quiescent();
      }
    });
  }
  for (std::thread& t : writers)
    t.join();
  s.stop = true;
  for (std::thread& t : readers)
    t.join();
  EXPECT_EQ(s.wrong, 0u);
  EXPECT_EQ(s.missed, 0u);
  EXPECT_GT(s.hits, 1000u);
  for (int i = 0; i < 100; ++i)
    s.table.grow_if_needed();
  EXPECT_LE(s.table.buckets(), 256u);  // 64 are left
  EXPECT_GE(s.table.buckets(), 16u);
  for (BoundSock* at : staying)
    s.remove(at);
  EXPECT_EQ(s.table.count(), 0u);
  EXPECT_EQ(s.slab.in_use(), 0u);
}

// In one bucket with `others`, of which seven have slots.
void replace_under_a_reader(uint32_t others) {
  Stress s;
  for (uint32_t n = 1; n <= others; ++n)
    s.add(n);
  BoundSock* at = s.add(0);
  std::thread reader([&s] {
    RcuThread registered;
    while (!s.stop) {
      SockCommon* found = s.table.lookup(numbered(0), 1);
      if (found == nullptr) {
        ++s.missed;
      } else {
        s.put(found);
      }
      ++s.hits;
      rcu_quiescent();
    }
  });
  for (int i = 0; i < 50000; ++i) {
    BoundSock* fresh = s.make(numbered(0));
    ASSERT_TRUE(s.table.replace(at, fresh));
    s.put(at);
    at = fresh;
  }
  while (s.hits < 1000)
    std::this_thread::yield();
  s.stop = true;
  reader.join();
  EXPECT_EQ(s.missed, 0u);
  std::vector<SockCommon*> left;
  s.table.for_each([&](SockCommon& c) { left.push_back(&c); });
  EXPECT_EQ(left.size(), others + 1);
  for (SockCommon* c : left)
    s.remove(c);
}

TEST(TablesStress, AReplacedConnectionIsFoundAtEveryMoment) {
  replace_under_a_reader(5);
}
TEST(TablesStress, AReplacedConnectionIsFoundAtEveryMomentInAChain) {
  replace_under_a_reader(12);
}

// Twelve stay, and others come and go in the same bucket: they are in slots, in the chain, and get a slot meanwhile.
TEST(TablesStress, OneBucketLosesNobodyWhileSlotsAreTakenAndLeft) {
  Stress s;
  std::vector<BoundSock*> staying;
  for (uint32_t n = 0; n < 12; ++n)
    staying.push_back(s.add(n));
  std::thread reader([&s] {
    RcuThread registered;
    for (uint32_t n = 0; !s.stop; n = (n + 1) % 24) {
      SockCommon* found = s.table.lookup(numbered(n), 1);
      if (found == nullptr) {
        if (n < 12) ++s.missed;
      } else {
        if (!found->matches(numbered(n), 1)) ++s.wrong;
        s.put(found);
        ++s.hits;
      }
      rcu_quiescent();
    }
  });
  std::vector<BoundSock*> mine(12, nullptr);
  uint32_t x = 5;
  for (int i = 0; i < 100000; ++i) {
    x = x * 1664525 + 1013904223;
    const uint32_t n = (x >> 8) % 12;
    if (mine[n] == nullptr) {
      mine[n] = s.add(12 + n);
    } else {
      s.remove(std::exchange(mine[n], nullptr));
    }
    if (i % 16 == 0) {  // one who stays goes behind all others, by replacement: then he gets a slot, by and by
      BoundSock*& at = staying[(x >> 16) % 12];
      BoundSock* fresh = s.make(at->tuple());
      ASSERT_TRUE(s.table.replace(at, fresh));
      s.put(std::exchange(at, fresh));
    }
  }
  while (s.hits < 1000)
    std::this_thread::yield();
  s.stop = true;
  reader.join();
  EXPECT_EQ(s.missed, 0u);
  EXPECT_EQ(s.wrong, 0u);
  std::vector<SockCommon*> left;
  s.table.for_each([&](SockCommon& c) { left.push_back(&c); });
  for (SockCommon* c : left)
    s.remove(c);
  EXPECT_EQ(s.slab.in_use(), 0u);
}

// 3,000 come before the table may grow, into long chains, and go again: all the while some stay, and are replaced.
TEST(TablesStress, LongChainsAreSplitAndJoinedUnderReaders) {
  Stress s;
  std::vector<BoundSock*> staying;
  for (uint32_t n = 0; n < kStaying; ++n)
    staying.push_back(s.add(n));
  std::vector<std::thread> readers;
  for (uint32_t i = 0; i < 2; ++i)
    readers.emplace_back([&s, i] { read_all_the_time(s, i + 1, 300); });
  for (int round = 0; round < 8; ++round) {
    std::vector<BoundSock*> mine;
    for (uint32_t n = 0; n < 3000; ++n)
      mine.push_back(s.add(kStaying + n));
    for (int i = 0; i < 12; ++i)
      s.table.grow_if_needed();
    for (BoundSock* at : mine)
      s.remove(at);
    for (BoundSock*& at : staying) {
      BoundSock* fresh = s.make(at->tuple());
      ASSERT_TRUE(s.table.replace(at, fresh));
      s.put(std::exchange(at, fresh));
    }
    for (int i = 0; i < 8; ++i)
      s.table.grow_if_needed();
  }
  s.stop = true;
  for (std::thread& t : readers)
    t.join();
  EXPECT_EQ(s.missed, 0u);
  EXPECT_EQ(s.wrong, 0u);
  EXPECT_GT(s.hits, 0u);
  for (BoundSock* at : staying)
    s.remove(at);
  EXPECT_EQ(s.slab.in_use(), 0u);
}

TEST(TablesStress, ForEachVisitsWhatStaysWhileOthersComeAndGo) {
  Stress s;
  for (uint32_t n = 0; n < kStaying; ++n)
    s.add(n);
  std::thread writer([&s] {
    RcuThread registered;
    for (uint32_t round = 0; !s.stop; ++round) {
      std::vector<BoundSock*> mine;
      for (uint32_t n = 0; n < 500; ++n)
        mine.push_back(s.add(kStaying + n));
      s.table.grow_if_needed();
      for (BoundSock* at : mine)
        s.remove(at);
      rcu_quiescent();
    }
  });
  {
    RcuThread registered;
    for (int round = 0; round < 80; ++round) {
      uint32_t staying = 0;
      s.table.for_each([&](SockCommon& c) { staying += c.local_port < 1024 + kStaying ? 1 : 0; });
      EXPECT_EQ(staying, kStaying);
      rcu_quiescent();
    }
    s.stop = true;
    RcuOffline waiting;
    writer.join();
  }
  std::vector<SockCommon*> left;
  s.table.for_each([&](SockCommon& c) { left.push_back(&c); });
  for (SockCommon* c : left)
    s.remove(c);
}

TEST(TablesStress, ListenersComeAndGoUnderLookups) {
  Rng rng(seed_of(2));
  ListenTable table(rng);
  Slab<Sock> slab("listeners");
  table.set_release([](void* c, SockCommon* s) { static_cast<Slab<Sock>*>(c)->destroy(static_cast<Sock*>(s)); }, &slab);
  const auto listen = [&](uint16_t port) {
    Sock* s = slab.create();
    s->family = Family::kIpv4;
    s->local_port = port;
    s->reuse_port = 1;
    s->state = static_cast<uint8_t>(State::kListen);
    s->refs = 1;
    table.insert(s);
    return s;
  };
  const auto close = [&](Sock* s) {
    s->state = static_cast<uint8_t>(State::kClose);
    table.remove(s);
    if (s->put()) slab.destroy(s);
  };
  Sock* staying = listen(80);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0}, lookups{0};
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      RcuThread registered;
      for (uint16_t p = 1; !stop; ++p) {
        const uint16_t port = p % 2 == 0 ? 80 : 81;
        Sock* s = table.lookup({ip("10.0.0.1"), ip("10.0.0.2"), port, p}, 1);
        if (s == nullptr ? port == 80 : s->local_port != port) ++wrong;
        if (s != nullptr && s->put()) slab.destroy(s);
        ++lookups;
        rcu_quiescent();
      }
    });
  }
  for (int i = 0; i < 10000; ++i) {
    Sock* a = listen(80);
    Sock* b = listen(81);
    close(a);
    Sock* c = listen(81);
    close(b);
    close(c);
    if (i % 16 == 0) table.reclaim();
  }
  while (lookups < 1000)
    std::this_thread::yield();
  stop = true;
  for (std::thread& t : readers)
    t.join();
  EXPECT_EQ(wrong, 0u);
  close(staying);
  table.reclaim();
}

}  // namespace
}  // namespace leat::inet::test
