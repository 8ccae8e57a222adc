// See interface_commands.h.
#include "sim/drill/interface_commands.h"

#include <charconv>
#include <sstream>
#include <vector>

#include "ip/netif.h"
#include "stack/stack_impl.h"

namespace leat::drill {
namespace {

using Words = std::vector<std::string>;

Words split(const std::string& command) {
  std::istringstream in(command);
  Words words;
  for (std::string word; in >> word;)
    words.push_back(word);
  return words;
}

bool parse_number(const std::string& text, uint32_t& out, std::string* unit = nullptr) {
  const char* end = text.data() + text.size();
  const auto r = std::from_chars(text.data(), end, out);
  if (r.ec != std::errc()) return false;
  if (unit != nullptr) *unit = std::string(r.ptr, end);
  return unit != nullptr || r.ptr == end;
}

// tc qdisc add|replace|change|del|delete dev tun0 root [fq | pfifo [limit N] | pfifo_fast]
// fq paces; everything else lets packets out as they come, but `limit 0` lets none out.
bool change_qdisc(Stack& stack, int ifindex, const Words& words, std::string& why) {
  const std::string verb = words.size() > 2 ? words[2] : "";
  const bool removes = verb == "del" || verb == "delete";
  if (!removes && verb != "add" && verb != "replace" && verb != "change") {
    why = "tc qdisc: add, replace, change or del was expected, not '" + verb + "'";
    return false;
  }
  std::string kind;
  uint32_t limit = 1;
  for (size_t i = 3; i < words.size(); ++i) {
    if (words[i] == "dev" || words[i] == "root" || words[i] == "handle") {
      i += words[i] == "root" ? 0 : 1;
    } else if (kind.empty() && (words[i] == "fq" || words[i] == "pfifo" || words[i] == "pfifo_fast")) {
      kind = words[i];
    } else if (kind == "pfifo" && words[i] == "limit" && i + 1 < words.size() && parse_number(words[i + 1], limit)) {
      ++i;
    } else {
      why = "tc qdisc: leat has fq, pfifo [limit N] and pfifo_fast, and no '" + words[i] + "'";
      return false;
    }
  }
  (void)stack.set_sysctl("net.core.default_qdisc", !removes && kind == "fq" ? "fq" : "pfifo_fast");
  if (auto* netif = stack.impl().ip.interface(static_cast<uint16_t>(ifindex)))
    netif->set_blocked(!removes && limit == 0);
  return true;
}

// One metric and its value, "rto_min 20ms". false: leat's routes have no such thing, or not of this value.
bool set_metric(RouteOptions& o, const std::string& name, const std::string& value) {
  uint32_t number = 0;
  std::string unit;
  if (!parse_number(value, number, &unit)) return false;
  if (name == "rto_min" && (unit.empty() || unit == "ms" || unit == "s")) {
    o.rto_min_ms = unit == "s" ? number * 1000 : number;
    return true;
  }
  if (!unit.empty()) return false;
  if (name == "quickack") {
    o.quickack = number != 0;
    return true;
  }
  auto* field = name == "advmss"     ? &o.advmss
                : name == "mtu"      ? &o.mtu
                : name == "initcwnd" ? &o.initcwnd
                : name == "initrwnd" ? &o.initrwnd
                : name == "window"   ? &o.window
                                     : nullptr;
  if (field == nullptr) return false;
  *field = number;
  return true;
}

// ip route add|change|replace DESTINATION [via ADDRESS] [dev NAME] [METRIC [lock] VALUE]...
bool change_route(Stack& stack, int ifindex, const Words& words, size_t at, std::string& why) {
  const std::string verb = at < words.size() ? words[at] : "";
  if ((verb != "add" && verb != "change" && verb != "replace") || at + 1 >= words.size()) {
    why = "ip route: add, change or replace and a destination were expected, not '" + verb + "'";
    return false;
  }
  std::string destination = words[at + 1];
  RouteOptions o;
  o.ifindex = ifindex;
  for (size_t i = at + 2; i < words.size(); ++i) {
    const std::string& name = words[i];
    const bool is_locked = i + 1 < words.size() && words[i + 1] == "lock";
    if (is_locked) ++i;
    const std::string value = ++i < words.size() ? words[i] : "";
    if ((name == "via" || name == "dev") && !value.empty()) continue;  // the wire has one end and no neighbours
    const bool is_lock_known = !is_locked || name == "mtu";
    if (!is_lock_known || !set_metric(o, name, value)) {
      why = "ip route: leat's routes have no '" + name + (is_locked ? " lock " : " ") + value + "'";
      return false;
    }
    o.mtu_locked |= is_locked;
  }
  if (destination.find('/') == std::string::npos && destination != "default") {
    destination += destination.find(':') == std::string::npos ? "/32" : "/128";
  }
  if (stack.add_route(destination, "", o)) return true;
  why = "leat refuses this route";
  return false;
}

}  // namespace

bool configure_interface(Stack& stack, int ifindex, const std::string& command, std::string& why) {
  const Words words = split(command);
  const std::string program = words.empty() ? "" : words[0];
  const size_t at = words.size() > 1 && (words[1] == "-6" || words[1] == "-4") ? 2 : 1;
  const std::string object = at < words.size() ? words[at] : "";
  if (program == "tc" && object == "qdisc") return change_qdisc(stack, ifindex, words, why);
  if (program == "ip" && (object == "route" || object == "ro")) return change_route(stack, ifindex, words, at + 1, why);
  if (program == "ip" && object == "tcp_metrics") {
    stack.impl().tcp.flush_metrics();
    return true;
  }
  if (program == "ethtool") return true;  // the wire shows packets after segmentation anyway
  why = "leat does not know the command '" + command + "'";
  return false;
}

}  // namespace leat::drill
