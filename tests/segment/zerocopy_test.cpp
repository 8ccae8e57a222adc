// MSG_ZEROCOPY: bytes are copied, and the error queue says so, by the numbers of the sends.
#include <ctime>  // linux/errqueue.h wants struct timespec

#include <linux/errqueue.h>

#include "segment/harness.h"

namespace leat::segment {
namespace {

constexpr int kZeroCopy = 0x4000000;  // MSG_ZEROCOPY

struct ZeroCopyTest : SegmentTest {
  struct Told {
    int error = 0;
    uint32_t first = 0, last = 0;
    bool operator==(const Told&) const = default;
  };

  Told told(int fd) {
    uint8_t control[256];
    msghdr m{};
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    m.msg_flags = 77;
    const auto n = stack().recvmsg(fd, &m, MSG_ERRQUEUE);
    if (!n) {
      EXPECT_EQ(m.msg_flags, 77);  // a call that fails writes nothing
      return {to_int(n.error()), 0, 0};
    }
    EXPECT_EQ(*n, 0u);
    EXPECT_EQ(m.msg_flags, MSG_ERRQUEUE);
    const cmsghdr* c = CMSG_FIRSTHDR(&m);
    if (c == nullptr) return {-1, 0, 0};
    EXPECT_EQ(c->cmsg_level, is_v6() ? IPPROTO_IPV6 : IPPROTO_IP);
    EXPECT_EQ(c->cmsg_type, is_v6() ? IPV6_RECVERR : IP_RECVERR);
    EXPECT_EQ(c->cmsg_len,
              CMSG_LEN(sizeof(sock_extended_err) + (is_v6() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in))));
    sock_extended_err e;
    std::memcpy(&e, CMSG_DATA(c), sizeof e);
    EXPECT_EQ(e.ee_errno, 0u);
    EXPECT_EQ(e.ee_origin, SO_EE_ORIGIN_ZEROCOPY);
    EXPECT_EQ(e.ee_code, SO_EE_CODE_ZEROCOPY_COPIED);
    return {0, e.ee_info, e.ee_data};
  }
  static constexpr Told kNothing{EAGAIN, 0, 0};

  int establish_with_option() {
    const int l = listen();
    set(l, SOL_SOCKET, SO_ZEROCOPY, 1);
    return establish();
  }
};
LEAT_BOTH_FAMILIES(ZeroCopyTest);

TEST_P(ZeroCopyTest, EachSendIsToldOfByItsNumber) {
  const int fd = establish_with_option();
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(write(fd, 500, kZeroCopy), 500u);
    peer.expect(Seg("P.", 1 + 500 * i, 1, 500));
    peer.send(Seg(".", 1, 501 + 500 * i));
    EXPECT_TRUE(events(fd) & POLLERR);
    EXPECT_EQ(told(fd), (Told{0, i, i}));
    EXPECT_EQ(told(fd), kNothing);
    EXPECT_FALSE(events(fd) & POLLERR);
  }
}

TEST_P(ZeroCopyTest, WhatIsNotReadIsToldAsOneRange) {
  const int fd = establish_with_option();
  for (int i = 0; i < 5; ++i)
    write(fd, 100, kZeroCopy);
  EXPECT_EQ(told(fd), (Told{0, 0, 4}));
  peer.drain();
}

TEST_P(ZeroCopyTest, WithoutTheOptionTheFlagIsIgnored) {
  const int fd = establish();
  write(fd, 100, kZeroCopy);
  EXPECT_EQ(told(fd), kNothing);
  set(fd, SOL_SOCKET, SO_ZEROCOPY, 1);
  write(fd, 100);
  EXPECT_EQ(told(fd), kNothing);
  write(fd, 100, kZeroCopy);
  EXPECT_EQ(told(fd), (Told{0, 0, 0}));
  peer.drain();
}

TEST_P(ZeroCopyTest, ASendThatFailsOrIsEmptyIsNotCounted) {
  const int fd = socket();
  set(fd, SOL_SOCKET, SO_ZEROCOPY, 1);
  EXPECT_EQ(stack().send(fd, "x", 1, kZeroCopy | MSG_NOSIGNAL).error(), Errno{EPIPE});
  EXPECT_EQ(told(fd), kNothing);
  connect_to(peer, fd);
  peer.expect(Seg("S", 0));
  peer.synack();
  peer.expect(Seg(".", 1, 1));
  EXPECT_EQ(stack().send(fd, "", 0, kZeroCopy), 0u);
  EXPECT_EQ(told(fd), kNothing);
  write(fd, 10, kZeroCopy);
  EXPECT_EQ(told(fd), (Told{0, 0, 0}));
  peer.drain();
}

TEST_P(ZeroCopyTest, NumbersGoOnAfterAnIdleTime) {
  const int fd = establish_with_option();
  write(fd, 100, kZeroCopy);
  EXPECT_EQ(told(fd), (Told{0, 0, 0}));
  peer.drain();
  peer.send(Seg(".", 1, 101));
  advance(Duration::from_s(10));
  EXPECT_EQ(connections(), 1u);  // the listener's: this one sleeps
  EXPECT_EQ(told(fd), kNothing);
  write(fd, 100, kZeroCopy);
  EXPECT_EQ(told(fd), (Told{0, 1, 1}));
  peer.drain();
}

TEST_P(ZeroCopyTest, EachPieceTakesAFragmentOfWhichASegmentHasSeventeen) {
  const int fd = establish_with_option();
  std::string text = stream(1, 20);
  iovec pieces[20];
  for (size_t i = 0; i < 20; ++i)
    pieces[i] = {text.data() + i, 1};
  msghdr m{};
  m.msg_iov = pieces;
  m.msg_iovlen = 20;
  EXPECT_EQ(stack().sendmsg(fd, &m, kZeroCopy), 20u);
  peer.expect(Seg("P.", 1, 1, 17));
  peer.send(Seg(".", 1, 18));
  peer.expect(Seg("P.", 18, 1, 3));
  EXPECT_EQ(told(fd), (Told{0, 0, 0}));
}

}  // namespace
}  // namespace leat::segment
