// What a descriptor stands for: a socket or an epoll instance, and who watches it.
//
//   fd slot → File → TcpSock / UdpSock / Epoll
//              └ watches → EpollItem → EpollItem → WaitEntry (a blocked call)
//
// Files are counted: a reference for each descriptor and for each call under way. A transport tells its file of events
// (SockEvents), with the socket's lock held; the file passes them on to who watches.
// Locks, in the order in which they may be taken:
//   Sockets::links → Epoll::scan → a socket's lock → File::Watches → Epoll::ready → the next File::Watches …
// Memory matters: an idle connection pays for a File, a slot of 8 bytes and, usually, one EpollItem.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <cstdint>

#include "base/spinlock.h"
#include "inet/reused.h"
#include "inet/sock.h"
#include "leat/runner.h"

namespace leat::tcp {
struct TcpSock;
}
namespace leat::udp {
struct UdpSock;
}

namespace leat::socket {

class Epoll;
struct File;

enum class FileKind : uint8_t { kTcp, kUdp, kEpoll };

// Bits of File::flags.
inline constexpr uint8_t kNonBlocking = 1, kAppend = 2;

// Bits of Watch::events that epoll leaves unused.
inline constexpr uint32_t kWatchIsItem = 1u << 27;  // an EpollItem, else a WaitEntry

struct Watch {
  Watch* next = nullptr;
  uint32_t events = 0;  // what it wants, with EPOLLEXCLUSIVE, EPOLLET, EPOLLONESHOT; under its file's Watches
  int fd = -1;          // EpollItem: the descriptor that it was added under
};

struct EpollItem : Watch {
  File* file = nullptr;  // no reference: closing it removes the item; nullptr: removed, waits to leave the ready list
  EpollItem* next_ready = nullptr;  // nullptr: not in the ready list
  uint64_t data = 0;
  Epoll& epoll() const;  // whose it is stands in the block of memory that it is in
};
static_assert(sizeof(EpollItem) <= 40);

// A call that waits for one or more files.
struct WaitEntry : Watch {
  Wakeup* wakeup = nullptr;
  Runner* runner = nullptr;
};

struct File final : inet::SockEvents {
  File(FileKind k, void* o, uint8_t f) : kind(k), flags(f), object(o) {}

  inet::Reused<uint32_t> refs;  // see FdTable::get; stored once, from 0
  FileKind kind;
  std::atomic<uint8_t> flags;
  void* object;

  bool is_socket() const { return kind != FileKind::kEpoll; }
  inet::Sock& sock() const { return *static_cast<inet::Sock*>(sock_pointer()); }
  tcp::TcpSock& tcp() const;
  udp::UdpSock& udp() const;
  Epoll& epoll() const { return *static_cast<Epoll*>(object); }
  bool is_blocking() const { return (flags.load(std::memory_order_relaxed) & kNonBlocking) == 0; }

  bool try_get() {
    uint32_t r = refs.load();
    while (r != 0) {
      if (swap_if(refs, r, r + 1)) return true;
    }
    return false;
  }
  void get() { count_up(refs, 1u); }
  bool put() { return count_down(refs, 1u, std::memory_order_acq_rel) == 1; }  // true: the caller closes it

  void on_events(uint32_t events) override { notify(events); }
  // Wakes who wants these events: everybody who shares, and one of those who asked for EPOLLEXCLUSIVE (all on a
  // hang-up). true: somebody was woken.
  bool notify(uint32_t events);
  void wake_one_waiter();  // of the blocked calls only
  void add_watch(Watch* w);
  void remove_watch(Watch* w);
  bool is_watched() const { return (watches_.load(std::memory_order_acquire) & ~kLocked) != 0; }
  EpollItem* first_item();  // nullptr: nobody's
  EpollItem* find_item(const Epoll& e, int fd);

  // The list of watches, locked: `head` may be changed meanwhile.
  class [[nodiscard]] Watches {
   public:
    explicit Watches(File& f) : word_(f.watches_) {
      uintptr_t v = word_.load(std::memory_order_relaxed);
      for (;;) {
        v &= ~kLocked;
        if (swap_if(word_, v, v | kLocked)) break;
      }
      head = reinterpret_cast<Watch*>(v);
    }
    ~Watches() { word_.store(reinterpret_cast<uintptr_t>(head), std::memory_order_release); }
    Watches(const Watches&) = delete;
    Watches& operator=(const Watches&) = delete;
    Watch* head = nullptr;

   private:
    std::atomic<uintptr_t>& word_;
  };

 private:
  static constexpr uintptr_t kLocked = 1;
  void* sock_pointer() const;
  std::atomic<uintptr_t> watches_{0};  // the first Watch; the lowest bit is the list's lock
};
static_assert(sizeof(File) <= 32);

}  // namespace leat::socket
