// What every command with a stack of its own understands: which device, which addresses, which vices.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace leat::cli {

struct CommonOptions {
  std::string tun;
  std::string tap;
  std::vector<std::string> addresses;
  std::vector<std::string> peer_addresses;
  std::vector<std::string> gateways;
  uint32_t mtu = 0;
  uint32_t txqueuelen = 10000;
  bool offload = false;
  std::string pcap;
  std::string impair;
  std::vector<std::string> sysctls;
  std::string control;
  std::string name;
};

void add_common_options(CLI::App& app, CommonOptions& o);

}  // namespace leat::cli
