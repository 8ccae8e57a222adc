// What connect() costs as the ports towards one destination fill up: at 1 %, 50 % and 99 % of 64,512.
//   bench_connect_full [ROUNDS=5]
// The SYNs go nowhere. The kernel beside it does the same towards a blackhole-like destination when the program runs
// in a network namespace of its own (unshare -n) with a dummy device "d0": ip link add d0 type dummy; see bench/run.
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

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
template <class Open>
void measure(const char* who, Open&& open) {
  int opened = 0;
  std::printf("| %s |", who);
  for (const double share : {0.01, 0.5, 0.99}) {
    const int until = static_cast<int>(share * kPorts);
    std::vector<double> us;
    while (opened < until) {
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
  measure("leat", [&] {
    fds.push_back(stack->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value());
    const auto r = stack->connect(fds.back(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
    return r ? 0 : static_cast<int>(r.error());
  });
}

void measure_kernel() {
  const rlimit files{70000, 70000};
  if (setrlimit(RLIMIT_NOFILE, &files) != 0 || if_nametoindex("d0") == 0) return;  // not in such a namespace
  const sockaddr_in to = destination();
  std::vector<int> fds;
  measure("kernel", [&] {
    fds.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    return connect(fds.back(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
  });
  for (const int fd : fds)
    close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 1;
  std::printf("| us a socket() and connect() | 1 %% | 50 %% | 99 %% |\n|---|---|---|---|\n");
  for (int i = 0; i < rounds; ++i) {
    measure_leat();
    measure_kernel();
  }
  return 0;
}
