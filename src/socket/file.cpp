// Watching a file. Who shares stands in front, who asked for EPOLLEXCLUSIVE behind, in the order of asking.
#include "socket/file.h"

#include "socket/epoll.h"
#include "tcp/conn.h"
#include "udp/udp_sock.h"

namespace leat::socket {

tcp::TcpSock& File::tcp() const {
  return *static_cast<tcp::TcpSock*>(object);
}
udp::UdpSock& File::udp() const {
  return *static_cast<udp::UdpSock*>(object);
}
void* File::sock_pointer() const {
  return kind == FileKind::kTcp ? static_cast<inet::Sock*>(static_cast<tcp::TcpSock*>(object))
                                : static_cast<inet::Sock*>(static_cast<udp::UdpSock*>(object));
}

// The test without the lock is enough: who adds a watch looks at the file's state afterwards, under the lock that our
// caller holds now.
bool File::notify(uint32_t events) {
  if (watches.load(std::memory_order_acquire) == nullptr) return false;
  bool woke = false;
  Guard guard(watch_lock);
  Watch* next = nullptr;
  for (Watch* w = watches.load(std::memory_order_relaxed); w != nullptr; w = next) {
    next = w->next;
    if ((w->events & events) == 0) continue;
    bool woke_this = true;
    if ((w->events & kWatchIsItem) != 0) {
      auto* item = static_cast<EpollItem*>(w);
      woke_this = item->epoll->on_item_ready(*item);
    } else {
      auto* entry = static_cast<WaitEntry*>(w);
      entry->runner->wake(*entry->wakeup);
    }
    woke |= woke_this;
    if (woke_this && (w->events & EPOLLEXCLUSIVE) != 0 && (events & EPOLLHUP) == 0) break;
  }
  return woke;
}

void File::wake_one_waiter() {
  if (watches.load(std::memory_order_acquire) == nullptr) return;
  Guard guard(watch_lock);
  for (Watch* w = watches.load(std::memory_order_relaxed); w != nullptr; w = w->next) {
    if ((w->events & kWatchIsItem) != 0) continue;
    auto* entry = static_cast<WaitEntry*>(w);
    if (entry->wakeup->is_set()) continue;
    entry->runner->wake(*entry->wakeup);
    return;
  }
}

void File::add_watch(Watch* w) {
  Guard guard(watch_lock);
  Watch* head = watches.load(std::memory_order_relaxed);
  if ((w->events & EPOLLEXCLUSIVE) == 0 || head == nullptr) {
    w->next = head;
    watches.store(w, std::memory_order_release);
    return;
  }
  while (head->next != nullptr)
    head = head->next;
  w->next = nullptr;
  head->next = w;
}

void File::remove_watch(Watch* w) {
  Guard guard(watch_lock);
  Watch* at = watches.load(std::memory_order_relaxed);
  if (at == w) {
    watches.store(w->next, std::memory_order_release);
    return;
  }
  while (at->next != w)
    at = at->next;
  at->next = w->next;
}

EpollItem* File::first_item() {
  Guard guard(watch_lock);
  Watch* w = watches.load(std::memory_order_relaxed);
  while (w != nullptr && (w->events & kWatchIsItem) == 0)
    w = w->next;
  return static_cast<EpollItem*>(w);
}

EpollItem* File::find_item(const Epoll& e, int fd) {
  Guard guard(watch_lock);
  for (Watch* w = watches.load(std::memory_order_relaxed); w != nullptr; w = w->next) {
    if ((w->events & kWatchIsItem) == 0 || w->fd != fd) continue;
    auto* item = static_cast<EpollItem*>(w);
    if (item->epoll == &e) return item;
  }
  return nullptr;
}

}  // namespace leat::socket
