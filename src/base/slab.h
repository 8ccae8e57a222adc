// Slabs of objects of one size, type-stable: memory that once was an object of the slab only ever holds objects of
// that slab, so that a reader without a lock may look at one that was freed under it and notice (design decision 4).
//
//   [ block 64 KiB: header | object | object | … ]   blocks with free objects form a list; full ones are in none
//
// alloc_raw() and free_raw() may be called from any thread. Which objects are free stands in a bitmap of the block, so
// a free object keeps every byte of its last owner: hash chains run on through it and a late reader races with nobody.
// What was freed last, up to kRecent objects, is handed out first: it is warm, and its block's header need not be
// touched. Behind that alloc takes the lowest free object, which keeps live objects together and blocks empty; freeing
// twice is a failed CHECK. Blocks whose objects are all free go back to the system by trim(), with a grace period where
// readers ask for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "base/pages.h"
#include "base/spinlock.h"

namespace leat {

class SlabBase {
 public:
  static constexpr size_t kBlockBytes = 64 * 1024;
  static constexpr size_t kSmallObject = 8 * 1024;  // beyond it a block is made for sixteen objects
  static constexpr size_t kRecent = 256;

  SlabBase(const char* name, size_t object_size, size_t align);
  ~SlabBase();  // CHECKs that no object is left
  SlabBase(const SlabBase&) = delete;
  SlabBase& operator=(const SlabBase&) = delete;

  // nullptr when memory or the limit is exhausted; contents are those of the last owner.
  void* alloc_raw() {
    {
      Guard guard(lock_);
      if (recent_count_ != 0 && may_alloc()) [[likely]] {
        add(in_use_, 1);
        return recent_[--recent_count_];
      }
    }
    return alloc_from_block();
  }
  void free_raw(void* object) {
    if (object == nullptr) return;
    Guard guard(lock_);
    check_taken(object);
    if (recent_count_ == kRecent) [[unlikely]]
      forget_recent(kRecent / 2);
    recent_[recent_count_++] = object;
    add(in_use_, ~size_t{0});
  }
  // Gives empty blocks back to the system, but one, and so that `keep` bytes at least are left; returns the bytes given
  // back. `grace` is called once nobody can take from them any more, and before they go: where readers without a lock
  // may still stand on a dead object.
  size_t trim(void (*grace)() = nullptr, size_t keep = 0);
  // Asked once in a while: trims where a megabyte was free throughout the while, and more than was in use. What one
  // rush needed stays for the next. True: more is free by now than could be given back yet; to be asked again.
  bool trim_surplus(void (*grace)() = nullptr);
  // Calls f(void* object) for each that is in use. Nobody allocates or frees meanwhile.
  template <class F>
  void for_each(F&& f) {
    for_each_raw([](void* c, void* object) { (*static_cast<F*>(c))(object); }, &f);
  }
  // Whose an object is that is not beyond kSmallObject.
  static SlabBase& owner_of(const void* object) {
    return **reinterpret_cast<SlabBase**>(reinterpret_cast<uintptr_t>(object) & ~(kBlockBytes - 1));
  }

  const char* name() const { return name_; }
  size_t object_size() const { return object_size_; }
  size_t in_use() const { return in_use_.load(std::memory_order_relaxed); }
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }  // taken from the system
  // alloc_raw fails beyond; for tests and for bounds.
  void disown() { source_.disown(); }  // see pages.h
  void set_limit(size_t objects) { limit_.store(objects, std::memory_order_relaxed); }
  void forget_leaks() { check_leaks_ = false; }

 private:
  [[gnu::noinline]] void* alloc_from_block();
#ifdef NDEBUG
  void check_taken(void*) const {}
#else
  void check_taken(void* object) const;  // CHECKs that it is not free already
#endif
  void for_each_raw(void (*f)(void*, void*), void* context);
  struct Block;
  struct Ring;  // circular list of the blocks that have a free object; empty blocks stand at its end
  Block* new_block();
  void adopt(Block* block);
  void* take_lowest(Block* block);
  void give_to_block(void* object);
  [[gnu::noinline]] void forget_recent(size_t n);  // the n that have lain longest
  bool is_taken(void* object) const;
  Block* block_of(void* object) const;
  size_t index_of(Block* block, void* object) const;
  // With lock_ held: no need for an atomic addition.
  static void add(std::atomic<size_t>& n, size_t by) {
    n.store(n.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  bool has_surplus(size_t objects) const {
    const size_t used = objects * object_size_;
    return bytes() > used + (1u << 20) && bytes() > 2 * used;
  }
  bool may_alloc() const { return in_use() < limit_.load(std::memory_order_relaxed); }

  const char* name_;
  BlockSource source_;
  size_t object_size_;
  size_t block_bytes_;
  size_t bitmap_words_;
  size_t first_offset_;
  size_t per_block_;
  uint64_t inverse_;  // of object_size_, times 2^kInverseBits: a division for each free would be half its time
  static constexpr int kInverseBits = 42;
  Block* partial_ = nullptr;
  Block* all_ = nullptr;
  size_t most_ = 0;  // in use since the last trim_surplus(), as far as blocks were asked
  size_t recent_count_ = 0;
  void* recent_[kRecent];
  std::atomic<size_t> in_use_ = 0;
  std::atomic<size_t> bytes_ = 0;
  std::atomic<size_t> limit_ = SIZE_MAX;
  bool check_leaks_ = true;
  mutable SpinLock lock_;
};

template <class T>
class Slab : public SlabBase {
 public:
  explicit Slab(const char* name) : SlabBase(name, sizeof(T), alignof(T)) {}
  template <class... A>
  T* create(A&&... a) {
    void* p = alloc_raw();
    if (p == nullptr) return nullptr;
    // T() would first zero the whole object, with stores that race with a reader who is still on it; T does not.
    if constexpr (sizeof...(A) == 0 && requires { typename T::ReadAfterFree; }) {
      return new (p) T;
    } else {
      return new (p) T(std::forward<A>(a)...);
    }
  }
  void destroy(T* t) {
    t->~T();
    free_raw(t);
  }
};

}  // namespace leat
