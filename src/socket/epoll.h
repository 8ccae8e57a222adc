// An epoll instance: items that watch files, and the list of those that may be ready.
//
//   File::notify → on_item_ready → ready list → collect() asks each file what is true now → the user
//
// LT items go back to the end of the list after they were reported, ET ones do not; ONESHOT ones lose their events.
// Removed items that stand in the ready list leave it when they are met there, or in a sweep when they are many.
// Items live in a slab of the instance: memory goes back when many have left, and whose an item is need not stand in
// each.
#pragma once

#include <span>

#include "base/errno.h"
#include "base/slab.h"
#include "base/spinlock.h"
#include "socket/file.h"

namespace leat::socket {

class Epoll {
 public:
  // What is true of a file now, as poll(2) tells it.
  using PollFile = uint32_t (*)(void* context, File& file);

  Epoll(PollFile poll, void* context) : poll_(poll), context_(context), slab_(*this) {}
  ~Epoll() = default;
  Epoll(const Epoll&) = delete;
  Epoll& operator=(const Epoll&) = delete;
  void set_file(File* f) { self_ = f; }

  // --- with Sockets::links held -------------------------------------------------------------------------------------
  Result<void> add(File& file, int fd, const epoll_event& event);     // EEXIST, ENOMEM, EINVAL, ELOOP
  Result<void> modify(File& file, int fd, const epoll_event& event);  // ENOENT, EINVAL
  Result<void> remove(File& file, int fd);                            // ENOENT
  void remove_item(EpollItem& item);                                  // its file closes
  void remove_all();                                                  // the instance closes

  // Up to out.size() of what is ready.
  size_t collect(std::span<epoll_event> out);
  bool has_ready();  // is anything ready? For an epoll that watches this one
  // From File::notify, with the file's Watches locked. true: that woke somebody.
  bool on_item_ready(EpollItem& item);

  size_t items() const { return items_; }
  size_t bytes() const { return slab_.bytes(); }
  static Epoll& of(const EpollItem& item) { return static_cast<ItemSlab&>(SlabBase::owner_of(&item)).epoll; }

 private:
  static constexpr int kMaxNests = 4;
  static constexpr size_t kSweep = 64;

  struct ItemSlab : SlabBase {
    explicit ItemSlab(Epoll& e) : SlabBase("eventpoll_epi", sizeof(EpollItem), alignof(EpollItem)), epoll(e) {
      forget_leaks();  // those that wait in the ready list
    }
    Epoll& epoll;
  };
  void free_item(EpollItem* item);
  bool push_ready(EpollItem& item);  // with ready_ held
  EpollItem* pop_ready(size_t& left);
  void sweep();
  void mark_if_ready(EpollItem& item);
  void disarm(EpollItem& item);
  int depth_below(const Epoll* forbidden, int depth);  // > kMaxNests: too deep, or it leads to `forbidden`
  int depth_above(int depth);
  Result<void> check_nesting(File& target);

  PollFile poll_;
  void* context_;
  File* self_ = nullptr;
  SpinLock scan_;   // who walks the ready list or changes items
  SpinLock ready_;  // the list's links
  EpollItem* head_ = nullptr;
  EpollItem* tail_ = nullptr;
  size_t ready_count_ = 0;
  size_t dead_count_ = 0;  // removed ones in the list
  size_t items_ = 0;
  ItemSlab slab_;
  size_t trim_below_ = 0;  // items
};

}  // namespace leat::socket
