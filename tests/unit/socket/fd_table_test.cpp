// Descriptors: the lowest free number, limits, and slots that outlive what they held.
#include "socket/fd_table.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace leat::socket {
namespace {

TEST(NumberSet, FindsTheLowestFreeNumber) {
  NumberSet s;
  EXPECT_EQ(s.find_free(0, 100), 0);
  for (uint32_t i = 0; i < 10; ++i)
    s.add(i);
  EXPECT_EQ(s.find_free(0, 100), 10);
  s.remove(3);
  EXPECT_EQ(s.find_free(0, 100), 3);
  EXPECT_EQ(s.find_free(4, 100), 10);
  EXPECT_EQ(s.find_free(40, 100), 40);
  EXPECT_EQ(s.find_free(0, 3), -1);
}

TEST(NumberSet, AgreesWithASimpleSetThroughRandomUse) {
  NumberSet s;
  std::set<uint32_t> model;
  std::mt19937 engine(7);
  auto random = [&] { return static_cast<uint32_t>(engine()); };
  for (int step = 0; step < 60000; ++step) {
    const bool grows = step / 10000 % 2 == 0;
    if (model.empty() || random() % 10 < (grows ? 8u : 2u)) {
      const uint32_t from = random() % 4 == 0 ? random() % 9000 : 0;
      const int64_t n = s.find_free(from, 20000);
      uint32_t want = from;
      for (auto it = model.lower_bound(from); it != model.end() && *it == want; ++it)
        ++want;
      ASSERT_EQ(n, want) << "from " << from;
      s.add(static_cast<uint32_t>(n));
      model.insert(static_cast<uint32_t>(n));
    } else {
      auto it = model.lower_bound(random() % 9000);
      if (it == model.end()) it = model.begin();
      ASSERT_TRUE(s.has(*it));
      s.remove(*it);
      model.erase(it);
    }
  }
}

struct FdTableTest : testing::Test {
  FdTable table;
  Slab<File> files{"file"};
  File* make() {
    File* f = files.create(FileKind::kUdp, nullptr, uint8_t{0});
    f->refs.store(1, std::memory_order_release);
    return f;
  }
  void drop(File* f) {
    if (f != nullptr && f->put()) files.destroy(f);
  }
};

TEST_F(FdTableTest, AReservedNumberReadsAsClosedUntilItIsPublished) {
  const int fd = table.reserve().value();
  EXPECT_EQ(fd, 0);
  EXPECT_EQ(table.get(fd), nullptr);
  File* f = make();
  table.publish(fd, f, false);
  EXPECT_EQ(table.get(fd), f);
  EXPECT_EQ(f->refs, 2u);
  drop(f);
  drop(table.remove(fd));
  EXPECT_EQ(table.get(fd), nullptr);
  EXPECT_EQ(table.reserve().value(), 0);
}

TEST_F(FdTableTest, TheLimitIsEmfile) {
  table.set_limit(2);
  EXPECT_TRUE(table.reserve());
  EXPECT_TRUE(table.reserve());
  EXPECT_EQ(table.reserve().error(), Errno{EMFILE});
  table.unreserve(0);
  EXPECT_EQ(table.reserve().value(), 0);
}

TEST_F(FdTableTest, CloseOnExecBelongsToTheDescriptor) {
  const int a = table.reserve().value();
  const int b = table.reserve().value();
  File* f = make();
  f->get();
  table.publish(a, f, true);
  table.publish(b, f, false);
  EXPECT_EQ(table.close_on_exec(a), true);
  EXPECT_EQ(table.close_on_exec(b), false);
  EXPECT_TRUE(table.set_close_on_exec(b, true));
  EXPECT_EQ(table.close_on_exec(b), true);
  EXPECT_EQ(table.close_on_exec(9).error(), Errno{EBADF});
  EXPECT_EQ(table.get(b), f);
  drop(f);
  drop(table.remove(a));
  drop(table.remove(b));
}

TEST_F(FdTableTest, ReplaceGivesBackWhatWasThere) {
  const int fd = table.reserve().value();
  File* first = make();
  File* second = make();
  table.publish(fd, first, false);
  File* old = nullptr;
  EXPECT_TRUE(table.replace(fd, second, false, &old));
  EXPECT_EQ(old, first);
  drop(old);
  EXPECT_EQ(table.replace(-1, second, false, &old).error(), Errno{EBADF});
  const int reserved = table.reserve().value();
  EXPECT_EQ(table.replace(reserved, second, false, &old).error(), Errno{EBUSY});
  drop(table.remove(fd));
}

TEST_F(FdTableTest, AHundredThousandDescriptorsKeepTheirFiles) {
  constexpr int kCount = 100000;
  std::vector<File*> made;
  for (int i = 0; i < kCount; ++i) {
    const int fd = table.reserve().value();
    ASSERT_EQ(fd, i);
    made.push_back(make());
    table.publish(fd, made.back(), false);
  }
  for (int i = 0; i < kCount; i += 997) {
    File* f = table.get(i);
    ASSERT_EQ(f, made[static_cast<size_t>(i)]);
    drop(f);
  }
  for (int i = 0; i < kCount; ++i)
    drop(table.remove(i));
  EXPECT_EQ(files.in_use(), 0u);
}

TEST(FileSize, AnIdleConnectionPaysLittleForItsDescriptor) {
  EXPECT_LE(sizeof(File), 32u);
  EXPECT_LE(sizeof(EpollItem), 48u);
}

}  // namespace
}  // namespace leat::socket
