// See interface_commands.h.
#include "sim/drill/interface_commands.h"

#include <cstdlib>
#include <sstream>

#include "ip/netif.h"
#include "stack/stack_impl.h"

namespace leat::drill {
namespace {

// fq paces; everything else lets packets out as they come, but `limit 0` lets none out.
void change_qdisc(Stack& stack, int ifindex, const std::string& command) {
  const bool removes = command.find(" del") != std::string::npos;
  const bool is_fq = !removes && command.find(" fq") != std::string::npos;
  const bool blocks = !removes && command.find(" limit 0") != std::string::npos;
  (void)stack.set_sysctl("net.core.default_qdisc", is_fq ? "fq" : "pfifo_fast");
  if (auto* netif = stack.impl().ip.interface(static_cast<uint16_t>(ifindex))) netif->set_blocked(blocks);
}

bool change_route(Stack& stack, int ifindex, std::istream& in, std::string& why) {
  std::string word, destination;
  in >> word >> destination;
  RouteOptions o;
  o.ifindex = ifindex;
  while (in >> word) {
    std::string value;
    if (word == "lock") continue;
    in >> value;
    if (value == "lock") {
      if (word == "mtu") o.mtu_locked = true;
      in >> value;
    }
    const auto number = static_cast<uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    if (word == "advmss") o.advmss = number;
    if (word == "mtu") o.mtu = number;
    if (word == "initcwnd") o.initcwnd = number;
    if (word == "initrwnd") o.initrwnd = number;
    if (word == "window") o.window = number;
    if (word == "quickack") o.quickack = number != 0;
    if (word == "rto_min") o.rto_min_ms = number;
  }
  if (destination.find('/') == std::string::npos && destination != "default") {
    destination += destination.find(':') == std::string::npos ? "/32" : "/128";
  }
  // The wire has no neighbours: every route is on link.
  if (stack.add_route(destination, "", o)) return true;
  why = "leat refuses this route";
  return false;
}

}  // namespace

bool configure_interface(Stack& stack, int ifindex, const std::string& command, std::string& why) {
  std::istringstream in(command);
  std::string program, object;
  in >> program >> object;
  if (program == "ip" && (object == "-6" || object == "-4")) in >> object;
  if (program == "tc" && object == "qdisc") {
    change_qdisc(stack, ifindex, command);
    return true;
  }
  if (program == "ip" && (object == "route" || object == "ro")) return change_route(stack, ifindex, in, why);
  if (program == "ip" && object == "tcp_metrics") {
    stack.impl().tcp.flush_metrics();
    return true;
  }
  if (program == "ethtool") return true;  // the wire shows packets after segmentation anyway
  why = "leat does not know the command '" + command + "'";
  return false;
}

}  // namespace leat::drill
