// All sockets of a Stack as rows. Any thread; each socket is locked for the moment of its copy, so rows are consistent
// in themselves, not with each other.
#pragma once

#include <functional>
#include <vector>

#include "diag/socket_row.h"
#include "leat/stack.h"

namespace leat::diag {

// Listeners first, then connections, requests and time-waits, then UDP; each sorted by its addresses.
std::vector<SocketRow> snapshot(Stack& stack);

// The same a piece at a time, for tables of millions: in the order of the tables, as the kernel gives them.
class RowWalk {
 public:
  explicit RowWalk(std::vector<Stack*> stacks) : stacks_(std::move(stacks)) {}
  bool is_done() const { return at_ == stacks_.size(); }
  std::vector<SocketRow> next();  // some, or none

 private:
  std::vector<Stack*> stacks_;
  size_t at_ = 0;
  uint32_t cursor_ = 0;
};

// How many there are, more or less.
size_t count_sockets(Stack& stack);

// ss -K: resets every connection and closes every listener for which `wanted` holds, as SOCK_DESTROY does, and gives
// their rows. Requests and time-waits stay, UDP too.
std::vector<SocketRow> destroy_sockets(Stack& stack, const std::function<bool(const SocketRow&)>& wanted);

// /proc/net/sockstat and the head of ss -s.
struct SocketTotals {
  uint64_t used = 0;                        // descriptors
  uint64_t tcp_inuse4 = 0, tcp_inuse6 = 0;  // hashed, without time-waits
  uint64_t orphans = 0, time_waits = 0, allocated = 0, established = 0;
  uint64_t udp_inuse4 = 0, udp_inuse6 = 0;
  uint64_t tcp_pages = 0, udp_pages = 0;
  uint64_t frag4 = 0, frag6 = 0;  // datagrams that are being put together
  uint64_t frag4_memory = 0, frag6_memory = 0;
  SocketTotals& operator+=(const SocketTotals& o);
};
SocketTotals totals(Stack& stack);

// Objects that are in use, of every slab that belongs to sockets and packets: after the last connection all are 0 but
// those of listeners.
struct SlabRow {
  std::string name;
  uint64_t in_use = 0;
  uint64_t object_bytes = 0;  // 0: of several sizes
  uint64_t bytes = 0;         // taken from the system
};
std::vector<SlabRow> slabs(Stack& stack);

}  // namespace leat::diag
