// Fast Open, the client (RFC 7413 §4.1.3, §4.2.1, §6.2; Linux's tcp_send_syn_data, tcp_rcv_fastopen_synack,
// tcp_fastopen_active_*). The SYN and its data stand as two segments in the retransmit queue, though they leave as one:
// what is sent again is a bare SYN first, and the data only once that is answered, for whatever was lost may have been
// lost because of them.
//
// Blackholes: some middleboxes drop what they do not know, or all that follows. Signs of that switch Fast Open off for
// the whole namespace, each time for twice as long (tcp_fastopen_blackhole_timeout_sec; 0: do not).
#include <algorithm>

#include "ip/netif.h"
#include "tcp/active.h"
#include "tcp/fastopen.h"
#include "tcp/input.h"
#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

constexpr uint32_t kMostDoublings = 6;
constexpr uint32_t kOptionRoom = 40;  // middleboxes may add options of their own

// Whether blackholes are feared now. When that time has passed, a connection that works ends the fear.
bool is_disabled(Conn& c) {
  FastOpen& f = *c.tcp.fastopen;
  const uint32_t timeout_s = f.blackhole_timeout_s.load(std::memory_order_relaxed);
  const uint32_t times = f.disabled_times.load(std::memory_order_acquire);
  if (timeout_s == 0 || times == 0) return false;
  const uint64_t pause_ms = (uint64_t{timeout_s} << std::min(times - 1, kMostDoublings)) * 1000;
  if (c.jiffies() - f.disabled_at.load(std::memory_order_relaxed) < pause_ms) return true;
  c.syn_fastopen_ch = true;
  return false;
}

}  // namespace

bool check_cookie(Conn& c, uint16_t& mss, wire::FastOpenCookie& cookie) {
  const FastOpenMetrics m = c.tcp.fastopen->cache.get(c.sk.local(), c.sk.remote());
  if (m.mss != 0) mss = m.mss;
  cookie = m.cookie;
  cookie.present = true;
  if (cookie.length == 0 && m.try_exp == 1) cookie.experimental = true;
  const bool disabled = is_disabled(c);
  const bool is_free =
      (c.tcp.ns.sysctl.tcp_fastopen.as<int>() & kFastOpenClientNoCookie) != 0 || c.sk.options->fastopen_no_cookie;
  if (disabled || is_free) {
    cookie = {};
    return !disabled;
  }
  if (cookie.length != 0) return true;
  c.fastopen_client_fail = static_cast<uint8_t>(FastOpenFail::kCookieUnavailable);
  return false;
}

bool may_defer_connect(Conn& c) {
  uint16_t mss = 0;
  wire::FastOpenCookie cookie;
  return check_cookie(c, mss, cookie);
}

// ---- the SYN ----

namespace {

uint16_t clamp_mss(const Conn& c, uint16_t mss) {
  const uint16_t own = c.rx_opt.user_mss;
  return own != 0 && own < mss ? own : mss;
}

// The first transmission of a SYN has the option, later ones do not.
int transmit_with_cookie(Conn& c, TxSegment& t, const wire::FastOpenCookie& cookie) {
  c.syn_cookie = cookie.present ? &cookie : nullptr;
  const int error = transmit_segment(c, t, true);
  c.syn_cookie = nullptr;
  if (cookie.present) {
    c.syn_fastopen = error == 0;
    c.syn_fastopen_exp = cookie.experimental;
  }
  return error;
}

int send_plain(Conn& c, TxSegment& syn, SynData& data) {
  data.cookie.length = 0;  // a request for one
  return transmit_with_cookie(c, syn, data.cookie);
}

// Room for data within what the server is known to take.
uint32_t syn_data_room(Conn& c, uint16_t mss) {
  c.rx_opt.mss_clamp = clamp_mss(c, mss);
  sync_mss(c, c.pmtu_cookie);
  const uint32_t most = segment_room(c, c.pmtu_cookie);
  return most > kOptionRoom ? most - kOptionRoom : 0;
}

// In the write queue behind the SYN. nullptr: no memory.
TxSegment* queue_first_data(Conn& c, SynData& data, size_t most) {
  TxSegment* t = make_queued_segment(c, wire::kTcpAck);
  if (t == nullptr) return nullptr;
  data.copied = append_bytes(c, *t, data.data, most);
  t->segs = 1;
  if (data.copied != 0) return t;
  uncharge_to_send(c, t->packet().truesize);
  PacketList::erase(&t->packet());
  PacketPtr owner(&t->packet());
  return nullptr;
}

}  // namespace

