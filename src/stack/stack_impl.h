// The wiring of one namespace, for the rooms that look inside (diag, sim).
#pragma once

#include <array>
#include <atomic>

#include "base/spinlock.h"
#include "ip/ip.h"
#include "leat/stack.h"
#include "netns/netns.h"
#include "pkt/packet.h"
#include "socket/sockets.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

namespace leat {

struct Stack::Impl {
  explicit Impl(const StackConfig& config);

  bool turn(Time now);
  bool pass(Time now, size_t budget, bool is_last);
  void give_memory_back();
  Time next_deadline() const;

  // In the order in which each needs the one before.
  Netns ns;
  PacketPool::Owner pool_owner{new PacketPool};
  PacketPool& pool{*pool_owner};
  ip::Ip ip;
  tcp::Tcp tcp;
  udp::Udp udp;
  socket::Sockets sockets;

  static constexpr size_t kReceivers = 64;
  std::array<SpinLock, kReceivers> receiving;  // of interface i % kReceivers: one thread at a time
  SpinLock timing;                             // the wheel and ip's timers
  int64_t looked_at = 0;                       // the second of the last look at free memory; with `timing`
  std::atomic<Time> looks_again{Time::never()};
  std::atomic<uint32_t> link_generation{0};  // changes with add_link
};

}  // namespace leat
