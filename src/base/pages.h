// Blocks of memory of one size, aligned to it, straight from the system and back to it: what malloc would keep for
// itself after a burst, or scatter with a header of its own between two blocks, which costs an idle connection 20
// bytes. A region of many blocks is mapped at once; a block that is given back loses its pages at once, and a region
// without blocks goes.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/spinlock.h"

namespace leat {

class BlockSource {
 public:
  struct Region;

  explicit BlockSource(size_t block_bytes);  // a power of two, at least 64 KB
  ~BlockSource();                            // what was not given back goes with it
  BlockSource(const BlockSource&) = delete;
  BlockSource& operator=(const BlockSource&) = delete;

  void* take(Region** region);  // zeroed; *region is for give(). nullptr: memory is out
  void give(void* block, Region* region);
  // Nobody owns these blocks any more but who has an object in one: what is never given back shall be found as a leak.
  void disown();

 private:
  void* take_from(Region& r);
  Region* map_region();
  static void unmap(Region* r);
  void link(Region* r);
  void unlink(Region* r);

  const size_t block_bytes_;
  const uint32_t blocks_;  // of a region
  Region* first_ = nullptr;
  Region* last_ = nullptr;
  std::atomic<size_t> regions_{0};
  SpinLock lock_;
};

// Memory for one large array, zeroed, aligned to a cache line, in huge pages where the system has them for who asks: a
// table that is read at random finds its pages with fewer misses. nullptr: memory is out.
void* map_array(size_t bytes);
void unmap_array(void* array, size_t bytes);

}  // namespace leat
