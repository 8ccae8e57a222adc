// IPPROTO_IPV6 (ipv6(7), RFC 3493, RFC 3542).
#include <netinet/in.h>

#include "socket/cmsg.h"
#include "socket/options.h"

namespace leat::socket {
namespace {

using enum OptionStatus;
using T = OptionType;
using O = inet::SockOptions;

// Numbers that the libc's headers lack.
constexpr int kMinHopCount = 73, kRecvOrigDstAddr = 74, kTransparent = 75, kFreebind = 78, kMulticastAll = 29,
              kFlowInfoSend = 33, kAddrPreferences = 72, kOriginalDst = 80;

Result<int> get_v6only(OptionCall& c) {
  return int{c.sock.v6only};
}

Result<void> set_v6only(OptionCall& c, int v) {
  const bool is_bound = c.sock.local_port != 0;
  if (is_bound) return err(EINVAL);
  c.sock.v6only = static_cast<uint8_t>(v);
  return {};
}

Result<void> set_tclass(OptionCall& c, int v) {
  if (v < -1 || v > 255) return err(EINVAL);
  if (v == -1) v = 0;
  if (c.is_tcp()) v = (v & ~3) | (c.options().tos & 3);
  return set_member<&O::tos>(c, v);
}

Result<void> set_hops(OptionCall& c, int v) {
  if (v < -1 || v > 255) return err(EINVAL);
  if (v == 0) return err(EINVAL);  // a packet that nobody may receive; Linux takes it, see docs/COMPLIANCE.md
  return set_ttl(c, v);
}

Result<void> set_mtu_discover(OptionCall& c, int v) {
  if (v < IPV6_PMTUDISC_DONT || v > IPV6_PMTUDISC_OMIT) return err(EINVAL);
  return set_member<&O::pmtu_discover>(c, v);
}

Result<void> set_recv_error(OptionCall& c, int v) {
  if (v == 0 && !c.is_tcp()) c.file.udp().clear_errors();
  return set_member<&O::recv_error>(c, v);
}

constexpr OptionRow kRows[] = {
    {IPPROTO_IPV6, IPV6_ADDRFORM, "IPV6_ADDRFORM", T::kInt},
    {IPPROTO_IPV6, IPV6_CHECKSUM, "IPV6_CHECKSUM", T::kInt},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS", T::kInt, kWorks, 0, get_ttl, set_hops},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, "IPV6_MULTICAST_IF", T::kInt},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, "IPV6_MULTICAST_HOPS", T::kInt},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, "IPV6_MULTICAST_LOOP", T::kInt},
    {IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, "IPV6_ADD_MEMBERSHIP", T::kBytes},
    {IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, "IPV6_DROP_MEMBERSHIP", T::kBytes},
    {IPPROTO_IPV6, IPV6_ROUTER_ALERT, "IPV6_ROUTER_ALERT", T::kInt},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, "IPV6_MTU_DISCOVER", T::kInt, kWorks, 0, get_member<&O::pmtu_discover>,
     set_mtu_discover},
    {IPPROTO_IPV6, IPV6_MTU, "IPV6_MTU", T::kInt, kReadOnly, 0, get_path_mtu, nullptr, nullptr, nullptr, true},
    {IPPROTO_IPV6, IPV6_RECVERR, "IPV6_RECVERR", T::kBool, kWorks, 0, get_member<&O::recv_error>, set_recv_error},
    {IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY", T::kBool, kWorks, 0, get_v6only, set_v6only},
    {IPPROTO_IPV6, kMulticastAll, "IPV6_MULTICAST_ALL", T::kInt},
    {IPPROTO_IPV6, kFlowInfoSend, "IPV6_FLOWINFO_SEND", T::kInt},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", T::kBool, kWorks, 0, get_receive_flag<kRecvPktinfo6>,
     set_receive_flag<kRecvPktinfo6>},
    {IPPROTO_IPV6, IPV6_PKTINFO, "IPV6_PKTINFO", T::kBytes},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT", T::kBool, kWorks, 0, get_receive_flag<kRecvHopLimit>,
     set_receive_flag<kRecvHopLimit>},
    {IPPROTO_IPV6, IPV6_HOPLIMIT, "IPV6_HOPLIMIT", T::kInt},
    {IPPROTO_IPV6, IPV6_RECVPATHMTU, "IPV6_RECVPATHMTU", T::kInt},
    {IPPROTO_IPV6, IPV6_PATHMTU, "IPV6_PATHMTU", T::kBytes},
    {IPPROTO_IPV6, IPV6_DONTFRAG, "IPV6_DONTFRAG", T::kBool, kWorks, 0, get_member<&O::dont_fragment6>,
     set_member<&O::dont_fragment6>},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, "IPV6_RECVTCLASS", T::kBool, kWorks, 0, get_receive_flag<kRecvTclass>,
     set_receive_flag<kRecvTclass>},
    {IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS", T::kInt, kWorks, 0, get_member<&O::tos>, set_tclass},
    {IPPROTO_IPV6, kAutoFlowLabel, "IPV6_AUTOFLOWLABEL", T::kBool, kWorks, 0, get_member<&O::auto_flow_label>,
     set_member<&O::auto_flow_label>},
    {IPPROTO_IPV6, kAddrPreferences, "IPV6_ADDR_PREFERENCES", T::kInt},
    {IPPROTO_IPV6, kMinHopCount, "IPV6_MINHOPCOUNT", T::kInt, kWorks, 0, get_member<&O::min_ttl>, set_min_ttl},
    {IPPROTO_IPV6, kRecvOrigDstAddr, "IPV6_RECVORIGDSTADDR", T::kBool, kWorks, 0, get_receive_flag<kRecvOrigDst6>,
     set_receive_flag<kRecvOrigDst6>},
    {IPPROTO_IPV6, kTransparent, "IPV6_TRANSPARENT", T::kBool, kWorks, 0, get_member<&O::transparent>, set_transparent},
    {IPPROTO_IPV6, kFreebind, "IPV6_FREEBIND", T::kBool, kWorks, 0, get_member<&O::freebind>, set_member<&O::freebind>},
    {IPPROTO_IPV6, kOriginalDst, "IP6T_SO_ORIGINAL_DST", T::kBytes},
};

}  // namespace

std::span<const OptionRow> ipv6_options() {
  return kRows;
}

}  // namespace leat::socket
