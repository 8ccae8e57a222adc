// The neighbour state machine, and ARP as its voice. neighbour6_test.cpp has ND.
#include "ip/neighbour.h"

#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;
using wire::ArpOperation;

const wire::MacAddress kUs = mac(1), kPeer = mac(2), kOther = mac(3);

struct ArpTest : testing::Test {
  ArpTest() { eth = host.add(ethernet_link(), {"10.0.0.1/24", "10.0.0.5/24"}); }
  void answer(const wire::MacAddress& m = kPeer, std::string_view ip = "10.0.0.2") {
    host.give(eth, ethernet(kUs, m, 0x0806, arp(ArpOperation::kReply, m, ip, kUs, "10.0.0.1")));
  }
  int send(std::string_view dst = "10.0.0.2", size_t size = 0) {
    return error_of(host.send(udp(1, 2, Bytes(size)), dst));
  }
  NeighbourState state(std::string_view a = "10.0.0.2") {
    for (const auto& n : host.ip->neighbours()) {
      if (n.address == addr(a)) return n.state;
    }
    ADD_FAILURE() << "no entry";
    return NeighbourState::kFailed;
  }
  size_t entries() { return host.ip->neighbours().size(); }
  // The next frame is a request for 10.0.0.2.
  void expect_request(const wire::MacAddress& to, std::string_view source = "10.0.0.1") {
    const Bytes f = host.take(eth);
    ASSERT_EQ(f.size(), 42u);
    EXPECT_EQ(wire::MacAddress::from_bytes(&f[0]), to);
    EXPECT_EQ(wire::MacAddress::from_bytes(&f[6]), kUs);
    const auto a = wire::parse_arp(ByteView(f).subspan(14));
    ASSERT_TRUE(a.has_value());
    EXPECT_EQ(a->operation, ArpOperation::kRequest);
    EXPECT_EQ(a->sender_ip, addr(source));
    EXPECT_EQ(a->sender_mac, kUs);
    EXPECT_EQ(a->target_ip, addr("10.0.0.2"));
  }
  void expect_datagram(const wire::MacAddress& to) {
    const Bytes f = host.take(eth);
    ASSERT_GE(f.size(), 42u);
    EXPECT_EQ(wire::MacAddress::from_bytes(&f[0]), to);
    EXPECT_EQ(load_be16(&f[12]), 0x0800);
  }
  Host host;
  uint16_t eth;
};

TEST_F(ArpTest, PacketsWaitForTheAnswerAndThenLeaveInOrder) {
  for (size_t i = 0; i < 3; ++i)
    ASSERT_EQ(send("10.0.0.2", i), 0);
  expect_request(wire::MacAddress::broadcast());
  EXPECT_TRUE(host.take(eth).empty());  // one request for all
  EXPECT_EQ(state(), NeighbourState::kIncomplete);
  answer();
  EXPECT_EQ(state(), NeighbourState::kReachable);
  for (size_t i = 0; i < 3; ++i) {
    const Bytes f = host.take(eth);
    ASSERT_EQ(f.size(), 42 + i);
    EXPECT_EQ(wire::MacAddress::from_bytes(&f[0]), kPeer);
  }
  ASSERT_EQ(send(), 0);
  expect_datagram(kPeer);
}

TEST_F(ArpTest, TheRequestCarriesTheSourceOfThePacketThatWaits) {
  ASSERT_EQ(error_of(host.send(udp(1, 2), "10.0.0.2", {.src = addr("10.0.0.5")})), 0);
  expect_request(wire::MacAddress::broadcast(), "10.0.0.5");
}

