// What connect() costs as the ports towards one destination fill up: at 1 %, 50 % and 99 % of 64,512.
//   bench_connect_full [ROUNDS=5]
// The SYNs go nowhere. The kernel beside it does the same in a network namespace of the program's own, through a TUN
// device that nobody reads; without rights that line is left out.
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernel_sockets.h"
#include "leat/stack.h"
#include "link/link.h"

namespace {

using namespace leat;
using Clock = std::chrono::steady_clock;

constexpr int kPorts = 64512, kSample = 400;

class NowhereLink final : public Link {
 public:
  NowhereLink() { features_.takes_partial_checksums = true; }
  const LinkFeatures& features() const override { return features_; }
  size_t receive_batch(std::span<Packet*>, PacketPool&, Time) override { return 0; }
  void transmit_batch(std::span<Packet*> packets, Time) override {
    for (Packet* p : packets)
      PacketPtr freed(p);
  }
  Time next_event() const override { return Time::never(); }

 private:
  LinkFeatures features_;
};

sockaddr_in destination() {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(80);
  a.sin_addr.s_addr = htonl(0x0a630001);  // 10.99.0.1
  return a;
}

// Opens up to each share and measures the last kSample connects before it: us each, the median.
template <class Prepare, class Open>
void measure(const char* who, Prepare&& prepare, Open&& open) {
  int opened = 0;
  std::printf("| %s |", who);
  for (const double share : {0.01, 0.5, 0.99}) {
    const int until = static_cast<int>(share * kPorts);
    std::vector<double> us;
    while (opened < until) {
      if (!prepare()) return;
      const auto start = Clock::now();
      const int error = open();
      const double took = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
      if (error != EINPROGRESS) {
        std::printf(" connect %d failed: %d |\n", opened, error);
        return;
      }
      ++opened;
      if (until - opened < kSample) us.push_back(took);
    }
    std::nth_element(us.begin(), us.begin() + static_cast<std::ptrdiff_t>(us.size() / 2), us.end());
    std::printf(" %.2f |", us[us.size() / 2]);
  }
  std::printf("\n");
  std::fflush(stdout);
}

void measure_leat() {
  StackConfig config;
  config.seed.fill(1);
  config.sysctls = {{"net.ipv4.ip_local_port_range", "1024 65535"}};
  auto stack = Stack::create(config).value();
  const int ifindex = stack->add_link("d0", std::make_unique<NowhereLink>()).value();
  stack->add_address(ifindex, "10.99.0.2/16").value();
  stack->poll(Time::from_ns(1'000'000'000));
  const sockaddr_in to = destination();
  std::vector<int> fds;
  measure(
      "leat", [] { return true; },
      [&] {
        fds.push_back(stack->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value());
        const auto r = stack->connect(fds.back(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
        return r ? 0 : static_cast<int>(r.error());
      });
}

void measure_kernel() {
  const sockaddr_in to = destination();
  bench::OpenSockets sockets;
  measure(
      "kernel", [&] { return sockets.make_room(1); },
      [&] {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        sockets.add(fd);
        return connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
      });
}

bool make_kernel_ready() {
  return bench::enter_namespace() && bench::set_sysctl("net/ipv4/ip_local_port_range", "1024 65535") &&
         std::system("ip tuntap add d0 mode tun && ip addr add 10.99.0.2/16 dev d0 && ip link set d0 up") == 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 1;
  const bool has_kernel = make_kernel_ready();
  if (!has_kernel) std::printf("No rights for a network namespace: leat alone.\n\n");
  std::printf("| us a socket() and connect() | 1 %% | 50 %% | 99 %% |\n|---|---|---|---|\n");
  for (int i = 0; i < rounds; ++i) {
    measure_leat();
    if (has_kernel) measure_kernel();
  }
  return 0;
}
