// One host on a memory link whose far end is the test: it makes every segment itself and reads every answer. For the
// doors: what opens and closes connections. The clock stands still but for advance().
#pragma once

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "inet/sock_options.h"
#include "link/loopback.h"
#include "link/memory_link.h"
#include "tcp/doors.h"
#include "tcp/input.h"
#include "tcp/tcp.h"
#include "wire/checksum.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"

namespace leat::tcp {

using wire::kTcpAck, wire::kTcpCwr, wire::kTcpEce, wire::kTcpFin, wire::kTcpPsh, wire::kTcpRst, wire::kTcpSyn;

struct Events final : inet::SockEvents {
  uint32_t seen = 0;
  void on_events(uint32_t events) override { seen |= events; }
  uint32_t take() { return std::exchange(seen, 0); }
};

template <class T>
int code(const Result<T>& r) {
  return r ? 0 : to_int(r.error());
}

struct Seen {  // a segment that the host sent
  wire::TcpHeader h;
  uint32_t length = 0;
  uint8_t tos = 0;
};

struct DoorsTest : testing::Test {
  PacketPool pool;
  LinkPair pair = make_memory_pair({.verifies_checksums = false});
  std::unique_ptr<Link> far = std::move(pair.second);
  Netns ns{Seed{7}};
  ip::Ip ip{ns, pool};
  std::unique_ptr<Tcp> tcp;
  uint16_t ifindex = 0;
  std::vector<Seen> out;       // not yet looked at
  std::vector<TcpSock*> open;  // closed at the end
  bool v6 = false;             // the peer speaks IPv6
  // The peer's side of the connection under test.
  uint16_t peer_port = 40000;
  uint16_t our_port = 80;

  DoorsTest() {
    ns.set_now(Time::from_ns(1'000'000'000'000));
    tcp = std::make_unique<Tcp>(ns, pool, ip, Tcp::Config{.ehash_entries = 64});
    const uint16_t lo = ip.add_interface("lo", std::make_unique<LoopbackLink>());
    EXPECT_TRUE(ip.add_address(lo, *Cidr::parse("127.0.0.1/8")));
    EXPECT_TRUE(ip.add_address(lo, *Cidr::parse("::1/128")));
    ifindex = ip.add_interface("mem0", std::move(pair.first));
    EXPECT_TRUE(ip.add_address(ifindex, *Cidr::parse("10.0.0.1/24")));
    EXPECT_TRUE(ip.add_address(ifindex, *Cidr::parse("fd00::1/64")));
  }
  ~DoorsTest() override {
    for (TcpSock* s : open)
      tcp->close(*s);
    run();
    tcp.reset();  // its slabs check that nothing is left
    out.clear();
  }

  IpAddress ours() const { return *IpAddress::parse(v6 ? "fd00::1" : "10.0.0.1"); }
  IpAddress theirs() const { return *IpAddress::parse(v6 ? "fd00::2" : "10.0.0.2"); }
  uint64_t counter(Mib m) const { return ns.counter(m); }

  // --- time and the wire ---
  void run() {
    for (int i = 0; i < 32; ++i) {
      ip.flush();
      collect();
      if (ip.receive(1, 100) + ip.receive(ifindex, 100) == 0) break;
    }
    tcp->end_turn();
    ip.flush();
    collect();
  }
  void advance(int64_t ms) {
    const Time end = ns.now() + Duration::from_ms(ms);
    for (int i = 0; i < 10000 && tcp->next_deadline() <= end; ++i) {
      if (tcp->next_deadline() > ns.now()) ns.set_now(tcp->next_deadline());
      tcp->on_time(ns.now());
      run();
    }
    ns.set_now(end);
    tcp->on_time(end);
    run();
  }
  void collect() {
    Packet* got[64];
    for (size_t n; (n = far->receive_batch(got, pool, ns.now())) != 0;) {
      for (size_t i = 0; i < n; ++i) {
        PacketPtr p(got[i]);
        std::vector<uint8_t> bytes(p->length);
        p->copy_out(0, bytes.data(), p->length);
        note(bytes);
      }
    }
  }
  void note(const std::vector<uint8_t>& bytes) {
    Seen s;
    size_t at = 0;
    if (bytes[0] >> 4 == 4) {
      const auto h = wire::parse_ipv4(bytes);
      if (!h || h->protocol != 6) return;
      at = h->header_length;
      s.tos = h->tos;
    } else {
      if (bytes[6] != 6) return;
      at = 40;
      s.tos = static_cast<uint8_t>(bytes[0] << 4 | bytes[1] >> 4);
    }
    const auto t = wire::parse_tcp(ByteView(bytes).subspan(at));
    ASSERT_TRUE(t);
    s.h = *t;
    s.length = static_cast<uint32_t>(bytes.size() - at - t->header_length);
    out.push_back(s);
  }

  // The next segment that the host sent; fails the test when there is none.
  Seen next() {
    if (out.empty()) {
      ADD_FAILURE() << "the host sent nothing";
      return {};
    }
    const Seen s = out.front();
    out.erase(out.begin());
    return s;
  }
  bool silent() const { return out.empty(); }

