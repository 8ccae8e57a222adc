// Proportional rate reduction (RFC 6937 with Linux's conservative bound): during a reduction, sending follows delivery
// so that the flight ends up at ssthresh.
#include <algorithm>

#include "tcp/recovery/recovery.h"

namespace leat::tcp {

void init_cwnd_reduction(Conn& c) {
  c.high_seq = c.snd_nxt;
  c.tlp_high_seq = 0;
  c.snd_cwnd_cnt = 0;
  c.prior_cwnd = c.snd_cwnd;
  c.prr_delivered = 0;
  c.prr_out = 0;
  c.snd_ssthresh = c.cc_algorithm->ssthresh(c);
  ecn_queue_cwr(c);
}

void cwnd_reduction(Conn& c, int newly_acked_sacked, uint32_t newly_lost, uint32_t flag) {
  if (newly_acked_sacked <= 0 || c.prior_cwnd == 0) return;
  const int delta = static_cast<int>(c.snd_ssthresh - c.packets_in_flight());
  c.prr_delivered += static_cast<uint32_t>(newly_acked_sacked);
  int sndcnt;
  if (delta < 0) {
    const uint64_t dividend = static_cast<uint64_t>(c.snd_ssthresh) * c.prr_delivered + c.prior_cwnd - 1;
    sndcnt = static_cast<int>(dividend / c.prior_cwnd) - static_cast<int>(c.prr_out);
  } else {
    sndcnt = std::max(static_cast<int>(c.prr_delivered - c.prr_out), newly_acked_sacked);
    if ((flag & kFlagSndUnaAdvanced) && newly_lost == 0) ++sndcnt;  // slow start only while nothing more is lost
    sndcnt = std::min(delta, sndcnt);
  }
  sndcnt = std::max(sndcnt, c.prr_out != 0 ? 0 : 1);  // the fast retransmit itself always goes out
  c.snd_cwnd = c.packets_in_flight() + static_cast<uint32_t>(sndcnt);
}

void end_cwnd_reduction(Conn& c) {
  if (c.cc_algorithm->cong_control != nullptr) return;
  if (c.snd_ssthresh < kInfiniteSsthresh && (c.ca_state == CaState::kCwr || c.undo_marker != 0)) {
    c.snd_cwnd = c.snd_ssthresh;
    c.snd_cwnd_stamp = c.jiffies();
  }
  cwnd_event(c, cc::Event::kCompleteCwr);
}

}  // namespace leat::tcp
