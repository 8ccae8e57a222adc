// TUN and TAP against the host's kernel, each in a network namespace of its own: the test runs on a thread that left
// the host's namespace, and everything goes away with the thread. Skipped, with the reason, without rights.
#include "link/tun.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "frames.h"
#include "link/tun_kernel_side.h"
#include "wire/tcp.h"

namespace leat {
namespace {

using namespace leat::test;
using testing::HasSubstr;

// Runs `body` in a new network namespace; the text is the reason why it could not.
std::string in_namespace(const std::function<void()>& body) {
  std::string reason;
  std::thread([&] {
    if (unshare(CLONE_NEWNET) != 0) {
      reason = std::string("no right to make a network namespace: ") + strerror(errno);
    } else if (const int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC); fd < 0) {
      reason = std::string("no /dev/net/tun: ") + strerror(errno);
    } else {
      close(fd);
      body();
    }
  }).join();
  return reason;
}
#define IN_NAMESPACE(...) \
  if (const std::string reason = in_namespace(__VA_ARGS__); !reason.empty()) GTEST_SKIP() << reason

class Deadline {
 public:
  bool is_over() const { return std::chrono::steady_clock::now() > end_; }

 private:
  std::chrono::steady_clock::time_point end_ = std::chrono::steady_clock::now() + std::chrono::seconds(20);
};

// A device that is up, its kernel side 10.0.0.1/24 and fd00::1/64.
template <class L>
struct Device {
  explicit Device(TunOptions options = {.name = "leat0"}) {
    std::string error;
    auto opened = L::open(options, error);
    EXPECT_TRUE(opened.has_value()) << error;
    link = std::move(*opened);
    const auto done = configure_kernel_side(
        {.name = link->name(), .addresses = {*Cidr::parse("10.0.0.1/24"), *Cidr::parse("fd00::1/64")}}, error);
    EXPECT_TRUE(done.has_value()) << error;
  }
  // The next packet for which `wanted` says yes; nullptr when none comes in time.
  PacketPtr next(const std::function<bool(const Packet&)>& wanted) {
    for (Deadline deadline; !deadline.is_over();) {
      if (PacketPtr p = receive(*link, pool, at_us(1)); p != nullptr) {
        if (wanted(*p)) return p;
        continue;
      }
      pollfd poller{link->poll_fd(), POLLIN, 0};
      poll(&poller, 1, 100);
    }
    return nullptr;
  }
  PacketPool pool;
  std::unique_ptr<L> link;
};

bool is_v4(const Packet& p, uint8_t protocol) {
  return p.data[0] == 0x45 && p.data[9] == protocol;
}

// Turns a received ICMP echo request into its reply, in place.
void make_reply(Packet& p) {
  uint8_t* ip = p.data;
  if (ip[0] >> 4 == 4) {
    for (int i = 0; i < 4; ++i)
      std::swap(ip[12 + i], ip[16 + i]);
    ip[20] = 0;
    store_be16(ip + 22, 0);
    store_be16(ip + 22, wire::checksum_fold(wire::checksum_packet(0, p, 20)));
    return;
  }
  for (int i = 0; i < 16; ++i)
    std::swap(ip[8 + i], ip[24 + i]);
  ip[40] = 129;
  store_be16(ip + 42, 0);
  const uint64_t pseudo =
      wire::pseudo_header_sum(IpAddress::from_v6_bytes(ip + 8), IpAddress::from_v6_bytes(ip + 24), 58, p.length - 40);
  store_be16(ip + 42, wire::checksum_fold(wire::checksum_packet(pseudo, p, 40)));
}

// Starts ping and answers it; its exit status.
int answer_ping(Device<TunLink>& device, const char* target, const char* size) {
  const char* argv[] = {"ping", "-n", "-c", "3", "-i", "0.2", "-W", "5", "-s", size, target, nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  if (posix_spawnp(&pid, "ping", &actions, nullptr, const_cast<char**>(argv), environ) != 0) return -1;
  posix_spawn_file_actions_destroy(&actions);
  const bool v6 = strchr(target, ':') != nullptr;
  int status = 0, answered = 0;
  for (Deadline deadline; !deadline.is_over() && waitpid(pid, &status, WNOHANG) == 0;) {
    pollfd poller{device.link->poll_fd(), POLLIN, 0};
    poll(&poller, 1, 20);
    Packet* batch[8];
    const size_t n = device.link->receive_batch(batch, device.pool, at_us(5));
    for (PacketPtr p; Packet * raw : std::span(batch, n)) {
      p.reset(raw);
      EXPECT_EQ(p->received, at_us(5));
      const bool is_request =
          v6 ? p->data[0] >> 4 == 6 && p->data[6] == 58 && p->data[40] == 128 : is_v4(*p, 1) && p->data[20] == 8;
      if (!is_request) continue;
      ++answered;
      make_reply(*p);
      send(*device.link, std::move(p), at_us(6));
    }
  }
  EXPECT_EQ(answered, 3);
  return status;
}

TEST(Tun, TheKernelPingsUsOverIpv4AndIpv6) {
  if (access("/usr/bin/ping", X_OK) != 0 && access("/bin/ping", X_OK) != 0) GTEST_SKIP() << "ping is not installed";
  IN_NAMESPACE([] {
    Device<TunLink> device;
    EXPECT_EQ(device.link->features().mtu, 1500u);
    EXPECT_EQ(answer_ping(device, "10.0.0.2", "56"), 0);
    EXPECT_EQ(answer_ping(device, "fd00::2", "1000"), 0);
    EXPECT_EQ(device.link->dropped(), 0u);
  });
}

TEST(Tun, FramesLargerThanTheLinearPartArriveInAFragment) {
  IN_NAMESPACE([] {
    Device<TunLink> device({.name = "leat0", .mtu = 9000});
    std::string error;
    ASSERT_TRUE(configure_kernel_side({.name = "leat0", .mtu = 9000}, error).has_value()) << error;
    EXPECT_EQ(answer_ping(device, "10.0.0.2", "8900"), 0);
  });
}

int udp_socket(const char* local) {
  const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  timeval patience{10, 0};
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(5000);
  inet_pton(AF_INET, local, &a.sin_addr);
  EXPECT_EQ(bind(s, reinterpret_cast<sockaddr*>(&a), sizeof a), 0) << strerror(errno);
  return s;
}

void send_udp(int s, size_t bytes) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(4000);
  inet_pton(AF_INET, "10.0.0.2", &to.sin_addr);
  const std::vector<uint8_t> payload(bytes, 'k');
  EXPECT_EQ(sendto(s, payload.data(), bytes, 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
            static_cast<ssize_t>(bytes));
}

TEST(Tun, AKernelSocketGetsWhatWeSendPiecesAndAll) {
  IN_NAMESPACE([] {
    Device<TunLink> device;
    const int s = udp_socket("10.0.0.1");
    PacketPtr whole = make_udp(device.pool, {.payload = 1000, .partial = true, .id = 0x4142});
    PacketPtr pieces = device.pool.clone(*whole, 28, whole->headroom());
    whole.reset();
    ASSERT_GT(pieces->frag_count, 0);
    send(*device.link, std::move(pieces), at_us(1));
    char got[2000];
    ASSERT_EQ(recv(s, got, sizeof got, 0), 1000);
    EXPECT_EQ(std::string(got, 4), "ABaa");
    close(s);
    EXPECT_EQ(device.link->dropped(), 0u);
    EXPECT_EQ(device.pool.packets_in_use(), 0u);
  });
}

TEST(Tun, WithoutOffloadAReceivedChecksumIsFinishedAndOursToCheck) {
  IN_NAMESPACE([] {
    Device<TunLink> device;
    EXPECT_EQ(device.link->features().max_gso_bytes, 0u);
    EXPECT_FALSE(device.link->features().takes_partial_checksums);
    const int s = udp_socket("10.0.0.1");
    send_udp(s, 500);
    PacketPtr p = device.next([](const Packet& q) { return is_v4(q, 17); });
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(p->length, 528u);
    EXPECT_EQ(p->checksum, Checksum::kNone);
    EXPECT_TRUE(has_good_checksum(*p));
    close(s);
  });
}

TEST(Tun, WithOffloadTheKernelLeavesTheChecksumToUs) {
  IN_NAMESPACE([] {
    Device<TunLink> device({.name = "leat0", .offload = true});
    const int s = udp_socket("10.0.0.1");
    send_udp(s, 500);
    PacketPtr p = device.next([](const Packet& q) { return is_v4(q, 17); });
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(p->checksum, Checksum::kVerified);
    ASSERT_TRUE(has_partial_checksum(*p));
    EXPECT_TRUE(complete_checksum(*p));
    EXPECT_TRUE(has_good_checksum(*p));
    close(s);
  });
}

TEST(Tun, ASuperSegmentOfUdpIsSplitByTheKernel) {
  IN_NAMESPACE([] {
    Device<TunLink> device({.name = "leat0", .offload = true});
    const int s = udp_socket("10.0.0.1");
    PacketPtr super = make_udp(device.pool, {.payload = 2500, .partial = true});
    super->gso_size = 1000;
    super->gso_segs = 3;
    super->gso_type = GsoType::kUdp;
    send(*device.link, std::move(super), at_us(1));
    char got[4000];
    EXPECT_EQ(recv(s, got, sizeof got, 0), 1000);
    EXPECT_EQ(recv(s, got, sizeof got, 0), 1000);
    EXPECT_EQ(recv(s, got, sizeof got, 0), 500);
    EXPECT_EQ(device.link->dropped(), 0u);
    close(s);
  });
}

TEST(Tun, TheKernelGivesASuperSegmentOfUdpWhole) {
  IN_NAMESPACE([] {
    Device<TunLink> device({.name = "leat0", .offload = true});
    const int s = udp_socket("10.0.0.1");
    const int segment = 1000;
    if (setsockopt(s, SOL_UDP, 103 /* UDP_SEGMENT */, &segment, sizeof segment) != 0) return;
    send_udp(s, 4500);
    PacketPtr p = device.next([](const Packet& q) { return is_v4(q, 17); });
    ASSERT_NE(p, nullptr);
    if (p->gso_size == 0) return;  // a kernel before 6.2 splits before TUN
    EXPECT_EQ(p->length, 4528u);
    EXPECT_EQ(p->gso_size, 1000);
    EXPECT_EQ(p->gso_segs, 5);
    EXPECT_EQ(p->gso_type, GsoType::kUdp);
    EXPECT_EQ(bytes_of(*p)[4527], 'k');
    close(s);
  });
}

// A TCP segment from 10.0.0.2:4000 to 10.0.0.1:5000.
PacketPtr make_tcp(PacketPool& pool, uint32_t seq, uint32_t ack, uint8_t flags, uint32_t payload, uint16_t gso_size) {
  wire::TcpHeader h;
  h.src_port = 4000;
  h.dst_port = 5000;
  h.seq = seq;
  h.ack = ack;
  h.flags = flags;
  h.window = 65535;
  if (h.syn()) h.options.mss = 1000;
  const uint32_t tcp_bytes = wire::tcp_header_length(h);
  PacketPtr p = pool.make(payload, kHeadroom);
  std::memset(p->put(payload), 't', payload);
  wire::emit_tcp(h, {p->push(tcp_bytes), tcp_bytes});
  p->set_transport_header();
  const IpAddress src = *IpAddress::parse("10.0.0.2"), dst = *IpAddress::parse("10.0.0.1");
  store_be16(p->data + 16,
             static_cast<uint16_t>(~wire::checksum_fold(wire::pseudo_header_sum(src, dst, 6, tcp_bytes + payload))));
  p->checksum = Checksum::kPartial;
  p->csum_start = p->transport_offset;
  p->csum_offset = 16;
  p->gso_size = gso_size;
  p->gso_type = gso_size == 0 ? GsoType::kNone : GsoType::kTcp4;
  wire::Ipv4Header ip;
  ip.total_length = static_cast<uint16_t>(p->length + 20);
  ip.ttl = 64;
  ip.protocol = 6;
  ip.src = src;
  ip.dst = dst;
  wire::emit_ipv4(ip, {p->push(20), 20});
  return p;
}

wire::TcpHeader tcp_of(const Packet& p) {
  return *wire::parse_tcp({p.data + 20, p.linear_length() - 20});
}

// A listening kernel socket; our side of the handshake is made by hand. The accepted socket.
int accept_from_us(Device<TunLink>& device, uint32_t& peer_seq) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(5000);
  inet_pton(AF_INET, "10.0.0.1", &a.sin_addr);
  EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
  EXPECT_EQ(listen(listener, 1), 0);
  send(*device.link, make_tcp(device.pool, 99, 0, wire::kTcpSyn, 0, 0), at_us(1));
  PacketPtr syn_ack = device.next([](const Packet& q) { return is_v4(q, 6) && tcp_of(q).syn(); });
  if (syn_ack == nullptr) return -1;
  peer_seq = tcp_of(*syn_ack).seq + 1;
  send(*device.link, make_tcp(device.pool, 100, peer_seq, wire::kTcpAck, 0, 0), at_us(1));
  timeval patience{10, 0};
  setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const int s = accept(listener, nullptr, nullptr);
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  close(listener);
  return s;
}

TEST(Tun, SuperSegmentsOfTcpPassWholeInBothDirections) {
  IN_NAMESPACE([] {
    Device<TunLink> device({.name = "leat0", .offload = true});
    uint32_t peer_seq = 0;
    const int s = accept_from_us(device, peer_seq);
    ASSERT_GE(s, 0);
    send(*device.link, make_tcp(device.pool, 100, peer_seq, wire::kTcpAck | wire::kTcpPsh, 4000, 1000), at_us(1));
    std::vector<char> bytes(5000);
    EXPECT_EQ(recv(s, bytes.data(), 4000, MSG_WAITALL), 4000);
    EXPECT_EQ(bytes[3999], 't');
    EXPECT_EQ(::send(s, bytes.data(), 4000, 0), 4000);
    PacketPtr super = device.next([](const Packet& q) { return is_v4(q, 6) && q.length > 40 + 1000; });
    ASSERT_NE(super, nullptr);
    EXPECT_EQ(super->gso_size, 1000);
    EXPECT_EQ(super->gso_type, GsoType::kTcp4);
    EXPECT_EQ(super->gso_segs, (super->length - 40 + 999) / 1000);
    EXPECT_EQ(super->checksum, Checksum::kVerified);
    EXPECT_EQ(tcp_of(*super).seq, peer_seq);
    EXPECT_EQ(tcp_of(*super).ack, 4100u);
    EXPECT_EQ(device.link->dropped() + device.link->malformed(), 0u);
    close(s);
  });
}

TEST(Tap, CarriesEthernetFramesBothWays) {
  IN_NAMESPACE([] {
    Device<TapLink> device;
    const LinkFeatures& f = device.link->features();
    EXPECT_EQ(f.kind, LinkKind::kEthernet);
    EXPECT_EQ(f.mac[0], 0x02);
    const int s = udp_socket("10.0.0.1");
    send_udp(s, 100);  // the kernel asks who has 10.0.0.2
    PacketPtr request = device.next([](const Packet& q) { return load_be16(q.data + 12) == 0x0806; });
    ASSERT_NE(request, nullptr);
    uint8_t kernel_mac[6];
    std::memcpy(kernel_mac, request->data + 6, 6);
    EXPECT_EQ(IpAddress::from_v4_bytes(request->data + 38), *IpAddress::parse("10.0.0.2"));
    // The reply: who asked comes first, then we.
    uint8_t reply[42];
    std::memcpy(reply, request->data, 42);
    std::memcpy(reply, kernel_mac, 6);
    std::memcpy(reply + 6, f.mac, 6);
    reply[21] = 2;
    std::memcpy(reply + 22, f.mac, 6);
    std::memcpy(reply + 28, request->data + 38, 4);
    std::memcpy(reply + 32, request->data + 22, 10);
    send(*device.link, device.pool.make_copy({reply, 42}), at_us(1));
    PacketPtr datagram =
        device.next([](const Packet& q) { return load_be16(q.data + 12) == 0x0800 && q.data[23] == 17; });
    ASSERT_NE(datagram, nullptr);
    EXPECT_EQ(datagram->length, 142u);
    EXPECT_EQ(std::memcmp(datagram->data, f.mac, 6), 0);
    close(s);
  });
}

TEST(Tun, SetsUpTheKernelsSideWithMtuAddressesAndRoutes) {
  IN_NAMESPACE([] {
    Device<TunLink> device;
    std::string error;
    const KernelSide side{.name = "leat0",
                          .addresses = {*Cidr::parse("10.9.0.1/16"), *Cidr::parse("10.0.0.1/24")},
                          .mtu = 1400,
                          .routes = {{*Cidr::parse("192.0.2.0/24"), *IpAddress::parse("10.9.0.2")},
                                     {*Cidr::parse("198.51.100.0/24"), {}},
                                     {*Cidr::parse("0.0.0.0/0"), *IpAddress::parse("10.0.0.2")},
                                     {*Cidr::parse("2001:db8::/32"), *IpAddress::parse("fd00::2")},
                                     {*Cidr::parse("2001:db9::/32"), {}}}};
    ASSERT_TRUE(configure_kernel_side(side, error).has_value()) << error;
    ASSERT_TRUE(configure_kernel_side(side, error).has_value()) << error;  // once more changes nothing
    const auto source_for = [](const char* target) {
      const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(9);
      inet_pton(AF_INET, target, &to.sin_addr);
      socklen_t n = sizeof to;
      const bool ok = connect(s, reinterpret_cast<sockaddr*>(&to), n) == 0 &&
                      getsockname(s, reinterpret_cast<sockaddr*>(&to), &n) == 0;
      close(s);
      return ok ? IpAddress::from_v4(ntohl(to.sin_addr.s_addr)).to_string() : std::string("none");
    };
    EXPECT_EQ(source_for("192.0.2.7"), "10.9.0.1");
    EXPECT_EQ(source_for("10.0.0.7"), "10.0.0.1");
    EXPECT_EQ(source_for("203.0.113.1"), "10.0.0.1");
    ASSERT_TRUE(configure_kernel_side({.name = "leat0", .up = false}, error).has_value()) << error;
    EXPECT_EQ(source_for("192.0.2.7"), "none");
  });
}

TEST(Tun, TheMtuOfTheKernelsEndIsOursUnlessWeSaySo) {
  IN_NAMESPACE([] {
    std::string error;
    auto link = TunLink::open({.name = "leat3", .mtu = 1280}, error);
    ASSERT_TRUE(link.has_value()) << error;
    EXPECT_EQ((*link)->features().mtu, 1280u);
    auto unnamed = TunLink::open({}, error);
    ASSERT_TRUE(unnamed.has_value()) << error;
    EXPECT_EQ((*unnamed)->name(), "tun0");
    EXPECT_EQ((*unnamed)->features().mtu, 1500u);
  });
}

TEST(Tun, WhatCannotBeSentIsCounted) {
  IN_NAMESPACE([] {
    std::string error;
    PacketPool pool;
    auto link = TunLink::open({.name = "leat0"}, error);  // down
    ASSERT_TRUE(link.has_value()) << error;
    send(**link, make_udp(pool, {}), at_us(1));
    EXPECT_EQ((*link)->dropped(), 1u);
    PacketPtr super = make_udp(pool, {.payload = 2000, .partial = true});
    super->gso_size = 1000;
    send(**link, std::move(super), at_us(1));
    send(**link, make_udp(pool, {.payload = 1473}), at_us(1));
    EXPECT_EQ((*link)->dropped(), 3u);
    EXPECT_EQ(receive(**link, pool, at_us(1)), nullptr);
    EXPECT_EQ(pool.packets_in_use(), 0u);
  });
}

TEST(Tun, ADeviceThatIsDeletedLeavesADeadLink) {
  IN_NAMESPACE([] {
    Device<TunLink> device;
    EXPECT_GE(device.link->poll_fd(), 0);
    if (std::system("ip link del leat0") != 0) return;
    EXPECT_EQ(receive(*device.link, device.pool, at_us(1)), nullptr);
    EXPECT_TRUE(device.link->is_dead());
    EXPECT_EQ(device.link->poll_fd(), -1);
    send(*device.link, make_udp(device.pool, {}), at_us(1));
    EXPECT_EQ(device.link->dropped(), 1u);
  });
}

TEST(Tun, SaysWhatIsWrongWithAName) {
  std::string error;
  EXPECT_EQ(TunLink::open({.name = "a-name-of-16-byte"}, error).error(), Errno{ENAMETOOLONG});
  EXPECT_EQ(error, "interface name 'a-name-of-16-byte' is too long: 17 bytes, at most 15");
  EXPECT_EQ(TapLink::open({.name = "a/b"}, error).error(), Errno{EINVAL});
  EXPECT_EQ(error, "interface name 'a/b' is not valid: no '/', ':', '%' or blanks");
}

TEST(Tun, SaysThatADeviceIsBusyOrOfTheOtherMode) {
  IN_NAMESPACE([] {
    std::string error;
    auto first = TunLink::open({.name = "leat0"}, error);
    ASSERT_TRUE(first.has_value()) << error;
    EXPECT_EQ(TunLink::open({.name = "leat0"}, error).error(), Errno{EBUSY});
    EXPECT_EQ(error, "'leat0' is busy: another program is attached to it");
    EXPECT_EQ(TapLink::open({.name = "leat0"}, error).error(), Errno{EINVAL});
    EXPECT_THAT(error, HasSubstr("'leat0' exists but is no tap device"));
    EXPECT_EQ(TunLink::open({.name = "lo"}, error).error(), Errno{EINVAL});
    EXPECT_EQ(configure_kernel_side({.name = "leat9"}, error).error(), Errno{ENODEV});
    EXPECT_EQ(error, "there is no interface 'leat9': No such device");
  });
}

// Runs as nobody on a thread of its own (setresuid by syscall is per thread).
TEST(Tun, SaysWhatToDoWithoutRights) {
  IN_NAMESPACE([] {
    if (syscall(SYS_setresuid, 65534, 65534, 65534) != 0) return;
    std::string error;
    auto link = TunLink::open({.name = "leat0"}, error);
    ASSERT_FALSE(link.has_value());
    EXPECT_THAT(error, HasSubstr("run as root"));
    if (access("/dev/net/tun", W_OK) == 0) {
      EXPECT_THAT(error, HasSubstr("`ip tuntap add dev leat0 mode tun user $USER`"));
    }
  });
}

}  // namespace
}  // namespace leat
