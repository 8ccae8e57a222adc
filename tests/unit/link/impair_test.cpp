// Impairments: each alone with literal times, chances with a fixed seed, and the link around another link.
#include "link/impair.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "frames.h"
#include "link/loopback.h"
#include "link/memory_link.h"
#include "link/packet_damage.h"

namespace leat {
namespace {

using namespace leat::test;

ImpairOptions parse(std::string_view text) {
  std::string error;
  auto options = parse_impair(text, error);
  EXPECT_TRUE(options.has_value()) << error;
  return options.value_or(ImpairOptions{});
}

// An impaired way out, and the far end where packets arrive.
struct Net {
  explicit Net(std::string_view spec, uint8_t seed = 1, MemoryPairOptions pair = {}) {
    auto [near, far_end] = make_memory_pair(pair);
    link = std::make_unique<ImpairLink>(std::move(near), parse(spec), seed_of(seed));
    far = std::move(far_end);
  }
  // Sends `n` packets of `bytes` each, `gap` apart, and gives what arrives.
  std::vector<Arrival> run(int n, Duration gap, uint32_t bytes = 128, FrameSpec spec = {}) {
    std::vector<Arrival> got;
    Time now;
    for (int i = 0; i < n; ++i, now = now + gap) {
      run_until(now, got);
      spec.payload = bytes - 28;
      spec.id = static_cast<uint16_t>(i);
      send(*link, make_udp(pool, spec), now);
      drain(now, got);
    }
    run_until(Time::never(), got);
    return got;
  }
  void run_until(Time end, std::vector<Arrival>& got) {  // at each event before `end`
    for (Time at = link->next_event(); at < end; at = link->next_event())
      drain(at, got);
  }
  void drain(Time now, std::vector<Arrival>& got) {
    EXPECT_EQ(receive(*link, pool, now), nullptr);  // moves on what is due
    while (PacketPtr p = receive(*far, pool, now)) {
      got.push_back({id_of(*p), p->received});
      packets.push_back(std::move(p));
    }
  }
  ImpairStats stats() const { return link->transmit_stats(); }

