// Many threads at once: look-ups and output while routes change, one receiver, one timer. For ThreadSanitizer.
#include <thread>

#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

// A transport and a link without memory, since the test's own are not made for threads.
class Counter final : public Transport {
 public:
  void on_packet(PacketPtr&&, const PacketInfo&) override { packets.fetch_add(1); }
  void on_icmp_error(const IcmpError&) override { errors.fetch_add(1); }
  std::atomic<uint64_t> packets{0}, errors{0};
};

class Sink final : public Link {
 public:
  explicit Sink(const LinkFeatures& f) : features_(f) {}
  const LinkFeatures& features() const override { return features_; }
  size_t receive_batch(std::span<Packet*> out, PacketPool& pool, Time) override {
    size_t n = 0;
    for (; n < 8 && n < out.size(); ++n) {
      Bytes b = features_.kind == LinkKind::kEthernet
                    ? ethernet(mac(1), mac(2), 0x0806,
                               arp(wire::ArpOperation::kReply, mac(2), "10.1.0.2", mac(1), "10.1.0.1"))
                    : v4({}, udp(1, 2));
      out[n] = pool.make_copy(b).release();
    }
    return n;
  }
  void transmit_batch(std::span<Packet*> packets, Time) override {
    for (Packet* p : packets)
      PacketPtr(p).reset();
    sent.fetch_add(packets.size());
  }
  Time next_event() const override { return Time::never(); }
  std::atomic<uint64_t> sent{0};

 private:
  LinkFeatures features_;
};

TEST(Threads, LookUpsAndOutputGoOnWhileEverythingChanges) {
  Netns ns(Seed{1});
  PacketPool pool;
  Ip ip(ns, pool);
  Counter udp_transport;
  ip.register_transport(17, &udp_transport);
  auto tun_link = std::make_unique<Sink>(ip_link());
  auto tap_link = std::make_unique<Sink>(ethernet_link());
  Sink* const tun_sink = tun_link.get();
  const uint16_t tun = ip.add_interface("tun", std::move(tun_link));
  const uint16_t tap = ip.add_interface("tap", std::move(tap_link));
  ASSERT_EQ(error_of(ip.add_address(tun, cidr("10.0.0.1/24"))), 0);
  ASSERT_EQ(error_of(ip.add_address(tap, cidr("10.1.0.1/24"))), 0);
  constexpr int kRounds = 1500;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; ++i) {
        const IpAddress dst = addr(i % 3 == 0 ? "10.1.0.2" : i % 3 == 1 ? "10.0.0.2" : "10.0.0.1");
        const auto r = ip.route(dst, IpAddress());
        if (!r) continue;
        const uint32_t size = i % 7 == 0 ? 3000 : 20;
        (void)ip.output(pool.make_copy(Bytes(size)), *r, {.src = r->source, .dst = dst, .protocol = 17});
        (void)ip.is_local_address(dst);
        (void)ip.path_mtu(dst, *r);
        ip.confirm_neighbour(*r);
        if (i % 16 == t) ip.flush();
      }
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; i < kRounds / 10; ++i) {
      RouteSpec r;
      r.destination = cidr("8.0.0.0/8");
      r.gateway = addr("10.0.0.254");
      r.metric = static_cast<uint32_t>(i % 5) + 1;
      (void)ip.add_route(r);
      (void)ip.add_address(tun, cidr("10.2.0.1/24"));
      (void)ip.remove_address(tun, cidr("10.2.0.1/24"));
      (void)ip.remove_route(cidr("8.0.0.0/8"));
      (void)ip.routes();
      (void)ip.join_group(tun, addr("239.1.1.1"));
      (void)ip.leave_group(tun, addr("239.1.1.1"));
    }
  });
  std::thread turns([&] {
    for (int64_t ms = 1; !stop.load(); ++ms) {
      ns.set_now(at_ms(ms * 50));
      ip.receive(tun, 16);
      ip.receive(tap, 16);
      ip.on_timer();
      ip.flush();
      (void)ip.next_deadline();
    }
  });
  for (std::thread& t : threads)
    t.join();
  stop.store(true);
  turns.join();
  ip.flush();
  EXPECT_GT(tun_sink->sent.load(), 500u);
  EXPECT_GT(udp_transport.packets.load(), 500u);
}

}  // namespace
}  // namespace leat::ip
