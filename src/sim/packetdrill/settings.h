// What scripts set with shell commands: sysctls, and routes with their metrics. The runner's shims append lines to a
// file, which is looked at before each call; and counters go the other way, to a file that `nstat` shows.
#pragma once

#include <string>

#include "leat/stack.h"

namespace leat::packetdrill {

struct Setup {  // from the flags of packetdrill_interface_init
  std::string local = "192.168.0.1/16";
  std::string gateway;
  std::string remote = "192.0.2.1/32";
  unsigned mtu = 1500;
  unsigned rx_gso_size = 0;
  static Setup parse(const char* flags);
};

class Settings {
 public:
  Settings(Stack& stack, const Setup& setup, int ifindex);
  void apply_new();       // lines that have come since
  void write_counters();  // when any has changed; and the table of sockets

 private:
  void apply(const std::string& line);

  Stack& stack_;
  Setup setup_;
  int ifindex_;
  std::string conf_path_;
  std::string nstat_path_;
  std::string sockets_path_;  // in the format of /proc/net/tcp
  long read_ = 0;
  uint64_t counter_sum_ = 0;
};

}  // namespace leat::packetdrill