TEST_F(ArpTest, AfterThreeRequestsASecondApartTheSenderIsTold) {
  ASSERT_EQ(send(), 0);
  ASSERT_EQ(send(), 0);
  for (int i = 0; i < 3; ++i) {
    expect_request(wire::MacAddress::broadcast());
    EXPECT_EQ(host.ip->next_deadline(), host.ns.now() + Duration::from_s(1));
    EXPECT_TRUE(host.udp.errors.empty());
    host.advance(Duration::from_s(1));
  }
  EXPECT_TRUE(host.take(eth).empty());
  EXPECT_EQ(state(), NeighbourState::kFailed);
  ASSERT_EQ(host.udp.errors.size(), 2u);
  const auto& e = host.udp.errors[0];
  EXPECT_EQ(e.e.error, EHOSTUNREACH);
  EXPECT_FALSE(e.e.is_fatal);
  EXPECT_EQ(e.e.about.src, addr("10.0.0.1"));
  EXPECT_EQ(e.e.about.dst, addr("10.0.0.2"));
  EXPECT_EQ(e.e.type, 3);
  EXPECT_EQ(e.e.code, 1);
  EXPECT_EQ(e.quoted, udp(1, 2));
  EXPECT_EQ(host.drops(DropReason::kNeighFailed), 2u);
  ASSERT_EQ(send(), 0);  // tried again
  expect_request(wire::MacAddress::broadcast());
}

