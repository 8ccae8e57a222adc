// Addresses and routes: longest prefix match, source selection, what is ours, what is broadcast.
//
//   writer:  copy the tables → change → build a Snapshot → publish (atomic pointer)       rare, under a lock
//   reader:  load the pointer → look up                                                    no lock, no write
//
// Old snapshots stay until kKeep newer ones exist and kGrace has passed; no reader holds one across a call. The tables
// are Linux's: what is local (an address of ours, broadcast) is asked before the routes. There is no policy routing, no
// multipath and no forwarding.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/errno.h"
#include "base/spinlock.h"
#include "base/time.h"
#include "ip/ip.h"
#include "wire/ip_address.h"

namespace leat::ip {

IpAddress masked(const IpAddress& a, int prefix);                // the first `prefix` bits, zeros behind
IpAddress subnet_broadcast(const Cidr& c);                       // IPv4: ones behind the prefix
int common_prefix_bits(const IpAddress& a, const IpAddress& b);  // 0 to 128; of different families: 0
int ipv6_scope(const IpAddress& a);                              // RFC 4291 §2.7: 1 node, 2 link, 5 site, 14 global
int ipv6_label(const IpAddress& a);                              // RFC 6724 §2.1, Linux's default table

class RouteTable {
 public:
  struct LinkInfo {
    uint16_t ifindex = 0;
    uint32_t mtu = 0;
    bool is_loopback = false;
  };
  enum class Scope : uint8_t { kNotOurs, kUnicast, kBroadcast };

  RouteTable();
  ~RouteTable();

  void add_link(const LinkInfo& link, Time now);
  Result<void> add_address(uint16_t ifindex, const Cidr& cidr, Time now);
  Result<void> remove_address(uint16_t ifindex, const Cidr& cidr, Time now);
  Result<void> add_route(const RouteSpec& r, Time now);
  Result<void> remove_route(const Cidr& destination, Time now);

  std::vector<Address> addresses() const;
  std::vector<RouteSpec> routes() const;

  // The contract of Ip::route, without what ICMP has taught about MTUs.
  Result<Route> look_up(const IpAddress& dst, const IpAddress& src, uint16_t oif) const;
  // What a received destination is to us: an address of ours, one of our broadcast addresses, or neither.
  // A link-local IPv6 address counts on its own interface only.
  Scope scope_of(const IpAddress& a, uint16_t ifindex) const;
  bool is_local(const IpAddress& a) const;
  bool is_local_on(const IpAddress& a, uint16_t ifindex) const;             // configured on that very interface
  bool has_solicited_node(const IpAddress& group, uint16_t ifindex) const;  // of an IPv6 address of the interface
  // The address that a packet of ours on this interface towards `near` carries; family kNone when there is none.
  IpAddress select_source(const IpAddress& near, uint16_t ifindex) const;
  uint16_t loopback_ifindex() const;  // 0: no loopback link

  uint32_t generation() const { return generation_.load(std::memory_order_acquire); }
  void bump_generation() { generation_.fetch_add(1, std::memory_order_acq_rel); }

 private:
  struct Snapshot;
  static constexpr size_t kKeep = 16;
  static constexpr Duration kGrace = Duration::from_s(60);

  const Snapshot* snapshot() const { return current_.load(std::memory_order_acquire); }
  void publish(std::unique_ptr<Snapshot> next, Time now);

  std::atomic<const Snapshot*> current_{nullptr};
  std::atomic<uint32_t> generation_{1};
  struct Retired {
    std::unique_ptr<const Snapshot> snapshot;
    Time at;
  };
  std::vector<Retired> retired_;
  SpinLock lock_;  // writers
};

}  // namespace leat::ip
