// A host on hand-made links: the test writes bytes in and reads bytes out.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "ip/ip.h"
#include "ip/neighbour.h"
#include "ip/netif.h"
#include "wire/arp.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/nd.h"
#include "wire/tcp.h"
#include "wire/udp.h"

namespace leat::test {

using Bytes = std::vector<uint8_t>;

inline IpAddress addr(std::string_view text) {
  return *IpAddress::parse(text);
}
inline Cidr cidr(std::string_view text) {
  return *Cidr::parse(text);
}
inline Time at_ms(int64_t ms) {
  return Time::from_us(ms * 1000);
}
inline int error_of(const Result<void>& r) {
  return r ? 0 : to_int(r.error());
}
template <class T>
int error_of(const Result<T>& r) {
  return r ? 0 : to_int(r.error());
}

inline Bytes bytes_of(const Packet& p) {
  Bytes out(p.length);
  p.copy_out(0, out.data(), p.length);
  return out;
}
inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Bytes counting(size_t n, uint8_t from = 0) {
  Bytes out(n);
  for (size_t i = 0; i < n; ++i)
    out[i] = static_cast<uint8_t>(from + i);
  return out;
}

// What came in is what the test queued; what goes out is kept, as packets.
class FakeLink final : public Link {
 public:
  explicit FakeLink(const LinkFeatures& f) : features_(f) {}
  ~FakeLink() override {
    for (Packet* p : in)
      PacketPtr(p).reset();
  }
  const LinkFeatures& features() const override { return features_; }
  size_t receive_batch(std::span<Packet*> out, PacketPool&, Time now) override {
    size_t n = 0;
    for (; n < out.size() && !in.empty(); ++n) {
      out[n] = in.front();
      out[n]->received = now;
      in.pop_front();
    }
    return n;
  }
  void transmit_batch(std::span<Packet*> packets, Time) override {
    ++batches;
    for (Packet* p : packets)
      sent.push_back(PacketPtr(p));
  }
  Time next_event() const override { return in.empty() ? Time::never() : Time(); }

  std::deque<Packet*> in;
  std::deque<PacketPtr> sent;
  int batches = 0;

 private:
  LinkFeatures features_;
};

class FakeTransport final : public ip::Transport {
 public:
  struct Got {
    Bytes bytes;
    ip::PacketInfo info;
    Checksum checksum;
    uint32_t pieces;
  };
  struct Error {
    ip::IcmpError e;
    Bytes quoted;
  };
  void on_packet(PacketPtr&& packet, const ip::PacketInfo& info) override {
    uint32_t pieces = 0;
    for (const Packet* p = packet.get(); p != nullptr; p = p->more)
      ++pieces;
    got.push_back({bytes_of(*packet), info, packet->checksum, pieces});
    last = std::move(packet);
  }
  void on_icmp_error(const ip::IcmpError& e) override {
    errors.push_back({e, Bytes(e.quoted.begin(), e.quoted.end())});
    errors.back().e.quoted = {};
  }
  bool recognizes(const ip::IcmpError&) override { return recognizes_errors; }

  std::vector<Got> got;
  std::vector<Error> errors;
  PacketPtr last;
  bool recognizes_errors = true;
};

inline LinkFeatures ip_link(uint32_t mtu = 1500) {
  return {.mtu = mtu};
}
inline LinkFeatures loopback_link() {
  LinkFeatures f{.mtu = 65536};
  f.is_loopback = true;
  f.verifies_checksums = true;
  f.takes_partial_checksums = true;
  f.max_gso_bytes = 65536;
  return f;
}
inline LinkFeatures ethernet_link(uint8_t last = 1) {
  LinkFeatures f{.kind = LinkKind::kEthernet};
  const uint8_t mac[6] = {2, 0, 0, 0, 0, last};
  std::memcpy(f.mac, mac, 6);
  return f;
}
inline wire::MacAddress mac(uint8_t last) {
  return {{2, 0, 0, 0, 0, last}};
}

class Host {
 public:
  explicit Host(uint8_t seed = 1) : ns(Seed{seed}), ip(std::make_unique<ip::Ip>(ns, pool)) {
    ns.set_now(at_ms(1'000'000));
    ip->register_transport(6, &tcp);
    ip->register_transport(17, &udp);
  }
  uint16_t add(const LinkFeatures& f, std::initializer_list<std::string_view> addresses = {}) {
    auto link = std::make_unique<FakeLink>(f);
    links.push_back(link.get());
    const uint16_t ifindex = ip->add_interface("if" + std::to_string(links.size()), std::move(link));
    for (std::string_view a : addresses)
      EXPECT_EQ(error_of(ip->add_address(ifindex, cidr(a))), 0) << a;
    return ifindex;
  }
  FakeLink& link(uint16_t ifindex) { return *links[ifindex - 1u]; }

