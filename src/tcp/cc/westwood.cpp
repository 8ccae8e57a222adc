// Westwood+ (Mascolo et al.): Reno whose window after a loss is not half of what it was, but what the path has carried
// in the smallest RTT; the rate is measured from the ACKs and filtered twice. For paths that lose without congestion.
#include <algorithm>

#include "tcp/cc/algorithms.h"
#include "tcp/cc/vegas_info.h"

namespace leat::tcp::cc {
namespace {

constexpr uint32_t kShortestSampleMs = 50;
constexpr uint32_t kInitialRttMs = 20'000;

struct Westwood {
  uint32_t raw_rate;      // bytes a ms, filtered once
  uint32_t rate;          // and twice
  uint32_t sample_start;  // jiffies
  uint32_t sample_bytes;
  Seq snd_una;
  uint32_t accounted;  // bytes that duplicate ACKs have stood for already
  uint32_t rtt;        // ms
  uint32_t rtt_min;    // ms
  bool has_una;
  bool restarts_rtt_min;
};

void init(Sender& s) {
  auto& w = s.cc.as<Westwood>();
  w = Westwood{};
  w.restarts_rtt_min = true;
  w.rtt = w.rtt_min = kInitialRttMs;
  w.sample_start = s.jiffies();
  w.snd_una = s.snd_una;
}

void on_acked(Sender& s, const AckSample& sample) {
  if (sample.rtt_us > 0) s.cc.as<Westwood>().rtt = (static_cast<uint32_t>(sample.rtt_us) + 999) / 1000;
}

uint32_t filter(uint32_t old, uint32_t fresh) {
  return (7 * old + fresh) >> 3;
}

void add_rate_sample(Westwood& w, uint32_t elapsed) {
  const uint32_t rate = w.sample_bytes / elapsed;
  if (w.raw_rate == 0 && w.rate == 0) {
    w.raw_rate = w.rate = rate;
  } else {
    w.raw_rate = filter(w.raw_rate, rate);
    w.rate = filter(w.rate, w.raw_rate);
  }
}

void end_sample_if_due(const Sender& s, Westwood& w) {
  if (!w.has_una) {
    w.snd_una = s.snd_una;
    w.has_una = true;
  }
  const uint32_t elapsed = s.jiffies() - w.sample_start;
  if (w.rtt == 0 || elapsed <= std::max(w.rtt, kShortestSampleMs)) return;
  add_rate_sample(w, elapsed);
  w.sample_bytes = 0;
  w.sample_start = s.jiffies();
}

// A duplicate ACK stands for a segment that has arrived; the cumulative ACK that follows must not count it again.
uint32_t count_acked(const Sender& s, Westwood& w) {
  uint32_t acked = s.snd_una - w.snd_una;
  w.snd_una = s.snd_una;
  if (acked == 0) {
    w.accounted += s.mss_cache;
    return s.mss_cache;
  }
  if (acked <= s.mss_cache) return acked;
  if (w.accounted >= acked) {
    w.accounted -= acked;
    return s.mss_cache;
  }
  acked -= w.accounted;
  w.accounted = 0;
  return acked;
}

void on_ack(Sender& s, bool) {
  auto& w = s.cc.as<Westwood>();
  end_sample_if_due(s, w);
  w.sample_bytes += count_acked(s, w);
  w.rtt_min = w.restarts_rtt_min ? w.rtt : std::min(w.rtt, w.rtt_min);
  w.restarts_rtt_min = false;
}

uint32_t carried_window(const Sender& s, const Westwood& w) {
  return std::max(w.rate * w.rtt_min / s.mss_cache, 2u);
}

void on_event(Sender& s, Event e) {
  auto& w = s.cc.as<Westwood>();
  if (e == Event::kCompleteCwr) {
    s.snd_cwnd = s.snd_ssthresh = carried_window(s, w);
  } else if (e == Event::kLoss) {
    s.snd_ssthresh = carried_window(s, w);
    w.restarts_rtt_min = true;
  }
}

size_t get_info(const Sender& s, std::span<uint8_t> out) {
  const auto& w = s.cc.as<Westwood>();
  return VegasInfo{1, 0, w.rtt * 1000, w.rtt_min * 1000}.put(out);
}

}  // namespace

const Algorithm kWestwood{
    .name = "westwood",
    .flags = kNonRestricted,
    .init = init,
    .ssthresh = reno_ssthresh,
    .cong_avoid = reno_cong_avoid,
    .cwnd_event = on_event,
    .in_ack_event = on_ack,
    .pkts_acked = on_acked,
    .undo_cwnd = reno_undo_cwnd,
    .get_info = get_info,
};

}  // namespace leat::tcp::cc
