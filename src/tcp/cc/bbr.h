// BBR (version 1, Cardwell et al., "BBR: congestion-based congestion control"), as Linux 6.18 has it: what its files
// share. The model (bbr_model.cpp): bandwidth, the largest delivery rate of ten round trips; min_rtt, the smallest RTT
// of ten seconds. Control (bbr.cpp): pacing at gain × bandwidth, a window of gain × bandwidth × min_rtt.
//
//   kStartup ─ the rate has stopped growing ─> kDrain ─ the queue is gone ─> kProbeBw ⇄ kProbeRtt (every ten seconds)
//
// Rates are segments a µs, << 24; gains << 8.
#pragma once

#include "tcp/cc/congestion.h"

namespace leat::tcp::cc::bbr {

inline constexpr int kRateBits = 24;
inline constexpr uint64_t kRateUnit = uint64_t{1} << kRateBits;
inline constexpr int kGainBits = 8;
inline constexpr uint32_t kUnit = 1 << kGainBits;
inline constexpr uint32_t kHighGain = kUnit * 2885 / 1000 + 1;  // 2/ln 2: the least that doubles a round trip
inline constexpr uint32_t kDrainGain = kUnit * 1000 / 2885;
inline constexpr uint32_t kCwndGain = kUnit * 2;  // room for delayed and stretched ACKs
inline constexpr uint32_t kMinCwnd = 4;
inline constexpr uint32_t kCycleLength = 8;
inline constexpr uint32_t kNoRtt = ~0u;

enum class Mode : uint8_t { kStartup, kDrain, kProbeBw, kProbeRtt };

struct RateFilterSample {
  uint32_t at = 0;     // round trip
  uint32_t value = 0;  // rate
};

struct Bbr {
  uint64_t cycle_us;          // when this phase of kProbeBw began
  uint64_t ack_epoch_us;      // measures how far ACKs run ahead of the bandwidth
  RateFilterSample rates[3];  // windowed maximum
  uint32_t min_rtt_us;
  uint32_t min_rtt_stamp;         // jiffies
  uint32_t probe_rtt_done_stamp;  // jiffies; 0: not yet small enough
  uint32_t round_count;
  uint32_t next_round_delivered;  // the round trip is over when what is sent now is delivered
  uint32_t lt_rate;               // long-term: what a policer lets through
  uint32_t lt_last_delivered;
  uint32_t lt_last_stamp;  // ms
  uint32_t lt_last_lost;
  uint32_t prior_cwnd;  // before recovery or kProbeRtt
  uint32_t full_rate;   // the rate that kStartup has to outgrow
  uint32_t ack_epoch_acked : 20;
  uint32_t pacing_gain : 12;
  uint16_t extra_acked[2];
  uint16_t cwnd_gain;
  uint8_t lt_round_count;
  uint8_t full_rate_count : 2;  // round trips without growth
  uint8_t cycle_index : 3;
  uint8_t extra_acked_index : 1;
  uint8_t extra_acked_rounds;
  Mode mode;
  CaState prev_ca_state;
  bool round_start : 1;
  bool idle_restart : 1;
  bool probe_rtt_round_done : 1;
  bool packet_conservation : 1;
  bool lt_is_sampling : 1;
  bool lt_use_rate : 1;
  bool full_rate_reached : 1;
  bool has_seen_rtt : 1;

  uint32_t max_rate() const { return rates[0].value; }
  uint32_t rate() const { return lt_use_rate ? lt_rate : max_rate(); }
};
static_assert(sizeof(Bbr) <= sizeof(State));

// bbr.cpp
uint64_t bytes_per_second(const Sender& s, uint64_t rate, uint32_t gain);
uint32_t inflight_target(Sender& s, uint32_t rate, uint32_t gain);  // segments, with room for bursts
uint32_t burst_segs(Sender& s);                                     // what one transmission carries
void save_cwnd(Sender& s);

// bbr_model.cpp
void update_model(Sender& s, const RateSample& rs);
void sample_long_term(Sender& s, const RateSample& rs);
void reset_long_term(Sender& s);
void restart_probing(Sender& s);  // kStartup, or kProbeBw when that is behind us
void end_probe_rtt_if_due(Sender& s);

}  // namespace leat::tcp::cc::bbr
