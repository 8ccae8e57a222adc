#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "inet/ports.h"
#include "support.h"

namespace leat::inet::test {
namespace {

class PortsBindTest : public testing::Test {
 protected:
  ~PortsBindTest() override {
    for (Sock* s : all)
      ports.release(*s);
  }
  Sock4& sock(bool reuse_address = false, bool reuse_port = false) {
    Sock4& s = four.emplace_back();
    s.reuse_address = reuse_address;
    s.reuse_port = reuse_port;
    all.push_back(&s);
    return s;
  }
  Sock6& sock6(bool v6only = false) {
    Sock6& s = six.emplace_back();
    s.v6only = v6only;
    all.push_back(&s);
    return s;
  }
  int bind(Sock& s, const char* address, uint16_t port) {
    const auto r = ports.bind(s, ip(address), port, false);
    return r ? 0 : to_int(r.error());
  }
  int listen(Sock& s) {
    s.state = static_cast<uint8_t>(State::kListen);
    const auto r = ports.check_listen(s);
    if (!r) s.state = static_cast<uint8_t>(State::kClose);
    return r ? 0 : to_int(r.error());
  }
  int connect(Sock& s, const char* local, const char* remote, uint16_t remote_port) {
    s.set_addresses(ip(local), ip(remote));
    s.remote_port = remote_port;
    SockCommon* replaced = nullptr;
    const auto r = ports.connect(s, established, nullptr, nullptr, &replaced);
    return r ? 0 : to_int(r.error());
  }
  void one_port(uint16_t p) { ns.sysctl.ip_local_port_range[0].set(p), ns.sysctl.ip_local_port_range[1].set(p); }

