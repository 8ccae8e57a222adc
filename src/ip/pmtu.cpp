#include "ip/pmtu.h"

#include <algorithm>
#include <new>

namespace leat::ip {
namespace {

uint64_t tag(const IpAddress& a) {
  return static_cast<uint64_t>(a.family()) << 56;
}
constexpr uint64_t kLocked = uint64_t{1} << 48;
constexpr uint64_t kFamilyMask = uint64_t{0xff} << 56;

}  // namespace

PmtuCache::~PmtuCache() {
  delete table_.load(std::memory_order_relaxed);
}

size_t PmtuCache::bucket_of(const IpAddress& a) const {
  return static_cast<size_t>(siphash(key_, ByteView(a.bytes(), 16)) % kBuckets);
}

// A word of a write under way brings the odd number along, which is then seen below: acquire here, release there.
PmtuCache::Entry PmtuCache::find_in(const Table& table, const IpAddress& dst, Time now) const {
  const Bucket& b = table[bucket_of(dst)];
  const uint64_t high = load_be64(dst.bytes()), low = load_be64(dst.bytes() + 8);
  for (;;) {
    const uint32_t before = b.sequence.load(std::memory_order_acquire);
    Entry found;
    for (const Slot& s : b.slots) {
      const uint64_t value = s.value.load(std::memory_order_acquire);
      if (s.high.load(std::memory_order_acquire) != high || s.low.load(std::memory_order_acquire) != low) continue;
      if ((value & kFamilyMask) != tag(dst)) continue;
      found.expires = Time::from_ns(s.expires.load(std::memory_order_acquire));
      found.is_locked = (value & kLocked) != 0;
      found.mtu = found.expires > now ? static_cast<uint32_t>(value) : 0;
      break;
    }
    if ((before & 1) == 0 && b.sequence.load(std::memory_order_relaxed) == before) return found;
  }
}

void PmtuCache::write(Bucket& b, Slot& s, const IpAddress& dst, const Entry& e) {
  const uint32_t sequence = b.sequence.load(std::memory_order_relaxed);
  b.sequence.store(sequence + 1, std::memory_order_relaxed);
  s.high.store(load_be64(dst.bytes()), std::memory_order_release);
  s.low.store(load_be64(dst.bytes() + 8), std::memory_order_release);
  s.value.store(tag(dst) | (e.is_locked ? kLocked : 0) | e.mtu, std::memory_order_release);
  s.expires.store(e.expires.ns(), std::memory_order_release);
  b.sequence.store(sequence + 2, std::memory_order_release);
}

void PmtuCache::learn(const IpAddress& dst, const Entry& e) {
  Guard guard(lock_);
  Table* table = table_.load(std::memory_order_relaxed);
  if (table == nullptr) {
    table = new (std::nothrow) Table;
    if (table == nullptr) return;
    table_.store(table, std::memory_order_release);
  }
  Bucket& b = (*table)[bucket_of(dst)];
  const uint64_t high = load_be64(dst.bytes()), low = load_be64(dst.bytes() + 8);
  Slot* victim = &b.slots[0];
  for (Slot& s : b.slots) {
    if (s.high == high && s.low == low && (s.value & kFamilyMask) == tag(dst)) {
      victim = &s;
      break;
    }
    if (s.expires < victim->expires) victim = &s;
  }
  write(b, *victim, dst, e);
  if (e.expires < next_expiry()) next_expiry_.store(e.expires.ns(), std::memory_order_relaxed);
}

bool PmtuCache::expire(Time now) {
  if (next_expiry() > now) return false;
  Guard guard(lock_);
  Table* table = table_.load(std::memory_order_relaxed);
  bool any = false;
  int64_t next = Time::never().ns();
  for (Bucket& b : *table) {
    for (Slot& s : b.slots) {
      const int64_t expires = s.expires.load(std::memory_order_relaxed);
      if (expires == 0) continue;
      if (expires <= now.ns()) {
        write(b, s, IpAddress(), Entry{});
        any = true;
      } else {
        next = std::min(next, expires);
      }
    }
  }
  next_expiry_.store(next, std::memory_order_relaxed);
  return any;
}

size_t PmtuCache::size(Time now) const {
  const Table* table = table_.load(std::memory_order_acquire);
  size_t n = 0;
  if (table == nullptr) return 0;
  for (const Bucket& b : *table) {
    for (const Slot& s : b.slots)
      n += s.expires.load(std::memory_order_relaxed) > now.ns() ? 1 : 0;
  }
  return n;
}

}  // namespace leat::ip
