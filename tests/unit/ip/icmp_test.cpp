// ICMP of both families: echoes, errors out and their limits, errors in, path MTU.
#include "ip/icmp_limit.h"
#include "ip/pmtu.h"
#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

struct IcmpTest : testing::Test {
  IcmpTest() {
    lo = host.add(loopback_link(), {"127.0.0.1/8", "::1/128"});
    eth = host.add(ip_link(), {"10.0.0.1/24", "fd00::1/64", "fe80::1/64"});
    RouteSpec r;
    r.destination = cidr("0.0.0.0/0");
    r.gateway = addr("10.0.0.254");
    EXPECT_EQ(error_of(host.ip->add_route(r)), 0);
    r.destination = cidr("::/0");
    r.gateway = addr("fd00::fe");
    EXPECT_EQ(error_of(host.ip->add_route(r)), 0);
  }
  // An ICMP error about a datagram of ours to `dst`.
  void give_error4(uint8_t type, uint8_t code, uint32_t word, std::string_view dst = "8.8.8.8",
                   std::string_view src = "10.0.0.1", uint8_t protocol = 17) {
    const Bytes quoted = v4({.src = src, .dst = dst, .protocol = protocol, .tos = 4}, udp(7, 9, counting(4)));
    host.give(eth, v4({.src = "10.0.0.254", .protocol = 1}, icmp4(type, code, word, quoted)));
  }
  void give_error6(uint8_t type, uint8_t code, uint32_t word, std::string_view dst = "2600::1",
                   std::string_view src = "fd00::1") {
    const Bytes quoted = v6({.src = src, .dst = dst, .label = 5}, udp(7, 9, counting(4)));
    host.give(eth, v6({.src = "fd00::fe", .next = 58}, icmp6("fd00::fe", "fd00::1", type, code, word, quoted)));
  }
  uint32_t mtu(std::string_view dst) { return host.ip->route(addr(dst), IpAddress())->mtu; }
  Host host;
  uint16_t lo, eth;
};

TEST_F(IcmpTest, AnEchoIsAnswered) {
  host.give(eth, v4({.src = "10.0.0.2", .protocol = 1, .tos = 0x10}, icmp4(8, 0, 0x12340007, counting(57))));
  const Bytes b = host.take(eth);
  ASSERT_EQ(b.size(), 20u + 8 + 57);
  const auto h = wire::check_ipv4(b, static_cast<uint32_t>(b.size()));
  EXPECT_EQ(h->src, addr("10.0.0.1"));
  EXPECT_EQ(h->dst, addr("10.0.0.2"));
  EXPECT_EQ(h->tos, 0x10);
  EXPECT_EQ(h->ttl, 64);
  EXPECT_EQ(Bytes(b.begin() + 20, b.end()), icmp4(0, 0, 0x12340007, counting(57)));
  EXPECT_EQ(host.mib(Mib::IcmpInMsgs), 1u);
  EXPECT_EQ(host.mib(Mib::IcmpInEchos), 1u);
  EXPECT_EQ(host.mib(Mib::IcmpOutEchoReps), 1u);
  EXPECT_EQ(host.mib(Mib::IcmpOutMsgs), 1u);
}

TEST_F(IcmpTest, AnIpv6EchoIsAnswered) {
  host.give(eth, v6({.next = 58, .tclass = 8}, icmp6("fd00::2", "fd00::1", 128, 0, 0x12340007, counting(57))));
  const Bytes b = host.take(eth);
  ASSERT_EQ(b.size(), 40u + 8 + 57);
  EXPECT_EQ(wire::parse_ipv6(b)->traffic_class, 8);
  EXPECT_EQ(Bytes(b.begin() + 40, b.end()), icmp6("fd00::1", "fd00::2", 129, 0, 0x12340007, counting(57)));
  EXPECT_EQ(host.mib(Mib::Icmp6OutEchoReplies), 1u);
}

