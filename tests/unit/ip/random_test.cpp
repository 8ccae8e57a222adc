// Random and mangled bytes on every kind of link: nothing crashes, leaks or grows.
#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

Bytes mangled(Rng& rng, Bytes b) {
  const uint32_t n = rng.below(4);
  for (uint32_t i = 0; i < n && !b.empty(); ++i) {
    b[rng.below(static_cast<uint32_t>(b.size()))] = static_cast<uint8_t>(rng.next32());
  }
  if (rng.below(4) == 0) b.resize(rng.below(static_cast<uint32_t>(b.size()) + 1));
  if (!b.empty() && b[0] >> 4 == 4 && b.size() >= 20 && (b[0] & 15u) * 4u <= b.size() && (b[0] & 15u) >= 5 &&
      rng.below(8) != 0) {
    fix_v4_checksum(b);
  }
  return b;
}

Bytes sample(Rng& rng) {
  const Bytes quoted4 = v4({.src = "10.0.0.1", .dst = "10.0.0.2"}, udp(7, 9, counting(4)));
  const Bytes quoted6 = v6({.src = "fd00::1", .dst = "fd00::2"}, udp(7, 9, counting(4)));
  const auto offset = static_cast<uint16_t>(8 * rng.below(20));
  const auto id = static_cast<uint16_t>(rng.below(4));
  Bytes m(32);
  switch (rng.below(10)) {
    case 0:
      return v4({}, udp(1, 2, counting(rng.below(200))));
    case 1:
      return v4({.id = id, .more = rng.below(2) == 0, .offset = offset}, counting(8 * (1 + rng.below(10))));
    case 2:
      return v4({.protocol = 1},
                icmp4(static_cast<uint8_t>(rng.below(20)), static_cast<uint8_t>(rng.below(17)), rng.next32(), quoted4));
    case 3:
      return v6({}, udp(1, 2, counting(rng.below(200))));
    case 4:
      return v6({.next = 44}, v6_fragment(17, offset, rng.below(2) == 0, id, counting(8 * (1 + rng.below(10)))));
    case 5:
      return v6({.next = 58},
                icmp6("fd00::2", "fd00::1", static_cast<uint8_t>(rng.below(5)), 0, rng.next32(), quoted6));
    case 6:
      return v6({.next = 60}, Bytes{43, 0, 1, 4, 0, 0, 0, 0} + Bytes{17, 0, 0, 0, 0, 0, 0, 0} + udp(1, 2));
    case 7:
      m.resize(wire::emit_neighbor_solicitation({addr("fd00::1"), mac(2)}, m));
      wire::finish_icmp6(addr("fd00::2"), addr("fd00::1"), m);
      return v6({.next = 58, .hop_limit = 255}, m);
    case 8:
      return v6({.next = 0}, Bytes{17, 0, 5, 2, 0, 0, 1, 0} + udp(1, 2));
    default: {
      Bytes b(rng.below(100));
      rng.fill(b.data(), b.size());
      return b;
    }
  }
}

TEST(RandomInput, NeverCrashesLeaksOrGrows) {
  Host host(9);
  const uint16_t tun = host.add(ip_link(), {"10.0.0.1/24", "fd00::1/64"});
  const uint16_t tap = host.add(ethernet_link(), {"10.1.0.1/24", "fd01::1/64"});
  host.add(loopback_link(), {});
  Rng rng(Seed{42});
  for (int i = 0; i < 30'000; ++i) {
    Bytes b = mangled(rng, sample(rng));
    const uint16_t where = rng.below(2) == 0 ? tun : tap;
    if (where == tap) {
      const uint16_t type = !b.empty() && b[0] >> 4 == 6 ? 0x86dd : rng.below(10) == 0 ? 0x0806 : 0x0800;
      b = mangled(rng, ethernet(mac(1), mac(2), type, b));
    }
    // Torn into pieces now and then, as links from memory give them.
    PacketPtr p;
    if (b.size() > 2 && rng.below(3) == 0) {
      const uint32_t cut = rng.below(static_cast<uint32_t>(b.size()));
      p = host.pool.make_copy({b.data(), cut}, 0);
      Buffer* rest = host.pool.make_buffer(static_cast<uint32_t>(b.size()));
      std::memcpy(rest->bytes(), b.data(), b.size());
      p->add_fragment(rest, cut, static_cast<uint32_t>(b.size()) - cut);
      PacketPool::unref(rest);
    } else {
      p = host.pool.make_copy(b, 0);
    }
    host.link(where).in.push_back(p.release());
    host.ip->receive(where, 10);
    for (const auto& got : host.udp.got) {
      if (rng.below(4) == 0 && host.udp.last != nullptr) host.ip->send_port_unreachable(*host.udp.last, got.info);
    }
    host.udp.got.clear();
    host.udp.errors.clear();
    host.tcp.got.clear();
    host.tcp.errors.clear();
    if (i % 50 == 0) host.advance(Duration::from_ms(rng.below(3000)));
    host.ip->flush();
    for (FakeLink* l : host.links)
      l->sent.clear();
  }
  EXPECT_GT(host.mib(Mib::IpInDelivers), 1000u);
  EXPECT_GT(host.mib(Mib::Ip6InDelivers), 1000u);
  host.udp.last.reset();
  host.tcp.last.reset();
  for (int i = 0; i < 200; ++i) {
    host.advance(Duration::from_s(1));
    for (FakeLink* l : host.links)
      l->sent.clear();
  }
  EXPECT_EQ(host.pool.packets_in_use(), 0u);
}

}  // namespace
}  // namespace leat::ip
