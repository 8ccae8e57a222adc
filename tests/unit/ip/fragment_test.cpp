// Reassembly: the table itself, and what the host does with fragments of both families.
#include "ip/fragment.h"

#include <algorithm>

#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;
using Outcome = Reassembly::Outcome;

struct ReassemblyTest : testing::Test {
  Outcome add(uint32_t offset, uint32_t size, bool more, uint32_t id = 1, uint8_t ecn = 0) {
    const Bytes head(20, 0x45);
    PacketPtr p = pool.make_copy(head + counting(size, static_cast<uint8_t>(offset)));
    p->pull(20);
    Reassembly::Fragment f;
    f.key = {addr("10.0.0.2"), addr("10.0.0.1"), id, 17, 0};
    f.offset = offset;
    f.more = more;
    f.ecn = ecn;
    f.header_bytes = 20;
    result = table.add(std::move(p), f, limits, now);
    return result.outcome;
  }
  PacketPool pool;
  Rng rng{Seed{3}};
  Reassembly table{"test_frag", rng};
  Reassembly::Limits limits;
  Reassembly::Result result;
  Time now = at_ms(1000);
};

TEST_F(ReassemblyTest, PiecesInAnyOrderMakeTheDatagram) {
  std::vector<int> order{0, 1, 2, 3};
  do {
    for (size_t i = 0; i < 4; ++i) {
      const auto at = static_cast<uint32_t>(order[i]) * 64;
      EXPECT_EQ(add(at, 64, order[i] != 3), i == 3 ? Outcome::kComplete : Outcome::kQueued);
    }
    ASSERT_NE(result.packet, nullptr);
    EXPECT_EQ(result.payload, 256u);
    EXPECT_EQ(result.packet->length, 276u);
    const Bytes b = bytes_of(*result.packet);
    EXPECT_EQ(Bytes(b.begin() + 20, b.end()), counting(256));
    uint32_t chain = 0;
    for (const Packet* p = result.packet.get(); p != nullptr; p = p->more)
      ++chain;
    EXPECT_EQ(chain, 4u);  // not copied
    EXPECT_EQ(table.queues(), 0u);
    EXPECT_EQ(table.memory(), 0u);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(ReassemblyTest, ADuplicateIsDroppedQuietly) {
  EXPECT_EQ(add(0, 64, true), Outcome::kQueued);
  EXPECT_EQ(add(0, 64, true), Outcome::kDuplicate);
  EXPECT_EQ(add(8, 16, true), Outcome::kDuplicate);
  EXPECT_EQ(add(64, 64, true), Outcome::kQueued);
  EXPECT_EQ(add(32, 64, true), Outcome::kDuplicate);  // inside of what is there, across two
  EXPECT_EQ(add(128, 64, false), Outcome::kComplete);
}

TEST_F(ReassemblyTest, APartialOverlapKillsTheDatagram) {
  const struct {
    uint32_t offset, size;
  } attacks[] = {{32, 64}, {56, 16}, {0, 72}, {120, 16}, {120, 200}, {0, 256}};
  for (const auto& a : attacks) {
    EXPECT_EQ(add(0, 64, true), Outcome::kQueued);
    EXPECT_EQ(add(128, 64, true), Outcome::kQueued);
    EXPECT_EQ(add(a.offset, a.size, true), Outcome::kOverlap) << a.offset << "+" << a.size;
    EXPECT_EQ(table.queues(), 0u);
  }
  EXPECT_EQ(table.memory(), 0u);
}

TEST_F(ReassemblyTest, TheEndMayNotChange) {
  EXPECT_EQ(add(128, 64, false), Outcome::kQueued);
  EXPECT_EQ(add(256, 64, false), Outcome::kInvalid);  // another end
  EXPECT_EQ(add(128, 64, false), Outcome::kQueued);
  EXPECT_EQ(add(192, 64, true), Outcome::kInvalid);  // beyond the end
  EXPECT_EQ(add(128, 64, true), Outcome::kQueued);
  EXPECT_EQ(add(0, 64, false), Outcome::kInvalid);  // an end before what is there
  EXPECT_EQ(add(0, 0, true), Outcome::kInvalid);
  EXPECT_EQ(table.memory(), 0u);
}

TEST_F(ReassemblyTest, NothingGrowsBeyond65535Bytes) {
  EXPECT_EQ(add(65512, 8, true), Outcome::kTooBig);
  EXPECT_EQ(add(65504, 8, true), Outcome::kQueued);
  EXPECT_EQ(add(65512, 4, false), Outcome::kTooBig);
}

TEST_F(ReassemblyTest, MemoryIsBounded) {
  limits.high_thresh = 100'000;
  uint32_t refused = 0;
  for (uint32_t id = 0; id < 1000; ++id)
    refused += add(0, 512, true, id) == Outcome::kNoMemory ? 1 : 0;
  EXPECT_GT(refused, 800u);
  EXPECT_LT(table.memory(), 103'000u);
  EXPECT_EQ(add(512, 8, false, 0), Outcome::kNoMemory);  // old ones may not grow either
  now = now + Duration::from_s(30);
  Reassembly::Expired e;
  while (table.expire(now, e)) {
  }
  EXPECT_EQ(table.memory(), 0u);
  EXPECT_EQ(add(0, 512, true, 0), Outcome::kQueued);
}

TEST_F(ReassemblyTest, ThePiecesOfOneDatagramAreBounded) {
  for (uint32_t i = 0; i < Reassembly::kMaxPieces; ++i)
    ASSERT_EQ(add(i * 16, 8, true), Outcome::kQueued);
  EXPECT_EQ(add(8, 8, true), Outcome::kInvalid);
  EXPECT_EQ(table.queues(), 0u);
}

TEST_F(ReassemblyTest, AQueueThatItsPeerHasLeftFarBehindIsBegunAnew) {
  EXPECT_EQ(add(0, 8, true, 5), Outcome::kQueued);
  for (uint32_t i = 0; i < 65; ++i)
    add(0, 8, true, 100 + i);
  EXPECT_EQ(add(8, 8, false, 5), Outcome::kQueued);  // not glued to the old first piece
  EXPECT_TRUE(result.restarted);
  limits.max_dist = 0;
  EXPECT_EQ(add(0, 8, true, 6), Outcome::kQueued);
  for (uint32_t i = 0; i < 65; ++i)
    add(0, 8, true, 1000 + i);
  EXPECT_EQ(add(8, 8, false, 6), Outcome::kComplete);
}

TEST_F(ReassemblyTest, AQueueLivesThirtySecondsFromItsFirstFragment) {
  add(8, 8, true);
  EXPECT_EQ(table.next_deadline(), now + Duration::from_s(30));
  now = now + Duration::from_s(29);
  add(0, 8, true);
  Reassembly::Expired e;
  EXPECT_FALSE(table.expire(now, e));
  now = now + Duration::from_s(1);
  ASSERT_TRUE(table.expire(now, e));
  ASSERT_NE(e.first, nullptr);
  EXPECT_EQ(e.first->length, 28u);  // with its header
  EXPECT_EQ(table.next_deadline(), Time::never());
}

TEST_F(ReassemblyTest, CongestionMarksAreMerged) {
  add(0, 8, true, 1, 2);
  EXPECT_EQ(add(8, 8, false, 1, 3), Outcome::kComplete);
  EXPECT_TRUE(result.has_ce);
  add(0, 8, true, 1, 2);
  EXPECT_EQ(add(8, 8, false, 1, 1), Outcome::kComplete);
  EXPECT_FALSE(result.has_ce);
  add(0, 8, true, 1, 0);
  EXPECT_EQ(add(8, 8, false, 1, 3), Outcome::kBadEcn);
}

TEST(ReassemblyRandom, WhateverOverlapsThePayloadIsRightOrNothing) {
  PacketPool pool;
  Rng rng(Seed{9});
  Reassembly table("random_frag", rng);
  const Bytes truth = counting(4000);
  uint32_t completed = 0;
  for (uint32_t round = 0; round < 300; ++round) {
    for (int i = 0; i < 40; ++i) {
      const bool honest = rng.below(100) < 97;
      const uint32_t n = 8 * (1 + rng.below(honest ? 100 : 80));
      uint32_t at = honest ? 800 * rng.below(5) : 8 * rng.below(500);
      const uint32_t size = std::min(honest ? 800u : n, 4000 - at);
      Bytes b(20);
      b.insert(b.end(), truth.begin() + at, truth.begin() + at + size);
      PacketPtr p = pool.make_copy(b);
      p->pull(20);
      auto r = table.add(std::move(p),
                         {.key = {addr("10.0.0.2"), addr("10.0.0.1"), round, 17, 0},
                          .offset = at,
                          .more = at + size < 4000,
                          .header_bytes = 20},
                         {.max_dist = 0}, at_ms(round));
      if (r.outcome != Outcome::kComplete) continue;
      ++completed;
      const Bytes got = bytes_of(*r.packet);
      ASSERT_EQ(Bytes(got.begin() + 20, got.end()), truth);
    }
  }
  EXPECT_GT(completed, 100u);
}

// --- the host ------------------------------------------------------------------------------------------------------

struct FragmentInputTest : testing::Test {
  FragmentInputTest() { eth = host.add(ip_link(), {"10.0.0.1/24", "fd00::1/64"}); }
  Host host;
  uint16_t eth;
  Bytes datagram = udp(1, 2, counting(100));  // 108 bytes
  Bytes part(size_t from, size_t to) {
    return Bytes(datagram.begin() + static_cast<long>(from), datagram.begin() + static_cast<long>(to));
  }
};

TEST_F(FragmentInputTest, AnIpv4DatagramIsDeliveredOnce) {
  host.give(eth, v4({.id = 7, .offset = 64}, part(64, 108)));
  EXPECT_TRUE(host.udp.got.empty());
  host.give(eth, v4({.id = 7, .more = true, .tos = 2, .ttl = 9}, part(0, 64)));
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].bytes, datagram);
  EXPECT_EQ(host.udp.got[0].info.ttl, 9);
  const uint8_t* ip = host.udp.last->network_header();
  EXPECT_EQ(load_be16(ip + 2), 128);
  EXPECT_EQ(load_be16(ip + 6), 0);
  EXPECT_EQ(wire::ipv4_checksum({ip, 20}), 0);
  EXPECT_EQ(host.mib(Mib::IpReasmReqds), 2u);
  EXPECT_EQ(host.mib(Mib::IpReasmOKs), 1u);
  EXPECT_EQ(host.mib(Mib::IpInDelivers), 1u);
}

TEST_F(FragmentInputTest, FragmentsOfDifferentDatagramsDoNotMix) {
  host.give(eth, v4({.id = 7, .more = true}, part(0, 64)));
  host.give(eth, v4({.id = 8, .offset = 64}, part(64, 108)));
  host.give(eth, v4({.src = "10.0.0.3", .id = 7, .offset = 64}, part(64, 108)));
  host.give(eth, v4({.protocol = 6, .id = 7, .offset = 64}, part(64, 108)));
  EXPECT_TRUE(host.udp.got.empty());
}

TEST_F(FragmentInputTest, AnOddSizedFragmentIsCutToEights) {
  host.give(eth, v4({.id = 7, .more = true}, part(0, 69)));
  host.give(eth, v4({.id = 7, .offset = 64}, part(64, 108)));
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].bytes, datagram);
  host.give(eth, v4({.id = 8, .more = true}, part(0, 7)));  // nothing is left
  EXPECT_EQ(host.mib(Mib::IpReasmFails), 1u);
}

