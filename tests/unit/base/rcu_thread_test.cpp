// RCU, slab, timer wheel and rng under threads; meant for the thread sanitizer as well.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/rcu.h"
#include "base/rng.h"
#include "base/slab.h"
#include "base/timer_wheel.h"

namespace leat {
namespace {

TEST(Rcu, SynchronizeReturnsAtOnceWhenNobodyIsRegistered) {
  EXPECT_FALSE(rcu_is_online());
  rcu_synchronize();
  rcu_quiescent();
}

TEST(Rcu, ARegisteredThreadMaySynchronizeAndRegistrationNests) {
  RcuThread outer;
  {
    RcuThread inner;
    EXPECT_TRUE(rcu_is_online());
  }
  EXPECT_TRUE(rcu_is_online());
  rcu_synchronize();
  {
    RcuOffline offline;
    RcuOffline again;
    EXPECT_FALSE(rcu_is_online());
  }
  EXPECT_TRUE(rcu_is_online());
}

TEST(Rcu, AThreadThatIsOfflineIsNotWaitedFor) {
  std::atomic<int> stage = 0;
  std::thread sleeper([&] {
    RcuThread rcu;
    RcuOffline offline;
    stage = 1;
    stage.notify_all();
    stage.wait(1);
  });
  stage.wait(0);
  rcu_synchronize();
  stage = 2;
  stage.notify_all();
  sleeper.join();
}

TEST(Rcu, MemoryFreedAfterAGracePeriodIsNeverSeenByAReader) {
  struct Value {
    int a, b;
  };
  std::atomic<Value*> shared = new Value{0, 0};
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      RcuThread rcu;
      while (!stop.load(std::memory_order_relaxed)) {
        {
          RcuReadGuard guard;
          const Value* v = rcu_dereference(shared);
          ASSERT_EQ(v->a, -v->b);
        }
        rcu_quiescent();
      }
    });
  }
  for (int i = 1; i <= 200; ++i) {
    Value* old = shared.load();
    rcu_assign(shared, new Value{i, -i});
    rcu_synchronize();
    delete old;
  }
  stop = true;
  for (std::thread& t : readers)
    t.join();
  delete shared.load();
}

TEST(Slab, ThreadsShareOne) {
  SlabBase slab("test", 128, 8);
  std::vector<std::thread> threads;
  for (uint8_t id = 1; id <= 3; ++id) {
    threads.emplace_back([&slab, id] {
      std::vector<uint8_t*> mine;
      for (int i = 0; i < 20'000; ++i) {
        if (mine.size() < 50) {
          mine.push_back(static_cast<uint8_t*>(slab.alloc_raw()));
          *mine.back() = id;
        } else {
          ASSERT_EQ(*mine.front(), id);
          for (uint8_t* p : mine)
            slab.free_raw(p);
          mine.clear();
        }
        if (i % 5000 == 0) slab.trim();
      }
      for (uint8_t* p : mine)
        slab.free_raw(p);
    });
  }
  for (std::thread& t : threads)
    t.join();
  EXPECT_EQ(slab.in_use(), 0u);
}

TEST(TimerWheel, ThreadsArmAndCancelWhileOneAdvances) {
  std::atomic<size_t> fired = 0;
  TimerWheel wheel([](void* context, Timer&) { static_cast<std::atomic<size_t>*>(context)->fetch_add(1); }, &fired);
  std::atomic<int64_t> now = 0;
  std::atomic<int> running = 2;
  std::atomic<size_t> armed = 0, cancelled = 0;
  std::vector<std::thread> threads;
  std::vector<Timer> timers(2000);
  for (size_t id = 0; id < 2; ++id) {
    threads.emplace_back([&, id] {
      for (size_t round = 0; round < 20; ++round) {
        for (size_t i = id; i < timers.size(); i += 2) {
          if (wheel.cancel(timers[i])) ++cancelled;
          wheel.arm(timers[i], Time::from_ns(now.load() + static_cast<int64_t>(i * 977 % 100'000)));
          ++armed;
        }
      }
      --running;
    });
  }
  while (running != 0)
    wheel.advance(Time::from_ns(now += 5'000));
  for (std::thread& t : threads)
    t.join();
  wheel.advance(Time::from_ns(now + 1'000'000));
  EXPECT_EQ(fired + cancelled, armed);
  EXPECT_EQ(wheel.armed(), 0u);
}

TEST(Rng, ThreadsDrawFromOneStreamWithoutMeeting) {
  Rng rng(Seed{});
  std::vector<uint64_t> drawn[2];
  std::vector<std::thread> threads;
  for (auto& mine : drawn) {
    threads.emplace_back([&rng, &mine] {
      for (int i = 0; i < 5000; ++i)
        mine.push_back(rng.next64());
    });
  }
  for (std::thread& t : threads)
    t.join();
  std::vector<uint64_t> all = drawn[0];
  all.insert(all.end(), drawn[1].begin(), drawn[1].end());
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

}  // namespace
}  // namespace leat
