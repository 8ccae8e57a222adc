// IPPROTO_IP (ip(7)) and IPPROTO_UDP (udp(7)). TTL, TOS and MTU discovery are one value for both families of a socket.
#include <netinet/in.h>
#include <netinet/udp.h>

#include "socket/cmsg.h"
#include "socket/options.h"
#include "tcp/conn.h"

namespace leat::socket {

Result<int> get_ttl(OptionCall& c) {
  if (c.options().ttl != 0) return int{c.options().ttl};
  return c.sock.family == Family::kIpv6 && c.level == IPPROTO_IPV6 ? c.ns().sysctl.ipv6_hop_limit.as<int>()
                                                                   : c.ns().sysctl.ip_default_ttl.as<int>();
}

Result<void> set_ttl(OptionCall& c, int v) {
  if (c.value.empty()) return err(EINVAL);
  if (v != -1 && (v < 1 || v > 255)) return err(EINVAL);
  return set_member<&inet::SockOptions::ttl>(c, v == -1 ? 0 : v);
}

Result<int> get_path_mtu(OptionCall& c) {
  if (!c.is_tcp()) {
    const uint32_t mtu = c.udp().path_mtu(c.file.udp());
    return mtu == 0 ? err(ENOTCONN) : Result<int>(static_cast<int>(mtu));
  }
  if (c.sock.remote_port == 0 || c.sock.get_state() == inet::State::kClose) return err(ENOTCONN);
  const auto route = c.ip().route(c.sock.remote(), c.sock.local(), c.sock.bound_ifindex, c.options().mark);
  if (!route) return err(ENOTCONN);
  return static_cast<int>(c.ip().path_mtu(c.sock.remote(), *route));
}

Result<void> set_transparent(OptionCall& c, int v) {
  if (v != 0 && !c.is_privileged()) return err(EPERM);
  return set_member<&inet::SockOptions::transparent>(c, v);
}

Result<void> set_min_ttl(OptionCall& c, int v) {
  if (c.value.empty() || v < 0 || v > 255) return err(EINVAL);
  return set_member<&inet::SockOptions::min_ttl>(c, v);
}

namespace {

using enum OptionStatus;
using T = OptionType;
using O = inet::SockOptions;

constexpr int kLocalPortRange = 51, kOriginalDst = 80;
constexpr int kUdpSegment = 103, kUdpGro = 104;

// What TCP itself puts into the two low bits (ECN) is not the user's.
Result<void> set_tos(OptionCall& c, int v) {
  if (c.is_tcp()) v = (v & ~3) | (c.options().tos & 3);
  return set_member<&O::tos>(c, v);
}

Result<void> set_mtu_discover(OptionCall& c, int v) {
  if (v < IP_PMTUDISC_DONT || v > IP_PMTUDISC_OMIT) return err(EINVAL);
  return set_member<&O::pmtu_discover>(c, v);
}

Result<void> set_recv_error(OptionCall& c, int v) {
  if (v == 0 && !c.is_tcp()) c.file.udp().clear_errors();
  return set_member<&O::recv_error>(c, v);
}

Result<int> get_port_range(OptionCall& c) {
  return static_cast<int>(uint32_t{c.options().local_port_high} << 16 | c.options().local_port_low);
}

Result<void> set_port_range(OptionCall& c, int v) {
  if (c.value.size() != sizeof(uint32_t)) return err(EINVAL);
  const auto low = static_cast<uint16_t>(v);
  const auto high = static_cast<uint16_t>(static_cast<uint32_t>(v) >> 16);
  if (low != 0 && high != 0 && low > high) return err(EINVAL);
  const auto o = c.own();
  if (!o) return std::unexpected(o.error());
  (*o)->local_port_low = low;
  (*o)->local_port_high = high;
  return {};
}

constexpr OptionRow kIpRows[] = {
    {IPPROTO_IP, IP_TOS, "IP_TOS", T::kInt, kWorks, 0, get_member<&O::tos>, set_tos},
    {IPPROTO_IP, IP_TTL, "IP_TTL", T::kInt, kWorks, 0, get_ttl, set_ttl},
    {IPPROTO_IP, IP_HDRINCL, "IP_HDRINCL", T::kInt},
    {IPPROTO_IP, IP_OPTIONS, "IP_OPTIONS", T::kBytes},
    {IPPROTO_IP, IP_ROUTER_ALERT, "IP_ROUTER_ALERT", T::kInt},
    {IPPROTO_IP, IP_RECVOPTS, "IP_RECVOPTS", T::kInt},
    {IPPROTO_IP, IP_RETOPTS, "IP_RETOPTS", T::kInt},
    {IPPROTO_IP, IP_PKTINFO, "IP_PKTINFO", T::kBool, kWorks, 0, get_receive_flag<kRecvPktinfo>,
     set_receive_flag<kRecvPktinfo>},
    {IPPROTO_IP, IP_PKTOPTIONS, "IP_PKTOPTIONS", T::kBytes},
    {IPPROTO_IP, IP_MTU_DISCOVER, "IP_MTU_DISCOVER", T::kInt, kWorks, 0, get_member<&O::pmtu_discover>,
     set_mtu_discover},
    {IPPROTO_IP, IP_RECVERR, "IP_RECVERR", T::kBool, kWorks, 0, get_member<&O::recv_error>, set_recv_error},
    {IPPROTO_IP, IP_RECVTTL, "IP_RECVTTL", T::kBool, kWorks, 0, get_receive_flag<kRecvTtl>, set_receive_flag<kRecvTtl>},
    {IPPROTO_IP, IP_RECVTOS, "IP_RECVTOS", T::kBool, kWorks, 0, get_receive_flag<kRecvTos>, set_receive_flag<kRecvTos>},
    {IPPROTO_IP, IP_MTU, "IP_MTU", T::kInt, kReadOnly, 0, get_path_mtu, nullptr, nullptr, nullptr, true},
    {IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND", T::kBool, kWorks, 0, get_member<&O::freebind>, set_member<&O::freebind>},
    {IPPROTO_IP, IP_TRANSPARENT, "IP_TRANSPARENT", T::kBool, kWorks, 0, get_member<&O::transparent>, set_transparent},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, "IP_RECVORIGDSTADDR", T::kBool, kWorks, 0, get_receive_flag<kRecvOrigDst>,
     set_receive_flag<kRecvOrigDst>},
    {IPPROTO_IP, IP_MINTTL, "IP_MINTTL", T::kInt, kWorks, 0, get_member<&O::min_ttl>, set_min_ttl},
    {IPPROTO_IP, IP_NODEFRAG, "IP_NODEFRAG", T::kInt},
    {IPPROTO_IP, IP_CHECKSUM, "IP_CHECKSUM", T::kInt},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, "IP_BIND_ADDRESS_NO_PORT", T::kBool, kWorks, 0,
     get_member<&O::bind_address_no_port>, set_member<&O::bind_address_no_port>},
    {IPPROTO_IP, IP_RECVFRAGSIZE, "IP_RECVFRAGSIZE", T::kInt},
    {IPPROTO_IP, IP_MULTICAST_IF, "IP_MULTICAST_IF", T::kBytes},
    {IPPROTO_IP, IP_MULTICAST_TTL, "IP_MULTICAST_TTL", T::kInt},
    {IPPROTO_IP, IP_MULTICAST_LOOP, "IP_MULTICAST_LOOP", T::kInt},
    {IPPROTO_IP, IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP", T::kBytes},
    {IPPROTO_IP, IP_DROP_MEMBERSHIP, "IP_DROP_MEMBERSHIP", T::kBytes},
    {IPPROTO_IP, IP_MULTICAST_ALL, "IP_MULTICAST_ALL", T::kInt},
    {IPPROTO_IP, IP_UNICAST_IF, "IP_UNICAST_IF", T::kInt},
    {IPPROTO_IP, kLocalPortRange, "IP_LOCAL_PORT_RANGE", T::kInt, kWorks, 0, get_port_range, set_port_range},
    {IPPROTO_IP, kOriginalDst, "SO_ORIGINAL_DST", T::kBytes},
};

// --- IPPROTO_UDP
// ------------------------------------------------------------------------------------------------------

Result<int> get_cork(OptionCall& c) {
  return c.file.udp().is_corked ? 1 : 0;
}

Result<void> set_cork(OptionCall& c, int v) {
  {
    Guard guard(c.sock.lock);
    c.file.udp().is_corked = v != 0;
  }
  if (v == 0) {
    if (const auto sent = c.udp().uncork(c.file.udp()); !sent) return std::unexpected(sent.error());
  }
  return {};
}

constexpr OptionRow kUdpRows[] = {
    {IPPROTO_UDP, UDP_CORK, "UDP_CORK", T::kBool, kWorks, 0, get_cork, set_cork, nullptr, nullptr, true},
    {IPPROTO_UDP, UDP_ENCAP, "UDP_ENCAP", T::kInt},
    {IPPROTO_UDP, UDP_NO_CHECK6_TX, "UDP_NO_CHECK6_TX", T::kInt},
    {IPPROTO_UDP, UDP_NO_CHECK6_RX, "UDP_NO_CHECK6_RX", T::kInt},
    {IPPROTO_UDP, kUdpSegment, "UDP_SEGMENT", T::kInt},
    {IPPROTO_UDP, kUdpGro, "UDP_GRO", T::kInt},
};

}  // namespace

std::span<const OptionRow> ip_options() {
  return kIpRows;
}

std::span<const OptionRow> udp_options() {
  return kUdpRows;
}

}  // namespace leat::socket
