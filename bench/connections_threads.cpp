// Connect-accept-close a second with a core for each end: two stacks joined in memory, a thread each.
//   bench_connections_threads [connections=200000] [at a time=64]
// The client closes as soon as it is connected, the server when it reads the end; both wait with epoll. Time stands
// still but for a minute now and then, after which the time-waits give their ports back.
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "leat/stack.h"
#include "link/memory_link.h"

namespace {

using namespace leat;
using Clock = std::chrono::steady_clock;

constexpr int kBetweenMinutes = 20000;
std::atomic<int64_t> virtual_ns{1'000'000'000};
std::atomic<bool> is_done{false};
std::atomic<int> closed_there{0};

Time now() {
  return Time::from_ns(virtual_ns.load(std::memory_order_relaxed));
}

void use_core(unsigned core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

sockaddr_in server_address() {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(80);
  a.sin_addr.s_addr = htonl(0x0a000001);
  return a;
}

std::unique_ptr<Stack> make_stack(uint8_t seed, std::unique_ptr<Link> link, const char* cidr) {
  StackConfig config;
  config.seed.fill(seed);
  config.max_files = 1000000;
  config.sysctls = {{"net.ipv4.ip_local_port_range", "1024 65535"}};
  auto stack = Stack::create(config).value();
  stack->add_address(stack->add_link("mem0", std::move(link)).value(), cidr).value();
  stack->poll(now());
  return stack;
}

void watch(Stack& s, int poller, int fd, uint32_t events) {
  epoll_event e{.events = events, .data = {.fd = fd}};
  s.epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e).value();
}

void serve(Stack& s, int listener) {
  use_core(1);
  const int poller = s.epoll_create1(0).value();
  watch(s, poller, listener, EPOLLIN);
  epoll_event events[64];
  uint8_t byte;
  while (!is_done.load(std::memory_order_relaxed)) {
    s.poll(now());
    const int n = s.epoll_wait(poller, events, 64, 0).value();
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (fd != listener) {
        const auto got = s.recv(fd, &byte, 1, 0);
        if (!got && static_cast<int>(got.error()) == EAGAIN) continue;
        s.close(fd).value();
        closed_there.fetch_add(1, std::memory_order_relaxed);
        continue;
      }
      for (auto c = s.accept4(listener, nullptr, nullptr, SOCK_NONBLOCK); c;
           c = s.accept4(listener, nullptr, nullptr, SOCK_NONBLOCK))
        watch(s, poller, *c, EPOLLIN);
    }
  }
}

void connect_and_close(Stack& s, int connections, int at_a_time) {
  use_core(0);
  const int poller = s.epoll_create1(0).value();
  const sockaddr_in to = server_address();
  int begun = 0, done = 0;
  epoll_event events[64];
  while (done < connections) {
    for (; begun < connections && begun - done < at_a_time; ++begun) {
      const int fd = s.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
      watch(s, poller, fd, EPOLLOUT);
      (void)s.connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    }
    s.poll(now());
    const int n = s.epoll_wait(poller, events, 64, 0).value();
    for (int i = 0; i < n; ++i, ++done) {
      s.close(events[i].data.fd).value();
      if (done % kBetweenMinutes == kBetweenMinutes - 1) virtual_ns += Duration::from_s(61).ns();
    }
  }
  const auto patience = Clock::now() + std::chrono::seconds(10);
  while (closed_there.load(std::memory_order_relaxed) < connections && Clock::now() < patience)
    s.poll(now());
}

}  // namespace

int main(int argc, char** argv) {
  const int connections = argc > 1 ? std::atoi(argv[1]) : 200000;
  const int at_a_time = argc > 2 ? std::atoi(argv[2]) : 64;
  auto [x, y] = make_memory_pair({});
  auto server = make_stack(1, std::move(x), "10.0.0.1/8");
  auto client = make_stack(2, std::move(y), "10.1.0.1/8");
  const int listener = server->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
  const sockaddr_in at = server_address();
  server->bind(listener, reinterpret_cast<const sockaddr*>(&at), sizeof at).value();
  server->listen(listener, 4096).value();
  std::thread other([&] { serve(*server, listener); });
  const auto start = Clock::now();
  const double cpu_before = thread_seconds();
  connect_and_close(*client, connections, at_a_time);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double cpu = thread_seconds() - cpu_before;
  is_done = true;
  other.join();
  for (int i = 0; i < 100; ++i) {  // what is still between them arrives: a stack outlives its packets
    server->poll(now());
    client->poll(now());
  }
  std::printf(
      "%d connect-accept-close, a core for each end, %d at a time, in %.2f s: %.0f a second, %.0f of the client's "
      "CPU\n",
      connections, at_a_time, seconds, connections / seconds, connections / cpu);
  const auto reset = client->counter("TcpEstabResets") + server->counter("TcpEstabResets");
  if (reset != 0) std::printf("  %llu ended by a reset\n", static_cast<unsigned long long>(reset));
  return 0;
}
