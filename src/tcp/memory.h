// Memory of the whole namespace that TCP's queues hold, in pages, against tcp_mem (low, pressure, high), as Linux's
// sk_mem_charge and __sk_mem_raise_allocated: beyond `pressure` windows and buffers stop growing, until it is below
// `low` again; beyond `high` a socket gets its least buffers (tcp_rmem[0], tcp_wmem[0]) and no more. Charged is what
// the queues hold when an event has been processed (flush_effects), and a page is kept for the next one.
//
// A connection takes whole pages and keeps what it does not need yet in forward_alloc (sk_forward_alloc), less than a
// page once something was given back. It shows: header prediction takes only what it has room for (SO_MEMINFO tells).
#pragma once

#include "tcp/tcp.h"

namespace leat::tcp {

inline constexpr int32_t kMemoryPage = 4096;

// Pages for n more bytes (sk_rmem_schedule, sk_wmem_schedule); what comes next charges them.
inline void reserve_memory(Conn& c, uint32_t n) {
  const int32_t missing = static_cast<int32_t>(n) - c.forward_alloc;
  if (missing > 0) c.forward_alloc += (missing + kMemoryPage - 1) / kMemoryPage * kMemoryPage;
}
inline void give_back(Conn& c, uint32_t n) {
  c.forward_alloc += static_cast<int32_t>(n);
  if (c.forward_alloc >= kMemoryPage) c.forward_alloc %= kMemoryPage;
}
inline void charge_received(Conn& c, uint32_t n) {
  c.rmem_alloc += n;
  c.forward_alloc -= static_cast<int32_t>(n);
}
inline void uncharge_received(Conn& c, uint32_t n) {
  c.rmem_alloc -= n;
  give_back(c, n);
}
inline void charge_to_send(Conn& c, uint32_t n) {
  c.wmem_queued += static_cast<int32_t>(n);
  c.forward_alloc -= static_cast<int32_t>(n);
}
inline void uncharge_to_send(Conn& c, uint32_t n) {
  c.wmem_queued -= static_cast<int32_t>(n);
  give_back(c, n);
}

void account_memory(Conn& c);
void uncharge_memory(Conn& c);           // its queues are empty, or it goes
bool may_queue_received(const Conn& c);  // within `high`, or its least buffer
bool may_queue_to_send(Conn& c);         // the same; false has told the buffer to shrink

}  // namespace leat::tcp
