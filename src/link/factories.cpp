// The public ways to a link (leat/links.h): thin, so that the classes behind them stay out of the installed headers.
#include "leat/links.h"

#include <cstdio>
#include <ctime>

#include "link/impair.h"
#include "link/memory_link.h"
#include "link/pcap.h"
#include "link/tun.h"
#include "link/tun_kernel_side.h"

namespace leat {
namespace {

void tell(std::string* why, std::string text) {
  if (why != nullptr) *why = std::move(text);
}

// The kernel inserts the route to a new IPv6 address of its own in a work queue, a moment after it has confirmed the
// address; what arrives before is dropped. /proc/net/ipv6_route tells when it is there.
bool is_local6(const IpAddress& address) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string wanted;
  for (int i = 0; i < 16; ++i) {
    wanted += kHex[address.bytes()[i] >> 4];
    wanted += kHex[address.bytes()[i] & 15];
  }
  wanted += " 80 ";  // prefix of 128
  std::FILE* routes = std::fopen("/proc/thread-self/net/ipv6_route", "re");
  if (routes == nullptr) return true;  // cannot be known
  bool is_there = false;
  for (char line[256]; !is_there && std::fgets(line, sizeof line, routes) != nullptr;) {
    is_there = std::string_view(line).starts_with(wanted);
  }
  std::fclose(routes);
  return is_there;
}

void wait_until_local(const std::vector<Cidr>& addresses) {
  constexpr int kPatience = 1000;  // ms
  for (const Cidr& cidr : addresses) {
    for (int ms = 0; cidr.address.is_v6() && ms < kPatience && !is_local6(cidr.address); ++ms) {
      const timespec pause{0, 1'000'000};
      nanosleep(&pause, nullptr);
    }
  }
}

template <class Device>
Result<std::unique_ptr<Link>> open_device(std::string_view name, const DeviceOptions& options, std::string* why) {
  TunOptions o;
  o.name = name;
  o.mtu = options.mtu;
  o.offload = options.offload;
  std::string error;
  auto device = Device::open(o, error);
  if (!device) {
    tell(why, error);
    return std::unexpected(device.error());
  }
  return std::unique_ptr<Link>(std::move(*device));
}

}  // namespace

Result<std::unique_ptr<Link>> open_tun(std::string_view name, const DeviceOptions& options, std::string* why) {
  return open_device<TunLink>(name, options, why);
}
Result<std::unique_ptr<Link>> open_tap(std::string_view name, const DeviceOptions& options, std::string* why) {
  return open_device<TapLink>(name, options, why);
}

Result<void> configure_device(std::string_view name, const std::vector<std::string>& addresses, uint32_t mtu,
                              std::string* why) {
  KernelSide side;
  side.name = name;
  side.mtu = mtu;
  for (const std::string& text : addresses) {
    const auto cidr = Cidr::parse(text);
    if (!cidr) {
      tell(why, "'" + text + "' is not ADDRESS/PREFIX");
      return std::unexpected(cidr.error());
    }
    side.addresses.push_back(*cidr);
  }
  std::string error;
  auto done = configure_kernel_side(side, error);
  if (!done) tell(why, error);
  if (done) wait_until_local(side.addresses);
  return done;
}

std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>> make_link_pair(const PairOptions& options) {
  MemoryPairOptions o;
  o.mtu = options.mtu;
  o.kind = options.kind;
  o.delay = options.delay;
  o.verifies_checksums = options.offload;
  o.takes_partial_checksums = options.offload;
  if (!options.offload) o.max_gso_bytes = 0;
  o.queue_packets = options.queue_packets;
  return make_memory_pair(o);
}

Result<std::unique_ptr<Link>> impair(std::unique_ptr<Link> link, std::string_view spec,
                                     const std::array<uint8_t, 32>& seed, std::string* why) {
  std::string error;
  const auto options = parse_impair(spec, error);
  if (!options) {
    tell(why, error);
    return std::unexpected(options.error());
  }
  return std::unique_ptr<Link>(std::make_unique<ImpairLink>(std::move(link), *options, seed));
}

Result<std::unique_ptr<Link>> capture(std::unique_ptr<Link> link, const CaptureOptions& options, std::string* why) {
  PcapOptions o;
  o.path = options.path;
  o.base_ns = options.base_ns;
  std::string error;
  auto captured = PcapLink::open(std::move(link), o, error);
  if (!captured) {
    tell(why, error);
    return std::unexpected(captured.error());
  }
  return std::unique_ptr<Link>(std::move(*captured));
}

}  // namespace leat
