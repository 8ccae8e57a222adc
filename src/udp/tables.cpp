// Bind conflicts as Linux's udp_lib_lport_inuse and inet_rcv_saddr_equal see them, look-ups as compute_score does.
#include "udp/tables.h"

namespace leat::udp {
namespace {

using inet::FourTuple;

bool takes_v4(const UdpSock& s) {
  if (s.family == Family::kIpv4) return true;
  return !s.v6only && (!s.addresses_are_v6 || (s.local().is_any() && s.remote().is_any()));
}

bool takes_v6(const UdpSock& s) {
  if (s.family == Family::kIpv4 || s.v4only) return false;
  return s.addresses_are_v6 || (s.local().is_any() && s.remote().is_any());
}

// May a packet be for both? A wildcard is for every address of its families.
bool overlap(const UdpSock& a, const UdpSock& b) {
  const bool families = (takes_v4(a) && takes_v4(b)) || (takes_v6(a) && takes_v6(b));
  return families && (a.local().is_any() || b.local().is_any() || a.local() == b.local());
}

bool conflict(const UdpSock& a, const UdpSock& b) {
  if (a.reuse_address && b.reuse_address) return false;
  if (a.bound_ifindex != 0 && b.bound_ifindex != 0 && a.bound_ifindex != b.bound_ifindex) return false;
  return overlap(a, b) && !(a.reuse_port && b.reuse_port);
}

// The higher the closer; -1: not for this socket.
int score(const UdpSock& s, const FourTuple& t, uint16_t ifindex) {
  if (s.local_port != t.local_port || !(t.local.is_v4() ? takes_v4(s) : takes_v6(s))) return -1;
  int points = t.local.is_v4() && s.family == Family::kIpv4 ? 2 : 1;
  const IpAddress local = s.local();
  const IpAddress remote = s.remote();
  if (!local.is_any() && local != t.local) return -1;
  if (!remote.is_any()) {
    if (remote != t.remote) return -1;
    points += 4;
  }
  if (s.remote_port != 0) {
    if (s.remote_port != t.remote_port) return -1;
    points += 4;
  }
  if (s.bound_ifindex != 0) {
    if (s.bound_ifindex != ifindex) return -1;
    points += 4;
  }
  return points;
}

}  // namespace

Tables::Tables(Rng& rng)
    : by_port_(new PortBucket[kBuckets]),
      by_address_(new AddressBucket[kBuckets]),
      address_key_(make_sip_key(rng)),
      spread_key_(make_sip_key(rng)) {}

bool Tables::try_bind(UdpSock& s, uint16_t port) {
  PortBucket& bucket = port_bucket(port);
  Guard guard(bucket.lock);
  for (UdpSock& other : bucket.socks) {
    if (other.local_port == port && conflict(s, other)) return false;
  }
  s.local_port = port;
  bucket.socks.push_front(&s);
  insert_by_address(s);
  return true;
}

void Tables::remove(UdpSock& s) {
  if (!s.by_port.is_linked()) return;
  PortBucket& bucket = port_bucket(s.local_port);
  Guard guard(bucket.lock);
  remove_by_address(s);
  s.by_port.unlink();
}

void Tables::on_address_changed(UdpSock& s) {
  if (!s.by_port.is_linked()) return;
  Guard guard(port_bucket(s.local_port).lock);
  remove_by_address(s);
  insert_by_address(s);
}

uint32_t Tables::address_bucket(const IpAddress& local, uint16_t port) const {
  struct {
    uint8_t bytes[16];
    uint64_t port;
  } key{};
  std::memcpy(key.bytes, local.bytes(), sizeof key.bytes);
  key.port = port;
  return static_cast<uint32_t>(siphash_of(address_key_, key) % kBuckets);
}

void Tables::insert_by_address(UdpSock& s) {
  s.address_bucket = address_bucket(s.local(), s.local_port);
  AddressBucket& bucket = by_address_[s.address_bucket];
  Guard guard(bucket.lock);
  bucket.socks.push_front(&s);
}

void Tables::remove_by_address(UdpSock& s) {
  Guard guard(by_address_[s.address_bucket].lock);
  s.by_address.unlink();
}

UdpSock* Tables::lookup(const FourTuple& t, uint16_t ifindex) {
  UdpSock* exact = best_of(by_address_[address_bucket(t.local, t.local_port)], t, ifindex);
  if (exact != nullptr) return exact;
  return best_of(by_address_[address_bucket(IpAddress::any(t.local.family()), t.local_port)], t, ifindex);
}

UdpSock* Tables::best_of(AddressBucket& bucket, const FourTuple& t, uint16_t ifindex) {
  Guard guard(bucket.lock);
  int best = -1;
  uint32_t group = 0;  // how many share the best score and the port
  for (UdpSock& s : bucket.socks) {
    const int points = score(s, t, ifindex);
    if (points < best || points < 0) continue;
    if (points > best) group = 0;
    best = points;
    if (s.reuse_port) ++group;
  }
  if (best < 0) return nullptr;
  struct {
    uint8_t remote[16];
    uint64_t ports;
  } key{};
  std::memcpy(key.remote, t.remote.bytes(), sizeof key.remote);
  key.ports = static_cast<uint64_t>(t.remote_port) << 16 | t.local_port;
  uint64_t chosen = group > 1 ? siphash_of(spread_key_, key) % group : 0;
  for (UdpSock& s : bucket.socks) {
    if (score(s, t, ifindex) != best || (group > 1 && (!s.reuse_port || chosen-- != 0))) continue;
    if (s.try_get()) return &s;
  }
  return nullptr;
}

std::vector<UdpSock*> Tables::lookup_all(const FourTuple& t, uint16_t ifindex) {
  std::vector<UdpSock*> found;
  PortBucket& bucket = port_bucket(t.local_port);
  Guard guard(bucket.lock);
  for (UdpSock& s : bucket.socks) {
    if (score(s, t, ifindex) >= 0 && s.try_get()) found.push_back(&s);
  }
  return found;
}

std::vector<UdpSock*> Tables::all() {
  std::vector<UdpSock*> found;
  for (size_t i = 0; i < kBuckets; ++i) {
    Guard guard(by_port_[i].lock);
    for (UdpSock& s : by_port_[i].socks) {
      if (s.try_get()) found.push_back(&s);
    }
  }
  return found;
}

}  // namespace leat::udp
