// See compare.h.
#include "sim/differ/compare.h"

#include <cstdlib>

namespace leat::differ {

std::string compare(const Segment& kernel, const Numbering& kb, const Segment& leat, const Numbering& lb,
                    int stamp_slack) {
  std::string out;
  const auto check = [&out](bool is_equal, const char* name) {
    if (!is_equal) out += std::string(out.empty() ? "" : " ") + name;
  };
  check(leat.is_checksum_good, "checksum");
  check(kernel.flags == leat.flags && kernel.is_ns == leat.is_ns, "flags");
  // A reset that answers a segment takes its number from there.
  const bool is_answer = kernel.has(kRst) && kernel.seq - kb.seq != leat.seq - lb.seq;
  check(kernel.seq - kb.seq == leat.seq - lb.seq || (is_answer && kernel.seq == leat.seq), "seq");
  check(!kernel.has(kAck) || kernel.ack == leat.ack, "ack");
  check(kernel.length == leat.length, "len");
  check(kernel.window == leat.window, "win");
  check(kernel.urgent == leat.urgent, "urg");
  check(kernel.mss == leat.mss, "mss");
  check(kernel.wscale == leat.wscale, "wscale");
  check(kernel.option_order == leat.option_order, "options");
  check(kernel.sacks == leat.sacks, "sack");
  check(kernel.tos == leat.tos, "tos");
  check(kernel.ttl == leat.ttl, "ttl");
  check(kernel.source == leat.source && kernel.destination == leat.destination, "ports");
  if (kernel.has_ts && leat.has_ts) {
    const auto drift = static_cast<int32_t>((kernel.ts_value - kb.ts) - (leat.ts_value - lb.ts));
    check(std::abs(drift) <= stamp_slack || kernel.ts_value == leat.ts_value, "TS val");
    check(kernel.ts_echo == leat.ts_echo, "TS ecr");
  }
  return out;
}

}  // namespace leat::differ
