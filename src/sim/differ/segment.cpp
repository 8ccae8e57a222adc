// See segment.h.
#include "sim/differ/segment.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <cstring>

namespace leat::differ {
namespace {

constexpr const char* kLocal = "192.168.0.1";
constexpr const char* kRemote = "192.0.2.1";
constexpr const char* kLocal6 = "fd3d:0a0b:17d6::1";
constexpr const char* kRemote6 = "fd3d:fa7b:d17d::1";

using Bytes = std::vector<uint8_t>;

void put16(Bytes& b, uint32_t v) {
  b.push_back(static_cast<uint8_t>(v >> 8));
  b.push_back(static_cast<uint8_t>(v));
}
void put32(Bytes& b, uint32_t v) {
  put16(b, v >> 16);
  put16(b, v & 0xffff);
}
uint32_t get16(const uint8_t* p) {
  return static_cast<uint32_t>(p[0] << 8 | p[1]);
}
uint32_t get32(const uint8_t* p) {
  return get16(p) << 16 | get16(p + 2);
}

uint32_t sum(const uint8_t* p, size_t n, uint32_t s) {
  for (size_t i = 0; i + 1 < n; i += 2)
    s += get16(p + i);
  if (n % 2 != 0) s += static_cast<uint32_t>(p[n - 1] << 8);
  return s;
}
uint16_t fold(uint32_t s) {
  while (s >> 16 != 0)
    s = (s & 0xffff) + (s >> 16);
  return static_cast<uint16_t>(~s);
}

Bytes addresses_of(bool is_v6) {
  Bytes b(is_v6 ? 32 : 8);
  const size_t half = b.size() / 2;
  (void)inet_pton(is_v6 ? AF_INET6 : AF_INET, is_v6 ? kRemote6 : kRemote, b.data());
  (void)inet_pton(is_v6 ? AF_INET6 : AF_INET, is_v6 ? kLocal6 : kLocal, b.data() + half);
  return b;
}

void put_option(Bytes& o, const Segment& s, char letter) {
  switch (letter) {
    case 'n':
      return o.push_back(1);
    case '.':
      return o.push_back(0);
    case 'm':
      o.insert(o.end(), {2, 4});
      return put16(o, s.mss.value_or(0));
    case 'w':
      o.insert(o.end(), {3, 3, s.wscale.value_or(0)});
      return;
    case 's':
      o.insert(o.end(), {4, 2});
      return;
    case 't':
      o.insert(o.end(), {8, 10});
      put32(o, s.ts_value);
      return put32(o, s.ts_echo);
    case 'S':
      o.insert(o.end(), {5, static_cast<uint8_t>(2 + 8 * s.sacks.size())});
      for (const Range& r : s.sacks) {
        put32(o, r.from);
        put32(o, r.to);
      }
      return;
    default:
      return;
  }
}

// In the order in which they were read, or in Linux's.
Bytes options_of(const Segment& s) {
  std::string order = s.option_order;
  if (order.empty()) {
    if (s.mss) order += "m";
    if (s.sack_ok) order += "nns";
    if (s.has_ts) order += "nnt";
    if (s.wscale) order += "nw";
    if (!s.sacks.empty()) order += "nnS";
  }
  Bytes o;
  for (char letter : order)
    put_option(o, s, letter);
  o.resize((o.size() + 3) / 4 * 4);
  return o;
}

Bytes ip_header(const Segment& s, const Bytes& addresses, size_t tcp_bytes) {
  Bytes h;
  if (s.is_v6) {
    put32(h, 0x60000000u | static_cast<uint32_t>(s.tos) << 20);
    put16(h, static_cast<uint32_t>(tcp_bytes));
    h.insert(h.end(), {6, s.ttl});
    h.insert(h.end(), addresses.begin(), addresses.end());
    return h;
  }
  h = {0x45, s.tos};
  put16(h, static_cast<uint32_t>(20 + tcp_bytes));
  put32(h, 0x4000);  // DF
  h.insert(h.end(), {s.ttl, 6, 0, 0});
  h.insert(h.end(), addresses.begin(), addresses.end());
  const uint16_t c = fold(sum(h.data(), h.size(), 0));
  h[10] = static_cast<uint8_t>(c >> 8);
  h[11] = static_cast<uint8_t>(c);
  return h;
}

void read_option(Segment& s, uint8_t kind, const uint8_t* p, size_t n) {
  if (kind == 2 && n == 2) {
    s.mss = static_cast<uint16_t>(get16(p));
    s.option_order += 'm';
  } else if (kind == 3 && n == 1) {
    s.wscale = *p;
    s.option_order += 'w';
  } else if (kind == 4 && n == 0) {
    s.sack_ok = true;
    s.option_order += 's';
  } else if (kind == 8 && n == 8) {
    s.has_ts = true;
    s.ts_value = get32(p);
    s.ts_echo = get32(p + 4);
    s.option_order += 't';
  } else if (kind == 5 && n % 8 == 0) {
    for (size_t i = 0; i < n; i += 8)
      s.sacks.push_back({get32(p + i), get32(p + i + 4)});
    s.option_order += 'S';
  } else {
    s.option_order += fmt::format("?{}", kind);
  }
}

void read_options(Segment& s, const uint8_t* p, const uint8_t* end) {
  while (p < end) {
    if (*p == 0) return s.option_order.push_back('.');
    if (*p == 1) {
      s.option_order += 'n';
      ++p;
      continue;
    }
    if (p + 1 >= end || p[1] < 2 || p + p[1] > end) return s.option_order.push_back('!');
    read_option(s, p[0], p + 2, static_cast<size_t>(p[1] - 2));
    p += p[1];
  }
}

}  // namespace

Bytes build(const Segment& s) {
  const Bytes options = options_of(s), addresses = addresses_of(s.is_v6);
  Bytes tcp;
  put16(tcp, s.source);
  put16(tcp, s.destination);
  put32(tcp, s.seq);
  put32(tcp, s.ack);
  tcp.push_back(static_cast<uint8_t>((20 + options.size()) / 4 << 4 | (s.is_ns ? 1 : 0)));
  tcp.push_back(s.flags);
  put16(tcp, s.window);
  put16(tcp, 0);
  put16(tcp, s.urgent);
  tcp.insert(tcp.end(), options.begin(), options.end());
  tcp.resize(tcp.size() + s.length);
  const auto total = static_cast<uint32_t>(tcp.size());
  const uint16_t c = fold(sum(tcp.data(), tcp.size(), sum(addresses.data(), addresses.size(), 6 + total)));
  tcp[16] = static_cast<uint8_t>(c >> 8);
  tcp[17] = static_cast<uint8_t>(c);
  Bytes packet = ip_header(s, addresses, tcp.size());
  packet.insert(packet.end(), tcp.begin(), tcp.end());
  return packet;
}

std::optional<Segment> parse(const Bytes& packet) {
  if (packet.size() < 40) return {};
  Segment s;
  const uint8_t* p = packet.data();
  s.is_v6 = p[0] >> 4 == 6;
  if ((s.is_v6 ? p[6] : p[9]) != 6) return {};
  const size_t ip = s.is_v6 ? 40 : static_cast<size_t>(p[0] & 15) * 4;
  const size_t total = s.is_v6 ? 40 + get16(p + 4) : get16(p + 2);
  s.tos = s.is_v6 ? static_cast<uint8_t>(get16(p) >> 4) : p[1];
  s.ttl = s.is_v6 ? p[7] : p[8];
  if (total > packet.size() || total < ip + 20) return {};
  const uint8_t* t = p + ip;
  const size_t header = static_cast<size_t>(t[12] >> 4) * 4;
  if (header < 20 || ip + header > total) return {};
  s.source = static_cast<uint16_t>(get16(t));
  s.destination = static_cast<uint16_t>(get16(t + 2));
  s.seq = get32(t + 4);
  s.ack = get32(t + 8);
  s.flags = t[13];
  s.is_ns = (t[12] & 1) != 0;
  s.window = static_cast<uint16_t>(get16(t + 14));
  s.urgent = static_cast<uint16_t>(get16(t + 18));
  s.length = static_cast<uint32_t>(total - ip - header);
  read_options(s, t + 20, t + header);
  const size_t from = s.is_v6 ? 8 : 12;
  const uint32_t pseudo = sum(p + from, ip - from, static_cast<uint32_t>(6 + total - ip));
  s.is_checksum_good = fold(sum(t, total - ip, pseudo)) == 0;
  return s;
}

std::string describe(const Segment& s, uint32_t own_base, uint32_t other_base, uint32_t ts_base, uint32_t echo_base) {
  std::string flags;
  const std::pair<uint8_t, char> names[] = {{kFin, 'F'}, {kSyn, 'S'}, {kRst, 'R'}, {kPsh, 'P'},
                                            {kAck, '.'}, {kUrg, 'U'}, {kEce, 'E'}, {kCwr, 'W'}};
  for (const auto& [bit, name] : names) {
    if (s.has(bit)) flags += name;
  }
  if (s.is_ns) flags += 'A';
  const uint32_t from = s.seq - own_base;
  std::string out = fmt::format("{} {}:{}({})", flags, from, from + s.length, s.length);
  if (s.has(kAck)) out += fmt::format(" ack {}", s.ack - other_base);
  out += fmt::format(" win {}", s.window);
  if (s.has(kUrg)) out += fmt::format(" urg {}", s.urgent);
  std::string options;
  if (s.mss) options += fmt::format(",mss {}", *s.mss);
  if (s.sack_ok) options += ",sackOK";
  if (s.has_ts)
    options += fmt::format(",TS val {} ecr {}", static_cast<int32_t>(s.ts_value - ts_base),
                           s.ts_echo == 0 ? 0 : static_cast<int32_t>(s.ts_echo - echo_base));
  if (s.wscale) options += fmt::format(",wscale {}", *s.wscale);
  if (!s.sacks.empty()) options += ",sack";
  for (const Range& r : s.sacks)
    options += fmt::format(" {}:{}", r.from - other_base, r.to - other_base);
  if (!options.empty()) out += " <" + options.substr(1) + ">";
  if (s.tos != 0) out += fmt::format(" tos 0x{:x}", s.tos);
  if (!s.is_checksum_good) out += " BAD CHECKSUM";
  return out;
}

}  // namespace leat::differ
