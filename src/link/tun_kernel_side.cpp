// One netlink request a step, each acknowledged before the next.
#include "link/tun_kernel_side.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <ctime>

#include "base/check.h"

namespace leat {
namespace {

struct Request {
  Request(uint16_t type, uint16_t flags) {
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    header.nlmsg_len = NLMSG_HDRLEN;
  }
  template <class T>
  void add_body(const T& fixed) {
    add_bytes(&fixed, sizeof fixed);
  }
  void add_attribute(uint16_t type, const void* value, size_t n) {
    rtattr attribute{};
    attribute.rta_type = type;
    attribute.rta_len = static_cast<unsigned short>(RTA_LENGTH(n));
    add_bytes(&attribute, sizeof attribute);
    add_bytes(value, n);
  }
  void add_attribute(uint16_t type, uint32_t value) { add_attribute(type, &value, sizeof value); }
  void add_attribute(uint16_t type, const IpAddress& a) {
    add_attribute(type, a.is_v4() ? a.v4_bytes() : a.bytes(), a.is_v4() ? 4 : 16);
  }

  nlmsghdr header{};
  uint8_t rest[240] = {};

 private:
  void add_bytes(const void* bytes, size_t n) {
    const size_t at = header.nlmsg_len - NLMSG_HDRLEN;
    LEAT_CHECK(at + n <= sizeof rest);
    std::memcpy(rest + at, bytes, n);
    header.nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + NLMSG_ALIGN(at + n));
  }
};
static_assert(sizeof(nlmsghdr) == NLMSG_HDRLEN);

class RouteSocket {
 public:
  RouteSocket() : fd_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {}
  ~RouteSocket() {
    if (fd_ >= 0) close(fd_);
  }
  RouteSocket(const RouteSocket&) = delete;
  RouteSocket& operator=(const RouteSocket&) = delete;

  // 0 or an errno, the kernel's answer.
  int request(Request& r) {
    if (fd_ < 0) return EPROTONOSUPPORT;
    r.header.nlmsg_seq = ++sequence_;
    if (send(fd_, &r, r.header.nlmsg_len, 0) < 0) return errno;
    for (;;) {
      alignas(nlmsghdr) uint8_t answer[1024];
      const ssize_t n = recv(fd_, answer, sizeof answer, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      nlmsghdr header{};
      nlmsgerr status{};
      if (static_cast<size_t>(n) < sizeof header + sizeof status.error) return EPROTO;
      std::memcpy(&header, answer, sizeof header);
      std::memcpy(&status.error, answer + sizeof header, sizeof status.error);
      if (header.nlmsg_seq == sequence_) return header.nlmsg_type == NLMSG_ERROR ? -status.error : EPROTO;
    }
  }

 private:
  int fd_;
  uint32_t sequence_ = 0;
};

uint8_t family_of(const IpAddress& a) {
  return a.is_v4() ? AF_INET : AF_INET6;
}

int set_link(RouteSocket& socket, int index, uint32_t mtu, bool up) {
  Request r(RTM_NEWLINK, 0);
  ifinfomsg info{};
  info.ifi_index = index;
  info.ifi_flags = up ? IFF_UP : 0;
  info.ifi_change = IFF_UP;
  r.add_body(info);
  if (mtu != 0) r.add_attribute(IFLA_MTU, mtu);
  return socket.request(r);
}

int add_address(RouteSocket& socket, int index, const Cidr& cidr) {
  Request r(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  ifaddrmsg info{};
  info.ifa_family = family_of(cidr.address);
  info.ifa_prefixlen = static_cast<uint8_t>(cidr.prefix);
  info.ifa_flags = cidr.address.is_v6() ? IFA_F_NODAD : 0;
  info.ifa_index = static_cast<uint32_t>(index);
  r.add_body(info);
  r.add_attribute(IFA_LOCAL, cidr.address);
  r.add_attribute(IFA_ADDRESS, cidr.address);
  return socket.request(r);
}

int add_route(RouteSocket& socket, int index, const KernelRoute& route) {
  Request r(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  const bool has_gateway = route.gateway.family() != Family::kNone;
  rtmsg info{};
  info.rtm_family = family_of(route.destination.address);
  info.rtm_dst_len = static_cast<uint8_t>(route.destination.prefix);
  info.rtm_table = RT_TABLE_MAIN;
  info.rtm_protocol = RTPROT_STATIC;
  info.rtm_scope = has_gateway || info.rtm_family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  info.rtm_type = RTN_UNICAST;
  r.add_body(info);
  if (route.destination.prefix != 0) r.add_attribute(RTA_DST, route.destination.address);
  if (has_gateway) r.add_attribute(RTA_GATEWAY, route.gateway);
  r.add_attribute(RTA_OIF, static_cast<uint32_t>(index));
  return socket.request(r);
}

Result<void> check(int reason, std::string& error, const std::string& what) {
  if (reason == 0) return {};
  error = what + ": " + strerror(reason);
  if (reason == EPERM || reason == EACCES) error += " (run as root: it needs CAP_NET_ADMIN)";
  return err(reason);
}

// The kernel inserts the route to a new IPv6 address of its own in a work queue, a moment after it has confirmed the
// address; what arrives before is dropped. /proc/net/ipv6_route tells when it is there.
bool is_local6(const IpAddress& address) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string wanted;
  for (int i = 0; i < 16; ++i) {
    wanted += kHex[address.bytes()[i] >> 4];
    wanted += kHex[address.bytes()[i] & 15];
  }
  wanted += " 80 ";  // prefix of 128
  std::FILE* routes = std::fopen("/proc/thread-self/net/ipv6_route", "re");
  if (routes == nullptr) return true;  // cannot be known
  bool is_there = false;
  for (char line[256]; !is_there && std::fgets(line, sizeof line, routes) != nullptr;) {
    is_there = std::string_view(line).starts_with(wanted);
  }
  std::fclose(routes);
  return is_there;
}

void wait_until_local(const std::vector<Cidr>& addresses) {
  constexpr int kPatience = 1000;  // ms
  for (const Cidr& cidr : addresses) {
    for (int ms = 0; cidr.address.is_v6() && ms < kPatience && !is_local6(cidr.address); ++ms) {
      const timespec pause{0, 1'000'000};
      nanosleep(&pause, nullptr);
    }
  }
}

}  // namespace

Result<void> configure_kernel_side(const KernelSide& side, std::string& error) {
  error.clear();
  const int index = static_cast<int>(if_nametoindex(side.name.c_str()));
  if (index == 0) return check(ENODEV, error, "there is no interface '" + side.name + "'");
  RouteSocket socket;
  const std::string what = side.up ? "cannot set '" + side.name + "' up" : "cannot set '" + side.name + "' down";
  const std::string mtu = side.mtu == 0 ? "" : " with MTU " + std::to_string(side.mtu);
  if (auto r = check(set_link(socket, index, side.mtu, side.up), error, what + mtu); !r) return r;
  for (const Cidr& cidr : side.addresses) {
    const std::string text = "cannot add address " + cidr.to_string() + " to '" + side.name + "'";
    if (auto r = check(add_address(socket, index, cidr), error, text); !r) return r;
  }
  for (const KernelRoute& route : side.routes) {
    const std::string text = "cannot add route " + route.destination.to_string() + " to '" + side.name + "'";
    if (auto r = check(add_route(socket, index, route), error, text); !r) return r;
  }
  if (side.up) wait_until_local(side.addresses);
  return {};
}

}  // namespace leat
