// The calls' errors and corner cases, with Linux's errno values.
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "host.h"

namespace leat::socket {
namespace {

struct CallsTest : testing::Test, Host {
  Result<int> get_int(int fd, int level, int name) {
    int v = -1;
    socklen_t n = sizeof v;
    const auto ok = sockets.getsockopt(fd, level, name, &v, &n);
    return ok ? Result<int>(v) : std::unexpected(ok.error());
  }
  Result<void> set_int(int fd, int level, int name, int v) { return sockets.setsockopt(fd, level, name, &v, sizeof v); }
};

TEST_F(CallsTest, SocketRefusesWhatLinuxRefuses) {
  EXPECT_EQ(code(sockets.socket(AF_UNIX, SOCK_STREAM, 0)), EAFNOSUPPORT);
  EXPECT_EQ(code(sockets.socket(-1, SOCK_STREAM, 0)), EAFNOSUPPORT);
  EXPECT_EQ(code(sockets.socket(AF_INET, 12, 0)), EINVAL);
  EXPECT_EQ(code(sockets.socket(AF_INET, SOCK_SEQPACKET, 0)), ESOCKTNOSUPPORT);
  EXPECT_EQ(code(sockets.socket(AF_INET, SOCK_STREAM, IPPROTO_UDP)), EPROTONOSUPPORT);
  EXPECT_EQ(code(sockets.socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP)), EPROTONOSUPPORT);
  EXPECT_EQ(code(sockets.socket(AF_INET, SOCK_DGRAM | 0x100, 0)), EINVAL);
  const int fd = sockets.socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP).value();
  EXPECT_EQ(fd, 0);
  EXPECT_EQ(sockets.fcntl(fd, F_GETFL, 0), O_RDWR | O_NONBLOCK);
  EXPECT_EQ(sockets.fcntl(fd, F_GETFD, 0), FD_CLOEXEC);
}

TEST_F(CallsTest, BindChecksItsAddress) {
  const int fd = udp_socket();
  const sockaddr_in good = v4("127.0.0.1", 7000);
  const auto* a = reinterpret_cast<const sockaddr*>(&good);
  EXPECT_EQ(code(sockets.bind(99, a, sizeof good)), EBADF);
  EXPECT_EQ(code(sockets.bind(fd, nullptr, 16)), EFAULT);
  EXPECT_EQ(code(sockets.bind(fd, a, 8)), EINVAL);
  EXPECT_EQ(code(bind(fd, 7000, "192.0.2.1")), EADDRNOTAVAIL);
  const sockaddr_in6 six = v6("::1", 7000);
  EXPECT_EQ(code(sockets.bind(fd, reinterpret_cast<const sockaddr*>(&six), sizeof six)), EAFNOSUPPORT);
  EXPECT_EQ(code(bind(fd, 7000)), 0);
  EXPECT_EQ(code(bind(fd, 7001)), EINVAL);
  EXPECT_EQ(code(bind(udp_socket(), 7000)), EADDRINUSE);
  EXPECT_EQ(code(bind(udp_socket(), 7000, "127.0.0.2")), 0);
}

TEST_F(CallsTest, AnIpv6SocketRefusesIpv4Addresses) {
  const int fd = sockets.socket(AF_INET6, SOCK_DGRAM, 0).value();
  const sockaddr_in four = v4("127.0.0.1", 7000);
  EXPECT_EQ(code(sockets.bind(fd, reinterpret_cast<const sockaddr*>(&four), sizeof four)), EINVAL);  // too short
  EXPECT_EQ(code(set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)), 0);
  const sockaddr_in6 mapped = v6("::ffff:127.0.0.1", 7000);
  EXPECT_EQ(code(sockets.bind(fd, reinterpret_cast<const sockaddr*>(&mapped), sizeof mapped)), EINVAL);
  EXPECT_EQ(code(sockets.connect(fd, reinterpret_cast<const sockaddr*>(&mapped), sizeof mapped)), ENETUNREACH);
  EXPECT_EQ(code(sockets.connect(fd, reinterpret_cast<const sockaddr*>(&four), sizeof four)), EAFNOSUPPORT);
}

