// A SYN flood from random addresses at a server, and honest clients meanwhile; everything on one core, by the clock.
//   bench_syn_flood [SYNs a second=500000; 0: as many as it takes] [seconds=5]
// The flood comes in over a link of its own and its answers go nowhere. An honest client opens a connection, sends 64
// bytes, waits for their echo, and closes; it has succeeded when that took less than three seconds. What the flood
// costs the core to make counts against the server.
#include <netinet/in.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

#include "leat/stack.h"
#include "link/memory_link.h"
#include "wire/ipv4.h"
#include "wire/tcp.h"

namespace {

using namespace leat;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kServer = 0x0a000001, kHonest = 0x0a010001;
constexpr uint16_t kPort = 80;
constexpr size_t kPerSecond = 200;  // honest connections
constexpr double kPatience = 3;

Time now() {
  return Time::from_ns(Clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
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
      PacketPtr p = make_syn(pool);
      if (p == nullptr) break;
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
  uint64_t random() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
  }
  PacketPtr make_syn(PacketPool& pool) {
    wire::TcpHeader h;
    const uint64_t r = random();
    h.src_port = static_cast<uint16_t>(r | 1024);
    h.dst_port = kPort;
    h.seq = static_cast<uint32_t>(random());
    h.flags = wire::kTcpSyn;
    h.window = 64240;
    h.options.mss = 1460;
    h.options.sack_permitted = h.options.has_timestamp = h.options.has_wscale = true;
    h.options.tsval = static_cast<uint32_t>(r >> 32);
    h.options.wscale = 7;
    const uint32_t length = wire::tcp_header_length(h);
    PacketPtr p = pool.make(wire::kIpv4HeaderBytes + length, 64);
    if (p == nullptr) return p;
    uint8_t* out = p->put(wire::kIpv4HeaderBytes + length);
    wire::Ipv4Header ip;
    ip.total_length = static_cast<uint16_t>(wire::kIpv4HeaderBytes + length);
    ip.ttl = 64;
    ip.protocol = 6;
    ip.src = IpAddress::from_v4(0x14000000 | static_cast<uint32_t>(r >> 16 & 0xffffff) |
                                static_cast<uint32_t>(r >> 40 & 0x1f) << 24);
    ip.dst = IpAddress::from_v4(kServer);
    wire::emit_ipv4(ip, {out, wire::kIpv4HeaderBytes});
    wire::emit_tcp(h, MutableBytes(out + wire::kIpv4HeaderBytes, length));
    p->checksum = Checksum::kVerified;
    return p;
  }
  LinkFeatures features_;
  uint64_t state_ = 88172645463325252u;
};

sockaddr_in endpoint(uint32_t address, uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(address);
  return a;
}

struct Honest {
  double begun;
  bool is_sent = false;
};

struct World {
  std::unique_ptr<Stack> server, client;
  FloodLink* flood = nullptr;
  int listener = -1, server_poller = -1, client_poller = -1;
  std::map<int, Honest> open;
  std::vector<double> latencies;
  uint64_t begun = 0, failed = 0;

  World();
  void begin_honest(double at);
  void serve();
  void look_at_clients(double at);
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
  listener = server->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
  const sockaddr_in at = endpoint(INADDR_ANY, kPort);
  server->bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at).value();
  server->listen(listener, 4096).value();
  server_poller = server->epoll_create1(0).value();
  client_poller = client->epoll_create1(0).value();
  epoll_event e{.events = EPOLLIN, .data = {.fd = listener}};
  server->epoll_ctl(server_poller, EPOLL_CTL_ADD, listener, &e).value();
}

void World::begin_honest(double at) {
  ++begun;
  const int fd = client->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
  const sockaddr_in to = endpoint(kServer, kPort);
  epoll_event e{.events = EPOLLOUT, .data = {.fd = fd}};
  client->epoll_ctl(client_poller, EPOLL_CTL_ADD, fd, &e).value();
  (void)client->connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  open[fd] = {at};
}

