// Threads that bind, connect, listen, accept, hand over and close on a few ports at once.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include "base/rcu.h"
#include "base/slab.h"
#include "inet/ports.h"
#include "support.h"

namespace leat::inet::test {
namespace {

struct World {
  World() {
    ns.sysctl.ip_local_port_range[0].set(40000);
    ns.sysctl.ip_local_port_range[1].set(40199);
    established.set_release([](void* c, SockCommon* s) { static_cast<World*>(c)->slab.destroy(static_cast<Sock*>(s)); },
                            this);
  }
  Sock* make() {
    Sock* s = slab.create();
    s->family = Family::kIpv4;
    s->refs = 1;
    return s;
  }
  bool connect(Sock* s, uint32_t remote) {
    s->set_addresses(ip("10.0.0.1"), IpAddress::from_v4(0x0a000002 + remote));
    s->remote_port = 80;
    SockCommon* replaced = nullptr;
    s->get();  // the table's
    if (ports.connect(*s, established, nullptr, nullptr, &replaced)) return true;
    s->put();
    return false;
  }
  void close(Sock* s) {
    if (established.remove(s)) s->put();
    ports.release(*s);
    if (s->put()) slab.destroy(s);
  }

  Netns ns{seed_of(1)};
  Slab<Sock> slab{"sock"};
  EstablishedTable established{ns.rng, 16};
  Ports ports{ns, ns.rng};
  std::atomic<uint64_t> lost{0}, connects{0}, binds{0}, refusals{0};
};

void live(World& w, uint32_t seed) {
  RcuThread registered;
  std::deque<Sock*> mine;
  uint32_t x = seed;
  for (int step = 0; step < 6000; ++step) {
    x = x * 1664525 + 1013904223;
    Sock* s = w.make();
    const uint32_t what = (x >> 10) % 8;
    bool ok = false;
    if (what < 5) {
      ok = w.connect(s, (x >> 16) % 3);
      if (ok) {
        ++w.connects;
        SockCommon* found = w.established.lookup(s->tuple(), 1);
        if (found != s) ++w.lost;
        if (found != nullptr) found->put();
      }
    } else {
      s->reuse_address = (x >> 20) & 1;
      s->reuse_port = (x >> 21) & 1;
      const auto port = static_cast<uint16_t>(what == 5 ? 0 : 40000 + (x >> 22) % 200);
      ok = w.ports.bind(*s, IpAddress::from_v4(0x0a000001 + (x >> 24) % 32), port, false).has_value();
      if (ok) ++w.binds;
      if (ok && what == 7) {
        s->state = static_cast<uint8_t>(State::kListen);
        (void)w.ports.check_listen(*s);
      }
    }
    if (!ok) ++w.refusals;
    mine.push_back(s);
    if (mine.size() > 150) {
      Sock* old = mine.front();
      mine.pop_front();
      if ((x & 1024) != 0 && old->bind_bucket != nullptr && EstablishedTable::is_hashed(old)) {
        Sock* time_wait = w.make();
        set_tuple(*time_wait, old->tuple());
        time_wait->get();
        w.ports.hand_over(*old, *time_wait);
        if (!w.established.replace(old, time_wait)) ++w.lost;
        old->put();
        mine.push_back(time_wait);
      }
      w.close(old);
    }
    if (step % 64 == 0) {
      w.established.grow_if_needed();
      rcu_quiescent();
    }
  }
  for (Sock* s : mine)
    w.close(s);
}

TEST(PortsStress, ManyThreadsBindAndConnectAndNothingIsLeft) {
  World w;
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; ++i)
    threads.emplace_back([&w, i] { live(w, i * 7919 + 1); });
  for (std::thread& t : threads)
    t.join();
  EXPECT_EQ(w.lost, 0u);
  EXPECT_GT(w.connects, 1000u);
  EXPECT_GT(w.binds, 100u);
  EXPECT_GT(w.refusals, 10u);
  EXPECT_EQ(w.ports.buckets(), 0u);
  EXPECT_EQ(w.established.count(), 0u);
  EXPECT_EQ(w.slab.in_use(), 0u);
  Sock* s = w.make();
  EXPECT_TRUE(w.ports.bind(*s, ip("0.0.0.0"), 40000, false).has_value());
  w.close(s);
}

}  // namespace
}  // namespace leat::inet::test