TEST_F(CallsTest, ADualStackSocketShowsMappedAddresses) {
  const int fd = sockets.socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0).value();
  const sockaddr_in6 any = v6("::", 7000);
  ASSERT_TRUE(sockets.bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any));
  sockaddr_in6 name{};
  socklen_t n = sizeof name;
  ASSERT_TRUE(sockets.getsockname(fd, reinterpret_cast<sockaddr*>(&name), &n));
  EXPECT_EQ(n, sizeof name);
  EXPECT_TRUE(IN6_IS_ADDR_UNSPECIFIED(&name.sin6_addr));
  send_to(7000, "hello");
  char buffer[16];
  iovec v{buffer, sizeof buffer};
  msghdr m{};
  m.msg_name = &name;
  m.msg_namelen = sizeof name;
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  ASSERT_EQ(sockets.recvmsg(fd, m, 0), 5u);
  EXPECT_TRUE(IN6_IS_ADDR_V4MAPPED(&name.sin6_addr));
}

TEST_F(CallsTest, NamesAreTruncatedAndTellTheirLength) {
  const int fd = udp_socket(7000);
  sockaddr_in name{};
  socklen_t n = 4;
  ASSERT_TRUE(sockets.getsockname(fd, reinterpret_cast<sockaddr*>(&name), &n));
  EXPECT_EQ(n, 16u);
  EXPECT_EQ(ntohs(name.sin_port), 7000);
  EXPECT_EQ(name.sin_addr.s_addr, 0u);
  EXPECT_EQ(code(sockets.getpeername(fd, reinterpret_cast<sockaddr*>(&name), &n)), ENOTCONN);
  n = static_cast<socklen_t>(-1);
  EXPECT_EQ(code(sockets.getsockname(fd, reinterpret_cast<sockaddr*>(&name), &n)), EINVAL);
}

TEST_F(CallsTest, ConnectToAfUnspecDissolvesTheAssociation) {
  const int fd = udp_socket();
  ASSERT_TRUE(connect(fd, 7000));
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  ASSERT_TRUE(sockets.connect(fd, &none, sizeof none));
  EXPECT_EQ(code(send(fd, "x")), EDESTADDRREQ);
  sockaddr_in name{};
  socklen_t n = sizeof name;
  ASSERT_TRUE(sockets.getsockname(fd, reinterpret_cast<sockaddr*>(&name), &n));
  EXPECT_EQ(name.sin_port, 0);
}

TEST_F(CallsTest, DescriptorsAreDuplicatedAsPosixSays) {
  const int fd = udp_socket(7000);
  EXPECT_EQ(sockets.dup(fd), 1);
  EXPECT_EQ(sockets.dup2(fd, 5), 5);
  EXPECT_EQ(sockets.dup2(fd, fd), fd);
  EXPECT_EQ(code(sockets.dup2(77, 77)), EBADF);
  EXPECT_EQ(code(sockets.dup3(fd, fd, 0)), EINVAL);
  EXPECT_EQ(sockets.fcntl(fd, F_DUPFD_CLOEXEC, 3), 3);
  EXPECT_EQ(sockets.fcntl(3, F_GETFD, 0), FD_CLOEXEC);
  EXPECT_EQ(code(sockets.fcntl(fd, F_DUPFD, 100000)), EINVAL);
  for (int i : {0, 1, 3})
    ASSERT_TRUE(sockets.close(i));
  send_to(7000, "a");
  EXPECT_TRUE(receive(5));
  EXPECT_EQ(code(sockets.close(0)), EBADF);
}

TEST_F(CallsTest, BuffersAreDoubledAndBounded) {
  const int fd = udp_socket();
  EXPECT_EQ(get_int(fd, SOL_SOCKET, SO_RCVBUF), 212992);
  EXPECT_TRUE(set_int(fd, SOL_SOCKET, SO_RCVBUF, 10000));
  EXPECT_EQ(get_int(fd, SOL_SOCKET, SO_RCVBUF), 20000);
  EXPECT_TRUE(set_int(fd, SOL_SOCKET, SO_RCVBUF, 1));
  EXPECT_EQ(get_int(fd, SOL_SOCKET, SO_RCVBUF), 2304);
  EXPECT_TRUE(set_int(fd, SOL_SOCKET, SO_SNDBUF, 1));
  EXPECT_EQ(get_int(fd, SOL_SOCKET, SO_SNDBUF), 4608);
  EXPECT_TRUE(set_int(fd, SOL_SOCKET, SO_RCVBUF, 100'000'000));
  EXPECT_EQ(get_int(fd, SOL_SOCKET, SO_RCVBUF), 8388608);
  EXPECT_EQ(get_int(fd, SOL_SOCKET, 72), 3);  // SO_BUF_LOCK
}

