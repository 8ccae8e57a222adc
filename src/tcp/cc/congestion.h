// The congestion interface: what an algorithm may see of a sender, and what it answers. Linux's tcp_congestion_ops.
// An algorithm has never heard of a connection, a packet or a timer: it works on a Sender, so that its unit test does
// too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tcp/seq.h"
#include "tcp/state.h"

namespace leat::tcp::cc {

struct Algorithm;

// Private state of an algorithm, as large as Linux's icsk_ca_priv.
struct State {
  alignas(8) uint8_t bytes[104] = {};
  template <class T>
  T& as() {
    static_assert(sizeof(T) <= sizeof(bytes));
    return *reinterpret_cast<T*>(bytes);
  }
  template <class T>
  const T& as() const {
    static_assert(sizeof(T) <= sizeof(bytes));
    return *reinterpret_cast<const T*>(bytes);
  }
};

// Windowed minimum of the RTT over tcp_min_rtt_wlen seconds (Kathleen Nichols' algorithm; Linux's win_minmax).
struct RttMinFilter {
  struct Sample {
    uint32_t at = 0;       // jiffies
    uint32_t value = ~0u;  // µs
  };
  Sample s[3];
  uint32_t get() const { return s[0].value; }
  uint32_t reset(uint32_t now, uint32_t value);
  uint32_t running_min(uint32_t window, uint32_t now, uint32_t value);
};

// One delivery-rate sample (draft-cheng-iccrg-delivery-rate-estimation; Linux's struct rate_sample).
struct RateSample {
  uint64_t prior_mstamp_us = 0;
  uint32_t prior_delivered = 0;
  uint32_t prior_delivered_ce = 0;
  int32_t delivered = 0;  // < 0: invalid
  int32_t delivered_ce = 0;
  int64_t interval_us = 0;  // < 0: invalid
  uint32_t snd_interval_us = 0;
  uint32_t rcv_interval_us = 0;
  int64_t rtt_us = -1;
  uint32_t losses = 0;
  uint32_t acked_sacked = 0;
  uint32_t prior_in_flight = 0;
  Seq last_end_seq = 0;
  bool is_app_limited = false;
  bool is_retrans = false;
  bool is_ack_delayed = false;
  bool is_ece = false;
};

inline constexpr uint8_t kHystartTrain = 1, kHystartDelay = 2;

// The part of a connection that an algorithm works on; Conn derives from it. Names and units as in Linux's tcp_sock.
struct Sender {
  uint64_t mstamp_us = 0;  // the time of the event that is being processed (tcp_mstamp)
  Seq snd_una = 0;
  Seq snd_nxt = 0;
  uint32_t mss_cache = kMssDefault;  // effective send MSS
  uint32_t srtt_us = 0;              // << 3; 0: no sample yet
  RttMinFilter rtt_min;
  uint32_t snd_cwnd = kInitialCwnd;
  uint32_t snd_ssthresh = kInfiniteSsthresh;
  uint32_t snd_cwnd_cnt = 0;  // linear increase counter
  uint32_t snd_cwnd_clamp = ~0u;
  uint32_t snd_cwnd_used = 0;
  uint32_t snd_cwnd_stamp = 0;  // jiffies
  uint32_t prior_cwnd = 0;      // right before starting loss recovery
  uint32_t lsndtime = 0;        // jiffies of the last data sent
  uint32_t packets_out = 0;
  uint32_t retrans_out = 0;
  uint32_t sacked_out = 0;
  uint32_t lost_out = 0;
  uint32_t max_packets_out = 0;
  Seq cwnd_usage_seq = 0;
  uint32_t delivered = 0;  // segments delivered in all
  uint32_t delivered_ce = 0;
  uint32_t lost = 0;                    // segments marked lost in all
  uint32_t app_limited = 0;             // limited until `delivered` reaches this; 0: not
  uint64_t delivered_us = 0;            // when `delivered` was last counted up
  uint64_t pacing_rate = ~uint64_t{0};  // bytes a second
  uint64_t max_pacing_rate = ~uint64_t{0};
  uint64_t wstamp_ns = 0;       // earliest departure of the next packet (pacing)
  uint64_t clock_cache_ns = 0;  // the time of the event, as mstamp_us, in ns
  uint8_t pacing_status = 0;    // 0: none, 1: the algorithm or the user needs pacing
  bool is_cwnd_limited = false;
  bool ecn_ok = false;
  bool ce_changed = false;   // for kEchoesEachCe: kEcnIsCe after kEcnNoCe or the reverse; the pipeline clears it
  Seq ce_rcv_nxt = 0;        // rcv_nxt after the data segment before the one that is being received
  uint8_t hystart_exit = 0;  // kHystart*, since the pipeline has counted and cleared it; at snd_cwnd == snd_ssthresh
  CaState ca_state = CaState::kOpen;
  uint32_t random = 0;  // a fresh random number a call that needs one (bbr's cycle phase)
  const Algorithm* cc_algorithm = nullptr;
  State cc;

