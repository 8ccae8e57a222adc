// A socket as tools see it: plain values, copied while the socket was locked. What inet_diag tells ss on Linux.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "inet/sock.h"
#include "tcp/info.h"
#include "wire/ip_address.h"

namespace leat::diag {

// /proc/net/tcp's numbers; inet_diag calls them idiag_timer.
enum class RowTimer : uint8_t { kOff = 0, kOn = 1, kKeepalive = 2, kTimeWait = 3, kPersist = 4 };

// SK_MEMINFO: bytes charged to the socket and its limits.
struct RowMemory {
  uint32_t rmem = 0, rcvbuf = 0, wmem = 0, sndbuf = 0, forward = 0, wmem_queued = 0, optmem = 0, backlog = 0;
  uint32_t drops = 0;
};

struct SocketRow {
  bool is_udp = false;
  Family family = Family::kIpv4;  // the socket's; a v6 socket may hold v4 addresses
  inet::State state = inet::State::kClose;
  IpAddress local, remote;
  uint16_t local_port = 0, remote_port = 0;
  std::string device;  // bound to; empty: to none
  bool v6only = false;
  uint32_t recv_q = 0, send_q = 0;
  RowTimer timer = RowTimer::kOff;
  int64_t timer_ms = 0;
  uint32_t timer_retrans = 0;
  uint32_t cookie = 0;
  uint32_t refs = 0;
  bool has_file = false;
  uint8_t shutdown = 0;  // inet::kRcvShutdown | kSendShutdown
  uint32_t mark = 0;
  uint8_t tos = 0;
  bool has_details = false;  // memory, congestion, info: not of requests and time-waits
  RowMemory memory;
  std::string congestion;
  bool has_info = false;
  bool is_quick_ack = false, is_pingpong = false;
  tcp::TcpInfo info{};
  std::array<uint32_t, 5> cc_info{};  // TCP_CC_INFO: what the congestion control tells of itself
  size_t cc_info_bytes = 0;

  // What a v6 socket shows of v4 addresses: ::ffff:a.b.c.d.
  IpAddress shown_local() const { return family == Family::kIpv6 ? local.to_v4_mapped() : local; }
  IpAddress shown_remote() const { return family == Family::kIpv6 ? remote.to_v4_mapped() : remote; }
};

// TIME_WAIT in its FIN_WAIT2 stage shows as FIN_WAIT2, NEW_SYN_RECV as SYN_RECV, as inet_diag has it.
inline constexpr uint32_t state_bit(inet::State s) {
  return 1u << static_cast<uint8_t>(s);
}

}  // namespace leat::diag