TEST_F(FragmentInputTest, AnOverlapIsCounted) {
  host.give(eth, v4({.id = 7, .more = true}, part(0, 64)));
  host.give(eth, v4({.id = 7, .offset = 56}, part(56, 108)));
  EXPECT_EQ(host.mib(Mib::IpExtReasmOverlaps), 1u);
  EXPECT_EQ(host.mib(Mib::IpReasmFails), 1u);
  EXPECT_EQ(host.drops(DropReason::kDupFrag), 1u);
  host.give(eth, v4({.id = 7, .offset = 64}, part(64, 108)));
  EXPECT_TRUE(host.udp.got.empty());
}

TEST_F(FragmentInputTest, WhenTheTimeIsUpTheSenderIsToldIfTheFirstFragmentCame) {
  host.give(eth, v4({.id = 7, .more = true}, part(0, 64)));
  host.give(eth, v4({.id = 8, .offset = 64}, part(64, 108)));
  EXPECT_EQ(host.ip->next_deadline(), host.ns.now() + Duration::from_s(30));
  host.advance(Duration::from_s(30));
  const Bytes answer = host.take(eth);
  ASSERT_GE(answer.size(), 28u + 84);
  EXPECT_EQ(answer[20], 11);
  EXPECT_EQ(answer[21], 1);
  EXPECT_EQ(load_be16(&answer[28 + 4]), 7);  // quotes the first fragment
  EXPECT_TRUE(host.take(eth).empty());
  EXPECT_EQ(host.mib(Mib::IpReasmTimeout), 2u);
  EXPECT_EQ(host.mib(Mib::IpReasmFails), 2u);
  EXPECT_EQ(host.drops(DropReason::kFragReasmTimeout), 2u);
}

