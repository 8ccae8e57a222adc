// Sockets and tuples for the tests of inet.
#pragma once

#include <functional>
#include <string>

#include "base/rng.h"
#include "inet/sock.h"
#include "netns/netns.h"

namespace leat::inet::test {

inline Seed seed_of(uint8_t n) {
  Seed s{};
  s[0] = n;
  return s;
}
inline IpAddress ip(const char* text) {
  return IpAddress::parse(text).value();
}

struct Sock4 : Sock {
  Sock4() {
    family = Family::kIpv4;
    kind = Kind::kConnection;
    refs = 1;
  }
};
struct Sock6 : Sock {
  alignas(8) uint8_t v6_bytes[32] = {};
  Sock6() {
    family = Family::kIpv6;
    v6_offset = static_cast<uint16_t>(reinterpret_cast<uintptr_t>(v6_bytes) - reinterpret_cast<uintptr_t>(this));
    addresses_are_v6 = 1;
    refs = 1;
  }
};

inline FourTuple tuple(const char* local, uint16_t local_port, const char* remote, uint16_t remote_port) {
  return {ip(local), ip(remote), local_port, remote_port};
}
inline void set_tuple(SockCommon& s, const FourTuple& t) {
  s.set_addresses(t.local, t.remote);
  s.local_port = t.local_port;
  s.remote_port = t.remote_port;
}
// The n-th of many connections of one host.
inline FourTuple numbered(uint32_t n) {
  return {IpAddress::from_v4(0x0a000001), IpAddress::from_v4(0x0a010000 + (n >> 15)),
          static_cast<uint16_t>(1024 + (n & 0x7fff)), 80};
}

}  // namespace leat::inet::test
