// UDP between two hosts: datagrams, ports, errors by ICMP, and memory.
#include <time.h>

#include <linux/errqueue.h>
#include <linux/in.h>

#include "net.h"

namespace leat::udp {
namespace {

struct UdpTest : Net {};

TEST_F(UdpTest, ADatagramArrivesWithItsSenderAndCanBeAnswered) {
  Endpoint server(b);
  Endpoint client(a);
  ASSERT_TRUE(server.bind("10.0.0.2", 7000));
  ASSERT_TRUE(client.connect("10.0.0.2", 7000));
  EXPECT_EQ(client.send("hello"), 5u);
  run();
  EXPECT_EQ(server.events.seen & EPOLLIN, uint32_t{EPOLLIN});
  Received what;
  EXPECT_EQ(server.receive(0, &what), "hello");
  EXPECT_EQ(what.datagram.info.src, *IpAddress::parse("10.0.0.1"));
  EXPECT_EQ(what.datagram.port, client.s.local_port);
  EXPECT_EQ(what.datagram.info.ttl, 64);
  EXPECT_EQ(server.send_to("10.0.0.1", what.datagram.port, "world"), 5u);
  run();
  EXPECT_EQ(client.receive(), "world");
  EXPECT_EQ(client.receive().error(), Errno{EAGAIN});
  EXPECT_EQ(a.ns.counter(Mib::UdpOutDatagrams), 1u);
  EXPECT_EQ(b.ns.counter(Mib::UdpInDatagrams), 1u);
}

TEST_F(UdpTest, OverIpv6Too) {
  Endpoint server(b, Family::kIpv6);
  Endpoint client(a, Family::kIpv6);
  ASSERT_TRUE(server.bind("::", 7000));
  ASSERT_TRUE(client.connect("fd00::2", 7000));
  EXPECT_EQ(client.send("six"), 3u);
  run();
  EXPECT_EQ(server.receive(), "six");
  EXPECT_EQ(b.ns.counter(Mib::Udp6InDatagrams), 1u);
  EXPECT_EQ(b.ns.counter(Mib::UdpInDatagrams), 0u);
}

TEST_F(UdpTest, SixtyThousandBytesPassInFragments) {
  Endpoint server(b);
  Endpoint client(a);
  ASSERT_TRUE(server.bind("0.0.0.0", 7000));
  std::string big(60000, 'x');
  for (size_t i = 0; i < big.size(); ++i)
    big[i] = static_cast<char>(i * 7);
  EXPECT_EQ(client.send_to("10.0.0.2", 7000, big), 60000u);
  run();
  const auto got = server.receive();
  ASSERT_TRUE(got);
  EXPECT_TRUE(*got == big);
  Endpoint server6(b, Family::kIpv6);
  Endpoint client6(a, Family::kIpv6);
  ASSERT_TRUE(server6.bind("fd00::2", 7001));
  EXPECT_EQ(client6.send_to("fd00::2", 7001, big), 60000u);
  run();
  const auto got6 = server6.receive();
  ASSERT_TRUE(got6);
  EXPECT_TRUE(*got6 == big);
}

TEST_F(UdpTest, WhatCannotFitIsEmsgsize) {
  Endpoint client(a);
  EXPECT_EQ(code(client.send_to("10.0.0.2", 7000, std::string(65536, 'x'))), EMSGSIZE);
  EXPECT_EQ(code(client.send_to("10.0.0.2", 7000, std::string(65508, 'x'))), EMSGSIZE);
  inet::own_options(client.s)->pmtu_discover = IP_PMTUDISC_DO;
  EXPECT_EQ(code(client.send_to("10.0.0.2", 7000, std::string(1473, 'x'))), EMSGSIZE);
  EXPECT_EQ(client.send_to("10.0.0.2", 7000, std::string(1472, 'x')), 1472u);
}

TEST_F(UdpTest, APortThatNobodyHasIsReportedToTheConnectedSender) {
  Endpoint client(a);
  ASSERT_TRUE(client.connect("10.0.0.2", 7000));
  EXPECT_EQ(client.send("anybody?"), 8u);
  run();
  EXPECT_EQ(b.ns.counter(Mib::UdpNoPorts), 1u);
  EXPECT_EQ(client.events.seen & EPOLLERR, uint32_t{EPOLLERR});
  EXPECT_EQ(client.receive().error(), Errno{ECONNREFUSED});
  EXPECT_EQ(client.receive().error(), Errno{EAGAIN});
  EXPECT_EQ(client.send("again"), 5u);
  run();
  EXPECT_EQ(code(client.send("told here")), ECONNREFUSED);
  EXPECT_EQ(client.send("and on"), 6u);
}

TEST_F(UdpTest, AnUnconnectedSenderIsToldOnlyIfItAsks) {
  Endpoint client(a);
  ASSERT_TRUE(client.bind("10.0.0.1", 6000));
  EXPECT_EQ(client.send_to("10.0.0.2", 7000, "anybody?"), 8u);
  run();
  EXPECT_EQ(client.receive().error(), Errno{EAGAIN});
  inet::own_options(client.s)->recv_error = true;
  EXPECT_EQ(client.send_to("10.0.0.2", 7000, "anybody?"), 8u);
  run();
  EXPECT_EQ(client.udp.poll_events(client.s) & EPOLLERR, uint32_t{EPOLLERR});
  Received what;
  EXPECT_EQ(client.receive(MSG_ERRQUEUE, &what), "anybody?");
  EXPECT_EQ(what.flags, MSG_ERRQUEUE);
  EXPECT_EQ(what.datagram.error, static_cast<uint32_t>(ECONNREFUSED));
  EXPECT_EQ(what.datagram.origin, SO_EE_ORIGIN_ICMP);
  EXPECT_EQ(what.datagram.type, 3);
  EXPECT_EQ(what.datagram.code, 3);
  EXPECT_EQ(what.datagram.offender, *IpAddress::parse("10.0.0.2"));
  EXPECT_EQ(what.datagram.info.dst, *IpAddress::parse("10.0.0.2"));
  EXPECT_EQ(what.datagram.port, 7000);
  EXPECT_EQ(client.receive(MSG_ERRQUEUE).error(), Errno{EAGAIN});
  EXPECT_EQ(client.receive().error(), Errno{EAGAIN});
}

TEST_F(UdpTest, TheReceiveBufferIsALimitAndWhatIsOverIsCounted) {
  Endpoint server(b);
  Endpoint client(a);
  ASSERT_TRUE(server.bind("10.0.0.2", 7000));
  server.s.rcvbuf = 2304;
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(client.send_to("10.0.0.2", 7000, "x"));
  run();
  const uint64_t dropped = b.ns.counter(Mib::UdpRcvbufErrors);
  EXPECT_GT(dropped, 90u);
  EXPECT_EQ(server.s.drops, dropped);
  EXPECT_EQ(b.ns.counter(Mib::UdpInErrors), dropped);
  EXPECT_EQ(b.ns.drops(DropReason::kSocketRcvbuff), dropped);
  uint64_t got = 0;
  while (server.receive())
    ++got;
  EXPECT_EQ(got + dropped, 100u);
  EXPECT_EQ(server.s.rmem, 0u);
}

TEST_F(UdpTest, PeekLeavesAndTruncTells) {
  Endpoint server(b);
  Endpoint client(a);
  ASSERT_TRUE(server.bind("10.0.0.2", 7000));
  ASSERT_TRUE(client.send_to("10.0.0.2", 7000, "0123456789"));
  run();
  EXPECT_EQ(server.receive(MSG_PEEK), "0123456789");
  Received what;
  EXPECT_EQ(server.receive(MSG_PEEK, &what, 4), "0123");
  EXPECT_EQ(what.flags, MSG_TRUNC);
  char four[4];
  const iovec v{four, sizeof four};
  EXPECT_EQ(server.udp.receive(server.s, {&v, 1}, MSG_TRUNC, what), 10u);
  EXPECT_EQ(server.receive().error(), Errno{EAGAIN});
}

TEST_F(UdpTest, AnEmptyDatagramIsADatagram) {
  Endpoint server(b);
  Endpoint client(a);
  ASSERT_TRUE(server.bind("10.0.0.2", 7000));
  EXPECT_EQ(client.send_to("10.0.0.2", 7000, ""), 0u);
  run();
  EXPECT_EQ(server.receive(), "");
}

TEST_F(UdpTest, CorkGathersOneDatagram) {
  Endpoint server(b);
  Endpoint client(a);
  ASSERT_TRUE(server.bind("10.0.0.2", 7000));
  ASSERT_TRUE(client.connect("10.0.0.2", 7000));
  EXPECT_EQ(client.send("one ", MSG_MORE), 4u);
  EXPECT_EQ(client.send("two ", MSG_MORE), 4u);
  run();
  EXPECT_EQ(server.receive().error(), Errno{EAGAIN});
  EXPECT_EQ(client.send("three"), 5u);
  run();
  EXPECT_EQ(server.receive(), "one two three");
  client.s.is_corked = true;
  EXPECT_TRUE(client.send("a"));
  EXPECT_TRUE(client.send("b"));
  client.s.is_corked = false;
  EXPECT_EQ(client.udp.uncork(client.s), 2u);
  run();
  EXPECT_EQ(server.receive(), "ab");
}

TEST_F(UdpTest, BindingSharesAPortOnlyAsLinuxDoes) {
  Endpoint any(b);
  Endpoint one(b);
  Endpoint six(b, Family::kIpv6);
  ASSERT_TRUE(any.bind("0.0.0.0", 7000));
  EXPECT_EQ(code(one.bind("10.0.0.2", 7000)), EADDRINUSE);
  EXPECT_EQ(code(six.bind("::", 7000)), EADDRINUSE);
  EXPECT_EQ(code(six.bind("fd00::2", 7000)), 0);
  Endpoint six_only(b, Family::kIpv6);
  six_only.s.v6only = 1;
  EXPECT_EQ(code(six_only.bind("::", 7000)), EADDRINUSE);  // fd00::2 has it
  EXPECT_EQ(code(six_only.bind("::", 7001)), 0);
  EXPECT_EQ(code(one.bind("10.0.0.2", 7001)), 0);
  Endpoint p(b);
  Endpoint q(b);
  p.s.reuse_address = q.s.reuse_address = 1;
  EXPECT_EQ(code(p.bind("10.0.0.2", 7002)), 0);
  EXPECT_EQ(code(q.bind("10.0.0.2", 7002)), 0);
}

TEST_F(UdpTest, UnprivilegedPortsEndWhereTheSysctlSays) {
  Endpoint e(b);
  EXPECT_EQ(code(e.udp.bind(e.s, *IpAddress::parse("10.0.0.2"), 1023, false)), EACCES);
  EXPECT_EQ(code(e.udp.bind(e.s, *IpAddress::parse("10.0.0.2"), 1023, true)), 0);
}

TEST_F(UdpTest, AutomaticPortsComeFromTheRangeUntilItIsUsedUp) {
  b.ns.sysctl.ip_local_port_range[0].set(40000);
  b.ns.sysctl.ip_local_port_range[1].set(40003);
  std::vector<std::unique_ptr<Endpoint>> socks;
  for (int i = 0; i < 4; ++i) {
    socks.push_back(std::make_unique<Endpoint>(b));
    ASSERT_TRUE(socks.back()->bind("10.0.0.2", 0));
    EXPECT_GE(socks.back()->s.local_port, 40000);
    EXPECT_LE(socks.back()->s.local_port, 40003);
  }
  Endpoint last(b);
  EXPECT_EQ(code(last.bind("10.0.0.2", 0)), EADDRINUSE);
}

TEST_F(UdpTest, TheClosestSocketGetsTheDatagram) {
  Endpoint any(b);
  Endpoint exact(b);
  Endpoint connected(b);
  for (Endpoint* e : {&any, &exact, &connected})
    e->s.reuse_address = 1;
  ASSERT_TRUE(any.bind("0.0.0.0", 7000));
  ASSERT_TRUE(exact.bind("10.0.0.2", 7000));
  ASSERT_TRUE(connected.bind("10.0.0.2", 7000));
  ASSERT_TRUE(connected.connect("10.0.0.1", 6000));
  Endpoint from6000(a);
  Endpoint other(a);
  ASSERT_TRUE(from6000.bind("10.0.0.1", 6000));
  ASSERT_TRUE(from6000.send_to("10.0.0.2", 7000, "for the connected"));
  ASSERT_TRUE(other.send_to("10.0.0.2", 7000, "for the exact"));
  run();
  EXPECT_EQ(connected.receive(), "for the connected");
  EXPECT_EQ(exact.receive(), "for the exact");
  EXPECT_EQ(any.receive().error(), Errno{EAGAIN});
}

TEST_F(UdpTest, ReusePortSpreadsSendersAndKeepsEachWithItsSocket) {
  std::vector<std::unique_ptr<Endpoint>> group;
  for (int i = 0; i < 4; ++i) {
    group.push_back(std::make_unique<Endpoint>(b));
    group.back()->s.reuse_port = 1;
    ASSERT_TRUE(group.back()->bind("10.0.0.2", 7000));
  }
  for (int i = 0; i < 64; ++i) {
    Endpoint client(a);
    ASSERT_TRUE(client.connect("10.0.0.2", 7000));
    ASSERT_TRUE(client.send("1"));
    ASSERT_TRUE(client.send("2"));
    run();
    int with_both = 0;
    for (auto& e : group) {
      if (e->s.receive_queue.count() % 2 == 0) ++with_both;
    }
    EXPECT_EQ(with_both, 4);
  }
  for (auto& e : group)
    EXPECT_GT(e->s.receive_queue.count(), 8u);
}

TEST_F(UdpTest, ABadChecksumIsDroppedAndCounted) {
  Endpoint server(b);
  ASSERT_TRUE(server.bind("10.0.0.2", 7000));
  // source port 1, destination port 7000, length 9, a wrong checksum, one byte
  const uint8_t bytes[] = {0, 1, 0x1b, 0x58, 0, 9, 0x12, 0x34, 'x'};
  ip::PacketInfo info;
  info.src = *IpAddress::parse("10.0.0.1");
  info.dst = *IpAddress::parse("10.0.0.2");
  info.protocol = 17;
  info.ttl = 64;
  b.udp.on_packet(pool.make_copy(bytes), info);
  EXPECT_EQ(b.ns.counter(Mib::UdpInCsumErrors), 1u);
  EXPECT_EQ(b.ns.counter(Mib::UdpInErrors), 1u);
  uint8_t without[] = {0, 1, 0x1b, 0x58, 0, 9, 0, 0, 'x'};
  b.udp.on_packet(pool.make_copy(without), info);
  EXPECT_EQ(server.receive(), "x");
}

TEST_F(UdpTest, LengthsThatLieAreDropped) {
  Endpoint server(b);
  ASSERT_TRUE(server.bind("10.0.0.2", 7000));
  ip::PacketInfo info;
  info.src = *IpAddress::parse("10.0.0.1");
  info.dst = *IpAddress::parse("10.0.0.2");
  info.protocol = 17;
  info.ttl = 64;
  const uint8_t cases[][9] = {{0, 1, 0x1b, 0x58, 0, 7, 0, 0, 'x'}, {0, 1, 0x1b, 0x58, 0, 10, 0, 0, 'x'}};
  for (const auto& c : cases)
    b.udp.on_packet(pool.make_copy(c), info);
  b.udp.on_packet(pool.make_copy(ByteView(cases[0], 7)), info);
  EXPECT_EQ(b.ns.counter(Mib::UdpInErrors), 3u);
  EXPECT_EQ(server.receive().error(), Errno{EAGAIN});
}

TEST_F(UdpTest, PacketInfoChoosesTheSourceAddress) {
  ASSERT_TRUE(a.ip.add_address(a.ifindex, *Cidr::parse("10.0.0.77/24")));
  Endpoint server(b);
  Endpoint client(a);
  ASSERT_TRUE(server.bind("10.0.0.2", 7000));
  SendTo to;
  to.source = *IpAddress::parse("10.0.0.77");
  to.ttl = 3;
  to.tos = 0x10;
  ASSERT_TRUE(client.send_to("10.0.0.2", 7000, "x", to));
  run();
  Received what;
  ASSERT_TRUE(server.receive(0, &what));
  EXPECT_EQ(what.datagram.info.src, *IpAddress::parse("10.0.0.77"));
  EXPECT_EQ(what.datagram.info.ttl, 3);
  EXPECT_EQ(what.datagram.info.tos, 0x10);
  to.source = *IpAddress::parse("10.0.0.99");
  EXPECT_FALSE(client.send_to("10.0.0.2", 7000, "x", to));
}

TEST_F(UdpTest, ErrorsOfSendingAreThoseOfLinux) {
  Endpoint e(a);
  EXPECT_EQ(code(e.send("x")), EDESTADDRREQ);
  EXPECT_EQ(code(e.send_to("10.0.0.2", 0, "x")), EINVAL);
  EXPECT_EQ(code(e.send_to("192.0.2.1", 9, "x")), ENETUNREACH);
  EXPECT_EQ(code(e.send_to("10.0.0.255", 9, "x")), EACCES);
  EXPECT_EQ(code(e.udp.shutdown(e.s, SHUT_WR)), ENOTCONN);
  ASSERT_TRUE(e.connect("10.0.0.2", 9));
  EXPECT_EQ(code(e.send("x", MSG_OOB)), EOPNOTSUPP);
  EXPECT_TRUE(e.udp.shutdown(e.s, SHUT_WR));
  EXPECT_EQ(code(e.send("x")), EPIPE);
}

}  // namespace
}  // namespace leat::udp
