// When Fast Open is given up for a while: middleboxes that swallow SYNs with data (RFC 7413 §4.1.3.1;
// tcp_fastopen_blackhole_timeout_sec).
#include "segment/fastopen.h"

namespace leat::segment {
namespace {

struct FastOpenBlackholeTest : FastOpenClient {};
LEAT_BOTH_FAMILIES(FastOpenBlackholeTest);

TEST_P(FastOpenBlackholeTest, ThreeTimeOutsInARowSwitchItOffForAWhile) {
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "100"));
  get_cookie();
  const int fd = opened(peer, 100);
  for (int i = 0; i < 2; ++i)
    peer.expect_after(Duration::from_s(1), Seg("S", 0).no_fo());
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 0u);
  peer.expect_after(Duration::from_s(1), Seg("S", 0).no_fo());
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 1u);
  end(peer, fd);
  Peer& p = fresh();
  const int careful = bound_socket(p);
  EXPECT_EQ(open(p, careful, 100).error(), Errno{EINPROGRESS});
  p.expect(Seg("S", 0).no_fo());
  end(p, careful);
  advance(Duration::from_s(101));
  Peer& again = fresh();
  opened(again, 100);
  again.send(synack(101));
  again.expect(Seg(".", 101, 1));
}

TEST_P(FastOpenBlackholeTest, TheSecondTimeItIsOffForTwiceAsLongUntilItWorks) {
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "100"));
  get_cookie();
  for (int i = 0; i < 2; ++i) {
    Peer& p = fresh();
    const int fd = opened(p, 100);
    advance(Duration::from_ms(3500));
    p.drain();
    end(p, fd);
    advance(Duration::from_s(101));
  }
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 2u);
  const int fd = bound_socket(peer);
  EXPECT_EQ(open(peer, fd, 100).error(), Errno{EINPROGRESS});
  peer.expect(Seg("S", 0).no_fo());
  end(peer, fd);
  advance(Duration::from_s(100));
  Peer& works = fresh();
  const int good = opened(works, 100);
  works.send(synack(101));
  works.expect(Seg(".", 101, 1));
  works.send(Seg("P.", 1, 101, 10));
  read(good);
  end(works, good);
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "100"));
  EXPECT_EQ(*stack().get_sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec"), "100");
  EXPECT_EQ(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "-1").error(), Errno{EINVAL});
}

TEST_P(FastOpenBlackholeTest, AResetOutOfOrderBeforeAnyDataIsASignOfABlackhole) {
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "100"));
  get_cookie();
  opened(peer, 100);
  peer.send(synack(101));
  peer.expect(Seg(".", 101, 1));
  peer.send(Seg("R", 500));
  peer.expect(Seg(".", 101, 1));  // the challenge
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 1u);
}

TEST_P(FastOpenBlackholeTest, AFinWhoseDataNeverCameIsASignOfABlackhole) {
  EXPECT_TRUE(sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "100"));
  get_cookie();
  const int fd = opened(peer, 100);
  peer.send(synack(101));
  peer.expect(Seg(".", 101, 1));
  peer.send(Seg("F.", 501, 101));
  peer.drain();
  end(peer, fd);
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 1u);
}

TEST_P(FastOpenBlackholeTest, ByDefaultBlackholesAreNotLookedFor) {
  EXPECT_EQ(*stack().get_sysctl("net.ipv4.tcp_fastopen_blackhole_timeout_sec"), "0");
  get_cookie();
  const int fd = opened(peer, 100);
  advance(Duration::from_s(5));
  peer.drain();
  end(peer, fd);
  EXPECT_EQ(counter("TcpExtTCPFastOpenBlackhole"), 0u);
  Peer& p = fresh();
  opened(p, 100);
}

}  // namespace
}  // namespace leat::segment