TEST_F(IcmpTest, AnEchoToALinkLocalOrMulticastAddressIsAnsweredFromTheInterface) {
  host.give(eth, v6({.src = "fe80::2", .dst = "ff02::1", .next = 58}, icmp6("fe80::2", "ff02::1", 128, 0, 1)));
  const Bytes b = host.take(eth);
  ASSERT_EQ(b.size(), 48u);
  EXPECT_EQ(wire::parse_ipv6(b)->src, addr("fe80::1"));
  EXPECT_EQ(wire::parse_ipv6(b)->dst, addr("fe80::2"));
}

TEST_F(IcmpTest, AFragmentedEchoIsAnsweredInFragments) {
  const Bytes whole = icmp4(8, 0, 1, counting(3000));
  host.give(eth, v4({.protocol = 1, .id = 9, .more = true}, Bytes(whole.begin(), whole.begin() + 1480)));
  host.give(eth, v4({.protocol = 1, .id = 9, .more = true, .offset = 1480},
                    Bytes(whole.begin() + 1480, whole.begin() + 2960)));
  host.give(eth, v4({.protocol = 1, .id = 9, .offset = 2960}, Bytes(whole.begin() + 2960, whole.end())));
  Bytes joined;
  for (int i = 0; i < 3; ++i) {
    const Bytes b = host.take(eth);
    ASSERT_GT(b.size(), 20u);
    joined.insert(joined.end(), b.begin() + 20, b.end());
  }
  EXPECT_EQ(joined, icmp4(0, 0, 1, counting(3000)));
}

TEST_F(IcmpTest, EchoesToEverybodyAndWhenSwitchedOffAreNotAnswered) {
  host.give(eth, v4({.dst = "10.0.0.255", .protocol = 1}, icmp4(8, 0, 1)));
  host.give(eth, v4({.dst = "224.0.0.1", .protocol = 1}, icmp4(8, 0, 1)));
  EXPECT_TRUE(host.take(eth).empty());
  host.ns.sysctl.icmp_echo_ignore_broadcasts.set(0);
  host.give(eth, v4({.dst = "10.0.0.255", .protocol = 1}, icmp4(8, 0, 1)));
  EXPECT_EQ(wire::parse_ipv4(host.take(eth))->src, addr("10.0.0.1"));
  host.ns.sysctl.icmp_echo_ignore_all.set(1);
  host.give(eth, v4({.protocol = 1}, icmp4(8, 0, 1)));
  host.ns.sysctl.ipv6_icmp_echo_ignore_all.set(1);
  host.give(eth, v6({.next = 58}, icmp6("fd00::2", "fd00::1", 128, 0, 1)));
  EXPECT_TRUE(host.take(eth).empty());
}

TEST_F(IcmpTest, BadMessagesAreCounted) {
  Bytes bad = icmp4(8, 0, 1);
  bad[7] = 9;
  host.give(eth, v4({.protocol = 1}, bad));
  EXPECT_EQ(host.mib(Mib::IcmpInCsumErrors), 1u);
  EXPECT_EQ(host.drops(DropReason::kIcmpCsum), 1u);
  host.give(eth, v4({.protocol = 1}, Bytes{0xff, 0xff}));  // a sum that is right, and nothing else
  host.give(eth, v4({.protocol = 1}, icmp4(40, 0, 1)));
  EXPECT_EQ(host.mib(Mib::IcmpInErrors), 3u);
  EXPECT_EQ(host.mib(Mib::IcmpInMsgs), 3u);
  Bytes bad6 = icmp6("fd00::2", "fd00::1", 128, 0, 1);
  bad6[7] = 9;
  host.give(eth, v6({.next = 58}, bad6));
  EXPECT_EQ(host.mib(Mib::Icmp6InCsumErrors), 1u);
  EXPECT_EQ(host.mib(Mib::Icmp6InErrors), 1u);
  EXPECT_TRUE(host.take(eth).empty());
}

