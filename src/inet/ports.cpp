// Local ports. One bucket a port, made when the port is first used, with its lock and its owners in three lists:
//
//   bound      by bind(2) and listen(2), and what came of them
//   children   accepted connections whose listener had SO_REUSEADDR: they conflict only with who has not
//   connected  by connect(2): each has its remote end, so any number share the port, but no bind() among them
//
// connect() takes a port whose bound and children are empty. Linux caches this in the bucket (fastreuse and
// fastreuseport, -1 for "connect only"); here the lists say it, and say it again when the last bound owner has left,
// as Linux does since 6.18. A time-wait stays in its connection's list.
#include "inet/ports.h"

#include <cstdlib>
#include <new>

#include "base/check.h"
#include "base/list.h"
#include "inet/bind_conflict.h"
#include "inet/port_set.h"
#include "inet/tuple_hash.h"

namespace leat::inet {

using Owners = List<BoundSock, &BoundSock::bind_node>;

struct BindBucket {
  SpinLock lock;
  Owners bound;
  Owners children;
  Owners connected;
  bool is_empty() const { return bound.is_empty() && children.is_empty() && connected.is_empty(); }
  bool is_connect_only() const { return bound.is_empty() && children.is_empty(); }
};

namespace {

constexpr uint32_t kPerturb = 65536;  // Linux's INET_TABLE_PERTURB_SIZE

struct Range {
  uint32_t low;
  uint32_t end;      // one past the last
  bool by_option;    // IP_LOCAL_PORT_RANGE: no parity
  uint32_t size() const { return end - low; }
  // Both parities alike: the odd port at the end is left out.
  uint32_t even_size() const { return size() > 1 ? size() & ~1u : size(); }
};

bool conflicts_in(Owners& owners, const BoundSock& s, BindFor purpose) {
  for (const BoundSock& owner : owners) {
    if (conflicts(s, owner, purpose)) return true;
  }
  return false;
}

bool conflicts_in(BindBucket& b, const BoundSock& s, BindFor purpose) {
  if (conflicts_in(b.bound, s, purpose) || conflicts_in(b.connected, s, purpose)) return true;
  if (s.reuse_address && purpose == BindFor::kGivenPort) return false;
  return conflicts_in(b.children, s, purpose);
}

}  // namespace

struct Ports::Impl {
  Impl(Netns& n, Rng& r);
  ~Impl();
  BindBucket& bucket(uint16_t port);
  Range range_for(const Sock& s) const;
  bool is_reserved(uint32_t port) const { return reserved.has(static_cast<uint16_t>(port)); }

  bool try_bind(Sock& s, uint16_t port, BindFor purpose);
  bool pick_for_bind(Sock& s);
  bool pick_in(Sock& s, Range range, BindFor purpose);
  bool try_connect(Sock& s, uint16_t port, EstablishedTable& established, EstablishedTable::MayReplace may_replace,
                   void* context, SockCommon** replaced);
  void hang(BoundSock& s, uint16_t port, BindBucket& b, Owners& list);

