// Local ports. One slot a port, made when the port is first used, with its lock and its owners in three buckets:
//
//   bound      by bind(2) and listen(2), and what came of them
//   children   accepted connections of its listeners
//   connected  by connect(2): each has its remote end, so any number share the port, but no bind() among them
//
// Most ports have only the last of these: it lies in the slot, which is a cache line; the others are made with their
// first owner.
//
// connect() takes a port without bound owners and children. Linux caches this in its bucket (fastreuse and
// fastreuseport, -1 for "connect only"); here the buckets say it, and say it again when the last bound owner has
// left, as Linux does since 6.18. A time-wait stays in its connection's bucket.
// Choosing a port for connect() is in port_search.cpp.
#include "inet/ports.h"

#include <cstdlib>

#include "base/check.h"
#include "inet/ports_impl.h"

namespace leat::inet {

Ports::Impl::Impl(Netns& n, Rng& r)
    : ns(n),
      rng(r),
      hash(make_sip_key(r)),
      destinations(hash),
      slots(static_cast<std::atomic<PortSlot*>*>(std::calloc(65536, sizeof(std::atomic<PortSlot*>)))),
      perturb(static_cast<std::atomic<uint32_t>*>(std::calloc(kPerturb, sizeof(std::atomic<uint32_t>)))) {
  LEAT_CHECK(slots != nullptr && perturb != nullptr);
  ns.add_string_sysctl({"net.ipv4.ip_local_reserved_ports", this,
                        [](void* c) { return static_cast<Impl*>(c)->reserved.to_string(); },
                        [](void* c, std::string_view v) { return static_cast<Impl*>(c)->reserved.assign(v); }});
}

Ports::Impl::~Impl() {
  for (uint32_t port = 0; port < 65536; ++port) {
    if (PortSlot* p = slots[port].load(std::memory_order_relaxed); p != nullptr) slot_slab.destroy(p);
  }
  std::free(slots);
  std::free(perturb);
}

PortSlot& Ports::Impl::slot(uint16_t port) {
  std::atomic<PortSlot*>& at = slots[port];
  PortSlot* there = at.load(std::memory_order_acquire);
  if (there != nullptr) return *there;
  PortSlot* fresh = slot_slab.create(port);
  LEAT_CHECK(fresh != nullptr);
  if (at.compare_exchange_strong(there, fresh, std::memory_order_acq_rel, std::memory_order_acquire)) return *fresh;
  slot_slab.destroy(fresh);
  return *there;
}

PortRange Ports::Impl::range_for(const Sock& s) const {
  uint32_t low = ns.sysctl.ip_local_port_range[0].as<uint32_t>();
  uint32_t high = ns.sysctl.ip_local_port_range[1].as<uint32_t>();
  const uint32_t own_low = s.options == nullptr ? 0 : s.options->local_port_low;
  const uint32_t own_high = s.options == nullptr ? 0 : s.options->local_port_high;
  if (low <= own_low && own_low <= high) low = own_low;
  if (low <= own_high && own_high <= high) high = own_high;
  if (high > 65535 || low > high) return {low, low, false};  // in the middle of being written
  return {low, high + 1, own_low != 0 || own_high != 0};
}

void Ports::Impl::hang(BoundSock& s, PortSlot& p, BindBucket& b) {
  if (p.is_empty()) count_up(ports_used, 1u);
  s.local_port = p.port;
  b.add(s, hash);
  update_busy(p);
}

void Ports::Impl::update_busy(PortSlot& p) {
  const bool is_busy = !p.is_connect_only();
  if (is_busy == busy.has(p.port)) return;
  is_busy ? busy.add(p.port) : busy.remove(p.port);
}

Ports::Ports(Netns& ns, Rng& rng) : impl_(std::make_unique<Impl>(ns, rng)) {}
Ports::~Ports() = default;

// ---- bind(2) and listen(2) ----

Result<void> Ports::bind(Sock& s, const IpAddress& local, uint16_t port, bool privileged) {
  if (s.bind_bucket != nullptr) return err(EINVAL);
  if (s.family == Family::kIpv6 && s.v6only && local.from_v4_mapped().is_v4()) return err(EINVAL);
  if (port != 0 && port < impl_->ns.sysctl.ip_unprivileged_port_start && !privileged) return err(EACCES);
  const IpAddress remote = s.remote();
  s.set_addresses(local, remote);
  if (port == 0 && s.options != nullptr && s.options->bind_address_no_port) return {};
  if (port == 0 ? impl_->pick_for_bind(s) : impl_->try_bind(s, port, BindFor::kGivenPort)) return {};
  s.set_addresses(IpAddress::any(s.family), remote);
  return err(EADDRINUSE);
}

Result<void> Ports::check_listen(Sock& s) {
  if (s.bind_bucket == nullptr && !impl_->pick_for_bind(s)) return err(EADDRINUSE);
  PortSlot& p = *s.bind_bucket->port;
  Guard g(p.lock);
  if (p.conflicts_with(s, BindFor::kGivenPort, impl_->hash)) return err(EADDRINUSE);
  s.bind_bucket->on_listen();
  return {};
}

bool Ports::Impl::try_bind(Sock& s, uint16_t port, BindFor purpose) {
  PortSlot& p = slot(port);
  Guard g(p.lock);
  if (p.conflicts_with(s, purpose, hash)) return false;
  hang(s, p, p.bound());
  return true;
}

// With SO_REUSEADDR the lower half of the range is tried first, so that the upper stays for those without.
bool Ports::Impl::pick_for_bind(Sock& s) {
  const PortRange all = range_for(s);
  const bool halves = s.reuse_address && all.size() >= 4;
  const uint32_t middle = all.low + (all.size() >> 2 << 1);
  for (const BindFor purpose : {BindFor::kAnyPort, BindFor::kAnyReused}) {
    if (purpose == BindFor::kAnyReused && ns.sysctl.ip_autobind_reuse == 0) break;
    if (!halves) {
      if (pick_in(s, all, purpose)) return true;
    } else if (pick_in(s, {all.low, middle, all.by_option}, purpose) ||
               pick_in(s, {middle, all.end, all.by_option}, purpose)) {
      return true;
    }
  }
  return false;
}

// Ports of the range's other parity first: connect() begins with those of `low`'s.
bool Ports::Impl::pick_in(Sock& s, PortRange range, BindFor purpose) {
  const uint32_t n = range.even_size();
  if (n == 0) return false;
  const uint32_t start = rng.below(n) | 1u;
  for (const uint32_t offset : {start, start - 1}) {
    uint32_t port = range.low + offset;
    for (uint32_t i = 0; i < n; i += 2, port += 2) {
      if (port >= range.low + n) port -= n;
      if (reserved.has(static_cast<uint16_t>(port))) continue;
      if (try_bind(s, static_cast<uint16_t>(port), purpose)) return true;
    }
  }
  return false;
}

// ---- what follows from them ----

void Ports::inherit(BoundSock& child, const Sock& listener) {
  const uint16_t own = child.local_port;  // a transparent listener's children may have another
  child.reuse_address = listener.reuse_address;
  child.reuse_port = listener.reuse_port;
  child.v6only = listener.v6only;
  PortSlot& p = impl_->slot(own != 0 ? own : static_cast<uint16_t>(listener.local_port));
  Guard g(p.lock);
  impl_->hang(child, p, p.children());
}

void Ports::hand_over(BoundSock& from, BoundSock& to) {
  BindBucket* b = from.bind_bucket;
  if (b == nullptr) return;
  to.family = from.family;
  to.v6only = from.v6only;
  to.v4only = from.v4only;
  to.reuse_address = from.reuse_address;
  to.reuse_port = from.reuse_port;
  to.bound_ifindex = from.bound_ifindex;
  to.local_port = from.local_port;
  Guard g(b->port->lock);
  b->put_in_place_of(from, to);
}

void Ports::release(BoundSock& s) {
  BindBucket* b = s.bind_bucket;
  if (b == nullptr) return;
  PortSlot& p = *b->port;
  Guard g(p.lock);
  b->remove(s);
  if (b == &p.connected) impl_->forget(s, p.port);
  impl_->update_busy(p);
  if (p.is_empty()) count_down(impl_->ports_used, 1u);
}

void Ports::on_local_address_changed(Sock& s) {
  BindBucket* b = s.bind_bucket;
  if (b == nullptr) return;
  Guard g(b->port->lock);
  b->remove(s);
  b->add(s, impl_->hash);
}

size_t Ports::buckets() const {
  return impl_->ports_used.load(std::memory_order_relaxed);
}
size_t Ports::bytes() const {
  return 65536 * sizeof(PortSlot*) + kPerturb * sizeof(uint32_t) + impl_->destinations.bytes() +
         impl_->slot_slab.bytes();
}

}  // namespace leat::inet
