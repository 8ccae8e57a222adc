// Which multicast groups each interface listens to. Joined by sockets, counted, bounded per interface; 224.0.0.1,
// ff01::1, ff02::1 and the solicited-node groups of own addresses need no joining. There is no IGMP and no MLD: on a
// network with snooping switches groups beyond the link may stay silent.
#pragma once

#include <cstdint>
#include <vector>

#include "base/errno.h"
#include "base/spinlock.h"
#include "wire/ip_address.h"

namespace leat::ip {

class Groups {
 public:
  static constexpr size_t kLimit = 4096;

  Result<void> join(uint16_t ifindex, const IpAddress& group) {
    if (!group.is_multicast()) return err(EINVAL);
    Guard guard(lock_);
    for (Member& m : members_) {
      if (m.ifindex != ifindex || m.group != group) continue;
      ++m.users;
      return {};
    }
    if (members_.size() >= kLimit) return err(ENOBUFS);
    members_.push_back({group, ifindex, 1});
    return {};
  }
  Result<void> leave(uint16_t ifindex, const IpAddress& group) {
    Guard guard(lock_);
    for (size_t i = 0; i < members_.size(); ++i) {
      if (members_[i].ifindex != ifindex || members_[i].group != group) continue;
      if (--members_[i].users == 0) members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(i));
      return {};
    }
    return err(EADDRNOTAVAIL);
  }
  bool contains(uint16_t ifindex, const IpAddress& group) const {
    Guard guard(lock_);
    for (const Member& m : members_) {
      if (m.ifindex == ifindex && m.group == group) return true;
    }
    return false;
  }

 private:
  struct Member {
    IpAddress group;
    uint16_t ifindex;
    uint32_t users;
  };
  std::vector<Member> members_;
  mutable SpinLock lock_;
};

}  // namespace leat::ip
