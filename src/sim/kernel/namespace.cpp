// See namespace.h. Addresses and routes are as packetdrill makes them: the local address on the TUN, the remote one by
// a route through it.
#include "sim/kernel/namespace.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>

#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace leat::drill {
namespace {

std::string failure(const std::string& what) {
  return what + ": " + std::strerror(errno);
}

ifreq request(const char* name) {
  ifreq r{};
  std::strncpy(r.ifr_name, name, IFNAMSIZ - 1);
  return r;
}

sockaddr make_address(uint32_t network_order) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = network_order;
  sockaddr out{};
  std::memcpy(&out, &in, sizeof in);
  return out;
}

std::string set_up(int control, const char* name, unsigned mtu) {
  ifreq r = request(name);
  if (mtu != 0) {
    r.ifr_mtu = static_cast<int>(mtu);
    if (ioctl(control, SIOCSIFMTU, &r) != 0) return failure(std::string("mtu of ") + name);
  }
  r = request(name);
  if (ioctl(control, SIOCGIFFLAGS, &r) != 0) return failure(std::string("flags of ") + name);
  r.ifr_flags = static_cast<short>(r.ifr_flags | IFF_UP | IFF_RUNNING);
  if (ioctl(control, SIOCSIFFLAGS, &r) != 0) return failure(std::string("setting up ") + name);
  return "";
}

// "192.168.0.1/16": the address and the length of its prefix.
std::pair<std::string, unsigned> split(const std::string& cidr, unsigned otherwise) {
  const auto slash = cidr.find('/');
  if (slash == std::string::npos) return {cidr, otherwise};
  return {cidr.substr(0, slash), static_cast<unsigned>(std::strtoul(cidr.c_str() + slash + 1, nullptr, 10))};
}

// An address may be bound to once a worker of the kernel has found that it needs no duplicate address detection.
void wait_until_usable(const std::string& address) {
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  (void)inet_pton(AF_INET6, address.c_str(), &in.sin6_addr);
  for (int i = 0; i < 1000; ++i) {
    const int fd = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool is_usable = bind(fd, reinterpret_cast<const sockaddr*>(&in), sizeof in) == 0;
    close(fd);
    if (is_usable) return;
    usleep(1000);
  }
}

}  // namespace

int write_file(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = write(fd, text.data(), text.size()) < 0 ? errno : 0;
  close(fd);
  return error;
}

Namespace::~Namespace() {
  if (tun_ >= 0) close(tun_);
  if (before_ >= 0) {
    (void)setns(before_, CLONE_NEWNET);
    close(before_);
  }
}

std::string Namespace::enter(const KernelOptions& options) {
  if (std::string why = unshare_network(); !why.empty()) return why;
  if (std::string why = open_tun(); !why.empty()) return why;
  // No neighbour discovery, no router solicitations: nobody is there to answer.
  for (const char* name : {"all", "default", "tun0"}) {
    const std::string conf = std::string("/proc/sys/net/ipv6/conf/") + name + "/";
    (void)write_file(conf + "accept_dad", "0");
    (void)write_file(conf + "accept_ra", "0");
    (void)write_file(conf + "router_solicitations", "0");
    (void)write_file(conf + "addr_gen_mode", "1");
  }
  const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (control < 0) return failure("socket");
  std::string why = set_up(control, "lo", 0);
  if (why.empty()) why = set_up(control, "tun0", options.mtu);
  close(control);
  if (why.empty()) why = add_ipv4(options);
  if (why.empty()) add_ipv6(options);
  return why;
}

std::string Namespace::unshare_network() {
  before_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (unshare(CLONE_NEWNET) == 0) return "";
  if (errno != EPERM) return failure("unshare(CLONE_NEWNET)");
  const auto uid = getuid();
  const auto gid = getgid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
    return failure("a network namespace needs root or unprivileged user namespaces");
  (void)write_file("/proc/self/setgroups", "deny");
  (void)write_file("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1");
  (void)write_file("/proc/self/gid_map", "0 " + std::to_string(gid) + " 1");
  return "";
}

std::string Namespace::open_tun() {
  tun_ = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (tun_ < 0) return failure("/dev/net/tun");
  ifreq r = request("tun0");
  r.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
  if (ioctl(tun_, TUNSETIFF, &r) != 0) return failure("TUNSETIFF");
  if (ioctl(tun_, TUNSETOFFLOAD, 0) != 0) return failure("TUNSETOFFLOAD");
  device_ = static_cast<int>(if_nametoindex("tun0"));
  return "";
}

std::string Namespace::add_ipv4(const KernelOptions& options) {
  const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (control < 0) return failure("socket");
  const auto [address, length] = split(options.local, 32);
  const uint32_t mask = length == 0 ? 0 : htonl(~uint32_t{0} << (32 - length));
  std::string why;
  ifreq r = request("tun0");
  r.ifr_addr = make_address(inet_addr(address.c_str()));
  if (ioctl(control, SIOCSIFADDR, &r) != 0) why = failure("address " + options.local);
  r.ifr_netmask = make_address(mask);
  if (why.empty() && ioctl(control, SIOCSIFNETMASK, &r) != 0) why = failure("netmask of " + options.local);
  for (const auto& [to, to_length] : {split(options.remote, 32), split("0.0.0.0/0", 0)}) {
    rtentry route{};
    char name[] = "tun0";
    route.rt_dst = make_address(inet_addr(to.c_str()));
    route.rt_genmask = make_address(to_length == 0 ? 0 : htonl(~uint32_t{0} << (32 - to_length)));
    route.rt_gateway = make_address(inet_addr(options.gateway.c_str()));
    route.rt_flags = static_cast<unsigned short>(RTF_UP | RTF_GATEWAY | (to_length == 32 ? RTF_HOST : 0));
    route.rt_dev = name;
    if (why.empty() && ioctl(control, SIOCADDRT, &route) != 0) why = failure("route to " + to);
  }
  close(control);
  return why;
}

// A kernel without IPv6 is as good for what needs none.
void Namespace::add_ipv6(const KernelOptions& options) {
  const int control = ::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (control < 0) return;
  const auto [address, length] = split(options.local6, 128);
  in6_ifreq r{};
  (void)inet_pton(AF_INET6, address.c_str(), &r.ifr6_addr);
  r.ifr6_prefixlen = length;
  r.ifr6_ifindex = device_;
  has_ipv6_ = ioctl(control, SIOCSIFADDR, &r) == 0;
  wait_until_usable(address);
  for (const auto& [to, to_length] : {split(options.remote6, 128), split("::/0", 0)}) {
    in6_rtmsg route{};
    (void)inet_pton(AF_INET6, to.c_str(), &route.rtmsg_dst);
    (void)inet_pton(AF_INET6, options.gateway6.c_str(), &route.rtmsg_gateway);
    route.rtmsg_dst_len = static_cast<uint16_t>(to_length);
    route.rtmsg_metric = 1;
    route.rtmsg_flags = RTF_UP | RTF_GATEWAY;
    route.rtmsg_ifindex = device_;
    has_ipv6_ = ioctl(control, SIOCADDRT, &route) == 0 && has_ipv6_;
  }
  close(control);
}

}  // namespace leat::drill