  Netns ns{seed_of(1)};
  EstablishedTable established{ns.rng, 64};
  Ports ports{ns, ns.rng};
  std::deque<Sock4> four;
  std::deque<Sock6> six;
  std::vector<Sock*> all;
};

TEST_F(PortsBindTest, TwoSocketsCannotHaveOnePort) {
  Sock& s = sock();
  EXPECT_EQ(bind(s, "10.0.0.1", 8080), 0);
  EXPECT_EQ(s.local_port, 8080);
  EXPECT_EQ(s.local(), ip("10.0.0.1"));
  Sock& t = sock();
  EXPECT_EQ(bind(t, "10.0.0.1", 8080), EADDRINUSE);
  EXPECT_EQ(t.local(), ip("0.0.0.0"));
  EXPECT_EQ(t.bind_bucket, nullptr);
  EXPECT_EQ(bind(t, "10.0.0.2", 8080), 0);
  EXPECT_EQ(bind(t, "10.0.0.2", 8081), EINVAL);
  EXPECT_EQ(ports.buckets(), 1u);
  ports.release(s);
  ports.release(s);
  EXPECT_EQ(bind(sock(), "10.0.0.1", 8080), 0);
  ports.release(t);
  EXPECT_EQ(ports.buckets(), 1u);
}

TEST_F(PortsBindTest, LowPortsNeedPrivilege) {
  EXPECT_EQ(bind(sock(), "10.0.0.1", 1023), EACCES);
  EXPECT_EQ(bind(sock(), "10.0.0.1", 1024), 0);
  EXPECT_TRUE(ports.bind(sock(), ip("10.0.0.1"), 1023, true).has_value());
  ns.sysctl.ip_unprivileged_port_start.set(80);
  EXPECT_EQ(bind(sock(), "10.0.0.1", 80), 0);
}

// Rows: who has the port; columns: who wants it. As the kernel (6.18.44) answers.
TEST_F(PortsBindTest, AddressesOverlapAsOnLinux) {
  struct Address {
    bool v6, only;
    const char* text;
  };
  const Address kinds[] = {{false, false, "0.0.0.0"},
                           {false, false, "127.0.0.1"},
                           {false, false, "127.0.0.2"},
                           {true, false, "::"},
                           {true, true, "::"},
                           {true, false, "::1"},
                           {true, true, "::1"},
                           {true, false, "::ffff:127.0.0.1"},
                           {true, false, "::ffff:0.0.0.0"}};
  const char* may[] = {
      "....+++..",  // 0.0.0.0
      "..+.+++..",  // 127.0.0.1
      ".+..++++.",  // 127.0.0.2
      ".........",  // ::
      "+++....++",  // :: v6only
      "+++....++",  // ::1
      "+++....++",  // ::1 v6only
      "..+.+++..",  // ::ffff:127.0.0.1
      "....+++..",  // ::ffff:0.0.0.0
  };
  const auto make = [this](const Address& a) -> Sock& {
    if (a.v6) return sock6(a.only);
    return sock();
  };
  for (size_t owner = 0; owner < 9; ++owner) {
    for (size_t wants = 0; wants < 9; ++wants) {
      Sock& first = make(kinds[owner]);
      Sock& second = make(kinds[wants]);
      ASSERT_EQ(bind(first, kinds[owner].text, 5555), 0);
      EXPECT_EQ(bind(second, kinds[wants].text, 5555), may[owner][wants] == '+' ? 0 : EADDRINUSE)
          << kinds[owner].text << " then " << kinds[wants].text;
      ports.release(first);
      ports.release(second);
    }
  }
}

TEST_F(PortsBindTest, AMappedAddressIsNotForV6Only) {
  EXPECT_EQ(bind(sock6(true), "::ffff:127.0.0.1", 5555), EINVAL);
}

// Rows: the owner's SO_REUSEADDR and SO_REUSEPORT (00 01 10 11); columns: those of who wants the port. As the kernel
// (6.18.44) answers; the same for bind() and for listen() after it.
TEST_F(PortsBindTest, ReuseOptionsAndStatesDecideAsOnLinux) {
  enum Owner { kBound, kListening, kConnected, kBoundConnected, kChild, kConnectedTimeWait, kChildTimeWait };
  const char* open[] = {"....", ".+.+", "..++", ".+++"};
  const char* listening[] = {"....", ".+.+", "....", ".+.+"};
  uint16_t port = 7000;
  for (const Owner kind :
       {kBound, kListening, kConnected, kBoundConnected, kChild, kConnectedTimeWait, kChildTimeWait}) {
    for (int o = 0; o < 4; ++o) {
      for (int w = 0; w < 4; ++w) {
        ++port;
        Sock& owner = sock((o & 2) != 0, (o & 1) != 0);
        Sock& child = sock();
        BoundSock time_wait;
        time_wait.set_addresses(ip("127.0.0.1"), ip("127.0.0.2"));
        time_wait.state = static_cast<uint8_t>(State::kTimeWait);
        if (kind == kConnected || kind == kConnectedTimeWait) {
          one_port(port);
          ASSERT_EQ(connect(owner, "127.0.0.1", "127.0.0.2", 80), 0);
        } else {
          ASSERT_EQ(bind(owner, "127.0.0.1", port), 0);
        }
        owner.state = static_cast<uint8_t>(State::kEstablished);
        if (kind == kBoundConnected) {
          ASSERT_EQ(connect(owner, "127.0.0.1", "127.0.0.2", 80), 0);
        }
        if (kind == kConnectedTimeWait) ports.hand_over(owner, time_wait);
        if (kind == kListening || kind == kChild || kind == kChildTimeWait) {
          ASSERT_EQ(listen(owner), 0);
        }
        if (kind == kChild || kind == kChildTimeWait) {
          child.set_addresses(ip("127.0.0.1"), ip("127.0.0.2"));
          child.state = static_cast<uint8_t>(State::kEstablished);
          ports.inherit(child, owner);
          EXPECT_EQ(child.local_port, port);
          ports.release(owner);
          if (kind == kChildTimeWait) ports.hand_over(child, time_wait);
        }
        Sock& wants = sock((w & 2) != 0, (w & 1) != 0);
        const char may = (kind == kListening ? listening : open)[o][w];
        EXPECT_EQ(bind(wants, "127.0.0.1", port), may == '+' ? 0 : EADDRINUSE) << kind << " " << o << " " << w;
        if (may == '+') {
          EXPECT_EQ(listen(wants), 0) << kind << " " << o << " " << w;
        }
        established.remove(&owner);
        ports.release(wants), ports.release(owner), ports.release(child), ports.release(time_wait);
        EXPECT_EQ(ports.buckets(), 0u);
      }
    }
  }
}

TEST_F(PortsBindTest, OfTwoBoundWithReuseAddressOnlyTheFirstMayListen) {
  Sock& a = sock(true);
  Sock& b = sock(true);
  EXPECT_EQ(bind(a, "0.0.0.0", 8080), 0);
  EXPECT_EQ(bind(b, "10.0.0.1", 8080), 0);
  EXPECT_EQ(listen(a), 0);
  EXPECT_EQ(listen(b), EADDRINUSE);
  EXPECT_EQ(bind(sock(true), "10.0.0.2", 8080), EADDRINUSE);
}

TEST_F(PortsBindTest, TwoDevicesAreStrangers) {
  Sock& a = sock();
  Sock& b = sock();
  a.bound_ifindex = 1;
  b.bound_ifindex = 2;
  EXPECT_EQ(bind(a, "0.0.0.0", 8080), 0);
  EXPECT_EQ(bind(b, "0.0.0.0", 8080), 0);
  EXPECT_EQ(bind(sock(), "0.0.0.0", 8080), EADDRINUSE);
}

// 150 addresses on one port: spread by address, and the rules are the same.
TEST_F(PortsBindTest, ManyAddressesShareOnePort) {
  for (uint32_t n = 0; n < 2000; ++n) {
    ASSERT_TRUE(ports.bind(sock(), IpAddress::from_v4(0x0a000000 + n), 8080, false).has_value());
  }
  for (uint32_t n = 0; n < 2000; n += 99) {
    EXPECT_FALSE(ports.bind(sock(), IpAddress::from_v4(0x0a000000 + n), 8080, false).has_value());
  }
  EXPECT_EQ(bind(sock(), "0.0.0.0", 8080), EADDRINUSE);
  EXPECT_EQ(bind(sock(true), "0.0.0.0", 8080), EADDRINUSE);
  EXPECT_EQ(bind(sock6(), "::", 8080), EADDRINUSE);
  EXPECT_EQ(bind(sock6(), "fd00::1", 8080), 0);
  ports.release(*all[5]);
  EXPECT_EQ(bind(sock(), "10.0.0.5", 8080), 0);
}

TEST_F(PortsBindTest, AWildcardIsSeenByEachOfManyAddresses) {
  for (uint32_t n = 0; n < 100; ++n) {
    ASSERT_TRUE(ports.bind(sock(true), IpAddress::from_v4(0x0a000000 + n), 8080, false).has_value());
  }
  Sock& any = sock(true);
  EXPECT_EQ(bind(any, "0.0.0.0", 8080), 0);
  EXPECT_EQ(bind(sock(), "10.9.9.9", 8080), EADDRINUSE);
  any.set_addresses(ip("10.8.8.8"), ip("0.0.0.0"));
  ports.on_local_address_changed(any);
  EXPECT_EQ(bind(sock(), "10.9.9.9", 8080), 0);
  EXPECT_EQ(bind(sock(), "10.8.8.8", 8080), EADDRINUSE);
}

// ---- port 0 ----

TEST_F(PortsBindTest, PicksOddPortsOfTheRangeBeforeEvenOnes) {
  ns.sysctl.ip_local_port_range[0].set(40000);
  ns.sysctl.ip_local_port_range[1].set(40009);
  std::set<uint16_t> odd, even;
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(bind(sock(), "10.0.0.1", 0), 0);
    odd.insert(all.back()->local_port);
  }
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(bind(sock(), "10.0.0.1", 0), 0);
    even.insert(all.back()->local_port);
  }
  EXPECT_EQ(odd, (std::set<uint16_t>{40001, 40003, 40005, 40007, 40009}));
  EXPECT_EQ(even, (std::set<uint16_t>{40000, 40002, 40004, 40006, 40008}));
  EXPECT_EQ(bind(sock(), "10.0.0.1", 0), EADDRINUSE);
  EXPECT_EQ(bind(sock(), "10.0.0.2", 0), 0);
}

