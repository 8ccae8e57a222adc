// An in-order data segment of 1448 bytes through a Stack: link, IPv4, TCP with its checksum, the user's recv(), and the
// ACK that goes back. Time of the Stack alone, per segment; the peer is this file, and not measured.
// The argument: segments in one turn of the Stack (one: as they trickle in; 32: as a busy link hands them over).
#include <benchmark/benchmark.h>
#include <netinet/in.h>
#include <time.h>

#include <vector>

#include "leat/stack.h"
#include "link/memory_link.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"

namespace leat {
namespace {

constexpr uint32_t kPayload = 1448;

int64_t cpu_ns() {  // of this thread: what others do on a busy machine is not counted
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

struct Bench {
  PacketPool pool;  // outlives the Stack
  std::unique_ptr<Stack> stack;
  std::unique_ptr<Link> far;
  Time now = Time::from_ns(1'000'000'000);
  uint32_t seq = 1000, ack = 0, tsval = 1;
  int listener = -1, fd = -1;
  uint64_t acks = 0;

  Bench() {
    MemoryPairOptions options;
    options.verifies_checksums = false;
    options.takes_partial_checksums = false;
    options.max_gso_bytes = 0;
    auto [near, other] = make_memory_pair(options);
    far = std::move(other);
    StackConfig config;
    config.seed.fill(3);
    stack = Stack::create(config).value();
    stack->add_address(stack->add_link("mem0", std::move(near)).value(), "10.0.0.1/24").value();
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(80);
    listener = stack->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
    stack->bind(listener, reinterpret_cast<sockaddr*>(&a), sizeof a).value();
    stack->listen(listener, 8).value();
    open();
  }
  ~Bench() {
    (void)stack->close(fd);
    (void)stack->close(listener);
  }

  PacketPtr segment(uint8_t flags, uint32_t payload) {
    wire::TcpHeader h;
    h.src_port = 40000;
    h.dst_port = 80;
    h.seq = seq;
    h.ack = ack;
    h.flags = flags;
    h.window = 65535;
    h.options.has_timestamp = true;
    h.options.tsval = tsval;
    if (h.syn()) {
      h.options.mss = 1460;
      h.options.sack_permitted = true;
      h.options.has_wscale = true;
      h.options.wscale = 7;
    }
    wire::Ipv4Header ip;
    ip.src = IpAddress::from_v4(0x0a000002);
    ip.dst = IpAddress::from_v4(0x0a000001);
    ip.ttl = 64;
    ip.protocol = 6;
    ip.dont_fragment = true;
    const uint32_t tcp_bytes = wire::tcp_header_length(h) + payload;
    ip.total_length = static_cast<uint16_t>(20 + tcp_bytes);
    PacketPtr p = pool.make(20 + tcp_bytes);
    uint8_t* bytes = p->put(20 + tcp_bytes);
    wire::emit_ipv4(ip, {bytes, 20});
    wire::emit_tcp(h, {bytes + 20, tcp_bytes});
    std::memset(bytes + 20 + tcp_bytes - payload, 'x', payload);
    const uint64_t sum = wire::pseudo_header_sum(ip.src, ip.dst, 6, tcp_bytes);
    store_be16(bytes + 36, wire::checksum_fold(wire::checksum_add(sum, {bytes + 20, tcp_bytes})));
    p->ethertype = 0x0800;
    seq += payload + (h.syn() ? 1 : 0);
    return p;
  }
  void send(PacketPtr p) {
    Packet* one = p.release();
    far->transmit_batch({&one, 1}, now);
  }
  void collect() {  // what the Stack has sent
    Packet* out[64];
    for (size_t n; (n = far->receive_batch(out, pool, now)) != 0;) {
      for (size_t i = 0; i < n; ++i) {
        const PacketPtr p(out[i]);
        uint8_t bytes[80] = {};
        p->copy_out(0, bytes, std::min<uint32_t>(p->length, 80));
        const auto h = wire::parse_tcp({bytes + 20, 60});
        if (bytes[0] != 0x45 || bytes[9] != 6 || !h) continue;
        if (h->syn()) ack = h->seq + 1;
        ++acks;
      }
    }
  }
  void open() {
    stack->poll(now);
    collect();
    send(segment(wire::kTcpSyn, 0));
    stack->poll(now);
    collect();
    send(segment(wire::kTcpAck, 0));
    stack->poll(now);
    fd = stack->accept4(listener, nullptr, nullptr, SOCK_NONBLOCK).value();
    acks = 0;
  }
};

void in_order_segment(benchmark::State& state) {
  Bench b;
  const auto burst = static_cast<size_t>(state.range(0));
  std::vector<uint8_t> in(65536);
  uint64_t received = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < burst; ++i)
      b.send(b.segment(wire::kTcpAck, kPayload));
    b.now = b.now + Duration::from_us(static_cast<int64_t>(10 * burst));
    b.tsval = static_cast<uint32_t>(b.now.ns() / 1'000'000);
    const int64_t start = cpu_ns();
    b.stack->poll(b.now);
    while (auto r = b.stack->recv(b.fd, in.data(), in.size(), 0))
      received += *r;
    state.SetIterationTime(static_cast<double>(cpu_ns() - start) / 1e9 / static_cast<double>(burst));
    b.collect();
  }
  if (received != static_cast<uint64_t>(state.iterations()) * burst * kPayload)
    state.SkipWithError("bytes are missing");
  state.counters["acks_per_segment"] =
      static_cast<double>(b.acks) / static_cast<double>(state.iterations()) / static_cast<double>(burst);
}
BENCHMARK(in_order_segment)->Arg(1)->Arg(2)->Arg(10)->Arg(32)->UseManualTime();

}  // namespace
}  // namespace leat
