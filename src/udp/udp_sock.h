// A UDP socket, and what goes in and out of one besides bytes.
#pragma once

#include <cstdint>
#include <type_traits>

#include "inet/sock.h"
#include "ip/ip.h"
#include "pkt/packet.h"

namespace leat::udp {

class Udp;

inline constexpr uint8_t kAddressLock = 1, kPortLock = 2;  // bound by the user, not by connect or by a first send

// What lies in the control block of a queued datagram.
struct Datagram {
  ip::PacketInfo info;  // of a received one; of the packet that caused the error in the error queue
  uint16_t port = 0;    // the sender's; of an error: the destination's
  uint32_t error = 0;   // error queue: sock_extended_err
  uint8_t origin = 0;
  uint8_t type = 0;
  uint8_t code = 0;
  uint32_t error_info = 0;
  uint32_t error_data = 0;
  IpAddress offender;
  bool is_stamp() const { return origin == 4; }  // SO_EE_ORIGIN_TIMESTAMPING: tells a time, no error
};
static_assert(sizeof(Datagram) <= Packet::kControlBytes && std::is_trivially_destructible_v<Datagram>);
inline Datagram& datagram_of(Packet& p) {
  return *reinterpret_cast<Datagram*>(p.control);
}

// Everything is protected by the socket's lock (Sock::lock).
struct UdpSock : inet::Sock {
  UdpSock(Udp& u, Family f);

  Udp& udp;
  ListNode by_port;  // tables.h
  ListNode by_address;
  uint32_t address_bucket = 0;
  PacketQueue receive_queue;
  PacketQueue error_queue;
  uint32_t rmem = 0;  // truesize of both
  uint32_t drops = 0;
  uint32_t stamp_key = 0;  // SOF_TIMESTAMPING_OPT_ID: of the next datagram
  uint8_t locks = 0;       // kAddressLock | kPortLock
  bool is_corked = false;  // UDP_CORK
  PacketPtr pending;       // what MSG_MORE or UDP_CORK has gathered
  ip::SendParams pending_params;
  ip::Route pending_route;
  uint16_t pending_port = 0;
  IpAddress multicast_source;
  alignas(8) uint8_t v6_bytes[32] = {};

  void clear_errors() {
    while (PacketPtr p = error_queue.pop_front())
      rmem -= p->truesize;
  }
  bool is_connected() const { return get_state() == inet::State::kEstablished; }
};

// What sendmsg says besides the bytes: the destination and ancillary data.
struct SendTo {
  bool has_address = false;
  IpAddress address;
  uint16_t port = 0;
  uint16_t ifindex = 0;  // IP_PKTINFO, sin6_scope_id
  IpAddress source;      // IP_PKTINFO; kNone: the socket's
  int tos = -1;
  int ttl = -1;
};

// What recvmsg learns besides the bytes.
struct Received {
  Datagram datagram;
  int flags = 0;               // MSG_TRUNC, MSG_ERRQUEUE
  uint32_t receive_flags = 0;  // the socket's, see SockOptions
  Time at;                     // when it came; of a time stamp in the error queue: what it tells
};

}  // namespace leat::udp