TEST_F(PortsBindTest, WithReuseAddressTheLowerHalfComesFirst) {
  ns.sysctl.ip_local_port_range[0].set(40000);
  ns.sysctl.ip_local_port_range[1].set(40007);
  std::set<uint16_t> lower;
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(bind(sock(true), "10.0.0.1", 0), 0);
    lower.insert(all.back()->local_port);
  }
  EXPECT_EQ(lower, (std::set<uint16_t>{40000, 40001, 40002, 40003}));
}

// As the kernel (6.18.44) answers with one port in the range; columns: the options of who wants any port.
TEST_F(PortsBindTest, AnyPortIsSharedOnlyUnderAutobindReuse) {
  for (int reuse = 0; reuse < 2; ++reuse) {
    ns.sysctl.ip_autobind_reuse.set(reuse);
    for (const bool listening : {false, true}) {
      for (int o = 0; o < 4; ++o) {
        for (int w = 0; w < 4; ++w) {
          one_port(40000);
          Sock& owner = sock((o & 2) != 0, (o & 1) != 0);
          ASSERT_EQ(bind(owner, "127.0.0.1", 0), 0);
          if (listening) {
            ASSERT_EQ(listen(owner), 0);
          }
          Sock& wants = sock((w & 2) != 0, (w & 1) != 0);
          const bool may = reuse != 0 && !listening && (o & 2) != 0 && (w & 2) != 0 && !((o & 1) != 0 && (w & 1) != 0);
          EXPECT_EQ(bind(wants, "127.0.0.1", 0), may ? 0 : EADDRINUSE) << reuse << listening << o << w;
          ports.release(wants);
          EXPECT_EQ(bind(wants, "127.0.0.3", 0), 0);
          ports.release(wants);
          ports.release(owner);
        }
      }
    }
  }
}

