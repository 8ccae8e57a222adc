// What is behind class Ip: the mechanisms of this room and the steps of the two corridors, in and out.
//
//   in:   receive → on_frame → [arp_input] | ipv4_input | ipv6_input → reassemble → deliver → Transport
//                                                            └─ icmp4_input, icmp6_input → nd_input, Transport
//   out:  output → output_v4 | output_v6 → (fragment) → finish_output → neighbour → transmit → Netif
//
// Each step is a member function; they live in files of their names. Private to src/ip.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ip/fragment.h"
#include "ip/groups.h"
#include "ip/icmp_limit.h"
#include "ip/ip.h"
#include "ip/ip_id.h"
#include "ip/neighbour.h"
#include "ip/netif.h"
#include "ip/pmtu.h"
#include "ip/route.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

namespace leat::ip {

// Where a packet came from.
struct Arrival {
  Netif* netif = nullptr;  // nullptr: the internal loopback
  uint16_t ifindex = 0;
  bool is_loopback = false;       // never left this host
  bool is_group_at_link = false;  // to a group or to everybody at the link layer
  bool was_fragmented = false;
};

// The counters that IPv4 and IPv6 have in common, by family.
struct IpMibs {
  Mib out_requests, out_transmits, out_octets, out_mcast_pkts, out_mcast_octets, out_discards, frag_oks, frag_fails,
      frag_creates, reasm_reqds, reasm_oks, reasm_fails, reasm_timeout;
};
const IpMibs& ip_mibs(Family f);

struct Ip::Impl {
  static constexpr size_t kMaxInterfaces = 256;
  static constexpr size_t kBacklogLimit = 65536;

  Impl(Netns& ns, PacketPool& pool);
  ~Impl();

  // --- input.cpp
  size_t receive(Netif& netif, size_t budget);
  void drain_backlog();
  void queue_backlog(PacketPtr packet, uint16_t ifindex);
  void on_batch(Netif& netif, std::span<Packet*> batch);
  void merge_batch(Netif& netif, std::span<Packet*> batch);
  void on_frame(Netif& netif, PacketPtr&& packet);
  void on_ethernet(Netif& netif, PacketPtr&& packet);
  void on_ip(PacketPtr&& packet, Arrival a);
  bool deliver_to_transport(PacketPtr& packet, const PacketInfo& info);
  [[gnu::cold]] void discard(PacketPtr packet, DropReason why);

  // --- ipv4_input.cpp
  void ipv4_input(PacketPtr&& packet, const Arrival& a);
  bool check_ipv4_addresses(const wire::Ipv4Header& h, const Arrival& a, bool& is_group, DropReason& why) const;
  void count_group(const wire::Ipv4Header& h, Mib packets, Mib octets) const;
  void reassemble_ipv4(PacketPtr&& packet, const wire::Ipv4Header& h, Arrival a, bool is_group);
  void deliver_ipv4(PacketPtr&& packet, const wire::Ipv4Header& h, const Arrival& a, bool is_group);

  // --- ipv6_input.cpp
  void ipv6_input(PacketPtr&& packet, const Arrival& a);
  void continue_ipv6(PacketPtr&& packet, const Arrival& a);
  bool check_ipv6_addresses(const wire::Ipv6Header& h, const Arrival& a, DropReason& why) const;
  void refuse_ipv6(PacketPtr&& packet, const wire::Ipv6Fault& fault, const Arrival& a);
  void reassemble_ipv6(PacketPtr&& packet, const wire::Ipv6Chain& c, Arrival a);
  void deliver_ipv6(PacketPtr&& packet, const wire::Ipv6Chain& c, const Arrival& a);

  // --- reassembly.cpp
  bool note_reassembly(const Reassembly::Result& r, Family f);  // counts; true: complete
  void expire_reassembly(Time now);
  bool own_header(PacketPtr& packet, uint32_t header_bytes);  // its first bytes may be written

  // --- output.cpp
  Result<void> output(PacketPtr&& packet, const Route& route, const SendParams& params);
  Result<void> output_v4(PacketPtr&& packet, const Route& route, const SendParams& params, uint32_t mtu);
  Result<void> output_v6(PacketPtr&& packet, const Route& route, const SendParams& params, uint32_t mtu);
  Result<void> fragment_v4(PacketPtr&& packet, const Route& route, const wire::Ipv4Header& h, uint32_t mtu, bool loops);
  Result<void> fragment_v6(PacketPtr&& packet, const Route& route, const wire::Ipv6Header& h, uint32_t mtu, bool loops);
  Result<void> output_segments(PacketPtr&& packet, const Route& route, const SendParams& params);
  bool make_headroom(PacketPtr& packet, uint32_t bytes);
  uint32_t effective_mtu(const Netif* out, const Route& route, const SendParams& params) const;

