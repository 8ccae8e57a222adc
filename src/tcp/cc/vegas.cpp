// Vegas (Brakmo and Peterson, 1995): keeps 2 to 4 segments of its own in the path's queue, judged once a round trip by
// the smallest RTT of that round trip against the smallest ever. Linear increase and decrease; losses as Reno.
#include <algorithm>

#include "tcp/cc/algorithms.h"
#include "tcp/cc/vegas_info.h"

namespace leat::tcp::cc {
namespace {

constexpr uint32_t kAlpha = 2;  // segments in the queue: fewer are too few,
constexpr uint32_t kBeta = 4;   // more are too many,
constexpr uint32_t kGamma = 1;  // more end slow start
constexpr uint32_t kNoRtt = 0x7fffffff;

struct Vegas {
  Seq round_end;
  bool is_on;  // only while nothing is lost or reordered
  uint32_t rtt_count;
  uint32_t min_rtt;   // µs, of this round trip
  uint32_t base_rtt;  // µs, of all
};

void start_round(const Sender& s, Vegas& v) {
  v.round_end = s.snd_nxt;
  v.rtt_count = 0;
  v.min_rtt = kNoRtt;
}

void switch_on(const Sender& s, Vegas& v) {
  v.is_on = true;
  start_round(s, v);
}

void init(Sender& s) {
  auto& v = s.cc.as<Vegas>();
  v.base_rtt = kNoRtt;
  switch_on(s, v);
}

void on_acked(Sender& s, const AckSample& sample) {
  if (sample.rtt_us < 0) return;
  auto& v = s.cc.as<Vegas>();
  const uint32_t rtt = static_cast<uint32_t>(sample.rtt_us) + 1;  // never 0
  v.base_rtt = std::min(v.base_rtt, rtt);
  v.min_rtt = std::min(v.min_rtt, rtt);
  ++v.rtt_count;
}

void set_state(Sender& s, CaState fresh) {
  auto& v = s.cc.as<Vegas>();
  if (fresh == CaState::kOpen) {
    switch_on(s, v);
  } else {
    v.is_on = false;
  }
}

// After a silence the path may be another one.
void on_event(Sender& s, Event e) {
  if (e == Event::kCwndRestart || e == Event::kTxStart) init(s);
}

void lower_ssthresh(Sender& s) {
  s.snd_ssthresh = std::min(s.snd_ssthresh, s.snd_cwnd);
}

uint32_t ssthresh_of_now(const Sender& s) {
  if (s.in_cwnd_reduction()) return s.snd_ssthresh;
  return std::max(s.snd_ssthresh, (s.snd_cwnd >> 1) + (s.snd_cwnd >> 2));
}

void judge_round(Sender& s, const Vegas& v, uint32_t acked) {
  const auto target = static_cast<uint32_t>(static_cast<uint64_t>(s.snd_cwnd) * v.base_rtt / v.min_rtt);
  const uint32_t queued = s.snd_cwnd * (v.min_rtt - v.base_rtt) / v.base_rtt;
  if (s.in_slow_start()) {
    if (queued > kGamma) {
      s.snd_cwnd = std::min(s.snd_cwnd, target + 1);
      lower_ssthresh(s);
    } else {
      slow_start(s, acked);
    }
  } else if (queued > kBeta) {
    --s.snd_cwnd;
    lower_ssthresh(s);
  } else if (queued < kAlpha) {
    ++s.snd_cwnd;
  }
  s.snd_cwnd = std::min(std::max(s.snd_cwnd, 2u), s.snd_cwnd_clamp);
  s.snd_ssthresh = ssthresh_of_now(s);
}

void cong_avoid(Sender& s, Seq ack, uint32_t acked) {
  auto& v = s.cc.as<Vegas>();
  if (!v.is_on) return reno_cong_avoid(s, ack, acked);
  if (after(ack, v.round_end)) {
    // Two samples may both be from delayed ACKs: too little to judge by.
    if (v.rtt_count <= 2) {
      reno_cong_avoid(s, ack, acked);
    } else {
      judge_round(s, v, acked);
    }
    start_round(s, v);
  } else if (s.in_slow_start()) {
    slow_start(s, acked);
  }
}

size_t get_info(const Sender& s, std::span<uint8_t> out) {
  const auto& v = s.cc.as<Vegas>();
  return VegasInfo{v.is_on, v.rtt_count, v.base_rtt, v.min_rtt}.put(out);
}

}  // namespace

const Algorithm kVegas{
    .name = "vegas",
    .flags = kNonRestricted,
    .init = init,
    .ssthresh = reno_ssthresh,
    .cong_avoid = cong_avoid,
    .set_state = set_state,
    .cwnd_event = on_event,
    .pkts_acked = on_acked,
    .undo_cwnd = reno_undo_cwnd,
    .get_info = get_info,
};

}  // namespace leat::tcp::cc
