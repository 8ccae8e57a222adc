// UDP of one namespace (RFC 768, RFC 8200 §8.1): bind, connect, send, receive, errors that ICMP brings.
//
//   ip → on_packet → checksum → Tables::lookup → the socket's receive queue → receive()
//   send() → route → header → Ip::output
//
// Thread rule: any thread may call any function; each locks the socket that it is given. Nothing blocks: EAGAIN, and
// SockEvents tells when it is worth trying again. Sending never waits: nothing is charged to SO_SNDBUF, since links
// take or drop a packet at once. No UDP-Lite, no GSO and GRO of UDP, no encapsulation, no multicast membership.
#pragma once

#include <sys/uio.h>

#include <span>
#include <vector>

#include "base/slab.h"
#include "ip/ip.h"
#include "udp/tables.h"
#include "udp/udp_sock.h"

namespace leat::udp {

class Udp final : public ip::Transport {
 public:
  Udp(Netns& ns, PacketPool& pool, ip::Ip& ip);
  ~Udp() override;

  Result<UdpSock*> create(Family family);  // one reference, the caller's
  // EINVAL: bound already. EADDRNOTAVAIL, EADDRINUSE, EACCES.
  Result<void> bind(UdpSock& s, const IpAddress& address, uint16_t port, bool privileged);
  Result<void> connect(UdpSock& s, const IpAddress& address, uint16_t port, uint16_t ifindex);
  Result<void> disconnect(UdpSock& s);
  Result<size_t> send(UdpSock& s, std::span<const iovec> data, int flags, const SendTo& to);
  Result<size_t> receive(UdpSock& s, std::span<const iovec> into, int flags, Received& what);
  Result<size_t> uncork(UdpSock& s);  // sends what was gathered
  Result<void> shutdown(UdpSock& s, int how);
  void close(UdpSock& s);    // the file is gone; the caller's reference is given up
  void release(UdpSock& s);  // drops a reference
  uint32_t poll_events(UdpSock& s);
  int take_error(UdpSock& s);
  void attach(UdpSock& s, inet::SockEvents* file);
  Result<int> ioctl(UdpSock& s, unsigned long request);  // SIOCINQ: of the next datagram; SIOCOUTQ: 0
  uint32_t path_mtu(UdpSock& s);                         // of the connected destination; 0: not connected
  std::vector<UdpSock*> all() { return tables_.all(); }  // each with a reference

  void on_packet(PacketPtr&& packet, const ip::PacketInfo& info) override;
  void on_icmp_error(const ip::IcmpError& e) override;

  size_t sockets() const { return socks_.in_use(); }

 private:
  struct Plan;    // of one send: addresses, route, parameters
  struct Stamp {  // what SO_TIMESTAMPING tells of one send
    uint32_t flags = 0, key = 0;
  };

  void count(Mib m, bool v6) {  // m of group Udp
    constexpr int kToV6 = static_cast<int>(Mib::Udp6InDatagrams) - static_cast<int>(Mib::UdpInDatagrams);
    ns_.count(static_cast<Mib>(static_cast<int>(m) + (v6 ? kToV6 : 0)));
  }
  void drop(DropReason r, Mib m, bool v6);

  // udp.cpp
  Result<void> autobind(UdpSock& s);
  Result<void> check_bind_address(const UdpSock& s, const IpAddress& address) const;
  void destroy(UdpSock& s);

  // input.cpp
  bool check_checksum(const Packet& p, const ip::PacketInfo& info, uint16_t field) const;
  void deliver(UdpSock& s, PacketPtr&& packet, const ip::PacketInfo& info, uint16_t source_port);
  void deliver_all(PacketPtr&& packet, const ip::PacketInfo& info, const inet::FourTuple& t);
  void queue_error(UdpSock& s, const Datagram& d, ByteView quoted);

  // send.cpp
  Result<void> plan_send(UdpSock& s, const SendTo& to, Plan& plan);
  Result<void> select_route(UdpSock& s, const SendTo& to, Plan& plan);
  void select_params(const UdpSock& s, const SendTo& to, Plan& plan) const;
  Result<void> gather(PacketPtr& packet, std::span<const iovec> data, size_t length);
  Result<void> transmit(UdpSock& s, PacketPtr&& packet, Plan& plan);
  void report_stamps(UdpSock& s, const Stamp& stamp);
  void report_too_big(UdpSock& s, const Plan& plan);

  // receive.cpp
  Result<size_t> receive_error(UdpSock& s, std::span<const iovec> into, int flags, Received& what);
  PacketPtr take(UdpSock& s, bool peek);

  Netns& ns_;
  PacketPool& pool_;
  ip::Ip& ip_;
  Tables tables_;
  Slab<UdpSock> socks_;
};

}  // namespace leat::udp