  PacketPool pool;
  std::unique_ptr<ImpairLink> link;
  std::unique_ptr<Link> far;
  std::vector<PacketPtr> packets;
};

TEST(Impair, NothingAskedForChangesNothing) {
  Net net("");
  const auto got = net.run(3, Duration::from_us(1));
  EXPECT_EQ(got, (std::vector<Arrival>{{0, at_us(0)}, {1, at_us(1)}, {2, at_us(2)}}));
  EXPECT_EQ(net.stats().delivered, 3u);
  EXPECT_EQ(net.stats().delivered_bytes, 384u);
}

TEST(Impair, AdvertisesNoGsoSoThatTheStackSplits) {
  Net net("delay=1ms");
  EXPECT_EQ(net.far->features().max_gso_bytes, 65536u);
  EXPECT_EQ(net.link->features().max_gso_bytes, 0u);
  EXPECT_TRUE(net.link->features().takes_partial_checksums);
}

TEST(Impair, DelayIsAddedAndNextEventTellsWhen) {
  Net net("delay=10ms");
  send(*net.link, make_udp(net.pool, {.id = 3}), at_ms(5));
  EXPECT_EQ(net.link->next_event(), at_ms(15));
  EXPECT_EQ(receive(*net.link, net.pool, Time::from_ns(14'999'999)), nullptr);
  EXPECT_EQ(net.far->next_event(), Time::never());
  EXPECT_EQ(receive(*net.link, net.pool, at_ms(15)), nullptr);
  EXPECT_EQ(net.far->next_event(), at_ms(15));
  EXPECT_EQ(net.link->next_event(), Time::never());
}

TEST(Impair, ReceiveSideDelaysWhatTheInnerLinkGives) {
  PacketPool pool;
  auto [near, far] = make_memory_pair();
  ImpairLink link(std::move(near), parse("delay=10ms,direction=in"), seed_of(1));
  send(*far, make_udp(pool, {.id = 3}), at_ms(5));
  EXPECT_EQ(link.next_event(), at_ms(5));
  EXPECT_EQ(receive(link, pool, at_ms(5)), nullptr);
  EXPECT_EQ(link.next_event(), at_ms(15));
  PacketPtr got = receive(link, pool, at_ms(15));
  ASSERT_NE(got, nullptr);
  EXPECT_EQ(got->received, at_ms(15));
  send(link, make_udp(pool, {}), at_ms(20));
  EXPECT_EQ(far->next_event(), at_ms(20));  // the way out is not impaired
  EXPECT_EQ(link.receive_stats().delivered, 1u);
}

TEST(Impair, BothDirectionsHaveStreamsOfTheirOwn) {
  PacketPool pool;
  auto [near, far] = make_memory_pair();
  ImpairLink link(std::move(near), parse("loss=50%,direction=both"), seed_of(1));
  std::vector<bool> out, in;
  for (int i = 0; i < 64; ++i) {
    send(link, make_udp(pool, {}), at_ms(i));
    send(*far, make_udp(pool, {}), at_ms(i));
    out.push_back(receive(*far, pool, at_ms(i)) != nullptr);
    in.push_back(receive(link, pool, at_ms(i)) != nullptr);
  }
  EXPECT_NE(out, in);
  EXPECT_EQ(link.transmit_stats().packets, 64u);
  EXPECT_EQ(link.receive_stats().packets, 64u);
}

TEST(Impair, RateSerialisesOnePacketAfterTheOther) {
  Net net("rate=1mbit,delay=1ms");  // 125 bytes take 1 ms
  const auto got = net.run(3, Duration{}, 125);
  EXPECT_EQ(got, (std::vector<Arrival>{{0, at_ms(2)}, {1, at_ms(3)}, {2, at_ms(4)}}));
  EXPECT_EQ(net.stats().max_queue_packets, 3u);
  EXPECT_EQ(net.stats().max_queue_bytes, 375u);
}

TEST(Impair, TheBottleneckIsIdleAfterAPause) {
  Net net("rate=1mbit");
  const auto got = net.run(3, Duration::from_ms(5), 125);
  EXPECT_EQ(got, (std::vector<Arrival>{{0, at_ms(1)}, {1, at_ms(6)}, {2, at_ms(11)}}));
}

TEST(Impair, TheLimitDropsTheTail) {
  Net net("rate=1mbit,limit=3");
  const auto got = net.run(5, Duration{}, 125);
  EXPECT_EQ(got, (std::vector<Arrival>{{0, at_ms(1)}, {1, at_ms(2)}, {2, at_ms(3)}}));
  EXPECT_EQ(net.stats().queue_drops, 2u);
  EXPECT_EQ(net.link->dropped(), 2u);
}

TEST(Impair, TheLimitInBytesDropsWhatDoesNotFit) {
  Net net("rate=1mbit,limit_bytes=300");
  EXPECT_EQ(net.run(4, Duration{}, 125).size(), 2u);
  EXPECT_EQ(net.stats().queue_drops, 2u);
}

TEST(Impair, WithoutARateTheLimitCountsWhatIsDelayed) {
  Net net("delay=10ms,limit=4");
  EXPECT_EQ(net.run(20, Duration::from_ms(1)).size(), 8u);  // four a window of ten milliseconds
  EXPECT_EQ(net.stats().queue_drops, 12u);
}

TEST(Impair, ARateWithoutALimitQueuesAThousandPackets) {
  Net net("rate=1mbit");
  EXPECT_EQ(net.run(1500, Duration{}, 40).size(), 1000u);
}

TEST(Impair, JitterSpreadsUniformlyAndKeepsTheOrder) {
  Net net("delay=10ms,jitter=2ms");
  const auto got = net.run(2000, Duration::from_us(100));
  ASSERT_EQ(got.size(), 2000u);
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].id, i);
    const Duration took = got[i].at - at_us(static_cast<int64_t>(i) * 100);
    EXPECT_GE(took, Duration::from_ms(8));
    EXPECT_LE(took, Duration::from_ms(12));
  }
}

