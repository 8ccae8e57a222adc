// DCTCP (RFC 8257): the window falls by half of α, a running share of the segments that met congestion, instead of by
// half. The receiver's side of it, an echo of CE packet by packet, is the pipeline's work: kEchoesEachCe. Without ECN
// on the connection it is Reno.
#include <algorithm>
#include <cstring>

#include "tcp/cc/algorithms.h"

namespace leat::tcp::cc {
namespace {

constexpr uint32_t kMaxAlpha = 1024;
constexpr uint32_t kGainShift = 4;  // g = 1/16

struct Dctcp {
  uint32_t old_delivered;
  uint32_t old_delivered_ce;
  uint32_t alpha;
  Seq next_seq;  // the observation window is over when this is acknowledged
  uint32_t loss_cwnd;
  bool receives_ce;  // what the last data segment that came has carried
};

void start_window(const Sender& s, Dctcp& d) {
  d.next_seq = s.snd_nxt;
  d.old_delivered = s.delivered;
  d.old_delivered_ce = s.delivered_ce;
}

void init(Sender& s) {
  if (!s.ecn_ok) {
    s.cc_algorithm = &kDctcpReno;
    return;
  }
  auto& d = s.cc.as<Dctcp>();
  d.alpha = kMaxAlpha;  // RFC 8257 §4.2: cautious, until something was measured
  d.loss_cwnd = 0;
  d.receives_ce = false;
  start_window(s, d);
}

uint32_t ssthresh(Sender& s) {
  auto& d = s.cc.as<Dctcp>();
  d.loss_cwnd = s.snd_cwnd;
  return std::max(s.snd_cwnd - ((s.snd_cwnd * d.alpha) >> 11), 2u);
}

// RFC 8257 §3.3: α = (1 - g) α + g M, once a window.
void on_ack(Sender& s, bool) {
  auto& d = s.cc.as<Dctcp>();
  if (before(s.snd_una, d.next_seq)) return;
  const uint32_t decay = d.alpha >> kGainShift;
  d.alpha -= decay != 0 ? decay : d.alpha;
  const uint32_t marked = s.delivered_ce - d.old_delivered_ce;
  if (marked != 0) {
    const uint32_t all = std::max(s.delivered - d.old_delivered, 1u);
    d.alpha = std::min(d.alpha + (marked << (10 - kGainShift)) / all, kMaxAlpha);
  }
  start_window(s, d);
}

// RFC 8257 §3.5: a loss is a loss.
void react_to_loss(Sender& s) {
  s.cc.as<Dctcp>().loss_cwnd = s.snd_cwnd;
  s.snd_ssthresh = std::max(s.snd_cwnd >> 1, 2u);
}

void set_state(Sender& s, CaState fresh) {
  if (fresh == CaState::kRecovery && s.ca_state != fresh) react_to_loss(s);
}

void on_event(Sender& s, Event e) {
  if (e == Event::kLoss) react_to_loss(s);
  if (e != Event::kEcnIsCe && e != Event::kEcnNoCe) return;
  auto& d = s.cc.as<Dctcp>();
  const bool is_ce = e == Event::kEcnIsCe;
  s.ce_changed = d.receives_ce != is_ce;
  d.receives_ce = is_ce;
}

uint32_t undo_cwnd(Sender& s) {
  return std::max(s.snd_cwnd, s.cc.as<Dctcp>().loss_cwnd);
}

// struct tcp_dctcp_info
struct Info {
  uint16_t enabled;
  uint16_t ce_state;
  uint32_t alpha;
  uint32_t ab_ecn;
  uint32_t ab_tot;
};

size_t put_info(const Info& info, std::span<uint8_t> out) {
  const size_t n = std::min(out.size(), sizeof info);
  std::memcpy(out.data(), &info, n);
  return n;
}

size_t get_info(const Sender& s, std::span<uint8_t> out) {
  const auto& d = s.cc.as<Dctcp>();
  return put_info({1, static_cast<uint16_t>(d.receives_ce), d.alpha,
                   s.mss_cache * (s.delivered_ce - d.old_delivered_ce), s.mss_cache * (s.delivered - d.old_delivered)},
                  out);
}

size_t get_reno_info(const Sender&, std::span<uint8_t> out) {
  return put_info({}, out);
}

}  // namespace

const Algorithm kDctcp{
    .name = "dctcp",
    .flags = kNonRestricted | kNeedsEcn | kEchoesEachCe,
    .init = init,
    .ssthresh = ssthresh,
    .cong_avoid = reno_cong_avoid,
    .set_state = set_state,
    .cwnd_event = on_event,
    .in_ack_event = on_ack,
    .undo_cwnd = undo_cwnd,
    .get_info = get_info,
};

const Algorithm kDctcpReno{
    .name = "dctcp-reno",
    .flags = kNonRestricted,
    .ssthresh = reno_ssthresh,
    .cong_avoid = reno_cong_avoid,
    .undo_cwnd = reno_undo_cwnd,
    .get_info = get_reno_info,
};

}  // namespace leat::tcp::cc
