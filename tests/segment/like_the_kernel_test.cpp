// What comparing with Linux's kernel brought to light (docs/DIFFER.md), one test each.
#include <linux/sock_diag.h>

#include "segment/harness.h"

namespace leat::segment {
namespace {

struct LikeTheKernelTest : SegmentTest {
  uint32_t receive_charge(int fd) {
    uint32_t memory[SK_MEMINFO_VARS] = {};
    socklen_t n = sizeof memory;
    EXPECT_TRUE(stack().getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &n));
    return memory[SK_MEMINFO_RMEM_ALLOC];
  }
};
LEAT_BOTH_FAMILIES(LikeTheKernelTest);

TEST_P(LikeTheKernelTest, AnAckOfWhatWasNeverSentIsAnsweredWithAnAck) {
  establish();
  peer.send(Seg(".", 1, 5001));
  peer.expect(Seg(".", 1, 1));
}

TEST_P(LikeTheKernelTest, ADuplicateIsReportedOnce) {
  establish();
  peer.send(Seg("P.", 1, 1, 100));
  peer.expect(Seg(".", 1, 101));
  peer.send(Seg("P.", 1, 1, 100));
  peer.expect(Seg(".", 1, 101).sack({{1, 101}}));
  advance(Duration::from_s(1));
  peer.send(Seg(".", 100, 1));  // a keep-alive asks for another ACK
  peer.expect(Seg(".", 1, 101));
}

TEST_P(LikeTheKernelTest, ALostSynDoesNotLimitSlowStartAndCountsAsANewPath) {
  const int fd = connect_to(peer);
  peer.expect(Seg("S", 0));
  peer.expect_after(Duration::from_s(1), Seg("S", 0));
  peer.synack();
  peer.expect(Seg(".", 1, 1));
  EXPECT_EQ(info(fd).snd_ssthresh, 0x7fffffffu);
  EXPECT_EQ(info(fd).rehash, 1u);
}

TEST_P(LikeTheKernelTest, TheHandshakeIsNoSampleOfTheDeliveryRate) {
  const int fd = connect_to(peer);
  peer.expect(Seg("S", 0));
  advance(Duration::from_ms(50));
  peer.synack();
  peer.expect(Seg(".", 1, 1));
  EXPECT_EQ(info(fd).delivery_rate, 0u);
}

TEST_P(LikeTheKernelTest, DataOutOfOrderTellTheSizeOfSegments) {
  const int fd = establish();
  peer.send(Seg("P.", 1001, 1, 1000));
  peer.expect(Seg(".", 1, 1).sack({{1001, 2001}}));
  EXPECT_EQ(info(fd).rcv_mss, 1000u);
}

TEST_P(LikeTheKernelTest, DataWithNoNewAckDoNotLetGoWhatWaitsForMore) {
  const int fd = establish();
  EXPECT_EQ(write(fd, 100, MSG_MORE), 100u);
  peer.send(Seg("P.", 1, 1, 100));
  peer.expect(Seg(".", 1, 101));
  peer.expect_after(Duration::from_ms(200), Seg("P.", 1, 101, 100));
}

TEST_P(LikeTheKernelTest, WhatFitsBehindTheLastSegmentIsNotChargedAndWhatDoesNotIs) {
  const int fd = establish();
  peer.send(Seg("P.", 1, 1, 300));
  const uint32_t one = receive_charge(fd);
  peer.send(Seg("P.", 301, 1, 50));
  EXPECT_EQ(receive_charge(fd), one);
  peer.send(Seg("P.", 351, 1, 500));
  EXPECT_GT(receive_charge(fd), one);
  peer.drain();
  EXPECT_EQ(read(fd), stream(1, 850));
}

}  // namespace
}  // namespace leat::segment
