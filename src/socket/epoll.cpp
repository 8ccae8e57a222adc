// Locks: see file.h. `scan_` is held for the whole of a collect(), so an item that it looks at stays, and so does the
// item's file, whose last step, removing its items, needs the same lock.
#include "socket/epoll.h"

#include <algorithm>
#include <new>

namespace leat::socket {
namespace {

constexpr uint32_t kPrivate = EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE | kWatchIsItem;
constexpr uint32_t kExclusiveMay = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

uint32_t wanted(const epoll_event& e) {
  return (e.events & ~kWatchIsItem) | EPOLLERR | EPOLLHUP | kWatchIsItem;
}

EpollItem* end_mark() {
  return reinterpret_cast<EpollItem*>(uintptr_t{1});
}

}  // namespace

Epoll& EpollItem::epoll() const {
  return Epoll::of(*this);
}

// --- items --------------------------------------------------------------------------------------------------------

// What a burst has left goes back each time that half of the items have gone; with scan_ held.
void Epoll::free_item(EpollItem* item) {
  slab_.free_raw(item);
  if (slab_.in_use() >= trim_below_) return;
  slab_.trim();
  trim_below_ = slab_.in_use() / 2;
}

Result<void> Epoll::add(File& file, int fd, const epoll_event& event) {
  if ((event.events & EPOLLEXCLUSIVE) != 0) {
    if (file.kind == FileKind::kEpoll || (event.events & ~kExclusiveMay) != 0) return err(EINVAL);
  }
  if (file.find_item(*this, fd) != nullptr) return err(EEXIST);
  if (auto ok = check_nesting(file); !ok) return ok;
  Guard guard(scan_);
  void* memory = slab_.alloc_raw();
  if (memory == nullptr) return err(ENOMEM);
  auto* item = new (memory) EpollItem;
  trim_below_ = std::max(trim_below_, slab_.in_use() / 2);
  item->events = wanted(event);
  item->fd = fd;
  item->file = &file;
  item->data = event.data.u64;
  ++items_;
  file.add_watch(item);
  mark_if_ready(*item);
  return {};
}

Result<void> Epoll::modify(File& file, int fd, const epoll_event& event) {
  EpollItem* item = file.find_item(*this, fd);
  if (item == nullptr) return err(ENOENT);
  if ((event.events & EPOLLEXCLUSIVE) != 0 || (item->events & EPOLLEXCLUSIVE) != 0) return err(EINVAL);
  Guard guard(scan_);
  {
    const File::Watches watches(file);
    item->events = wanted(event);
  }
  item->data = event.data.u64;
  mark_if_ready(*item);
  return {};
}

Result<void> Epoll::remove(File& file, int fd) {
  EpollItem* item = file.find_item(*this, fd);
  if (item == nullptr) return err(ENOENT);
  remove_item(*item);
  return {};
}

void Epoll::remove_item(EpollItem& item) {
  Guard guard(scan_);
  item.file->remove_watch(&item);
  item.file = nullptr;
  --items_;
  Guard ready(ready_);
  if (item.next_ready == nullptr) return free_item(&item);
  if (++dead_count_ > kSweep && dead_count_ > ready_count_ / 2) sweep();
}

void Epoll::remove_all() {
  Guard guard(scan_);
  slab_.for_each([](void* object) {
    auto* item = static_cast<EpollItem*>(object);
    if (item->file == nullptr) return;
    item->file->remove_watch(item);
    item->file = nullptr;
  });
  items_ = 0;
}

// --- the ready list -----------------------------------------------------------------------------------------------

bool Epoll::push_ready(EpollItem& item) {
  if (item.next_ready != nullptr) return false;
  item.next_ready = end_mark();
  (head_ == nullptr ? head_ : tail_->next_ready) = &item;
  tail_ = &item;
  ++ready_count_;
  return true;
}

// Drops removed ones on the way. `left`: what stood in the list when the walk began; what was pushed since is not met,
// so that nothing is reported twice.
EpollItem* Epoll::pop_ready(size_t& left) {
  while (head_ != nullptr && left != 0) {
    --left;
    EpollItem* item = head_;
    head_ = item->next_ready == end_mark() ? nullptr : item->next_ready;
    item->next_ready = nullptr;
    --ready_count_;
    if (item->file != nullptr) return item;
    --dead_count_;
    free_item(item);
  }
  return nullptr;
}

void Epoll::sweep() {
  EpollItem* all = head_;
  head_ = tail_ = nullptr;
  ready_count_ = dead_count_ = 0;
  while (all != nullptr) {
    EpollItem* item = all;
    all = item->next_ready == end_mark() ? nullptr : item->next_ready;
    item->next_ready = nullptr;
    if (item->file != nullptr) {
      push_ready(*item);
    } else {
      free_item(item);
    }
  }
}

bool Epoll::on_item_ready(EpollItem& item) {
  {
    Guard guard(ready_);
    push_ready(item);
  }
  return self_->notify(EPOLLIN | EPOLLRDNORM);
}

void Epoll::mark_if_ready(EpollItem& item) {
  if ((poll_(context_, *item.file) & item.events & ~kPrivate) == 0) return;
  {
    Guard guard(ready_);
    if (!push_ready(item)) return;
  }
  self_->notify(EPOLLIN | EPOLLRDNORM);
}

void Epoll::disarm(EpollItem& item) {
  const File::Watches watches(*item.file);
  item.events &= kPrivate;
}

size_t Epoll::collect(std::span<epoll_event> out) {
  size_t n = 0;
  bool has_more = false;
  {
    Guard guard(scan_);
    size_t left = 0;
    {
      Guard ready(ready_);
      left = ready_count_;
    }
    while (n < out.size()) {
      EpollItem* item = nullptr;
      {
        Guard ready(ready_);
        item = pop_ready(left);
      }
      if (item == nullptr) break;
      const uint32_t events = poll_(context_, *item->file) & item->events & ~kPrivate;
      if (events == 0) continue;
      out[n].events = events;
      out[n++].data.u64 = item->data;
      if ((item->events & EPOLLONESHOT) != 0) {
        disarm(*item);
      } else if ((item->events & EPOLLET) == 0) {
        Guard ready(ready_);
        push_ready(*item);
      }
    }
    Guard ready(ready_);
    has_more = head_ != nullptr;
  }
  if (n != 0 && has_more) self_->wake_one_waiter();
  return n;
}

bool Epoll::has_ready() {
  Guard guard(scan_);
  size_t left = 0;
  {
    Guard ready(ready_);
    left = ready_count_;
  }
  for (;;) {
    EpollItem* item = nullptr;
    {
      Guard ready(ready_);
      item = pop_ready(left);
    }
    if (item == nullptr) return false;
    if ((poll_(context_, *item->file) & item->events & ~kPrivate) == 0) continue;
    Guard ready(ready_);
    push_ready(*item);
    return true;
  }
}

// --- epolls in epolls (Linux's ep_loop_check) -----------------------------------------------------------------------

Result<void> Epoll::check_nesting(File& target) {
  if (target.kind != FileKind::kEpoll) return {};
  const int below = target.epoll().depth_below(this, 1);
  if (below > kMaxNests || below + depth_above(0) > kMaxNests) return err(ELOOP);
  return {};
}

int Epoll::depth_below(const Epoll* forbidden, int depth) {
  if (this == forbidden || depth > kMaxNests) return kMaxNests + 1;
  int deepest = depth;
  Guard guard(scan_);  // from outside in, as collect() does
  slab_.for_each([&](void* object) {
    const File* f = static_cast<EpollItem*>(object)->file;
    if (f == nullptr || f->kind != FileKind::kEpoll) return;
    deepest = std::max(deepest, f->epoll().depth_below(forbidden, depth + 1));
  });
  return deepest;
}

int Epoll::depth_above(int depth) {
  if (depth > kMaxNests) return depth;
  int highest = depth;
  const File::Watches watches(*self_);
  for (const Watch* w = watches.head; w != nullptr; w = w->next) {
    if ((w->events & kWatchIsItem) == 0) continue;
    highest = std::max(highest, static_cast<const EpollItem*>(w)->epoll().depth_above(depth + 1));
  }
  return highest;
}

}  // namespace leat::socket
