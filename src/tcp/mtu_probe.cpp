// Packetization-layer path MTU discovery (RFC 4821; Linux's tcp_mtu_probe): once in a while a segment larger than those
// that surely pass is sent, as an ordinary segment with the next bytes of the stream. Acknowledged, it raises the size
// of all; lost alone, it lowers what is tried. Nothing depends on ICMP.
//
//    low            probe            high          sizes of IP packets; the probe is in the middle
//   ──┼───────────────┼────────────────┼──
//     passes: mss_cache is made of it   may pass: the peer's MSS, the route's MTU
//
// net.ipv4.tcp_mtu_probing: 0 never; 1 when time-outs suggest that large segments vanish; 2 always.
#include <algorithm>

#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

inline constexpr uint32_t kLeastCwnd = 11;  // the loss of the probe alone must be seen by ACKs, and cost little

int32_t largest_of_peer(const Conn& c) {
  const uint32_t headers = wire::kTcpHeaderBytes + (c.sk.addresses_are_v6 ? 40u : 20u);
  return static_cast<int32_t>(c.rx_opt.mss_clamp + headers);
}

uint32_t payload_of(const Conn& c, int64_t size) {
  return mtu_to_mss(c, static_cast<uint32_t>(std::max<int64_t>(size, 0)));
}

// The search is over. Paths change: after tcp_probe_interval it begins anew with what is now known to pass.
void search_again(Conn& c) {
  const auto interval_ms = static_cast<uint64_t>(c.tcp.ns.sysctl.tcp_probe_interval) * 1000;
  if (c.jiffies() - c.mtu_search.stamp < interval_ms) return;
  const uint32_t mss = current_mss(c);
  c.mtu_search.probe_size = 0;
  c.mtu_search.high = largest_of_peer(c);
  c.mtu_search.low = static_cast<int32_t>(mss_to_mtu(c, mss));
  c.mtu_search.stamp = c.jiffies();
}

// A segment whose end, time stamp or place means something to somebody is not joined with the next.
bool may_join(const Conn& c, const TxSegment& t) {
  return !t.eor && (c.stamping == nullptr || !is_stamped(c, t));
}

// The first `size` bytes of the write queue as one packet that shares them; nullptr: they cannot be.
PacketPtr gather(Conn& c, uint32_t size) {
  PacketPtr probe = c.tcp.pool.make(0);
  if (probe == nullptr) return nullptr;
  uint32_t left = size;
  for (Packet* p = c.write_queue.front(); p != nullptr && left != 0; p = c.write_queue.next(p)) {
    if (p->linear_length() != 0 || p->more != nullptr) return nullptr;
    if (left > p->length && !may_join(c, tx_segment(*p))) return nullptr;
    for (uint16_t i = 0; i < p->frag_count && left != 0; ++i) {
      const Fragment& f = p->frags[i];
      const uint32_t n = std::min(left, f.length);
      if (!probe->can_add_fragment(f.buffer, f.offset)) return nullptr;
      probe->add_fragment(f.buffer, f.offset, n);
      left -= n;
    }
  }
  if (left != 0) return nullptr;
  probe->truesize = c.tcp.pool.charges.tx_overhead + size;
  return probe;
}

// What the probe has is taken off the queue behind it. There is always more than that: a FIN is never among it.
void take_over(Conn& c, TxSegment& probe, uint32_t mss) {
  for (uint32_t left = probe.length(); left != 0;) {
    Packet* p = c.write_queue.next(&probe.packet());
    TxSegment& t = tx_segment(*p);
    const uint32_t n = std::min(left, p->length);
    left -= n;
    if (n < p->length) {
      probe.flags |= t.flags & static_cast<uint8_t>(~(wire::kTcpFin | wire::kTcpPsh));
      p->pull(n);
      t.seq += n;
      set_segs(t, mss);
      return;
    }
    probe.flags |= t.flags;
    probe.eor = t.eor;
    uncharge_to_send(c, p->truesize);
    PacketList::erase(p);
    PacketPtr owner(p);
  }
}

TxSegment* make_probe(Conn& c, uint32_t size, uint32_t mss) {
  PacketPtr packet = gather(c, size);
  if (packet == nullptr) return nullptr;
  TxSegment& head = *c.send_head();
  TxSegment& probe = make_tx_segment(*packet);
  probe.seq = head.seq;
  probe.end_seq = head.seq + size;
  probe.flags = wire::kTcpAck;
  reserve_memory(c, packet->truesize);
  charge_to_send(c, packet->truesize);
  c.write_queue.push_front(packet.release());
  take_over(c, probe, mss);
  probe.segs = 1;
  probe.mss = 0;
  return &probe;
}

