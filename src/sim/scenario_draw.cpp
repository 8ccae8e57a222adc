// The draws: which network, which hosts, which applications a number stands for.
#include <algorithm>

#include "sim/dice.h"
#include "sim/scenario.h"

namespace leat::sim {
namespace {

constexpr uint64_t kTransferDraw = 10, kStallDraw = 20;

void draw_losses(Dice& d, ImpairOptions& o) {
  if (d.one_in(2)) o.loss = d.spread(0.0001, 0.05);
  if (d.one_in(4)) {
    o.has_gilbert_elliott = true;
    o.gilbert_elliott = {d.spread(0.0005, 0.02), d.uniform(0.1, 0.6), d.uniform(0.3, 1), 0};
  }
  if (d.one_in(3)) o.duplicate = d.spread(0.001, 0.05);
  if (d.one_in(3)) o.corrupt = d.spread(0.001, 0.01);
}

void draw_disorder(Dice& d, ImpairOptions& o) {
  if (d.one_in(2)) {
    o.jitter = Duration::from_ns(static_cast<int64_t>(d.uniform(0, 1) * static_cast<double>(o.delay.ns())));
    o.keep_order = !d.one_in(3);
  }
  if (d.one_in(3)) {
    o.reorder = d.spread(0.001, 0.05);
    if (d.one_in(2)) o.reorder_delay = d.spread(Duration::from_us(50), Duration::from_ms(50));
  }
}

void draw_bottleneck(Dice& d, ImpairOptions& o) {
  o.rate = static_cast<uint64_t>(d.spread(1e6, 1e9));
  o.limit_packets = static_cast<uint32_t>(d.spread(5, 1000));
  if (d.one_in(4)) o.limit_bytes = static_cast<uint64_t>(d.spread(10'000, 1e6));
  if (d.one_in(4)) o.ecn_packets = std::max(1u, o.limit_packets / 4);
}

ImpairOptions draw_direction(Dice& d, Duration delay) {
  ImpairOptions o;
  o.delay = delay;
  draw_losses(d, o);
  draw_disorder(d, o);
  if (d.one_in(2)) draw_bottleneck(d, o);
  return o;
}

// Both hosts are set alike; what they then speak is what both can.
void draw_stack(Dice& d, Scenario& s) {
  s.sysctls.emplace_back("net.ipv4.tcp_congestion_control", d.one_in(3) ? "reno" : "cubic");
  if (d.one_in(6)) s.sysctls.emplace_back("net.ipv4.tcp_sack", "0");
  if (d.one_in(6)) s.sysctls.emplace_back("net.ipv4.tcp_timestamps", "0");
  if (d.one_in(8)) s.sysctls.emplace_back("net.ipv4.tcp_window_scaling", "0");
  if (d.one_in(4)) s.sysctls.emplace_back("net.ipv4.tcp_ecn", "1");
  // The dice are thrown so often that fifteen losses in a row do come; they are not what is looked for.
  s.sysctls.emplace_back("net.ipv4.tcp_retries2", "100");
  s.sysctls.emplace_back("net.ipv4.tcp_orphan_retries", "100");
  s.sysctls.emplace_back("net.ipv4.tcp_syn_retries", "60");
  s.sysctls.emplace_back("net.ipv4.tcp_synack_retries", "60");
}

void draw_applications(Dice& d, Scenario& s) {
  s.has_two_connections = d.one_in(3);
  s.left_listens = d.one_in(2);
  s.has_nodelay = d.one_in(3);
  for (size_t& chunk : s.chunk)
    chunk = d.one_in(4) ? static_cast<size_t>(d.spread(100, 10'000)) : 65536;
}

}  // namespace

Scenario draw_transfer(uint64_t number) {
  Dice d(number, kTransferDraw);
  Scenario s;
  s.number = number;
  s.is_ipv6 = number % 2 == 1;
  const Duration delay = d.spread(Duration::from_us(20), Duration::from_ms(100));
  s.wire.to_right = draw_direction(d, delay);
  s.wire.to_left = draw_direction(d, d.one_in(4) ? d.spread(Duration::from_us(20), Duration::from_ms(100)) : delay);
  if (d.one_in(8)) s.wire.kind = LinkKind::kEthernet;
  if (d.one_in(8)) s.wire.mtu = d.between(1280, 9000);
  draw_stack(d, s);
  draw_applications(d, s);
  return s;
}

namespace {

ImpairOptions draw_hard_direction(Dice& d, Duration delay) {
  ImpairOptions o;
  o.delay = delay;
  if (d.one_in(2)) o.loss = d.uniform(0, 0.2);
  if (d.one_in(3)) draw_disorder(d, o);
  if (d.one_in(3)) {
    draw_bottleneck(d, o);
    o.limit_packets = static_cast<uint32_t>(d.spread(2, 50));
  }
  return o;
}

// ACKs come back in bunches, as over a radio or a cable modem: late by up to a few round trips, and many are lost.
void draw_ack_path(Dice& d, ImpairOptions& o) {
  if (d.one_in(2)) o.loss = d.uniform(0, 0.2);
  o.jitter = o.delay;
  if (d.one_in(2)) o.rate = static_cast<uint64_t>(d.spread(50e3, 1e6));
}

}  // namespace

Scenario draw_stall(uint64_t number) {
  Dice d(number, kStallDraw);
  Scenario s;
  s.number = number;
  s.is_ipv6 = number % 2 == 1;
  constexpr int64_t kGranularities[] = {1, 10, 100, 1'000, 4'000, 10'000};
  s.granularity = Duration::from_us(kGranularities[d.between(0, 5)]);
  s.tick = d.one_in(2) ? Tick::kWakeup : Tick::kReading;
  const Duration delay = d.spread(Duration::from_us(5), Duration::from_ms(500));
  s.wire.to_right = draw_hard_direction(d, delay);
  s.wire.to_left = draw_hard_direction(d, delay);
  const bool is_one_way = d.one_in(2);
  if (is_one_way && d.one_in(3)) draw_ack_path(d, s.wire.to_left);
  s.bytes[0] = static_cast<uint64_t>(d.spread(1'000, 1'000'000));
  s.bytes[1] = is_one_way ? 0 : static_cast<uint64_t>(d.spread(1'000, 1'000'000));
  if (d.one_in(4)) s.send_buffer = static_cast<uint32_t>(d.spread(4'608, 100'000));
  if (d.one_in(4)) s.receive_buffer = static_cast<uint32_t>(d.spread(2'304, 100'000));
  if (d.one_in(5))
    s.pace[1] = {static_cast<size_t>(d.spread(1'000, 50'000)), d.spread(Duration::from_us(100), Duration::from_s(1))};
  draw_stack(d, s);
  draw_applications(d, s);
  return s;
}

}  // namespace leat::sim
