// Where UDP sockets are found: by port (who owns which, as bind wants it) and by port and local address (as packets
// want it, exact first and wildcard second, Linux's udp_table). Look-ups lock the bucket that they walk.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/errno.h"
#include "base/list.h"
#include "base/siphash.h"
#include "base/spinlock.h"
#include "udp/udp_sock.h"

namespace leat::udp {

class Tables {
 public:
  explicit Tables(Rng& rng);

  // Takes the port for s, which has its local address set. false: somebody else's.
  bool try_bind(UdpSock& s, uint16_t port);
  void remove(UdpSock& s);  // nothing when it has no port
  void on_address_changed(UdpSock& s);

  // The best match, with a reference; nullptr: none. Groups of SO_REUSEPORT are spread by a keyed hash of the tuple.
  UdpSock* lookup(const inet::FourTuple& t, uint16_t ifindex);
  // All that a multicast or broadcast packet is for, each with a reference.
  std::vector<UdpSock*> lookup_all(const inet::FourTuple& t, uint16_t ifindex);
  std::vector<UdpSock*> all();  // each with a reference; for ss

 private:
  static constexpr size_t kBuckets = 4096;
  template <ListNode UdpSock::* Node>
  struct Bucket {
    SpinLock lock;
    List<UdpSock, Node> socks;
  };
  using PortBucket = Bucket<&UdpSock::by_port>;
  using AddressBucket = Bucket<&UdpSock::by_address>;

  PortBucket& port_bucket(uint16_t port) { return by_port_[port % kBuckets]; }
  uint32_t address_bucket(const IpAddress& local, uint16_t port) const;
  void insert_by_address(UdpSock& s);
  void remove_by_address(UdpSock& s);
  UdpSock* best_of(AddressBucket& b, const inet::FourTuple& t, uint16_t ifindex);

  std::unique_ptr<PortBucket[]> by_port_;
  std::unique_ptr<AddressBucket[]> by_address_;
  SipKey address_key_;
  SipKey spread_key_;
};

}  // namespace leat::udp
