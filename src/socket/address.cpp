#include "socket/address.h"

#include <algorithm>
#include <cstring>

namespace leat::socket {
namespace {

constexpr socklen_t kMinIpv6 = 24;  // RFC 2133's sockaddr_in6, without the scope (SIN6_LEN_RFC2133)

Result<SockAddress> parse_v4(const sockaddr* a, socklen_t length, AddressUse use) {
  sockaddr_in in{};
  if (length < sizeof in) return err(EINVAL);
  std::memcpy(&in, a, sizeof in);
  const bool is_any = in.sin_addr.s_addr == 0;
  const bool may_be_unspec = (use == AddressUse::kBind && is_any) || use == AddressUse::kSend;
  if (in.sin_family != AF_INET && !(in.sin_family == AF_UNSPEC && may_be_unspec)) return err(EAFNOSUPPORT);
  return SockAddress{IpAddress::from_v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port), 0, false};
}

Result<SockAddress> check_v6(const SockAddress& parsed, const inet::Sock& s, AddressUse use) {
  const IpAddress& a = parsed.address;
  if (a.is_v4_mapped() && s.v6only) return err(use == AddressUse::kBind ? EINVAL : ENETUNREACH);
  if (use == AddressUse::kBind && a.is_multicast() && s.kind != inet::Kind::kUdp) return err(EINVAL);
  if (use == AddressUse::kConnectStream && a.is_multicast()) return err(ENETUNREACH);
  const bool needs_scope = a.is_v6() && a.is_link_local();
  if (needs_scope && parsed.scope == 0 && s.bound_ifindex == 0) return err(EINVAL);
  if (needs_scope && parsed.scope != 0 && s.bound_ifindex != 0 && parsed.scope != s.bound_ifindex) return err(EINVAL);
  return parsed;
}

Result<SockAddress> parse_v6(const sockaddr* a, socklen_t length, const inet::Sock& s, AddressUse use) {
  const bool is_datagram = use == AddressUse::kConnectDatagram || use == AddressUse::kSend;
  if (is_datagram && a->sa_family == AF_INET) {  // a datagram socket takes IPv4 addresses as they are
    if (s.v6only) return err(use == AddressUse::kSend ? ENETUNREACH : EAFNOSUPPORT);
    return parse_v4(a, length, use);
  }
  if (length < kMinIpv6) return err(EINVAL);
  sockaddr_in6 in{};
  std::memcpy(&in, a, std::min<size_t>(length, sizeof in));
  if (in.sin6_family != AF_INET6) return err(use == AddressUse::kSend ? EINVAL : EAFNOSUPPORT);
  SockAddress parsed{IpAddress::from_v6_bytes(in.sin6_addr.s6_addr), ntohs(in.sin6_port), in.sin6_scope_id, false};
  if (!(parsed.address.is_v6() && parsed.address.is_link_local())) parsed.scope = 0;
  return check_v6(parsed, s, use);
}

}  // namespace

Result<SockAddress> parse_address(const sockaddr* a, socklen_t length, const inet::Sock& s, AddressUse use) {
  if (a == nullptr) return err(EFAULT);
  if (static_cast<int>(length) < 0 || length > sizeof(sockaddr_storage)) return err(EINVAL);
  if (length < sizeof(sa_family_t)) return err(EINVAL);
  const bool is_connect = use == AddressUse::kConnectStream || use == AddressUse::kConnectDatagram;
  if (is_connect && a->sa_family == AF_UNSPEC) return SockAddress{{}, 0, 0, true};
  return s.family == Family::kIpv4 ? parse_v4(a, length, use) : parse_v6(a, length, s, use);
}

socklen_t make_sockaddr(const SockAddress& from, Family family, sockaddr_storage& out) {
  if (family == Family::kIpv4) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(from.port);
    in.sin_addr.s_addr = htonl(from.address.v4());
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(from.port);
  in.sin6_scope_id = from.scope;
  const IpAddress shown = from.address.is_v4() ? from.address.to_v4_mapped() : from.address;
  std::memcpy(in.sin6_addr.s6_addr, shown.bytes(), 16);
  std::memcpy(&out, &in, sizeof in);
  return sizeof in;
}

Result<void> write_address(const SockAddress& from, Family family, sockaddr* to, socklen_t* length) {
  if (to == nullptr) return {};
  if (length == nullptr) return err(EFAULT);
  if (static_cast<int>(*length) < 0) return err(EINVAL);
  sockaddr_storage storage{};
  const socklen_t whole = make_sockaddr(from, family, storage);
  std::memcpy(to, &storage, std::min(*length, whole));
  *length = whole;
  return {};
}

namespace {

// An unbound socket of IPv6 may hold its "any" in either family.
SockAddress show(const inet::Sock& s, const IpAddress& a, uint16_t port, bool may_be_mapped_any) {
  SockAddress shown{a, port, 0, false};
  if (s.family == Family::kIpv6 && a.is_v4() && a.is_any() && !may_be_mapped_any) {
    shown.address = IpAddress::any(Family::kIpv6);
  }
  if (shown.address.is_v6() && shown.address.is_link_local()) shown.scope = s.bound_ifindex;
  return shown;
}

}  // namespace

SockAddress local_address(const inet::Sock& s) {
  return show(s, s.local(), s.local_port, s.v4only != 0 || !s.remote().is_any());
}

SockAddress remote_address(const inet::Sock& s) {
  return show(s, s.remote(), s.remote_port, false);
}

}  // namespace leat::socket
