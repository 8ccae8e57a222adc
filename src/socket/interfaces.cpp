// The ioctls that ask about interfaces (netdevice(7)): SIOCGIFNAME, INDEX, FLAGS, ADDR, NETMASK, BRDADDR, MTU, HWADDR,
// TXQLEN, METRIC and CONF. Changing them is the Stack's own business: EPERM would be a lie, so those are ENOTTY.
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <cstring>

#include "ip/netif.h"
#include "socket/sockets.h"

namespace leat::socket {
namespace {

void put_v4(sockaddr& out, uint32_t host_order) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(host_order);
  std::memcpy(&out, &in, sizeof in);
}

uint32_t mask_of(int prefix) {
  return prefix == 0 ? 0 : ~uint32_t{0} << (32 - prefix);
}

void copy_name(char (&to)[IFNAMSIZ], const std::string& name) {
  std::memset(to, 0, sizeof to);
  std::memcpy(to, name.data(), std::min(name.size(), sizeof to - 1));
}

short flags_of(const ip::Netif& n) {
  if (n.is_loopback()) return static_cast<short>(IFF_UP | IFF_RUNNING | IFF_LOOPBACK);
  if (n.is_ethernet()) return static_cast<short>(IFF_UP | IFF_RUNNING | IFF_BROADCAST | IFF_MULTICAST);
  return static_cast<short>(IFF_UP | IFF_RUNNING | IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST);
}

const ip::Address* first_v4(const std::vector<ip::Address>& all, uint16_t ifindex) {
  for (const ip::Address& a : all) {
    if (a.ifindex == ifindex && a.cidr.address.is_v4()) return &a;
  }
  return nullptr;
}

Result<int> address_ioctl(ip::Ip& ip, const ip::Netif& n, unsigned long request, ifreq& r) {
  const std::vector<ip::Address> all = ip.addresses();
  const ip::Address* a = first_v4(all, n.ifindex());
  if (a == nullptr) return err(EADDRNOTAVAIL);
  const uint32_t mask = mask_of(a->cidr.prefix);
  switch (request) {
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
      put_v4(r.ifr_addr, a->cidr.address.v4());
      break;
    case SIOCGIFNETMASK:
      put_v4(r.ifr_addr, mask);
      break;
    default:
      put_v4(r.ifr_addr, n.is_ethernet() ? a->cidr.address.v4() | ~mask : 0);
  }
  return 0;
}

Result<int> list_interfaces(ip::Ip& ip, ifconf& c) {
  const std::vector<ip::Address> all = ip.addresses();
  int written = 0;
  for (const ip::Address& a : all) {
    if (!a.cidr.address.is_v4()) continue;
    const ip::Netif* n = ip.interface(a.ifindex);
    if (n == nullptr) continue;
    if (c.ifc_buf != nullptr) {
      if (c.ifc_len - written < static_cast<int>(sizeof(ifreq))) break;
      ifreq r{};
      copy_name(r.ifr_name, n->name());
      put_v4(r.ifr_addr, a.cidr.address.v4());
      std::memcpy(c.ifc_buf + written, &r, sizeof r);
    }
    written += static_cast<int>(sizeof(ifreq));
  }
  c.ifc_len = written;
  return 0;
}

}  // namespace

// ENOTTY: none of these.
Result<int> Sockets::interface_ioctl(unsigned long request, void* argument) {
  switch (request) {
    case SIOCGIFCONF:
    case SIOCGIFNAME:
    case SIOCGIFINDEX:
    case SIOCGIFFLAGS:
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFNETMASK:
    case SIOCGIFBRDADDR:
    case SIOCGIFMTU:
    case SIOCGIFHWADDR:
    case SIOCGIFTXQLEN:
    case SIOCGIFMETRIC:
      break;
    default:
      return err(ENOTTY);
  }
  if (argument == nullptr) return err(EFAULT);
  if (request == SIOCGIFCONF) return list_interfaces(ip_, *static_cast<ifconf*>(argument));
  ifreq& r = *static_cast<ifreq*>(argument);
  const ip::Netif* n = request == SIOCGIFNAME
                           ? ip_.interface(static_cast<uint16_t>(r.ifr_ifindex))
                           : ip_.interface(std::string(r.ifr_name, strnlen(r.ifr_name, sizeof r.ifr_name)));
  if (n == nullptr) return err(ENODEV);
  switch (request) {
    case SIOCGIFNAME:
      copy_name(r.ifr_name, n->name());
      return 0;
    case SIOCGIFINDEX:
      r.ifr_ifindex = n->ifindex();
      return 0;
    case SIOCGIFFLAGS:
      r.ifr_flags = flags_of(*n);
      return 0;
    case SIOCGIFMTU:
      r.ifr_mtu = static_cast<int>(n->mtu());
      return 0;
    case SIOCGIFMETRIC:
      r.ifr_metric = 0;
      return 0;
    case SIOCGIFTXQLEN:
      r.ifr_qlen = static_cast<int>(ip::Netif::kQueueLimit);
      return 0;
    case SIOCGIFHWADDR:
      r.ifr_hwaddr = {};
      r.ifr_hwaddr.sa_family = n->is_ethernet() ? ARPHRD_ETHER : n->is_loopback() ? ARPHRD_LOOPBACK : ARPHRD_NONE;
      if (n->is_ethernet()) std::memcpy(r.ifr_hwaddr.sa_data, n->features().mac, 6);
      return 0;
    default:
      return address_ioctl(ip_, *n, request, r);
  }
}

}  // namespace leat::socket
