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
  if (!is_watched()) return false;
  bool woke = false;
  Watches watches(*this);
  Watch* next = nullptr;
  for (Watch* w = watches.head; w != nullptr; w = next) {
    next = w->next;
    if ((w->events & events) == 0) continue;
    bool woke_this = true;
    if ((w->events & kWatchIsItem) != 0) {
      auto* item = static_cast<EpollItem*>(w);
      woke_this = item->epoll().on_item_ready(*item);
    } else {
      auto* entry = static_cast<WaitEntry*>(w);
      woke_this = !entry->wakeup->is_set();  // one event for each exclusive waiter
      entry->runner->wake(*entry->wakeup);
    }
    woke |= woke_this;
    if (woke_this && (w->events & EPOLLEXCLUSIVE) != 0 && (events & EPOLLHUP) == 0) break;
  }
  return woke;
}

void File::wake_one_waiter() {
  if (!is_watched()) return;
  Watches watches(*this);
  for (Watch* w = watches.head; w != nullptr; w = w->next) {
    if ((w->events & kWatchIsItem) != 0) continue;
    auto* entry = static_cast<WaitEntry*>(w);
    if (entry->wakeup->is_set()) continue;
    entry->runner->wake(*entry->wakeup);
    return;
  }
}

void File::add_watch(Watch* w) {
  Watches watches(*this);
  if ((w->events & EPOLLEXCLUSIVE) == 0 || watches.head == nullptr) {
    w->next = watches.head;
    watches.head = w;
    return;
  }
  Watch* last = watches.head;
  while (last->next != nullptr)
    last = last->next;
  w->next = nullptr;
  last->next = w;
}

void File::remove_watch(Watch* w) {
  Watches watches(*this);
  Watch* at = watches.head;
  if (at == w) {
    watches.head = w->next;
    return;
  }
  while (at->next != w)
    at = at->next;
  at->next = w->next;
}

EpollItem* File::first_item() {
  Watches watches(*this);
  Watch* w = watches.head;
  while (w != nullptr && (w->events & kWatchIsItem) == 0)
    w = w->next;
  return static_cast<EpollItem*>(w);
}

EpollItem* File::find_item(const Epoll& e, int fd) {
  Watches watches(*this);
  for (Watch* w = watches.head; w != nullptr; w = w->next) {
    if ((w->events & kWatchIsItem) == 0 || w->fd != fd) continue;
    auto* item = static_cast<EpollItem*>(w);
    if (&item->epoll() == &e) return item;
  }
  return nullptr;
}

}  // namespace leat::socket