  // --- transmit.cpp: the packet stands at its IP header
  Result<void> finish_output(PacketPtr&& packet, const Route& route, const IpAddress& src, const IpAddress& dst);
  void loop_group(const Packet& packet, const Route& route, const IpAddress& dst);
  void transmit(Netif& netif, PacketPtr&& packet, const wire::MacAddress* mac);
  void transmit_whole(Netif& netif, PacketPtr&& packet, const wire::MacAddress* mac);
  void send_ethernet(Netif& netif, PacketPtr payload, const wire::MacAddress& mac, uint16_t ethertype);

  // --- neighbours.cpp: arp.cpp and nd.cpp feed it
  NeighbourTable& neighbours(Family f) { return f == Family::kIpv4 ? neighbours4 : neighbours6; }
  void perform(NeighbourTable::Actions& actions);
  void report_unreachable(PacketPtr packet);
  void arp_input(Netif& netif, PacketPtr&& packet, bool is_unicast_at_link);
  void send_arp_request(Netif& netif, const NeighbourTable::Solicitation& s);
  void nd_input(PacketPtr&& packet, const PacketInfo& info, const wire::IcmpHeader& icmp, const Arrival& a);
  void on_neighbor_solicitation(Netif& netif, ByteView message, const PacketInfo& info);
  void on_neighbor_advertisement(Netif& netif, ByteView message, const PacketInfo& info);
  void send_neighbor_solicitation(Netif& netif, const NeighbourTable::Solicitation& s);
  void send_neighbor_advertisement(Netif& netif, const IpAddress& target, const IpAddress& to, bool is_solicited);
  void send_nd(Netif& netif, PacketPtr message, const IpAddress& src, const IpAddress& dst,
               const wire::MacAddress* mac);

  // --- icmp4.cpp, icmp6.cpp
  void icmp4_input(PacketPtr&& packet, const PacketInfo& info);
  void icmp6_input(PacketPtr&& packet, const PacketInfo& info, const Arrival& a);
  void answer_echo(PacketPtr&& packet, const PacketInfo& info, uint8_t reply_type);
  void deliver_echo_reply(PacketPtr&& packet, const PacketInfo& info);
  // Errors about `packet`, whose network_offset is set. `word`: pointer or MTU. Rate-limited; silent where an error
  // must not be sent.
  void send_icmp4_error(const Packet& packet, uint8_t type, uint8_t code, uint32_t word, bool is_group);
  void send_icmp6_error(const Packet& packet, uint8_t type, uint8_t code, uint32_t word, bool is_group);
  bool may_send_icmp(const IpAddress& to, uint8_t type);
  void on_icmp4_error(const wire::IcmpHeader& icmp, const Packet& packet, const PacketInfo& info);
  void on_icmp6_error(const wire::IcmpHeader& icmp, const Packet& packet, const PacketInfo& info);
  void dispatch_icmp_error(const wire::IcmpQuote& quote, IcmpError& e);
  Result<void> send_icmp(PacketPtr message, const IpAddress& src, const IpAddress& dst, uint8_t tos, uint16_t oif);

  // --- mtu.cpp
  uint32_t path_mtu(const IpAddress& dst, const Route& route) const;
  Result<Route> route(const IpAddress& dst, const IpAddress& src, uint16_t oif) const;
  uint32_t clamp_mtu(Family f, uint32_t mtu) const;
  void learn_mtu(const IpAddress& dst, uint32_t mtu);

  Netif* netif(uint16_t ifindex) const {
    return ifindex < kMaxInterfaces ? interfaces[ifindex].load(std::memory_order_acquire) : nullptr;
  }
  // Of 1 to interface_count.
  Netif& present(uint16_t ifindex) const { return *interfaces[ifindex].load(std::memory_order_acquire); }
  Transport* transport(uint8_t protocol) const { return transports[protocol].load(std::memory_order_acquire); }
  Time now() const { return ns.now(); }
  void count(Mib m, uint64_t n = 1) { ns.count(m, n); }
  bool accepts_group(const IpAddress& group, const Arrival& a) const;

  Netns& ns;
  PacketPool& pool;
  RouteTable routes;
  PmtuCache pmtu;
  IdGenerator ids;
  Groups groups;
  IcmpLimiter limiter;
  NeighbourTable neighbours4;
  NeighbourTable neighbours6;
  Reassembly reassembly4;
  Reassembly reassembly6;
  std::array<std::atomic<Netif*>, kMaxInterfaces> interfaces{};
  std::atomic<uint16_t> interface_count{0};
  std::vector<std::unique_ptr<Netif>> owned;
  SpinLock config_lock;  // owned
  std::array<std::atomic<Transport*>, 256> transports{};
  PacketQueue backlog;  // the internal loopback: what this host sends to itself without a loopback link
  SpinLock backlog_lock;
  SpinLock draining;
  std::atomic<size_t> backlog_count{0};
};

}  // namespace leat::ip
