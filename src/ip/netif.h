// One interface: a Link, its name and number, a transmit queue, and what /proc/net/dev counts.
//
// Whoever transmits puts the frame on the queue; flush() hands it to the link in batches, one thread at a time and in
// the order of queueing. The queue is bounded: the thread that fills it flushes it itself, and the link decides what to
// drop. Addresses of interfaces are in the route table.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/spinlock.h"
#include "link/link.h"
#include "pkt/packet.h"
#include "wire/ethernet.h"

namespace leat::ip {

struct NetifCounters {
  std::atomic<uint64_t> rx_packets{0}, rx_bytes{0}, rx_dropped{0}, multicast{0};
  std::atomic<uint64_t> tx_packets{0}, tx_bytes{0}, tx_dropped{0};
  static void add(std::atomic<uint64_t>& c, uint64_t n) { count_up(c, n); }
};

class Netif {
 public:
  static constexpr size_t kBatch = 64;
  static constexpr size_t kQueueLimit = 1000;  // Linux's txqueuelen

  Netif(uint16_t ifindex, std::string name, std::unique_ptr<Link> link);

  uint16_t ifindex() const { return ifindex_; }
  const std::string& name() const { return name_; }
  uint32_t mtu() const { return features_.mtu; }
  wire::MacAddress mac() const { return wire::MacAddress::from_bytes(features_.mac); }
  bool is_loopback() const { return features_.is_loopback; }
  bool is_ethernet() const { return features_.kind == LinkKind::kEthernet; }
  const LinkFeatures& features() const { return features_; }
  Link& link() { return *link_; }
  const Link& link() const { return *link_; }
  const NetifCounters& counters() const { return counters_; }
  NetifCounters& counters() { return counters_; }

  bool is_gro_on() const { return gro_.load(std::memory_order_relaxed); }
  void set_gro(bool on) { gro_.store(on, std::memory_order_relaxed); }

  size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time now);
  void transmit(PacketPtr&& frame, Time now);  // complete: link header, checksums, size
  void flush(Time now);
  // `tc qdisc … pfifo limit 0`: nothing gets out, and whoever sends is told (ENOBUFS).
  void set_blocked(bool on) { blocked_.store(on, std::memory_order_relaxed); }
  bool is_blocked() const { return blocked_.load(std::memory_order_relaxed); }
  bool has_queued() const { return queued_.load(std::memory_order_acquire) != 0; }

 private:
  size_t take_batch(std::span<Packet*> out);

  const uint16_t ifindex_;
  const std::string name_;
  const std::unique_ptr<Link> link_;
  const LinkFeatures features_;  // as they were when the interface was added
  std::atomic<bool> gro_{false};
  std::atomic<bool> blocked_{false};
  NetifCounters counters_;
  SpinLock lock_;  // of queue_
  SpinLock flushing_;
  PacketQueue queue_;
  std::atomic<size_t> queued_{0};
};

}  // namespace leat::ip