TEST_F(CallsTest, OptionErrorsFollowLinux) {
  const int fd = udp_socket();
  const char one = 1;
  EXPECT_EQ(code(set_int(fd, SOL_SOCKET, 9999, 1)), ENOPROTOOPT);
  EXPECT_EQ(code(set_int(fd, 777, 1, 1)), ENOPROTOOPT);
  EXPECT_EQ(code(set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1)), ENOPROTOOPT);
  EXPECT_EQ(code(set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)), ENOPROTOOPT);
  EXPECT_EQ(code(set_int(fd, SOL_SOCKET, SO_TYPE, 1)), ENOPROTOOPT);
  EXPECT_EQ(code(set_int(fd, SOL_SOCKET, SO_SNDLOWAT, 1)), ENOPROTOOPT);
  EXPECT_EQ(code(sockets.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 1)), EINVAL);
  EXPECT_EQ(code(sockets.setsockopt(fd, IPPROTO_IP, IP_TTL, &one, 1)), 0);  // IPPROTO_IP takes a byte
  EXPECT_EQ(get_int(fd, IPPROTO_IP, IP_TTL), 1);
  EXPECT_EQ(code(set_int(fd, IPPROTO_IP, IP_TTL, 256)), EINVAL);
  EXPECT_TRUE(set_int(fd, IPPROTO_IP, IP_TTL, -1));
  EXPECT_EQ(get_int(fd, IPPROTO_IP, IP_TTL), 64);
  EXPECT_EQ(code(get_int(fd, IPPROTO_IP, IP_MTU)), ENOTCONN);
  EXPECT_EQ(code(set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, 6)), EINVAL);
  EXPECT_TRUE(set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT));
  EXPECT_EQ(code(set_int(fd, SOL_SOCKET, SO_PASSCRED, 1)), EOPNOTSUPP);
}

TEST_F(CallsTest, GetsockoptGivesAsMuchAsThereIsRoomFor) {
  const int fd = udp_socket();
  uint8_t two[2] = {0xee, 0xee};
  socklen_t n = 2;
  ASSERT_TRUE(sockets.getsockopt(fd, SOL_SOCKET, SO_RCVBUF, two, &n));
  EXPECT_EQ(n, 2u);
  EXPECT_EQ(two[0] | two[1] << 8, 212992 & 0xffff);
  n = 1;
  ASSERT_TRUE(sockets.getsockopt(fd, IPPROTO_IP, IP_TTL, two, &n));
  EXPECT_EQ(n, 1u);
  EXPECT_EQ(two[0], 64);
  uint32_t mem[9];
  n = sizeof mem;
  ASSERT_TRUE(sockets.getsockopt(fd, SOL_SOCKET, 55, mem, &n));
  EXPECT_EQ(n, 36u);
  EXPECT_EQ(mem[1], 212992u);
  n = static_cast<socklen_t>(-5);
  EXPECT_EQ(code(sockets.getsockopt(fd, SOL_SOCKET, SO_RCVBUF, two, &n)), EINVAL);
}

