#include <fmt/format.h>

#include "sim/scenario.h"

namespace leat::sim {
namespace {

std::string time(Duration d) {
  if (d < Duration::from_ms(1)) return fmt::format("{}us", static_cast<double>(d.ns()) / 1e3);
  return fmt::format("{:.6g}ms", static_cast<double>(d.ns()) / 1e6);
}

// In the words of --impair.
std::string describe_way(const ImpairOptions& o) {
  std::string text = "delay=" + time(o.delay);
  const auto add = [&text](std::string part) { text += "," + part; };
  if (o.jitter != Duration{}) add("jitter=" + time(o.jitter) + (o.keep_order ? "" : ",keep_order=no"));
  if (o.loss != 0) add(fmt::format("loss={:.3g}%", o.loss * 100));
  if (o.has_gilbert_elliott) {
    const GilbertElliott& g = o.gilbert_elliott;
    add(fmt::format("gemodel={:.3g}%/{:.3g}%/{:.3g}%/{:.3g}%", g.good_to_bad * 100, g.bad_to_good * 100,
                    g.loss_in_bad * 100, g.loss_in_good * 100));
  }
  if (o.reorder != 0) add(fmt::format("reorder={:.3g}%", o.reorder * 100));
  if (o.reorder_delay != Duration{}) add("reorder_delay=" + time(o.reorder_delay));
  if (o.duplicate != 0) add(fmt::format("duplicate={:.3g}%", o.duplicate * 100));
  if (o.corrupt != 0) add(fmt::format("corrupt={:.3g}%", o.corrupt * 100));
  if (o.rate != 0) add(fmt::format("rate={:.4g}mbit", static_cast<double>(o.rate) / 1e6));
  if (o.limit_packets != 0) add(fmt::format("limit={}", o.limit_packets));
  if (o.limit_bytes != 0) add(fmt::format("limit_bytes={}", o.limit_bytes));
  if (o.ecn_packets != 0) add(fmt::format("ecn={}", o.ecn_packets));
  return text;
}

}  // namespace

std::string Scenario::describe() const {
  std::string text = fmt::format("IPv{}, clock {} ({}), mtu {}{}\n", is_ipv6 ? 6 : 4, time(granularity),
                                 tick == Tick::kWakeup ? "wakes at ticks" : "reads ticks", wire.mtu,
                                 wire.kind == LinkKind::kEthernet ? ", Ethernet" : "");
  text += fmt::format("  to the right {} bytes, {}\n", bytes[0], describe_way(wire.to_right));
  text += fmt::format("  to the left  {} bytes, {}\n", bytes[1], describe_way(wire.to_left));
  text += fmt::format("  {} over {}, chunks {} and {}", left_listens ? "left listens" : "right listens",
                      has_two_connections ? "two connections" : "one connection", chunk[0], chunk[1]);
  if (send_buffer != 0) text += fmt::format(", SO_SNDBUF {}", send_buffer);
  if (receive_buffer != 0) text += fmt::format(", SO_RCVBUF {}", receive_buffer);
  if (has_nodelay) text += ", TCP_NODELAY";
  for (size_t end = 0; end < 2; ++end) {
    if (pace[end].is_slow())
      text += fmt::format(", {} reads {} bytes every {}", end == 0 ? "left" : "right", pace[end].bytes,
                          time(pace[end].pause));
  }
  text += "\n ";
  for (const auto& [name, value] : sysctls)
    text += fmt::format(" {}={}", name.substr(name.rfind('.') + 1), value);
  return text;
}

}  // namespace leat::sim
