// BBR's control: pacing rate and window from the model, and what happens to them around losses.
#include "tcp/cc/bbr.h"

#include <algorithm>
#include <cstring>

#include "tcp/cc/algorithms.h"

namespace leat::tcp::cc::bbr {
namespace {

constexpr uint64_t kPacingMargin = 1'000'000 / 100 * 99;  // 1 % below the estimate: no queue comes of rounding
constexpr uint64_t kLowRate = 1'200'000 >> 3;             // bytes a second; below it single segments are sent
constexpr uint64_t kLargestBurst = 65215;                 // bytes (sk_gso_max_size)
constexpr uint64_t kExtraAckedMaxUs = 100'000;

uint64_t pacing_rate_for(const Sender& s, uint64_t rate, uint32_t gain) {
  return std::min(bytes_per_second(s, rate, gain), s.max_pacing_rate);
}

// Before the first delivery: the initial window in one round trip, or in a millisecond.
void pace_by_rtt(Sender& s) {
  uint32_t rtt_us = 1000;
  if (s.srtt_us != 0) {
    rtt_us = std::max(s.srtt_us >> 3, 1u);
    s.cc.as<Bbr>().has_seen_rtt = true;
  }
  s.pacing_rate = pacing_rate_for(s, s.snd_cwnd * kRateUnit / rtt_us, kHighGain);
}

void set_pacing_rate(Sender& s, uint32_t rate, uint32_t gain) {
  const auto& b = s.cc.as<Bbr>();
  const uint64_t fresh = pacing_rate_for(s, rate, gain);
  if (!b.has_seen_rtt && s.srtt_us != 0) pace_by_rtt(s);
  if (b.full_rate_reached || fresh > s.pacing_rate) s.pacing_rate = fresh;
}

uint32_t min_tso_segs(Sender& s) {
  return s.pacing_rate < kLowRate ? 1 : 2;
}

// Bandwidth-delay product in segments, rounded up.
uint32_t delay_product(const Sender& s, uint32_t rate, uint32_t gain) {
  const auto& b = s.cc.as<Bbr>();
  if (b.min_rtt_us == kNoRtt) return kInitialCwnd;
  const uint64_t product = static_cast<uint64_t>(rate) * b.min_rtt_us;
  return static_cast<uint32_t>((((product * gain) >> kGainBits) + kRateUnit - 1) / kRateUnit);
}

// Three bursts more: one in the sender, one on the way, one in the receiver. Even, for delayed ACKs.
uint32_t add_burst_room(Sender& s, uint32_t cwnd) {
  const auto& b = s.cc.as<Bbr>();
  cwnd = (cwnd + 3 * burst_segs(s) + 1) & ~1u;
  return b.mode == Mode::kProbeBw && b.cycle_index == 0 ? cwnd + 2 : cwnd;
}

// What ACKs that come in clumps need on top, so that the sender does not fall silent between them.
uint32_t aggregation_room(const Bbr& b) {
  if (!b.full_rate_reached) return 0;
  const auto most = static_cast<uint32_t>(b.rate() * kExtraAckedMaxUs / kRateUnit);
  return std::min<uint32_t>(std::max(b.extra_acked[0], b.extra_acked[1]), most);
}

// Recovery starts with packet conservation and ends with the window from before. True: the window is decided.
bool follow_recovery(Sender& s, const RateSample& rs, uint32_t acked, uint32_t& cwnd) {
  auto& b = s.cc.as<Bbr>();
  const CaState old = b.prev_ca_state;
  if (rs.losses > 0) cwnd = cwnd > rs.losses ? cwnd - rs.losses : 1;
  if (s.ca_state == CaState::kRecovery && old != CaState::kRecovery) {
    b.packet_conservation = true;
    b.next_round_delivered = s.delivered;
    cwnd = s.packets_in_flight() + acked;
  } else if (old >= CaState::kRecovery && s.ca_state < CaState::kRecovery) {
    cwnd = std::max(cwnd, b.prior_cwnd);
    b.packet_conservation = false;
  }
  b.prev_ca_state = s.ca_state;
  if (!b.packet_conservation) return false;
  cwnd = std::max(cwnd, s.packets_in_flight() + acked);
  return true;
}

void set_cwnd(Sender& s, const RateSample& rs, uint32_t acked) {
  const auto& b = s.cc.as<Bbr>();
  uint32_t cwnd = s.snd_cwnd;
  if (acked != 0 && !follow_recovery(s, rs, acked, cwnd)) {
    const uint32_t wanted = delay_product(s, b.rate(), b.cwnd_gain) + aggregation_room(b);
    const uint32_t target = add_burst_room(s, wanted);
    if (b.full_rate_reached) {
      cwnd = std::min(cwnd + acked, target);
    } else if (cwnd < target || s.delivered < kInitialCwnd) {
      cwnd += acked;
    }
    cwnd = std::max(cwnd, kMinCwnd);
  }
  s.snd_cwnd = std::min(cwnd, s.snd_cwnd_clamp);
  if (b.mode == Mode::kProbeRtt) s.snd_cwnd = std::min(s.snd_cwnd, kMinCwnd);
}

void cong_control(Sender& s, Seq, const RateSample& rs) {
  update_model(s, rs);
  const auto& b = s.cc.as<Bbr>();
  set_pacing_rate(s, b.rate(), b.pacing_gain);
  set_cwnd(s, rs, rs.acked_sacked);
}

void init(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  b = Bbr{};
  s.snd_ssthresh = kInfiniteSsthresh;
  b.next_round_delivered = s.delivered;
  b.min_rtt_us = s.rtt_min.get();
  b.min_rtt_stamp = s.jiffies();
  b.ack_epoch_us = s.mstamp_us;
  pace_by_rtt(s);  // the gains come with the first ACK
  reset_long_term(s);
  if (s.pacing_status == 0) s.pacing_status = 1;
}

// After a silence of the application: pace at the known rate, no burst.
void on_event(Sender& s, Event e) {
  if (e != Event::kTxStart || s.app_limited == 0) return;
  auto& b = s.cc.as<Bbr>();
  b.idle_restart = true;
  b.ack_epoch_us = s.mstamp_us;
  b.ack_epoch_acked = 0;
  if (b.mode == Mode::kProbeBw) {
    set_pacing_rate(s, b.rate(), kUnit);
  } else if (b.mode == Mode::kProbeRtt) {
    end_probe_rtt_if_due(s);
  }
}

// BBR does not use ssthresh; the pipeline asks for it when recovery begins.
uint32_t ssthresh(Sender& s) {
  save_cwnd(s);
  return s.snd_ssthresh;
}

// The loss was none: what was concluded from it is forgotten.
uint32_t undo_cwnd(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  b.full_rate = 0;
  b.full_rate_count = 0;
  reset_long_term(s);
  return s.snd_cwnd;
}

void set_state(Sender& s, CaState fresh) {
  if (fresh != CaState::kLoss) return;
  auto& b = s.cc.as<Bbr>();
  b.prev_ca_state = CaState::kLoss;
  b.full_rate = 0;
  b.round_start = true;  // a time-out takes as long as a round trip
  RateSample rs;
  rs.losses = 1;
  sample_long_term(s, rs);
}

uint32_t sndbuf_expand(Sender&) {
  return 3;
}

size_t get_info(const Sender& s, std::span<uint8_t> out) {
  const auto& b = s.cc.as<Bbr>();
  const uint64_t rate = (static_cast<uint64_t>(b.rate()) * s.mss_cache * 1'000'000) >> kRateBits;
  const uint32_t info[5] = {static_cast<uint32_t>(rate), static_cast<uint32_t>(rate >> 32), b.min_rtt_us, b.pacing_gain,
                            b.cwnd_gain};
  const size_t n = std::min(out.size(), sizeof info);
  std::memcpy(out.data(), info, n);
  return n;
}

}  // namespace

uint64_t bytes_per_second(const Sender& s, uint64_t rate, uint32_t gain) {
  rate = (rate * s.mss_cache * gain) >> kGainBits;
  return (rate * kPacingMargin) >> kRateBits;
}

uint32_t inflight_target(Sender& s, uint32_t rate, uint32_t gain) {
  return add_burst_room(s, delay_product(s, rate, gain));
}

uint32_t burst_segs(Sender& s) {
  const uint64_t bytes = std::min(s.pacing_rate >> 10, kLargestBurst);
  const uint32_t segs = std::max(static_cast<uint32_t>(bytes / s.mss_cache), min_tso_segs(s));
  return std::min(segs, 127u);
}

void save_cwnd(Sender& s) {
  auto& b = s.cc.as<Bbr>();
  const bool is_whole = b.prev_ca_state < CaState::kRecovery && b.mode != Mode::kProbeRtt;
  b.prior_cwnd = is_whole ? s.snd_cwnd : std::max(b.prior_cwnd, s.snd_cwnd);
}

}  // namespace leat::tcp::cc::bbr

namespace leat::tcp::cc {

const Algorithm kBbr{
    .name = "bbr",
    .flags = kNonRestricted | kDraws,
    .init = bbr::init,
    .ssthresh = bbr::ssthresh,
    .set_state = bbr::set_state,
    .cwnd_event = bbr::on_event,
    .undo_cwnd = bbr::undo_cwnd,
    .cong_control = bbr::cong_control,
    .min_tso_segs = bbr::min_tso_segs,
    .sndbuf_expand = bbr::sndbuf_expand,
    .get_info = bbr::get_info,
};

}  // namespace leat::tcp::cc
