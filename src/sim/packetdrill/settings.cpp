// See settings.h; the contract is in the packetdrill runner's README.
#include "sim/packetdrill/settings.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "diag/proc_net.h"
#include "ip/netif.h"
#include "stack/stack_impl.h"

namespace leat::packetdrill {
namespace {

std::string from_environment(const char* name) {
  const char* v = std::getenv(name);
  return v == nullptr ? std::string() : std::string(v);
}

// "0x70403" is a number too.
std::string plain_number(const std::string& value) {
  if (value.rfind("0x", 0) != 0) return value;
  return std::to_string(std::strtoll(value.c_str(), nullptr, 16));
}

}  // namespace

Setup Setup::parse(const char* flags) {
  Setup s;
  std::stringstream in(flags == nullptr ? "" : flags);
  std::string item;
  while (std::getline(in, item, ',')) {
    const auto eq = item.find('=');
    if (eq == std::string::npos) continue;
    const std::string key = item.substr(0, eq), value = item.substr(eq + 1);
    if (key == "local") s.local = value;
    if (key == "gw") s.gateway = value;
    if (key == "remote") s.remote = value;
    if (key == "mtu") s.mtu = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
    if (key == "rx_gso_size") s.rx_gso_size = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
  }
  return s;
}

Settings::Settings(Stack& stack, const Setup& setup, int ifindex)
    : stack_(stack),
      setup_(setup),
      ifindex_(ifindex),
      conf_path_(from_environment("PD_CONF_FILE")),
      nstat_path_(from_environment("PD_NSTAT_FILE")),
      sockets_path_(from_environment("PD_PROC_NET_TCP")) {}

void Settings::apply_new() {
  struct stat st{};
  if (conf_path_.empty() || stat(conf_path_.c_str(), &st) != 0 || st.st_size <= read_) return;
  std::ifstream in(conf_path_);
  in.seekg(read_);
  std::string line;
  while (std::getline(in, line))
    apply(line);
  read_ = st.st_size;
}

void Settings::apply(const std::string& line) {
  if (line.rfind("!ip route ", 0) == 0) return change_route(line);
  if (line.rfind("!tc qdisc ", 0) == 0) return change_qdisc(line);
  if (line.rfind("!ip tcp_metrics flush", 0) == 0) return stack_.impl().tcp.flush_metrics();
  if (line.empty() || line[0] == '!') return;
  const auto eq = line.find('=');
  if (eq == std::string::npos) return;
  // Unknown names and values are the script's business: it may set what only some kernels have.
  (void)stack_.set_sysctl(line.substr(0, eq), plain_number(line.substr(eq + 1)));
}

void Settings::change_qdisc(const std::string& command) {
  const bool removes = command.find(" del") != std::string::npos;
  const bool is_fq = !removes && command.size() >= 3 && command.find(" fq") != std::string::npos;
  const bool blocks = !removes && command.find(" limit 0") != std::string::npos;
  (void)stack_.set_sysctl("net.core.default_qdisc", is_fq ? "fq" : "pfifo_fast");
  stack_.impl().ip.interface(static_cast<uint16_t>(ifindex_))->set_blocked(blocks);
}

void Settings::change_route(const std::string& command) {
  std::stringstream in(command);
  std::string word, destination;
  in >> word >> word >> word >> destination;  // !ip route VERB DESTINATION
  RouteOptions o;
  o.ifindex = ifindex_;
  while (in >> word) {
    if (word == "lock") continue;
    std::string value;
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
  (void)stack_.add_route(destination, "", o);  // the wire has no neighbours: on link
}

void Settings::write_counters() {
  if (nstat_path_.empty()) return;
  uint64_t sum = 0;
  const auto all = stack_.counters();
  for (const Counter& c : all)
    sum += c.value;
  if (sum == counter_sum_) return;
  counter_sum_ = sum;
  std::ofstream out(nstat_path_, std::ios::trunc);
  for (const Counter& c : all)
    out << c.group << c.name << ' ' << c.value << '\n';
  if (sockets_path_.empty()) return;
  std::ofstream sockets(sockets_path_, std::ios::trunc);
  sockets << diag::proc_net_tcp(stack_) << diag::proc_net_tcp6(stack_);
}

}  // namespace leat::packetdrill
