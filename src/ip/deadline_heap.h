// A binary heap of objects by their deadline, each of which knows its place in it: arm, move and disarm in O(log n),
// the next deadline in O(1). For the few thousand timers of this room, whose owners hold a lock of their own; the
// timer wheel's callback without a lock would race with entries that another thread frees.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/time.h"

namespace leat::ip {

struct Deadline {
  Time at;
  uint32_t slot = UINT32_MAX;  // UINT32_MAX: not armed
  bool is_armed() const { return slot != UINT32_MAX; }
};

template <class T, Deadline T::* Member>
class DeadlineHeap {
 public:
  void arm(T* t, Time at) {
    Deadline& d = t->*Member;
    d.at = at;
    if (!d.is_armed()) {
      d.slot = static_cast<uint32_t>(heap_.size());
      heap_.push_back(t);
    }
    sift_down(sift_up(d.slot));
  }
  void disarm(T* t) {
    Deadline& d = t->*Member;
    if (!d.is_armed()) return;
    const size_t hole = d.slot;
    d.slot = UINT32_MAX;
    T* last = heap_.back();
    heap_.pop_back();
    if (last == t) return;
    place(hole, last);
    sift_down(sift_up(hole));
  }
  Time next() const { return heap_.empty() ? Time::never() : (heap_[0]->*Member).at; }
  T* pop_due(Time now) {  // nullptr: none
    if (heap_.empty() || (heap_[0]->*Member).at > now) return nullptr;
    T* t = heap_[0];
    disarm(t);
    return t;
  }
  size_t size() const { return heap_.size(); }

 private:
  bool is_before(size_t a, size_t b) const { return (heap_[a]->*Member).at < (heap_[b]->*Member).at; }
  void place(size_t i, T* t) {
    heap_[i] = t;
    (t->*Member).slot = static_cast<uint32_t>(i);
  }
  void exchange(size_t a, size_t b) {
    T* t = heap_[a];
    place(a, heap_[b]);
    place(b, t);
  }
  size_t sift_up(size_t i) {
    for (; i != 0 && is_before(i, (i - 1) / 2); i = (i - 1) / 2)
      exchange(i, (i - 1) / 2);
    return i;
  }
  void sift_down(size_t i) {
    for (;;) {
      size_t least = i;
      for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < heap_.size(); ++child) {
        if (is_before(child, least)) least = child;
      }
      if (least == i) return;
      exchange(i, least);
      i = least;
    }
  }
  std::vector<T*> heap_;
};

}  // namespace leat::ip
