// One state of the tables, complete and never changed once it is published. Private to the route table.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "ip/route.h"

namespace leat::ip {

// A configured route, and the answer to who takes it. Of the answer only next_hop and source may be missing (kNone):
// they are then found by the destination.
struct RouteEntry {
  IpAddress network;
  uint32_t metric = 0;
  Route route;
};

// Longest prefix match: the lengths that occur, longest first; within one, entries sorted by network, then metric.
class PrefixTable {
 public:
  void insert(int prefix, const RouteEntry& e) {
    auto level = std::find_if(levels_.begin(), levels_.end(), [&](const Level& l) { return l.prefix <= prefix; });
    if (level == levels_.end() || level->prefix != prefix) level = levels_.insert(level, Level{prefix, {}});
    const auto at = std::upper_bound(level->entries.begin(), level->entries.end(), e, is_less);
    level->entries.insert(at, e);
  }
  // The best one, on interface `oif` unless that is 0.
  const Route* find(const IpAddress& dst, uint16_t oif) const {
    const auto is_wanted = [oif](const RouteEntry& e) { return oif == 0 || e.route.ifindex == oif; };
    for (const Level& level : levels_) {
      if (level.entries.size() == 1) {  // as most lengths have
        const RouteEntry& only = level.entries.front();
        if (dst.has_prefix(only.network, level.prefix) && is_wanted(only)) return &only.route;
        continue;
      }
      const IpAddress network = masked(dst, level.prefix);
      auto it = std::lower_bound(level.entries.begin(), level.entries.end(), network,
                                 [](const RouteEntry& e, const IpAddress& n) { return e.network < n; });
      for (; it != level.entries.end() && it->network == network; ++it) {
        if (is_wanted(*it)) return &it->route;
      }
    }
    return nullptr;
  }

 private:
  struct Level {
    int prefix;
    std::vector<RouteEntry> entries;
  };
  static bool is_less(const RouteEntry& a, const RouteEntry& b) {
    return a.network != b.network ? a.network < b.network : a.metric < b.metric;
  }
  std::vector<Level> levels_;
};

inline IpAddress loopback_v4() {
  return IpAddress::from_v4(0x7f000001);
}
inline IpAddress loopback_v6() {
  static constexpr uint8_t kBytes[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return IpAddress::from_v6_bytes(kBytes);
}
inline bool is_v6_link_local(const IpAddress& a) {
  return a.is_v6() && a.is_link_local();
}
// RFC 6724's link-local scope for a multicast group: ff02:: and, as on Linux, ff01::.
inline bool is_link_scope_multicast(const IpAddress& a) {
  return a.is_v6() && a.is_multicast() && ipv6_scope(a) <= 2;
}

// Which of a few addresses are there: asked of every packet that arrives, so by hash, not by search.
// Nobody from outside can choose what is in it.
class AddressSet {
 public:
  void clear() { slots_.clear(); }
  void assign(const std::vector<IpAddress>& all) {
    slots_.assign(std::bit_ceil(all.size() * 2 + 2), IpAddress());
    for (const IpAddress& a : all) {
      size_t i = first(a);
      while (slots_[i].family() != Family::kNone && slots_[i] != a)
        i = (i + 1) & (slots_.size() - 1);
      slots_[i] = a;
    }
  }
  bool has(const IpAddress& a) const {
    if (slots_.empty()) return false;
    for (size_t i = first(a); slots_[i].family() != Family::kNone; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i] == a) return true;
    }
    return false;
  }

 private:
  size_t first(const IpAddress& a) const {
    const uint64_t h = (a.word(0) ^ a.word(8)) * 0x9e3779b97f4a7c15u;
    return static_cast<size_t>(h >> 32) & (slots_.size() - 1);
  }
  std::vector<IpAddress> slots_;
};

