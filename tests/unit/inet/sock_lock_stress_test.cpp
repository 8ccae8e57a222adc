// Segments delivered to one socket from several threads while others hold its lock.
#include "inet/sock_lock.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "support.h"

namespace leat::inet::test {
namespace {

struct Drained {
  std::vector<Packet*>* to;
  void operator()(Sock&, Packet* p) const { to->push_back(p); }
};

TEST(SockLockStress, EverySegmentIsProcessedOnceAndInOrderOfItsSender) {
  constexpr size_t kEach = 20000;
  Sock s;
  std::vector<Packet*> seen;
  Drained drain{&seen};
  // Nobody looks into them: a packet's place in memory says whose it is and which.
  std::vector<std::vector<uint64_t>> memory(3, std::vector<uint64_t>(kEach * ((sizeof(Packet) + 7) / 8)));
  const auto packet = [&](size_t sender, size_t i) {
    return reinterpret_cast<Packet*>(memory[sender].data() + i * ((sizeof(Packet) + 7) / 8));
  };
  std::vector<std::thread> threads;
  for (size_t sender = 0; sender < 2; ++sender) {
    threads.emplace_back([&, sender] {
      for (size_t i = 0; i < kEach; ++i)
        SockLock<Drained>::deliver(s, packet(sender, i), drain);
    });
  }
  threads.emplace_back([&] {
    for (size_t i = 0; i < kEach; ++i)
      SockLock<Drained> user(s, drain);
  });
  for (std::thread& t : threads)
    t.join();
  EXPECT_EQ(s.backlog.load(), nullptr);
  EXPECT_TRUE(s.lock.try_lock());
  ASSERT_EQ(seen.size(), 2 * kEach);
  size_t next[2] = {0, 0};
  for (Packet* p : seen) {
    const size_t sender = p == packet(0, next[0]) ? 0 : 1;
    ASSERT_EQ(p, packet(sender, next[sender]));
    ++next[sender];
  }
}

}  // namespace
}  // namespace leat::inet::test
