// Bulk transfer with both ends in memory, on one core: two Stacks, a memory link of MTU 1500 without offloads, one
// thread that runs both, sends and receives. Prints Gbit/s of payload.
//   bench_bulk_memory [seconds=3] [v4|v6] [gso]
#include <netinet/in.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "leat/stack.h"
#include "link/memory_link.h"

namespace {

using namespace leat;

Time now() {
  const auto t = std::chrono::steady_clock::now().time_since_epoch();
  return Time::from_ns(std::chrono::duration_cast<std::chrono::nanoseconds>(t).count());
}

struct Host {
  std::unique_ptr<Stack> stack;
  int epfd = -1;
  Host(uint8_t seed, std::unique_ptr<Link> link, const char* v4, const char* v6) {
    StackConfig config;
    config.seed.fill(seed);
    stack = Stack::create(config).value();
    const int ifindex = stack->add_link("mem0", std::move(link)).value();
    stack->add_address(ifindex, v4).value();
    stack->add_address(ifindex, v6).value();
    stack->poll(now());
  }
};

sockaddr_storage address(bool v6, uint16_t port, socklen_t* length) {
  sockaddr_storage s{};
  if (v6) {
    auto& a = reinterpret_cast<sockaddr_in6&>(s);
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(port);
    const uint8_t bytes[16] = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    std::memcpy(&a.sin6_addr, bytes, 16);
    *length = sizeof a;
  } else {
    auto& a = reinterpret_cast<sockaddr_in&>(s);
    a.sin_family = AF_INET;
    a.sin_port = htons(port);
    a.sin_addr.s_addr = htonl(0x0a000001);
    *length = sizeof a;
  }
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 3.0;
  bool v6 = false, gso = false;
  for (int i = 2; i < argc; ++i) {
    v6 |= std::strcmp(argv[i], "v6") == 0;
    gso |= std::strcmp(argv[i], "gso") == 0;
  }
  MemoryPairOptions options;
  options.mtu = 1500;
  options.max_gso_bytes = gso ? 65536 : 0;
  options.verifies_checksums = gso;
  options.takes_partial_checksums = gso;
  auto [a, b] = make_memory_pair(options);
  Host server(1, std::move(a), "10.0.0.1/24", "fd00::1/64");
  Host client(2, std::move(b), "10.0.0.2/24", "fd00::2/64");
  const int domain = v6 ? AF_INET6 : AF_INET;
  socklen_t length = 0;
  const sockaddr_storage to = address(v6, 5001, &length);
  const int l = server.stack->socket(domain, SOCK_STREAM, 0).value();
  server.stack->bind(l, reinterpret_cast<const sockaddr*>(&to), length).value();
  server.stack->listen(l, 16).value();
  const int c = client.stack->socket(domain, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
  (void)client.stack->connect(c, reinterpret_cast<const sockaddr*>(&to), length);
  int s = -1;
  std::vector<uint8_t> out(65536, 'x'), in(262144);
  uint64_t received = 0;
  const Time start = now();
  const Time end = start + Duration::from_ms(static_cast<int64_t>(seconds * 1000));
  uint64_t polls = 0;
  for (Time t = start; t < end; t = now(), ++polls) {
    client.stack->poll(t);
    server.stack->poll(t);
    if (s < 0) {
      if (auto r = server.stack->accept4(l, nullptr, nullptr, SOCK_NONBLOCK)) s = *r;
      continue;
    }
    while (client.stack->send(c, out.data(), out.size(), 0)) {
    }
    for (;;) {
      auto r = server.stack->recv(s, in.data(), in.size(), 0);
      if (!r || *r == 0) break;
      received += *r;
    }
  }
  const double elapsed = static_cast<double>((now() - start).ns()) / 1e9;
  std::printf("%.3f Gbit/s  (%.1f MiB in %.2f s, %llu turns)\n", static_cast<double>(received) * 8 / elapsed / 1e9,
              static_cast<double>(received) / 1048576.0, elapsed, static_cast<unsigned long long>(polls));
  (void)client.stack->close(c);
  if (s >= 0) (void)server.stack->close(s);
  (void)server.stack->close(l);
  return received == 0;
}