int send_fastopen_syn(Conn& c, TxSegment& syn, SynData& data) {
  uint16_t mss = static_cast<uint16_t>(c.advmss);
  if (!check_cookie(c, mss, data.cookie)) return send_plain(c, syn, data);
  const size_t most = std::min<size_t>(syn_data_room(c, mss), data.size);
  if (most == 0) return transmit_with_cookie(c, syn, data.cookie);
  TxSegment* t = queue_first_data(c, data, most);
  if (t == nullptr) return send_plain(c, syn, data);
  --t->seq;  // for this once it is the SYN with data behind it
  t->flags = syn.flags;
  ++c.packets_out;
  chrono_start(c, 1);
  const int error = transmit_with_cookie(c, *t, data.cookie);
  ++t->seq;
  t->flags = wire::kTcpAck | wire::kTcpPsh;
  syn.sent_us = t->sent_us;
  if (error != 0) {  // the data stay, to be sent once the connection is made
    --c.packets_out;
    return send_plain(c, syn, data);
  }
  c.syn_data = true;
  PacketList::erase(&t->packet());
  c.rtx_queue.insert(t);
  c.tcp.count(Mib::TcpExtTCPOrigDataSent);
  return 0;
}

// ---- its SYN-ACK ----

namespace {

// The server's MSS as it said it, whatever the user allows.
uint16_t mss_of(const Conn& c, const Segment& seg) {
  const uint16_t mss = c.rx_opt.mss_clamp;
  return mss == c.rx_opt.user_mss ? seg.options().mss : mss;
}

void remember(Conn& c, const Segment& seg) {
  wire::FastOpenCookie cookie = seg.options().fast_open;
  uint16_t try_exp = 0;
  if (!c.syn_fastopen) {
    cookie = {};  // nobody asked for it
  } else if (c.total_retrans == 0 && !cookie.present && !c.syn_data) {
    try_exp = c.syn_fastopen_exp ? 2 : 1;  // it may know the option by its other number
  }
  c.tcp.fastopen->cache.set(c.sk.local(), c.sk.remote(), mss_of(c, seg), cookie, try_exp);
}

void resend_syn_data(Conn& c) {
  const auto why = c.total_retrans != 0 ? FastOpenFail::kSynRetransmitted : FastOpenFail::kDataNotAcked;
  c.fastopen_client_fail = static_cast<uint8_t>(why);
  for (TxSegment* t = c.rtx_head(); t != nullptr; t = c.rtx_queue.next(t))
    mark_lost(c, *t);
  retransmit_without_congestion(c);
  c.tcp.count(Mib::TcpExtTCPFastOpenActiveFail);
}

}  // namespace

bool on_fastopen_synack(Conn& c, Segment& seg) {
  if (!c.syn_fastopen && !c.syn_data) return false;
  const bool has_unacked = c.syn_data && c.rtx_head() != nullptr;
  remember(c, seg);
  if (has_unacked) {
    resend_syn_data(c);
    return true;
  }
  c.syn_data_acked = c.syn_data;
  if (c.syn_data_acked) {
    c.tcp.count(Mib::TcpExtTCPFastOpenActive);
    if (c.delivered > 1) --c.delivered;  // two segments in the queue, one on the wire
  }
  queue_syn_data(c, seg);
  return false;
}

void Tcp::flush_metrics() {
  fastopen->cache.clear();
}

// ---- blackholes ----

void set_blackhole_timeout(Tcp& tcp, uint32_t seconds) {
  tcp.fastopen->blackhole_timeout_s.store(seconds, std::memory_order_relaxed);
  tcp.fastopen->disabled_times.store(0, std::memory_order_release);
}

void disable_fastopen(Conn& c) {
  FastOpen& f = *c.tcp.fastopen;
  if (f.blackhole_timeout_s.load(std::memory_order_relaxed) == 0) return;
  f.disabled_at.store(c.tcp.now().jiffies(), std::memory_order_relaxed);
  f.disabled_times.fetch_add(1, std::memory_order_acq_rel);
  c.tcp.count(Mib::TcpExtTCPFastOpenBlackhole);
}

// The third time-out in a row, or the last one if there are fewer.
void detect_blackhole(Conn& c, bool expired) {
  if (!c.syn_fastopen && !c.syn_data && !c.syn_data_acked) return;
  if (c.retransmits == 2 || (c.retransmits < 2 && expired)) disable_fastopen(c);
}

// All that ever came is a FIN whose data are missing: they were swallowed on the way.
void check_blackhole_at_end(Conn& c) {
  if (!c.syn_fastopen) return;
  if (c.data_segs_in == 0) {
    RxSegment* only = c.out_of_order.first();
    if (only != nullptr && c.out_of_order.next(only) == nullptr && only->is_fin()) disable_fastopen(c);
    return;
  }
  if (!c.syn_fastopen_ch || c.tcp.fastopen->disabled_times.load(std::memory_order_relaxed) == 0) return;
  const ip::Netif* out = c.has_route ? c.tcp.ip.interface(c.route.ifindex) : nullptr;
  const bool is_local = c.route.is_local || (out != nullptr && out->is_loopback());
  if (!is_local) c.tcp.fastopen->disabled_times.store(0, std::memory_order_release);
}

}  // namespace leat::tcp
