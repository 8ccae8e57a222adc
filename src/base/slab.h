// Slabs of objects of one size, type-stable: memory that once was an object of the slab only ever holds objects of
// that slab, so that a reader without a lock may look at one that was freed under it and notice (design decision 4).
//
//   [ block 64 KiB: header | object | object | … ]   blocks with free objects form a list; full ones are in none
//
// alloc() and free() may be called from any thread. The first 8 bytes of a free object are kept untouched (hash
// chains run through them); the free link lies at `free_link_offset`, which defaults to the object's end.
// Blocks whose objects are all free go back to the system by trim(), which the caller runs after a grace period.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "base/spinlock.h"

namespace leat {

class SlabBase {
 public:
  SlabBase(const char* name, size_t object_size, size_t align);
  ~SlabBase();  // CHECKs that no object is left
  SlabBase(const SlabBase&) = delete;
  SlabBase& operator=(const SlabBase&) = delete;

  void* alloc_raw();  // nullptr when memory or the limit is exhausted; contents are those of the last owner
  void free_raw(void*);
  size_t trim();  // gives empty blocks back to the system, but one; returns the bytes given back

  const char* name() const { return name_; }
  size_t object_size() const { return object_size_; }
  size_t in_use() const { return in_use_; }
  size_t bytes() const { return bytes_; }  // taken from the system
  void set_limit(size_t objects) { limit_ = objects; }  // alloc_raw fails beyond; for tests and for bounds
  void forget_leaks() { check_leaks_ = false; }

 private:
  struct Block;
  Block* grow();
  const char* name_;
  size_t object_size_;
  size_t first_offset_;
  size_t per_block_;
  size_t block_bytes_;
  Block* partial_ = nullptr;  // blocks with at least one free object
  Block* all_ = nullptr;
  size_t in_use_ = 0;
  size_t bytes_ = 0;
  size_t limit_ = SIZE_MAX;
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
    return p == nullptr ? nullptr : new (p) T(std::forward<A>(a)...);
  }
  void destroy(T* t) {
    t->~T();
    free_raw(t);
  }
};

}  // namespace leat
