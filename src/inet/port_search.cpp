// The local port of an active open, as Linux chooses it: a secret offset for each destination (RFC 6056 §3.3.4), moved
// on by a counter that a few destinations share, and half of the range, of one parity, before the other half.
// What is tried is taken when no bind() has it and the four-tuple is new; the destination's memory of taken ports
// (destination_ports.h) keeps the number of tries small.
#include "inet/ports_impl.h"

namespace leat::inet {
namespace {
constexpr uint32_t kTriesBeforeMemory = 8;
constexpr uint64_t kEvenPorts = 0x5555555555555555u;
}  // namespace

struct Ports::Impl::Search {
  Sock& s;
  EstablishedTable& established;
  EstablishedTable::MayReplace may_replace;
  void* context;
  SockCommon** replaced;
  DestinationPorts::Key key;
  uint32_t low;
  uint32_t size;
  uint32_t offset;  // where it begins, from low
  uint32_t step;    // 2: by parity
  uint32_t tries = 0;
};

Result<void> Ports::connect(Sock& s, EstablishedTable& established, EstablishedTable::MayReplace may_replace,
                            void* context, SockCommon** replaced) {
  *replaced = nullptr;
  if (s.bind_bucket != nullptr) {
    if (established.insert_unique(&s, may_replace, context, replaced)) return {};
    return err(EADDRNOTAVAIL);
  }
  const PortRange range = impl_->range_for(s);
  const uint32_t step = range.by_option ? 1 : 2;
  const uint32_t size = range.by_option ? range.size() : range.even_size();
  if (size == 0) return err(EADDRNOTAVAIL);
  Impl::Search a{s,         established, may_replace, context, replaced, impl_->destinations.key_of(s),
                 range.low, size,        0,           step};
  std::atomic<uint32_t>& moved = impl_->perturb[a.key.hash & (kPerturb - 1)];
  a.offset = (moved.load(std::memory_order_relaxed) + static_cast<uint32_t>(a.key.hash >> 32)) % size;
  if (step == 2) a.offset &= ~1u;
  __builtin_prefetch(&impl_->slots[a.low + a.offset]);  // most often the port
  if (!impl_->search(a, true) && (!impl_->destinations.knows(a.key) || !impl_->search(a, false))) {
    s.local_port = 0;
    return err(EADDRNOTAVAIL);
  }
  const uint32_t went = (s.local_port - range.low + size - a.offset) % size & ~(step - 1);
  const uint32_t jump = impl_->rng.below(8) * step;  // few connections: hard to guess; many: no port left out
  count_up(moved, (went > jump ? went : jump) + step);
  return {};
}

// trust_memory: ports known to be taken are passed over.
bool Ports::Impl::search(Search& a, bool trust_memory) {
  const uint32_t begin = a.low + a.offset;
  const uint32_t end = a.low + a.size;
  for (uint32_t odd = 0; odd < a.step; ++odd) {
    const uint64_t parity = a.step == 1 ? ~uint64_t{0} : kEvenPorts << ((a.low + odd) & 1);
    if (search_part(a, begin, end, parity, trust_memory) || search_part(a, a.low, begin, parity, trust_memory)) {
      return true;
    }
  }
  return false;
}

bool Ports::Impl::search_part(Search& a, uint32_t from, uint32_t end, uint64_t parity, bool trust_memory) {
  const DestinationPorts::Key* memory = trust_memory ? &a.key : nullptr;
  for (;; ++from) {
    from = destinations.next_free(memory, from, end, parity, reserved, busy);
    if (from >= end) return false;
    const auto port = static_cast<uint16_t>(from);
    const bool is_ours = try_connect(a, port);
    if (is_ours) return true;
    ++a.tries;
  }
}

// The bucket is fetched while the port is: neither is in the cache.
bool Ports::Impl::try_connect(Search& a, uint16_t port) {
  a.s.local_port = port;
  const uint32_t tuple_hash = a.established.hash_of(a.s.tuple());
  a.established.prefetch_bucket(tuple_hash);
  PortSlot& p = slot(port);
  Guard g(p.lock);
  if (!p.is_connect_only()) return false;
  const bool is_new = a.established.insert_unique(&a.s, a.may_replace, a.context, a.replaced, tuple_hash);
  destinations.mark(a.key, port, !is_new && a.tries >= kTriesBeforeMemory, connected.load(std::memory_order_relaxed));
  if (!is_new) return false;
  hang(a.s, p, p.connected);
  count_up(connected, 1u);
  return true;
}

// Its port is free again towards where it was connected to. The port's lock is held.
void Ports::Impl::forget(const BoundSock& s, uint16_t port) {
  count_down(connected, 1u);
  if (!destinations.is_empty()) destinations.clear(destinations.key_of(s), port);
}

}  // namespace leat::inet