TEST(Impair, JitterWithoutOrderReordersAroundTheMean) {
  Net net("delay=10ms,jitter=2ms,keep_order=no");
  const auto got = net.run(2000, Duration::from_us(100));
  ASSERT_EQ(got.size(), 2000u);
  int64_t sum = 0, late = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    sum += (got[i].at - at_us(got[i].id * 100)).us();
    if (i != 0 && got[i].id < got[i - 1].id) ++late;
  }
  EXPECT_NEAR(static_cast<double>(sum) / 2000, 10'000, 100);
  EXPECT_GT(late, 500);
}

TEST(Impair, JitterLargerThanTheDelayNeverGoesBackInTime) {
  Net net("delay=1ms,jitter=5ms,keep_order=no");
  for (const Arrival& a : net.run(500, Duration::from_ms(10)))
    EXPECT_GE(a.at, at_ms(a.id * 10));
}

TEST(Impair, LossHasTheRateThatWasAskedFor) {
  Net net("loss=1%");
  EXPECT_EQ(net.run(100'00, Duration::from_us(1)).size() + net.stats().lost, 10'000u);
  EXPECT_NEAR(static_cast<double>(net.stats().lost), 100, 30);
}

TEST(Impair, LossOfAllAndOfNothing) {
  EXPECT_EQ(Net("loss=100%").run(100, Duration::from_us(1)).size(), 0u);
  EXPECT_EQ(Net("loss=0%").run(100, Duration::from_us(1)).size(), 100u);
}

TEST(Impair, GilbertElliottLosesInBursts) {
  // Bad 1 / 11 of the time, and then everything is lost: 909 of 10 000, in bursts of ten on average.
  Net net("gemodel=1%/10%/100%/0%");
  const auto got = net.run(10'000, Duration::from_us(1));
  std::vector<bool> arrived(10'000);
  for (const Arrival& a : got)
    arrived[a.id] = true;
  int bursts = 0;
  for (size_t i = 1; i < arrived.size(); ++i)
    bursts += arrived[i - 1] && !arrived[i];
  const double lost = static_cast<double>(net.stats().lost);
  EXPECT_NEAR(lost, 909, 250);
  EXPECT_NEAR(lost / bursts, 10, 2.5);
}

TEST(Impair, GilbertElliottLosesPartlyInBothStates) {
  // The bad state holds half of the packets: (70% + 10%) / 2.
  Net net("gemodel=20%/20%/70%/10%");
  net.run(10'000, Duration::from_us(1));
  EXPECT_NEAR(static_cast<double>(net.stats().lost), 4000, 200);
}

TEST(Impair, AReorderedPacketSkipsTheDelay) {
  Net net("delay=10ms,reorder=10%");
  const auto got = net.run(1000, Duration::from_ms(1));
  ASSERT_EQ(got.size(), 1000u);
  size_t early = 0;
  for (const Arrival& a : got) {
    const Duration took = a.at - at_ms(a.id);
    EXPECT_TRUE(took == Duration{} || took == Duration::from_ms(10));
    early += took == Duration{};
  }
  EXPECT_EQ(early, net.stats().reordered);
  EXPECT_NEAR(static_cast<double>(early), 100, 30);
}

TEST(Impair, WithAReorderDelayAPacketIsHeldBackAndTheOthersPass) {
  Net net("delay=10ms,reorder=10%,reorder_delay=5ms");
  size_t late = 0;
  for (const Arrival& a : net.run(1000, Duration::from_ms(1)))
    late += a.at - at_ms(a.id) == Duration::from_ms(15);
  EXPECT_EQ(late, net.stats().reordered);
  EXPECT_NEAR(static_cast<double>(late), 100, 30);
}

TEST(Impair, ADuplicateFollowsItsOriginalWithLinearBytesOfItsOwn) {
  Net net("duplicate=100%");
  const auto got = net.run(2, Duration::from_ms(1));
  EXPECT_EQ(got, (std::vector<Arrival>{{0, at_ms(0)}, {0, at_ms(0)}, {1, at_ms(1)}, {1, at_ms(1)}}));
  ASSERT_EQ(net.packets.size(), 4u);
  EXPECT_EQ(bytes_of(*net.packets[0]), bytes_of(*net.packets[1]));
  net.packets[0]->data[8] = 1;
  EXPECT_EQ(net.packets[1]->data[8], 64);
  EXPECT_EQ(net.stats().duplicated, 2u);
}

TEST(Impair, ADuplicateOfAPartialChecksumCanBeFinishedToo) {
  Net net("duplicate=100%", 1, {.verifies_checksums = false});
  net.run(1, Duration{}, 200, {.partial = true});
  ASSERT_EQ(net.packets.size(), 2u);
  EXPECT_TRUE(has_good_checksum(*net.packets[0]));
  EXPECT_TRUE(has_good_checksum(*net.packets[1]));
}

int bits_different(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  int n = 0;
  for (size_t i = 0; i < a.size(); ++i)
    n += __builtin_popcount(a[i] ^ b[i]);
  return n;
}

TEST(Impair, CorruptionFlipsExactlyOneBitAndNobodyVouchesForTheChecksum) {
  for (uint8_t seed = 0; seed < 50; ++seed) {
    Net net("corrupt=100%", seed);
    PacketPtr good = make_udp(net.pool, {.partial = true});
    PacketPtr sent = repeat(*good);
    complete_checksum(*good);
    send(*net.link, std::move(sent), at_us(1));
    PacketPtr got = receive(*net.far, net.pool, at_us(1));
    ASSERT_NE(got, nullptr);
    EXPECT_EQ(got->checksum, Checksum::kNone);
    EXPECT_FALSE(has_partial_checksum(*got));
    EXPECT_EQ(bits_different(bytes_of(*good), bytes_of(*got)), 1);
  }
}

TEST(Impair, CorruptionNeverWritesToSharedBytes) {
  Net net("corrupt=100%");
  PacketPtr mine = make_udp(net.pool, {.payload = 1000, .id = 1});
  const auto before = bytes_of(*mine);
  for (int i = 0; i < 30; ++i) {
    send(*net.link, net.pool.clone(*mine, 28, mine->headroom()), at_us(i));
    PacketPtr got = receive(*net.far, net.pool, at_us(i));
    EXPECT_EQ(bits_different(before, bytes_of(*got)), 1);
    EXPECT_EQ(bytes_of(*mine), before);
  }
}

TEST(Impair, CorruptionSparesTheEthernetHeader) {
  Net net("corrupt=100%", 1, {.kind = LinkKind::kEthernet});
  for (int i = 0; i < 100; ++i) {
    send(*net.link, make_udp(net.pool, {.payload = 2, .ethernet = true}), at_us(i));
    PacketPtr got = receive(*net.far, net.pool, at_us(i));
    EXPECT_EQ(std::memcmp(got->data, kMacs, 12), 0);
    EXPECT_EQ(load_be16(got->data + 12), 0x0800);
  }
}

TEST(Impair, CorruptionOfWhatWasReceivedVerifiedIsLeftToTheReceiverToDetect) {
  PacketPool pool;
  auto [near, far] = make_memory_pair();
  ImpairLink link(std::move(near), parse("corrupt=100%,direction=in"), seed_of(2));
  int bad = 0;
  for (int i = 0; i < 20; ++i) {
    send(*far, make_udp(pool, {.payload = 1000, .partial = true}), at_us(i));
    PacketPtr got = receive(link, pool, at_us(i));
    EXPECT_EQ(got->checksum, Checksum::kNone);
    // A flip in the IP header's other fields is caught by that header's checksum instead.
    bad += !wire::check_ipv4(got->linear(), got->length).has_value() || !has_good_checksum(*got);
  }
  EXPECT_EQ(bad, 20);
}

TEST(Impair, AboveTheThresholdEctPacketsAreMarkedAndTheHeaderChecksumHolds) {
  Net net("rate=1mbit,ecn_packets=2");
  net.run(6, Duration{}, 125, {.ecn = 2});
  ASSERT_EQ(net.packets.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(net.packets[i]->data[1], i < 3 ? 2 : 3);
    EXPECT_EQ(wire::ipv4_checksum({net.packets[i]->data, 20}), 0);
  }
  EXPECT_EQ(net.stats().ce_marked, 3u);
}

TEST(Impair, TheThresholdInBytesMarksIpv6Too) {
  Net net("rate=1mbit,ecn=200b");
  net.run(4, Duration{}, 125, {.ecn = 1, .ipv6 = true});
  ASSERT_EQ(net.packets.size(), 4u);
  EXPECT_EQ(wire::parse_ipv6(net.packets[1]->linear())->traffic_class, 1);
  EXPECT_EQ(wire::parse_ipv6(net.packets[2]->linear())->traffic_class, 3);
}

TEST(Impair, PacketsThatAreNotEctAreNotMarked) {
  Net net("rate=1mbit,ecn_packets=1");
  net.run(6, Duration{}, 125, {.ecn = 0});
  EXPECT_EQ(net.stats().ce_marked, 0u);
  for (const PacketPtr& p : net.packets)
    EXPECT_EQ(p->data[1], 0);
}

TEST(Impair, MarkingKeepsTheHeaderChecksumForEveryTosAndId) {
  PacketPool pool;
  for (int tos = 0; tos < 256; ++tos) {
    for (uint16_t id = 0; id < 2048; id = static_cast<uint16_t>(id + 97)) {
      PacketPtr p = make_udp(pool, {.payload = 2, .ecn = static_cast<uint8_t>(tos), .id = id});
      const bool is_ect = (tos & 3) == 1 || (tos & 3) == 2;
      EXPECT_EQ(mark_ce(*p, LinkKind::kIp), is_ect);
      EXPECT_EQ(p->data[1], is_ect ? tos | 3 : tos);
      EXPECT_EQ(wire::ipv4_checksum({p->data, 20}), 0);
    }
  }
}

TEST(Impair, MarkingLooksBehindTheEthernetHeaderAndAtIpOnly) {
  PacketPool pool;
  PacketPtr p = make_udp(pool, {.ecn = 1, .ethernet = true});
  EXPECT_TRUE(mark_ce(*p, LinkKind::kEthernet));
  EXPECT_EQ(p->data[15], 3);
  PacketPtr arp = make_udp(pool, {.ecn = 1, .ethernet = true});
  store_be16(arp->data + 12, 0x0806);
  EXPECT_FALSE(mark_ce(*arp, LinkKind::kEthernet));
  PacketPtr stub = pool.make_copy(ByteView(kMacs, 12));
  EXPECT_FALSE(mark_ce(*stub, LinkKind::kIp));
}

constexpr const char* kEverything =
    "delay=10ms,jitter=2ms,loss=1%,gemodel=1%/10%/70%/0.1%,rate=50mbit,reorder=1%,duplicate=2%,corrupt=2%,"
    "limit=1000,limit_bytes=1mb,ecn=1kb";

TEST(Impair, TheSameSeedGivesTheSamePacketsAtTheSameTimes) {
  const auto run = [](uint8_t seed) {
    Net net(kEverything, seed);
    const auto arrivals = net.run(2000, Duration::from_us(10), 128, {.ecn = 2, .partial = true});
    std::vector<std::vector<uint8_t>> contents;
    for (const PacketPtr& p : net.packets)
      contents.push_back(bytes_of(*p));
    return std::pair(arrivals, contents);
  };
  const auto first = run(1);
  EXPECT_EQ(first, run(1));
  EXPECT_NE(first, run(2));
}

TEST(Impair, OneImpairmentDoesNotChangeTheDiceOfAnother) {
  std::set<uint16_t> plain, jittery;
  for (const Arrival& a : Net("loss=10%").run(500, Duration::from_us(10)))
    plain.insert(a.id);
  for (const Arrival& a : Net("loss=10%,delay=1ms,jitter=1ms,keep_order=no").run(500, Duration::from_us(10)))
    jittery.insert(a.id);
  EXPECT_EQ(plain, jittery);
}

TEST(Impair, CountersAddUp) {
  Net net(kEverything, 3);
  net.run(5000, Duration::from_us(10), 1000, {.ecn = 2});
  const ImpairStats s = net.stats();
  EXPECT_EQ(s.packets, 5000u);
  EXPECT_EQ(s.bytes, 5'000'000u);
  EXPECT_EQ(s.delivered, s.packets - s.lost + s.duplicated - s.queue_drops);
  EXPECT_GT(s.lost, 0u);
  EXPECT_GT(s.duplicated, 0u);
  EXPECT_GT(s.queue_drops, 0u);
  EXPECT_GT(s.corrupted, 0u);
  EXPECT_GT(s.reordered, 0u);
  EXPECT_GT(s.ce_marked, 0u);
}

TEST(Impair, OptionsCanChangeWhileItRunsAndWhatIsUnderWayStaysUnderWay) {
  Net net("delay=10ms");
  send(*net.link, make_udp(net.pool, {.id = 1}), at_ms(0));
  net.link->set_transmit_options(parse("loss=100%"));
  send(*net.link, make_udp(net.pool, {.id = 2}), at_ms(1));
  EXPECT_EQ(net.link->next_event(), at_ms(10));
  EXPECT_EQ(receive(*net.link, net.pool, at_ms(10)), nullptr);
  EXPECT_EQ(id_of(*receive(*net.far, net.pool, at_ms(10))), 1);
  EXPECT_EQ(net.stats().lost, 1u);
}

TEST(Impair, PacketsUnderWayAreFreedWithTheLink) {
  PacketPool pool;
  {
    ImpairLink link(std::make_unique<LoopbackLink>(), parse("delay=1s,direction=both"), seed_of(1));
    for (int i = 0; i < 10; ++i)
      send(link, make_udp(pool, {}), at_ms(0));
    EXPECT_EQ(receive(link, pool, at_ms(1000)), nullptr);  // now delayed on the way in
    EXPECT_EQ(pool.packets_in_use(), 10u);
  }
  EXPECT_EQ(pool.packets_in_use(), 0u);
}

TEST(Impair, ManyThreadsMayTransmitWhileOneReceives) {
  PacketPool pool;
  constexpr int kThreads = 3, kEach = 1000;
  std::map<uint16_t, int> got;
  {
    ImpairLink link(std::make_unique<LoopbackLink>(), parse("delay=1us"), seed_of(1));
    std::atomic<int> running{kThreads};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (uint16_t i = 0; i < kEach; ++i)
          send(link, make_udp(pool, {.id = i}), at_us(i));
        --running;
      });
    }
    for (bool last = false; !last;) {
      last = running == 0;
      while (PacketPtr p = receive(link, pool, at_us(kEach * 2)))
        ++got[id_of(*p)];
    }
    for (auto& t : threads)
      t.join();
    while (PacketPtr p = receive(link, pool, at_us(kEach * 2)))
      ++got[id_of(*p)];
  }
  EXPECT_EQ(got.size(), size_t{kEach});
  for (const auto& [id, n] : got)
    EXPECT_EQ(n, kThreads) << id;
  EXPECT_EQ(pool.packets_in_use(), 0u);
}

}  // namespace
}  // namespace leat
