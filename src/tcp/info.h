// TCP_INFO: what Linux 6.18 tells of a connection, in its layout (280 bytes; older callers ask for the first 104 or
// 232). Times are in µs unless they say ms, sizes in bytes, windows in segments.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tcp/conn.h"

namespace leat::tcp {

inline constexpr uint8_t kInfoTimestamps = 1, kInfoSack = 2, kInfoWscale = 4, kInfoEcn = 8, kInfoEcnSeen = 16,
                         kInfoSynData = 32, kInfoFastOpenChild = 128;

struct TcpInfo {
  uint8_t state;
  uint8_t ca_state;
  uint8_t retransmits;
  uint8_t probes;
  uint8_t backoff;
  uint8_t options;  // kInfo*
  uint8_t snd_wscale : 4;
  uint8_t rcv_wscale : 4;
  uint8_t delivery_rate_app_limited : 1;
  uint8_t fastopen_client_fail : 2;
  uint32_t rto;
  uint32_t ato;
  uint32_t snd_mss;
  uint32_t rcv_mss;
  uint32_t unacked;  // on a listener: what waits for accept(2)
  uint32_t sacked;   // on a listener: the backlog
  uint32_t lost;
  uint32_t retrans;
  uint32_t fackets;         // always 0
  uint32_t last_data_sent;  // ms ago
  uint32_t last_ack_sent;   // always 0
  uint32_t last_data_recv;  // ms ago
  uint32_t last_ack_recv;   // ms ago
  uint32_t pmtu;
  uint32_t rcv_ssthresh;
  uint32_t rtt;
  uint32_t rttvar;
  uint32_t snd_ssthresh;
  uint32_t snd_cwnd;
  uint32_t advmss;
  uint32_t reordering;
  uint32_t rcv_rtt;
  uint32_t rcv_space;
  uint32_t total_retrans;
  uint64_t pacing_rate;  // bytes a second, as the next; ~0: none
  uint64_t max_pacing_rate;
  uint64_t bytes_acked;
  uint64_t bytes_received;
  uint32_t segs_out;
  uint32_t segs_in;
  uint32_t notsent_bytes;
  uint32_t min_rtt;  // ~0: no sample
  uint32_t data_segs_in;
  uint32_t data_segs_out;
  uint64_t delivery_rate;  // bytes a second
  uint64_t busy_time;
  uint64_t rwnd_limited;
  uint64_t sndbuf_limited;
  uint32_t delivered;
  uint32_t delivered_ce;
  uint64_t bytes_sent;
  uint64_t bytes_retrans;
  uint32_t dsack_dups;
  uint32_t reord_seen;
  uint32_t rcv_ooopack;
  uint32_t snd_wnd;
  uint32_t rcv_wnd;
  uint32_t rehash;
  uint16_t total_rto;
  uint16_t total_rto_recoveries;
  uint32_t total_rto_time;   // ms
  uint32_t accurate_ecn[8];  // of AccECN (RFC 9768), which leat does not negotiate: 0
};
static_assert(offsetof(TcpInfo, rto) == 8 && offsetof(TcpInfo, unacked) == 24 && offsetof(TcpInfo, pmtu) == 60);
static_assert(offsetof(TcpInfo, rcv_rtt) == 92 && offsetof(TcpInfo, pacing_rate) == 104);
static_assert(offsetof(TcpInfo, segs_out) == 136 && offsetof(TcpInfo, delivery_rate) == 160);
static_assert(offsetof(TcpInfo, delivered) == 192 && offsetof(TcpInfo, bytes_sent) == 200);
static_assert(offsetof(TcpInfo, rcv_ooopack) == 224 && offsetof(TcpInfo, rcv_wnd) == 232);
static_assert(offsetof(TcpInfo, total_rto) == 240 && sizeof(TcpInfo) == 280);

// The caller holds the socket's lock.
TcpInfo get_info(const Conn& c);
uint32_t bytes_to_read(const Conn& c);  // SIOCINQ, TCP_CM_INQ: up to the urgent byte, without the FIN

}  // namespace leat::tcp
