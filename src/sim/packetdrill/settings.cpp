// See settings.h; the contract is in the packetdrill runner's README.
#include "sim/packetdrill/settings.h"

#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "diag/proc_net.h"
#include "sim/drill/interface_commands.h"

namespace leat::packetdrill {
namespace {

std::string from_environment(const char* name) {
  const char* v = std::getenv(name);
  return v == nullptr ? std::string() : std::string(v);
}

// A script may set what only some kernels have, and goes on, as after a sysctl that fails; but it is told.
void complain(const std::string& line, const std::string& why) {
  std::fprintf(stderr, "leat: %s: %s\n", line.c_str(), why.c_str());
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
  if (line.empty()) return;
  if (line[0] == '!') {
    std::string why;
    if (!drill::configure_interface(stack_, ifindex_, line.substr(1), why)) complain(line.substr(1), why);
    return;
  }
  const auto eq = line.find('=');
  if (eq == std::string::npos) return complain(line, "this is no setting");
  const auto ok = stack_.set_sysctl(line.substr(0, eq), line.substr(eq + 1));
  if (!ok) complain(line, std::strerror(static_cast<int>(ok.error())));
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
