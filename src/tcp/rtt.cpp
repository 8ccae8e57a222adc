// Round-trip time and the retransmission time-out (RFC 6298) with Linux's constants: srtt is kept << 3, the deviation
// << 2, its maximum of one flight steers rttvar, which falls by a quarter a flight at most.
#include <algorithm>

#include "tcp/input.h"
#include "tcp/recovery/recovery.h"
#include "tcp/timers.h"

namespace leat::tcp {
namespace {

void update_deviation(Conn& c, int64_t error) {
  c.mdev_us = static_cast<uint32_t>(static_cast<int64_t>(c.mdev_us) + error);
  if (c.mdev_us > c.mdev_max_us) {
    c.mdev_max_us = c.mdev_us;
    if (c.mdev_max_us > c.rttvar_us) c.rttvar_us = c.mdev_max_us;
  }
  if (!after(c.snd_una, c.rtt_seq)) return;  // one flight has not passed yet
  if (c.mdev_max_us < c.rttvar_us) c.rttvar_us -= (c.rttvar_us - c.mdev_max_us) >> 2;
  c.rtt_seq = c.snd_nxt;
  c.mdev_max_us = static_cast<uint32_t>(rto_min(c).us());
}

}  // namespace

void rtt_estimator(Conn& c, int64_t mrtt_us) {
  int64_t m = mrtt_us;
  if (c.srtt_us == 0) {  // RFC 6298 §2.2
    c.srtt_us = std::max<uint32_t>(1, static_cast<uint32_t>(m << 3));
    c.mdev_us = static_cast<uint32_t>(m << 1);
    c.rttvar_us = std::max(c.mdev_us, static_cast<uint32_t>(rto_min(c).us()));
    c.mdev_max_us = c.rttvar_us;
    c.rtt_seq = c.snd_nxt;
    return;
  }
  m -= c.srtt_us >> 3;
  c.srtt_us = static_cast<uint32_t>(std::max<int64_t>(1, static_cast<int64_t>(c.srtt_us) + m));
  const bool shrinks = m < 0;
  m = (shrinks ? -m : m) - (c.mdev_us >> 2);
  // A falling RTT must not blow the deviation up: an eighth of the usual gain (the Eifel idea).
  if (shrinks && m > 0) m >>= 3;
  update_deviation(c, m);
}

void set_rto(Conn& c) {
  const int64_t us = (c.srtt_us >> 3) + c.rttvar_us;
  c.rto = std::min(Duration::from_ms(c.whole_jiffies(static_cast<uint64_t>(us))), rto_max(c));
}

void update_rtt_min(Conn& c, uint32_t rtt_us, bool is_delayed) {
  if (is_delayed && rtt_us > c.rtt_min.get()) return;  // the peer held the ACK back: says nothing of the path
  const auto window = static_cast<uint32_t>(c.tcp.ns.sysctl.tcp_min_rtt_wlen) * 1000u;
  c.rtt_min.running_min(window, c.jiffies(), rtt_us != 0 ? rtt_us : 1000);
}

int64_t tsopt_rtt_us(const Conn& c, int64_t min_delta_ms) {
  const uint32_t delta = timestamp_now(c) - c.rx_opt.rcv_tsecr;
  if (delta >= static_cast<uint32_t>(INT32_MAX / 1000)) return -1;
  return std::max<int64_t>(delta, min_delta_ms) * 1000;
}

bool ack_update_rtt(Conn& c, uint32_t flag, int64_t seq_rtt_us, int64_t sack_rtt_us, int64_t ca_rtt_us,
                    RateSample& rs) {
  // Karn's rule first: samples from segments sent once. Timestamps only where those are missing (RFC 7323 §4.1).
  if (seq_rtt_us < 0) seq_rtt_us = sack_rtt_us;
  if (seq_rtt_us < 0 && c.rx_opt.saw_tstamp && c.rx_opt.rcv_tsecr != 0 && (flag & kFlagAcked)) {
    seq_rtt_us = ca_rtt_us = tsopt_rtt_us(c, 1);
  }
  rs.rtt_us = ca_rtt_us;
  if (seq_rtt_us < 0) return false;
  update_rtt_min(c, static_cast<uint32_t>(ca_rtt_us), flag & kFlagAckMaybeDelayed);
  rtt_estimator(c, seq_rtt_us);
  set_rto(c);
  c.backoff = 0;  // RFC 6298 §5.7: only a valid sample ends the back-off
  return true;
}

void synack_rtt_meas(Conn& c, uint64_t sent_us) {
  int64_t rtt_us = -1;
  if (sent_us != 0 && c.total_retrans == 0) rtt_us = static_cast<int64_t>(c.mstamp_us - sent_us);
  RateSample rs;
  ack_update_rtt(c, kFlagSynAcked, rtt_us, -1, rtt_us, rs);
}

}  // namespace leat::tcp
