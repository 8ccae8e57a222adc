// The kernel's figures beside bench_connections: connect-accept-close a second over loopback on the core it is given,
// and what an idle end costs it in slabs (/proc/slabinfo). In a network namespace that it makes, as root.
//   bench_kernel_connections [cycles=100000] [idle connections=20000]
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "kernel_sockets.h"

namespace {

using namespace leat;

using Clock = std::chrono::steady_clock;

sockaddr_in endpoint(uint32_t address, uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(address);
  return a;
}

[[noreturn]] void fail(const char* what) {
  std::printf("kernel: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

struct SlabUse {
  double objects = 0, bytes = 0;  // bytes in pages that the slab has from the system, as slabtop counts
};
using Growth = SlabUse;

std::map<std::string, SlabUse> slabs() {
  std::ifstream file("/proc/slabinfo");
  std::string line;
  std::map<std::string, SlabUse> all;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name, colon, word;
    uint64_t active = 0, total = 0, size = 0, objects = 0, pages = 0, active_slabs = 0, count = 0;
    if (!(words >> name >> active >> total >> size >> objects >> pages)) continue;
    while (words >> word && word != "slabdata") {
    }
    if (words >> active_slabs >> count)
      all[name] = {static_cast<double>(active), static_cast<double>(count * pages * 4096)};
  }
  return all;
}

uint64_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word && word != "MemAvailable:") {
  }
  uint64_t kb = 0;
  file >> kb;
  return kb * 1024;
}

double cpu_seconds() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void measure_cycles(int listener, const sockaddr_in& to, int cycles) {
  const auto start = Clock::now();
  const double cpu_before = cpu_seconds();
  for (int i = 0; i < cycles; ++i) {
    const int c = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
    const int s = accept4(listener, nullptr, nullptr, 0);
    close(c);
    close(s);
  }
  const double t = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf("kernel, loopback: %d connect-accept-close in %.2f s: %.0f a second, %.0f a second of CPU\n", cycles, t,
              cycles / t, cycles / (cpu_seconds() - cpu_before));
}

// One connection as `leat million` makes them: 64 bytes each way, keepalive on, both ends in a poller.
void open_idle(int listener, const sockaddr_in& to, int i, int poller, bench::OpenSockets& sockets) {
  const int one = 1;
  const int c = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in from = endpoint(0x7f010001u + static_cast<uint32_t>(i) / 20000, 0);
  setsockopt(c, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
  if (bind(c, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) fail("bind");
  if (connect(c, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
  const int s = accept4(listener, nullptr, nullptr, 0);
  if (s < 0) fail("accept");
  for (const int fd : {c, s}) {
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    epoll_event e{.events = EPOLLIN | EPOLLRDHUP, .data = {.fd = fd}};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) != 0) fail("epoll_ctl");
    sockets.add(fd);
  }
  char bytes[64] = {};
  if (write(c, bytes, sizeof bytes) != sizeof bytes || read(s, bytes, sizeof bytes) != sizeof bytes ||
      write(s, bytes, sizeof bytes) != sizeof bytes || read(c, bytes, sizeof bytes) != sizeof bytes) {
    fail("exchange");
  }
}

// Whoever looks at /proc/PID/fd meanwhile, as monitors do, leaves an inode and a dentry there for each descriptor:
// those are not the connections'.
void leave_out_proc_inodes(std::map<std::string, Growth>& grown) {
  const double inodes = grown["proc_inode_cache"].objects;
  if (inodes <= 0) return;
  grown.erase("proc_inode_cache");
  for (const char* with_each : {"dentry", "lsm_inode_cache"}) {
    Growth& g = grown[with_each];
    if (g.objects > inodes) g.bytes -= g.bytes / g.objects * inodes;
  }
  std::printf("kernel: without %.0f inodes of /proc that somebody else looked at\n", inodes);
}

void print_growth(const std::map<std::string, SlabUse>& before, double ends) {
  std::map<std::string, Growth> grown;
  for (const auto& [name, now] : slabs()) {
    const auto was = before.find(name);
    const SlabUse use = was == before.end() ? SlabUse{} : was->second;
    grown[name] = {now.objects - use.objects, now.bytes - use.bytes};
  }
  leave_out_proc_inodes(grown);
  std::vector<std::pair<double, std::string>> rows;
  double sum = 0;
  for (const auto& [name, growth] : grown) {
    sum += growth.bytes;
    if (growth.bytes / ends >= 8) rows.emplace_back(growth.bytes / ends, name);
  }
  std::sort(rows.rbegin(), rows.rend());
  std::printf("kernel, loopback: %.0f bytes of slabs an end:", sum / ends);
  for (const auto& [bytes, name] : rows)
    std::printf(" %s %.0f", name.c_str(), bytes);
  std::printf("\n");
}

void measure_idle(int listener, const sockaddr_in& to, int wanted) {
  constexpr uint64_t kAnEnd = 6000, kSpare = uint64_t{2} << 30;
  const uint64_t available = available_bytes();
  const auto most = static_cast<int>((available < kSpare ? 0 : available - kSpare) / (2 * kAnEnd));
  const int connections = std::min(wanted, most);
  if (connections < wanted) std::printf("kernel: memory for %d connections, not %d\n", connections, wanted);
  if (connections == 0) return;
  bench::OpenSockets sockets;
  const int poller = epoll_create1(0);
  const auto before = slabs();
  const auto start = Clock::now();
  for (int i = 0; i < connections; ++i) {
    if (!sockets.make_room(2)) fail("fork");
    open_idle(listener, to, i, poller, sockets);
  }
  const double t = std::chrono::duration<double>(Clock::now() - start).count();
  std::printf("kernel, loopback: %d idle connections in %zu processes, %.0f opened a second\n", connections,
              sockets.processes(), connections / t);
  print_growth(before, 2.0 * connections);
  close(poller);
}

}  // namespace

int main(int argc, char** argv) {
  const int cycles = argc > 1 ? std::atoi(argv[1]) : 100000;
  const int idle = argc > 2 ? std::atoi(argv[2]) : 20000;
  if (!bench::enter_namespace()) fail("a network namespace");
  // The client closes first and leaves a time-wait for each of its ports: without these it runs out of them.
  if (!bench::set_sysctl("net/ipv4/ip_local_port_range", "1024 65535") ||
      !bench::set_sysctl("net/ipv4/tcp_tw_reuse", "1")) {
    fail("sysctl");
  }
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in to = endpoint(INADDR_LOOPBACK, 8080);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 || listen(listener, 4096) != 0)
    fail("listen");
  if (idle > 0) measure_idle(listener, to, idle);
  if (cycles > 0) measure_cycles(listener, to, cycles);
  return 0;
}
