// Slabs: packing, type stability, limits, trim, leaks and double frees.
#include "base/slab.h"

#include "base/pages.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <set>
#include <vector>

namespace leat {
namespace {

TEST(Slab, AnObjectOfThreeHundredBytesWastesLessThanOnePercent) {
  SlabBase slab("test", 304, 8);
  std::vector<void*> objects;
  do
    objects.push_back(slab.alloc_raw());
  while (slab.bytes() == 65536);
  EXPECT_GE((objects.size() - 1) * 304 * 100, 65536u * 99);
  for (void* o : objects)
    slab.free_raw(o);
}

TEST(Slab, ObjectsAreAlignedDistinctAndLieInTheirBlock) {
  SlabBase slab("test", 72, 64);
  EXPECT_EQ(slab.object_size(), 128u);
  std::set<uintptr_t> seen;
  for (int i = 0; i < 2000; ++i) {
    const auto p = reinterpret_cast<uintptr_t>(slab.alloc_raw());
    EXPECT_EQ(p % 64, 0u);
    EXPECT_LE(p % 65536 + 128, 65536u);
    EXPECT_TRUE(seen.insert(p).second);
    std::memset(reinterpret_cast<void*>(p), 0xff, 128);
  }
  EXPECT_EQ(slab.in_use(), 2000u);
  for (uintptr_t p : seen)
    slab.free_raw(reinterpret_cast<void*>(p));
  EXPECT_EQ(slab.in_use(), 0u);
}

TEST(Slab, AFreedObjectKeepsEveryByteAndStaysReadable) {
  SlabBase slab("test", 256, 8);
  auto* p = static_cast<uint8_t*>(slab.alloc_raw());
  std::memset(p, 0x5a, 256);
  slab.free_raw(p);
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(p[i], 0x5a);
  EXPECT_EQ(slab.alloc_raw(), p);
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(p[i], 0x5a);
  slab.free_raw(p);
}

TEST(Slab, ObjectsBeyondEightKilobytesGetBlocksForSixteen) {
  SlabBase slab("test", 69632, 8);
  std::vector<void*> objects;
  for (int i = 0; i < 31; ++i)
    objects.push_back(slab.alloc_raw());
  for (void* o : objects)
    std::memset(o, 1, 69632);
  EXPECT_EQ(slab.bytes(), 2u * 2097152);
  for (void* o : objects)
    slab.free_raw(o);
}

TEST(Slab, WhatWasFreedLastIsHandedOutFirst) {
  SlabBase slab("test", 256, 8);
  std::vector<void*> objects;
  for (int i = 0; i < 200; ++i)
    objects.push_back(slab.alloc_raw());
  for (void* o : objects)
    slab.free_raw(o);
  EXPECT_EQ(slab.in_use(), 0u);
  EXPECT_EQ(slab.alloc_raw(), objects[199]);
  EXPECT_EQ(slab.alloc_raw(), objects[198]);
  EXPECT_EQ(slab.in_use(), 2u);
  slab.free_raw(objects[199]);
  slab.free_raw(objects[198]);
}

TEST(Slab, TheLimitBoundsWhatIsInUse) {
  SlabBase slab("test", 64, 8);
  slab.set_limit(2);
  void* a = slab.alloc_raw();
  void* b = slab.alloc_raw();
  EXPECT_EQ(slab.alloc_raw(), nullptr);
  slab.free_raw(a);
  a = slab.alloc_raw();
  EXPECT_NE(a, nullptr);
  slab.free_raw(a);
  slab.free_raw(b);
}

TEST(Slab, TrimGivesEmptyBlocksBackButOne) {
  SlabBase slab("test", 4096, 8);
  std::vector<void*> objects;
  for (int i = 0; i < 150; ++i)
    objects.push_back(slab.alloc_raw());
  EXPECT_EQ(slab.bytes(), 10u * 65536);  // fifteen a block
  EXPECT_EQ(slab.trim(), 0u);
  for (size_t i = 1; i < objects.size(); ++i)
    slab.free_raw(objects[i]);
  EXPECT_EQ(slab.trim(), 8u * 65536);
  EXPECT_EQ(slab.bytes(), 2u * 65536);
  slab.free_raw(objects[0]);
  EXPECT_EQ(slab.trim(), 65536u);
  EXPECT_EQ(slab.trim(), 0u);
}

TEST(Slab, TrimLeavesNotLessThanItWasToKeep) {
  SlabBase slab("test", 4096, 8);
  std::vector<void*> objects;
  for (int i = 0; i < 150; ++i)
    objects.push_back(slab.alloc_raw());
  for (void* o : objects)
    slab.free_raw(o);
  EXPECT_EQ(slab.trim(nullptr, 3 * 65536 + 1), 6u * 65536);
  EXPECT_EQ(slab.bytes(), 4u * 65536);
}

TEST(Slab, WhatOneRushNeededStaysForTheNextAndGoesBackAfterAQuietWhile) {
  SlabBase slab("test", 4096, 8);
  std::vector<void*> objects(1500);  // a hundred blocks
  const auto rush = [&] {
    for (void*& o : objects)
      o = slab.alloc_raw();
    for (void* o : objects)
      slab.free_raw(o);
  };
  for (int i = 0; i < 3; ++i) {
    rush();
    EXPECT_TRUE(slab.trim_surplus()) << "more to come";
    EXPECT_EQ(slab.bytes(), 100u * 65536);
  }
  EXPECT_FALSE(slab.trim_surplus());
  EXPECT_EQ(slab.bytes(), 65536u);
}

TEST(Slab, OfASurplusWhatTheLastWhileNeededIsKept) {
  SlabBase slab("test", 4096, 8);
  std::vector<void*> objects;
  for (int i = 0; i < 1500; ++i)
    objects.push_back(slab.alloc_raw());
  for (size_t i = 450; i < objects.size(); ++i)
    slab.free_raw(objects[i]);
  EXPECT_TRUE(slab.trim_surplus());
  EXPECT_EQ(slab.bytes(), 100u * 65536);
  EXPECT_FALSE(slab.trim_surplus());
  EXPECT_EQ(slab.bytes(), 31u * 65536) << "one of them is empty";
  for (size_t i = 0; i < 450; ++i)
    slab.free_raw(objects[i]);
}

TEST(Slab, LiveObjectsStayTogetherSoThatBlocksBecomeEmpty) {
  SlabBase slab("test", 1024, 8);
  std::vector<void*> objects;
  for (int i = 0; i < 630; ++i)
    objects.push_back(slab.alloc_raw());
  for (size_t i = 0; i < objects.size(); i += 10) {
    for (size_t j = 1; j < 10; ++j)
      slab.free_raw(objects[i + j]);
  }
  std::vector<void*> again;
  for (int i = 0; i < 567; ++i)
    again.push_back(slab.alloc_raw());
  EXPECT_EQ(slab.bytes(), 10u * 65536);  // every hole was used
  for (size_t i = 0; i < objects.size(); i += 10)
    slab.free_raw(objects[i]);
  for (void* o : again)
    slab.free_raw(o);
}

TEST(Slab, RandomUseNeverHandsOutAnObjectTwice) {
  auto random = [engine = std::mt19937(7)]() mutable { return static_cast<uint32_t>(engine()); };
  SlabBase slab("test", 200, 8);
  std::vector<uint32_t*> live;
  for (uint32_t i = 0; i < 200'000; ++i) {
    if (live.empty() || random() % 100 < (i / 20'000 % 2 == 0 ? 55u : 45u)) {
      auto* p = static_cast<uint32_t*>(slab.alloc_raw());
      p[0] = i;
      p[49] = ~i;
      live.push_back(p);
    } else {
      const size_t at = random() % live.size();
      ASSERT_EQ(live[at][0], ~live[at][49]);
      slab.free_raw(live[at]);
      live[at] = live.back();
      live.pop_back();
    }
    if (i % 10'000 == 0) slab.trim();
    ASSERT_EQ(slab.in_use(), live.size());
  }
  for (uint32_t* p : live)
    slab.free_raw(p);
}

TEST(Slab, TypedSlabsConstructAndDestroy) {
  struct Object {
    explicit Object(int* count) : count_(count) { ++*count_; }
    ~Object() { --*count_; }
    int* count_;
  };
  int count = 0;
  Slab<Object> slab("objects");
  Object* o = slab.create(&count);
  EXPECT_EQ(count, 1);
  slab.destroy(o);
  EXPECT_EQ(count, 0);
}

TEST(SlabDeathTest, FreeingTwiceIsAFailedCheck) {
  SlabBase slab("test", 64, 8);
  void* p = slab.alloc_raw();
  slab.free_raw(p);
  EXPECT_DEATH(slab.free_raw(p), "");
}

TEST(SlabDeathTest, AnObjectLeftAtTheEndIsAFailedCheck) {
  EXPECT_DEATH(
      {
        SlabBase slab("test", 64, 8);
        slab.alloc_raw();
      },
      "");
  SlabBase slab("test", 64, 8);
  slab.alloc_raw();
  slab.forget_leaks();
}

TEST(BlockSource, GivesAlignedZeroedBlocksAndTakesThemBack) {
  BlockSource source(65536);
  std::vector<std::pair<uint8_t*, BlockSource::Region*>> blocks;
  std::set<uint8_t*> seen;
  for (int i = 0; i < 100; ++i) {
    BlockSource::Region* region = nullptr;
    auto* p = static_cast<uint8_t*>(source.take(&region));
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 65536, 0u);
    EXPECT_TRUE(seen.insert(p).second);
    EXPECT_EQ(p[0] | p[65535], 0);
    std::memset(p, 0xff, 65536);
    blocks.emplace_back(p, region);
  }
  for (size_t i = 0; i < blocks.size(); i += 2)
    source.give(blocks[i].first, blocks[i].second);
  for (size_t i = 0; i < blocks.size(); i += 2) {
    auto* p = static_cast<uint8_t*>(source.take(&blocks[i].second));
    EXPECT_EQ(p[0] | p[30000] | p[65535], 0);  // its pages were given back
    blocks[i].first = p;
  }
  for (const auto& [p, region] : blocks)
    source.give(p, region);
}

TEST(Slab, VisitsWhatIsInUseAndKnowsWhoseItIs) {
  SlabBase slab("test", 40, 8);
  std::set<void*> live;
  for (int i = 0; i < 5000; ++i)
    live.insert(slab.alloc_raw());
  for (int i = 0; i < 100; ++i) {
    slab.free_raw(*live.begin());
    live.erase(live.begin());
  }
  std::set<void*> seen;
  slab.for_each([&](void* o) { seen.insert(o); });
  EXPECT_EQ(seen, live);
  for (void* o : live) {
    EXPECT_EQ(&SlabBase::owner_of(o), &slab);
    slab.free_raw(o);
  }
}

}  // namespace
}  // namespace leat