void World::serve() {
  epoll_event events[64];
  const int n = server->epoll_wait(server_poller, events, 64, 0).value();
  for (int i = 0; i < n; ++i) {
    const int fd = events[i].data.fd;
    if (fd == listener) {
      for (auto s = server->accept4(listener, nullptr, nullptr, SOCK_NONBLOCK); s;
           s = server->accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) {
        epoll_event e{.events = EPOLLIN, .data = {.fd = *s}};
        server->epoll_ctl(server_poller, EPOLL_CTL_ADD, *s, &e).value();
      }
      continue;
    }
    uint8_t bytes[256];
    const auto got = server->recv(fd, bytes, sizeof bytes, 0);
    if (got && *got != 0) {
      (void)server->send(fd, bytes, *got, 0);
    } else if (got || static_cast<int>(got.error()) != EAGAIN) {
      server->close(fd).value();
    }
  }
}

void World::look_at_clients(double at) {
  epoll_event events[64];
  const int n = client->epoll_wait(client_poller, events, 64, 0).value();
  for (int i = 0; i < n; ++i) {
    const int fd = events[i].data.fd;
    auto it = open.find(fd);
    if (it == open.end()) continue;
    uint8_t bytes[64] = {1};
    if (!it->second.is_sent) {
      if (!client->send(fd, bytes, sizeof bytes, 0)) continue;
      it->second.is_sent = true;
      epoll_event e{.events = EPOLLIN, .data = {.fd = fd}};
      client->epoll_ctl(client_poller, EPOLL_CTL_MOD, fd, &e).value();
      continue;
    }
    const auto got = client->recv(fd, bytes, sizeof bytes, 0);
    if (got && *got == sizeof bytes) {
      latencies.push_back(at - it->second.begun);
    } else {
      ++failed;
    }
    client->close(fd).value();
    open.erase(it);
  }
  for (auto it = open.begin(); it != open.end();) {
    if (at - it->second.begun < kPatience) {
      ++it;
      continue;
    }
    ++failed;
    client->close(it->first).value();
    it = open.erase(it);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const double rate = argc > 1 ? std::atof(argv[1]) : 500000;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 5;
  World w;
  const auto start = Clock::now();
  double t = 0;
  uint64_t asked = 0;
  while (t < seconds + kPatience) {
    t = std::chrono::duration<double>(Clock::now() - start).count();
    const bool is_on = t < seconds;
    if (is_on && rate == 0) w.flood->due = 1024;
    if (is_on && rate != 0) {
      const auto wanted = static_cast<uint64_t>(t * rate);
      w.flood->due = std::min<uint64_t>(w.flood->due + wanted - asked, 4096);  // a device's queue; beyond it is lost
      asked = wanted;
    }
    if (!is_on) w.flood->due = 0;
    while (is_on && static_cast<double>(w.begun) < t * kPerSecond)
      w.begin_honest(t);
    w.client->poll(now());
    w.server->poll(now());
    w.serve();
    w.client->poll(now());
    w.look_at_clients(std::chrono::duration<double>(Clock::now() - start).count());
    if (!is_on && w.open.empty()) break;
  }
  std::sort(w.latencies.begin(), w.latencies.end());
  const auto good = static_cast<double>(w.latencies.size());
  auto ms = [&](double share) {
    return w.latencies.empty() ? 0.0 : 1e3 * w.latencies[static_cast<size_t>(share * (good - 1))];
  };
  std::printf(
      "%.0f SYNs a second asked, %.0f received and %.0f answered a second (cookies %llu); honest: %zu of %llu "
      "succeeded (%.2f %%), latency %.2f ms median, %.2f ms p99\n",
      rate, static_cast<double>(w.flood->sent) / seconds, static_cast<double>(w.flood->answered) / seconds,
      static_cast<unsigned long long>(w.server->counter("TcpExtSyncookiesSent")), w.latencies.size(),
      static_cast<unsigned long long>(w.begun), 100 * good / static_cast<double>(std::max<uint64_t>(w.begun, 1)),
      ms(0.5), ms(0.99));
  return 0;
}
