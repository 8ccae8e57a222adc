// Slabs: blocks aligned to their size, so that an object's block is found by masking its address, and a bitmap of free
// objects in the block's header. Memory comes from the system (pages.h) outside the lock.
#include "base/slab.h"

#include <algorithm>

#include "base/check.h"

namespace leat {
namespace {

size_t round_up(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

size_t block_bytes_for(size_t object_size) {
  size_t bytes = SlabBase::kBlockBytes;
  while (object_size > SlabBase::kSmallObject && bytes < 16 * object_size)
    bytes *= 2;
  return bytes;
}
}  // namespace

struct SlabBase::Block {
  SlabBase* owner;  // first: owner_of()
  BlockSource::Region* region;
  Block* next_all;
  Block* prev;  // in the ring of blocks with free objects
  Block* next;
  uint32_t free;
  uint32_t first_word;                                                  // no bit is set in the bitmap's words before it
  uint64_t* bitmap() { return reinterpret_cast<uint64_t*>(this + 1); }  // 1: free
};

struct SlabBase::Ring {
  static void insert_back(Block** ring, Block* b) {
    if (*ring == nullptr) {
      *ring = b->prev = b->next = b;
      return;
    }
    b->next = *ring;
    b->prev = (*ring)->prev;
    b->prev->next = b->next->prev = b;
  }
  static void insert_front(Block** ring, Block* b) {
    insert_back(ring, b);
    *ring = b;
  }
  static void erase(Block** ring, Block* b) {
    if (*ring == b) *ring = b->next == b ? nullptr : b->next;
    b->prev->next = b->next;
    b->next->prev = b->prev;
  }
};

SlabBase::SlabBase(const char* name, size_t object_size, size_t align)
    : name_(name), source_(block_bytes_for(round_up(object_size, align < 8 ? 8 : align))) {
  LEAT_CHECK(align != 0 && (align & (align - 1)) == 0 && align <= 4096);
  if (align < 8) align = 8;
  object_size_ = round_up(object_size < 16 ? 16 : object_size, align);
  block_bytes_ = block_bytes_for(object_size_);
  bitmap_words_ = (block_bytes_ / object_size_ + 63) / 64;
  first_offset_ = round_up(sizeof(Block) + bitmap_words_ * 8, align);
  per_block_ = (block_bytes_ - first_offset_) / object_size_;
  inverse_ = (uint64_t{1} << kInverseBits) / object_size_ + 1;  // exact for offsets below 2^21: they are in a block
}

SlabBase::~SlabBase() {
  LEAT_CHECK(!check_leaks_ || in_use() == 0);
}

// None was freed lately, unless on another thread in this moment; or the limit is reached.
void* SlabBase::alloc_from_block() {
  for (Block* fresh = nullptr;;) {
    {
      Guard guard(lock_);
      if (fresh != nullptr) adopt(fresh);
      if (!may_alloc()) return nullptr;
      if (recent_count_ != 0 || partial_ != nullptr) {
        add(in_use_, 1);
        most_ = std::max(most_, in_use());
        return recent_count_ != 0 ? recent_[--recent_count_] : take_lowest(partial_);
      }
    }
    fresh = new_block();
    if (fresh == nullptr) return nullptr;
  }
}

SlabBase::Block* SlabBase::new_block() {
  BlockSource::Region* region = nullptr;
  void* memory = source_.take(&region);
  if (memory == nullptr) return nullptr;
  auto* b = new (memory) Block{this, region, nullptr, nullptr, nullptr, static_cast<uint32_t>(per_block_), 0};
  for (size_t w = 0; w < bitmap_words_; ++w) {
    const size_t left = per_block_ > w * 64 ? per_block_ - w * 64 : 0;
    b->bitmap()[w] = left >= 64 ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
  }
  return b;
}

void SlabBase::adopt(Block* b) {
  b->next_all = all_;
  all_ = b;
  Ring::insert_back(&partial_, b);
  add(bytes_, block_bytes_);
}

void* SlabBase::take_lowest(Block* b) {
  uint32_t w = b->first_word;
  while (b->bitmap()[w] == 0)
    ++w;
  b->first_word = w;
  const auto bit = static_cast<size_t>(__builtin_ctzll(b->bitmap()[w]));
  b->bitmap()[w] &= b->bitmap()[w] - 1;
  if (--b->free == 0) Ring::erase(&partial_, b);
  return reinterpret_cast<uint8_t*>(b) + first_offset_ + (w * size_t{64} + bit) * object_size_;
}

SlabBase::Block* SlabBase::block_of(void* object) const {
  auto* b = reinterpret_cast<Block*>(reinterpret_cast<uintptr_t>(object) & ~(block_bytes_ - 1));
  LEAT_CHECK(b->owner == this);
  return b;
}

size_t SlabBase::index_of(Block* b, void* object) const {
  const auto offset = static_cast<size_t>(static_cast<uint8_t*>(object) - reinterpret_cast<uint8_t*>(b));
  const uint64_t from_first = offset - first_offset_;
  const uint64_t i = (from_first * inverse_) >> kInverseBits;
  LEAT_CHECK(offset >= first_offset_ && i * object_size_ == from_first);
  return i;
}

#ifndef NDEBUG
void SlabBase::check_taken(void* object) const {
  for (size_t i = 0; i < recent_count_; ++i)
    LEAT_CHECK(recent_[i] != object);  // freed twice
  LEAT_CHECK(is_taken(object));
}
#endif

void SlabBase::forget_recent(size_t n) {
  for (size_t i = 0; i < n; ++i)
    give_to_block(recent_[i]);
  recent_count_ -= n;
  for (size_t i = 0; i < recent_count_; ++i)
    recent_[i] = recent_[i + n];
}

void SlabBase::give_to_block(void* object) {
  Block* b = block_of(object);
  const size_t i = index_of(b, object);
  const auto w = static_cast<uint32_t>(i / 64);
  const uint64_t mask = uint64_t{1} << (i % 64);
  LEAT_CHECK((b->bitmap()[w] & mask) == 0);  // freed twice
  b->bitmap()[w] |= mask;
  if (w < b->first_word) b->first_word = w;
  if (b->free++ == 0) {
    Ring::insert_front(&partial_, b);
  }
  if (b->free == per_block_ && partial_->next != partial_) {  // empty: the last to be taken from
    Ring::erase(&partial_, b);
    Ring::insert_back(&partial_, b);
  }
}

bool SlabBase::is_taken(void* object) const {
  Block* b = block_of(object);
  const size_t i = index_of(b, object);
  return (b->bitmap()[i / 64] >> i % 64 & 1) == 0;
}

size_t SlabBase::trim(void (*grace)(), size_t keep) {
  Block* dead = nullptr;
  size_t freed = 0;
  {
    Guard guard(lock_);
    forget_recent(recent_count_);
    bool kept_one = false;
    for (Block** link = &all_; *link != nullptr;) {
      Block* b = *link;
      if (b->free != per_block_ || bytes() - freed < keep + block_bytes_ || !std::exchange(kept_one, true)) {
        link = &b->next_all;
        continue;
      }
      *link = b->next_all;
      Ring::erase(&partial_, b);
      b->next_all = std::exchange(dead, b);
      freed += block_bytes_;
    }
    add(bytes_, ~freed + 1);
  }
  if (dead != nullptr && grace != nullptr) grace();
  while (dead != nullptr) {
    Block* b = std::exchange(dead, dead->next_all);
    source_.give(b, b->region);
  }
  return freed;
}

bool SlabBase::trim_surplus(void (*grace)()) {
  size_t needed = 0;
  {
    Guard guard(lock_);
    needed = std::exchange(most_, in_use());
  }
  needed = std::max(needed, in_use());
  if (has_surplus(needed)) trim(grace, needed * object_size_);
  return needed > in_use() && has_surplus(in_use());
}

void SlabBase::for_each_raw(void (*f)(void*, void*), void* context) {
  {
    Guard guard(lock_);
    forget_recent(recent_count_);
  }
  for (Block* b = all_; b != nullptr; b = b->next_all) {
    for (size_t i = 0; i < per_block_; ++i) {
      if ((b->bitmap()[i / 64] >> i % 64 & 1) != 0) continue;
      f(context, reinterpret_cast<uint8_t*>(b) + first_offset_ + i * object_size_);
    }
  }
}

}  // namespace leat
