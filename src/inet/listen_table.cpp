// The table of listeners. All that listen on one (address, port) are one Set, which never changes: a change makes a
// new one, puts it in the old one's place, and leaves the old one for readers until reclaim(). Readers thus see a
// whole group or another whole group, and find it by open addressing on a keyed hash.
//
// A SO_REUSEPORT group is spread by rendezvous hashing: each member has a weight for the connection's hash and the
// highest wins. When a member leaves, only its share moves; Linux's scaling by the count moves nearly all.
#include <bit>
#include <cstdlib>
#include <new>
#include <vector>

#include "base/check.h"
#include "base/rcu.h"
#include "inet/tables.h"
#include "inet/tuple_hash.h"

namespace leat::inet {
namespace {

struct Member {
  Sock* sock;
  uint32_t id;  // of this listening: the weight's second half. Not the address: the same seed gives the same run
};

struct Choice {
  Sock* sock;  // nullptr with a score: it is no longer what it was
  int score;   // 0: none
};

// Newest first, as look-ups prefer it among equals.
struct Set {
  IpAddress address;  // IpAddress{}: the wildcard of either family
  uint16_t port;
  uint32_t size;
  Member* members() { return reinterpret_cast<Member*>(this + 1); }
  const Member* members() const { return reinterpret_cast<const Member*>(this + 1); }
};

Set* make_set(const IpAddress& address, uint16_t port, uint32_t size) {
  void* p = std::malloc(sizeof(Set) + size * sizeof(Member));
  LEAT_CHECK(p != nullptr);
  return new (p) Set{address, port, size};
}

struct Slots {  // at most half of them are taken, empty sets included
  uint32_t mask;
  uint32_t taken;
  std::atomic<Set*>* at() { return reinterpret_cast<std::atomic<Set*>*>(this + 1); }
  const std::atomic<Set*>* at() const { return reinterpret_cast<const std::atomic<Set*>*>(this + 1); }
};

Slots* make_slots(uint32_t n) {
  auto* s = static_cast<Slots*>(std::calloc(1, sizeof(Slots) + n * sizeof(std::atomic<Set*>)));
  LEAT_CHECK(s != nullptr);
  s->mask = n - 1;
  return s;
}

IpAddress key_address(const IpAddress& a) {
  return a.is_any() ? IpAddress{} : a;
}

uint64_t weight(uint64_t hash, uint32_t member) {
  uint64_t x = hash ^ (member * 0x9e3779b97f4a7c15u);
  x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
  x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
  return x ^ x >> 33;
}

// 0: not for this packet. IPv6 sockets that are not v6only take IPv4 too, after sockets of IPv4.
int score_of(const Sock& s, const FourTuple& t, uint16_t ifindex) {
  if (s.local_port != t.local_port || s.get_state() != State::kListen || s.refs == 0) return 0;
  const IpAddress local = s.local();
  if (!local.is_any() && local != t.local) return 0;
  const uint16_t device = s.bound_ifindex;
  if (device != 0 && device != ifindex) return 0;
  const int score = device != 0 ? 2 : 1;
  if (t.local.is_v6()) return s.family == Family::kIpv6 && !s.v4only ? score : 0;
  if (s.v6only) return 0;
  return s.family == Family::kIpv4 ? score + 1 : score;
}

bool is_same_group(const Sock& a, const Sock& b) {
  return a.reuse_port && b.reuse_port && a.family == b.family && a.v6only == b.v6only && a.v4only == b.v4only &&
         a.bound_ifindex == b.bound_ifindex;
}

}  // namespace

struct ListenTable::Impl {
  explicit Impl(Rng& rng) : key_hash(make_sip_key(rng)), spread_hash(make_sip_key(rng)), slots(make_slots(64)) {}
  ~Impl() {
    reclaim();
    Slots* all = slots.load();
    for (uint32_t i = 0; i <= all->mask; ++i)
      std::free(all->at()[i].load());
    std::free(all);
  }

  // The slot of this key, or the empty one where it would be.
  static std::atomic<Set*>* find(Slots* in, const WordHash& hash, const IpAddress& address, uint16_t port) {
    for (uint64_t i = hash(address, port);; ++i) {
      std::atomic<Set*>& slot = in->at()[i & in->mask];
      const Set* set = slot.load(std::memory_order_acquire);
      if (set == nullptr || (set->port == port && set->address == address)) return &slot;
    }
  }

  // lock is held from here on
  void put(Set* fresh) {
    make_room();
    Slots* in = slots.load(std::memory_order_relaxed);
    std::atomic<Set*>* slot = find(in, key_hash, fresh->address, fresh->port);
    Set* old = slot->load(std::memory_order_relaxed);
    if (old == nullptr) ++in->taken;
    slot->store(fresh, std::memory_order_release);
    if (old != nullptr) retire(old);
  }
  void make_room() {
    Slots* in = slots.load(std::memory_order_relaxed);
    if (in->taken < (in->mask + 1) / 2) return;
    uint32_t live = 0;
    for (uint32_t i = 0; i <= in->mask; ++i) {
      const Set* s = in->at()[i].load(std::memory_order_relaxed);
      if (s != nullptr && s->size != 0) ++live;
    }
    Slots* fresh = make_slots(std::bit_ceil((live + 16) * 4));
    for (uint32_t i = 0; i <= in->mask; ++i) {
      Set* s = in->at()[i].load(std::memory_order_relaxed);
      if (s == nullptr) continue;
      if (s->size == 0) {
        retire(s);
        continue;
      }
      find(fresh, key_hash, s->address, s->port)->store(s, std::memory_order_relaxed);
      ++fresh->taken;
    }
    slots.store(fresh, std::memory_order_release);
    retire(in);
  }
  Set* set_of(const Sock* s) const {
    return find(slots.load(std::memory_order_acquire), key_hash, key_address(s->local()), s->local_port)
        ->load(std::memory_order_acquire);
  }
  void retire(void* p) { retired.push_back(p); }