  uint32_t jiffy_mask = ~0u;  // a jiffy is a millisecond; ~3u: four, as with HZ=250 (a comparison with such a kernel)
  uint32_t jiffies() const { return static_cast<uint32_t>(mstamp_us / 1000) & jiffy_mask; }
  uint32_t whole_jiffies(uint64_t us) const {  // rounded up, in ms
    return (static_cast<uint32_t>((us + 999) / 1000) + ~jiffy_mask) & jiffy_mask;
  }
  uint32_t packets_in_flight() const { return packets_out - (sacked_out + lost_out) + retrans_out; }
  bool in_slow_start() const { return snd_cwnd < snd_ssthresh; }
  bool in_initial_slowstart() const { return snd_ssthresh >= kInfiniteSsthresh; }
  bool in_cwnd_reduction() const { return ca_state == CaState::kCwr || ca_state == CaState::kRecovery; }
};

enum class Event : uint8_t {
  kTxStart,      // first transmission when nothing is in flight
  kCwndRestart,  // congestion window restart after idling
  kCompleteCwr,  // end of a reduction
  kLoss,         // loss timeout
  kEcnNoCe,      // ECT set, CE not
  kEcnIsCe,      // received CE
};

struct AckSample {
  uint32_t pkts_acked = 0;
  int32_t rtt_us = -1;
  uint32_t in_flight = 0;
};

inline constexpr uint8_t kNonRestricted = 1, kNeedsEcn = 2;
// As a receiver: CE packet by packet (RFC 8257 §3.2), not until CWR. Sets Sender::ce_changed on kEcnIsCe and kEcnNoCe.
inline constexpr uint8_t kEchoesEachCe = 4;
inline constexpr uint8_t kDraws = 8;  // Sender::random is seeded before init

// One row of the registry. A nullptr means: nothing to do, but for ssthresh, undo_cwnd and one of cong_avoid and
// cong_control, which are required.
struct Algorithm {
  const char* name;
  uint8_t flags;
  void (*init)(Sender&);
  void (*release)(Sender&);
  uint32_t (*ssthresh)(Sender&);
  void (*cong_avoid)(Sender&, Seq ack, uint32_t acked);
  void (*set_state)(Sender&, CaState fresh);
  void (*cwnd_event)(Sender&, Event);
  void (*in_ack_event)(Sender&, bool is_ece);
  void (*pkts_acked)(Sender&, const AckSample&);
  uint32_t (*undo_cwnd)(Sender&);
  void (*cong_control)(Sender&, Seq ack, const RateSample&);
  uint32_t (*min_tso_segs)(Sender&);
  uint32_t (*sndbuf_expand)(Sender&);
  size_t (*get_info)(const Sender&, std::span<uint8_t> out);  // TCP_CC_INFO; bytes written
  void (*settle)(Sender&);  // nothing is in flight, and for long: forget what the next flight begins anew
};

// registry.cpp. Index 0 is never an algorithm (SockOptions.congestion: 0 is the default).
const Algorithm* find(std::string_view name);  // nullptr: unknown
const Algorithm* at(uint8_t index);            // nullptr: none
uint8_t index_of(const Algorithm& a);
std::span<const Algorithm* const> available();  // in the order of tcp_available_congestion_control

// reno.cpp: the shared pieces of Linux's tcp_cong.c.
uint32_t slow_start(Sender& s, uint32_t acked);  // returns what is left of acked
void cong_avoid_ai(Sender& s, uint32_t w, uint32_t acked);
bool is_cwnd_limited(const Sender& s);  // Linux's tcp_is_cwnd_limited
uint32_t reno_ssthresh(Sender& s);
void reno_cong_avoid(Sender& s, Seq ack, uint32_t acked);
uint32_t reno_undo_cwnd(Sender& s);

}  // namespace leat::tcp::cc
