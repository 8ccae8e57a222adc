// Local ports: bhash and bhash2. Who owns which port, who may share it (Linux's inet_csk_get_port and bind conflict
// rules: SO_REUSEADDR, SO_REUSEPORT by state, wildcard, v6only, device), and which port an active open gets
// (__inet_hash_connect: keyed offset per destination, RFC 6056 algorithm 3 with Linux's table perturbation, parity).
#pragma once

#include <cstdint>
#include <memory>

#include "base/errno.h"
#include "inet/sock.h"
#include "inet/tables.h"
#include "netns/netns.h"

namespace leat::inet {

class Ports {
 public:
  Ports(Netns& ns, Rng& rng);
  ~Ports();

  // bind(2): `port` 0 picks one (odd parity first, as bind() does on Linux). Sets the local address and local_port and
  // hangs the socket on its bucket. With IP_BIND_ADDRESS_NO_PORT and port 0 it sets the address only. EINVAL: has a
  // port already; EADDRINUSE; EACCES below ip_unprivileged_port_start unless `privileged`.
  Result<void> bind(Sock& s, const IpAddress& local, uint16_t port, bool privileged);
  // listen(2): the port must still be usable for listening (Linux re-runs get_port), with the state LISTEN already
  // set, so that two who race see each other; without a port it picks one. EADDRINUSE.
  Result<void> check_listen(Sock& s);
  // connect(2) without a bound port: picks one (even parity first), hangs the socket on it and inserts it in
  // `established` in one step. s has its addresses and remote_port set. EADDRNOTAVAIL when all ports are taken.
  // With a bound port it only inserts (unique). may_replace: see EstablishedTable::insert_unique.
  Result<void> connect(Sock& s, EstablishedTable& established, EstablishedTable::MayReplace may_replace, void* context,
                       SockCommon** replaced);
  void inherit(BoundSock& child, const Sock& listener);  // an accepted connection shares its listener's port
  void hand_over(BoundSock& from, BoundSock& to);        // connection → its time-wait
  // inet_put_port; nothing when it has none. local_port keeps its value: what is bound has a bind_bucket.
  void release(BoundSock& s);
  // The local address of a bound socket was chosen by connect(): rehash in bhash2.
  void on_local_address_changed(Sock& s);

  size_t buckets() const;  // ports in use
  size_t bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leat::inet