  void reclaim() {
    std::vector<void*> old;
    {
      Guard g(lock);
      old.swap(retired);
      has_retired.store(false, std::memory_order_relaxed);
    }
    if (old.empty()) return;
    rcu_synchronize();
    for (void* p : old)
      std::free(p);
  }

  const Set* set_for(const IpAddress& address, uint16_t port) const {
    return find(slots.load(std::memory_order_acquire), key_hash, address, port)->load(std::memory_order_acquire);
  }
  Choice best_in(const Set* set, const FourTuple& t, uint16_t ifindex) const;
  Sock* member_of_group(const Set* set, const Sock* best, const FourTuple& t) const;
  void drop(Sock* s) const {
    if (!s->put()) return;
    LEAT_CHECK(release != nullptr);
    release(release_context, s);
  }

  const WordHash key_hash;
  const WordHash spread_hash;
  std::atomic<Slots*> slots;
  EstablishedTable::Release release = nullptr;
  void* release_context = nullptr;
  SpinLock lock;
  uint32_t next_id = 1;
  std::atomic<bool> has_retired{false};
  std::vector<void*> retired;
};

ListenTable::ListenTable(Rng& rng) : impl_(std::make_unique<Impl>(rng)) {}
ListenTable::~ListenTable() = default;

void ListenTable::set_release(EstablishedTable::Release release, void* context) {
  impl_->release = release;
  impl_->release_context = context;
}

void ListenTable::insert(Sock* listener) {
  Guard g(impl_->lock);
  const Set* old = impl_->set_of(listener);
  const uint32_t n = old == nullptr ? 0 : old->size;
  Set* fresh = make_set(key_address(listener->local()), listener->local_port, n + 1);
  fresh->members()[0] = {listener, impl_->next_id++};
  for (uint32_t i = 0; i < n; ++i)
    fresh->members()[i + 1] = old->members()[i];
  impl_->put(fresh);
  impl_->has_retired.store(!impl_->retired.empty(), std::memory_order_relaxed);
}

void ListenTable::remove(Sock* listener) {
  Guard g(impl_->lock);
  const Set* old = impl_->set_of(listener);
  uint32_t at = 0;
  while (old != nullptr && at < old->size && old->members()[at].sock != listener)
    ++at;
  if (old == nullptr || at == old->size) return;
  Set* fresh = make_set(old->address, old->port, old->size - 1);
  for (uint32_t i = 0, to = 0; i < old->size; ++i) {
    if (i != at) fresh->members()[to++] = old->members()[i];
  }
  impl_->put(fresh);
  impl_->has_retired.store(true, std::memory_order_relaxed);
}

// What was chosen may be closed, and its memory become another, before a reference is taken on it: then again, with
// the set as it is now. Each turn of this loop needs somebody who closed a listener meanwhile.
Sock* ListenTable::lookup(const FourTuple& t, uint16_t ifindex) const {
  for (;;) {
    Choice c = impl_->best_in(impl_->set_for(key_address(t.local), t.local_port), t, ifindex);
    if (c.score == 0) c = impl_->best_in(impl_->set_for(IpAddress{}, t.local_port), t, ifindex);
    if (c.score == 0) return nullptr;
    if (c.sock == nullptr || !c.sock->try_get()) continue;
    if (score_of(*c.sock, t, ifindex) != 0) return c.sock;
    impl_->drop(c.sock);
  }
}

Choice ListenTable::Impl::best_in(const Set* set, const FourTuple& t, uint16_t ifindex) const {
  Choice best{nullptr, 0};
  for (uint32_t i = 0; set != nullptr && i < set->size; ++i) {
    Sock* s = set->members()[i].sock;
    const int score = score_of(*s, t, ifindex);
    if (score > best.score) best = {s, score};
  }
  if (best.score != 0 && best.sock->reuse_port) best.sock = member_of_group(set, best.sock, t);
  return best;
}

Sock* ListenTable::Impl::member_of_group(const Set* set, const Sock* best, const FourTuple& t) const {
  const uint64_t hash = spread_hash(t);
  Sock* heaviest = nullptr;
  uint64_t highest = 0;
  for (uint32_t i = 0; i < set->size; ++i) {
    const Member& m = set->members()[i];
    if (!is_same_group(*m.sock, *best) || m.sock->refs == 0 || m.sock->get_state() != State::kListen) continue;
    const uint64_t w = weight(hash, m.id);
    if (heaviest != nullptr && w <= highest) continue;
    heaviest = m.sock;
    highest = w;
  }
  return heaviest;
}

void ListenTable::reclaim() {
  if (impl_->has_retired.load(std::memory_order_relaxed)) impl_->reclaim();
}

void ListenTable::for_each_raw(void (*f)(void*, Sock&), void* context) const {
  std::vector<Sock*> held;
  {
    Guard g(impl_->lock);
    const Slots* all = impl_->slots.load(std::memory_order_acquire);
    for (uint32_t i = 0; i <= all->mask; ++i) {
      const Set* set = all->at()[i].load(std::memory_order_acquire);
      for (uint32_t m = 0; set != nullptr && m < set->size; ++m) {
        if (set->members()[m].sock->try_get()) held.push_back(set->members()[m].sock);
      }
    }
  }
  for (Sock* s : held) {
    f(context, *s);
    impl_->drop(s);
  }
}

}  // namespace leat::inet
