// Buffers are shared across threads and the pool serves all of them.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "pkt/packet.h"

namespace leat {
namespace {

TEST(PacketPool, ThreadsCloneAndFreeOneBufferTogether) {
  PacketPool pool;
  const std::vector<uint8_t> bytes(5000, 42);
  PacketPtr source = pool.make_copy(bytes);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&pool, mine = pool.clone(*source, 20)]() mutable {
      for (int i = 0; i < 3000; ++i) {
        PacketPtr copy = pool.clone(*mine, 10);
        PacketPtr rest = pool.split(*copy, 2500);
        uint8_t last;
        rest->copy_out(2499, &last, 1);
        ASSERT_EQ(last, 42);
        mine = std::move(copy);
        mine->append(std::move(rest));
      }
    });
  }
  source.reset();
  for (std::thread& t : threads)
    t.join();
  EXPECT_EQ(pool.packets_in_use(), 0u);
}

}  // namespace
}  // namespace leat
