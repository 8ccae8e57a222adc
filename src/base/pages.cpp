// Regions that have a free block stand in front of those that have none, so taking looks at one.
#include "base/pages.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace leat {
namespace {

constexpr size_t kRegionBytes = 2u << 20;
constexpr size_t kHugePage = 2u << 20;
constexpr size_t kPage = 4096;
constexpr size_t kMappedArray = 64u << 10;
constexpr size_t kRegionsBeforeHuge = 16;  // what is looked up at random in 32 MB and more finds its pages sooner

void* map(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

size_t pages_of(size_t bytes) {
  return (bytes + kPage - 1) & ~(kPage - 1);
}

// Maps more than is wanted and gives the ends back.
void* map_aligned(size_t bytes, size_t align) {
  auto* p = static_cast<uint8_t*>(map(bytes + align));
  if (p == nullptr) return nullptr;
  const size_t before = (align - reinterpret_cast<uintptr_t>(p) % align) % align;
  if (before != 0) munmap(p, before);
  if (before != align) munmap(p + before + bytes, align - before);
  return p + before;
}

// The leak checker knows malloc's memory only: what hangs on objects in these pages is not lost.
void tell_leak_checker([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes, [[maybe_unused]] bool is_there) {
#if defined(__SANITIZE_ADDRESS__)
  is_there ? __lsan_register_root_region(p, bytes) : __lsan_unregister_root_region(p, bytes);
#endif
}

}  // namespace

struct BlockSource::Region {
  uint8_t* base;
  size_t bytes;
  uint32_t free;   // blocks
  uint32_t count;  // blocks
  Region* prev;
  Region* next;
  uint64_t bits;  // 1: free
  bool is_root;   // to the leak checker
};

BlockSource::BlockSource(size_t block_bytes)
    : block_bytes_(block_bytes),
      blocks_(block_bytes >= kRegionBytes ? 1 : static_cast<uint32_t>(kRegionBytes / block_bytes)) {
  static_assert(kRegionBytes / 65536 <= 64);
}

BlockSource::~BlockSource() {
  while (first_ != nullptr) {
    Region* r = first_;
    unlink(r);
    unmap(r);
  }
}

void BlockSource::link(Region* r) {
  r->prev = nullptr;
  r->next = first_;
  (first_ != nullptr ? first_->prev : last_) = r;
  first_ = r;
}

void BlockSource::unlink(Region* r) {
  (r->prev != nullptr ? r->prev->next : first_) = r->next;
  (r->next != nullptr ? r->next->prev : last_) = r->prev;
}

BlockSource::Region* BlockSource::map_region() {
  auto* r = new (std::nothrow) Region{};
  if (r == nullptr) return nullptr;
  r->bytes = block_bytes_ * blocks_;
  const bool is_huge = regions_.load(std::memory_order_relaxed) >= kRegionsBeforeHuge && r->bytes >= kHugePage;
  r->base = static_cast<uint8_t*>(map_aligned(r->bytes, is_huge ? kHugePage : block_bytes_));
  if (r->base == nullptr) {
    delete r;
    return nullptr;
  }
  if (is_huge) madvise(r->base, r->bytes, MADV_HUGEPAGE);
  r->free = r->count = blocks_;
  r->bits = blocks_ == 64 ? ~uint64_t{0} : (uint64_t{1} << blocks_) - 1;
  r->is_root = true;
  tell_leak_checker(r->base, r->bytes, true);
  return r;
}

void BlockSource::unmap(Region* r) {
  if (r->is_root) tell_leak_checker(r->base, r->bytes, false);
  munmap(r->base, r->bytes);
  delete r;
}

void* BlockSource::take_from(Region& r) {
  const auto i = static_cast<size_t>(__builtin_ctzll(r.bits));
  r.bits &= r.bits - 1;
  if (--r.free == 0 && last_ != &r) {  // behind those that have some
    unlink(&r);
    r.prev = last_;
    r.next = nullptr;
    last_->next = &r;
    last_ = &r;
  }
  return r.base + i * block_bytes_;
}

void* BlockSource::take(Region** region) {
  for (Region* fresh = nullptr;;) {
    {
      Guard guard(lock_);
      if (fresh != nullptr) {
        link(fresh);
        regions_.fetch_add(1, std::memory_order_relaxed);
      }
      if (first_ != nullptr && first_->free != 0) {
        *region = first_;
        return take_from(*first_);
      }
    }
    fresh = map_region();
    if (fresh == nullptr) return nullptr;
  }
}

void BlockSource::disown() {
  Guard guard(lock_);
  for (Region* r = first_; r != nullptr; r = r->next) {
    if (std::exchange(r->is_root, false)) tell_leak_checker(r->base, r->bytes, false);
  }
}

void BlockSource::give(void* block, Region* r) {
  madvise(block, block_bytes_, MADV_DONTNEED);
  const auto i = static_cast<size_t>(static_cast<uint8_t*>(block) - r->base) / block_bytes_;
  {
    Guard guard(lock_);
    r->bits |= uint64_t{1} << i;
    if (r->free++ == 0 && first_ != r) {
      unlink(r);
      link(r);
    }
    if (r->free != r->count) return;
    unlink(r);
    regions_.fetch_sub(1, std::memory_order_relaxed);
  }
  unmap(r);
}

void* map_array(size_t bytes) {
  if (bytes < kMappedArray) {
    const size_t lines = (bytes + 63) / 64 * 64;
    void* p = std::aligned_alloc(64, lines);
    return p == nullptr ? nullptr : std::memset(p, 0, lines);
  }
  const bool is_huge = bytes >= kHugePage;
  void* p = map_aligned(pages_of(bytes), is_huge ? kHugePage : kPage);
  if (p != nullptr && is_huge) madvise(p, bytes, MADV_HUGEPAGE);
  return p;
}

void unmap_array(void* array, size_t bytes) {
  if (array == nullptr) return;
  if (bytes < kMappedArray) return std::free(array);
  munmap(array, pages_of(bytes));
}

}  // namespace leat
