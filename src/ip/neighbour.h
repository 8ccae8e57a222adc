// Neighbours: one state machine for ARP and ND (RFC 4861 §7.3, RFC 826), with Linux's timers and bounds.
//
//                 send           answer                 30 s ± half          send          5 s
//   (none) ──► INCOMPLETE ──► REACHABLE ──────────────► STALE ──► DELAY ──► PROBE ──► (no answer) FAILED
//                 └─ 3 multicast solicitations, 1 s apart ─► FAILED          3 unicast solicitations
//
// A packet towards an unresolved neighbour waits in its queue, bounded in bytes: the oldest gives way. The table is
// bounded by gc_thresh3; when it is full the least recently used entry that is not being resolved goes, and when there
// is none the packet is refused (ENOBUFS). What the wire tells only ever changes entries that exist, except for a
// solicitation that asks for an address of ours, which also has to pass the bound.
//
// Locks: one for the table. Whatever must happen outside (solicit, send, fail) is collected in Actions and done by the
// caller after the lock is gone.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/errno.h"
#include "base/list.h"
#include "base/rng.h"
#include "base/siphash.h"
#include "base/slab.h"
#include "base/spinlock.h"
#include "base/time.h"
#include "ip/deadline_heap.h"
#include "netns/netns.h"
#include "pkt/packet.h"
#include "wire/ethernet.h"
#include "wire/ip_address.h"

namespace leat::ip {

enum class NeighbourState : uint8_t { kIncomplete, kReachable, kStale, kDelay, kProbe, kFailed, kPermanent };

// net.ipv4.neigh.default or net.ipv6.neigh.default, read when they are needed.
struct NeighbourConfig {
  const Tunable& gc_thresh1_;
  const Tunable& gc_thresh2_;
  const Tunable& gc_thresh3_;
  const Tunable& unres_qlen_bytes_;
  const Tunable& mcast_solicit_;
  const Tunable& ucast_solicit_;
  const Tunable& retrans_time_ms_;
  const Tunable& base_reachable_time_ms_;
  const Tunable& delay_first_probe_time_;
  const Tunable& gc_stale_time_;

  static NeighbourConfig for_ipv4(const Sysctls& s) {
    return {s.neigh_gc_thresh1,
            s.neigh_gc_thresh2,
            s.neigh_gc_thresh3,
            s.neigh_unres_qlen_bytes,
            s.neigh_mcast_solicit,
            s.neigh_ucast_solicit,
            s.neigh_retrans_time_ms,
            s.neigh_base_reachable_time_ms,
            s.neigh_delay_first_probe_time,
            s.neigh_gc_stale_time};
  }
  static NeighbourConfig for_ipv6(const Sysctls& s) {
    return {s.ipv6_neigh_gc_thresh1,
            s.ipv6_neigh_gc_thresh2,
            s.ipv6_neigh_gc_thresh3,
            s.ipv6_neigh_unres_qlen_bytes,
            s.ipv6_neigh_mcast_solicit,
            s.ipv6_neigh_ucast_solicit,
            s.ipv6_neigh_retrans_time_ms,
            s.ipv6_neigh_base_reachable_time_ms,
            s.ipv6_neigh_delay_first_probe_time,
            s.ipv6_neigh_gc_stale_time};
  }
  size_t gc_thresh1() const { return gc_thresh1_.as<size_t>(); }
  size_t gc_thresh2() const { return gc_thresh2_.as<size_t>(); }
  size_t gc_thresh3() const { return gc_thresh3_.as<size_t>(); }
  uint32_t unres_qlen_bytes() const { return unres_qlen_bytes_.as<uint32_t>(); }
  uint32_t mcast_solicit() const { return mcast_solicit_.as<uint32_t>(); }
  uint32_t ucast_solicit() const { return ucast_solicit_.as<uint32_t>(); }
  Duration retrans_time() const { return Duration::from_ms(std::max<int64_t>(retrans_time_ms_, 1)); }
  Duration base_reachable_time() const { return Duration::from_ms(std::max<int64_t>(base_reachable_time_ms_, 2)); }
  Duration delay_first_probe_time() const { return Duration::from_s(delay_first_probe_time_); }
  Duration gc_stale_time() const { return Duration::from_s(std::max<int64_t>(gc_stale_time_, 1)); }
};
// ARP: an answer does not replace one that is younger (Linux's locktime, 1 s).
inline constexpr Duration kArpLocktime = Duration::from_s(1);

struct NeighbourInfo {  // what `ip neigh` shows
  IpAddress address;
  uint16_t ifindex = 0;
  NeighbourState state = NeighbourState::kIncomplete;
  wire::MacAddress mac;
};

class NeighbourTable {
 public:
  struct Solicitation {
    IpAddress target;
    uint16_t ifindex = 0;
    bool is_unicast = false;
    wire::MacAddress mac;  // when unicast
    IpAddress source;      // of the packet that waits; kNone: choose
  };
  struct Actions {
    std::vector<Solicitation> solicit;
    PacketQueue send;  // all to `mac` over `ifindex`
    wire::MacAddress mac;
    uint16_t ifindex = 0;
    PacketQueue failed;      // the neighbour does not answer; ifindex of each is that of its way out
    uint32_t discarded = 0;  // pushed out of a full queue
  };
  // What an ARP packet or an advertisement says about a neighbour.
  struct Evidence {
    wire::MacAddress mac;
    bool has_mac = true;
    bool is_reachable = false;   // a solicited answer: REACHABLE; otherwise STALE
    bool may_override = false;   // a different address replaces the one that is known
    bool weak_override = false;  // without may_override: a different address makes a REACHABLE entry STALE (ND)
    bool may_create = false;
    bool respects_locktime = false;
  };