TEST_F(CallsTest, StructuresOfOptionsAreRoundTripped) {
  const int fd = sockets.socket(AF_INET, SOCK_STREAM, 0).value();
  const linger l{1, 5};
  EXPECT_TRUE(sockets.setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
  linger got{};
  socklen_t n = sizeof got;
  ASSERT_TRUE(sockets.getsockopt(fd, SOL_SOCKET, SO_LINGER, &got, &n));
  EXPECT_EQ(got.l_onoff, 1);
  EXPECT_EQ(got.l_linger, 5);
  const linger off{0, 0};
  EXPECT_TRUE(sockets.setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof off));
  const timeval t{3, 250'000};
  EXPECT_TRUE(sockets.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
  timeval back{};
  n = sizeof back;
  ASSERT_TRUE(sockets.getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &back, &n));
  EXPECT_EQ(back.tv_sec, 3);
  EXPECT_EQ(back.tv_usec, 250'000);
  const timeval bad{0, 1'000'000};
  EXPECT_EQ(code(sockets.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bad, sizeof bad)), EDOM);
  char name[IFNAMSIZ] = "lo";
  EXPECT_TRUE(sockets.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, 3));
  n = sizeof name;
  ASSERT_TRUE(sockets.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &n));
  EXPECT_STREQ(name, "lo");
  EXPECT_EQ(n, 3u);
  EXPECT_EQ(code(sockets.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "eth7", 4)), ENODEV);
  EXPECT_EQ(get_int(fd, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
  EXPECT_EQ(get_int(fd, SOL_SOCKET, SO_DOMAIN), AF_INET);
  EXPECT_EQ(get_int(fd, SOL_SOCKET, SO_ACCEPTCONN), 0);
}

TEST_F(CallsTest, OptionsOfOneSocketAreNotAnothers) {
  const int a = sockets.socket(AF_INET, SOCK_STREAM, 0).value();
  const int b = sockets.socket(AF_INET, SOCK_STREAM, 0).value();
  EXPECT_TRUE(set_int(a, IPPROTO_IP, IP_TTL, 9));
  EXPECT_EQ(get_int(a, IPPROTO_IP, IP_TTL), 9);
  EXPECT_EQ(get_int(b, IPPROTO_IP, IP_TTL), 64);
}

TEST_F(CallsTest, IoctlsAnswerAboutInterfacesAndQueues) {
  const int fd = udp_socket(7000);
  ifreq r{};
  std::strcpy(r.ifr_name, "lo");
  EXPECT_TRUE(sockets.ioctl(fd, SIOCGIFINDEX, &r));
  EXPECT_EQ(r.ifr_ifindex, 1);
  EXPECT_TRUE(sockets.ioctl(fd, SIOCGIFMTU, &r));
  EXPECT_EQ(r.ifr_mtu, 65536);
  EXPECT_TRUE(sockets.ioctl(fd, SIOCGIFADDR, &r));
  EXPECT_EQ(reinterpret_cast<sockaddr_in*>(&r.ifr_addr)->sin_addr.s_addr, htonl(0x7f000001));
  std::strcpy(r.ifr_name, "eth7");
  EXPECT_EQ(code(sockets.ioctl(fd, SIOCGIFINDEX, &r)), ENODEV);
  send_to(7000, "four");
  int n = 0;
  EXPECT_TRUE(sockets.ioctl(fd, FIONREAD, &n));
  EXPECT_EQ(n, 4);
  EXPECT_EQ(code(sockets.ioctl(fd, 0x1234, &n)), ENOTTY);
  EXPECT_EQ(code(sockets.ioctl(fd, FIONREAD, nullptr)), EFAULT);
}

TEST_F(CallsTest, AFullTableLeavesNothingBehind) {
  sockets.fds().set_limit(3);
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(sockets.socket(AF_INET, SOCK_DGRAM, 0));
  EXPECT_EQ(code(sockets.socket(AF_INET, SOCK_STREAM, 0)), EMFILE);
  EXPECT_EQ(code(sockets.socket(AF_INET, SOCK_DGRAM, 0)), EMFILE);
  EXPECT_EQ(code(sockets.epoll_create1(0)), EMFILE);
  EXPECT_EQ(sockets.open_files(), 3u);
  EXPECT_EQ(udp.sockets(), 3u);
}

// Rows of docs/COMPLIANCE.md.
TEST_F(CallsTest, DeliberateDifferencesToLinux) {
  const int six = sockets.socket(AF_INET6, SOCK_DGRAM, 0).value();
  EXPECT_TRUE(set_int(six, IPPROTO_IP, IP_TTL, 9));
  EXPECT_EQ(get_int(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS), 9);
  EXPECT_EQ(code(set_int(six, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 0)), EINVAL);
  EXPECT_EQ(code(sockets.fcntl(six, F_SETFL, O_ASYNC)), EINVAL);
}

TEST_F(CallsTest, AncillaryDataTellsOfTheDatagram) {
  const int fd = udp_socket(7000);
  for (int name : {IP_PKTINFO, IP_RECVTTL, IP_RECVTOS})
    ASSERT_TRUE(set_int(fd, IPPROTO_IP, name, 1));
  const int out = udp_socket();
  ASSERT_TRUE(set_int(out, IPPROTO_IP, IP_TTL, 9));
  ASSERT_TRUE(set_int(out, IPPROTO_IP, IP_TOS, 0x28));
  ASSERT_TRUE(connect(out, 7000));
  ASSERT_TRUE(send(out, "x"));
  ASSERT_TRUE(send(out, "y"));
  run();
  alignas(cmsghdr) uint8_t control[256];
  char byte;
  iovec v{&byte, 1};
  msghdr m{};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  ASSERT_EQ(sockets.recvmsg(fd, m, 0), 1u);
  EXPECT_EQ(m.msg_flags, 0);
  int seen = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
    ASSERT_EQ(c->cmsg_level, IPPROTO_IP);
    ++seen;
    if (c->cmsg_type == IP_TTL) {
      EXPECT_EQ(*reinterpret_cast<int*>(CMSG_DATA(c)), 9);
    } else if (c->cmsg_type == IP_TOS) {
      EXPECT_EQ(c->cmsg_len, CMSG_LEN(1));
      EXPECT_EQ(*CMSG_DATA(c), 0x28);
    } else {
      ASSERT_EQ(c->cmsg_type, IP_PKTINFO);
      const auto* info = reinterpret_cast<in_pktinfo*>(CMSG_DATA(c));
      EXPECT_EQ(info->ipi_ifindex, 1);
      EXPECT_EQ(info->ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
    }
  }
  EXPECT_EQ(seen, 3);
  m.msg_controllen = sizeof(cmsghdr) + 2;
  ASSERT_EQ(sockets.recvmsg(fd, m, 0), 1u);
  EXPECT_EQ(m.msg_flags, MSG_CTRUNC);
}

TEST_F(CallsTest, TheErrorQueueTellsWhatTheNetworkSaid) {
  const int fd = udp_socket();
  ASSERT_TRUE(set_int(fd, IPPROTO_IP, IP_RECVERR, 1));
  ASSERT_TRUE(connect(fd, 7999));
  ASSERT_TRUE(send(fd, "nobody"));
  run();
  alignas(cmsghdr) uint8_t control[256];
  char text[16];
  iovec v{text, sizeof text};
  sockaddr_in name{};
  msghdr m{};
  m.msg_name = &name;
  m.msg_namelen = sizeof name;
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  ASSERT_EQ(sockets.recvmsg(fd, m, MSG_ERRQUEUE), 6u);
  EXPECT_EQ(m.msg_flags, MSG_ERRQUEUE);
  EXPECT_EQ(ntohs(name.sin_port), 7999);
  const cmsghdr* c = CMSG_FIRSTHDR(&m);
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(c->cmsg_type, IP_RECVERR);
  uint32_t error = 0;
  std::memcpy(&error, CMSG_DATA(c), 4);
  EXPECT_EQ(error, static_cast<uint32_t>(ECONNREFUSED));
}

TEST_F(CallsTest, AncillaryDataOfSendmsgIsChecked) {
  const int fd = udp_socket();
  ASSERT_TRUE(connect(fd, 7000));
  alignas(cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))] = {};
  char byte = 'x';
  iovec v{&byte, 1};
  msghdr m{};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  auto* c = reinterpret_cast<cmsghdr*>(control);
  *c = {CMSG_LEN(sizeof(int)), IPPROTO_IP, IP_TTL};
  const int bad = 0;
  const int good = 5;
  std::memcpy(CMSG_DATA(c), &bad, sizeof bad);
  EXPECT_EQ(code(sockets.sendmsg(fd, m, 0)), EINVAL);
  std::memcpy(CMSG_DATA(c), &good, sizeof good);
  EXPECT_EQ(code(sockets.sendmsg(fd, m, 0)), 0);
  c->cmsg_type = 9999;
  EXPECT_EQ(code(sockets.sendmsg(fd, m, 0)), EINVAL);
  c->cmsg_len = sizeof control + 1;
  EXPECT_EQ(code(sockets.sendmsg(fd, m, 0)), EINVAL);
  c->cmsg_len = 3;
  EXPECT_EQ(code(sockets.sendmsg(fd, m, 0)), EINVAL);
  m.msg_iovlen = 1025;
  EXPECT_EQ(code(sockets.sendmsg(fd, m, 0)), EMSGSIZE);
}

}  // namespace
}  // namespace leat::socket
