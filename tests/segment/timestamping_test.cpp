// SO_TIMESTAMPING and SO_TIMESTAMP on a stream: when bytes left, when the peer had them, when they came.
#include <ctime>  // linux/errqueue.h wants struct timespec

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>

#include <optional>

#include "segment/harness.h"

namespace leat::segment {
namespace {

constexpr int kOptIdTcp = 1 << 16;  // SOF_TIMESTAMPING_OPT_ID_TCP
constexpr int kAll = SOF_TIMESTAMPING_TX_SCHED | SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_TX_ACK |
                     SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID;

struct Told {
  uint32_t kind = 0, key = 0;
  int64_t at_ns = 0;
  int flags = 0;
  bool operator==(const Told&) const = default;
};
std::ostream& operator<<(std::ostream& o, const Told& t) {
  return o << "kind " << t.kind << " key " << t.key << " at " << t.at_ns << " flags " << t.flags;
}

struct TimestampingTest : SegmentTest {
  // The next of the error queue.
  std::optional<Told> told(int fd) {
    uint8_t control[256];
    msghdr m{};
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    if (!stack().recvmsg(fd, &m, MSG_ERRQUEUE)) return {};
    Told t;
    t.flags = m.msg_flags;
    const cmsghdr* c = CMSG_FIRSTHDR(&m);
    if (c != nullptr && c->cmsg_level == SOL_SOCKET) {
      EXPECT_EQ(c->cmsg_type, SO_TIMESTAMPING);
      timespec stamps[3];
      EXPECT_EQ(c->cmsg_len, CMSG_LEN(sizeof stamps));
      std::memcpy(stamps, CMSG_DATA(c), sizeof stamps);
      t.at_ns = stamps[0].tv_sec * 1'000'000'000 + stamps[0].tv_nsec;
      c = CMSG_NXTHDR(&m, const_cast<cmsghdr*>(c));
    }
    if (c == nullptr) return t;
    sock_extended_err e;
    std::memcpy(&e, CMSG_DATA(c), sizeof e);
    EXPECT_EQ(e.ee_errno, uint32_t{ENOMSG});
    EXPECT_EQ(e.ee_origin, SO_EE_ORIGIN_TIMESTAMPING);
    t.kind = e.ee_info;
    t.key = e.ee_data;
    return t;
  }
  Told expected(uint32_t kind, uint32_t key, Time at, int flags = MSG_ERRQUEUE | MSG_TRUNC) {
    return {kind, key, at.ns(), flags};
  }
  int timestamping(int fd, int flags) {
    const auto ok = stack().setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags);
    return ok ? 0 : to_int(ok.error());
  }
  int establish_without_nagle() {
    const int fd = establish();
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
  }
  // The type of the first control message that comes with a byte, and its time in ns.
  std::pair<int, int64_t> received(int fd) {
    char byte;
    iovec v{&byte, 1};
    uint8_t control[256];
    msghdr m{};
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    EXPECT_EQ(stack().recvmsg(fd, &m, 0), 1u);
    const cmsghdr* c = CMSG_FIRSTHDR(&m);
    if (c == nullptr) return {0, 0};
    timespec t;
    std::memcpy(&t, CMSG_DATA(c), sizeof t);
    return {c->cmsg_type, t.tv_sec * 1'000'000'000 + t.tv_nsec * (c->cmsg_type == SO_TIMESTAMP ? 1000 : 1)};
  }
};
LEAT_BOTH_FAMILIES(TimestampingTest);

TEST_P(TimestampingTest, AWriteIsScheduledSentAndAcknowledgedUnderTheNumberOfItsLastByte) {
  const int fd = establish_without_nagle();
  ASSERT_EQ(timestamping(fd, kAll), 0);
  const Time sent = now;
  write(fd, 500);
  peer.expect(Seg("P.", 1, 1, 500));
  EXPECT_NE(events(fd) & POLLERR, 0);
  advance(Duration::from_ms(30));
  write(fd, 200);
  peer.expect(Seg("P.", 501, 1, 200));
  const Time second = now;
  advance(Duration::from_ms(1));
  peer.send(Seg(".", 1, 701));
  EXPECT_EQ(told(fd), expected(SCM_TSTAMP_SCHED, 499, sent));
  EXPECT_EQ(told(fd), expected(SCM_TSTAMP_SND, 499, sent));
  EXPECT_EQ(told(fd), expected(SCM_TSTAMP_SCHED, 699, second));
  EXPECT_EQ(told(fd), expected(SCM_TSTAMP_SND, 699, second));
  EXPECT_EQ(told(fd), expected(SCM_TSTAMP_ACK, 499, now));
  EXPECT_EQ(told(fd), expected(SCM_TSTAMP_ACK, 699, now));
  EXPECT_EQ(told(fd), std::nullopt);
  EXPECT_EQ(events(fd) & POLLERR, 0);
}

TEST_P(TimestampingTest, ARetransmissionIsToldAgain) {
  const int fd = establish();
  ASSERT_EQ(timestamping(fd, SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY),
            0);
  write(fd, 100);
  peer.expect(Seg("P.", 1, 1, 100));
  EXPECT_EQ(told(fd), expected(SCM_TSTAMP_SND, 0, now, MSG_ERRQUEUE));
  advance(Duration::from_s(1));
  EXPECT_GE(peer.drain().size(), 1u);
  EXPECT_EQ(told(fd)->kind, uint32_t{SCM_TSTAMP_SND});
  peer.send(Seg(".", 1, 101));
}

TEST_P(TimestampingTest, WhatIsCutInSegmentsIsToldOnceWhenItsEndLeaves) {
  const int fd = establish();
  ASSERT_EQ(timestamping(fd, kAll), 0);
  write(fd, 40000);
  peer.drain();
  EXPECT_EQ(told(fd), std::nullopt);  // its end waits for the congestion window
  for (uint32_t acked = 10001; acked <= 40001; acked += 10000) {
    advance(Duration::from_ms(1));
    peer.send(Seg(".", 1, acked));
    peer.drain();
  }
  EXPECT_EQ(told(fd)->kind, uint32_t{SCM_TSTAMP_SCHED});
  EXPECT_EQ(told(fd)->key, 39999u);
  EXPECT_EQ(told(fd), expected(SCM_TSTAMP_ACK, 39999, now));
  EXPECT_EQ(told(fd), std::nullopt);
}

TEST_P(TimestampingTest, WithoutTheFlagForSoftwareNoTimeIsGiven) {
  const int fd = establish();
  ASSERT_EQ(timestamping(fd, SOF_TIMESTAMPING_TX_SCHED), 0);
  write(fd, 10);
  peer.drain();
  EXPECT_EQ(told(fd)->at_ns, 0);
}

TEST_P(TimestampingTest, FlagsThatDoNotGoTogetherAreRefused) {
  const int fd = establish();
  EXPECT_EQ(timestamping(fd, kOptIdTcp), EINVAL);
  EXPECT_EQ(timestamping(fd, 1 << 19), EINVAL);
  EXPECT_EQ(timestamping(fd, SOF_TIMESTAMPING_OPT_STATS | SOF_TIMESTAMPING_OPT_TSONLY), EINVAL);  // not built
  EXPECT_EQ(timestamping(fd, SOF_TIMESTAMPING_OPT_CMSG), EINVAL);
  EXPECT_EQ(timestamping(socket(), SOF_TIMESTAMPING_OPT_ID), EINVAL);
  EXPECT_EQ(timestamping(fd, kAll | kOptIdTcp), 0);
  int value[2] = {-1, -1};
  socklen_t n = sizeof value;
  ASSERT_TRUE(stack().getsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, value, &n));
  EXPECT_EQ(value[0], kAll | kOptIdTcp);
  EXPECT_EQ(n, 8u);
}

TEST_P(TimestampingTest, KeysCountFromWhatIsAcknowledgedOrFromWhatIsWritten) {
  const int fd = establish_without_nagle();
  write(fd, 100);
  peer.expect(Seg("P.", 1, 1, 100));
  ASSERT_EQ(timestamping(fd, kAll), 0);
  write(fd, 10);
  peer.drain();
  EXPECT_EQ(told(fd)->key, 109u);
  told(fd);
  ASSERT_EQ(timestamping(fd, 0), 0);
  ASSERT_EQ(timestamping(fd, kAll | kOptIdTcp), 0);
  write(fd, 10);
  peer.drain();
  EXPECT_EQ(told(fd)->key, 9u);
}

TEST_P(TimestampingTest, APeerThatNeverAcknowledgesDoesNotFillTheErrorQueue) {
  const int fd = establish_without_nagle();
  set(fd, SOL_SOCKET, SO_RCVBUF, 10000);
  ASSERT_EQ(timestamping(fd, kAll), 0);
  for (int i = 0; i < 100; ++i) {
    write(fd, 1);
    advance(Duration::from_ms(1));
    peer.drain();
  }
  advance(Duration::from_s(100));
  peer.drain();
  int n = 0;
  while (told(fd))
    ++n;
  EXPECT_EQ(n, 24);  // 20000 bytes of buffer hold so many empty packets
}

TEST_P(TimestampingTest, ABytesArrivalIsToldInTheUnitThatIsAskedFor) {
  const int fd = establish();
  const Time arrival = now;
  peer.send(Seg("P.", 1, 1, 4));
  advance(Duration::from_ms(70));
  peer.drain();
  EXPECT_EQ(received(fd).first, 0);
  set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
  EXPECT_EQ(received(fd), (std::pair<int, int64_t>{SO_TIMESTAMP, arrival.us() * 1000}));
  set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  EXPECT_EQ(received(fd), (std::pair<int, int64_t>{SO_TIMESTAMPNS, arrival.ns()}));
  set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 0);
  ASSERT_EQ(timestamping(fd, SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE), 0);
  EXPECT_EQ(received(fd), (std::pair<int, int64_t>{SO_TIMESTAMPING, arrival.ns()}));
}