  NeighbourTable(Rng& rng, const NeighbourConfig& config);
  ~NeighbourTable();
  NeighbourTable(const NeighbourTable&) = delete;

  // Resolved: true, and `mac` says where to; `packet` stays the caller's. Otherwise it is queued (moved from) and
  // `refused` tells when even that was impossible.
  bool resolve(uint16_t ifindex, const IpAddress& address, PacketPtr& packet, const IpAddress& source, Time now,
               wire::MacAddress& mac, bool& refused, Actions& actions);
  void on_evidence(uint16_t ifindex, const IpAddress& address, const Evidence& e, Time now, Actions& actions);
  void confirm(uint16_t ifindex, const IpAddress& address, Time now);  // the transport made progress
  // Does what is due for one entry and says whether there may be more: call until false.
  bool on_timer(Time now, Actions& actions);
  Time next_deadline() const;

  Result<void> set_permanent(uint16_t ifindex, const IpAddress& address, const wire::MacAddress& mac, Time now,
                             Actions& actions);
  Result<void> remove(uint16_t ifindex, const IpAddress& address);
  std::vector<NeighbourInfo> list() const;
  size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct Entry;
  struct Core;

  Entry* find(uint16_t ifindex, const IpAddress& address) const;
  Entry* create(uint16_t ifindex, const IpAddress& address, Time now);
  bool make_room(Time unused_since);
  void destroy(Entry* e);
  size_t bucket_of(uint16_t ifindex, const IpAddress& address) const;

  void enter_incomplete(Entry& e, const IpAddress& source, Time now, Actions& a);
  void enter_reachable(Entry& e, Time now);
  void enter_stale(Entry& e, Time now);
  void enter_probe(Entry& e, Time now, Actions& a);
  void enter_failed(Entry& e, Time now, Actions& a);
  void solicit(Entry& e, bool is_unicast, Time now, Actions& a);
  void queue_packet(Entry& e, PacketPtr packet, Actions& a);
  void on_entry_due(Entry& e, Time now, Actions& a);
  void apply(Entry& e, const Evidence& evidence, Time now, Actions& a);

  const NeighbourConfig config_;
  Rng& rng_;
  const SipKey key_;
  std::unique_ptr<Core> core_;
  std::atomic<size_t> size_{0};
  mutable SpinLock lock_;
};

}  // namespace leat::ip
