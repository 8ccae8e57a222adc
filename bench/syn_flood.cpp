// A SYN flood from random addresses at a server, and honest clients meanwhile; everything on one core, by the clock.
//   bench_syn_flood [SYNs a second=500000; 0: as many as it takes] [seconds=5]
// The flood comes in over a link of its own and its answers go nowhere. What the flood costs the core to make counts
// against the server. The kernel beside it: bench_kernel_syn_flood.
#include "syn_flood.h"

#include <cstdlib>

#include "leat/stack.h"
#include "link/memory_link.h"

namespace {

using namespace leat;
using namespace leat::bench;

Time now() {
  return Time::from_ns(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
}

class FloodLink final : public Link {
 public:
  FloodLink() {
    features_.verifies_checksums = features_.takes_partial_checksums = true;
    features_.max_gso_bytes = 65536;
  }
  const LinkFeatures& features() const override { return features_; }
  size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time t) override {
    size_t n = 0;
    for (; n < out.size() && due > 0; --due) {
      PacketPtr p = pool.make(FloodSyns::kBytes, 64);
      if (p == nullptr) break;
      syns_.write({p->put(FloodSyns::kBytes), FloodSyns::kBytes});
      p->checksum = Checksum::kVerified;
      p->received = t;
      out[n++] = p.release();
    }
    sent += n;
    return n;
  }
  void transmit_batch(std::span<Packet*> packets, Time) override {
    answered += packets.size();
    for (Packet* p : packets)
      PacketPtr freed(p);
  }
  Time next_event() const override { return Time::never(); }

  uint64_t due = 0, sent = 0, answered = 0;

 private:
  LinkFeatures features_;
  FloodSyns syns_;
};

struct World {
  std::unique_ptr<Stack> server, client;
  FloodLink* flood = nullptr;
  World();
};

World::World() {
  StackConfig config;
  config.seed.fill(1);
  server = Stack::create(config).value();
  config.seed.fill(2);
  client = Stack::create(config).value();
  auto link = std::make_unique<FloodLink>();
  flood = link.get();
  auto pair = make_memory_pair({});
  const int wan = server->add_link("wan", std::move(link)).value();
  const int lan = server->add_link("lan", std::move(pair.first)).value();
  const int up = client->add_link("up", std::move(pair.second)).value();
  server->add_address(wan, "10.0.0.1/32").value();
  server->add_address(lan, "10.1.0.254/16").value();
  client->add_address(up, "10.1.0.1/16").value();
  RouteOptions out;
  out.ifindex = wan;
  server->add_route("0.0.0.0/0", "", out).value();
  out.ifindex = up;
  client->add_route("0.0.0.0/0", "", out).value();
  server->poll(now());
  client->poll(now());
}

}  // namespace

int main(int argc, char** argv) {
  const double rate = argc > 1 ? std::atof(argv[1]) : 500000;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 5;
  World w;
  EchoServer<Stack> server(*w.server);
  HonestClients<Stack> clients(*w.client);
  const double cpu_before = cpu_seconds();
  FloodClock clock(rate, seconds);
  for (double t = 0; t < seconds + kPatience && !(clock.is_over(t) && clients.is_idle()); t = clock.now()) {
    w.flood->due = clock.due(t, w.flood->due);
    if (!clock.is_over(t)) clients.begin_those_due(t);
    w.client->poll(now());
    w.server->poll(now());
    server.serve();
    w.client->poll(now());
    clients.look(clock.now());
  }
  const auto sent = static_cast<double>(w.flood->sent);
  std::printf("leat: %.0f SYNs a second asked, %.0f received a second, %.0f a second of CPU (cookies %llu); ", rate,
              sent / seconds, sent / (cpu_seconds() - cpu_before),
              static_cast<unsigned long long>(w.server->counter("TcpExtSyncookiesSent")));
  clients.report();
  return 0;
}
