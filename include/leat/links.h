// Where links come from: devices of the host, memory, and decorators around any link.
//
//   std::string why;
//   auto tun = leat::open_tun("leat0", {}, &why);                    // its near end is leat's, its far end the
//   kernel's auto ok = leat::configure_device("leat0", {"10.0.0.1/24"}, 0, &why);       // the kernel's end: addresses,
//   up auto link = leat::capture(std::move(*tun), {.path = "out.pcap"}, &why); int ifindex = stack->add_link("leat0",
//   std::move(*link)).value(); stack->add_address(ifindex, "10.0.0.2/24").value();
//
// `why` may be nullptr; on failure it gets one line that says what to do. A program may as well write a Link of its own
// (leat/link.h), but a Packet's inside is not public yet.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "leat/errno.h"
#include "leat/link.h"
#include "leat/time.h"

namespace leat {

struct DeviceOptions {
  uint32_t mtu = 0;      // 0: what the kernel's end has
  bool offload = false;  // super-segments of up to 64 KB and unfinished checksums pass, both ways
};

// TUN carries IP packets, TAP Ethernet frames. The device is made when there is none of this name, and goes with the
// link. An empty name: the kernel picks one. EPERM (CAP_NET_ADMIN), ENOENT (no /dev/net/tun), EBUSY, EINVAL.
Result<std::unique_ptr<Link>> open_tun(std::string_view name, const DeviceOptions& options = {},
                                       std::string* why = nullptr);
Result<std::unique_ptr<Link>> open_tap(std::string_view name, const DeviceOptions& options = {},
                                       std::string* why = nullptr);

// The kernel's end of a device, in the network namespace of the calling thread: gives it the addresses ("10.0.0.1/24",
// "fd00::1/64"), the MTU unless 0, and sets it up. EPERM, ENODEV, EINVAL.
Result<void> configure_device(std::string_view name, const std::vector<std::string>& addresses, uint32_t mtu = 0,
                              std::string* why = nullptr);

struct PairOptions {
  uint32_t mtu = 1500;
  LinkKind kind = LinkKind::kIp;
  Duration delay;                 // above zero both ends must be given the same clock
  bool offload = true;            // super-segments and unfinished checksums pass
  uint32_t queue_packets = 4096;  // a direction; more are dropped
};

// Two ends that are each other's wire, for Stacks in one process. Each may be run by a thread of its own; destroy the
// sockets of both Stacks before either Stack.
std::pair<std::unique_ptr<Link>, std::unique_ptr<Link>> make_link_pair(const PairOptions& options = {});

// A network's vices around a link, as tc-netem(8) has them: "delay=10ms,jitter=2ms,loss=1%,rate=50mbit,reorder=0.1%,
// duplicate=0.5%,corrupt=0.5%,limit=1000,ecn=100kb,direction=both". From leat outwards unless direction says otherwise.
// The same seed gives the same losses. EINVAL: `why` says which part.
Result<std::unique_ptr<Link>> impair(std::unique_ptr<Link> link, std::string_view spec,
                                     const std::array<uint8_t, 32>& seed, std::string* why = nullptr);

struct CaptureOptions {
  std::string path;     // a pcap file with nanoseconds; truncated
  int64_t base_ns = 0;  // nanoseconds since 1970 when the Stack's time is zero
};

// Writes all that passes a link, both ways, to a file that tcpdump and tshark read. EACCES, ENOENT, ….
Result<std::unique_ptr<Link>> capture(std::unique_ptr<Link> link, const CaptureOptions& options,
                                      std::string* why = nullptr);

}  // namespace leat
