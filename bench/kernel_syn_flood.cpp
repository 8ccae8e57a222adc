// The kernel's figures beside bench_syn_flood: the same flood at a listener of the kernel's in a network namespace that
// it makes (as root), the same honest clients over its loopback, all on the core it is given.
//   bench_kernel_syn_flood [SYNs a second=500000; 0: as many as it takes] [seconds=5] [tun|ring|drop]
// tun: each SYN is written to a TUN device, a system call for each. ring: the SYNs lie in a ring of a packet socket on
// one end of a veth pair, a system call for up to 256. drop: as tun, but the kernel's IP refuses them (a wrong checksum
// of the header), so that the way there has a figure of its own. The kernel verifies TCP's checksums; its answers go to
// a device that throws them away.
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "base/bytes.h"
#include "kernel_sockets.h"
#include "syn_flood.h"
#include "wire/checksum.h"

namespace {

using namespace leat;
using namespace leat::bench;

[[noreturn]] void fail(const char* what) {
  std::printf("kernel: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

// The kernel's calls in the shape of leat::Stack's.
struct KernelNet {
  static Result<int> number(int64_t r) { return r >= 0 ? Result<int>(static_cast<int>(r)) : err(errno); }
  static Result<size_t> bytes(ssize_t r) { return r >= 0 ? Result<size_t>(static_cast<size_t>(r)) : err(errno); }
  static Result<void> nothing(int r) { return r >= 0 ? Result<void>() : err(errno); }
  Result<int> socket(int domain, int type, int protocol) { return number(::socket(domain, type, protocol)); }
  Result<void> bind(int fd, const sockaddr* a, socklen_t n) { return nothing(::bind(fd, a, n)); }
  Result<void> listen(int fd, int backlog) { return nothing(::listen(fd, backlog)); }
  Result<void> connect(int fd, const sockaddr* a, socklen_t n) { return nothing(::connect(fd, a, n)); }
  Result<int> accept4(int fd, sockaddr* a, socklen_t* n, int flags) { return number(::accept4(fd, a, n, flags)); }
  Result<size_t> send(int fd, const void* b, size_t n, int flags) { return bytes(::send(fd, b, n, flags)); }
  Result<size_t> recv(int fd, void* b, size_t n, int flags) { return bytes(::recv(fd, b, n, flags)); }
  Result<void> close(int fd) { return nothing(::close(fd)); }
  Result<int> epoll_create1(int flags) { return number(::epoll_create1(flags)); }
  Result<void> epoll_ctl(int ep, int op, int fd, epoll_event* e) { return nothing(::epoll_ctl(ep, op, fd, e)); }
  Result<int> epoll_wait(int ep, epoll_event* e, int n, int ms) { return number(::epoll_wait(ep, e, n, ms)); }
};

void run(const std::string& command) {
  if (std::system(command.c_str()) != 0) fail(command.c_str());
}

void finish_syn(MutableBytes ip) {
  const IpAddress src = IpAddress::from_v4(load_be32(&ip[12])), dst = IpAddress::from_v4(load_be32(&ip[16]));
  const MutableBytes tcp = ip.subspan(wire::kIpv4HeaderBytes);
  const uint64_t pseudo = wire::pseudo_header_sum(src, dst, 6, static_cast<uint32_t>(tcp.size()));
  store_be16(&tcp[16], wire::checksum_fold(wire::checksum_add(pseudo, tcp)));
}

class Generator {
 public:
  virtual ~Generator() = default;
  virtual uint64_t send(uint64_t most) = 0;  // how many the kernel has taken

 protected:
  FloodSyns syns_;
};

int open_tun(const char* name) {
  const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  ifreq r{};
  std::strncpy(r.ifr_name, name, IFNAMSIZ - 1);
  r.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (fd < 0 || ioctl(fd, TUNSETIFF, &r) != 0) fail("/dev/net/tun");
  run(std::string("ip link set up dev ") + name);
  return fd;
}

class Tun final : public Generator {
 public:
  explicit Tun(bool is_refused) : is_refused_(is_refused), fd_(open_tun("wan")) {}
  ~Tun() override { close(fd_); }
  uint64_t send(uint64_t most) override {
    std::array<uint8_t, FloodSyns::kBytes> ip{};
    for (uint64_t i = 0; i < most; ++i) {
      syns_.write(ip);
      finish_syn(ip);
      if (is_refused_) ip[10] ^= 1;  // the checksum of the header
      if (write(fd_, ip.data(), ip.size()) < 0) fail("write to the TUN device");
    }
    return most;
  }

 private:
  bool is_refused_;
  int fd_;
};

class Ring final : public Generator {
 public:
  Ring() : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) {
    run("ip link add out type veth peer name wan && ip link set out up && ip link set wan up");
    const int version = TPACKET_V2, on = 1;
    const tpacket_req ring{
        .tp_block_size = kFrames * kFrame / 16, .tp_block_nr = 16, .tp_frame_size = kFrame, .tp_frame_nr = kFrames};
    if (fd_ < 0 || setsockopt(fd_, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0 ||
        setsockopt(fd_, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) != 0 ||
        setsockopt(fd_, SOL_PACKET, PACKET_TX_RING, &ring, sizeof ring) != 0) {
      fail("packet socket");
    }
    frames_ = static_cast<uint8_t*>(mmap(nullptr, kFrames * kFrame, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
    if (frames_ == MAP_FAILED) fail("mmap");
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_IP);
    at.sll_ifindex = static_cast<int>(if_nametoindex("out"));
    if (bind(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) fail("bind of the packet socket");
    read_address();
  }
  ~Ring() override { close(fd_); }
  uint64_t send(uint64_t most) override {
    uint64_t n = 0;
    for (; n < std::min<uint64_t>(most, kFrames); ++n) {
      auto* header = reinterpret_cast<tpacket2_hdr*>(frames_ + next_ * kFrame);
      if (__atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE) break;
      fill(reinterpret_cast<uint8_t*>(header) + TPACKET2_HDRLEN - sizeof(sockaddr_ll));
      header->tp_len = ETH_HLEN + FloodSyns::kBytes;
      __atomic_store_n(&header->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
      next_ = (next_ + 1) % kFrames;
    }
    if (n != 0 && ::send(fd_, nullptr, 0, 0) < 0) fail("send of the packet socket");
    return n;
  }

 private:
  static constexpr uint32_t kFrames = 1024, kFrame = 256;
  void read_address() {
    ifreq r{};
    std::strcpy(r.ifr_name, "wan");
    if (ioctl(fd_, SIOCGIFHWADDR, &r) != 0) fail("address of the veth device");
    std::memcpy(address_.data(), r.ifr_hwaddr.sa_data, address_.size());
  }
  void fill(uint8_t* frame) {
    std::memcpy(frame, address_.data(), address_.size());
    std::memset(frame + 6, 2, 6);
    frame[12] = 8;
    frame[13] = 0;
    const MutableBytes ip(frame + ETH_HLEN, FloodSyns::kBytes);
    syns_.write(ip);
    finish_syn(ip);
  }
  int fd_;
  uint8_t* frames_ = nullptr;
  uint32_t next_ = 0;
  std::array<uint8_t, 6> address_{};
};

uint64_t cookies_sent() {
  std::ifstream in("/proc/thread-self/net/netstat");
  std::string names, values, name, value;
  std::getline(in, names);
  std::getline(in, values);
  std::istringstream n(names), v(values);
  while (n >> name && v >> value) {
    if (name == "SyncookiesSent") return std::strtoull(value.c_str(), nullptr, 10);
  }
  return 0;
}

std::unique_ptr<Generator> make_generator(const std::string& how) {
  if (!enter_namespace()) fail("a network namespace (root is needed)");
  for (const char* conf : {"all", "default"})
    set_sysctl(std::string("net/ipv4/conf/") + conf + "/rp_filter", "0");
  std::unique_ptr<Generator> made;
  if (how == "ring") {
    made = std::make_unique<Ring>();
  } else {
    made = std::make_unique<Tun>(how == "drop");
  }
  (void)open_tun("away");  // for ever, and nobody reads it: when its queue is full it drops
  run("ip link set txqueuelen 1 dev away && ip address add 10.0.0.1/32 dev wan && ip route add 16.0.0.0/4 dev away");
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  const double rate = argc > 1 ? std::atof(argv[1]) : 500000;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 5;
  const std::string how = argc > 3 ? argv[3] : "tun";
  const auto flood = make_generator(how);
  KernelNet net;
  EchoServer<KernelNet> server(net);
  HonestClients<KernelNet> clients(net);
  const double cpu_before = cpu_seconds();
  FloodClock clock(rate, seconds);
  uint64_t waiting = 0, sent = 0;
  for (double t = 0; t < seconds + kPatience && !(clock.is_over(t) && clients.is_idle()); t = clock.now()) {
    waiting = clock.due(t, waiting);
    if (!clock.is_over(t)) clients.begin_those_due(t);
    const uint64_t taken = flood->send(std::min<uint64_t>(waiting, 256));
    sent += taken;
    waiting -= taken;
    server.serve();
    clients.look(clock.now());
  }
  std::printf("kernel, %s: %.0f SYNs a second asked, %.0f received a second, %.0f a second of CPU (cookies %llu); ",
              how.c_str(), rate, static_cast<double>(sent) / seconds,
              static_cast<double>(sent) / (cpu_seconds() - cpu_before),
              static_cast<unsigned long long>(cookies_sent()));
  clients.report();
  return 0;
}
