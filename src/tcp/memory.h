// Memory of the whole namespace that TCP's queues hold, in pages, against tcp_mem (low, pressure, high), as Linux's
// sk_mem_charge and __sk_mem_raise_allocated: beyond `pressure` windows and buffers stop growing, until it is below
// `low` again; beyond `high` a socket gets its least buffers (tcp_rmem[0], tcp_wmem[0]) and no more. Charged is what
// the queues hold when an event has been processed (flush_effects), rounded up, and a page is kept for the next one.
#pragma once

#include "tcp/tcp.h"

namespace leat::tcp {

void account_memory(Conn& c);
void uncharge_memory(Conn& c);           // its queues are empty, or it goes
bool may_queue_received(const Conn& c);  // within `high`, or its least buffer
bool may_queue_to_send(Conn& c);         // the same; false has told the buffer to shrink

}  // namespace leat::tcp
