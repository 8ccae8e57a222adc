// Many connections with both ends in memory: how fast they come, what an idle end costs, how fast they go.
//   bench_connections [connections=100000] [cycles=0] [at a time=1]
// Each connection exchanges a few bytes both ways, has keepalive on, and is registered with a poller. With `cycles`
// it measures connect-accept-close instead, so many at a time.
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "leat/stack.h"
#include "link/memory_link.h"
#include "stack/stack_impl.h"

namespace {

using namespace leat;
using Clock = std::chrono::steady_clock;

Time virtual_now = Time::from_ns(1'000'000'000);  // time stands still while connections are made: the fastest path

size_t resident_bytes() {
  FILE* f = std::fopen("/proc/self/statm", "r");
  size_t pages = 0, resident = 0;
  if (std::fscanf(f, "%zu %zu", &pages, &resident) != 2) resident = 0;
  std::fclose(f);
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

std::unique_ptr<Stack> make_stack(uint8_t seed, std::unique_ptr<Link> link, int addresses, int third) {
  StackConfig config;
  config.seed.fill(seed);
  config.max_files = 1000000000;
  config.sysctls = {{"fs.nr_open", "1073741816"}, {"net.ipv4.ip_local_port_range", "1024 65535"}};
  auto stack = Stack::create(config).value();
  const int ifindex = stack->add_link("mem0", std::move(link)).value();
  for (int i = 0; i < addresses; ++i) {
    const std::string cidr =
        "10." + std::to_string(third) + "." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1) + "/8";
    stack->add_address(ifindex, cidr).value();
  }
  stack->poll(virtual_now);
  return stack;
}

sockaddr_in endpoint(int third, int i, uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(0x0a000000u | static_cast<uint32_t>(third) << 16 | static_cast<uint32_t>(i / 250) << 8 |
                            static_cast<uint32_t>(i % 250 + 1));
  return a;
}

void run_both(Stack& a, Stack& b) {
  for (int i = 0; i < 4; ++i) {
    a.poll(virtual_now);
    b.poll(virtual_now);
  }
}

// Of this process: what a core that nobody shares would take.
double cpu_seconds() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

// Connect, accept, close on both sides, `batch` connections at a time: what a busy event loop has in a turn.
void measure_cycles(Stack& server, Stack& client, int listener, const sockaddr_in& to, int cycles, int batch) {
  std::vector<int> here(static_cast<size_t>(batch)), there;
  const auto start = Clock::now();
  const double cpu_before = cpu_seconds();
  int done = 0;
  while (done < cycles) {
    for (int& c : here) {
      c = client.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
      (void)client.connect(c, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    server.poll(virtual_now);
    client.poll(virtual_now);
    server.poll(virtual_now);
    there.clear();
    for (auto s = server.accept4(listener, nullptr, nullptr, SOCK_NONBLOCK); s;
         s = server.accept4(listener, nullptr, nullptr, SOCK_NONBLOCK))
      there.push_back(*s);
    for (const int c : here)
      client.close(c).value();
    server.poll(virtual_now);
    for (const int s : there)
      server.close(s).value();
    client.poll(virtual_now);
    server.poll(virtual_now);
    done += static_cast<int>(there.size());
    // Time-waits last a minute and take a port each: before ports are short, a minute passes.
    if (done / 20000 != (done - static_cast<int>(there.size())) / 20000)
      virtual_now = virtual_now + Duration::from_s(61);
  }
  const double t = seconds_since(start);
  const auto segments = client.counter("TcpOutSegs") + server.counter("TcpOutSegs");
  std::printf(
      "%d connect-accept-close, %d at a time, in %.2f s: %.0f a second, %.0f a second of CPU, %.1f segments each\n",
      done, batch, t, done / t, done / (cpu_seconds() - cpu_before), static_cast<double>(segments) / done);
}

}  // namespace

int main(int argc, char** argv) {
  const int connections = argc > 1 ? std::atoi(argv[1]) : 100000;
  const int cycles = argc > 2 ? std::atoi(argv[2]) : 0;
  const int batch = argc > 3 ? std::atoi(argv[3]) : 1;
  const int sources = connections / 50000 + 1;
  auto [x, y] = make_memory_pair({});
  auto server = make_stack(1, std::move(x), 1, 0);
  auto client = make_stack(2, std::move(y), sources, 1);
  const int l = server->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
  const sockaddr_in to = endpoint(0, 0, 80);
  server->bind(l, reinterpret_cast<const sockaddr*>(&to), sizeof to).value();
  server->listen(l, 4096).value();

  if (cycles > 0) {
    measure_cycles(*server, *client, l, to, cycles, batch);
    return 0;
  }

  const size_t before = resident_bytes();
  const int server_poller = server->epoll_create1(0).value();
  const int client_poller = client->epoll_create1(0).value();
  std::vector<int> ends;
  const auto start = Clock::now();
  const int one = 1;
  int accepted = 0;
  uint8_t bytes[64] = {};
  for (int i = 0; i < connections; ++i) {
    const int c = client->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
    const sockaddr_in from = endpoint(1, i % sources, 0);
    client->setsockopt(c, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one).value();
    client->bind(c, reinterpret_cast<const sockaddr*>(&from), sizeof from).value();
    auto r = client->connect(c, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    if (!r && static_cast<int>(r.error()) != EINPROGRESS) {
      std::printf("connect %d: %s\n", i, std::strerror(static_cast<int>(r.error())));
      return 1;
    }
    run_both(*server, *client);
    const auto accepted_end = server->accept4(l, nullptr, nullptr, SOCK_NONBLOCK);
    if (!accepted_end) {
      std::printf("accept %d: %s\n", i, std::strerror(static_cast<int>(accepted_end.error())));
      for (auto* side : {client.get(), server.get()}) {
        for (const auto& n : side->counters()) {
          if (n.value != 0)
            std::printf("  %s%s %llu\n", n.group.c_str(), n.name.c_str(), static_cast<unsigned long long>(n.value));
        }
      }
      return 1;
    }
    const int s = *accepted_end;
    ++accepted;
    for (auto [stack, fd, poller] : {std::tuple{client.get(), c, client_poller}, {server.get(), s, server_poller}}) {
      stack->setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one).value();
      epoll_event e{};
      e.events = EPOLLIN | EPOLLRDHUP;
      e.data.fd = fd;
      stack->epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e).value();
    }
    client->send(c, bytes, sizeof bytes, 0).value();
    run_both(*server, *client);
    server->recv(s, bytes, sizeof bytes, 0).value();
    server->send(s, bytes, sizeof bytes, 0).value();
    run_both(*server, *client);
    client->recv(c, bytes, sizeof bytes, 0).value();
    run_both(*server, *client);
    if (i % 1000 == 999) virtual_now = virtual_now + Duration::from_ms(100);
  }
  const double t = seconds_since(start);
  for (int i = 0; i < 100; ++i) {
    virtual_now = virtual_now + Duration::from_ms(100);
    run_both(*server, *client);
  }
  const size_t after = resident_bytes();
  std::printf("%d connections in %.2f s: %.0f a second; %.1f bytes an end\n", accepted, t, accepted / t,
              static_cast<double>(after - before) / (2.0 * accepted));
  for (auto* s : {server.get(), client.get()}) {
    auto& tcp = s->impl().tcp;
    std::printf("  dormant %zu (%.1f B each), conns %zu, socks %zu (%.1f B each), ehash %.1f B, ports %.1f B\n",
                tcp.dormants.in_use(), double(tcp.dormants.bytes()) / accepted, tcp.conns.in_use(), tcp.socks.in_use(),
                double(tcp.socks.bytes()) / accepted, double(tcp.established.bytes()) / accepted,
                double(tcp.ports.bytes()) / accepted);
    std::printf("  conns %.1f MB, packets %.1f MB in use %zu\n", double(tcp.conns.bytes()) / 1e6,
                double(s->impl().pool.bytes()) / 1e6, s->impl().pool.packets_in_use());
  }
  return 0;
}
