// BBR's model of the path, one delivery-rate sample after the other: rounds, bandwidth, policers, aggregation of ACKs,
// the modes, min_rtt.
#include <algorithm>

#include "tcp/cc/bbr.h"
#include "tcp/cc/windowed.h"

namespace leat::tcp::cc::bbr {
namespace {

constexpr uint32_t kRateRounds = 10;  // window of the maximum
constexpr uint32_t kMinRttWindowMs = 10'000;
constexpr uint32_t kProbeRttMs = 200;
constexpr uint32_t kFullRateGrowth = kUnit * 5 / 4;
constexpr uint8_t kFullRateRounds = 3;
constexpr uint32_t kPacingGains[kCycleLength] = {kUnit * 5 / 4, kUnit * 3 / 4, kUnit, kUnit,
                                                 kUnit,         kUnit,         kUnit, kUnit};

constexpr uint32_t kLtRounds = 4;  // shortest interval, and a quarter of the longest
constexpr uint32_t kLtLoss = 50;   // lost share of a policed interval, /256
constexpr uint32_t kLtAlikeRatio = kUnit / 8;
constexpr uint64_t kLtAlikeBytes = 4000 / 8;  // a second
constexpr uint32_t kLtUseRounds = 48;

constexpr uint32_t kExtraAckedRounds = 5;
constexpr uint32_t kEpochAckedMost = 0xfffff;

uint32_t ms_of(uint64_t us) {
  return static_cast<uint32_t>(us / 1000);
}

// What will be in flight when the next segment may leave (earliest departure time).
uint32_t in_flight_at_departure(Sender& s, uint32_t now_in_flight) {
  const auto& b = s.cc.as<Bbr>();
  const uint64_t departure_ns = std::max(s.wstamp_ns, s.clock_cache_ns);
  const uint64_t wait_us = (departure_ns - s.clock_cache_ns) / 1000;
  const auto delivered = static_cast<uint32_t>((b.rate() * wait_us) >> kRateBits);
  uint32_t at_departure = now_in_flight;
  if (b.pacing_gain > kUnit) at_departure += burst_segs(s);
  return delivered >= at_departure ? 0 : at_departure - delivered;
}

// ---- modes ----

void advance_cycle(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  b.cycle_index = (b.cycle_index + 1u) & (kCycleLength - 1);
  b.cycle_us = s.delivered_us;
}

// Any phase but the one that drains, by chance, so that flows do not probe together.
void enter_probe_bw(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  s.random = s.random * 1664525u + 1013904223u;
  const auto skipped = static_cast<uint32_t>((uint64_t{s.random} * (kCycleLength - 1)) >> 32);
  b.mode = Mode::kProbeBw;
  b.cycle_index = (kCycleLength - 1 - skipped) & (kCycleLength - 1);
  advance_cycle(s);
}

// ---- policers: after two intervals with much loss and the same rate, that rate is the path's ----

void start_lt_interval(const Sender& s, Bbr& b) {
  b.lt_last_stamp = ms_of(s.delivered_us);
  b.lt_last_delivered = s.delivered;
  b.lt_last_lost = s.lost;
  b.lt_round_count = 0;
}

void end_lt_interval(const Sender& s, Bbr& b, uint32_t rate) {
  if (b.lt_rate != 0) {
    const uint32_t diff = rate > b.lt_rate ? rate - b.lt_rate : b.lt_rate - rate;
    if (uint64_t{diff} * kUnit <= uint64_t{kLtAlikeRatio} * b.lt_rate ||
        bytes_per_second(s, diff, kUnit) <= kLtAlikeBytes) {
      b.lt_rate = static_cast<uint32_t>((uint64_t{rate} + b.lt_rate) >> 1);
      b.lt_use_rate = true;
      b.pacing_gain = kUnit;
      b.lt_round_count = 0;
      return;
    }
  }
  b.lt_rate = rate;
  start_lt_interval(s, b);
}

// For a while the policer's rate holds; then the path is probed again.
void use_long_term(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  if (b.mode != Mode::kProbeBw || !b.round_start || ++b.lt_round_count < kLtUseRounds) return;
  reset_long_term(s);
  enter_probe_bw(s);
}

// ---- bandwidth ----

void update_rate(Sender& s, const RateSample& rs) {
  auto& b = s.cc.as<Bbr>();
  b.round_start = false;
  if (rs.delivered < 0 || rs.interval_us <= 0) return;
  if (!before(rs.prior_delivered, b.next_round_delivered)) {
    b.next_round_delivered = s.delivered;
    ++b.round_count;
    b.round_start = true;
    b.packet_conservation = false;
  }
  sample_long_term(s, rs);
  const uint64_t rate = static_cast<uint64_t>(rs.delivered) * kRateUnit / static_cast<uint64_t>(rs.interval_us);
  if (rs.is_app_limited && rate < b.max_rate()) return;  // the application, not the path, was slow
  const RateFilterSample fresh{b.round_count, static_cast<uint32_t>(rate)};
  windowed_update(b.rates, kRateRounds, fresh, [](uint32_t x, uint32_t y) { return x >= y; });
}

// How many segments more than rate × time were acknowledged, at most, in the last five to ten rounds.
void update_aggregation(Sender& s, const RateSample& rs) {
  auto& b = s.cc.as<Bbr>();
  if (rs.acked_sacked == 0 || rs.delivered < 0 || rs.interval_us <= 0) return;
  if (b.round_start && ++b.extra_acked_rounds >= kExtraAckedRounds) {
    b.extra_acked_rounds = 0;
    b.extra_acked_index = b.extra_acked_index == 0;
    b.extra_acked[b.extra_acked_index] = 0;
  }
  const uint64_t epoch_us = s.delivered_us > b.ack_epoch_us ? s.delivered_us - b.ack_epoch_us : 0;
  uint64_t expected = (b.rate() * epoch_us) / kRateUnit;
  if (b.ack_epoch_acked <= expected || b.ack_epoch_acked + rs.acked_sacked > kEpochAckedMost) {
    b.ack_epoch_acked = 0;
    b.ack_epoch_us = s.delivered_us;
    expected = 0;
  }
  b.ack_epoch_acked = std::min<uint32_t>(kEpochAckedMost, b.ack_epoch_acked + rs.acked_sacked) & kEpochAckedMost;
  const uint64_t extra = std::min<uint64_t>(b.ack_epoch_acked - expected, s.snd_cwnd);
  const auto capped = static_cast<uint16_t>(std::min<uint64_t>(extra, UINT16_MAX));
  b.extra_acked[b.extra_acked_index] = std::max(b.extra_acked[b.extra_acked_index], capped);
}

// ---- phases ----

bool is_phase_over(Sender& s, const RateSample& rs) {
  const auto& b = s.cc.as<Bbr>();
  const bool is_full_length = s.delivered_us > b.cycle_us && s.delivered_us - b.cycle_us > b.min_rtt_us;
  if (b.pacing_gain == kUnit) return is_full_length;
  const uint32_t in_flight = in_flight_at_departure(s, rs.prior_in_flight);
  if (b.pacing_gain > kUnit) {  // until the pipe has been filled beyond the estimate
    return is_full_length && (rs.losses != 0 || in_flight >= inflight_target(s, b.max_rate(), b.pacing_gain));
  }
  return is_full_length || in_flight <= inflight_target(s, b.max_rate(), kUnit);  // the queue is gone already
}

void check_full_rate(Bbr& b, const RateSample& rs) {
  if (b.full_rate_reached || !b.round_start || rs.is_app_limited) return;
  if (b.max_rate() >= (uint64_t{b.full_rate} * kFullRateGrowth) >> kGainBits) {
    b.full_rate = b.max_rate();
    b.full_rate_count = 0;
    return;
  }
  b.full_rate_count = (b.full_rate_count + 1u) & 3;
  b.full_rate_reached = b.full_rate_count >= kFullRateRounds;
}

void check_drain(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  if (b.mode == Mode::kStartup && b.full_rate_reached) {
    b.mode = Mode::kDrain;
    s.snd_ssthresh = inflight_target(s, b.max_rate(), kUnit);
  }
  if (b.mode == Mode::kDrain &&
      in_flight_at_departure(s, s.packets_in_flight()) <= inflight_target(s, b.max_rate(), kUnit)) {
    enter_probe_bw(s);
  }
}

// ---- min_rtt ----

// Four segments in flight for 200 ms and a round trip: the queue, if it was ours, is empty, and the RTT is the path's.
void probe_rtt(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  const uint32_t until = s.delivered + s.packets_in_flight();
  s.app_limited = until != 0 ? until : 1;  // samples of now are not the path's rate
  if (b.probe_rtt_done_stamp != 0) {
    if (b.round_start) b.probe_rtt_round_done = true;
    if (b.probe_rtt_round_done) end_probe_rtt_if_due(s);
  } else if (s.packets_in_flight() <= kMinCwnd) {
    b.probe_rtt_done_stamp = s.jiffies() + kProbeRttMs;
    b.probe_rtt_round_done = false;
    b.next_round_delivered = s.delivered;
  }
}

void update_min_rtt(Sender& s, const RateSample& rs) {
  auto& b = s.cc.as<Bbr>();
  const bool is_old = after(s.jiffies(), b.min_rtt_stamp + kMinRttWindowMs);
  if (rs.rtt_us >= 0 && (rs.rtt_us < b.min_rtt_us || (is_old && !rs.is_ack_delayed))) {
    b.min_rtt_us = static_cast<uint32_t>(rs.rtt_us);
    b.min_rtt_stamp = s.jiffies();
  }
  if (is_old && !b.idle_restart && b.mode != Mode::kProbeRtt) {
    b.mode = Mode::kProbeRtt;
    save_cwnd(s);  // in this mode: as on Linux, a larger window of before stays
    b.probe_rtt_done_stamp = 0;
  }
  if (b.mode == Mode::kProbeRtt) probe_rtt(s);
  if (rs.delivered > 0) b.idle_restart = false;
}

void update_gains(Bbr& b) {
  switch (b.mode) {
    case Mode::kStartup:
      b.pacing_gain = kHighGain;
      b.cwnd_gain = kHighGain;
      return;
    case Mode::kDrain:
      b.pacing_gain = kDrainGain;
      b.cwnd_gain = kHighGain;
      return;
    case Mode::kProbeBw:
      b.pacing_gain = (b.lt_use_rate ? kUnit : kPacingGains[b.cycle_index]) & 0xfff;
      b.cwnd_gain = kCwndGain;
      return;
    case Mode::kProbeRtt:
      b.pacing_gain = kUnit;
      b.cwnd_gain = kUnit;
      return;
  }
}

}  // namespace

void update_model(Sender& s, const RateSample& rs) {
  auto& b = s.cc.as<Bbr>();
  update_rate(s, rs);
  update_aggregation(s, rs);
  if (b.mode == Mode::kProbeBw && is_phase_over(s, rs)) advance_cycle(s);
  check_full_rate(b, rs);
  check_drain(s);
  update_min_rtt(s, rs);
  update_gains(b);
}

void sample_long_term(Sender& s, const RateSample& rs) {
  auto& b = s.cc.as<Bbr>();
  if (b.lt_use_rate) return use_long_term(s);
  if (!b.lt_is_sampling) {  // an interval begins, and ends, with a loss
    if (rs.losses == 0) return;
    start_lt_interval(s, b);
    b.lt_is_sampling = true;
  }
  if (rs.is_app_limited) return reset_long_term(s);
  if (b.round_start) ++b.lt_round_count;
  if (b.lt_round_count < kLtRounds) return;
  if (b.lt_round_count > 4 * kLtRounds) return reset_long_term(s);
  if (rs.losses == 0) return;
  const uint32_t lost = s.lost - b.lt_last_lost;
  const uint32_t delivered = s.delivered - b.lt_last_delivered;
  if (delivered == 0 || (uint64_t{lost} << kGainBits) < uint64_t{kLtLoss} * delivered) return;
  const uint32_t elapsed_ms = ms_of(s.delivered_us) - b.lt_last_stamp;
  if (static_cast<int32_t>(elapsed_ms) < 1) return;
  if (elapsed_ms >= ~0u / 1000) return reset_long_term(s);
  end_lt_interval(s, b, static_cast<uint32_t>(delivered * kRateUnit / (uint64_t{elapsed_ms} * 1000)));
}

void reset_long_term(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  b.lt_rate = 0;
  b.lt_use_rate = false;
  b.lt_is_sampling = false;
  start_lt_interval(s, b);
}

void restart_probing(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  if (b.full_rate_reached) {
    enter_probe_bw(s);
  } else {
    b.mode = Mode::kStartup;
  }
}

void end_probe_rtt_if_due(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  if (b.probe_rtt_done_stamp == 0 || !after(s.jiffies(), b.probe_rtt_done_stamp)) return;
  b.min_rtt_stamp = s.jiffies();
  s.snd_cwnd = std::max(s.snd_cwnd, b.prior_cwnd);
  restart_probing(s);
}

}  // namespace leat::tcp::cc::bbr
