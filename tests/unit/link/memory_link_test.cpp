// The pair of links in one memory, and the loopback link.
#include "link/memory_link.h"

#include <gtest/gtest.h>

#include <thread>

#include "frames.h"
#include "link/loopback.h"

namespace leat {
namespace {

using namespace leat::test;

TEST(MemoryLink, AFrameSentNowIsThereAtOnceAndIsTheSamePacket) {
  PacketPool pool;
  auto [a, b] = make_memory_pair();
  PacketPtr p = make_udp(pool, {.id = 7});
  const Packet* sent = p.get();
  send(*a, std::move(p), at_us(5));
  EXPECT_EQ(b->next_event(), at_us(5));
  EXPECT_EQ(a->next_event(), Time::never());
  PacketPtr got = receive(*b, pool, at_us(5));
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got.get(), sent);
  EXPECT_EQ(got->received, at_us(5));
  EXPECT_EQ(id_of(*got), 7);
  EXPECT_EQ(b->next_event(), Time::never());
  EXPECT_EQ(receive(*b, pool, at_us(6)), nullptr);
}

TEST(MemoryLink, ADelayIsKeptToTheNanosecondAndToldByNextEvent) {
  PacketPool pool;
  auto [a, b] = make_memory_pair({.delay = Duration::from_ms(10)});
  send(*a, make_udp(pool, {.id = 1}), at_us(100));
  EXPECT_EQ(b->next_event(), at_us(10'100));
  EXPECT_EQ(receive(*b, pool, Time::from_ns(10'099'999)), nullptr);
  PacketPtr got = receive(*b, pool, at_us(10'100));
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->received, at_us(10'100));
}

TEST(MemoryLink, BothDirectionsAreIndependentAndInOrder) {
  PacketPool pool;
  auto [a, b] = make_memory_pair();
  for (uint16_t i = 0; i < 5; ++i) {
    send(*a, make_udp(pool, {.id = i}), at_us(i));
    send(*b, make_udp(pool, {.id = static_cast<uint16_t>(100 + i)}), at_us(i));
  }
  for (uint16_t i = 0; i < 5; ++i) {
    EXPECT_EQ(id_of(*receive(*b, pool, at_us(9))), i);
    EXPECT_EQ(id_of(*receive(*a, pool, at_us(9))), 100 + i);
  }
}

TEST(MemoryLink, APartialChecksumArrivesVerifiedAndUnfinished) {
  PacketPool pool;
  auto [a, b] = make_memory_pair();
  send(*a, make_udp(pool, {.partial = true}), at_us(1));
  PacketPtr got = receive(*b, pool, at_us(1));
  EXPECT_EQ(got->checksum, Checksum::kVerified);
  EXPECT_TRUE(has_partial_checksum(*got));
  EXPECT_FALSE(has_good_checksum(*got));
  EXPECT_TRUE(complete_checksum(*got));
  EXPECT_EQ(got->checksum, Checksum::kVerified);
  EXPECT_FALSE(has_partial_checksum(*got));
  EXPECT_TRUE(has_good_checksum(*got));
}

TEST(MemoryLink, WithoutVerificationThePartialChecksumIsFinishedOnTheWay) {
  PacketPool pool;
  for (const bool ipv6 : {false, true}) {
    auto [a, b] = make_memory_pair({.verifies_checksums = false});
    EXPECT_FALSE(a->features().verifies_checksums);
    send(*a, make_udp(pool, {.partial = true, .ipv6 = ipv6}), at_us(1));
    PacketPtr got = receive(*b, pool, at_us(1));
    EXPECT_EQ(got->checksum, Checksum::kNone);
    EXPECT_TRUE(has_good_checksum(*got));
  }
}

TEST(MemoryLink, AFinishedChecksumIsForTheReceiverToCheck) {
  PacketPool pool;
  auto [a, b] = make_memory_pair();
  send(*a, make_udp(pool, {}), at_us(1));
  EXPECT_EQ(receive(*b, pool, at_us(1))->checksum, Checksum::kNone);
}

TEST(MemoryLink, WhatBelongsToTheSendersSocketDoesNotCross) {
  PacketPool pool;
  auto [a, b] = make_memory_pair();
  PacketPtr p = make_udp(pool, {});
  p->mark = 5;
  p->priority = 6;
  p->ifindex = 7;
  p->departure = at_us(77);
  send(*a, std::move(p), at_us(1));
  PacketPtr got = receive(*b, pool, at_us(1));
  EXPECT_EQ(got->mark, 0u);
  EXPECT_EQ(got->priority, 0);
  EXPECT_EQ(got->ifindex, 0);
  EXPECT_EQ(got->departure, Time{});
  EXPECT_FALSE(got->is_loopback);
}

TEST(MemoryLink, APacketAboveTheMtuIsDroppedUnlessItIsASuperSegment) {
  PacketPool pool;
  auto [a, b] = make_memory_pair({.mtu = 1000});
  send(*a, make_udp(pool, {.payload = 972}), at_us(1));  // 1000 bytes
  send(*a, make_udp(pool, {.payload = 973}), at_us(1));
  EXPECT_EQ(a->dropped(), 1u);
  PacketPtr super = make_udp(pool, {.payload = 9000, .partial = true});
  super->gso_size = 900;
  super->gso_segs = 10;
  super->gso_type = GsoType::kUdp;
  send(*a, std::move(super), at_us(1));
  EXPECT_EQ(a->dropped(), 1u);
  EXPECT_EQ(receive(*b, pool, at_us(1))->length, 1000u);
  PacketPtr got = receive(*b, pool, at_us(1));
  EXPECT_EQ(got->length, 9028u);
  EXPECT_EQ(got->gso_size, 900);
}

TEST(MemoryLink, WithoutGsoASuperSegmentIsDropped) {
  PacketPool pool;
  auto [a, b] = make_memory_pair({.max_gso_bytes = 0});
  PacketPtr super = make_udp(pool, {.payload = 9000, .partial = true});
  super->gso_size = 900;
  send(*a, std::move(super), at_us(1));
  EXPECT_EQ(a->dropped(), 1u);
  EXPECT_EQ(b->next_event(), Time::never());
}

TEST(MemoryLink, AnEthernetPairHasTwoMacsAndTheMtuIsTheIpPackets) {
  PacketPool pool;
  auto [a, b] = make_memory_pair({.mtu = 1000, .kind = LinkKind::kEthernet});
  EXPECT_EQ(a->features().mac[5], 1);
  EXPECT_EQ(b->features().mac[5], 2);
  send(*a, make_udp(pool, {.payload = 972, .ethernet = true}), at_us(1));
  EXPECT_EQ(a->dropped(), 0u);
  EXPECT_EQ(receive(*b, pool, at_us(1))->length, 1014u);
}

TEST(MemoryLink, TheQueueIsBoundedAndWhatDoesNotFitIsCounted) {
  PacketPool pool;
  auto [a, b] = make_memory_pair({.queue_packets = 3});
  Packet* batch[5];
  for (uint16_t i = 0; i < 5; ++i)
    batch[i] = make_udp(pool, {.id = i}).release();
  a->transmit_batch(batch, at_us(1));
  EXPECT_EQ(a->dropped(), 2u);
  EXPECT_EQ(pool.packets_in_use(), 3u);
  for (uint16_t i = 0; i < 3; ++i)
    EXPECT_EQ(id_of(*receive(*b, pool, at_us(1))), i);
}

TEST(MemoryLink, AnEndThatGoesAwayFreesWhatIsUnderWayAndThePeerDropsTheRest) {
  PacketPool first, second;
  auto [a, b] = make_memory_pair({.delay = Duration::from_ms(1)});
  send(*a, make_udp(first, {}), at_us(1));
  send(*b, make_udp(second, {}), at_us(1));
  a.reset();
  EXPECT_EQ(first.packets_in_use(), 0u);
  EXPECT_EQ(second.packets_in_use(), 0u);
  send(*b, make_udp(second, {}), at_us(2));
  EXPECT_EQ(b->dropped(), 1u);
  EXPECT_EQ(second.packets_in_use(), 0u);
}

TEST(MemoryLink, ReadyIsCalledWhenTheFirstFrameArrivesInAnEmptyQueue) {
  PacketPool pool;
  int calls = 0;
  MemoryPairOptions options;
  options.ready[1] = {[](void* n) { ++*static_cast<int*>(n); }, &calls};
  auto [a, b] = make_memory_pair(options);
  send(*a, make_udp(pool, {}), at_us(1));
  send(*a, make_udp(pool, {}), at_us(1));
  send(*b, make_udp(pool, {}), at_us(1));
  EXPECT_EQ(calls, 1);
  receive(*b, pool, at_us(1));
  receive(*b, pool, at_us(1));
  send(*a, make_udp(pool, {}), at_us(2));
  EXPECT_EQ(calls, 2);
}

TEST(MemoryLink, TwoThreadsExchangePacketsOfTheirOwnPoolsWithoutLossOrLeak) {
  constexpr int kPackets = 3000;
  PacketPool pools[2];
  {
    auto [a, b] = make_memory_pair({.queue_packets = 64});
    std::atomic<int> late{0};
    const auto work = [&](Link& link, PacketPool& pool) {
      int sent = 0, got = 0;
      for (int64_t turn = 0; (sent < kPackets || got < kPackets) && turn < 50'000'000; ++turn) {
        if (sent < kPackets && sent - got < 32)
          send(link, make_udp(pool, {.id = static_cast<uint16_t>(sent++)}), at_us(turn));
        PacketPtr p = receive(link, pool, at_us(turn));
        if (p != nullptr && id_of(*p) != got++) ++late;
      }
      if (got != kPackets) ++late;
    };
    std::thread other([&] { work(*b, pools[1]); });
    work(*a, pools[0]);
    other.join();
    EXPECT_EQ(late, 0);
    EXPECT_EQ(a->dropped() + b->dropped(), 0u);
  }
  EXPECT_EQ(pools[0].packets_in_use(), 0u);
  EXPECT_EQ(pools[1].packets_in_use(), 0u);
}

TEST(LoopbackLink, WhatIsSentComesBackVerifiedAndMarked) {
  PacketPool pool;
  LoopbackLink lo;
  EXPECT_EQ(lo.features().mtu, 65536u);
  EXPECT_TRUE(lo.features().is_loopback);
  PacketPtr p = make_udp(pool, {.payload = 60000, .partial = true, .id = 9});
  p->mark = 4;
  send(lo, std::move(p), at_us(3));
  EXPECT_EQ(lo.next_event(), at_us(3));
  PacketPtr got = receive(lo, pool, at_us(3));
  ASSERT_NE(got, nullptr);
  EXPECT_TRUE(got->is_loopback);
  EXPECT_EQ(got->checksum, Checksum::kVerified);
  EXPECT_EQ(got->mark, 4u);
  EXPECT_EQ(got->received, at_us(3));
  EXPECT_EQ(id_of(*got), 9);
}

TEST(LoopbackLink, IsBoundedAndFreesWhatNobodyReceived) {
  PacketPool pool;
  {
    LoopbackLink lo({.queue_packets = 2});
    for (int i = 0; i < 3; ++i)
      send(lo, make_udp(pool, {}), at_us(1));
    EXPECT_EQ(lo.dropped(), 1u);
    EXPECT_EQ(pool.packets_in_use(), 2u);
  }
  EXPECT_EQ(pool.packets_in_use(), 0u);
}

TEST(CompleteChecksum, RefusesOffsetsOutsideOfTheLinearBytes) {
  PacketPool pool;
  PacketPtr p = make_udp(pool, {.partial = true});
  const auto before = bytes_of(*p);
  p->csum_offset = 2000;
  EXPECT_FALSE(complete_checksum(*p));
  p->csum_offset = 6;
  p->csum_start = 3;  // before the data
  EXPECT_FALSE(complete_checksum(*p));
  EXPECT_EQ(bytes_of(*p), before);
}

TEST(CompleteChecksum, CoversFragmentsOfOddLength) {
  PacketPool pool;
  PacketPtr whole = make_udp(pool, {.payload = 333, .partial = true});
  PacketPtr shared = pool.clone(*whole, 29, whole->headroom());  // one byte of payload linear, 332 in a fragment
  PacketPtr tail = pool.split(*shared, 28 + 100);
  EXPECT_TRUE(complete_checksum(*whole));
  EXPECT_TRUE(has_good_checksum(*whole));
  PacketPtr again = pool.clone(*whole, 28, whole->headroom());
  EXPECT_TRUE(has_good_checksum(*again));
}

TEST(CompleteChecksum, AResultOfZeroIsWrittenAsAllOnes) {
  PacketPool pool;
  // 65 535 of the 16-bit payload values give another checksum; exactly one of the ids gives zero.
  int all_ones = 0;
  for (uint32_t id = 0; id < 65536; ++id) {
    PacketPtr p = make_udp(pool, {.payload = 2, .id = static_cast<uint16_t>(id)});
    const uint16_t field = load_be16(p->data + 26);
    ASSERT_NE(field, 0);
    if (field == 0xffff) ++all_ones;
  }
  EXPECT_EQ(all_ones, 1);
}

}  // namespace
}  // namespace leat
