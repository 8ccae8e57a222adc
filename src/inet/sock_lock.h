// The lock of a socket with its backlog (decision 4). A thread of the user locks and, if it must, spins for the
// moment that the other holder needs. A segment never waits: it is left in the backlog, and whoever holds the lock
// processes it before letting go.
#pragma once

#include "inet/sock.h"

namespace leat::inet {

// Drain: void(Sock&, Packet* in order of arrival, owned); called with the lock held.
template <class Drain>
class [[nodiscard]] SockLock {
 public:
  SockLock(Sock& s, Drain drain) : sock_(s), drain_(drain) { s.lock.lock(); }
  ~SockLock() { release(sock_, drain_); }
  SockLock(const SockLock&) = delete;
  SockLock& operator=(const SockLock&) = delete;

  static void release(Sock& s, Drain& drain) {
    for (;;) {
      process_backlog(s, drain);
      s.lock.unlock();
      if (is_backlog_empty(s) || !s.lock.try_lock()) return;
    }
  }

  // For the receive path: true: `packet` was left in the backlog, or processed here, in order. The caller holds a
  // reference on s, and keeps it for as long as this call lasts.
  static void deliver(Sock& s, Packet* packet, Drain& drain) {
    if (s.backlog.load(std::memory_order_relaxed) == nullptr && s.lock.try_lock()) {
      drain(s, packet);
      release(s, drain);
      return;
    }
    park(s, packet, drain);
  }

  // Leaves the packet to whoever holds the lock, who may by now be nobody but us.
  static void park(Sock& s, Packet* packet, Drain& drain) {
    push(s, packet);
    if (s.lock.try_lock()) release(s, drain);
  }

 private:
  // Pairs with push(). Either we find its packet, or our write of nullptr over nullptr comes before its push, which
  // then knows of our unlock and gets the lock. (Fences would say it too, but not to ThreadSanitizer.)
  static bool is_backlog_empty(Sock& s) {
    Packet* none = nullptr;
    if (is_lone()) return s.backlog.load(std::memory_order_relaxed) == nullptr;
    return s.backlog.compare_exchange_strong(none, nullptr, std::memory_order_acq_rel, std::memory_order_relaxed);
  }
  static void push(Sock& s, Packet* p) {
    Packet* head = s.backlog.load(std::memory_order_relaxed);
    do {
      p->node.next = reinterpret_cast<ListNode*>(head);
    } while (!s.backlog.compare_exchange_weak(head, p, std::memory_order_acq_rel, std::memory_order_relaxed));
  }
  static void process_backlog(Sock& s, Drain& drain) {
    while (s.backlog.load(std::memory_order_relaxed) != nullptr) {
      Packet* last = s.backlog.exchange(nullptr, std::memory_order_acquire);
      Packet* first = nullptr;  // the stack is in reverse order of arrival
      while (last != nullptr) {
        Packet* before = reinterpret_cast<Packet*>(last->node.next);
        last->node.next = reinterpret_cast<ListNode*>(first);
        first = last;
        last = before;
      }
      while (first != nullptr) {
        Packet* next = reinterpret_cast<Packet*>(first->node.next);
        first->node.next = nullptr;
        drain(s, first);
        first = next;
      }
    }
  }

  Sock& sock_;
  Drain drain_;
};

}  // namespace leat::inet