TEST_F(FragmentInputTest, AFloodOfFragmentsIsBoundedAndPasses) {
  host.ns.sysctl.ipfrag_high_thresh.set(200'000);
  for (uint32_t i = 0; i < 5000; ++i) {
    host.give(eth, v4({.id = static_cast<uint16_t>(i), .more = true}, Bytes(512)));
  }
  EXPECT_LT(host.pool.packets_in_use(), 400u);
  EXPECT_GT(host.mib(Mib::IpReasmFails), 4000u);
  host.advance(Duration::from_s(30));
  EXPECT_EQ(host.pool.packets_in_use() - host.link(eth).sent.size(), 0u);
  host.give(eth, v4({.id = 7, .more = true}, part(0, 64)));
  host.give(eth, v4({.id = 7, .offset = 64}, part(64, 108)));
  EXPECT_EQ(host.udp.got.size(), 1u);
}

TEST_F(FragmentInputTest, AnIpv6DatagramIsDeliveredOnce) {
  const Bytes options{17, 0, 1, 4, 0, 0, 0, 0};  // destination options, in the fragmentable part
  const Bytes inner = options + datagram;
  const Bytes a(inner.begin(), inner.begin() + 64), b(inner.begin() + 64, inner.end());
  host.give(eth, v6({.next = 44}, v6_fragment(60, 64, false, 99, b)));
  host.give(eth, v6({.next = 44, .hop_limit = 5}, v6_fragment(60, 0, true, 99, a)));
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].bytes, datagram);
  EXPECT_EQ(host.udp.got[0].info.ttl, 5);
  EXPECT_EQ(host.mib(Mib::Ip6ReasmReqds), 2u);
  EXPECT_EQ(host.mib(Mib::Ip6ReasmOKs), 1u);
  EXPECT_EQ(host.mib(Mib::Ip6InReceives), 2u);
}

