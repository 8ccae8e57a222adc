#include "tcp/info.h"

#include <algorithm>

#include "tcp/tcp.h"
#include "tcp/timers.h"

namespace leat::tcp {
namespace {

uint32_t us_of(Duration d) {
  return static_cast<uint32_t>(d.us());
}

void fill_listener(const Listener& l, TcpInfo& i) {
  i.unacked = l.ack_backlog;
  i.sacked = l.backlog;
}

void fill_negotiated(const Conn& c, TcpInfo& i) {
  const ReceivedOptions& o = c.rx_opt;
  if (o.tstamp_ok) i.options |= kInfoTimestamps;
  if (o.sack_ok) i.options |= kInfoSack;
  if (o.wscale_ok) {
    i.options |= kInfoWscale;
    i.snd_wscale = o.snd_wscale & 15;
    i.rcv_wscale = o.rcv_wscale & 15;
  }
  if (c.ecn_flags & kEcnOk) i.options |= kInfoEcn;
  if (c.ecn_flags & kEcnSeen) i.options |= kInfoEcnSeen;
  if (c.syn_data_acked) i.options |= kInfoSynData;
  if (c.syn_fastopen_child) i.options |= kInfoFastOpenChild;
  i.fastopen_client_fail = c.fastopen_client_fail & 3;
}

void fill_times(const Conn& c, TcpInfo& i) {
  const uint32_t now = c.tcp.now().jiffies();
  i.last_data_sent = now - c.lsndtime;
  i.last_data_recv = now - c.ack.lrcvtime;
  i.last_ack_recv = now - c.rcv_tstamp;
  i.rto = us_of(c.rto);
  i.ato = us_of(std::min(c.ack.ato, delack_max(c)));
  i.rtt = c.srtt_us >> 3;
  i.rttvar = c.mdev_us >> 2;
  i.min_rtt = c.rtt_min.get();
  i.rcv_rtt = c.rcv_rtt_us >> 3;
  i.total_rto = c.total_rto;
  i.total_rto_recoveries = c.total_rto_recoveries;
  i.total_rto_time = c.total_rto_time;
  // rto_stamp is in the connection's timestamps, set while time-outs go on.
  if (c.rto_stamp != 0) i.total_rto_time += now + c.tsoffset - c.rto_stamp;
}

// Busy is the whole time with something to send; the others are the parts of it that something else than the network
// held up.
void fill_limits(const Conn& c, TcpInfo& i) {
  uint64_t us[3];
  for (uint8_t k = 0; k < 3; ++k) {
    uint32_t ms = c.chrono_stat[k];
    if (c.chrono_type == k + 1) ms += c.tcp.now().jiffies() - c.chrono_start;
    us[k] = static_cast<uint64_t>(ms) * 1000;
  }
  i.busy_time = us[0] + us[1] + us[2];
  i.rwnd_limited = us[1];
  i.sndbuf_limited = us[2];
}

void fill_sender(const Conn& c, TcpInfo& i) {
  i.ca_state = static_cast<uint8_t>(c.ca_state);
  i.retransmits = c.retransmits;
  i.probes = c.probes_out;
  i.backoff = c.backoff;
  i.snd_mss = c.mss_cache;
  i.unacked = c.packets_out;
  i.sacked = c.sacked_out;
  i.lost = c.lost_out;
  i.retrans = c.retrans_out;
  i.pmtu = c.pmtu_cookie;
  i.snd_ssthresh = c.snd_ssthresh;
  i.snd_wnd = c.snd_wnd;
  const auto unsent = static_cast<int32_t>(c.write_seq - c.snd_nxt);
  i.notsent_bytes = static_cast<uint32_t>(std::max(unsent, 0));
  i.rehash = c.plb_rehash + c.timeout_rehash;
}

void fill_receiver(const Conn& c, TcpInfo& i) {
  i.rcv_mss = c.ack.rcv_mss;
  i.rcv_ssthresh = c.rcv_ssthresh;
  i.advmss = c.advmss;
  i.rcv_space = c.rcvq_space;
  i.rcv_ooopack = c.rcv_ooopack;
  i.rcv_wnd = c.rcv_wnd;
}

void fill_delivery(const Conn& c, TcpInfo& i) {
  i.delivery_rate_app_limited = c.rate_app_limited;
  if (c.rate_delivered != 0 && c.rate_interval_us != 0) {
    i.delivery_rate = static_cast<uint64_t>(c.rate_delivered) * c.mss_cache * 1'000'000 / c.rate_interval_us;
  }
  i.delivered = c.delivered;
  i.delivered_ce = c.delivered_ce;
}

void fill_counters(const Conn& c, TcpInfo& i) {
  i.total_retrans = c.total_retrans;
  i.bytes_acked = c.bytes_acked;
  i.bytes_received = c.bytes_received;
  i.bytes_sent = c.bytes_sent;
  i.bytes_retrans = c.bytes_retrans;
  i.segs_out = c.segs_out;
  i.segs_in = c.segs_in;
  i.data_segs_out = c.data_segs_out;
  i.data_segs_in = c.data_segs_in;
  i.dsack_dups = c.dsack_dups;
  i.reord_seen = c.reord_seen;
}

}  // namespace

TcpInfo get_info(const Conn& c) {
  TcpInfo i{};
  i.state = static_cast<uint8_t>(c.state());
  i.pacing_rate = c.pacing_rate;
  i.max_pacing_rate = c.max_pacing_rate;
  i.reordering = c.reordering;
  i.snd_cwnd = c.snd_cwnd;
  if (c.state() == State::kListen) {
    fill_listener(*c.sk.listener, i);
    return i;
  }
  fill_negotiated(c, i);
  fill_times(c, i);
  fill_limits(c, i);
  fill_sender(c, i);
  fill_receiver(c, i);
  fill_delivery(c, i);
  fill_counters(c, i);
  return i;
}

uint32_t bytes_to_read(const Conn& c) {
  if (in_state(c.state(), {State::kSynSent, State::kSynRecv})) return 0;
  const bool urgent_ahead =
      c.urg_data != 0 && !c.sk.oob_inline && !before(c.urg_seq, c.copied_seq) && before(c.urg_seq, c.rcv_nxt);
  if (urgent_ahead) return c.urg_seq - c.copied_seq;
  const uint32_t n = c.rcv_nxt - c.copied_seq;
  return n != 0 && c.sock_done ? n - 1 : n;
}

}  // namespace leat::tcp
