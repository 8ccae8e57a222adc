// Reno (RFC 5681 §3.1): doubles a round trip up to ssthresh, then one segment a round trip; halves on loss. Its pieces
// serve the other algorithms.
#include <algorithm>

#include "tcp/cc/algorithms.h"

namespace leat::tcp::cc {

uint32_t slow_start(Sender& s, uint32_t acked) {
  const uint32_t cwnd = std::min(s.snd_cwnd + acked, s.snd_ssthresh);
  const uint32_t left = acked - (cwnd - s.snd_cwnd);
  s.snd_cwnd = std::min(cwnd, s.snd_cwnd_clamp);
  return left;
}

void cong_avoid_ai(Sender& s, uint32_t w, uint32_t acked) {
  if (s.snd_cwnd_cnt >= w) {  // credit from a time when w was larger
    s.snd_cwnd_cnt = 0;
    ++s.snd_cwnd;
  }
  s.snd_cwnd_cnt += acked;
  if (s.snd_cwnd_cnt >= w) {
    const uint32_t steps = s.snd_cwnd_cnt / w;
    s.snd_cwnd_cnt -= steps * w;
    s.snd_cwnd += steps;
  }
  s.snd_cwnd = std::min(s.snd_cwnd, s.snd_cwnd_clamp);
}

// A window that is not used is not tested, and must not grow (RFC 7661). Slow start may run ahead by a factor of two.
bool is_cwnd_limited(const Sender& s) {
  if (s.is_cwnd_limited) return true;
  return s.in_slow_start() && s.snd_cwnd < 2 * s.max_packets_out;
}

uint32_t reno_ssthresh(Sender& s) {
  return std::max(s.snd_cwnd >> 1, 2u);
}

void reno_cong_avoid(Sender& s, Seq, uint32_t acked) {
  if (!is_cwnd_limited(s)) return;
  if (s.in_slow_start()) {
    acked = slow_start(s, acked);
    if (acked == 0) return;
  }
  cong_avoid_ai(s, s.snd_cwnd, acked);
}

uint32_t reno_undo_cwnd(Sender& s) {
  return std::max(s.snd_cwnd, s.prior_cwnd);
}

const Algorithm kReno{
    .name = "reno",
    .flags = kNonRestricted,
    .ssthresh = reno_ssthresh,
    .cong_avoid = reno_cong_avoid,
    .undo_cwnd = reno_undo_cwnd,
};

}  // namespace leat::tcp::cc
