// Sharing of SockOptions: a block belongs to all sockets that have these values; the first who changes one copies it.
// Callers hold the socket's lock. Sock::options is never nullptr between init_options() and release_options().
#pragma once

#include "base/errno.h"
#include "inet/sock.h"

namespace leat::inet {

// A block with the defaults, one reference; nullptr: no memory.
SockOptions* make_options();
void put_options(SockOptions* o);  // drops a reference; nullptr is fine

inline void share_options(Sock& s, SockOptions* o) {  // s has none yet
  count_up(o->refs, 1u);
  s.options = o;
}
// The block for changing: a copy if anybody else has it. nullptr: no memory, nothing changed.
SockOptions* own_options(Sock& s);
inline void release_options(Sock& s) {
  put_options(s.options);
  s.options = nullptr;
}

// The blocks that were changed last: a million sockets with the same unusual option end up with one block.
class OptionsCache {
 public:
  OptionsCache() = default;
  ~OptionsCache();
  OptionsCache(const OptionsCache&) = delete;
  OptionsCache& operator=(const OptionsCache&) = delete;
  // After a change: s shares a block of the same values if there is one here, or its own is kept here for others.
  void unify(Sock& s);

 private:
  static constexpr size_t kBlocks = 8;
  SpinLock lock_;
  SockOptions* recent_[kBlocks] = {};
  size_t next_ = 0;
};

}  // namespace leat::inet
