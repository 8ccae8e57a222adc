// The kernel's figures beside bench_connections: connect-accept-close a second over loopback on the core it is given,
// and what an idle end costs it in slabs. In a network namespace of its own (unshare -n), as root.
//   bench_kernel_connections [cycles=100000] [idle connections=20000]
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

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

uint64_t slab_bytes() {
  std::ifstream file("/proc/slabinfo");
  std::string line;
  uint64_t bytes = 0;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string name;
    uint64_t active = 0, total = 0, size = 0;
    if (words >> name >> active >> total >> size) bytes += active * size;
  }
  return bytes;
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

void measure_idle(int listener, const sockaddr_in& to, int connections) {
  const int poller = epoll_create1(0);
  const int one = 1;
  std::vector<int> fds;
  const uint64_t before = slab_bytes();
  for (int i = 0; i < connections; ++i) {
    const int c = socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in from = endpoint(0x7f000002u + static_cast<uint32_t>(i) / 20000, 0);
    setsockopt(c, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
    if (bind(c, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) fail("bind");
    if (connect(c, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
    const int s = accept4(listener, nullptr, nullptr, 0);
    if (s < 0) fail("accept");
    char bytes[64] = {};
    for (const int fd : {c, s}) {
      setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
      epoll_event e{.events = EPOLLIN | EPOLLRDHUP, .data = {.fd = fd}};
      epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
      fds.push_back(fd);
    }
    if (write(c, bytes, sizeof bytes) != sizeof bytes || read(s, bytes, sizeof bytes) != sizeof bytes ||
        write(s, bytes, sizeof bytes) != sizeof bytes || read(c, bytes, sizeof bytes) != sizeof bytes) {
      fail("exchange");
    }
  }
  std::printf("kernel, loopback: %d idle connections: %.0f bytes of slabs an end\n", connections,
              static_cast<double>(slab_bytes() - before) / (2.0 * connections));
  for (const int fd : fds)
    close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  const int cycles = argc > 1 ? std::atoi(argv[1]) : 100000;
  const int idle = argc > 2 ? std::atoi(argv[2]) : 20000;
  const rlimit files{static_cast<rlim_t>(2 * idle + 100), static_cast<rlim_t>(2 * idle + 100)};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) fail("RLIMIT_NOFILE");
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in to = endpoint(INADDR_LOOPBACK, 8080);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 || listen(listener, 4096) != 0)
    fail("listen");
  if (idle > 0) measure_idle(listener, to, idle);
  if (cycles > 0) measure_cycles(listener, to, cycles);
  return 0;
}
