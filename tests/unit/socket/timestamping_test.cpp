// SO_TIMESTAMP and SO_TIMESTAMPING of datagrams.
#include <ctime>  // linux/errqueue.h wants struct timespec

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <sys/epoll.h>

#include "host.h"

namespace leat::socket {
namespace {

struct DatagramStampTest : testing::Test, Host {
  struct Message {
    int error = 0;
    int type = 0;  // of the first control message
    int64_t ns = 0;
    uint32_t kind = ~0u, key = ~0u;
    socklen_t name_length = 0;
  };
  Message next(int fd, int flags) {
    char byte;
    iovec v{&byte, 1};
    uint8_t control[256];
    sockaddr_in name{};
    msghdr m{};
    m.msg_name = &name;
    m.msg_namelen = sizeof name;
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    if (const auto n = sockets.recvmsg(fd, m, flags); !n) return {to_int(n.error())};
    Message r;
    r.name_length = m.msg_namelen;
    for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
      if (c->cmsg_level == SOL_SOCKET) {
        timespec t;
        std::memcpy(&t, CMSG_DATA(c), sizeof t);
        r.type = c->cmsg_type;
        r.ns = t.tv_sec * 1'000'000'000 + t.tv_nsec;
      } else {
        sock_extended_err e;
        std::memcpy(&e, CMSG_DATA(c), sizeof e);
        EXPECT_EQ(e.ee_origin, SO_EE_ORIGIN_TIMESTAMPING);
        r.kind = e.ee_info;
        r.key = e.ee_data;
      }
    }
    return r;
  }
  void set(int fd, int name, int value) { ASSERT_TRUE(sockets.setsockopt(fd, SOL_SOCKET, name, &value, sizeof value)); }
};

TEST_F(DatagramStampTest, TheArrivalIsToldByTheWallClock) {
  sockets.set_epoch(Duration::from_s(1'000'000));
  const int fd = udp_socket(7000);
  set(fd, SO_TIMESTAMPNS, 1);
  send_to(7000, "a");
  const Message m = next(fd, 0);
  EXPECT_EQ(m.type, SO_TIMESTAMPNS);
  EXPECT_EQ(m.ns, 1'000'001'000'000'000);
}

TEST_F(DatagramStampTest, EachSendIsToldUnderItsNumberAndIsNoError) {
  const int fd = udp_socket();
  ASSERT_TRUE(connect(fd, 7000));
  set(fd, SO_TIMESTAMPING,
      SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |
          SOF_TIMESTAMPING_OPT_TSONLY);
  udp_socket(7000);
  const int ep = epoll();
  ASSERT_TRUE(ctl(ep, EPOLL_CTL_ADD, fd, 0));
  ASSERT_TRUE(send(fd, "a"));
  ASSERT_TRUE(send(fd, "b"));
  EXPECT_EQ(wait(ep).at(0).events, uint32_t{EPOLLERR});
  for (const uint32_t key : {0u, 1u}) {
    for (const uint32_t kind : {uint32_t{SCM_TSTAMP_SCHED}, uint32_t{SCM_TSTAMP_SND}}) {
      const Message m = next(fd, MSG_ERRQUEUE);
      EXPECT_EQ(m.error, 0);
      EXPECT_EQ(m.type, SO_TIMESTAMPING);
      EXPECT_EQ(m.ns, 1'000'000'000);
      EXPECT_EQ(m.kind, kind);
      EXPECT_EQ(m.key, key);
      EXPECT_EQ(m.name_length, 0u);
    }
  }
  EXPECT_EQ(next(fd, MSG_ERRQUEUE).error, EAGAIN);
  EXPECT_TRUE(send(fd, "c"));  // no error is pending
}

}  // namespace
}  // namespace leat::socket
