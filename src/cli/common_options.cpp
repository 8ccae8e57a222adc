// The options as CLI11 has them; what one alone cannot say is checked where the host is made (host.cpp).
#include "cli/common_options.h"

namespace leat::cli {
namespace {

// Repeatable, one value each time, so that what follows may be a positional argument.
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& list, const std::string& help,
                      const std::string& group) {
  return app.add_option(name, list, help)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->group(group);
}

}  // namespace

void add_common_options(CLI::App& app, CommonOptions& o) {
  const std::string device = "Device and addresses";
  app.add_option("--tun", o.tun, "TUN device of the host; made if it is not there")->type_name("NAME")->group(device);
  app.add_option("--tap", o.tap, "the same with Ethernet: ARP and neighbour discovery")
      ->type_name("NAME")
      ->group(device);
  add_list(app, "--address", o.addresses, "of leat, IPv4 or IPv6; repeatable", device)->type_name("CIDR");
  add_list(app, "--peer-address", o.peer_addresses, "of the kernel's end, which is then set up; repeatable", device)
      ->type_name("CIDR");
  add_list(app, "--gateway", o.gateways, "default route; repeatable, one a family", device)->type_name("ADDRESS");
  app.add_option("--mtu", o.mtu, "of the device")->type_name("BYTES")->check(CLI::Range(68, 65535))->group(device);
  app.add_option("--txqueuelen", o.txqueuelen, "packets that the kernel queues towards leat, with --peer-address")
      ->capture_default_str()
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000))
      ->group(device);
  app.add_flag("--offload", o.offload, "super-segments and unfinished checksums pass the device")->group(device);

  const std::string look = "Looking and breaking";
  app.add_option("--pcap", o.pcap, "writes all packets to a file for tcpdump and tshark")
      ->type_name("FILE")
      ->group(look);
  app.add_option("--impair", o.impair, "delay=10ms,loss=1%,rate=50mbit,reorder=0.1%,direction=both,…")
      ->type_name("SPEC")
      ->group(look);
  add_list(app, "--sysctl", o.sysctls, "net.ipv4.tcp_sack=0; repeatable", look)->type_name("NAME=VALUE");
  app.add_option("--control", o.control, "socket for leat ss, nstat, sysctl and proc")->type_name("PATH")->group(look);
  app.add_option("--name", o.name, "of this leat: its control socket is leat-NAME.sock")
      ->type_name("NAME")
      ->group(look);
}

}  // namespace leat::cli
