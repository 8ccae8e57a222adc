// Packets and pools: literal cases.
#include "pkt/packet.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <vector>

namespace leat {
namespace {

std::vector<uint8_t> bytes_of(const Packet& p) {
  std::vector<uint8_t> out(p.length);
  p.copy_out(0, out.data(), p.length);
  return out;
}

std::vector<uint8_t> counting(uint32_t n, uint32_t first = 0) {
  std::vector<uint8_t> out(n);
  for (uint32_t i = 0; i < n; ++i)
    out[i] = static_cast<uint8_t>(first + i);
  return out;
}

class PacketTest : public testing::Test {
 protected:
  // A packet of `linear` linear bytes and one fragment, counting on.
  PacketPtr with_fragment(uint32_t linear, uint32_t n) {
    PacketPtr p = pool.make_copy(counting(linear));
    Buffer* b = pool.make_buffer(n);
    const auto bytes = counting(n, linear);
    std::memcpy(b->bytes(), bytes.data(), n);
    p->add_fragment(b, 0, n);
    PacketPool::unref(b);
    return p;
  }
  PacketPool pool;
};

TEST_F(PacketTest, IsMadeEmptyWithItsHeadroom) {
  PacketPtr p = pool.make(100);
  EXPECT_EQ(p->length, 0u);
  EXPECT_EQ(p->headroom(), 128u);
  EXPECT_GE(p->tailroom(), 100u);
  EXPECT_EQ(p->frag_count, 0);
  EXPECT_EQ(pool.packets_in_use(), 1u);
}

TEST_F(PacketTest, HeadersArePushedAndPulledWithoutMovingAByte) {
  PacketPtr p = pool.make_copy(counting(10));
  uint8_t* payload = p->data;
  std::memset(p->push(20), 0xee, 20);
  p->set_network_header();
  EXPECT_EQ(p->length, 30u);
  p->pull(20);
  EXPECT_EQ(p->data, payload);
  EXPECT_EQ(p->network_header(), payload - 20);
  EXPECT_EQ(bytes_of(*p), counting(10));
}

TEST_F(PacketTest, TruesizeIsLinuxs) {
  EXPECT_EQ(pool.make(0)->truesize, 832u);          // a small head: 576 + 256
  EXPECT_EQ(pool.make(0, 256)->truesize, 832u);     // the largest of them
  EXPECT_EQ(pool.make(1, 256)->truesize, 1280u);    // 1024 + 256
  EXPECT_EQ(pool.make(1500, 64)->truesize, 2304u);  // 2048 + 256, the truesize of a full Ethernet frame
  EXPECT_EQ(pool.make(1800)->truesize, 4352u);
  EXPECT_EQ(with_fragment(0, 1000)->truesize, 1832u);
}

TEST_F(PacketTest, FragmentsThatTouchInOneBufferAreOne) {
  PacketPtr p = pool.make(0);
  Buffer* b = pool.make_buffer(1000);
  std::memset(b->bytes(), 7, 1000);
  p->add_fragment(b, 0, 100);
  p->add_fragment(b, 100, 50);
  EXPECT_EQ(p->frag_count, 1);
  EXPECT_EQ(b->refs.load(), 2u);
  p->add_fragment(b, 151, 10);
  EXPECT_EQ(p->frag_count, 2);
  EXPECT_EQ(p->length, 160u);
  PacketPool::unref(b);
}

TEST_F(PacketTest, ACoalescingFragmentFitsWhereANewOneDoesNot) {
  PacketPtr p = pool.make(0);
  Buffer* b = pool.make_buffer(1000);
  std::memset(b->bytes(), 7, 1000);
  for (uint32_t i = 0; i < Packet::kMaxFragments; ++i)
    p->add_fragment(b, i * 20, 10);
  EXPECT_FALSE(p->can_add_fragment(b, 500));
  EXPECT_TRUE(p->can_add_fragment(b, 330));
  p->add_fragment(b, 330, 5);
  EXPECT_EQ(p->length, 175u);
  PacketPool::unref(b);
}

TEST_F(PacketTest, PullCrossesFromLinearIntoFragments) {
  PacketPtr p = with_fragment(10, 100);
  p->pull(25);
  EXPECT_EQ(p->length, 85u);
  EXPECT_EQ(p->linear_length(), 0u);
  EXPECT_EQ(bytes_of(*p), counting(85, 25));
  p->pull(85);
  EXPECT_EQ(p->frag_count, 0);
}

TEST_F(PacketTest, TrimCutsTheEndWhereverItLies) {
  PacketPtr p = with_fragment(10, 100);
  p->trim(60);
  EXPECT_EQ(bytes_of(*p), counting(60));
  p->trim(4);
  EXPECT_EQ(p->frag_count, 0);
  EXPECT_EQ(bytes_of(*p), counting(4));
  p->trim(0);
  EXPECT_EQ(p->length, 0u);
}

TEST_F(PacketTest, PullLinearBringsHeadersOutOfFragments) {
  PacketPtr p = with_fragment(10, 100);
  EXPECT_TRUE(p->pull_linear(10));
  EXPECT_TRUE(p->pull_linear(40));
  EXPECT_EQ(p->linear_length(), 40u);
  EXPECT_EQ(bytes_of(*p), counting(110));
  EXPECT_FALSE(p->pull_linear(111));
  EXPECT_TRUE(p->pull_linear(110));
  EXPECT_EQ(p->frag_count, 0);
  EXPECT_EQ(bytes_of(*p), counting(110));
}

TEST_F(PacketTest, PullLinearKeepsHeaderPositionsWhenItMovesTheLinearBytes) {
  PacketPtr p = pool.make_copy(counting(112), 128);  // fills its buffer of 240 bytes
  EXPECT_EQ(p->tailroom(), 0u);
  p->set_network_header();
  p->pull(20);
  p->set_transport_header();
  Buffer* b = pool.make_buffer(50);
  std::memcpy(b->bytes(), counting(50, 112).data(), 50);
  p->add_fragment(b, 0, 50);
  PacketPool::unref(b);
  EXPECT_TRUE(p->pull_linear(100));
  EXPECT_EQ(p->network_header()[0], 0);
  EXPECT_EQ(p->network_header()[19], 19);
  EXPECT_EQ(p->transport_header()[0], 20);
  EXPECT_EQ(bytes_of(*p), counting(142, 20));
}

TEST_F(PacketTest, ACloneHasItsOwnHeadersAndSharesThePayload) {
  PacketPtr p = with_fragment(30, 1000);
  p->gso_size = 500;
  p->gso_type = GsoType::kTcp6;
  p->checksum = Checksum::kPartial;
  p->mark = 77;
  p->set_network_header();
  p->transport_offset = static_cast<uint16_t>(p->network_offset + 20);
  PacketPtr copy = pool.clone(*p, 25, 64);
  EXPECT_EQ(copy->headroom(), 64u);
  EXPECT_EQ(copy->linear_length(), 25u);
  EXPECT_EQ(copy->frag_count, 2);
  EXPECT_EQ(copy->frags[1].bytes(), p->frags[0].bytes());
  EXPECT_EQ(copy->gso_size, 500);
  EXPECT_EQ(copy->gso_type, GsoType::kTcp6);
  EXPECT_EQ(copy->checksum, Checksum::kPartial);
  EXPECT_EQ(copy->mark, 77u);
  EXPECT_EQ(copy->network_header(), copy->data);
  EXPECT_EQ(copy->transport_header(), copy->data + 20);
  std::memset(copy->data, 0xff, 25);
  p->data[0] = 0;
  EXPECT_EQ(bytes_of(*p), counting(1030));
  p.reset();  // the payload lives on
  copy->pull(25);
  EXPECT_EQ(bytes_of(*copy), counting(1005, 25));
}

TEST_F(PacketTest, ACloneOfSeventeenFragmentsAndALinearRestUsesTheChain) {
  PacketPtr p = pool.make_copy(counting(40));
  Buffer* b = pool.make_buffer(1000);
  std::memcpy(b->bytes(), counting(1000).data(), 1000);
  for (uint32_t i = 0; i < Packet::kMaxFragments; ++i)
    p->add_fragment(b, i * 20, 10);
  PacketPool::unref(b);
  PacketPtr copy = pool.clone(*p, 20);
  ASSERT_NE(copy->more, nullptr);
  EXPECT_EQ(copy->length, 210u);
  EXPECT_EQ(bytes_of(*copy), bytes_of(*p));
  copy->trim(205);
  copy->pull(200);
  EXPECT_EQ(copy->length, 5u);
}

TEST_F(PacketTest, SplitSharesTheBytesAndClosesTheTailroom) {
  PacketPtr p = pool.make_copy(counting(100));
  p->ifindex = 3;
  PacketPtr rest = pool.split(*p, 60);
  EXPECT_EQ(bytes_of(*p), counting(60));
  EXPECT_EQ(bytes_of(*rest), counting(40, 60));
  EXPECT_EQ(p->tailroom(), 0u);  // those bytes are the rest's
  EXPECT_EQ(rest->headroom(), 128u);
  EXPECT_EQ(rest->ifindex, 3);
}

TEST_F(PacketTest, SplitMovesTheChargeOfFragments) {
  PacketPtr p = with_fragment(0, 1000);
  PacketPtr rest = pool.split(*p, 400);
  EXPECT_EQ(p->truesize, 832u + 400);
  EXPECT_EQ(rest->truesize, 832u + 600);
}

TEST_F(PacketTest, SplitAtEitherEndGivesAnEmptyPart) {
  PacketPtr p = with_fragment(10, 10);
  PacketPtr nothing = pool.split(*p, 20);
  EXPECT_EQ(nothing->length, 0u);
  PacketPtr all = pool.split(*p, 0);
  EXPECT_EQ(p->length, 0u);
  EXPECT_EQ(bytes_of(*all), counting(20));
}

TEST_F(PacketTest, AChainIsOneSequenceOfBytes) {
  PacketPtr p = pool.make_copy(counting(10));
  p->append(with_fragment(5, 5));
  std::memcpy(p->more->data, counting(5, 10).data(), 5);
  PacketPtr third = pool.make_copy(counting(20, 100));
  Packet* const third_raw = third.get();
  p->append(std::move(third));
  EXPECT_EQ(p->length, 40u);
  EXPECT_EQ(p->more->length, 30u);
  EXPECT_EQ(p->more->more, third_raw);
  p->pull(22);
  EXPECT_EQ(p->more, third_raw);  // what was used up is gone
  EXPECT_EQ(bytes_of(*p), counting(18, 102));
  EXPECT_TRUE(p->pull_linear(4));
  EXPECT_EQ(bytes_of(*p), counting(18, 102));
  p->trim(4);
  EXPECT_EQ(p->more, nullptr);
}

TEST_F(PacketTest, MetadataOfAReusedPacketAreFresh) {
  PacketPtr p = pool.make(10);
  p->gso_size = 9;
  p->is_loopback = true;
  p->departure = Time::from_ns(5);
  Packet* const old = p.get();
  p.reset();
  p = pool.make(10);
  EXPECT_EQ(p.get(), old);
  EXPECT_EQ(p->gso_size, 0);
  EXPECT_FALSE(p->is_loopback);
  EXPECT_EQ(p->departure, Time());
  EXPECT_FALSE(p->node.is_linked());
  EXPECT_FALSE(p->tree_node.is_linked());
}

TEST_F(PacketTest, BuffersOfEverySizeComeAndGo) {
  for (uint32_t n : {0u, 1u, 240u, 241u, 2000u, 16368u, 34800u, 69616u, 69617u, 200'000u}) {
    PacketPtr p = pool.make(n, 0);
    ASSERT_NE(p, nullptr);
    EXPECT_GE(p->tailroom(), n);
    std::memset(p->put(n), 1, n);
    EXPECT_GE(pool.bytes(), n);
  }
  pool.trim();
  EXPECT_LT(pool.bytes(), 4'000'000u);
}

TEST_F(PacketTest, ASmallBufferOutlivesItsPacketWhileOthersReadIt) {
  PacketPtr p = pool.make_copy(counting(50));
  PacketPtr copy = pool.clone(*p, 0);
  EXPECT_EQ(pool.packets_in_use(), 2u);
  p.reset();
  PacketPtr other = pool.make_copy(counting(50, 100));  // must not come to lie where the bytes still are
  EXPECT_EQ(bytes_of(*copy), counting(50));
  copy.reset();
  other.reset();
  EXPECT_EQ(pool.packets_in_use(), 0u);
}

TEST_F(PacketTest, ASmallPacketThatGrowsLeavesItsBufferToWhoReadsIt) {
  PacketPtr p = pool.make_copy(counting(90));
  const PacketPtr more = pool.make_copy(counting(80, 90));
  ASSERT_LT(p->tailroom(), more->length);
  ASSERT_TRUE(p->append_copy(*more));
  EXPECT_EQ(bytes_of(*p), counting(170));
  PacketPtr copy = pool.clone(*p, 0);
  p.reset();
  EXPECT_EQ(bytes_of(*copy), counting(170));
  copy.reset();
  EXPECT_EQ(pool.packets_in_use(), 1u);  // `more`
}

TEST_F(PacketTest, AnAbsurdSizeIsRefused) {
  EXPECT_EQ(pool.make(UINT32_MAX), nullptr);
  EXPECT_EQ(pool.make(UINT32_MAX - 100, 200), nullptr);
  EXPECT_EQ(pool.make_buffer(UINT32_MAX - 8), nullptr);
}

TEST_F(PacketTest, AQueueOwnsAndCountsWhatItHolds) {
  PacketQueue q;
  q.push_back(pool.make_copy(counting(10)));
  q.push_back(pool.make_copy(counting(20)));
  q.push_front(pool.make_copy(counting(5)));
  EXPECT_EQ(q.count(), 3u);
  EXPECT_EQ(q.bytes(), 35u);
  EXPECT_EQ(q.pop_front()->length, 5u);
  EXPECT_EQ(q.bytes(), 30u);
  q.clear();
  EXPECT_TRUE(q.is_empty());
  EXPECT_EQ(q.pop_front(), nullptr);
  EXPECT_EQ(pool.packets_in_use(), 0u);
}

using PacketDeathTest = PacketTest;

#if defined(__SANITIZE_ADDRESS__)
[[gnu::noinline]] void retire_with_a_packet_out() {
  PacketPool::Owner owner(new PacketPool);
  PacketPtr p = owner->make(10);
  owner.reset();
  (void)p.release();
}
[[gnu::noinline]] void forget_the_stack() {
  volatile uint8_t over_it[16384];
  for (volatile uint8_t& byte : over_it)
    byte = 1;
}

// A pool that waits for its packets must not hide one that nobody will give back.
TEST_F(PacketDeathTest, APacketThatIsLostAfterItsPoolIsRetiredIsFoundAsALeak) {
  const auto lose_one_and_exit = [] {
    retire_with_a_packet_out();
    forget_the_stack();
    std::exit(0);
  };
  EXPECT_EXIT(lose_one_and_exit(), [](int status) { return status != 0; }, "leaked");
}
#endif

TEST_F(PacketDeathTest, WhatIsOutOfRangeIsAFailedCheck) {
  PacketPtr p = pool.make_copy(counting(10), 16);
  EXPECT_DEATH(p->push(17), "");
  EXPECT_DEATH(p->put(10'000), "");
  EXPECT_DEATH(p->pull(11), "");
  EXPECT_DEATH(p->trim(11), "");
  uint8_t out[16];
  EXPECT_DEATH(p->copy_out(5, out, 6), "");
}

}  // namespace
}  // namespace leat
