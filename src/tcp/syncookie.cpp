// SYN cookies (Bernstein): a listener whose queue of requests is full keeps nothing of a SYN. What it must know later
// is in the sequence number of its SYN-ACK, keyed, and in the low bits of its timestamp. Layout as Linux's:
//
//   cookie = hash0(tuple) + peer's ISN + (minute << 24) + ((hash1(tuple, minute) + MSS index) mod 2^24)
//   tsval  = ms, low six bits: window scale (4; 15: none), SACK (1), ECN (1)
//
// A cookie is good for two minutes, and only while the listener has sent one lately. Other options of the SYN are lost.
#include <span>

#include "tcp/input.h"
#include "tcp/passive.h"

namespace leat::tcp {
namespace {

constexpr uint32_t kMask24 = 0xffffff;
constexpr uint32_t kMaxAge = 2;  // minutes
constexpr uint64_t kPeriodMs = 60'000;
constexpr uint64_t kValidMs = kMaxAge * kPeriodMs;
constexpr uint32_t kTsBits = 6, kTsMask = (1u << kTsBits) - 1;
constexpr uint32_t kTsWscale = 15, kTsSack = 16, kTsEcn = 32;

constexpr uint16_t kMss4[] = {536, 1300, 1440, 1460};
constexpr uint16_t kMss6[] = {1220, 1420, 1440, 8940};

std::span<const uint16_t, 4> mss_table(const inet::FourTuple& t) {
  return t.local.is_v6() ? std::span<const uint16_t, 4>(kMss6) : std::span<const uint16_t, 4>(kMss4);
}

uint32_t minute_of(const Tcp& tcp) {
  return static_cast<uint32_t>(static_cast<uint64_t>(tcp.now().ms()) / kPeriodMs);
}

uint32_t keyed(const Tcp& tcp, const inet::FourTuple& t, uint32_t count, int which) {
  std::array<uint8_t, 40> in{};
  std::memcpy(in.data(), t.local.bytes(), 16);
  std::memcpy(in.data() + 16, t.remote.bytes(), 16);
  store_be16(in.data() + 32, t.local_port);
  store_be16(in.data() + 34, t.remote_port);
  store_be32(in.data() + 36, count);
  return static_cast<uint32_t>(siphash(tcp.syncookie_keys[which], in));
}

}  // namespace

Seq make_syn_cookie(Tcp& tcp, const inet::FourTuple& t, Seq peer_isn, uint16_t& mss) {
  const auto table = mss_table(t);
  uint32_t index = 3;
  while (index != 0 && mss < table[index])
    --index;
  mss = table[index];
  const uint32_t minute = minute_of(tcp);
  return keyed(tcp, t, 0, 0) + peer_isn + (minute << 24) + ((keyed(tcp, t, minute, 1) + index) & kMask24);
}

uint16_t check_syn_cookie(Tcp& tcp, const inet::FourTuple& t, Seq peer_isn, Seq cookie) {
  const uint32_t minute = minute_of(tcp);
  cookie -= keyed(tcp, t, 0, 0) + peer_isn;
  const uint32_t age = (minute - (cookie >> 24)) & 0xff;
  if (age >= kMaxAge) return 0;
  const uint32_t index = (cookie - keyed(tcp, t, minute - age, 1)) & kMask24;
  return index < 4 ? mss_table(t)[index] : uint16_t{0};
}

uint32_t make_cookie_timestamp(const Request& r, uint32_t now_ms) {
  uint32_t options = r.wscale_ok ? r.snd_wscale : kTsWscale;
  if (r.sack_ok) options |= kTsSack;
  if (r.ecn_ok) options |= kTsEcn;
  const uint32_t ts = (now_ms & ~kTsMask) | options;
  return static_cast<int32_t>(ts - now_ms) > 0 ? ts - (1u << kTsBits) : ts;  // never from the future
}

void note_overflow(Tcp& tcp, Listener& l) {
  const auto now = static_cast<uint64_t>(tcp.now().ms());
  l.last_overflow_ms = now == 0 ? 1 : now;
}

// ---- the third segment ----

namespace {

bool has_recent_overflow(const Tcp& tcp, const Listener& l) {
  return l.last_overflow_ms != 0 && static_cast<uint64_t>(tcp.now().ms()) <= l.last_overflow_ms + kValidMs;
}

// What the timestamp that the peer echoes says of its SYN. false: it cannot be ours, or no longer.
bool restore_options(const Tcp& tcp, Request& r, const wire::TcpOptions& o) {
  const Sysctls& sysctl = tcp.ns.sysctl;
  if (!o.has_timestamp) return true;
  if (sysctl.tcp_timestamps == 0) return false;
  const uint32_t bits = (o.tsecr == 0 ? 0 : o.tsecr - r.ts_off) & kTsMask;
  r.tstamp_ok = true;
  r.ts_recent = o.tsval;
  r.sack_ok = (bits & kTsSack) != 0;
  r.ecn_ok = (bits & kTsEcn) != 0 && sysctl.tcp_ecn != 0;
  if (r.sack_ok && sysctl.tcp_sack == 0) return false;
  if ((bits & kTsWscale) == kTsWscale) return true;
  r.wscale_ok = true;
  r.snd_wscale = static_cast<uint8_t>(bits & kTsWscale);
  return sysctl.tcp_window_scaling != 0;
}

void restore_sequences(Request& r, const Segment& seg) {
  r.is_cookie = true;
  r.rcv_isn = seg.seq - 1;
  r.rcv_nxt = seg.seq;
  r.snt_isn = seg.ack - 1;
  r.dsfield = seg.dsfield;
}

// The request as it would have been. nullptr: dropped.
Request* restore_request(Tcp& tcp, TcpSock& listener, const inet::FourTuple& tuple, const Segment& seg, uint16_t mss) {
  Request* r = make_request(tcp, listener, tuple, seg);
  if (r == nullptr) return nullptr;
  restore_sequences(*r, seg);
  r->mss = mss;
  r->ts_off = seg.options().has_timestamp && seg.options().tsecr != 0 ? select_ts_offset(tcp, tuple) : 0;
  const auto route = route_of(tcp, listener, *r);
  if (!restore_options(tcp, *r, seg.options()) || !route) {
    free_request(tcp, *r);
    return nullptr;
  }
  select_request_window(tcp, listener, *r, *route, r->mss);
  return r;
}

}  // namespace

TcpSock* on_cookie_ack(Tcp& tcp, TcpSock& listener, const inet::FourTuple& tuple, const Segment& seg, bool& is_cookie) {
  is_cookie = false;
  if (!has_recent_overflow(tcp, *listener.listener)) return nullptr;
  const uint16_t mss = check_syn_cookie(tcp, tuple, seg.seq - 1, seg.ack - 1);
  if (mss == 0) {
    tcp.count(Mib::TcpExtSyncookiesFailed);
    return nullptr;
  }
  tcp.count(Mib::TcpExtSyncookiesRecv);
  Request* r = restore_request(tcp, listener, tuple, seg, mss);
  if (r == nullptr) return nullptr;
  is_cookie = true;
  TcpSock* child = make_child(tcp, listener, *r, seg);
  free_request(tcp, *r);
  return child;
}

}  // namespace leat::tcp
