// A word of an object in a type-stable slab. A reader without a lock may look at it while the memory becomes another
// object, so even the constructor's store must be atomic, which std::atomic's is not. Reads and writes in plain
// syntax are relaxed: order comes from SockCommon::hash and SockCommon::refs (see inet/tables.h).
#pragma once

#include <atomic>

namespace leat::inet {

template <class T>
class Reused {
 public:
  Reused() { store(T{}); }
  explicit Reused(T v) { store(v); }
  Reused(const Reused& o) { store(o.load()); }
  Reused& operator=(const Reused& o) {
    store(o.load());
    return *this;
  }
  Reused& operator=(T v) {
    store(v);
    return *this;
  }
  operator T() const { return load(); }  // NOLINT: stands for a T

  T load(std::memory_order o = std::memory_order_relaxed) const { return ref().load(o); }
  void store(T v, std::memory_order o = std::memory_order_relaxed) { ref().store(v, o); }
  T fetch_add(T v, std::memory_order o) { return ref().fetch_add(v, o); }
  T fetch_sub(T v, std::memory_order o) { return ref().fetch_sub(v, o); }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure) {
    return ref().compare_exchange_weak(expected, desired, success, failure);
  }

 private:
  std::atomic_ref<T> ref() const { return std::atomic_ref<T>(const_cast<T&>(value_)); }
  T value_;
};

}  // namespace leat::inet
