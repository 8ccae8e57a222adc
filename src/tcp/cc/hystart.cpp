#include "tcp/cc/hystart.h"

#include <algorithm>

namespace leat::tcp::cc {
namespace {

constexpr uint32_t kLowWindow = 16;    // segments: below it a queue is no worry
constexpr int32_t kTrainGapUs = 2000;  // ACKs farther apart are not one train
constexpr uint8_t kMinSamples = 8;
constexpr uint32_t kDelayMinUs = 4000;
constexpr uint32_t kDelayMaxUs = 16000;
constexpr uint64_t kLargestBurst = 65215;  // bytes that one transmission may carry (sk_gso_max_size)

// What bursts and middle boxes that gather ACKs may add to a train without any queue on the path.
uint32_t burst_allowance_us(const Sender& s) {
  if (s.pacing_rate == 0) return 0;
  return static_cast<uint32_t>(std::min<uint64_t>(1000, kLargestBurst * 4 * 1'000'000 / s.pacing_rate));
}

uint32_t clock_us(const Sender& s) {
  return static_cast<uint32_t>(s.mstamp_us);
}

}  // namespace

void HyStart::start_round(const Sender& s) {
  round_start_ = last_ack_ = clock_us(s);
  end_seq_ = s.snd_nxt;
  curr_rtt_ = ~0u;
  sample_count_ = 0;
}

void HyStart::on_sample(Sender& s, uint32_t delay, uint32_t delay_min) {
  if (sample_count_ == kNoRound || after(s.snd_una, end_seq_)) start_round(s);
  if (s.snd_cwnd < kLowWindow) return;
  watch_train(s, delay_min);
  watch_delay(s, delay, delay_min);
}

void HyStart::watch_train(Sender& s, uint32_t delay_min) {
  const uint32_t now = clock_us(s);
  if (static_cast<int32_t>(now - last_ack_) > kTrainGapUs) return;
  last_ack_ = now;
  uint32_t threshold = delay_min + burst_allowance_us(s);
  // Pacing spreads the segments of slow start over half a round trip by itself.
  if (s.pacing_status == 0) threshold >>= 1;
  if (static_cast<int64_t>(static_cast<int32_t>(now - round_start_)) > threshold) leave_slow_start(s, kHystartTrain);
}

void HyStart::watch_delay(Sender& s, uint32_t delay, uint32_t delay_min) {
  curr_rtt_ = std::min(curr_rtt_, delay);
  if (sample_count_ < kMinSamples) {
    ++sample_count_;
    return;
  }
  const uint32_t tolerance = std::clamp(delay_min >> 3, kDelayMinUs, kDelayMaxUs);
  if (curr_rtt_ > delay_min + tolerance) leave_slow_start(s, kHystartDelay);
}

void HyStart::leave_slow_start(Sender& s, uint8_t reason) {
  found_ = true;
  s.hystart_exit |= reason;
  s.snd_ssthresh = s.snd_cwnd;
}

}  // namespace leat::tcp::cc