TEST_F(IcmpTest, AnErrorReachesTheTransportThatItQuotes) {
  give_error4(3, 3, 0);
  ASSERT_EQ(host.udp.errors.size(), 1u);
  const auto& e = host.udp.errors[0];
  EXPECT_EQ(e.e.about.src, addr("10.0.0.1"));
  EXPECT_EQ(e.e.about.dst, addr("8.8.8.8"));
  EXPECT_EQ(e.e.about.protocol, 17);
  EXPECT_EQ(e.e.reporter, addr("10.0.0.254"));
  EXPECT_EQ(e.e.type, 3);
  EXPECT_EQ(e.e.code, 3);
  EXPECT_EQ(e.e.error, ECONNREFUSED);
  EXPECT_TRUE(e.e.is_fatal);
  EXPECT_EQ(e.quoted, udp(7, 9, counting(4)));
  give_error4(3, 1, 0, "8.8.8.8", "10.0.0.1", 6);
  ASSERT_EQ(host.tcp.errors.size(), 1u);
  EXPECT_EQ(host.tcp.errors[0].e.error, EHOSTUNREACH);
  EXPECT_FALSE(host.tcp.errors[0].e.is_fatal);
}

TEST_F(IcmpTest, TheErrnosAreLinuxs) {
  const int unreachable[] = {ENETUNREACH,  EHOSTUNREACH, ENOPROTOOPT,  ECONNREFUSED, EMSGSIZE,     EOPNOTSUPP,
                             ENETUNREACH,  EHOSTDOWN,    ENONET,       ENETUNREACH,  EHOSTUNREACH, ENETUNREACH,
                             EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};
  for (uint8_t code = 0; code < 16; ++code) {
    give_error4(3, code, 1400);
    EXPECT_EQ(host.udp.errors.back().e.error, unreachable[code]) << int{code};
  }
  give_error4(3, 16, 0);
  EXPECT_EQ(host.udp.errors.size(), 16u);
  give_error4(11, 0, 0);
  EXPECT_EQ(host.udp.errors.back().e.error, EHOSTUNREACH);
  give_error4(12, 0, 0);
  EXPECT_EQ(host.udp.errors.back().e.error, EPROTO);
  give_error4(4, 0, 0);  // source quench
  give_error4(5, 0, 0);  // redirect
  EXPECT_EQ(host.udp.errors.size(), 18u);
  const int unreachable6[] = {ENETUNREACH, EACCES, EHOSTUNREACH, EHOSTUNREACH, ECONNREFUSED, EACCES, EACCES, EPROTO};
  for (uint8_t code = 0; code < 8; ++code) {
    give_error6(1, code, 0);
    EXPECT_EQ(host.udp.errors.back().e.error, unreachable6[code]) << int{code};
  }
  give_error6(3, 0, 0);
  EXPECT_EQ(host.udp.errors.back().e.error, EHOSTUNREACH);
  give_error6(4, 1, 6);
  EXPECT_EQ(host.udp.errors.back().e.error, EPROTO);
  EXPECT_EQ(host.udp.errors.back().quoted, udp(7, 9, counting(4)));
}

TEST_F(IcmpTest, ErrorsAboutWhatWeDidNotSendAreIgnored) {
  give_error4(3, 3, 0, "8.8.8.8", "10.0.0.77");                                               // not our address
  give_error4(3, 3, 0, "10.0.0.255");                                                         // about a broadcast
  host.give(eth, v4({.src = "10.0.0.254", .protocol = 1}, icmp4(3, 3, 0, Bytes(27, 0x45))));  // cut
  Bytes later = v4({.src = "10.0.0.1", .dst = "8.8.8.8", .offset = 64}, udp(7, 9));
  host.give(eth, v4({.src = "10.0.0.254", .protocol = 1}, icmp4(3, 3, 0, later)));
  host.give(eth, v4({.src = "10.0.0.254", .dst = "224.0.0.1", .protocol = 1},
                    icmp4(3, 3, 0, v4({.src = "10.0.0.1", .dst = "8.8.8.8"}, udp(7, 9)))));
  EXPECT_TRUE(host.udp.errors.empty());
  give_error6(1, 4, 0, "2600::1", "fd00::77");
  host.give(eth, v6({.src = "fd00::fe", .next = 58}, icmp6("fd00::fe", "fd00::1", 1, 4, 0, Bytes(47, 0x60))));
  EXPECT_TRUE(host.udp.errors.empty());
}

