#include "ip/neighbour.h"

#include <array>

namespace leat::ip {
namespace {

constexpr size_t kBuckets = 1024;

bool is_connected(NeighbourState s) {
  return s == NeighbourState::kReachable || s == NeighbourState::kPermanent;
}
// The link address may be used.
bool is_valid(NeighbourState s) {
  return s != NeighbourState::kIncomplete && s != NeighbourState::kFailed;
}

}  // namespace

struct NeighbourTable::Entry {
  Entry* chain = nullptr;
  ListNode lru;  // front: least recently used
  Deadline deadline;
  IpAddress address;
  IpAddress source;  // of the first packet that waited
  uint16_t ifindex = 0;
  NeighbourState state = NeighbourState::kIncomplete;
  uint8_t probes = 0;
  wire::MacAddress mac;
  Time updated;    // the link address was set
  Time confirmed;  // reachability was proved
  Time used;
  PacketQueue waiting;
  uint32_t waiting_bytes = 0;  // truesize
};

struct NeighbourTable::Core {
  Slab<Entry> slab{"neighbour"};
  std::array<Entry*, kBuckets> buckets{};
  List<Entry, &Entry::lru> lru;
  DeadlineHeap<Entry, &Entry::deadline> deadlines;
};

NeighbourTable::NeighbourTable(Rng& rng, const NeighbourConfig& config)
    : config_(config), rng_(rng), key_(make_sip_key(rng)), core_(std::make_unique<Core>()) {}

NeighbourTable::~NeighbourTable() {
  while (Entry* e = core_->lru.front())
    destroy(e);
}

// --- the table ----------------------------------------------------------------------------------------------------

size_t NeighbourTable::bucket_of(uint16_t ifindex, const IpAddress& address) const {
  uint8_t bytes[18];
  std::memcpy(bytes, address.bytes(), 16);
  store_be16(bytes + 16, ifindex);
  return static_cast<size_t>(siphash(key_, bytes) % kBuckets);
}

NeighbourTable::Entry* NeighbourTable::find(uint16_t ifindex, const IpAddress& address) const {
  for (Entry* e = core_->buckets[bucket_of(ifindex, address)]; e != nullptr; e = e->chain) {
    if (e->ifindex == ifindex && e->address == address) return e;
  }
  return nullptr;
}

// Of the least recently used entries the first that nobody waits for and nobody has used lately. The search is short:
// what is being resolved is at most a few seconds old, and a flood of such entries is what the bound is for.
bool NeighbourTable::make_room(Time unused_since) {
  int looked_at = 0;
  for (Entry* e = core_->lru.front(); e != nullptr && looked_at < 64; e = core_->lru.next(e), ++looked_at) {
    if (e->used > unused_since) return false;
    if (e->state == NeighbourState::kIncomplete || e->state == NeighbourState::kPermanent) continue;
    destroy(e);
    return true;
  }
  return false;
}

NeighbourTable::Entry* NeighbourTable::create(uint16_t ifindex, const IpAddress& address, Time now) {
  if (size() >= config_.gc_thresh3()) {
    if (!make_room(now)) return nullptr;
  } else if (size() >= config_.gc_thresh2()) {
    make_room(now - Duration::from_s(5));  // Linux's: above the second threshold five seconds are long enough
  }
  Entry* e = core_->slab.create();
  if (e == nullptr) return nullptr;
  e->ifindex = ifindex;
  e->address = address;
  e->used = now;
  Entry*& head = core_->buckets[bucket_of(ifindex, address)];
  e->chain = head;
  head = e;
  core_->lru.push_back(e);
  size_.fetch_add(1, std::memory_order_relaxed);
  return e;
}

void NeighbourTable::destroy(Entry* e) {
  Entry** link = &core_->buckets[bucket_of(e->ifindex, e->address)];
  while (*link != e)
    link = &(*link)->chain;
  *link = e->chain;
  core_->lru.erase(e);
  core_->deadlines.disarm(e);
  core_->slab.destroy(e);
  size_.fetch_sub(1, std::memory_order_relaxed);
}

// --- sending ------------------------------------------------------------------------------------------------------

bool NeighbourTable::resolve(uint16_t ifindex, const IpAddress& address, PacketPtr& packet, const IpAddress& source,
                             Time now, wire::MacAddress& mac, bool& refused, Actions& actions) {
  Guard guard(lock_);
  refused = false;
  Entry* e = find(ifindex, address);
  const bool is_new = e == nullptr;
  if (is_new) e = create(ifindex, address, now);
  if (e == nullptr) {
    refused = true;
    return false;
  }
  e->used = now;
  core_->lru.erase(e);
  core_->lru.push_back(e);
  if (is_new || e->state == NeighbourState::kFailed) enter_incomplete(*e, source, now, actions);
  if (e->state == NeighbourState::kIncomplete) {
    queue_packet(*e, std::move(packet), actions);
    return false;
  }
  if (e->state == NeighbourState::kStale) {
    e->state = NeighbourState::kDelay;
    e->source = source;
    core_->deadlines.arm(e, now + config_.delay_first_probe_time());
  }
  mac = e->mac;
  return true;
}

void NeighbourTable::queue_packet(Entry& e, PacketPtr packet, Actions& a) {
  const uint32_t size = packet->truesize;
  while (e.waiting_bytes + size > config_.unres_qlen_bytes() && !e.waiting.is_empty()) {
    e.waiting_bytes -= e.waiting.front()->truesize;
    (void)e.waiting.pop_front();
    ++a.discarded;
  }
  e.waiting_bytes += size;
  e.waiting.push_back(std::move(packet));
}

void NeighbourTable::enter_incomplete(Entry& e, const IpAddress& source, Time now, Actions& a) {
  e.state = NeighbourState::kIncomplete;
  e.source = source;
  e.probes = 0;
  solicit(e, false, now, a);
}

void NeighbourTable::solicit(Entry& e, bool is_unicast, Time now, Actions& a) {
  ++e.probes;
  a.solicit.push_back({e.address, e.ifindex, is_unicast, e.mac, e.source});
  core_->deadlines.arm(&e, now + config_.retrans_time());
}

// --- what the wire says -------------------------------------------------------------------------------------------

void NeighbourTable::on_evidence(uint16_t ifindex, const IpAddress& address, const Evidence& evidence, Time now,
                                 Actions& actions) {
  Guard guard(lock_);
  Entry* e = find(ifindex, address);
  if (e == nullptr && evidence.may_create && evidence.has_mac) e = create(ifindex, address, now);
  if (e == nullptr || e->state == NeighbourState::kPermanent) return;
  apply(*e, evidence, now, actions);
}

void NeighbourTable::apply(Entry& e, const Evidence& evidence, Time now, Actions& a) {
  const bool had_mac = is_valid(e.state);
  if (!had_mac && !evidence.has_mac) return;  // RFC 4861 §7.2.5
  bool is_reachable = evidence.is_reachable;
  if (had_mac && evidence.has_mac && evidence.mac != e.mac) {
    const bool is_locked = evidence.respects_locktime && now - e.updated < kArpLocktime;
    if (!evidence.may_override || is_locked) {
      if (!evidence.weak_override || !is_connected(e.state)) return;
      return enter_stale(e, now);  // RFC 4861 §7.2.5: without override it only raises doubt
    }
  } else if (had_mac && !is_reachable) {
    return;  // the same address again: proves nothing and spoils nothing
  }
  if (evidence.has_mac && (!had_mac || evidence.mac != e.mac)) {
    e.mac = evidence.mac;
    e.updated = now;
  }
  is_reachable ? enter_reachable(e, now) : enter_stale(e, now);
  a.mac = e.mac;
  a.ifindex = e.ifindex;
  e.waiting_bytes = 0;
  while (PacketPtr p = e.waiting.pop_front())
    a.send.push_back(std::move(p));
}

void NeighbourTable::enter_reachable(Entry& e, Time now) {
  e.state = NeighbourState::kReachable;
  e.confirmed = now;
  e.probes = 0;
  // RFC 4861 §6.3.2: uniformly between 0.5 and 1.5 of the base.
  const auto base = config_.base_reachable_time().ms();
  core_->deadlines.arm(&e, now + Duration::from_ms(base / 2 + rng_.below(static_cast<uint32_t>(base) + 1)));
}

void NeighbourTable::enter_stale(Entry& e, Time now) {
  e.state = NeighbourState::kStale;
  core_->deadlines.arm(&e, now + config_.gc_stale_time());
}

void NeighbourTable::confirm(uint16_t ifindex, const IpAddress& address, Time now) {
  Guard guard(lock_);
  Entry* e = find(ifindex, address);
  if (e == nullptr) return;
  e->confirmed = now;
  // An entry in STALE is left alone: its next packet starts DELAY, and DELAY ends at once when it was confirmed.
  if (e->state == NeighbourState::kDelay || e->state == NeighbourState::kProbe) enter_reachable(*e, now);
}

// --- time ---------------------------------------------------------------------------------------------------------

bool NeighbourTable::on_timer(Time now, Actions& actions) {
  Guard guard(lock_);
  Entry* e = core_->deadlines.pop_due(now);
  if (e == nullptr) return false;
  on_entry_due(*e, now, actions);
  return true;
}

void NeighbourTable::on_entry_due(Entry& e, Time now, Actions& a) {
  switch (e.state) {
    case NeighbourState::kIncomplete:
      return e.probes >= config_.mcast_solicit() ? enter_failed(e, now, a) : solicit(e, false, now, a);
    case NeighbourState::kReachable:
      // Used since it was confirmed: the doubt must be settled (Linux: DELAY), else it may rest.
      if (e.confirmed + config_.base_reachable_time() / 2 > now) return enter_reachable(e, e.confirmed);
      if (e.used + config_.delay_first_probe_time() > now) {
        e.state = NeighbourState::kDelay;
        return core_->deadlines.arm(&e, now + config_.delay_first_probe_time());
      }
      return enter_stale(e, now);
    case NeighbourState::kDelay:
      return enter_probe(e, now, a);
    case NeighbourState::kProbe:
      return e.probes >= config_.ucast_solicit() ? enter_failed(e, now, a) : solicit(e, true, now, a);
    case NeighbourState::kStale:
    case NeighbourState::kFailed:
      // Garbage: below gc_thresh1 nothing is collected, as on Linux; it is looked at again later.
      if (size() < config_.gc_thresh1() || e.used + config_.gc_stale_time() > now) {
        return core_->deadlines.arm(&e, now + config_.gc_stale_time());
      }
      return destroy(&e);
    case NeighbourState::kPermanent:
      return;
  }
}

void NeighbourTable::enter_probe(Entry& e, Time now, Actions& a) {
  e.state = NeighbourState::kProbe;
  e.probes = 0;
  solicit(e, true, now, a);
}

void NeighbourTable::enter_failed(Entry& e, Time now, Actions& a) {
  e.state = NeighbourState::kFailed;
  e.waiting_bytes = 0;
  while (PacketPtr p = e.waiting.pop_front()) {
    p->ifindex = e.ifindex;
    a.failed.push_back(std::move(p));
  }
  core_->deadlines.arm(&e, now + config_.gc_stale_time());
}

Time NeighbourTable::next_deadline() const {
  Guard guard(lock_);
  return core_->deadlines.next();
}

// --- administration -----------------------------------------------------------------------------------------------

Result<void> NeighbourTable::set_permanent(uint16_t ifindex, const IpAddress& address, const wire::MacAddress& mac,
                                           Time now, Actions& actions) {
  Guard guard(lock_);
  Entry* e = find(ifindex, address);
  if (e == nullptr) e = create(ifindex, address, now);
  if (e == nullptr) return err(ENOBUFS);
  apply(*e, {.mac = mac, .is_reachable = true, .may_override = true}, now, actions);
  e->state = NeighbourState::kPermanent;
  core_->deadlines.disarm(e);
  return {};
}

Result<void> NeighbourTable::remove(uint16_t ifindex, const IpAddress& address) {
  Guard guard(lock_);
  Entry* e = find(ifindex, address);
  if (e == nullptr) return err(ENOENT);
  destroy(e);
  return {};
}

std::vector<NeighbourInfo> NeighbourTable::list() const {
  Guard guard(lock_);
  std::vector<NeighbourInfo> all;
  for (Entry* e = core_->lru.front(); e != nullptr; e = core_->lru.next(e)) {
    all.push_back({e->address, e->ifindex, e->state, e->mac});
  }
  return all;
}

}  // namespace leat::ip
