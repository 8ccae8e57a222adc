// Which local ports are taken towards one destination, for destinations with so many connections that trying ports one
// by one would cost more than the connection: a bit a port, 64 looked at together, so that connect() costs the same
// at 99 % as at 1 %.
//
// A memory, not the truth, which is the table of connections: a set bit says that the port was found taken, or was
// taken, and that its owner has not left since. Who finds no clear bit tries the set ones (a time-wait may give way).
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/spinlock.h"
#include "inet/port_set.h"
#include "inet/sock.h"
#include "inet/tuple_hash.h"

namespace leat::inet {

class DestinationPorts {
 public:
  struct Key {
    uint64_t hash;
    IpAddress local;
    IpAddress remote;
    uint16_t remote_port;
    bool operator==(const Key&) const = default;
  };

  explicit DestinationPorts(const WordHash& hash) : hash_(hash) {}
  Key key_of(const SockCommon& s) const;
  bool is_empty() const { return maps_count_.load(std::memory_order_relaxed) == 0; }
  bool knows(const Key& k) const;

  // The first port of [from, end) whose bit in `parity` (of 64, by port & 63) is set, that is in neither set, and is
  // not known to be taken; `end` when there is none. k nullptr: whatever is known.
  uint32_t next_free(const Key* k, uint32_t from, uint32_t end, uint64_t parity, const PortSet& a,
                     const PortSet& b) const;
  // `create`: begin to remember this destination, if the connections there are justify the memory.
  void mark(const Key& k, uint16_t port, bool create, size_t connections);
  void clear(const Key& k, uint16_t port);  // the last bit takes the destination's memory with it
  size_t bytes() const;

 private:
  struct Map {
    Key key;
    std::unique_ptr<Map> next;
    uint32_t count = 0;
    uint64_t words[1024] = {};
  };
  static constexpr size_t kConnectionsPerMap = 1024;  // 8 bytes for each, then
  std::unique_ptr<Map>* find(const Key& k) const;     // the lock is held
  void grow();

  const WordHash& hash_;
  mutable SpinLock lock_;
  mutable std::vector<std::unique_ptr<Map>> chains_;
  std::atomic<size_t> maps_count_{0};
};

}  // namespace leat::inet
