// See peer.h.
#include "sim/differ/peer.h"

#include <algorithm>

namespace leat::differ {
namespace {

constexpr uint16_t kPeerPort = 8080, kStackPort = 40000;

}  // namespace

void Peer::begin(Time now) {
  stack_port_ = kStackPort;
  if (!case_.is_passive) return;
  Segment syn = make(now, kSyn);
  if (case_.peer_ecn) syn.flags |= kEce | kCwr;
  syn.mss = case_.peer_mss;
  syn.wscale = case_.peer_wscale;
  syn.sack_ok = case_.peer_sack;
  syn.has_ts = case_.peer_ts;
  syn.ts_value = ts_now(now);
  schedule(now + Duration::from_ms(5), {Event::kInjection, syn});
}

// What the stack sends has its fate at once and is delivered half a round trip later.
void Peer::on_sent(Time at, const Segment& s) {
  Fate fate;
  bool is_ce = false;
  if (s.has(kSyn)) {
    fate.is_dropped = syn_count_++ < case_.syn_drops;
  } else if (s.space() > 0) {
    const uint32_t ordinal = data_count_++;
    if (auto f = case_.data_fates.find(ordinal); f != case_.data_fates.end()) fate = f->second;
    is_ce = case_.ce_marks.contains(ordinal) && (s.tos & 3) != 0;
  }
  if (fate.is_dropped) return;
  const Time arrives = at + case_.rtt / 2 + fate.delay;
  schedule(arrives, {Event::kDelivery, s, 0, is_ce});
  if (fate.is_doubled) schedule(arrives + Duration::from_ms(2), {Event::kDelivery, s, 0, is_ce});
}

Time Peer::next() const {
  return events_.empty() ? Time::never() : events_.begin()->first;
}

std::vector<Segment> Peer::take_due(Time now) {
  std::vector<Segment> out;
  while (!events_.empty() && events_.begin()->first <= now) {
    auto node = events_.extract(events_.begin());
    run(node.key(), node.mapped(), out);
  }
  return out;
}

void Peer::run(Time at, Event& e, std::vector<Segment>& out) {
  switch (e.kind) {
    case Event::kDelivery:
      return deliver(at, e.segment, e.is_ce);
    case Event::kDelayedAck:
      if (unacked_ > 0) acknowledge(at);
      return;
    case Event::kSend:
      return send_own(at, case_.sends[e.index], out);
    case Event::kInjection:
      out.push_back(e.segment);
      if (e.connects && !is_connected_) connect(at);
  }
}

void Peer::connect(Time at) {
  is_connected_ = true;
  connected_at_ = at;
  for (size_t i = 0; i < case_.sends.size(); ++i)
    schedule(at + case_.sends[i].at, {Event::kSend, {}, i});
}

void Peer::deliver(Time at, const Segment& s, bool is_ce) {
  if (s.has(kSyn)) return answer_syn(at, s);
  if (!has_syn_ || s.has(kRst)) return;
  if (s.has(kCwr)) has_ece_ = false;
  if (is_ce && uses_ecn_) has_ece_ = true;
  if (uses_ts_ && !before(rcv_nxt_, s.seq)) ts_recent_ = s.ts_value;
  if (s.space() > 0) take_data(at, s);
}

void Peer::answer_syn(Time at, const Segment& s) {
  if (has_syn_ && s.seq == irs_ && rcv_nxt_ != irs_ + 1) return;
  has_syn_ = true;
  irs_ = s.seq;
  rcv_nxt_ = irs_ + 1;
  stack_port_ = s.source;
  uses_ts_ = case_.peer_ts && s.has_ts;
  uses_sack_ = case_.peer_sack && s.sack_ok;
  uses_wscale_ = case_.peer_wscale && s.wscale;
  ts_recent_ = s.ts_value;
  uses_ecn_ = case_.peer_ecn && s.has(kEce) && s.has(kCwr) != case_.is_passive;
  Segment answer = make(at, kAck);
  if (!case_.is_passive) {
    answer.flags |= kSyn;
    if (uses_ecn_) answer.flags |= kEce;
    answer.seq = iss_;
    answer.window = static_cast<uint16_t>(std::min<uint32_t>(case_.peer_window, 65535));
    answer.mss = case_.peer_mss;
    if (uses_wscale_) answer.wscale = case_.peer_wscale;
    answer.sack_ok = uses_sack_;
  }
  schedule(at + case_.rtt / 2, {Event::kInjection, answer, 0, false, true});
}

void Peer::take_data(Time at, const Segment& s) {
  const bool was_held = !held_.empty();
  if (s.has(kFin)) {
    got_fin_ = true;
    fin_seq_ = s.end() - 1;
  }
  note_duplicate(s);
  const bool is_old = !before(rcv_nxt_, s.end());
  if (!is_old) held_.insert(held_.begin(), {s.seq, s.end()});
  merge();
  ++unacked_;
  const bool is_now = is_old || was_held || !held_.empty() || s.has(kFin) || unacked_ >= case_.ack_every;
  if (is_now) return acknowledge(at);
  if (unacked_ == 1) schedule(at + case_.ack_delay, {Event::kDelayedAck, {}});
}

void Peer::note_duplicate(const Segment& s) {
  if (!uses_sack_ || !case_.peer_dsack) return;
  if (!before(rcv_nxt_, s.end())) {
    duplicate_ = Range{s.seq, s.end()};
    return;
  }
  for (const Range& r : held_) {
    if (!before(s.seq, r.from) && !before(r.to, s.end())) duplicate_ = Range{s.seq, s.end()};
  }
}

// The newest range swallows what it touches; what begins at rcv_nxt is received.
void Peer::merge() {
  for (size_t i = 0; i < held_.size(); ++i) {
    for (size_t j = i + 1; j < held_.size();) {
      if (before(held_[i].to, held_[j].from) || before(held_[j].to, held_[i].from)) {
        ++j;
        continue;
      }
      if (before(held_[j].from, held_[i].from)) held_[i].from = held_[j].from;
      if (before(held_[i].to, held_[j].to)) held_[i].to = held_[j].to;
      held_.erase(held_.begin() + static_cast<ptrdiff_t>(j));
      j = i + 1;
    }
  }
  std::erase_if(held_, [this](const Range& r) {
    if (before(rcv_nxt_, r.from)) return false;
    if (before(rcv_nxt_, r.to)) rcv_nxt_ = r.to;
    return true;
  });
}

void Peer::acknowledge(Time at) {
  unacked_ = 0;
  Segment ack = make(at, kAck);
  add_sacks(ack);
  Fate fate;
  if (auto f = case_.ack_fates.find(ack_count_++); f != case_.ack_fates.end()) fate = f->second;
  if (fate.is_dropped) return;
  // No two round trips are the same, and none is shorter than the handshake's: comparisons of them are no coin tosses.
  const Duration jitter = Duration::from_us(200 + ack_count_ * 7919 % 23 * 80);
  const Time arrives = std::max(at + case_.rtt / 2 + jitter, last_arrival_ + Duration::from_us(5)) + fate.delay;
  if (fate.delay == Duration()) last_arrival_ = arrives;
  schedule(arrives, {Event::kInjection, ack});
  if (fate.is_doubled) schedule(arrives + Duration::from_ms(1), {Event::kInjection, ack});
}

void Peer::add_sacks(Segment& s) {
  if (!uses_sack_) return;
  const size_t room = uses_ts_ ? 3 : 4;
  if (duplicate_) s.sacks.push_back(*duplicate_);
  duplicate_.reset();
  for (const Range& r : held_) {
    if (s.sacks.size() < room) s.sacks.push_back(r);
  }
}

uint16_t Peer::window(Time at) const {
  if (!is_connected_) return static_cast<uint16_t>(std::min<uint32_t>(case_.peer_window, 65535));
  const Duration since = at - connected_at_;
  if (since >= case_.zero_window_from && since < case_.zero_window_to) return 0;
  const uint32_t shift = uses_wscale_ ? std::min<uint32_t>(*case_.peer_wscale, 14) : 0;
  return static_cast<uint16_t>(std::min<uint32_t>(case_.peer_window >> shift, 65535));
}

Segment Peer::make(Time at, uint8_t flags) const {
  Segment s;
  s.is_v6 = case_.is_v6;
  s.source = kPeerPort;
  s.destination = stack_port_;
  s.flags = flags;
  s.seq = has_syn_ ? snd_max_ : iss_;
  if ((flags & kAck) != 0) s.ack = rcv_nxt_;
  s.window = has_syn_ && case_.is_passive && uses_wscale_
                 ? static_cast<uint16_t>(std::min<uint32_t>(case_.peer_window >> *case_.peer_wscale, 65535))
                 : window(at);
  if (is_connected_) s.window = window(at);
  if (uses_ts_) {
    s.has_ts = true;
    s.ts_value = ts_now(at);
    s.ts_echo = ts_recent_;
  }
  if (has_ece_ && (flags & kSyn) == 0) s.flags |= kEce;
  return s;
}

void Peer::send_own(Time at, const PeerSend& p, std::vector<Segment>& out) {
  Segment s = make(at, kAck);
  switch (p.kind) {
    case PeerSend::kData:
      s.seq = iss_ + 1 + p.offset;
      s.length = p.length;
      if (p.has_push) s.flags |= kPsh;
      if (p.has_fin) s.flags |= kFin;
      if (p.is_ce && uses_ecn_)
        s.tos = 3;
      else if (uses_ecn_)
        s.tos = 2;
      if (before(snd_max_, s.end())) snd_max_ = s.end();
      unacked_ = 0;
      break;
    case PeerSend::kReset:
      s.flags = kRst | kAck;
      break;
    case PeerSend::kResetInside:
      s.flags = kRst | kAck;
      s.seq += 100;
      break;
    case PeerSend::kSyn:
      s.flags = kSyn;
      s.ack = 0;
      break;
    case PeerSend::kOldAck:
      s.ack -= p.offset;
      break;
    case PeerSend::kFutureAck:
      s.ack += 100000;
      break;
    case PeerSend::kWindow:
      add_sacks(s);
      break;
    case PeerSend::kKeepalive:
      s.seq -= 1;
      break;
  }
  out.push_back(s);
}

}  // namespace leat::differ