TEST_F(FragmentInputTest, TheUnfragmentableHeadersOfTheFirstFragmentStay) {
  const Bytes hop{44, 0, 1, 4, 0, 0, 0, 0};
  host.give(eth, v6({.next = 0}, hop + v6_fragment(17, 0, true, 99, part(0, 64))));
  host.give(eth, v6({.next = 0}, hop + v6_fragment(17, 64, false, 99, part(64, 108))));
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].bytes, datagram);
  const uint8_t* ip = host.udp.last->network_header();
  EXPECT_EQ(ip[6], 0);
  EXPECT_EQ(ip[40], 17);
  EXPECT_EQ(load_be16(ip + 4), 8 + 108);
}

TEST_F(FragmentInputTest, AnAtomicFragmentIsAWholeDatagram) {
  host.give(eth, v6({.next = 44}, v6_fragment(17, 0, false, 99, datagram)));
  ASSERT_EQ(host.udp.got.size(), 1u);
  EXPECT_EQ(host.udp.got[0].bytes, datagram);
  EXPECT_EQ(host.mib(Mib::Ip6ReasmOKs), 1u);
}

TEST_F(FragmentInputTest, AnIpv6FragmentOfOddSizeIsAParameterProblem) {
  host.give(eth, v6({.next = 44}, v6_fragment(17, 0, true, 99, part(0, 69))));
  const Bytes answer = host.take(eth);
  ASSERT_GE(answer.size(), 48u);
  EXPECT_EQ(answer[40], 4);
  EXPECT_EQ(answer[41], 0);
  EXPECT_EQ(load_be32(&answer[44]), 4u);  // the payload length
}

TEST_F(FragmentInputTest, Ipv6OverlapsAndTimeoutsAreTreatedAlike) {
  host.give(eth, v6({.next = 44}, v6_fragment(17, 0, true, 99, part(0, 64))));
  host.give(eth, v6({.next = 44}, v6_fragment(17, 56, false, 99, part(56, 108))));
  EXPECT_EQ(host.mib(Mib::Ip6ReasmFails), 1u);
  host.give(eth, v6({.next = 44}, v6_fragment(17, 0, true, 100, part(0, 64))));
  host.advance(Duration::from_s(59));
  EXPECT_EQ(host.mib(Mib::Ip6ReasmTimeout), 0u);
  host.advance(Duration::from_s(1));
  EXPECT_EQ(host.mib(Mib::Ip6ReasmTimeout), 1u);
  const Bytes answer = host.take(eth);
  ASSERT_GE(answer.size(), 48u);
  EXPECT_EQ(answer[40], 3);
  EXPECT_EQ(answer[41], 1);
}

TEST_F(FragmentInputTest, AFirstFragmentWithoutItsTransportHeaderIsRefused) {
  host.give(eth, v6({.next = 44}, v6_fragment(6, 0, true, 99, Bytes(16))));
  const Bytes answer = host.take(eth);
  ASSERT_GE(answer.size(), 48u);
  EXPECT_EQ(answer[40], 4);
  EXPECT_EQ(answer[41], 3);
}

}  // namespace
}  // namespace leat::ip
