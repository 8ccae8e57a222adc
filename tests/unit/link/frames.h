// Packets for the tests of the links: IPv4 or IPv6 with UDP or TCP, checksums finished or left to the link.
#pragma once

#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "link/checksum_complete.h"
#include "link/link.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/udp.h"

namespace leat::test {

inline Seed seed_of(uint8_t n) {
  Seed seed{};
  seed[0] = n;
  return seed;
}

inline Time at_us(int64_t us) {
  return Time::from_us(us);
}
inline Time at_ms(int64_t ms) {
  return Time::from_us(ms * 1000);
}

inline const uint8_t kMacs[12] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8};

struct FrameSpec {
  uint32_t payload = 100;
  uint8_t ecn = 0;
  bool partial = false;
  bool ipv6 = false;
  bool ethernet = false;
  uint16_t id = 0;
  uint8_t fill = 'a';
  std::string_view src4 = "10.0.0.2", dst4 = "10.0.0.1";
};

// A UDP datagram from port 4000 to port 5000; the payload is `fill`, its first two bytes are the id.
inline PacketPtr make_udp(PacketPool& pool, const FrameSpec& s) {
  PacketPtr p = pool.make(s.payload, kHeadroom);
  uint8_t* payload = p->put(s.payload);
  std::memset(payload, s.fill, s.payload);
  if (s.payload >= 2) store_be16(payload, s.id);
  const auto udp_length = static_cast<uint16_t>(s.payload + 8);
  p->push(8);
  wire::emit_udp({4000, 5000, udp_length, 0}, {p->data, 8});
  p->set_transport_header();
  const IpAddress src = *IpAddress::parse(s.ipv6 ? "fd00::2" : s.src4),
                  dst = *IpAddress::parse(s.ipv6 ? "fd00::1" : s.dst4);
  const uint64_t pseudo = wire::pseudo_header_sum(src, dst, 17, udp_length);
  store_be16(p->data + 6, static_cast<uint16_t>(~wire::checksum_fold(pseudo)));
  p->checksum = Checksum::kPartial;
  p->csum_start = p->transport_offset;
  p->csum_offset = 6;
  if (!s.partial) complete_checksum(*p);
  if (s.ipv6) {
    wire::emit_ipv6({s.ecn, 0, udp_length, 17, 64, src, dst}, {p->push(40), 40});
  } else {
    wire::Ipv4Header h;
    h.tos = s.ecn;
    h.total_length = static_cast<uint16_t>(udp_length + 20);
    h.id = s.id;
    h.ttl = 64;
    h.protocol = 17;
    h.src = src;
    h.dst = dst;
    wire::emit_ipv4(h, {p->push(20), 20});
  }
  p->set_network_header();
  if (s.ethernet) {
    std::memcpy(p->push(14), kMacs, 12);
    store_be16(p->data + 12, s.ipv6 ? 0x86dd : 0x0800);
  }
  return p;
}

inline std::vector<uint8_t> bytes_of(const Packet& p) {
  std::vector<uint8_t> bytes(p.length);
  p.copy_out(0, bytes.data(), p.length);
  return bytes;
}

// The checksum over an IPv4 or IPv6 packet's UDP or TCP bytes: true when it is good.
inline bool has_good_checksum(const Packet& p) {
  const std::vector<uint8_t> b = bytes_of(p);
  const bool v6 = b[0] >> 4 == 6;
  const size_t start = v6 ? 40 : (b[0] & 15u) * 4u;
  const IpAddress src = v6 ? IpAddress::from_v6_bytes(&b[8]) : IpAddress::from_v4_bytes(&b[12]);
  const IpAddress dst = v6 ? IpAddress::from_v6_bytes(&b[24]) : IpAddress::from_v4_bytes(&b[16]);
  const uint64_t sum = wire::pseudo_header_sum(src, dst, v6 ? b[6] : b[9], static_cast<uint32_t>(b.size() - start));
  return wire::checksum_fold(wire::checksum_add(sum, ByteView(b).subspan(start))) == 0;
}

inline void send(Link& link, PacketPtr p, Time now) {
  Packet* raw = p.release();
  link.transmit_batch({&raw, 1}, now);
}

inline PacketPtr receive(Link& link, PacketPool& pool, Time now) {
  Packet* raw = nullptr;
  return link.receive_batch({&raw, 1}, pool, now) == 1 ? PacketPtr(raw) : nullptr;
}

inline uint16_t id_of(const Packet& p, uint32_t header = 28) {
  uint8_t id[2];
  p.copy_out(header, id, 2);
  return load_be16(id);
}

// Calls receive at each next_event until there is none, and gives the ids and the times of what came.
struct Arrival {
  uint16_t id;
  Time at;
  bool operator==(const Arrival&) const = default;
};
inline std::vector<Arrival> run_out(Link& link, PacketPool& pool, Time from = Time{}) {
  std::vector<Arrival> arrivals;
  for (Time now = from; now != Time::never();) {
    while (PacketPtr p = receive(link, pool, now))
      arrivals.push_back({id_of(*p), p->received});
    const Time next = link.next_event();
    now = next == Time::never() || next > now ? next : Time::from_ns(now.ns() + 1);
  }
  return arrivals;
}

}  // namespace leat::test