  // --- what the peer sends ---
  struct Out {
    uint8_t flags = 0;
    uint32_t seq = 0;
    uint32_t ack = 0;
    uint32_t length = 0;
    uint16_t window = 65535;
    wire::TcpOptions options{};
    uint8_t tos = 0;
  };
  std::vector<uint8_t> bytes_of(const Out& o) const {
    wire::TcpHeader h;
    h.src_port = peer_port;
    h.dst_port = our_port;
    h.seq = o.seq;
    h.ack = o.ack;
    h.flags = o.flags;
    h.window = o.window;
    h.options = o.options;
    std::vector<uint8_t> b(wire::tcp_header_length(h) + o.length, 'x');
    wire::emit_tcp(h, b);
    const uint64_t sum = wire::pseudo_header_sum(theirs(), ours(), 6, static_cast<uint32_t>(b.size()));
    store_be16(b.data() + 16, wire::checksum_fold(wire::checksum_add(sum, b)));
    return b;
  }
  void put_on_wire(const std::vector<uint8_t>& payload, uint8_t protocol, uint8_t tos = 0) {
    std::vector<uint8_t> b;
    if (v6) {
      wire::Ipv6Header h;
      h.payload_length = static_cast<uint16_t>(payload.size());
      h.next_header = protocol;
      h.hop_limit = 64;
      h.traffic_class = tos;
      h.src = theirs();
      h.dst = ours();
      b.resize(40);
      wire::emit_ipv6(h, b);
    } else {
      wire::Ipv4Header h;
      h.total_length = static_cast<uint16_t>(20 + payload.size());
      h.ttl = 64;
      h.protocol = protocol;
      h.tos = tos;
      h.src = theirs();
      h.dst = ours();
      b.resize(20);
      wire::emit_ipv4(h, b);
    }
    b.insert(b.end(), payload.begin(), payload.end());
    Packet* p = pool.make_copy(b).release();
    far->transmit_batch({&p, 1}, ns.now());
  }
  void send(const Out& o) {
    put_on_wire(bytes_of(o), 6, o.tos);
    run();
  }
  static wire::TcpOptions syn_options(uint32_t tsval = 100) {
    wire::TcpOptions o;
    o.mss = 1460;
    o.sack_permitted = true;
    o.has_timestamp = true;
    o.tsval = tsval;
    o.has_wscale = true;
    o.wscale = 7;
    return o;
  }
  static wire::TcpOptions ts(uint32_t tsval, uint32_t tsecr) {
    wire::TcpOptions o;
    o.has_timestamp = true;
    o.tsval = tsval;
    o.tsecr = tsecr;
    return o;
  }
  // An ICMPv4 error about `quoted`, a segment of ours.
  void send_icmp(uint8_t type, uint8_t code, const Seen& quoted, uint16_t mtu = 0) {
    std::vector<uint8_t> b(8 + 20 + 8);
    b[0] = type;
    b[1] = code;
    store_be16(b.data() + 6, mtu);
    wire::Ipv4Header h;
    h.total_length = 40;
    h.ttl = 60;
    h.protocol = 6;
    h.src = ours();
    h.dst = theirs();
    wire::emit_ipv4(h, MutableBytes(b).subspan(8));
    store_be16(b.data() + 28, quoted.h.src_port);
    store_be16(b.data() + 30, quoted.h.dst_port);
    store_be32(b.data() + 32, quoted.h.seq);
    store_be16(b.data() + 2, wire::checksum_fold(wire::checksum_add(0, b)));
    put_on_wire(b, 1);
    run();
  }

  // --- sockets ---
  TcpSock& make(Family f = Family::kIpv4) {
    TcpSock* s = tcp->create(f).value();
    open.push_back(s);
    return *s;
  }
  void close(TcpSock& s) {
    std::erase(open, &s);
    tcp->close(s);
    run();
  }
  TcpSock& listen_on(uint16_t port, int backlog = 8, Family f = Family::kIpv4) {
    TcpSock& s = make(f);
    EXPECT_EQ(0, code(tcp->bind(s, IpAddress::any(f), port, true)));
    EXPECT_EQ(0, code(tcp->listen(s, backlog)));
    our_port = port;
    return s;
  }
  TcpSock* accept(TcpSock& l) {
    auto s = tcp->accept(l);
    if (!s) return nullptr;
    open.push_back(*s);
    return *s;
  }

  // --- handshakes ---
  struct Peer {  // numbers of the peer's end, and ours as it knows them
    uint32_t seq = 0;
    uint32_t ack = 0;
  };
  // From an ISN right below the wrap. The third segment is sent; the socket waits to be accepted.
  Peer open_passive(uint32_t isn = 0xfffffffe) {
    send({.flags = kTcpSyn, .seq = isn, .options = {.mss = 1460}});
    const Seen sa = next();
    EXPECT_EQ(kTcpSyn | kTcpAck, sa.h.flags);
    EXPECT_EQ(isn + 1, sa.h.ack);
    Peer p{isn + 1, sa.h.seq + 1};
    send({.flags = kTcpAck, .seq = p.seq, .ack = p.ack});
    return p;
  }
  // The host connects; `s` is ESTABLISHED then.
  Peer open_active(TcpSock& s, uint32_t isn = 0xfffffffe) {
    peer_port = 9000;
    EXPECT_EQ(EINPROGRESS, code(tcp->connect(s, theirs(), peer_port)));
    run();
    const Seen syn = next();
    EXPECT_EQ(kTcpSyn, syn.h.flags);
    our_port = syn.h.src_port;
    Peer p{isn + 1, syn.h.seq + 1};
    send({.flags = kTcpSyn | kTcpAck, .seq = isn, .ack = p.ack, .options = {.mss = 1460}});
    const Seen ack = next();
    EXPECT_EQ(kTcpAck, ack.h.flags);
    EXPECT_EQ(p.seq, ack.h.ack);
    EXPECT_EQ(State::kEstablished, s.get_state());
    return p;
  }
};

}  // namespace leat::tcp
