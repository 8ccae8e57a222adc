// Blocks of options come from the allocator: there are few, because sockets share them.
#include "inet/sock_options.h"

#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>

namespace leat::inet {
namespace {

// Everything behind the reference count, which is the first field.
SockOptions* copy_of(const SockOptions& from) {
  SockOptions* o = make_options();
  if (o == nullptr) return nullptr;
  constexpr size_t kSkip = sizeof(o->refs);
  std::memcpy(reinterpret_cast<uint8_t*>(o) + kSkip, reinterpret_cast<const uint8_t*>(&from) + kSkip,
              sizeof(SockOptions) - kSkip);
  return o;
}

bool are_equal(const SockOptions& a, const SockOptions& b) {
  constexpr size_t kSkip = sizeof(a.refs);
  return std::memcmp(reinterpret_cast<const uint8_t*>(&a) + kSkip, reinterpret_cast<const uint8_t*>(&b) + kSkip,
                     sizeof(SockOptions) - kSkip) == 0;
}

}  // namespace

SockOptions* make_options() {
  return new (std::nothrow) SockOptions;
}

void put_options(SockOptions* o) {
  if (o != nullptr && count_down(o->refs, 1u, std::memory_order_acq_rel) == 1) delete o;
}

SockOptions* own_options(Sock& s) {
  if (s.options != nullptr && s.options->refs.load(std::memory_order_acquire) == 1) return s.options;
  SockOptions* fresh = s.options == nullptr ? make_options() : copy_of(*s.options);
  if (fresh == nullptr) return nullptr;
  put_options(s.options);
  s.options = fresh;
  return fresh;
}

OptionsCache::~OptionsCache() {
  for (SockOptions* o : recent_)
    put_options(o);
}

void OptionsCache::unify(Sock& s) {
  if (s.options == nullptr || s.options->refs.load(std::memory_order_acquire) != 1) return;
  Guard guard(lock_);
  for (SockOptions* known : recent_) {
    if (known == nullptr || !are_equal(*known, *s.options)) continue;
    put_options(s.options);
    s.options = nullptr;
    share_options(s, known);
    return;
  }
  put_options(recent_[next_]);
  recent_[next_] = s.options;
  s.options->refs.fetch_add(1, std::memory_order_relaxed);
  next_ = (next_ + 1) % kBlocks;
}

}  // namespace leat::inet
