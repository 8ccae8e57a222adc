// What ports.cpp and port_search.cpp share. Locks: a port's, then a bucket of connections or DestinationPorts'.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/spinlock.h"
#include "inet/bind_bucket.h"
#include "inet/destination_ports.h"
#include "inet/port_set.h"
#include "inet/ports.h"
#include "inet/tuple_hash.h"

namespace leat::inet {

inline constexpr uint32_t kPerturb = 65536;  // Linux's INET_TABLE_PERTURB_SIZE

struct PortSlot {
  explicit PortSlot(uint16_t p) : port(p) {}
  bool is_empty() const { return is_connect_only() && connected.is_empty(); }
  bool is_connect_only() const { return bound.is_empty() && children.is_empty(); }
  bool conflicts_with(const BoundSock& s, BindFor purpose, const WordHash& hash) {
    return bound.conflicts_with(s, purpose, hash) || connected.conflicts_with(s, purpose, hash) ||
           children.conflicts_with(s, purpose, hash);
  }

  SpinLock lock;
  const uint16_t port;
  BindBucket bound{this};
  BindBucket children{this};
  BindBucket connected{this};
};

struct PortRange {
  uint32_t low;
  uint32_t end;    // one past the last
  bool by_option;  // IP_LOCAL_PORT_RANGE: no parity
  uint32_t size() const { return end - low; }
  uint32_t even_size() const { return size() > 1 ? size() & ~1u : size(); }  // as many odd ports as even ones
};

struct Ports::Impl {
  Impl(Netns& n, Rng& r);
  ~Impl();
  PortSlot& slot(uint16_t port);
  PortRange range_for(const Sock& s) const;
  void hang(BoundSock& s, PortSlot& p, BindBucket& b);
  void update_busy(PortSlot& p);

  bool try_bind(Sock& s, uint16_t port, BindFor purpose);
  bool pick_for_bind(Sock& s);
  bool pick_in(Sock& s, PortRange range, BindFor purpose);

  // port_search.cpp
  struct Search;
  bool search(Search& a, bool trust_memory);
  bool search_part(Search& a, uint32_t from, uint32_t end, uint64_t parity, bool trust_memory);
  bool try_connect(Search& a, uint16_t port);
  void forget(const BoundSock& s, uint16_t port);

  Netns& ns;
  Rng& rng;
  const WordHash hash;
  PortSet reserved;  // ip_local_reserved_ports
  PortSet busy;      // not connect-only
  DestinationPorts destinations;
  std::atomic<PortSlot*>* slots;  // by port
  std::atomic<uint32_t>* perturb;
  std::atomic<size_t> ports_used{0};
  std::atomic<size_t> slots_made{0};
  std::atomic<size_t> connected{0};
};

}  // namespace leat::inet