TEST_F(PortsBindTest, ReservedPortsAreNotPickedButMayBeAskedFor) {
  ns.sysctl.ip_local_port_range[0].set(40000);
  ns.sysctl.ip_local_port_range[1].set(40003);
  ASSERT_TRUE(ns.set_sysctl("net.ipv4.ip_local_reserved_ports", "40000-40001,40003\n").has_value());
  EXPECT_EQ(ns.get_sysctl("net.ipv4.ip_local_reserved_ports").value(), "40000-40001,40003");
  EXPECT_EQ(bind(sock(), "10.0.0.1", 0), 0);
  EXPECT_EQ(all.back()->local_port, 40002);
  EXPECT_EQ(bind(sock(), "10.0.0.1", 0), EADDRINUSE);
  EXPECT_EQ(connect(sock(), "10.0.0.9", "10.0.0.2", 80), EADDRNOTAVAIL);
  EXPECT_EQ(bind(sock(), "10.0.0.1", 40001), 0);
}

TEST_F(PortsBindTest, AnOwnRangeNarrowsTheNamespaces) {
  SockOptions options;
  options.local_port_low = 41000;
  options.local_port_high = 41000;
  Sock& s = sock();
  s.options = &options;
  EXPECT_EQ(bind(s, "10.0.0.1", 0), 0);
  EXPECT_EQ(s.local_port, 41000);
  options.local_port_low = 100;  // outside of the namespace's: ignored
  Sock& t = sock();
  t.options = &options;
  EXPECT_EQ(bind(t, "10.0.0.1", 0), 0);
  EXPECT_GE(t.local_port, 32768);
  EXPECT_LE(t.local_port, 41000);
  for (Sock* x : {&s, &t})
    ports.release(*x), x->options = nullptr;
}

TEST_F(PortsBindTest, BindAddressNoPortLeavesThePortToConnectOrListen) {
  SockOptions options;
  options.bind_address_no_port = true;
  Sock& s = sock();
  s.options = &options;
  EXPECT_EQ(bind(s, "10.0.0.1", 0), 0);
  EXPECT_EQ(s.local(), ip("10.0.0.1"));
  EXPECT_EQ(s.bind_bucket, nullptr);
  EXPECT_EQ(listen(s), 0);
  EXPECT_NE(s.local_port, 0);
  Sock& t = sock();
  t.options = &options;
  EXPECT_EQ(bind(t, "10.0.0.1", 9000), 0);
  EXPECT_EQ(t.local_port, 9000);
}

}  // namespace
}  // namespace leat::inet::test
