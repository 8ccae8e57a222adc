// The network layer of one namespace: interfaces, addresses, routes, neighbours, IPv4 and IPv6 in and out.
//
//   Link → Netif::on_frame → (Ethernet: ARP) → ipv4_input/ipv6_input → reassembly → Transport::on_packet
//   Transport → Ip::output → route, header, fragments or GSO → neighbour → Netif::transmit → Link
//
// Thread rule: everything may be called from any thread; receive() from one thread at a time per interface. Route and
// address changes are rare and copy; look-ups take no lock and write nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/errno.h"
#include "link/link.h"
#include "netns/netns.h"
#include "pkt/packet.h"
#include "wire/ethernet.h"
#include "wire/ip_address.h"

namespace leat::ip {

// What a transport learns of a packet besides its bytes. packet.data stands at the transport header.
struct PacketInfo {
  IpAddress src;
  IpAddress dst;
  uint8_t protocol = 0;
  uint8_t ttl = 0;  // or hop limit
  uint8_t tos = 0;  // or traffic class; the low two bits are ECN
  uint16_t ifindex = 0;
  bool is_broadcast_or_multicast = false;  // destination, at the network or the link layer
  uint32_t flow_label = 0;
};

// An ICMP error about a packet that this host sent. `quoted` starts at the quoted transport header; at least 8 bytes.
struct IcmpError {
  PacketInfo about;  // src/dst as in the quoted packet: src is ours
  IpAddress reporter;
  uint8_t type = 0;
  uint8_t code = 0;
  uint32_t mtu = 0;  // fragmentation needed, packet too big
  ByteView quoted;
  int error = 0;          // the errno that Linux maps it to (ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, …)
  bool is_fatal = false;  // Linux's icmp_err_convert[].fatal
};

// The one interface by which ip calls upward.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void on_packet(PacketPtr&& packet, const PacketInfo& info) = 0;
  // These frames are about to come, one by one, if nothing is wrong with them; nobody has looked at them yet. What
  // finding their owners will touch may be fetched meanwhile.
  virtual void expect(std::span<Packet* const> frames, uint32_t link_header_bytes) {
    (void)frames, (void)link_header_bytes;
  }
  virtual void on_icmp_error(const IcmpError& e) = 0;
  // Does the error quote something that this transport can have sent? Asked before a path MTU is believed, so that
  // who cannot see the connection cannot lower it. on_icmp_error follows either way. May be overridden; must not call
  // back into Ip.
  virtual bool recognizes(const IcmpError&) { return true; }
  // A device sent or dropped what this host queued for it: nothing is called back; see SockCommon for memory.
};

struct RouteSpec {
  Cidr destination;
  IpAddress gateway;  // family kNone: on link
  uint16_t ifindex = 0;
  uint32_t metric = 0;
  IpAddress preferred_source;
  uint32_t mtu = 0;  // 0: the interface's
  bool mtu_locked = false;
  uint32_t advmss = 0;
  uint32_t initcwnd = 0;
  uint32_t initrwnd = 0;
  uint32_t window = 0;  // RTAX_WINDOW: clamp
  uint32_t rto_min_ms = 0;
  bool quickack = false;
  uint8_t congestion = 0;  // reserved
};

// Where a packet to a destination goes; a value, valid while `generation` equals Ip::route_generation().
struct Route {
  uint16_t ifindex = 0;
  bool is_local = false;  // destination is this host: goes over the loopback interface
  bool is_broadcast = false;
  bool is_multicast = false;
  IpAddress source;  // selected source address (RFC 6724 for IPv6)
  IpAddress next_hop;
  uint32_t mtu = 0;  // path MTU: the route's or what ICMP has taught
  bool mtu_locked = false;
  uint32_t advmss = 0;  // as given; 0: derive from the MTU
  uint32_t initcwnd = 0;
  uint32_t initrwnd = 0;
  uint32_t window = 0;
  uint32_t rto_min_ms = 0;
  bool quickack = false;
  uint32_t generation = 0;
};

struct SendParams {
  IpAddress src;
  IpAddress dst;
  uint8_t protocol = 0;
  uint8_t tos = 0;
  uint8_t ttl = 0;             // 0: the namespace's default (hop_limit for IPv6)
  bool dont_fragment = false;  // IPv4 DF; IPv6: do not fragment locally either
  bool ignore_pmtu = false;    // IP_PMTUDISC_PROBE/INTERFACE: use the interface's MTU
  bool has_id = false;         // IPv4: `id` is the sender's own, else it is counted for each pair of hosts
  uint16_t id = 0;
  uint32_t flow_label = 0;
  bool multicast_loop = true;  // IP_MULTICAST_LOOP: listeners of this host get a copy
};

