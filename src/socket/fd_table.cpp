#include "socket/fd_table.h"

#include <cstdlib>
#include <utility>

namespace leat::socket {

// Up a level while the rest of the word is full, down again where there is a free bit.
int64_t NumberSet::find_free(uint32_t from, uint32_t limit) const {
  if (from >= limit) return -1;
  if (from >= end()) return from;
  uint64_t at = from;
  for (size_t level = 0; level < levels_.size();) {
    const auto& words = levels_[level];
    const uint64_t word = at / 64;
    const uint64_t free = word < words.size() ? ~words[word] & (~uint64_t{0} << at % 64) : 0;
    if (free == 0) {
      ++level;
      at = word + 1;
      continue;
    }
    at = word * 64 + static_cast<uint64_t>(__builtin_ctzll(free));
    if (level == 0) return at < limit ? static_cast<int64_t>(at) : -1;
    --level;
    at *= 64;
    if (at >= levels_[level].size() * 64) break;
  }
  return end() < limit ? static_cast<int64_t>(end()) : -1;
}

void NumberSet::grow_to(uint32_t n) {
  if (levels_.empty()) levels_.emplace_back(1, 0);
  size_t words = levels_[0].size();
  while (words * 64 <= n)
    words *= 2;
  for (size_t level = 0;; ++level, words = (words + 63) / 64) {
    if (level == levels_.size()) {
      levels_.emplace_back(words, 0);
      if (level > 0) {  // what is below it may be full already
        for (size_t w = 0; w < levels_[level - 1].size(); ++w) {
          if (levels_[level - 1][w] == ~uint64_t{0}) levels_[level][w / 64] |= uint64_t{1} << w % 64;
        }
      }
    }
    if (levels_[level].size() < words) levels_[level].resize(words, 0);
    if (words == 1) break;
  }
}

void NumberSet::add(uint32_t n) {
  if (n >= end()) grow_to(n);
  uint64_t at = n;
  for (auto& words : levels_) {
    words[at / 64] |= uint64_t{1} << at % 64;
    if (words[at / 64] != ~uint64_t{0}) return;
    at /= 64;
  }
}

void NumberSet::remove(uint32_t n) {
  uint64_t at = n;
  for (auto& words : levels_) {
    const bool was_full = words[at / 64] == ~uint64_t{0};
    words[at / 64] &= ~(uint64_t{1} << at % 64);
    if (!was_full) return;
    at /= 64;
  }
}

bool NumberSet::has(uint32_t n) const {
  return n < end() && (levels_[0][n / 64] >> n % 64 & 1) != 0;
}

FdTable::~FdTable() {
  for (auto& s : segments_)
    std::free(s.load(std::memory_order_relaxed));
}

FdTable::Slot* FdTable::slot(int fd) const {
  if (fd < 0) return nullptr;
  const auto n = static_cast<uint32_t>(fd);
  const size_t segment = segment_of(n);
  Slot* slots = segments_[segment].load(std::memory_order_acquire);
  return slots == nullptr ? nullptr : slots + (segment == 0 ? n : n - (kFirst << (segment - 1)));
}

// Zero pages of the system until they are used.
bool FdTable::make_segment(uint32_t fd) {
  const size_t segment = segment_of(fd);
  if (segments_[segment].load(std::memory_order_relaxed) != nullptr) return true;
  const size_t slots = segment == 0 ? kFirst : size_t{kFirst} << (segment - 1);
  void* memory = std::calloc(slots, sizeof(Slot));
  if (memory == nullptr) return false;
  segments_[segment].store(static_cast<Slot*>(memory), std::memory_order_release);
  return true;
}

Result<int> FdTable::reserve(uint32_t from) {
  Guard guard(lock_);
  const int64_t n = used_.find_free(from, limit());
  if (n < 0) return err(EMFILE);
  if (!make_segment(static_cast<uint32_t>(n))) return err(ENOMEM);
  used_.add(static_cast<uint32_t>(n));
  return static_cast<int>(n);
}

void FdTable::unreserve(int fd) {
  Guard guard(lock_);
  used_.remove(static_cast<uint32_t>(fd));
}

void FdTable::publish(int fd, File* file, bool on_exec) {
  slot(fd)->store(reinterpret_cast<uintptr_t>(file) | (on_exec ? kCloseOnExec : 0), std::memory_order_release);
}

File* FdTable::get(int fd) const {
  const Slot* s = slot(fd);
  if (s == nullptr) return nullptr;
  for (;;) {
    const uintptr_t value = s->load(std::memory_order_acquire) & ~kCloseOnExec;
    auto* file = reinterpret_cast<File*>(value);
    if (file == nullptr) return nullptr;
    if (!file->try_get()) continue;  // closed meanwhile: the slot reads otherwise in a moment
    if ((s->load(std::memory_order_acquire) & ~kCloseOnExec) == value) return file;
    if (file->put() && release_ != nullptr) release_(release_context_, file);
  }
}

File* FdTable::remove(int fd) {
  Guard guard(lock_);
  Slot* s = slot(fd);
  if (s == nullptr) return nullptr;
  auto* file = reinterpret_cast<File*>(s->load(std::memory_order_relaxed) & ~kCloseOnExec);
  if (file == nullptr) return nullptr;
  s->store(0, std::memory_order_release);
  used_.remove(static_cast<uint32_t>(fd));
  return file;
}

Result<void> FdTable::replace(int fd, File* file, bool on_exec, File** old) {
  Guard guard(lock_);
  if (fd < 0 || static_cast<uint32_t>(fd) >= limit()) return err(EBADF);
  const auto n = static_cast<uint32_t>(fd);
  if (!make_segment(n)) return err(ENOMEM);
  Slot* s = slot(fd);
  *old = reinterpret_cast<File*>(s->load(std::memory_order_relaxed) & ~kCloseOnExec);
  if (*old == nullptr && used_.has(n)) return err(EBUSY);
  used_.add(n);
  s->store(reinterpret_cast<uintptr_t>(file) | (on_exec ? kCloseOnExec : 0), std::memory_order_release);
  return {};
}

Result<bool> FdTable::close_on_exec(int fd) const {
  const Slot* s = slot(fd);
  const uintptr_t value = s == nullptr ? 0 : s->load(std::memory_order_acquire);
  if (value == 0) return err(EBADF);
  return (value & kCloseOnExec) != 0;
}

Result<void> FdTable::set_close_on_exec(int fd, bool on) {
  Guard guard(lock_);
  Slot* s = slot(fd);
  const uintptr_t value = s == nullptr ? 0 : s->load(std::memory_order_relaxed);
  if (value == 0) return err(EBADF);
  s->store((value & ~kCloseOnExec) | (on ? kCloseOnExec : 0), std::memory_order_release);
  return {};
}

uint32_t FdTable::end() const {
  Guard guard(lock_);
  return used_.end();
}

size_t FdTable::bytes() const {
  Guard guard(lock_);
  return used_.end() * sizeof(Slot) + used_.end() / 8;
}

}  // namespace leat::socket