bool is_ready(const Conn& c) {
  return c.ca_state == CaState::kOpen && c.snd_cwnd >= kLeastCwnd && c.rx_opt.num_sacks == 0 && !c.has_dsack;
}

}  // namespace

void init_mtu_search(Conn& c) {
  const auto& sys = c.tcp.ns.sysctl;
  MtuSearch& m = c.mtu_search;
  m.enabled = sys.tcp_mtu_probing > 1;
  m.high = largest_of_peer(c);
  m.low = static_cast<int32_t>(mss_to_mtu(c, sys.tcp_base_mss.as<uint32_t>()));
  m.probe_size = 0;
  if (m.enabled) m.stamp = c.jiffies();
}

MtuProbe send_mtu_probe(Conn& c) {
  MtuSearch& m = c.mtu_search;
  if (m.probe_size != 0 || !is_ready(c)) return MtuProbe::kNone;
  const uint32_t mss = current_mss(c);
  const uint32_t size = payload_of(c, (int64_t{m.high} + m.low) >> 1);
  // Behind it there must be enough segments to tell by their ACKs that it was lost.
  const uint64_t needed = size + (uint64_t{c.reordering} + 1) * c.mss_cache;
  if (size > payload_of(c, m.high) || int64_t{m.high} - m.low < c.tcp.ns.sysctl.tcp_probe_threshold) {
    search_again(c);
    return MtuProbe::kNone;
  }
  if (c.write_seq - c.snd_nxt < needed || c.snd_wnd < needed) return MtuProbe::kNone;
  if (after(c.snd_nxt + static_cast<uint32_t>(needed), c.wnd_end())) return MtuProbe::kWait;
  const uint32_t in_flight = c.packets_in_flight();
  if (in_flight + 2 > c.snd_cwnd) return in_flight == 0 ? MtuProbe::kNone : MtuProbe::kWait;
  TxSegment* probe = make_probe(c, size, mss);
  if (probe == nullptr || transmit_segment(c, *probe, true) != 0) return MtuProbe::kNone;
  --c.snd_cwnd;  // it is as long as two
  m.probe_size = mss_to_mtu(c, probe->length());
  m.probe_start = probe->seq;
  m.probe_end = probe->end_seq;
  new_data_sent(c, *probe);
  return MtuProbe::kSent;
}

bool on_mtu_probe_lost(Conn& c) {
  MtuSearch& m = c.mtu_search;
  if (c.ca_state >= CaState::kCwr || m.probe_size == 0 || c.snd_una != m.probe_start) return false;
  m.high = static_cast<int32_t>(m.probe_size) - 1;
  m.probe_size = 0;
  c.tcp.count(Mib::TcpExtTCPMTUPFail);
  ++c.snd_cwnd;  // what the probe had cost
  simple_retransmit(c);
  return true;
}

// The window is counted in segments: fewer of them are as many bytes as before.
void on_mtu_probe_acked(Conn& c) {
  MtuSearch& m = c.mtu_search;
  if (m.probe_size == 0 || after(m.probe_end, c.snd_una)) return;
  c.prior_ssthresh = current_ssthresh(c);
  const uint64_t cwnd = uint64_t{c.snd_cwnd} * mss_to_mtu(c, c.mss_cache) / m.probe_size;
  c.snd_cwnd = std::max<uint32_t>(static_cast<uint32_t>(cwnd), 1);
  c.snd_cwnd_cnt = 0;
  c.snd_cwnd_stamp = c.jiffies();
  c.snd_ssthresh = current_ssthresh(c);
  m.low = static_cast<int32_t>(m.probe_size);
  m.probe_size = 0;
  sync_mss(c, c.pmtu_cookie);
  c.tcp.count(Mib::TcpExtTCPMTUPSuccess);
}

// Time-outs in a row: first tcp_base_mss is fallen back to, then what is known to pass is halved each time.
void on_mtu_black_hole(Conn& c) {
  const auto& sys = c.tcp.ns.sysctl;
  MtuSearch& m = c.mtu_search;
  if (sys.tcp_mtu_probing == 0) return;
  if (!m.enabled) {
    m.enabled = true;
    m.stamp = c.jiffies();
  } else {
    int64_t mss = payload_of(c, m.low) >> 1;
    mss = std::min<int64_t>(sys.tcp_base_mss, mss);
    mss = std::max<int64_t>({mss, sys.tcp_mtu_probe_floor, sys.tcp_min_snd_mss});
    m.low = static_cast<int32_t>(mss_to_mtu(c, static_cast<uint32_t>(mss)));
  }
  sync_mss(c, c.pmtu_cookie);
}

}  // namespace leat::tcp
