#include "sim/wire.h"

#include <algorithm>

#include "base/check.h"
#include "link/memory_link.h"
#include "sim/dice.h"

namespace leat::sim {

Wire::Wire(Host& left, Host& right, const WireOptions& options, uint64_t number) {
  MemoryPairOptions pair;
  pair.mtu = options.mtu;
  pair.kind = options.kind;
  pair.queue_packets = 1'000'000;  // the limits are ImpairLink's
  auto [first, second] = make_memory_pair(pair);
  left.attach(make_end(0, std::move(first), options, number), {"10.0.0.1/24", "fd00::1/64"});
  right.attach(make_end(1, std::move(second), options, number), {"10.0.0.2/24", "fd00::2/64"});
}

std::unique_ptr<Link> Wire::make_end(size_t end, std::unique_ptr<Link> inner, const WireOptions& options,
                                     uint64_t number) {
  const ImpairOptions& out = end == 0 ? options.to_right : options.to_left;
  auto impair = std::make_unique<ImpairLink>(std::move(inner), out, ImpairOptions{}, make_seed(number, 100 + end));
  ends_[end].impair = impair.get();
  if (!options.is_captured) return impair;
  PcapOptions pcap;
  if (options.capture_path.empty()) {
    pcap.memory = &captures_[end];
  } else {
    pcap.path = options.capture_path + (end == 0 ? ".left.pcap" : ".right.pcap");
  }
  std::string error;
  auto tap = PcapLink::open(std::move(impair), pcap, error);
  LEAT_CHECK(tap.has_value());
  ends_[end].tap = tap->get();
  return std::move(*tap);
}

const std::vector<uint8_t>& Wire::capture(size_t end) {
  if (ends_[end].tap != nullptr) LEAT_CHECK(ends_[end].tap->flush().has_value());
  return captures_[end];
}

void Wire::heal() {
  for (End& end : ends_)
    end.impair->set_transmit_options({});
}

Duration Wire::longest_way(const ImpairOptions& o, uint32_t mtu) {
  Duration longest = o.delay + o.jitter + o.reorder_delay;
  if (o.rate == 0) return longest;
  const uint64_t packets = o.limit_packets != 0 ? o.limit_packets : 1000;
  uint64_t bytes = (packets + 1) * (mtu + 14);
  if (o.limit_bytes != 0) bytes = std::min(bytes, o.limit_bytes + mtu);
  return longest + Duration::from_ns(static_cast<int64_t>(bytes * 8 * 1'000'000'000 / o.rate));
}

}  // namespace leat::sim
