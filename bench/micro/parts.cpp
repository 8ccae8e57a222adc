// The small parts, one at a time: checksum, codecs, timer wheel, the table of connections.
#include <benchmark/benchmark.h>

#include <deque>
#include <vector>

#include "base/rng.h"
#include "base/timer_wheel.h"
#include "inet/tables.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/tcp.h"

namespace leat {
namespace {

void checksum(benchmark::State& state) {
  const std::vector<uint8_t> bytes(static_cast<size_t>(state.range(0)), 0x5a);
  for (auto _ : state)
    benchmark::DoNotOptimize(wire::checksum_fold(wire::checksum_add(0, bytes)));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(checksum)->Arg(64)->Arg(1500)->Arg(65536);

wire::TcpHeader data_header() {
  wire::TcpHeader h;
  h.src_port = 40000;
  h.dst_port = 80;
  h.seq = 1;
  h.ack = 2;
  h.flags = wire::kTcpAck;
  h.window = 500;
  h.options.has_timestamp = true;
  h.options.tsval = 3;
  h.options.tsecr = 4;
  return h;
}

void tcp_parse(benchmark::State& state) {  // of a data segment: timestamps
  uint8_t bytes[60];
  const uint32_t n = wire::emit_tcp(data_header(), bytes);
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes);
    benchmark::DoNotOptimize(wire::parse_tcp({bytes, n}));
  }
}
BENCHMARK(tcp_parse);

void tcp_emit(benchmark::State& state) {
  uint8_t bytes[60];
  wire::TcpHeader h = data_header();
  for (auto _ : state) {
    benchmark::DoNotOptimize(h);
    benchmark::DoNotOptimize(wire::emit_tcp(h, bytes));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(tcp_emit);

wire::Ipv4Header ipv4_header() {
  wire::Ipv4Header h;
  h.total_length = 1500;
  h.dont_fragment = true;
  h.ttl = 64;
  h.protocol = 6;
  h.src = IpAddress::from_v4(0x0a000001);
  h.dst = IpAddress::from_v4(0x0a000002);
  return h;
}

void ipv4_check(benchmark::State& state) {  // with its checksum, as for each packet received
  uint8_t bytes[20];
  wire::emit_ipv4(ipv4_header(), bytes);
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes);
    benchmark::DoNotOptimize(wire::check_ipv4(bytes, 1500));
  }
}
BENCHMARK(ipv4_check);

void ipv4_emit(benchmark::State& state) {
  uint8_t bytes[20];
  wire::Ipv4Header h = ipv4_header();
  for (auto _ : state) {
    benchmark::DoNotOptimize(h);
    benchmark::DoNotOptimize(wire::emit_ipv4(h, bytes));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(ipv4_emit);

wire::Ipv6Header ipv6_header() {
  wire::Ipv6Header h;
  h.payload_length = 1460;
  h.next_header = 6;
  h.hop_limit = 64;
  h.src = IpAddress::parse("fd00::1").value();
  h.dst = IpAddress::parse("fd00::2").value();
  return h;
}

void ipv6_walk(benchmark::State& state) {
  uint8_t bytes[64] = {};
  wire::emit_ipv6(ipv6_header(), bytes);
  for (auto _ : state) {
    benchmark::DoNotOptimize(bytes);
    benchmark::DoNotOptimize(wire::walk_ipv6(bytes, 1500));
  }
}
BENCHMARK(ipv6_walk);

void ipv6_emit(benchmark::State& state) {
  uint8_t bytes[40];
  wire::Ipv6Header h = ipv6_header();
  for (auto _ : state) {
    benchmark::DoNotOptimize(h);
    benchmark::DoNotOptimize(wire::emit_ipv6(h, bytes));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(ipv6_emit);

constexpr size_t kArmed = 1'000'000;
constexpr size_t kDraws = 65536;  // a power of two; drawn in advance, so that drawing is not measured

struct ArmedWheel {
  Rng rng{Seed{1}};
  TimerWheel wheel{[](void*, Timer&) {}, nullptr};
  std::vector<Timer> timers{kArmed};
  std::vector<Time> times;
  std::vector<uint32_t> which;
  ArmedWheel() {
    for (Timer& t : timers)
      wheel.arm(t, any_time());
    for (size_t i = 0; i < kDraws; ++i) {
      times.push_back(any_time());
      which.push_back(rng.below(kArmed));
    }
  }
  ~ArmedWheel() {
    for (Timer& t : timers)
      wheel.cancel(t);
  }
  Time any_time() { return Time::from_ns(1'000'000 + static_cast<int64_t>(rng.below(120'000'000)) * 1000); }  // 120 s
};

void timer_arm_and_cancel(benchmark::State& state) {
  ArmedWheel w;
  Timer one;
  for (size_t i = 0; auto _ : state) {
    w.wheel.arm(one, w.times[i++ % kDraws]);
    w.wheel.cancel(one);
  }
}
BENCHMARK(timer_arm_and_cancel);

void timer_arm_again(benchmark::State& state) {  // any of a million, as each ACK does
  ArmedWheel w;
  for (size_t i = 0; auto _ : state) {
    w.wheel.arm(w.timers[w.which[i % kDraws]], w.times[i % kDraws]);
    ++i;
  }
}
BENCHMARK(timer_arm_again);

inet::FourTuple numbered(uint32_t n) {
  return {IpAddress::from_v4(0x0a000001), IpAddress::from_v4(0x0a010000 + (n >> 15)),
          static_cast<uint16_t>(1024 + (n & 0x7fff)), 80};
}

void lookup(benchmark::State& state, bool hits) {
  const auto count = static_cast<uint32_t>(state.range(0));
  Rng rng{Seed{2}};
  inet::EstablishedTable table(rng, count <= 1024 ? 1024 : 1 << 20);
  std::deque<inet::SockCommon> socks(count);
  for (uint32_t i = 0; i < count; ++i) {
    const inet::FourTuple t = numbered(i);
    socks[i].family = Family::kIpv4;
    socks[i].addresses_are_v6 = 0;
    socks[i].set_addresses(t.local, t.remote);
    socks[i].local_port = t.local_port;
    socks[i].remote_port = t.remote_port;
    socks[i].refs = 1;
    table.insert(&socks[i]);
    table.grow_if_needed();
  }
  std::vector<inet::FourTuple> tuples;
  for (size_t i = 0; i < kDraws; ++i)
    tuples.push_back(numbered(rng.below(count) + (hits ? 0 : count)));
  for (size_t i = 0; auto _ : state) {
    inet::SockCommon* s = table.lookup(tuples[i++ % kDraws], 1);
    if ((s != nullptr) != hits) state.SkipWithError("wrong answer");
    if (s != nullptr) s->put();
  }
  for (auto& s : socks)
    table.remove(&s);
}
BENCHMARK_CAPTURE(lookup, hit, true)->Arg(1000)->Arg(1000000);
BENCHMARK_CAPTURE(lookup, miss, false)->Arg(1000)->Arg(1000000);

}  // namespace
}  // namespace leat
