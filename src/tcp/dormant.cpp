// See dormant.h. One function, visit(), names every number that outlives an idle moment, with the number that it is
// likely to be near to; Packer (dormant_bits.h) writes the differences as bits, Unpacker reads them. What visit() does
// not name has a value in every connection that may sleep (an empty queue, a zero), or follows from what it names (the
// route, header lengths).
#include "tcp/dormant.h"

#include <algorithm>
#include <new>
#include <utility>

#include "tcp/dormant_bits.h"
#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"
#include "tcp/timers.h"

namespace leat::tcp {
namespace {

// What update_pacing_rate would say now; most connections have just that.
uint64_t usual_pacing_rate(Conn& c) {
  const uint64_t kept = c.pacing_rate;
  if (c.cc_algorithm != nullptr && c.cc_algorithm->cong_control == nullptr) update_pacing_rate(c);
  return std::exchange(c.pacing_rate, kept);
}

template <class A>
void visit_sequence(A& a, Conn& c) {
  a.raw(c.snd_una);
  a.raw(c.rcv_nxt);
  a.near(c.rcv_wup, c.rcv_nxt);
  a.near(c.snd_wl1, c.rcv_nxt);
  a.near(c.pushed_seq, c.snd_una);
  a.near(c.rtt_seq, c.snd_una);
  a.near(c.cwnd_usage_seq, c.snd_una);
  a(c.snd_wnd);
  a.near(c.max_window, c.snd_wnd);
  a(c.rcv_wnd);
  a.near(c.rcv_ssthresh, c.rcv_wnd);
  a.near(c.window_clamp, c.rcv_ssthresh);
  a(c.mss_cache);
  a.near(c.advmss, c.mss_cache);
  a.near(c.pmtu_cookie, c.mss_cache);
  a(c.scaling_ratio);
}

template <class A>
void visit_options(A& a, Conn& c) {
  auto& o = c.rx_opt;
  uint32_t flags = (o.tstamp_ok ? 1u : 0) | (o.wscale_ok ? 2u : 0) | (o.sack_ok ? 4u : 0) | (o.dsack_seen ? 8u : 0) |
                   (o.saw_tstamp ? 16u : 0) | (c.cc_initialized ? 32u : 0) | (c.rate_app_limited ? 64u : 0) |
                   (c.is_cwnd_limited ? 128u : 0) | (c.syn_data ? 256u : 0) | (c.syn_data_acked ? 512u : 0) |
                   (c.is_passive ? 1024u : 0) | (c.ecn_ok ? 2048u : 0) | (c.syn_fastopen_child ? 4096u : 0) |
                   (c.rack.dsack_seen ? 8192u : 0) | static_cast<uint32_t>(o.snd_wscale) << 14 |
                   static_cast<uint32_t>(o.rcv_wscale) << 18 | static_cast<uint32_t>(c.fastopen_client_fail) << 22 |
                   (c.may_predict ? 1u << 26 : 0) | (c.syn_fastopen ? 1u << 24 : 0) |
                   (c.syn_fastopen_ch ? 1u << 25 : 0);
  a(flags);
  o.tstamp_ok = flags & 1;
  o.wscale_ok = flags & 2;
  o.sack_ok = flags & 4;
  o.dsack_seen = flags & 8;
  o.saw_tstamp = flags & 16;
  c.cc_initialized = flags & 32;
  c.rate_app_limited = flags & 64;
  c.is_cwnd_limited = flags & 128;
  c.syn_data = flags & 256;
  c.syn_data_acked = flags & 512;
  c.is_passive = flags & 1024;
  c.ecn_ok = flags & 2048;
  c.syn_fastopen_child = flags & 4096;
  c.rack.dsack_seen = flags & 8192;
  o.snd_wscale = flags >> 14 & 15;
  o.rcv_wscale = flags >> 18 & 15;
  c.fastopen_client_fail = flags >> 22 & 3;
  c.syn_fastopen = flags >> 24 & 1;
  c.syn_fastopen_ch = flags >> 25 & 1;
  c.may_predict = flags >> 26 & 1;
  a.near(c.packed_clamp, c.mss_cache);
  uint32_t modes = c.ecn_flags | static_cast<uint32_t>(c.user_state) << 4 | static_cast<uint32_t>(c.nonagle) << 6;
  a(modes);
  c.ecn_flags = modes & 15;
  c.user_state = static_cast<UserState>(modes >> 4 & 3);
  c.nonagle = modes >> 6 & 7;
  if (!o.tstamp_ok) return;
  a.raw(o.ts_recent);
  a.raw(c.tsoffset);
  a.near(c.rcv_rtt_last_tsecr, static_cast<uint32_t>(c.mstamp_us / 1000) + c.tsoffset);
  a.near(o.ts_recent_stamp, static_cast<uint32_t>(c.mstamp_us / 1000000));
}

template <class A>
void visit_times(A& a, Conn& c) {
  const auto now = static_cast<uint32_t>(c.mstamp_us / 1000);
  a.near(c.ack.lrcvtime, now);
  a.near(c.lsndtime, now);
  a.near(c.rcv_tstamp, now);
  a.near(c.snd_cwnd_stamp, now);
  a.near(c.rcv_rtt_time_us, c.mstamp_us);
  a.near(c.rcvq_time_us, c.mstamp_us);
  auto& m = c.rtt_min.s;
  uint32_t flags = (c.last_oow_ack_time != 0 ? 1u : 0) | (m[1].at == m[0].at && m[1].value == m[0].value ? 2u : 0) |
                   (m[2].at == m[1].at && m[2].value == m[1].value ? 4u : 0);
  a(flags);
  if (flags & 1) a.near(c.last_oow_ack_time, now);
  for (size_t i = 0; i < 3; ++i) {
    if (i != 0 && (flags >> i & 1)) {
      m[i] = m[i - 1];
      continue;
    }
    a.near(m[i].at, now);
    a(m[i].value);
  }
}

template <class A>
void visit_receive(A& a, Conn& c) {
  a(c.ack.quick);
  a(c.ack.pingpong);
  uint32_t ato_ms = static_cast<uint32_t>(c.ack.ato.ms());
  a(ato_ms);
  c.ack.ato = Duration::from_ms(ato_ms);
  a(c.ack.rcv_mss);
  a(c.rcv_rtt_us);
  a.near(c.rcv_rtt_seq, c.rcv_nxt);
  a(c.rcvq_space);
  a.near(c.rcvq_seq, c.rcv_nxt);
}

template <class A>
void visit_send(A& a, Conn& c) {
  a(c.srtt_us);
  a(c.mdev_us);
  a(c.rttvar_us);
  a.near(c.mdev_max_us, c.rttvar_us);
  uint32_t rto_ms = static_cast<uint32_t>(c.rto.ms());
  a.near(rto_ms, ((c.srtt_us >> 3) + c.rttvar_us + 999) / 1000);
  c.rto = Duration::from_ms(rto_ms);
  a(c.snd_cwnd);
  a.near(c.snd_ssthresh, kInfiniteSsthresh);
  a(c.max_packets_out);
  a(c.reordering);
  a(c.delivered);
  a.near(c.app_limited, c.delivered);
  a(c.rate_delivered);
  a(c.rate_interval_us);
}

template <class A>
void visit_counters(A& a, Conn& c) {
  a(c.bytes_received);
  a(c.bytes_sent);
  a.near(c.bytes_acked, c.bytes_sent);
  a(c.segs_in);
  a.near(c.segs_out, c.segs_in);
  a(c.data_segs_in);
  a.near(c.data_segs_out, c.data_segs_in);
}

// Most have what a fresh connection has of a namespace whose tcp_base_mss nobody changed, or would have at their next
// change of size.
template <class A>
void visit_mtu_search(A& a, Conn& c) {
  MtuSearch& m = c.mtu_search;
  const uint32_t headers = c.sk.addresses_are_v6 ? 60 : 40;
  const auto usual_low = static_cast<int32_t>(1024 + headers + (c.rx_opt.tstamp_ok ? 12 : 0));
  const auto usual_high = static_cast<int32_t>(std::min<uint32_t>(c.rx_opt.mss_clamp + headers, c.pmtu_cookie));
  uint32_t flags = (m.enabled ? 1u : 0) | (m.low != usual_low || m.high != usual_high ? 2u : 0);
  a(flags);
  m.enabled = flags & 1;
  if (m.enabled) a.near(m.stamp, static_cast<uint32_t>(c.mstamp_us / 1000));
  if (flags & 2) {
    auto low = static_cast<uint32_t>(m.low), high = static_cast<uint32_t>(m.high);
    a.near(low, c.pmtu_cookie);
    a.near(high, c.pmtu_cookie);
    m.low = static_cast<int32_t>(low);
    m.high = static_cast<int32_t>(high);
  } else {
    m.low = usual_low;
    m.high = usual_high;
  }
}

// What hardly any connection has: one bit says that it has the usual value.
template <class A>
void visit_rare(A& a, Conn& c) {
  const uint64_t usual_rate = usual_pacing_rate(c);
  const auto each = [&](auto&& f) {
    f(c.pacing_rate, usual_rate);
    f(c.max_pacing_rate, ~uint64_t{0});
    f(c.pacing_status, uint8_t{0});
    f(c.txhash, 0u);
    f(c.flow_label, 0u);
    f(c.retrans_stamp, 0u);
    f(c.snd_cwnd_cnt, 0u);
    f(c.snd_cwnd_clamp, ~0u);
    f(c.snd_cwnd_used, 0u);
    f(c.prior_cwnd, 0u);
    f(c.prior_ssthresh, 0u);
    f(c.reord_seen, 0u);
    f(c.rack.reo_wnd_steps, uint8_t{1});
    f(c.rack.reo_wnd_persist, uint8_t{0});
    f(c.rack.last_delivered, 0u);
    f(c.delivered_ce, 0u);
    f(c.lost, 0u);
    f(c.ack.last_seg_size, 0u);
    f(c.rcv_ooopack, 0u);
    f(c.rx_opt.user_mss, uint16_t{0});
    f(c.bytes_retrans, uint64_t{0});
    f(c.total_retrans, 0u);
    f(c.dsack_dups, 0u);
    f(c.timeout_rehash, 0u);
    f(c.total_rto, uint16_t{0});
    f(c.total_rto_recoveries, uint16_t{0});
    f(c.total_rto_time, 0u);
    f(c.chrono_stat[0], 0u);
    f(c.chrono_stat[1], 0u);
    f(c.chrono_stat[2], 0u);
    f(c.zerocopy_next, 0u);
  };
  uint32_t unusual = 0;
  int i = 0;
  each([&](auto& x, auto usual) { unusual |= (x != usual ? 1u : 0u) << i++; });
  a(unusual);
  i = 0;
  each([&](auto& x, auto usual) {
    if (unusual >> i++ & 1) {
      a(x);
    } else {
      x = usual;
    }
  });
}

// The algorithm's private words: which are not zero, and those.
template <class A>
void visit_congestion(A& a, Conn& c) {
  uint8_t index = c.cc_algorithm != nullptr ? cc::index_of(*c.cc_algorithm) : uint8_t{0};
  a(index);
  c.cc_algorithm = cc::at(index);
  constexpr size_t kWords = sizeof(c.cc.bytes) / 4;
  uint32_t words[kWords];
  std::memcpy(words, c.cc.bytes, sizeof words);
  uint32_t set = 0;
  for (size_t i = 0; i < kWords; ++i)
    set |= (words[i] != 0 ? 1u : 0u) << i;
  a(set);
  for (size_t i = 0; i < kWords; ++i) {
    if (set >> i & 1) a(words[i]);
  }
  std::memcpy(c.cc.bytes, words, sizeof words);
}

// c.mstamp_us is the moment to which times are relative: the last activity.
template <class A>
void visit(A& a, Conn& c) {
  a(c.mstamp_us);
  visit_congestion(a, c);
  c.packed_clamp = c.rx_opt.mss_clamp;
  visit_sequence(a, c);
  visit_options(a, c);
  c.rx_opt.mss_clamp = static_cast<uint16_t>(c.packed_clamp);
  visit_mtu_search(a, c);
  visit_times(a, c);
  visit_receive(a, c);
  visit_send(a, c);
  visit_counters(a, c);
  visit_rare(a, c);
}

// What follows from what was read.
void complete(Conn& c) {
  c.copied_seq = c.rcv_nxt;
  c.snd_nxt = c.write_seq = c.snd_sml = c.snd_up = c.high_seq = c.snd_una;
  c.undo_retrans = -1;
  c.zerocopy_untold = c.zerocopy_next;
  c.ce_rcv_nxt = c.rcv_nxt;
  c.tcp_header_len = static_cast<uint16_t>(wire::kTcpHeaderBytes + (c.rx_opt.tstamp_ok ? 12 : 0));
}

constexpr size_t kScratch = 1024;  // more than all numbers at their longest

// Conn has no default values that cost much; it is made anew and filled.
void read_record(const Dormant& d, Conn& c) {
  Unpacker in(d.bytes);
  visit(in, c);
  complete(c);
}

bool has_nothing_under_way(const Conn& c) {
  return c.packets_out == 0 && !c.has_unsent() && c.receive_queue.is_empty() && c.out_of_order.is_empty() &&
         c.rcv_nxt == c.copied_seq && c.snd_nxt == c.snd_una && c.write_seq == c.snd_una && c.rmem_alloc == 0 &&
         c.ack.pending == 0 && c.compressed_ack == 0 && c.urg_data == 0 && !c.urg_mode &&
         c.zerocopy_untold == c.zerocopy_next;
}

// Only with a file: what waits in an accept queue is linked there by its Conn, under the listener's lock, not ours.
bool is_plain(const Conn& c) {
  return c.sk.listener == nullptr && c.state() == State::kEstablished && c.sk.shutdown == 0 && c.sk.error == 0 &&
         c.sk.soft_error == 0 && !c.orphan && c.sk.events != nullptr && c.saved_syn == nullptr &&
         c.stamping == nullptr && c.fastopen_queue == nullptr && !c.repair && !c.defer_connect;
}

bool is_calm(const Conn& c) {
  return c.ca_state == CaState::kOpen && c.retransmits == 0 && c.backoff == 0 && c.probes_out == 0 &&
         c.undo_marker == 0 && c.tlp_high_seq == 0 && c.rx_opt.num_sacks == 0 && !c.has_dsack && c.chrono_type == 0 &&
         c.hystart_exit == 0 && c.sk.backlog.load(std::memory_order_relaxed) == nullptr;
}

bool has_no_deadline(const Conn& c) {
  const Deadlines& d = c.deadlines;
  return d.loss_kind == LossTimer::kNone && d.delack == Time::never() && d.pacing == Time::never() &&
         d.compressed_ack == Time::never();
}

}  // namespace

DormantSlabs::DormantSlabs() {
  for (size_t i = 0; i < kCount; ++i)
    slabs_[i] = std::make_unique<SlabBase>("tcp_dormant", (i + 1) * kStep, 8);
}

Dormant* DormantSlabs::make(size_t bytes) {
  const size_t i = (bytes + kStep - 1) / kStep - 1;
  return i >= kCount ? nullptr : static_cast<Dormant*>(slabs_[i]->alloc_raw());
}

void DormantSlabs::free(Dormant* d) {
  SlabBase::owner_of(d).free_raw(d);
}

size_t DormantSlabs::in_use() const {
  size_t n = 0;
  for (const auto& s : slabs_)
    n += s->in_use();
  return n;
}

size_t DormantSlabs::bytes() const {
  size_t n = 0;
  for (const auto& s : slabs_)
    n += s->bytes();
  return n;
}

bool DormantSlabs::trim_surplus() {
  bool has_more = false;
  for (const auto& s : slabs_)
    has_more |= s->trim_surplus();
  return has_more;
}

// Asked after each segment: what is false most often while data fly comes first.
bool may_sleep(const Conn& c) {
  if (c.state() != State::kEstablished || c.deadlines.loss_kind != LossTimer::kNone) return false;  // most say no here
  return has_nothing_under_way(c) && has_no_deadline(c) && is_plain(c) && is_calm(c);
}

bool try_sleep(Conn& c) {
  if (!may_sleep(c)) return false;
  TcpSock& s = c.sk;
  if (c.cc_algorithm->settle != nullptr) c.cc_algorithm->settle(c);
  const auto now = static_cast<uint32_t>(c.mstamp_us / 1000);
  const uint32_t idle_ms = std::min({now - c.lsndtime, now - c.ack.lrcvtime, now - c.rcv_tstamp});
  c.mstamp_us -= std::min<uint64_t>(c.mstamp_us, uint64_t{idle_ms} * 1000);
  if (!c.sk.addresses_are_v6) c.txhash = 0;  // only flow labels come of it
  uint8_t scratch[kScratch];
  Packer out(scratch);
  visit(out, c);
  const size_t size = out.finish();
  Dormant* d = c.tcp.dormants.make(size);
  if (d == nullptr) {
    refresh_time(c);
    return false;
  }
  std::memcpy(d->bytes, scratch, size);
  keep_wheel_for(s, c.deadlines.keepalive);
  uncharge_memory(c);
  if (c.send_page != nullptr) PacketPool::unref(c.send_page);
  c.send_page = nullptr;
  s.dormant = d;
  s.conn = nullptr;
  c.tcp.conns.destroy(&c);
  return true;
}

Conn* wake(TcpSock& s) {
  if (s.conn != nullptr || s.dormant == nullptr) return s.conn;
  Tcp& tcp = *s.tcp;
  Conn* c = tcp.conns.create(tcp, s);
  if (c == nullptr) return nullptr;
  read_record(*s.dormant, *c);
  tcp.dormants.free(s.dormant);
  s.dormant = nullptr;
  s.conn = c;
  c->deadlines.keepalive = s.timer.expires;
  c->wheel_at = s.timer.expires;
  refresh_time(*c);
  return c;
}

void look_at(TcpSock& s, void (*f)(void*, const Conn&), void* context) {
  if (s.conn != nullptr) {
    f(context, *s.conn);
  } else if (s.dormant != nullptr) {
    Conn c(*s.tcp, s);
    read_record(*s.dormant, c);
    c.deadlines.keepalive = s.timer.expires;
    refresh_time(c);
    f(context, c);
  }
}

void forget_dormant(TcpSock& s) {
  if (s.dormant != nullptr) s.tcp->dormants.free(s.dormant);
  s.dormant = nullptr;
}

}  // namespace leat::tcp
