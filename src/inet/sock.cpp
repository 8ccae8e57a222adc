// What a table compares: the addresses of a socket and its match with a packet's four-tuple.
#include "inet/sock.h"

#include <cstring>

#include "base/check.h"

namespace leat::inet {

IpAddress SockCommon::load_v6(size_t first) const {
  const uint64_t words[2] = {v6_word(first).load(std::memory_order_relaxed),
                             v6_word(first + 1).load(std::memory_order_relaxed)};
  return IpAddress::from_v6_bytes(reinterpret_cast<const uint8_t*>(words));
}

void SockCommon::store_v6(size_t first, const IpAddress& a) {
  uint64_t words[2];
  std::memcpy(words, a.bytes(), sizeof words);
  v6_word(first).store(words[0], std::memory_order_relaxed);
  v6_word(first + 1).store(words[1], std::memory_order_relaxed);
}

bool SockCommon::v6_equal(size_t first, const IpAddress& a) const {
  uint64_t words[2];
  std::memcpy(words, a.bytes(), sizeof words);
  return v6_word(first).load(std::memory_order_relaxed) == words[0] &&
         v6_word(first + 1).load(std::memory_order_relaxed) == words[1];
}

void SockCommon::set_addresses(const IpAddress& l, const IpAddress& r) {
  if (l.is_v4() && r.is_v4()) {
    v4only = addresses_are_v6 = false;
    remote_v4 = r.v4();
    local_v4 = l.v4();
    return;
  }
  const IpAddress local = l.from_v4_mapped();
  const IpAddress remote = r.from_v4_mapped();
  v4only = l.is_v6() && local.is_v4() && local.is_any();
  const bool v4 = (local.is_v4() && !local.is_any()) || (remote.is_v4() && !remote.is_any()) || v4only != 0;
  const bool v6 = !v4 && (local.is_v6() || remote.is_v6()) && v6_offset != 0;
  LEAT_CHECK(v6 || ((local.is_v4() || local.is_any()) && (remote.is_v4() || remote.is_any())));
  if (v6) {
    LEAT_CHECK(v6_offset % sizeof(uint64_t) == 0);
    store_v6(0, remote);
    store_v6(2, local);
  }
  remote_v4 = v6 ? 0 : remote.v4();
  local_v4 = v6 ? 0 : local.v4();
  addresses_are_v6 = v6;
}

bool SockCommon::matches(const FourTuple& t, uint16_t ifindex) const {
  if (local_port != t.local_port || remote_port != t.remote_port) return false;
  const uint16_t device = bound_ifindex;
  if (device != 0 && device != ifindex) return false;
  if (addresses_are_v6) return t.local.is_v6() && v6_equal(0, t.remote) && v6_equal(2, t.local);
  return t.local.is_v4() && remote_v4 == t.remote.v4() && local_v4 == t.local.v4();
}

}  // namespace leat::inet