TEST_F(IcmpTest, AQuoteBehindExtensionHeadersIsFound) {
  const Bytes quoted = v6({.src = "fd00::1", .dst = "2600::1", .next = 60}, Bytes{17, 0, 1, 4, 0, 0, 0, 0} + udp(7, 9));
  host.give(eth, v6({.src = "fd00::fe", .next = 58}, icmp6("fd00::fe", "fd00::1", 1, 4, 0, quoted)));
  ASSERT_EQ(host.udp.errors.size(), 1u);
  EXPECT_EQ(host.udp.errors[0].quoted, udp(7, 9));
}

// --- path MTU ------------------------------------------------------------------------------------------------------

TEST_F(IcmpTest, FragmentationNeededLowersThePathMtuForTenMinutes) {
  EXPECT_EQ(mtu("8.8.8.8"), 1500u);
  const uint32_t generation = host.ip->route_generation();
  const Route old = *host.ip->route(addr("8.8.8.8"), IpAddress());
  give_error4(3, 4, 1400);
  EXPECT_EQ(mtu("8.8.8.8"), 1400u);
  EXPECT_EQ(mtu("8.8.4.4"), 1500u);
  EXPECT_EQ(host.ip->path_mtu(addr("8.8.8.8"), old), 1400u);
  EXPECT_NE(host.ip->route_generation(), generation);
  ASSERT_EQ(host.udp.errors.size(), 1u);
  EXPECT_EQ(host.udp.errors[0].e.error, EMSGSIZE);
  EXPECT_EQ(host.udp.errors[0].e.mtu, 1400u);
  EXPECT_EQ(error_of(host.send(Bytes(1381), "8.8.8.8", {.dont_fragment = true})), EMSGSIZE);
  EXPECT_EQ(error_of(host.send(Bytes(1381), "8.8.8.8", {.dont_fragment = true, .ignore_pmtu = true})), 0);
  host.advance(Duration::from_s(599));
  EXPECT_EQ(mtu("8.8.8.8"), 1400u);
  const uint32_t before = host.ip->route_generation();
  EXPECT_EQ(host.ip->next_deadline(), host.ns.now() + Duration::from_s(1));
  host.advance(Duration::from_s(1));
  EXPECT_EQ(mtu("8.8.8.8"), 1500u);
  EXPECT_NE(host.ip->route_generation(), before);
  EXPECT_EQ(host.ip->next_deadline(), Time::never());
}

TEST_F(IcmpTest, AnMtuIsOnlyEverLowered) {
  give_error4(3, 4, 1400);
  give_error4(3, 4, 1450);
  EXPECT_EQ(mtu("8.8.8.8"), 1400u);
  give_error4(3, 4, 1300);
  EXPECT_EQ(mtu("8.8.8.8"), 1300u);
  give_error4(3, 4, 9000, "8.8.4.4");
  EXPECT_EQ(mtu("8.8.4.4"), 1500u);
}

TEST_F(IcmpTest, ATinyMtuIsNotBelievedButPacketsGoWithoutDf) {
  for (const uint32_t tiny : {68u, 0u, 551u}) {
    const std::string dst = "8.8.8." + std::to_string(tiny % 250 + 1);
    give_error4(3, 4, tiny, dst);
    EXPECT_EQ(mtu(dst), 552u);
    EXPECT_TRUE(host.ip->route(addr(dst), IpAddress())->mtu_locked);
    EXPECT_EQ(host.udp.errors.back().e.mtu, 552u);
  }
  give_error4(3, 4, 552, "8.8.4.4");
  EXPECT_EQ(mtu("8.8.4.4"), 552u);
  EXPECT_FALSE(host.ip->route(addr("8.8.4.4"), IpAddress())->mtu_locked);
}

TEST_F(IcmpTest, Ipv6StopsAt1280) {
  give_error6(2, 0, 1400);
  EXPECT_EQ(mtu("2600::1"), 1400u);
  give_error6(2, 0, 600);
  EXPECT_EQ(mtu("2600::1"), 1280u);
  EXPECT_FALSE(host.ip->route(addr("2600::1"), IpAddress())->mtu_locked);
  give_error6(2, 0, 0xffffffff, "2600::2");
  EXPECT_EQ(mtu("2600::2"), 1500u);
  EXPECT_EQ(host.mib(Mib::Icmp6InPktTooBigs), 3u);
}