  void give(uint16_t ifindex, const Bytes& frame, Checksum checksum = Checksum::kNone) {
    PacketPtr p = pool.make_copy(frame);
    p->checksum = checksum;
    link(ifindex).in.push_back(p.release());
    ip->receive(ifindex, 64);
    ip->flush();
  }
  void advance(Duration d) {
    ns.set_now(ns.now() + d);
    ip->on_timer();
    ip->flush();
  }
  // What was sent next; empty when nothing was.
  Bytes take(uint16_t ifindex) {
    ip->flush();
    FakeLink& l = link(ifindex);
    if (l.sent.empty()) return {};
    Bytes out = bytes_of(*l.sent.front());
    l.sent.pop_front();
    return out;
  }
  PacketPtr take_packet(uint16_t ifindex) {
    ip->flush();
    FakeLink& l = link(ifindex);
    if (l.sent.empty()) return nullptr;
    PacketPtr out = std::move(l.sent.front());
    l.sent.pop_front();
    return out;
  }
  Result<void> send(const Bytes& transport, std::string_view dst, ip::SendParams params = {}) {
    const auto r = ip->route(addr(dst), params.src);
    if (!r) return std::unexpected(r.error());
    params.src = r->source;
    params.dst = addr(dst);
    if (params.protocol == 0) params.protocol = 17;
    return ip->output(pool.make_copy(transport), *r, params);
  }
  uint64_t mib(Mib m) const { return ns.counter(m); }
  uint64_t drops(DropReason r) const { return ns.drops(r); }

  Netns ns;
  PacketPool pool;
  FakeTransport tcp, udp;
  std::vector<FakeLink*> links;
  std::unique_ptr<ip::Ip> ip;
};

// --- bytes ---------------------------------------------------------------------------------------------------------

struct V4 {
  std::string_view src = "10.0.0.2", dst = "10.0.0.1";
  uint8_t protocol = 17;
  uint16_t id = 1;
  bool more = false, df = false;
  uint16_t offset = 0;
  uint8_t tos = 0, ttl = 64;
};
inline Bytes v4(const V4& f, const Bytes& payload) {
  wire::Ipv4Header h;
  h.src = addr(f.src);
  h.dst = addr(f.dst);
  h.protocol = f.protocol;
  h.id = f.id;
  h.more_fragments = f.more;
  h.dont_fragment = f.df;
  h.fragment_offset = f.offset;
  h.tos = f.tos;
  h.ttl = f.ttl;
  h.total_length = static_cast<uint16_t>(20 + payload.size());
  Bytes out(20);
  wire::emit_ipv4(h, out);
  return out + payload;
}
inline void fix_v4_checksum(Bytes& p) {
  const size_t n = (p[0] & 15u) * 4u;
  store_be16(&p[10], 0);
  store_be16(&p[10], wire::ipv4_checksum({p.data(), n}));
}

struct V6 {
  std::string_view src = "fd00::2", dst = "fd00::1";
  uint8_t next = 17;
  uint8_t hop_limit = 64, tclass = 0;
  uint32_t label = 0;
};
inline Bytes v6(const V6& f, const Bytes& payload) {
  wire::Ipv6Header h;
  h.src = addr(f.src);
  h.dst = addr(f.dst);
  h.next_header = f.next;
  h.hop_limit = f.hop_limit;
  h.traffic_class = f.tclass;
  h.flow_label = f.label;
  h.payload_length = static_cast<uint16_t>(payload.size());
  Bytes out(40);
  wire::emit_ipv6(h, out);
  return out + payload;
}
inline Bytes v6_fragment(uint8_t next, uint16_t offset, bool more, uint32_t id, const Bytes& payload) {
  Bytes out(8);
  wire::emit_ipv6_fragment({next, offset, more, id}, out);
  return out + payload;
}

inline Bytes icmp4(uint8_t type, uint8_t code, uint32_t word, const Bytes& body = {}) {
  Bytes out(8);
  wire::emit_icmp({type, code, word}, out);
  out = out + body;
  wire::finish_icmp4(out);
  return out;
}
inline Bytes icmp6(std::string_view src, std::string_view dst, uint8_t type, uint8_t code, uint32_t word,
                   const Bytes& body = {}) {
  Bytes out(8);
  wire::emit_icmp({type, code, word}, out);
  out = out + body;
  wire::finish_icmp6(addr(src), addr(dst), out);
  return out;
}
inline Bytes udp(uint16_t sport, uint16_t dport, const Bytes& payload = {}) {
  Bytes out(8);
  wire::emit_udp({sport, dport, static_cast<uint16_t>(8 + payload.size()), 0}, out);
  return out + payload;
}
inline Bytes ethernet(const wire::MacAddress& dst, const wire::MacAddress& src, uint16_t type, const Bytes& payload) {
  Bytes out(14);
  wire::emit_ethernet({dst, src, type}, out);
  return out + payload;
}
inline Bytes arp(wire::ArpOperation op, const wire::MacAddress& sender, std::string_view sender_ip,
                 const wire::MacAddress& target, std::string_view target_ip) {
  Bytes out(28);
  wire::emit_arp({op, sender, addr(sender_ip), target, addr(target_ip)}, out);
  return out;
}

}  // namespace leat::test
