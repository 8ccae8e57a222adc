// The kernel's figure beside bulk_memory: one TCP connection over the loopback of a namespace of its own, MTU 1500, all
// offloads off, cubic, sender and receiver pinned to one core. Prints Gbit/s of payload. Needs root.
//   bench_kernel_bulk [seconds=3] [v4|v6] [offload]
#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

void pin_to_one_core() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) die("sched_setaffinity");
}

void set_up_loopback(bool offload) {
  if (unshare(CLONE_NEWNET) != 0) die("unshare (root is needed)");
  const int s = socket(AF_INET, SOCK_DGRAM, 0);
  ifreq r{};
  std::strcpy(r.ifr_name, "lo");
  r.ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING;
  if (ioctl(s, SIOCSIFFLAGS, &r) != 0) die("lo up");
  if (offload) return;
  r.ifr_mtu = 1500;
  if (ioctl(s, SIOCSIFMTU, &r) != 0) die("lo mtu");
  for (const uint32_t command : {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO}) {
    ethtool_value v{command, 0};
    r.ifr_data = reinterpret_cast<char*>(&v);
    if (ioctl(s, SIOCETHTOOL, &r) != 0) die("offload off");
  }
  close(s);
}

double run(int listener, const sockaddr_storage& to, socklen_t length, double seconds) {
  const pid_t child = fork();
  if (child == 0) {
    const int c = socket(to.ss_family, SOCK_STREAM, 0);
    setsockopt(c, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    if (connect(c, reinterpret_cast<const sockaddr*>(&to), length) != 0) die("connect");
    std::vector<char> out(65536, 'x');
    while (send(c, out.data(), out.size(), MSG_NOSIGNAL) > 0) {
    }
    _exit(0);
  }
  const int s = accept(listener, nullptr, nullptr);
  std::vector<char> in(262144);
  uint64_t received = 0;
  const auto start = std::chrono::steady_clock::now();
  double elapsed = 0;
  while (elapsed < seconds) {
    const ssize_t n = recv(s, in.data(), in.size(), 0);
    if (n <= 0) break;
    received += static_cast<uint64_t>(n);
    elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  close(s);
  waitpid(child, nullptr, 0);
  return static_cast<double>(received) * 8 / elapsed / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 3.0;
  bool v6 = false, offload = false;
  for (int i = 2; i < argc; ++i) {
    v6 |= std::strcmp(argv[i], "v6") == 0;
    offload |= std::strcmp(argv[i], "offload") == 0;
  }
  set_up_loopback(offload);
  pin_to_one_core();
  sockaddr_storage to{};
  socklen_t length;
  if (v6) {
    auto& a = reinterpret_cast<sockaddr_in6&>(to);
    a.sin6_family = AF_INET6;
    a.sin6_addr = in6addr_loopback;
    length = sizeof a;
  } else {
    auto& a = reinterpret_cast<sockaddr_in&>(to);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    length = sizeof a;
  }
  const int l = socket(to.ss_family, SOCK_STREAM, 0);
  setsockopt(l, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
  if (bind(l, reinterpret_cast<sockaddr*>(&to), length) != 0 || listen(l, 1) != 0) die("listen");
  getsockname(l, reinterpret_cast<sockaddr*>(&to), &length);
  std::printf("%.3f Gbit/s\n", run(l, to, length, seconds));
  return 0;
}