  Netns& ns;
  Rng& rng;
  const WordHash destination_hash;
  PortSet reserved;
  std::atomic<BindBucket*>* buckets;   // by port; made when first used
  std::atomic<uint32_t>* perturb;
  std::atomic<size_t> in_use{0};
  std::atomic<size_t> made{0};
};

Ports::Impl::Impl(Netns& n, Rng& r)
    : ns(n),
      rng(r),
      destination_hash(make_sip_key(r)),
      buckets(static_cast<std::atomic<BindBucket*>*>(std::calloc(65536, sizeof(std::atomic<BindBucket*>)))),
      perturb(static_cast<std::atomic<uint32_t>*>(std::calloc(kPerturb, sizeof(std::atomic<uint32_t>)))) {
  LEAT_CHECK(buckets != nullptr && perturb != nullptr);
  ns.add_string_sysctl({"net.ipv4.ip_local_reserved_ports", this,
                        [](void* c) { return static_cast<Impl*>(c)->reserved.to_string(); },
                        [](void* c, std::string_view v) { return static_cast<Impl*>(c)->reserved.assign(v); }});
}

Ports::Impl::~Impl() {
  for (uint32_t port = 0; port < 65536; ++port) delete buckets[port].load(std::memory_order_relaxed);
  std::free(buckets);
  std::free(perturb);
}

BindBucket& Ports::Impl::bucket(uint16_t port) {
  std::atomic<BindBucket*>& slot = buckets[port];
  BindBucket* there = slot.load(std::memory_order_acquire);
  if (there != nullptr) return *there;
  auto* fresh = new BindBucket;
  if (slot.compare_exchange_strong(there, fresh, std::memory_order_acq_rel, std::memory_order_acquire)) {
    made.fetch_add(1, std::memory_order_relaxed);
    return *fresh;
  }
  delete fresh;
  return *there;
}

Range Ports::Impl::range_for(const Sock& s) const {
  uint32_t low = ns.sysctl.ip_local_port_range[0].as<uint32_t>();
  uint32_t high = ns.sysctl.ip_local_port_range[1].as<uint32_t>();
  const uint32_t own_low = s.options == nullptr ? 0 : s.options->local_port_low;
  const uint32_t own_high = s.options == nullptr ? 0 : s.options->local_port_high;
  if (low <= own_low && own_low <= high) low = own_low;
  if (low <= own_high && own_high <= high) high = own_high;
  if (high > 65535 || low > high) return {low, low, false};  // being written
  return {low, high + 1, own_low != 0 || own_high != 0};
}

void Ports::Impl::hang(BoundSock& s, uint16_t port, BindBucket& b, Owners& list) {
  if (b.is_empty()) in_use.fetch_add(1, std::memory_order_relaxed);
  list.push_back(&s);
  s.bind_bucket = &b;
  s.local_port = port;
}

Ports::Ports(Netns& ns, Rng& rng) : impl_(std::make_unique<Impl>(ns, rng)) {}
Ports::~Ports() = default;

// ---- bind(2) and listen(2) ----

Result<void> Ports::bind(Sock& s, const IpAddress& local, uint16_t port, bool privileged) {
  if (s.bind_bucket != nullptr) return err(EINVAL);
  if (port != 0 && port < impl_->ns.sysctl.ip_unprivileged_port_start && !privileged) return err(EACCES);
  const IpAddress remote = s.remote();
  s.set_addresses(local, remote);
  if (port == 0 && s.options != nullptr && s.options->bind_address_no_port) return {};
  if (port == 0 ? impl_->pick_for_bind(s) : impl_->try_bind(s, port, BindFor::kGivenPort)) return {};
  s.set_addresses(IpAddress::any(s.family), remote);
  return err(EADDRINUSE);
}

Result<void> Ports::check_listen(Sock& s) {
  if (s.bind_bucket == nullptr) {
    if (!impl_->pick_for_bind(s)) return err(EADDRINUSE);
    return {};
  }
  Guard g(s.bind_bucket->lock);
  if (conflicts_in(*s.bind_bucket, s, BindFor::kGivenPort)) return err(EADDRINUSE);
  return {};
}

bool Ports::Impl::try_bind(Sock& s, uint16_t port, BindFor purpose) {
  BindBucket& b = bucket(port);
  Guard g(b.lock);
  if (!b.is_empty() && conflicts_in(b, s, purpose)) return false;
  hang(s, port, b, b.bound);
  return true;
}

// With SO_REUSEADDR the lower half of the range is tried first, so that the upper stays for those without.
bool Ports::Impl::pick_for_bind(Sock& s) {
  const Range all = range_for(s);
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
bool Ports::Impl::pick_in(Sock& s, Range range, BindFor purpose) {
  const uint32_t n = range.even_size();
  if (n == 0) return false;
  const uint32_t start = rng.below(n) | 1u;
  for (const uint32_t offset : {start, start - 1}) {
    uint32_t port = range.low + offset;
    for (uint32_t i = 0; i < n; i += 2, port += 2) {
      if (port >= range.end) port -= n;
      if (!is_reserved(port) && try_bind(s, static_cast<uint16_t>(port), purpose)) return true;
    }
  }
  return false;
}

// ---- connect(2) ----

Result<void> Ports::connect(Sock& s, EstablishedTable& established, EstablishedTable::MayReplace may_replace,
                            void* context, SockCommon** replaced) {
  *replaced = nullptr;
  if (s.bind_bucket != nullptr) {
    if (established.insert_unique(&s, may_replace, context, replaced)) return {};
    return err(EADDRNOTAVAIL);
  }
  const Range range = impl_->range_for(s);
  const uint32_t step = range.by_option ? 1 : 2;
  const uint32_t n = range.by_option ? range.size() : range.even_size();
  if (n == 0) return err(EADDRNOTAVAIL);
  const FourTuple t = s.tuple();
  // RFC 6056 §3.3.4: a secret offset for each destination, moved on by a counter that few destinations share.
  const uint64_t h = impl_->destination_hash(FourTuple{t.local, t.remote, 0, t.remote_port});
  std::atomic<uint32_t>& moved = impl_->perturb[h & (kPerturb - 1)];
  uint32_t offset = (moved.load(std::memory_order_relaxed) + static_cast<uint32_t>(h >> 32)) % n;
  if (!range.by_option) offset &= ~1u;
  for (uint32_t parity = 0; parity < step; ++parity, ++offset) {
    uint32_t port = range.low + offset;
    for (uint32_t i = 0; i < n; i += step, port += step) {
      if (port >= range.end) port -= n;
      if (impl_->is_reserved(port)) continue;
      if (!impl_->try_connect(s, static_cast<uint16_t>(port), established, may_replace, context, replaced)) continue;
      const uint32_t jump = impl_->rng.below(8) * step;
      moved.fetch_add((i > jump ? i : jump) + step, std::memory_order_relaxed);
      return {};
    }
  }
  s.local_port = 0;
  return err(EADDRNOTAVAIL);
}

bool Ports::Impl::try_connect(Sock& s, uint16_t port, EstablishedTable& established,
                              EstablishedTable::MayReplace may_replace, void* context, SockCommon** replaced) {
  BindBucket& b = bucket(port);
  Guard g(b.lock);
  if (!b.is_connect_only()) return false;
  s.local_port = port;
  if (!established.insert_unique(&s, may_replace, context, replaced)) return false;
  hang(s, port, b, b.connected);
  return true;
}

// ---- what follows from them ----

void Ports::inherit(BoundSock& child, const Sock& listener) {
  const uint16_t own = child.local_port;
  const uint16_t port = own != 0 ? own : static_cast<uint16_t>(listener.local_port);
  BindBucket& b = impl_->bucket(port);
  Guard g(b.lock);
  impl_->hang(child, port, b, child.reuse_address ? b.children : b.bound);
}

void Ports::hand_over(BoundSock& from, BoundSock& to) {
  BindBucket* b = from.bind_bucket;
  if (b == nullptr) return;
  Guard g(b->lock);
  ListNode& n = to.bind_node;  // in from's place
  n = from.bind_node;
  n.prev->next = n.next->prev = &n;
  from.bind_node = {};
  from.bind_bucket = nullptr;
  to.bind_bucket = b;
  to.local_port = from.local_port;
}

void Ports::release(BoundSock& s) {
  BindBucket* b = s.bind_bucket;
  if (b == nullptr) return;
  Guard g(b->lock);
  Owners::erase(&s);
  s.bind_bucket = nullptr;
  if (b->is_empty()) impl_->in_use.fetch_sub(1, std::memory_order_relaxed);
}

void Ports::on_local_address_changed(Sock&) {}

size_t Ports::buckets() const { return impl_->in_use.load(std::memory_order_relaxed); }
size_t Ports::bytes() const {
  return 65536 * sizeof(void*) + kPerturb * sizeof(uint32_t) + impl_->made.load() * sizeof(BindBucket);
}

}  // namespace leat::inet
