// CUBIC (RFC 9438) in the integers of Linux: after a loss at W_max the window follows W(t) = C(t - K)^3 + W_max with
// C = 0.4 and a reduction to 0.7, is never slower than Reno would be, and gives way early when the last maximum was
// not reached again (fast convergence). Slow start ends by HyStart.
//
// Time on the curve counts in 1/1024 s. Not here: HyStart++ (RFC 9406); Linux 6.18 has the older one.
#include <algorithm>

#include "tcp/cc/algorithms.h"
#include "tcp/cc/cube_root.h"
#include "tcp/cc/hystart.h"

namespace leat::tcp::cc {
namespace {

constexpr uint32_t kScale = 1024;
constexpr uint32_t kBeta = 717;                                               // 717/1024 = 0.7
constexpr uint32_t kCubeScale = 410;                                          // C = 410/1024 = 0.4
constexpr uint32_t kRenoScale = 8 * (kScale + kBeta) / 3 / (kScale - kBeta);  // 3(1+β)/(1-β) ACKs a segment, << 3
constexpr int kTimeBits = 10;
constexpr uint64_t kCubeFactor = (uint64_t{1} << (10 + 3 * kTimeBits)) / kCubeScale;  // 1/C in time units cubed
constexpr int32_t kUpdateGap = 1000 / 32;  // ms between updates for the same window
constexpr int32_t kAfterRecovery = 1000;   // ms whose RTTs are not those of the path
static_assert(kRenoScale == 15 && kCubeFactor == 2681735677);

struct Cubic {
  uint32_t cnt;            // ACKs for one more segment
  uint32_t last_max_cwnd;  // W_max
  uint32_t last_cwnd;      // of the last update
  uint32_t last_time;      // jiffies
  uint32_t origin;         // the plateau of the curve
  uint32_t k;              // time from the epoch's start to the plateau, 1/1024 s
  uint32_t delay_min;      // µs, the smallest ever
  uint32_t epoch_start;    // jiffies; 0: none
  uint32_t ack_cnt;        // ACKs that Reno has not used yet
  uint32_t reno_cwnd;      // where Reno would be
  HyStart hystart;
};

void reset(Cubic& c) {
  const HyStart kept = c.hystart;
  c = Cubic{};
  c.hystart = kept;
  c.hystart.forget();
}

void init(Sender& s) {
  auto& c = s.cc.as<Cubic>();
  reset(c);
  c.hystart.start_round(s);
}

// A sender that was silent goes on where it was on the curve.
void on_event(Sender& s, Event e) {
  if (e != Event::kTxStart) return;
  auto& c = s.cc.as<Cubic>();
  const uint32_t now = s.jiffies();
  const auto idle = static_cast<int32_t>(now - s.lsndtime);
  if (c.epoch_start == 0 || idle <= 0) return;
  c.epoch_start += static_cast<uint32_t>(idle);
  if (after(c.epoch_start, now)) c.epoch_start = now;
}

void start_epoch(Cubic& c, uint32_t now, uint32_t cwnd, uint32_t acked) {
  c.epoch_start = now;
  c.ack_cnt = acked;
  c.reno_cwnd = cwnd;
  if (c.last_max_cwnd <= cwnd) {
    c.k = 0;
    c.origin = cwnd;
  } else {
    c.k = cube_root(kCubeFactor * (c.last_max_cwnd - cwnd));
    c.origin = c.last_max_cwnd;
  }
}

// W(t) one round trip from now.
uint32_t target_window(const Cubic& c, uint32_t now, uint32_t delay_ms) {
  const auto elapsed_ms = static_cast<int64_t>(static_cast<int32_t>(now - c.epoch_start)) + delay_ms;
  const uint64_t t = (static_cast<uint64_t>(elapsed_ms) << kTimeBits) / 1000;
  const uint64_t distance = t < c.k ? c.k - t : t - c.k;
  const auto delta = static_cast<uint32_t>((kCubeScale * distance * distance * distance) >> (10 + 3 * kTimeBits));
  return t < c.k ? c.origin - delta : c.origin + delta;
}

// RFC 9438 §4.3: at least as fast as Reno with CUBIC's reduction.
void keep_up_with_reno(Cubic& c, uint32_t cwnd) {
  const uint32_t acks_a_segment = (cwnd * kRenoScale) >> 3;
  while (c.ack_cnt > acks_a_segment) {
    c.ack_cnt -= acks_a_segment;
    ++c.reno_cwnd;
  }
  if (c.reno_cwnd > cwnd) c.cnt = std::min(c.cnt, cwnd / (c.reno_cwnd - cwnd));
}

void follow_curve(Cubic& c, const Sender& s, uint32_t acked) {
  const uint32_t now = s.jiffies(), cwnd = s.snd_cwnd;
  c.last_cwnd = cwnd;
  c.last_time = now;
  if (c.epoch_start == 0) start_epoch(c, now, cwnd, acked);
  const uint32_t target = target_window(c, now, s.whole_jiffies(c.delay_min));
  c.cnt = target > cwnd ? cwnd / (target - cwnd) : 100 * cwnd;
  if (c.last_max_cwnd == 0 && c.cnt > 20) c.cnt = 20;  // no loss yet, hence no idea of the capacity: 5 % a round trip
}

void update(Cubic& c, const Sender& s, uint32_t acked) {
  const uint32_t now = s.jiffies(), cwnd = s.snd_cwnd;
  c.ack_cnt += acked;
  if (c.last_cwnd == cwnd && static_cast<int32_t>(now - c.last_time) <= kUpdateGap) return;
  // Once a millisecond is enough for the curve; an epoch's start is found out at once.
  if (c.epoch_start == 0 || now != c.last_time) follow_curve(c, s, acked);
  keep_up_with_reno(c, cwnd);
  c.cnt = std::max(c.cnt, 2u);  // 1.5 times a round trip at most
}

void cong_avoid(Sender& s, Seq, uint32_t acked) {
  if (!is_cwnd_limited(s)) return;
  if (s.in_slow_start()) {
    acked = slow_start(s, acked);
    if (acked == 0) return;
  }
  auto& c = s.cc.as<Cubic>();
  update(c, s, acked);
  cong_avoid_ai(s, c.cnt, acked);
}

uint32_t ssthresh(Sender& s) {
  auto& c = s.cc.as<Cubic>();
  c.epoch_start = 0;
  const bool gives_way = s.snd_cwnd < c.last_max_cwnd;  // RFC 9438 §4.7
  c.last_max_cwnd = gives_way ? s.snd_cwnd * (kScale + kBeta) / (2 * kScale) : s.snd_cwnd;
  return std::max(s.snd_cwnd * kBeta / kScale, 2u);
}

void set_state(Sender& s, CaState fresh) {
  if (fresh != CaState::kLoss) return;
  auto& c = s.cc.as<Cubic>();
  reset(c);
  c.hystart.start_round(s);
}

void on_acked(Sender& s, const AckSample& sample) {
  if (sample.rtt_us < 0) return;
  auto& c = s.cc.as<Cubic>();
  if (c.epoch_start != 0 && static_cast<int32_t>(s.jiffies() - c.epoch_start) < kAfterRecovery) return;
  const auto delay = static_cast<uint32_t>(std::max(sample.rtt_us, 1));
  if (c.delay_min == 0 || c.delay_min > delay) c.delay_min = delay;
  if (!c.hystart.has_found() && s.in_slow_start()) c.hystart.on_sample(s, delay, c.delay_min);
}

void settle(Sender& s) {
  s.cc.as<Cubic>().hystart.settle();
}

}  // namespace

const Algorithm kCubic{
    .name = "cubic",
    .flags = kNonRestricted,
    .init = init,
    .ssthresh = ssthresh,
    .cong_avoid = cong_avoid,
    .set_state = set_state,
    .cwnd_event = on_event,
    .pkts_acked = on_acked,
    .undo_cwnd = reno_undo_cwnd,
    .settle = settle,
};

}  // namespace leat::tcp::cc
