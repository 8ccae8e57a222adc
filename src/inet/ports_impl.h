// What ports.cpp and port_search.cpp share. Locks: a port's, then a bucket of connections or DestinationPorts'.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/slab.h"
#include "base/spinlock.h"
#include "inet/bind_bucket.h"
#include "inet/destination_ports.h"
#include "inet/port_set.h"
#include "inet/ports.h"
#include "inet/tuple_hash.h"

namespace leat::inet {

inline constexpr uint32_t kPerturb = 65536;  // Linux's INET_TABLE_PERTURB_SIZE

// In one cache line what connect() looks at, and what a connection that ends does: most ports have no more.
struct alignas(64) PortSlot {
  explicit PortSlot(uint16_t p) : port(p) {}
  bool is_empty() const { return is_connect_only() && connected.is_empty(); }
  bool is_connect_only() const {
    return others_ == nullptr || (others_->bound.is_empty() && others_->children.is_empty());
  }
  bool conflicts_with(const BoundSock& s, BindFor purpose, const WordHash& hash) {
    return connected.conflicts_with(s, purpose, hash) ||
           (others_ != nullptr &&
            (others_->bound.conflicts_with(s, purpose, hash) || others_->children.conflicts_with(s, purpose, hash)));
  }
  BindBucket& bound() { return owners().bound; }
  BindBucket& children() { return owners().children; }

  SpinLock lock;
  const uint16_t port;

 private:
  struct Others {
    explicit Others(PortSlot* p) : bound(p), children(p) {}
    BindBucket bound;
    BindBucket children;
  };
  Others& owners() {
    if (others_ == nullptr) others_ = std::make_unique<Others>(this);
    return *others_;
  }
  std::unique_ptr<Others> others_;  // made with the first of them

 public:
  BindBucket connected{this};
};
static_assert(sizeof(PortSlot) == 64);

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
  Slab<PortSlot> slot_slab{"tcp_bind_bucket"};
  std::atomic<PortSlot*>* slots;  // by port
  std::atomic<uint32_t>* perturb;
  std::atomic<size_t> ports_used{0};
  std::atomic<size_t> connected{0};
};

}  // namespace leat::inet
