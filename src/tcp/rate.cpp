// Delivery rate samples (draft-cheng-iccrg-delivery-rate-estimation, Linux's tcp_rate): each segment remembers how much
// had been delivered when it left; when it is delivered itself, the difference over the longer of the send and the ACK
// interval is the rate of its flight.
#include <algorithm>

#include "tcp/input.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {

void rate_segment_sent(Conn& c, TxSegment& t) {
  // A new flight starts: its first packet opens both intervals. The handshake is no sample: its SYN is not delivered
  // data.
  if (c.packets_out == 0 && c.state() != State::kSynSent) {
    c.first_tx_us = t.sent_us;
    c.delivered_us = t.sent_us;
  }
  t.first_tx_us = c.first_tx_us;
  t.delivered_us = c.delivered_us;
  t.delivered = c.delivered;
  t.delivered_ce = c.delivered_ce & 0xfffff;
  t.is_app_limited = c.app_limited != 0;
}

void rate_segment_delivered(Conn& c, TxSegment& t, RateSample& rs) {
  if (t.delivered_us == 0) return;  // counted already, when it was sacked
  if (rs.prior_delivered == 0 || sent_after(t.sent_us, c.first_tx_us, t.end_seq, rs.last_end_seq)) {
    rs.prior_delivered_ce = t.delivered_ce;
    rs.prior_delivered = t.delivered;
    rs.prior_mstamp_us = t.delivered_us;
    rs.is_app_limited = t.is_app_limited;
    rs.is_retrans = t.sacked & kRetransBits;
    rs.last_end_seq = t.end_seq;
    c.first_tx_us = t.sent_us;
    rs.interval_us = static_cast<int64_t>(c.first_tx_us - t.first_tx_us);
  }
  if (t.is_sacked()) t.delivered_us = 0;
}

void rate_gen(Conn& c, uint32_t delivered, uint32_t lost, bool is_sack_reneg, RateSample& rs) {
  if (c.app_limited != 0 && after(c.delivered, c.app_limited)) c.app_limited = 0;
  if (delivered != 0) c.delivered_us = c.mstamp_us;
  rs.acked_sacked = delivered;
  rs.losses = lost;
  if (rs.prior_mstamp_us == 0 || is_sack_reneg) {
    rs.delivered = -1;
    rs.interval_us = -1;
    return;
  }
  rs.delivered = static_cast<int32_t>(c.delivered - rs.prior_delivered);
  rs.delivered_ce = static_cast<int32_t>((c.delivered_ce - rs.prior_delivered_ce) & 0xfffff);
  const auto snd_us = static_cast<uint32_t>(rs.interval_us);
  const auto ack_us = static_cast<uint32_t>(c.mstamp_us - rs.prior_mstamp_us);
  rs.interval_us = std::max(snd_us, ack_us);
  rs.snd_interval_us = snd_us;
  rs.rcv_interval_us = ack_us;
  if (rs.interval_us < c.rtt_min.get()) {  // faster than the path can answer: not a measurement
    rs.interval_us = -1;
    return;
  }
  const auto now_ahead = static_cast<uint64_t>(rs.delivered) * c.rate_interval_us;
  if (!rs.is_app_limited ||
      now_ahead >= static_cast<uint64_t>(c.rate_delivered) * static_cast<uint64_t>(rs.interval_us)) {
    c.rate_delivered = static_cast<uint32_t>(rs.delivered);
    c.rate_interval_us = static_cast<uint32_t>(rs.interval_us);
    c.rate_app_limited = rs.is_app_limited;
  }
}

void rate_check_app_limited(Conn& c) {
  const bool nothing_to_send = c.write_seq - c.snd_nxt < c.mss_cache;
  if (nothing_to_send && c.packets_in_flight() < c.snd_cwnd && c.lost_out <= c.retrans_out) {
    const uint32_t until = c.delivered + c.packets_in_flight();
    c.app_limited = until != 0 ? until : 1;
  }
}

}  // namespace leat::tcp
