// RCU, glued to liburcu's QSBR flavour (design decision 4): readers pay nothing, and every registered thread says
// between two turns that it holds no reference (rcu_quiescent). Memory is given back after rcu_synchronize() only.
//
// Who must register: a thread that reads a shared structure while another thread may change it, for as long as it
// does so (RcuThread). A registered thread that is about to block goes offline first (RcuOffline), or it holds up
// everybody's rcu_synchronize(). A thread that is not registered may call rcu_synchronize() and rcu_quiescent(): it
// is not waited for, so with one thread and no registration both return at once. Its reads are not protected.
// rcu_synchronize() may be called by a registered thread, which counts as quiescent meanwhile: it must hold no
// reference, and no lock that a reader may want.
//
// Pointers to what readers follow are std::atomic and loaded with acquire, so that ThreadSanitizer sees the order;
// under that sanitizer the grace period itself is announced to it too, since liburcu is not instrumented.
#pragma once

#include <atomic>

namespace leat {

// They mark the read side; in QSBR there is nothing to do.
inline void rcu_read_lock() {}
inline void rcu_read_unlock() {}

template <class T>
T* rcu_dereference(const std::atomic<T*>& p) {
  return p.load(std::memory_order_acquire);
}
template <class T>
void rcu_assign(std::atomic<T*>& p, T* value) {  // what *value holds is visible to who dereferences p
  p.store(value, std::memory_order_release);
}

class RcuReadGuard {
 public:
  RcuReadGuard() { rcu_read_lock(); }
  ~RcuReadGuard() { rcu_read_unlock(); }
  RcuReadGuard(const RcuReadGuard&) = delete;
  RcuReadGuard& operator=(const RcuReadGuard&) = delete;
};

// The calling thread is registered while the object lives. May be nested, but not made within an RcuOffline.
class RcuThread {
 public:
  RcuThread();
  ~RcuThread();
  RcuThread(const RcuThread&) = delete;
  RcuThread& operator=(const RcuThread&) = delete;

 private:
  bool registered_here_;
};

// The calling thread is not waited for while the object lives, and must not read. For blocking calls. May be nested,
// and does nothing in a thread that is not registered.
class RcuOffline {
 public:
  RcuOffline();
  ~RcuOffline();
  RcuOffline(const RcuOffline&) = delete;
  RcuOffline& operator=(const RcuOffline&) = delete;

 private:
  bool went_offline_;
};

bool rcu_is_online();    // registered, and not offline
void rcu_quiescent();    // this thread holds no reference now
void rcu_synchronize();  // returns when every registered thread has been quiescent or offline since the call

}  // namespace leat
