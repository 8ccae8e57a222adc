// Path MTUs that ICMP has taught, by destination (RFC 1191, RFC 8201; Linux's next-hop exceptions).
//
// A fixed table of buckets with a few places each; a full bucket gives up the entry that expires first. The bucket is
// chosen by a keyed hash, so that nobody can aim at somebody else's. Readers take no lock: each bucket has a sequence
// number, odd while it is being written (a seqlock), and every word is an atomic. Memory is taken with the first entry.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/siphash.h"
#include "base/spinlock.h"
#include "base/time.h"
#include "wire/ip_address.h"

namespace leat::ip {

class PmtuCache {
 public:
  struct Entry {
    uint32_t mtu = 0;  // 0: nothing is known
    bool is_locked = false;
    Time expires;
  };
  static constexpr size_t kBuckets = 512;
  static constexpr size_t kWays = 5;  // Linux's FNHE_RECLAIM_DEPTH

  explicit PmtuCache(const SipKey& key) : key_(key) {}
  ~PmtuCache();

  Entry find(const IpAddress& dst, Time now) const {
    const Table* table = table_.load(std::memory_order_acquire);
    return table == nullptr ? Entry() : find_in(*table, dst, now);
  }
  void learn(const IpAddress& dst, const Entry& e);
  // The soonest expiry, or earlier: an overwritten entry's is forgotten when it passes.
  Time next_expiry() const { return Time::from_ns(next_expiry_.load(std::memory_order_relaxed)); }
  bool expire(Time now);  // true: something has expired, routes must be looked up again
  size_t size(Time now) const;

 private:
  struct Slot {
    std::atomic<uint64_t> high{0}, low{0};  // the address
    std::atomic<uint64_t> value{0};         // family << 56 | locked << 48 | mtu
    std::atomic<int64_t> expires{0};        // ns; 0: empty
  };
  struct Bucket {
    std::atomic<uint32_t> sequence{0};
    std::array<Slot, kWays> slots;
  };
  using Table = std::array<Bucket, kBuckets>;

  Entry find_in(const Table& table, const IpAddress& dst, Time now) const;
  size_t bucket_of(const IpAddress& a) const;
  static void write(Bucket& b, Slot& s, const IpAddress& dst, const Entry& e);

  const SipKey key_;
  std::atomic<Table*> table_{nullptr};
  std::atomic<int64_t> next_expiry_{Time::never().ns()};
  SpinLock lock_;  // writers
};

}  // namespace leat::ip