TEST_F(ArpTest, TheQueueOfAnUnresolvedNeighbourIsBoundedAndKeepsTheNewest) {
  host.ns.sysctl.neigh_unres_qlen_bytes.set(10'000);
  for (size_t i = 0; i < 100; ++i)
    ASSERT_EQ(send("10.0.0.2", i), 0);
  const uint64_t dropped = host.drops(DropReason::kNeighQueueFull);
  EXPECT_GT(dropped, 80u);
  (void)host.take(eth);
  answer();
  EXPECT_EQ(host.take(eth).size(), 42 + dropped);  // the oldest that was kept
}

TEST_F(ArpTest, AFloodOfUnresolvedNeighboursIsBounded) {
  host.ns.sysctl.neigh_gc_thresh3.set(100);
  ASSERT_EQ(error_of(host.ip->add_address(eth, cidr("10.1.0.1/16"))), 0);
  ASSERT_EQ(send(), 0);
  answer();
  int refused = 0;
  for (uint32_t i = 0; i < 3000; ++i) {
    const std::string dst = IpAddress::from_v4(0x0a010100 + i).to_string();
    refused += send(dst) == ENOBUFS ? 1 : 0;
  }
  EXPECT_GE(refused, 2900);
  EXPECT_EQ(entries(), 100u);
  EXPECT_EQ(host.drops(DropReason::kNeighCreatefail), static_cast<uint64_t>(refused));
  for (int i = 0; i < 3; ++i)
    host.advance(Duration::from_s(1));  // they fail, and may be replaced
  EXPECT_EQ(send("10.0.0.77"), 0);
  EXPECT_EQ(entries(), 100u);
}

TEST_F(ArpTest, ARequestForUsIsAnsweredAndRemembered) {
  host.give(eth, ethernet(wire::MacAddress::broadcast(), kPeer, 0x0806,
                          arp(ArpOperation::kRequest, kPeer, "10.0.0.2", {}, "10.0.0.5")));
  const Bytes f = host.take(eth);
  ASSERT_EQ(f.size(), 42u);
  EXPECT_EQ(wire::MacAddress::from_bytes(&f[0]), kPeer);
  const auto a = wire::parse_arp(ByteView(f).subspan(14));
  EXPECT_EQ(a->operation, ArpOperation::kReply);
  EXPECT_EQ(a->sender_ip, addr("10.0.0.5"));
  EXPECT_EQ(a->sender_mac, kUs);
  EXPECT_EQ(a->target_ip, addr("10.0.0.2"));
  EXPECT_EQ(a->target_mac, kPeer);
  EXPECT_EQ(state(), NeighbourState::kStale);
  ASSERT_EQ(send(), 0);
  expect_datagram(kPeer);
}

TEST_F(ArpTest, NothingIsLearntFromWhatWasNotAsked) {
  answer();  // a reply out of the blue
  host.give(eth, ethernet(wire::MacAddress::broadcast(), kPeer, 0x0806,
                          arp(ArpOperation::kRequest, kPeer, "10.0.0.2", {}, "10.0.0.2")));  // gratuitous
  host.give(eth, ethernet(wire::MacAddress::broadcast(), kPeer, 0x0806,
                          arp(ArpOperation::kRequest, kPeer, "10.0.0.2", {}, "10.0.0.9")));  // asks another
  EXPECT_EQ(entries(), 0u);
  EXPECT_TRUE(host.take(eth).empty());
}

TEST_F(ArpTest, AProbeForAnAddressOfOursIsDefended) {
  host.give(eth, ethernet(wire::MacAddress::broadcast(), kPeer, 0x0806,
                          arp(ArpOperation::kRequest, kPeer, "0.0.0.0", {}, "10.0.0.1")));
  const Bytes f = host.take(eth);
  ASSERT_EQ(f.size(), 42u);
  EXPECT_EQ(wire::parse_arp(ByteView(f).subspan(14))->operation, ArpOperation::kReply);
  EXPECT_EQ(entries(), 0u);
}

TEST_F(ArpTest, NonsenseIsIgnored) {
  const wire::MacAddress all = wire::MacAddress::broadcast();
  host.give(eth, ethernet(all, kPeer, 0x0806, arp(ArpOperation::kRequest, kPeer, "10.0.0.1", {}, "10.0.0.1")));
  host.give(eth, ethernet(all, kPeer, 0x0806, arp(ArpOperation::kRequest, all, "10.0.0.2", {}, "10.0.0.1")));
  host.give(eth, ethernet(all, kPeer, 0x0806, arp(ArpOperation::kRequest, kPeer, "224.0.0.1", {}, "10.0.0.1")));
  host.give(eth, ethernet(all, kPeer, 0x0806, arp(ArpOperation::kRequest, kPeer, "10.0.0.2", {}, "127.0.0.1")));
  host.give(eth, ethernet(all, kPeer, 0x0806, Bytes(27)));
  host.give(eth, ethernet(all, kPeer, 0x0806, Bytes(28)));
  host.give(eth, ethernet(all, kPeer, 0x8100, Bytes(50)));
  host.give(eth, ethernet(mac(9), kPeer, 0x0800, v4({}, udp(1, 2))));
  host.give(eth, Bytes(13));
  EXPECT_EQ(entries(), 0u);
  EXPECT_TRUE(host.take(eth).empty());
  EXPECT_TRUE(host.udp.got.empty());
  EXPECT_EQ(host.drops(DropReason::kOtherHost), 1u);
  EXPECT_EQ(host.drops(DropReason::kUnhandledProto), 1u);
}

TEST_F(ArpTest, ReachableGoesStaleThenDelayThenProbeThenFails) {
  ASSERT_EQ(send(), 0);
  answer();
  host.advance(Duration::from_s(46));  // longer than any reachable time
  EXPECT_EQ(state(), NeighbourState::kStale);
  while (!host.take(eth).empty()) {
  }
  ASSERT_EQ(send(), 0);
  expect_datagram(kPeer);  // its address is still used
  EXPECT_EQ(state(), NeighbourState::kDelay);
  host.advance(Duration::from_ms(4999));
  EXPECT_TRUE(host.take(eth).empty());
  host.advance(Duration::from_ms(1));
  EXPECT_EQ(state(), NeighbourState::kProbe);
  for (int i = 0; i < 3; ++i) {
    expect_request(kPeer);
    ASSERT_EQ(send(), 0);
    expect_datagram(kPeer);
    host.advance(Duration::from_s(1));
  }
  EXPECT_EQ(state(), NeighbourState::kFailed);
  EXPECT_TRUE(host.udp.errors.empty());
}

TEST_F(ArpTest, AProbeThatIsAnsweredMakesReachableAgain) {
  ASSERT_EQ(send(), 0);
  answer();
  host.advance(Duration::from_s(46));
  ASSERT_EQ(send(), 0);
  host.advance(Duration::from_s(5));
  answer();
  EXPECT_EQ(state(), NeighbourState::kReachable);
}

TEST_F(ArpTest, ProgressOfTheTransportSparesTheProbe) {
  ASSERT_EQ(send(), 0);
  answer();
  host.advance(Duration::from_s(46));
  ASSERT_EQ(send(), 0);
  host.ip->confirm_neighbour(*host.ip->route(addr("10.0.0.2"), IpAddress()));
  EXPECT_EQ(state(), NeighbourState::kReachable);
  while (!host.take(eth).empty()) {
  }
  host.advance(Duration::from_s(6));
  EXPECT_TRUE(host.take(eth).empty());
}

TEST_F(ArpTest, ANewLinkAddressIsTakenOnlyAfterTheLockTime) {
  ASSERT_EQ(send(), 0);
  answer();
  while (!host.take(eth).empty()) {
  }
  answer(kOther);  // two answers to one question: the first one counts
  ASSERT_EQ(send(), 0);
  expect_datagram(kPeer);
  host.advance(Duration::from_s(1));
  answer(kOther);
  ASSERT_EQ(send(), 0);
  expect_datagram(kOther);
}

TEST_F(ArpTest, AGratuitousRequestChangesAnEntryThatExists) {
  ASSERT_EQ(send(), 0);
  answer();
  while (!host.take(eth).empty()) {
  }
  host.give(eth, ethernet(wire::MacAddress::broadcast(), kOther, 0x0806,
                          arp(ArpOperation::kRequest, kOther, "10.0.0.2", {}, "10.0.0.2")));
  EXPECT_EQ(state(), NeighbourState::kStale);
  ASSERT_EQ(send(), 0);
  expect_datagram(kOther);
}

TEST_F(ArpTest, APermanentEntryIsNeverAskedNorChanged) {
  ASSERT_EQ(error_of(host.ip->set_neighbour(eth, addr("10.0.0.2"), kPeer)), 0);
  answer(kOther);
  host.advance(Duration::from_s(1000));
  ASSERT_EQ(send(), 0);
  expect_datagram(kPeer);
  EXPECT_EQ(state(), NeighbourState::kPermanent);
  ASSERT_EQ(error_of(host.ip->remove_neighbour(eth, addr("10.0.0.2"))), 0);
  EXPECT_EQ(error_of(host.ip->remove_neighbour(eth, addr("10.0.0.2"))), ENOENT);
}

TEST_F(ArpTest, GarbageIsCollectedAboveTheFirstThreshold) {
  host.ns.sysctl.neigh_gc_thresh1.set(4);
  for (uint8_t i = 10; i < 30; ++i) {
    const std::string ip = "10.0.0." + std::to_string(i);
    host.give(eth, ethernet(wire::MacAddress::broadcast(), mac(i), 0x0806,
                            arp(ArpOperation::kRequest, mac(i), ip, {}, "10.0.0.1")));
  }
  EXPECT_EQ(entries(), 20u);
  host.advance(Duration::from_s(61));
  host.advance(Duration::from_s(61));
  EXPECT_EQ(entries(), 3u);
}

TEST_F(ArpTest, AboveTheSecondThresholdEntriesUnusedForFiveSecondsGiveWay) {
  host.ns.sysctl.neigh_gc_thresh2.set(10);
  auto learn = [&](uint8_t i) {
    const std::string ip = "10.0.0." + std::to_string(i);
    host.give(eth, ethernet(wire::MacAddress::broadcast(), mac(i), 0x0806,
                            arp(ArpOperation::kRequest, mac(i), ip, {}, "10.0.0.1")));
  };
  for (uint8_t i = 10; i < 30; ++i)
    learn(i);
  EXPECT_EQ(entries(), 20u);
  host.advance(Duration::from_s(5));
  for (uint8_t i = 30; i < 50; ++i)
    learn(i);
  EXPECT_EQ(entries(), 20u);
}

TEST_F(ArpTest, BroadcastAndMulticastNeedNoNeighbour) {
  ASSERT_EQ(send("10.0.0.255"), 0);
  expect_datagram(wire::MacAddress::broadcast());
  const Route r = *host.ip->route(addr("239.129.2.3"), IpAddress(), eth);
  ASSERT_EQ(error_of(host.ip->output(host.pool.make_copy(udp(1, 2)), r,
                                     {.src = r.source, .dst = addr("239.129.2.3"), .protocol = 17, .ttl = 1})),
            0);
  expect_datagram({{0x01, 0x00, 0x5e, 0x01, 0x02, 0x03}});
  EXPECT_EQ(entries(), 0u);
}

TEST_F(ArpTest, ThroughAGatewayTheGatewayIsAskedFor) {
  RouteSpec r;
  r.destination = cidr("0.0.0.0/0");
  r.gateway = addr("10.0.0.2");
  ASSERT_EQ(error_of(host.ip->add_route(r)), 0);
  ASSERT_EQ(send("8.8.8.8"), 0);
  expect_request(wire::MacAddress::broadcast());
  answer();
  expect_datagram(kPeer);
}

}  // namespace
}  // namespace leat::ip
