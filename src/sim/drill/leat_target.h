// A leat Stack in virtual time as a drill::Target: one interface, tun0, whose far end is the script. Nothing takes
// time but waiting. Pending calls have threads of their own, of which exactly one runs at a time, so a run is
// repeatable.
#pragma once

#include <memory>
#include <string>

#include "sim/drill/target.h"

namespace leat::drill {

struct LeatOptions {  // both families at once, and their defaults as packetdrill's
  std::string local = "192.168.0.1/16";
  std::string remote = "192.0.2.1";
  std::string local6 = "fd3d:0a0b:17d6::1/48";
  std::string remote6 = "fd3d:fa7b:d17d::1";
  unsigned mtu = 1500;
  unsigned rx_gso_size = 0;  // a longer inbound TCP payload stands for a burst of such segments
};

std::unique_ptr<Target> make_leat_target(const LeatOptions& options);

}  // namespace leat::drill