TEST_P(TimestampingTest, TimestampOffLeavesTheNumbersThatTimestampingChose) {
  const int fd = socket();
  const int flags = SOF_TIMESTAMPING_SOFTWARE;
  ASSERT_TRUE(stack().setsockopt(fd, SOL_SOCKET, 65, &flags, sizeof flags));  // SO_TIMESTAMPING_NEW
  set(fd, SOL_SOCKET, SO_TIMESTAMP, 0);
  int value[2] = {-1, -1};
  socklen_t n = sizeof value;
  ASSERT_TRUE(stack().getsockopt(fd, SOL_SOCKET, 65, value, &n));
  EXPECT_EQ(value[0], flags);
}

TEST_P(TimestampingTest, OfTimestampAndTimestampnsTheLastOneHolds) {
  const int fd = socket();
  const auto get = [&](int name) {
    int v = -1;
    socklen_t n = sizeof v;
    EXPECT_TRUE(stack().getsockopt(fd, SOL_SOCKET, name, &v, &n));
    return v;
  };
  set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
  set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  EXPECT_EQ(get(SO_TIMESTAMP), 0);
  EXPECT_EQ(get(SO_TIMESTAMPNS), 1);
  set(fd, SOL_SOCKET, 63, 1);  // SO_TIMESTAMP_NEW
  EXPECT_EQ(get(63), 1);
  EXPECT_EQ(get(SO_TIMESTAMP), 0);
}

}  // namespace
}  // namespace leat::segment
