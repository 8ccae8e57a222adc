// Sets up the kernel's end of a TUN or TAP (or any interface): addresses, MTU, up, routes, by rtnetlink (rtnetlink(7)),
// without the ip program. IPv6 addresses need no duplicate address detection here (nodad) and are usable at once: the
// call waits (1 s at most) until the kernel has them in its tables. Host code. It works on the network namespace of the
// calling thread and needs CAP_NET_ADMIN in it.
#pragma once

#include <string>
#include <vector>

#include "base/errno.h"
#include "wire/ip_address.h"

namespace leat {

struct KernelRoute {
  Cidr destination;   // a prefix of 0: the default route
  IpAddress gateway;  // Family::kNone: directly reachable on the interface
};

struct KernelSide {
  std::string name;
  std::vector<Cidr> addresses;  // each brings its subnet's route
  uint32_t mtu = 0;             // 0: stays
  bool up = true;
  std::vector<KernelRoute> routes;
};

// What is already as wanted is no error. On failure `error` says which step failed; earlier steps stay done.
Result<void> configure_kernel_side(const KernelSide& side, std::string& error);

}  // namespace leat
