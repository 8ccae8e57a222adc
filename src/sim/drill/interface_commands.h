// What scripts say to the interface with shell commands: its queueing discipline and the metrics of its routes. Both
// ways of running a script (leat drill and the packetdrill object) read them here.
#pragma once

#include <string>

#include "leat/stack.h"

namespace leat::drill {

// "tc qdisc replace dev tun0 root fq", "ip route change 192.0.2.1 via … mtu lock 1200", "ip tcp_metrics flush all",
// "ethtool -K tun0 tso off". false: `why` says what is not known.
bool configure_interface(Stack& stack, int ifindex, const std::string& command, std::string& why);

}  // namespace leat::drill
