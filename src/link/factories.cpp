// The public ways to a link (leat/links.h): thin, so that the classes behind them stay out of the installed headers.
#include "leat/links.h"

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
