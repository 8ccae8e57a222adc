// Two links that are each other's far end, in one memory. Frames cross without a copy: the packet itself changes hands
// and goes back to the pool that it came from, whoever frees it. For tests, simulations and two Stacks in one program.
//
// Two Stacks may run on two threads. An end that is destroyed frees what is under way in both directions, and what
// its peer sends from then on is dropped; packets that the peer has already received keep their pool alive
// (PacketPool::Owner).
#pragma once

#include <memory>
#include <utility>

#include "link/link.h"

namespace leat {

// Called by the sender, on its thread and without locks, when a frame arrives in an empty queue. It must only wake
// somebody, never call into a Stack.
struct LinkReady {
  void (*call)(void* context) = nullptr;
  void* context = nullptr;
};

struct MemoryPairOptions {
  uint32_t mtu = 1500;
  LinkKind kind = LinkKind::kIp;
  bool verifies_checksums = true;  // false: checksums are completed on the way, and the receiver checks them
  bool takes_partial_checksums = true;
  uint32_t max_gso_bytes = 65536;                                 // 0: no super-segments
  Duration delay;                                                 // above zero both ends need the same clock
  size_t queue_packets = 4096;                                    // a direction; more are dropped
  uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};  // kEthernet only
  LinkReady ready[2];  // of the first and the second end, for what they are to receive
};

using LinkPair = std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>>;
LinkPair make_memory_pair(const MemoryPairOptions& options = {});

}  // namespace leat
