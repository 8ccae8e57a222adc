// Descriptors: small numbers, the lowest free one first, each a slot of 8 bytes that points to a File. Reading a slot
// takes no lock: files live in a type-stable slab, and a hit is looked at again after its reference is taken.
//
//   slots:  segment 0 [0,64)  1 [64,128)  2 [128,256)  3 [256,512) …      a segment never moves
//   used:   a bitmap of 64-way levels; a bit of a higher level says that the word below is full
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <vector>

#include "base/errno.h"
#include "base/spinlock.h"
#include "netns/netns.h"
#include "socket/file.h"

namespace leat::socket {

class NumberSet {
 public:
  // The lowest number at or above `from` and below `limit` that is not in the set; -1: none.
  int64_t find_free(uint32_t from, uint32_t limit) const;
  void add(uint32_t n);
  void remove(uint32_t n);
  bool has(uint32_t n) const;
  uint32_t end() const { return static_cast<uint32_t>(levels_.empty() ? 0 : levels_[0].size() * 64); }

 private:
  void grow_to(uint32_t n);
  std::vector<std::vector<uint64_t>> levels_;
};

class FdTable {
 public:
  FdTable() = default;
  ~FdTable();
  FdTable(const FdTable&) = delete;
  FdTable& operator=(const FdTable&) = delete;

  // get() takes a reference for a moment on a file that another thread closes; if it turns out to be the last, this is
  // called to destroy the file.
  using Release = void (*)(void* context, File* file);
  void set_release(Release release, void* context) {
    release_ = release;
    release_context_ = context;
  }
  void set_limit(uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  void set_nr_open(const Tunable* nr_open) { nr_open_ = nr_open; }
  uint32_t limit() const {  // the soft limit; no number lies beyond fs.nr_open, whatever the limit says
    const uint32_t own = limit_.load(std::memory_order_relaxed);
    return nr_open_ == nullptr ? own : std::min(own, nr_open_->as<uint32_t>());
  }

  // A number that is taken but reads as closed until publish(). EMFILE, ENOMEM.
  Result<int> reserve(uint32_t from = 0);
  void unreserve(int fd);
  void publish(int fd, File* file, bool close_on_exec);  // takes a reference over
  // With a reference taken; nullptr: not open.
  File* get(int fd) const;
  File* remove(int fd);  // gives the slot's reference back; nullptr: not open
  // dup2: makes fd stand for file, whose reference it takes over; *old is what it stood for, or nullptr. EBADF: beyond
  // the limit; EBUSY: reserved by another call.
  Result<void> replace(int fd, File* file, bool close_on_exec, File** old);
  Result<bool> close_on_exec(int fd) const;  // EBADF
  Result<void> set_close_on_exec(int fd, bool on);
  uint32_t end() const;  // above every open descriptor
  size_t bytes() const;  // taken from the system, as far as it was used

 private:
  static constexpr uint32_t kFirst = 64;
  static constexpr size_t kSegments = 26;
  static constexpr uintptr_t kCloseOnExec = 1;
  using Slot = std::atomic<uintptr_t>;

  static size_t segment_of(uint32_t fd) { return static_cast<size_t>(std::bit_width(fd / kFirst)); }
  Slot* slot(int fd) const;
  bool make_segment(uint32_t fd);

  std::atomic<Slot*> segments_[kSegments] = {};
  std::atomic<uint32_t> limit_{1048576};
  const Tunable* nr_open_ = nullptr;
  Release release_ = nullptr;
  void* release_context_ = nullptr;
  NumberSet used_;
  mutable SpinLock lock_;
};

}  // namespace leat::socket