// What IPv4 addresses are to this host: asked of both addresses of every packet, twice for every route.
class V4Kinds {
 public:
  void assign(const std::vector<Address>& locals, const std::vector<IpAddress>& broadcasts) {
    slots_.assign(std::bit_ceil((locals.size() + broadcasts.size()) * 2 + 2), 0);
    mask_ = slots_.size() - 1;
    for (const Address& a : locals) {
      if (a.cidr.address.is_v4()) set(a.cidr.address.v4(), RouteTable::Scope::kUnicast);
    }
    for (const IpAddress& a : broadcasts)
      set(a.v4(), RouteTable::Scope::kBroadcast);
  }
  RouteTable::Scope of(uint32_t a) const {
    if (a >> 24 == 127) return RouteTable::Scope::kUnicast;
    for (size_t i = first(a); slots_[i] != 0; i = (i + 1) & mask_) {
      if (slots_[i] >> 8 == a) return static_cast<RouteTable::Scope>(slots_[i] & 0xff);
    }
    return a == 0xffffffff ? RouteTable::Scope::kBroadcast : RouteTable::Scope::kNotOurs;
  }

 private:
  void set(uint32_t a, RouteTable::Scope kind) {
    size_t i = first(a);
    while (slots_[i] != 0 && slots_[i] >> 8 != a)
      i = (i + 1) & mask_;
    if (slots_[i] == 0) slots_[i] = uint64_t{a} << 8 | static_cast<uint64_t>(kind);  // an address of ours goes first
  }
  size_t first(uint32_t a) const { return static_cast<size_t>(a * 0x9e3779b9u >> 8) & mask_; }
  std::vector<uint64_t> slots_;  // address, kind; 0: empty
  size_t mask_ = 0;
};

struct RouteTable::Snapshot {
  std::vector<LinkInfo> links;
  std::vector<Address> addresses;     // in the order of configuration
  std::vector<RouteSpec> specs;       // as configured
  std::vector<RouteSpec> connected;   // from the addresses
  std::vector<Address> locals;        // sorted by address
  std::vector<IpAddress> broadcasts;  // of networks
  AddressSet local_set;               // the same, IPv6
  V4Kinds kinds;                      // the same, IPv4
  PrefixTable v4, v6;

  const PrefixTable& table(Family f) const { return f == Family::kIpv4 ? v4 : v6; }
  const LinkInfo* link(uint16_t ifindex) const {
    for (const LinkInfo& l : links) {
      if (l.ifindex == ifindex) return &l;
    }
    return nullptr;
  }
  bool is_loopback_link(uint16_t ifindex) const {
    const LinkInfo* l = link(ifindex);
    return l != nullptr && l->is_loopback;
  }
  uint16_t loopback() const { return !links.empty() && links[0].is_loopback ? links[0].ifindex : uint16_t{0}; }

  void build();
  void connect(const Address& a);
  void insert(const RouteSpec& r);
  bool has_local(const IpAddress& a, uint16_t ifindex) const {  // ifindex 0: on any
    return a.is_v4() && ifindex == 0 ? kinds.of(a.v4()) == Scope::kUnicast : has_local_on(a, ifindex);
  }
  bool has_local_on(const IpAddress& a, uint16_t ifindex) const;  // IPv6, or IPv4 on one interface
  IpAddress select_v4(const IpAddress& near, uint16_t ifindex) const;
  IpAddress select_v6(const IpAddress& dst, uint16_t ifindex) const;
  IpAddress select(const IpAddress& near, uint16_t ifindex) const {
    return near.is_v4() ? select_v4(near, ifindex) : select_v6(near, ifindex);
  }
  Result<uint16_t> check_source(const IpAddress& dst, const IpAddress& src, uint16_t oif) const;
  Scope kind_of(const IpAddress& a) const {  // on any interface
    return a.is_v4() ? kinds.of(a.v4()) : has_local_on(a, 0) ? Scope::kUnicast : Scope::kNotOurs;
  }
  bool fill_ordinary_v4(const IpAddress& dst, const IpAddress& src, Route& out) const;
  bool fill_local(const IpAddress& dst, Scope kind, uint16_t oif, Route& out) const;
  Result<void> fill_remote(const IpAddress& dst, uint16_t oif, Route& out) const;
  Result<void> fill(const IpAddress& dst, const IpAddress& src, uint16_t oif, Route& out) const;
  Result<void> fill_group(const IpAddress& dst, uint16_t oif, Route& out) const;
  static void use(const Route& r, const IpAddress& dst, Route& out);
  void use_link(uint16_t ifindex, const IpAddress& dst, Route& out) const;
};

}  // namespace leat::ip
