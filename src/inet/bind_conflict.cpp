// The conflict rules of bind(2) and listen(2).
#include "inet/bind_conflict.h"

namespace leat::inet {
namespace {

// What a socket's local address covers.
struct Cover {
  IpAddress address;
  bool any;  // all addresses of `v4`, `v6` or both
  bool v4, v6;
};

Cover cover_of(const SockCommon& s) {
  const IpAddress a = s.local();
  if (!a.is_any()) return {a, false, a.is_v4(), a.is_v6()};
  if (s.family == Family::kIpv6 && !s.v4only) return {a, true, !s.v6only, true};
  return {a, true, true, false};
}

}  // namespace

bool addresses_overlap(const BoundSock& binding, const BoundSock& owner) {
  const Cover a = cover_of(binding);
  const Cover b = cover_of(owner);
  if (!((a.v4 && b.v4) || (a.v6 && b.v6))) return false;
  return a.any || b.any || a.address == b.address;
}

bool conflicts(const BoundSock& binding, const BoundSock& owner, BindFor purpose) {
  if (&binding == &owner) return false;
  const uint16_t device = binding.bound_ifindex, its_device = owner.bound_ifindex;
  if (device != 0 && its_device != 0 && device != its_device) return false;
  const bool both_reuse_port = binding.reuse_port && owner.reuse_port;
  if (binding.reuse_address && owner.reuse_address && owner.get_state() != State::kListen) {
    if (purpose == BindFor::kGivenPort) return false;
    if (purpose == BindFor::kAnyReused && !both_reuse_port) return false;
  } else if (both_reuse_port && purpose == BindFor::kGivenPort) {
    return false;
  }
  return addresses_overlap(binding, owner);
}

}  // namespace leat::inet