struct Address {
  Cidr cidr;
  uint16_t ifindex = 0;
};

class Netif;
struct NeighbourInfo;  // ip/neighbour.h

class Ip {
 public:
  Ip(Netns& ns, PacketPool& pool);
  ~Ip();

  // --- configuration -------------------------------------------------------------------------------------------
  uint16_t add_interface(std::string name,
                         std::unique_ptr<Link> link);            // ifindex, from 1; 1 is lo by convention; 0: full
  Result<void> add_address(uint16_t ifindex, const Cidr& cidr);  // and its on-link route; EEXIST, ENODEV
  Result<void> remove_address(uint16_t ifindex, const Cidr& cidr);
  Result<void> add_route(const RouteSpec& r);  // same destination and metric: replaced
  Result<void> remove_route(const Cidr& destination);
  std::vector<Address> addresses() const;
  std::vector<RouteSpec> routes() const;
  Netif* interface(uint16_t ifindex) const;  // nullptr: none
  Netif* interface(const std::string& name) const;
  size_t interface_count() const;
  // Who registers for ICMP (1, 58) gets echo replies and errors about its own messages: a ping.
  void register_transport(uint8_t protocol, Transport* t);  // 6, 17; outlives the Ip or is unregistered with nullptr
  // Counted: each join wants its leave. EINVAL, ENODEV, ENOBUFS; EADDRNOTAVAIL.
  Result<void> join_group(uint16_t ifindex, const IpAddress& group);
  Result<void> leave_group(uint16_t ifindex, const IpAddress& group);
  Result<void> set_neighbour(uint16_t ifindex, const IpAddress& address, const wire::MacAddress& mac);  // permanent
  Result<void> remove_neighbour(uint16_t ifindex, const IpAddress& address);                            // ENOENT
  std::vector<NeighbourInfo> neighbours() const;
  struct ReassemblyUse {
    size_t queues = 0;  // datagrams of which some pieces have come
    uint64_t memory = 0;
  };
  ReassemblyUse reassembly(Family family) const;

  // --- the turn -------------------------------------------------------------------------------------------------
  size_t receive(uint16_t ifindex, size_t budget);  // packets taken from the link, at most budget
  void on_timer();                                  // neighbours, reassembly, PMTU expiry; cheap when nothing is due
  void flush();                                     // hands queued frames to the links
  Time next_deadline() const;                       // of links and of the timers here

  // --- for transports -------------------------------------------------------------------------------------------
  bool is_local_address(const IpAddress& a) const;  // configured on any interface (127/8 and ::1 included)
  uint32_t route_generation() const;                // changes with addresses, routes and learnt MTUs
  // ENETUNREACH, EHOSTUNREACH, EINVAL (source not ours). src may be any(); oif 0: any interface.
  Result<Route> route(const IpAddress& dst, const IpAddress& src, uint16_t oif = 0, uint32_t mark = 0) const;
  // Takes a packet that starts at its transport header (checksum kPartial or complete), writes the network header into
  // the headroom, fragments if it must and may, splits a super-segment if the link cannot, resolves the neighbour.
  // EMSGSIZE when too big and not to be fragmented; other errors as on Linux. Drops are counted by reason.
  Result<void> output(PacketPtr&& packet, const Route& route, const SendParams& params);
  // Sends an ICMP error about a received packet (port unreachable, …), rate-limited as Linux does. `packet` begins at
  // its network header or has network_offset set. Types and codes are those of ICMPv4; for IPv6 they are translated.
  void send_port_unreachable(const Packet& packet, const PacketInfo& info);
  // Path MTU as learnt or clamped, for a destination; lower of route and cache.
  uint32_t path_mtu(const IpAddress& dst, const Route& route) const;
  // The next hop has answered: what was sent was acknowledged (RFC 4861 §7.3.1, Linux's dst_confirm).
  void confirm_neighbour(const Route& route);

  Netns& ns() { return ns_; }
  PacketPool& pool() { return pool_; }

 private:
  Netns& ns_;
  PacketPool& pool_;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leat::ip