TEST_F(IcmpTest, AnErrorThatTheTransportDoesNotRecognizeTeachesNothing) {
  host.udp.recognizes_errors = false;
  give_error4(3, 4, 1400);
  EXPECT_EQ(mtu("8.8.8.8"), 1500u);
  EXPECT_EQ(host.udp.errors.size(), 1u);
}

TEST_F(IcmpTest, ALockedOrOwnDestinationLearnsNothing) {
  RouteSpec r;
  r.destination = cidr("9.0.0.0/8");
  r.gateway = addr("10.0.0.254");
  r.mtu = 1450;
  r.mtu_locked = true;
  ASSERT_EQ(error_of(host.ip->add_route(r)), 0);
  give_error4(3, 4, 1400, "9.9.9.9");
  EXPECT_EQ(mtu("9.9.9.9"), 1450u);
  give_error4(3, 4, 1400, "10.0.0.1");
  EXPECT_EQ(mtu("10.0.0.1"), 65536u);
  host.ns.sysctl.ip_no_pmtu_disc.set(1);
  give_error4(3, 4, 1400, "8.8.8.8");
  EXPECT_EQ(mtu("8.8.8.8"), 1500u);
}

TEST(PmtuCache, IsBoundedAndForgetsWhatExpiresFirst) {
  Rng rng(Seed{1});
  PmtuCache cache(make_sip_key(rng));
  const Time now = at_ms(5000);
  for (uint32_t i = 0; i < 100'000; ++i) {
    cache.learn(IpAddress::from_v4(i), {.mtu = 1000 + i % 400, .expires = now + Duration::from_ms(1 + i)});
  }
  EXPECT_LE(cache.size(now), PmtuCache::kBuckets * PmtuCache::kWays);
  EXPECT_GT(cache.size(now), PmtuCache::kBuckets * PmtuCache::kWays * 9 / 10);
  EXPECT_EQ(cache.find(IpAddress::from_v4(99'999), now).mtu, 1000u + 99'999 % 400);
  EXPECT_EQ(cache.find(IpAddress::from_v4(0), now).mtu, 0u);
  EXPECT_TRUE(cache.expire(now + Duration::from_s(1000)));
  EXPECT_FALSE(cache.expire(now + Duration::from_s(1000)));
  EXPECT_EQ(cache.size(now), 0u);
  EXPECT_EQ(cache.next_expiry(), Time::never());
}

// --- errors out ----------------------------------------------------------------------------------------------------

TEST_F(IcmpTest, APortUnreachableQuotesThePacket) {
  const Bytes offending = v4({.tos = 0x2e}, udp(1000, 2000, counting(30)));
  host.give(eth, offending);
  host.ip->send_port_unreachable(*host.udp.last, host.udp.got[0].info);
  const Bytes b = host.take(eth);
  ASSERT_EQ(b.size(), 28u + 58);
  const auto h = wire::parse_ipv4(b);
  EXPECT_EQ(h->src, addr("10.0.0.1"));
  EXPECT_EQ(h->dst, addr("10.0.0.2"));
  EXPECT_EQ(h->tos, 0xcc);
  EXPECT_FALSE(h->dont_fragment);
  EXPECT_EQ(Bytes(b.begin() + 20, b.end()), icmp4(3, 3, 0, offending));
  EXPECT_EQ(host.mib(Mib::IcmpOutDestUnreachs), 1u);
}

TEST_F(IcmpTest, ALongQuoteIsCut) {
  host.give(eth, v4({}, udp(1000, 2000, counting(1400))));
  host.ip->send_port_unreachable(*host.udp.last, host.udp.got[0].info);
  EXPECT_EQ(host.take(eth).size(), 576u);
  const Bytes offending = v6({}, udp(1000, 2000, counting(1400)));
  host.give(eth, offending);
  host.ip->send_port_unreachable(*host.udp.last, host.udp.got[1].info);
  const Bytes b = host.take(eth);
  ASSERT_EQ(b.size(), 1280u);
  const Bytes quoted(offending.begin(), offending.begin() + 1232);
  EXPECT_EQ(Bytes(b.begin() + 40, b.end()), icmp6("fd00::1", "fd00::2", 1, 4, 0, quoted));
}

TEST_F(IcmpTest, NoErrorIsSentAboutWhatMustNotHaveOne) {
  host.give(eth, v4({.dst = "10.0.0.255"}, udp(1, 2)));
  host.ip->send_port_unreachable(*host.udp.last, host.udp.got.back().info);
  host.give(eth, v4({.src = "0.0.0.0", .dst = "255.255.255.255"}, udp(1, 2)));
  host.ip->send_port_unreachable(*host.udp.last, host.udp.got.back().info);
  host.give(eth, v6({.dst = "ff02::1"}, udp(1, 2)));
  host.ip->send_port_unreachable(*host.udp.last, host.udp.got.back().info);
  host.give(eth, v6({.src = "::"}, udp(1, 2)));
  host.ip->send_port_unreachable(*host.udp.last, host.udp.got.back().info);
  EXPECT_TRUE(host.take(eth).empty());
  EXPECT_EQ(host.udp.got.size(), 4u);
}

TEST_F(IcmpTest, ErrorsToOneDestinationAreLimitedToABurstOfSix) {
  auto refuse = [&](std::string_view src) {
    host.give(eth, v4({.src = src}, udp(1, 2)));
    host.ip->send_port_unreachable(*host.udp.last, host.udp.got.back().info);
  };
  for (int i = 0; i < 20; ++i)
    refuse("10.0.0.2");
  EXPECT_EQ(host.link(eth).sent.size() + (host.ip->flush(), 0), host.link(eth).sent.size());
  EXPECT_EQ(host.link(eth).sent.size(), 6u);
  EXPECT_EQ(host.mib(Mib::IcmpOutRateLimitHost), 14u);
  refuse("10.0.0.3");
  host.ip->flush();
  EXPECT_EQ(host.link(eth).sent.size(), 7u);
  host.advance(Duration::from_s(1));
  refuse("10.0.0.2");
  refuse("10.0.0.2");
  host.ip->flush();
  EXPECT_EQ(host.link(eth).sent.size(), 8u);
}

TEST_F(IcmpTest, AllErrorsTogetherAreLimited) {
  for (uint32_t i = 0; i < 500; ++i) {
    host.give(eth, v4({.src = IpAddress::from_v4(0x08000000 + i).to_string()}, udp(1, 2)));
    host.ip->send_port_unreachable(*host.udp.last, host.udp.got.back().info);
  }
  host.ip->flush();
  EXPECT_LT(host.link(eth).sent.size(), 110u);
  EXPECT_GT(host.link(eth).sent.size(), 25u);
  EXPECT_GT(host.mib(Mib::IcmpOutRateLimitGlobal), 350u);
}

TEST_F(IcmpTest, EchoRepliesAreNotLimited) {
  for (int i = 0; i < 200; ++i)
    host.give(eth, v4({.protocol = 1}, icmp4(8, 0, 1)));
  EXPECT_EQ(host.link(eth).sent.size(), 200u);
}

TEST_F(IcmpTest, OnTheLoopbackThereIsNoLimit) {
  for (int i = 0; i < 100; ++i) {
    host.give(lo, v4({.src = "127.0.0.1", .dst = "127.0.0.1"}, udp(1, 2)));
    host.ip->send_port_unreachable(*host.udp.last, host.udp.got.back().info);
  }
  host.ip->flush();
  EXPECT_EQ(host.link(lo).sent.size(), 100u);
}

TEST(IcmpLimiter, RefillsAtItsRate) {
  Rng rng(Seed{2});
  IcmpLimiter limiter(rng);
  Time now = at_ms(100);
  auto drain = [&] {
    int n = 0;
    while (limiter.may_send_any(1000, 50, now))
      ++n;
    return n;
  };
  const int first = drain();
  EXPECT_GE(first, 25);
  EXPECT_LE(first, 100);
  now = now + Duration::from_ms(19);
  EXPECT_EQ(drain(), 0);
  now = now + Duration::from_ms(1);
  EXPECT_GT(drain(), 5);
  EXPECT_TRUE(limiter.may_send_to(addr("10.0.0.1"), Duration(), now));
}

}  // namespace
}  // namespace leat::ip
