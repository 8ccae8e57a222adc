// See conversation.h.
#include "sim/drill/conversation.h"

#include "sim/drill/tcp_options.h"
#include "wire/tcp.h"

namespace leat::drill {
namespace {

bool is_syn(const PacketSpec& p) {
  return p.protocol == PacketSpec::Protocol::kTcp && (p.flags & wire::kTcpSyn) != 0;
}
bool has_ack(const PacketSpec& p) {
  return (p.flags & wire::kTcpAck) != 0;
}

void shift_sacks(std::vector<TcpOption>& options, uint32_t by) {
  for (TcpOption& o : options) {
    if (o.kind != kOptSack) continue;
    auto blocks = sack_blocks(o);
    for (wire::SackBlock& b : blocks)
      b.start += by, b.end += by;
    o = sack_option(blocks);
  }
}

}  // namespace

bool Conversation::is_from_here(const LivePacket& p) const {
  if (p.src != ends.local || p.dst != ends.remote) return false;
  if (p.spec.protocol == PacketSpec::Protocol::kIcmp) return true;
  if (p.spec.protocol != protocol) return false;
  // What a connection before this one still sends is not ours: ours begins with a SYN.
  const bool may_begin = is_syn(p.spec) && !has_ack(p.spec);
  if (ends.local_port == 0 && p.is_tcp() && !may_begin) return false;
  return (ends.local_port == 0 || p.spec.src_port == ends.local_port) &&
         (ends.remote_port == 0 || p.spec.dst_port == ends.remote_port);
}

void Conversation::learn(const LivePacket& live, const PacketSpec& script) {
  if (live.spec.protocol == PacketSpec::Protocol::kIcmp) return;
  if (ends.local_port == 0) ends.local_port = live.spec.src_port;
  if (ends.remote_port == 0) ends.remote_port = live.spec.dst_port;
  if (!live.is_tcp()) return;
  last_sent_ = live.spec;
  if (!is_syn(live.spec) || !is_syn(script)) return;
  const bool is_first = state == State::kConnecting || state == State::kSynReceived;
  if (state == State::kConnecting) state = State::kSynSent;
  if (state == State::kSynReceived && has_ack(live.spec)) state = State::kSynAckSent;
  if (!is_first) return;
  local_isn_ = live.spec.seq;
  script_isn_ = script.seq;
}

PacketSpec Conversation::to_script(const LivePacket& live) const {
  PacketSpec p = live.spec;
  if (!live.is_tcp()) return p;
  p.seq -= local_offset(is_syn(p));
  if (has_ack(p)) p.ack -= remote_offset(is_syn(p));
  shift_sacks(p.options, 0 - remote_offset(is_syn(p)));
  return p;
}

void Conversation::map_timestamp(PacketSpec& seen, const PacketSpec& script) {
  uint32_t script_val = 0, script_ecr = 0, val = 0, ecr = 0;
  if (!read_timestamp(script.options, script_val, script_ecr) || !read_timestamp(seen.options, val, ecr)) return;
  timestamps_[script_val] = val;
  if (!first_timestamp_) first_timestamp_ = {script_val, val};
  write_timestamp(seen.options, first_timestamp_->first + (val - first_timestamp_->second), ecr);
}

PacketSpec Conversation::to_live(const PacketSpec& script, bool interpolates_ecr) {
  PacketSpec p = script;
  if (p.protocol == PacketSpec::Protocol::kIcmp) {
    const bool is_error = !p.icmp_type.starts_with("echo_");
    if (p.icmp_echo.kind == IcmpEcho::Kind::kNone && is_error) {  // an error always quotes something
      p.icmp_echo.kind = protocol == PacketSpec::Protocol::kUdp ? IcmpEcho::Kind::kUdp : IcmpEcho::Kind::kTcp;
    }
    if (p.icmp_echo.kind == IcmpEcho::Kind::kTcp) p.icmp_echo.seq += local_offset(false);
    // The SYN of an active open, which is 0:0 in the script too.
    if (p.icmp_echo.kind == IcmpEcho::Kind::kTcp && state == State::kSynSent)
      p.icmp_echo.seq = local_isn_ - script_isn_ + script.icmp_echo.seq;
    return p;
  }
  if (p.protocol != PacketSpec::Protocol::kTcp) return p;
  const bool opens = is_syn(p);
  if (opens && (state == State::kSynSent || state == State::kConnecting)) {
    remote_isn_ = p.seq;
    if (has_ack(p)) state = State::kOpen;
  } else if (has_ack(p) && state == State::kSynAckSent) {
    state = State::kOpen;
  }
  p.seq += remote_offset(opens);
  if (has_ack(p)) p.ack += local_offset(opens);
  shift_sacks(p.options, local_offset(opens));
  uint32_t val = 0, ecr = 0;
  if (has_ack(p) && read_timestamp(p.options, val, ecr)) {
    const auto known = timestamps_.find(ecr);
    if (known != timestamps_.end()) {
      write_timestamp(p.options, val, known->second);
    } else if (interpolates_ecr && first_timestamp_) {
      write_timestamp(p.options, val, ecr - first_timestamp_->first + first_timestamp_->second);
    } else {
      throw ScriptError({}, "no packet before it had the timestamp " + std::to_string(ecr) +
                                " that this one echoes (--tcp_ts_ecr_scaled allows it)");
    }
  }
  return p;
}

void Conversation::note_injected(const PacketSpec& live) {
  if (live.protocol == PacketSpec::Protocol::kTcp) last_injected_ = live;
}

std::vector<uint8_t> Conversation::build_reset() const {
  PacketSpec p;
  p.flags = wire::kTcpRst | wire::kTcpAck;
  if (last_injected_ && has_ack(*last_injected_)) {
    const PacketSpec& i = *last_injected_;
    p.seq = i.seq + i.payload + ((i.flags & wire::kTcpSyn) ? 1 : 0) + ((i.flags & wire::kTcpFin) ? 1 : 0);
    p.ack = i.ack;
    p.window = i.window;
  } else if (last_sent_) {
    p.seq = has_ack(*last_sent_) ? last_sent_->ack : 0;
    p.ack = last_sent_->seq + (has_ack(*last_sent_) ? 0 : 1);
  }
  return build_packet(p, ends);
}

namespace {

class Differences {
 public:
  void check(const char* what, int64_t expected, int64_t actual) {
    if (expected != actual) add(what, std::to_string(expected), std::to_string(actual));
  }
  void add(const std::string& what, const std::string& expected, const std::string& actual) {
    text_ += (text_.empty() ? "" : "\n") + what + ": expected " + expected + ", was " + actual;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

void compare_ip(const PacketSpec& e, const PacketSpec& a, Differences& d) {
  static constexpr const char* kEcn[] = {"noecn", "ect1", "ect0", "ce"};
  const int ecn = a.tos & 3;
  if (e.tos_check == PacketSpec::TosCheck::kEcn && ecn != (e.tos & 3)) d.add("ECN", kEcn[e.tos & 3], kEcn[ecn]);
  if (e.tos_check == PacketSpec::TosCheck::kEitherEct && ecn != 1 && ecn != 2) d.add("ECN", "ect0 or ect1", kEcn[ecn]);
  if (e.tos_check == PacketSpec::TosCheck::kTos) d.check("TOS", e.tos, a.tos);
  if (e.ttl != 0) d.check("TTL", e.ttl, a.ttl);
  if (e.flow_label != 0) d.check("flow label", e.flow_label, a.flow_label);
}

void compare_ports(const PacketSpec& e, const PacketSpec& a, Differences& d) {
  if (e.src_port != 0) d.check("source port", e.src_port, a.src_port);
  if (e.dst_port != 0) d.check("destination port", e.dst_port, a.dst_port);
}

void compare_flags(const PacketSpec& e, const PacketSpec& a, Differences& d) {
  static constexpr std::pair<uint8_t, const char*> kPlain[] = {{wire::kTcpFin, "FIN"}, {wire::kTcpSyn, "SYN"},
                                                               {wire::kTcpRst, "RST"}, {wire::kTcpPsh, "PSH"},
                                                               {wire::kTcpAck, "ACK"}, {wire::kTcpUrg, "URG"}};
  for (const auto& [bit, name] : kPlain)
    d.check(name, (e.flags & bit) != 0, (a.flags & bit) != 0);
  static constexpr std::pair<uint8_t, const char*> kEcn[] = {{wire::kTcpEce, "ECE"}, {wire::kTcpCwr, "CWR"}};
  for (const auto& [bit, name] : kEcn)
    d.check(name, (e.flags & bit) != 0, (a.flags & bit) != 0);
  d.check("AE", e.ae, a.ae);
}

void compare_options(const PacketSpec& e, const PacketSpec& a, const MatchRules& rules, Differences& d) {
  if (e.any_options) return;
  bool is_same = e.options.size() == a.options.size();
  for (size_t i = 0; is_same && i < e.options.size(); ++i) {
    is_same = e.options[i].kind == a.options[i].kind &&
              (e.options[i].kind == kOptTimestamp || e.options[i].value == a.options[i].value);
  }
  if (!is_same)
    return d.add("options", e.options.empty() ? "none" : to_string_options(e.options),
                 a.options.empty() ? "none" : to_string_options(a.options));
  uint32_t expected = 0, actual = 0, ecr = 0;
  if (rules.ts_tick_us == 0 || !read_timestamp(e.options, expected, ecr) || !read_timestamp(a.options, actual, ecr))
    return;
  const int64_t off = std::abs(static_cast<int64_t>(static_cast<int32_t>(actual - expected))) * rules.ts_tick_us;
  if (off > rules.ts_tolerance_us) d.check("TS val", expected, actual);
}

}  // namespace

std::string difference(const PacketSpec& e, const PacketSpec& a, const MatchRules& rules) {
  Differences d;
  if (e.protocol != a.protocol) {
    static constexpr const char* kNames[] = {"TCP", "UDP", "ICMP"};
    d.add("protocol", kNames[static_cast<int>(e.protocol)], kNames[static_cast<int>(a.protocol)]);
    return d.take();
  }
  compare_ip(e, a, d);
  if (e.protocol == PacketSpec::Protocol::kIcmp) {
    if (e.icmp_type != a.icmp_type) d.add("ICMP type", e.icmp_type, a.icmp_type);
    if (!e.icmp_code.empty() && e.icmp_code != a.icmp_code) d.add("ICMP code", e.icmp_code, a.icmp_code);
    if (e.icmp_mtu) d.check("MTU", *e.icmp_mtu, a.icmp_mtu.value_or(0));
    if (e.icmp_id != 0) d.check("id", e.icmp_id, a.icmp_id);
    return d.take();
  }
  compare_ports(e, a, d);
  d.check("payload bytes", e.payload, a.payload);
  if (e.protocol == PacketSpec::Protocol::kUdp) return d.take();
  compare_flags(e, a, d);
  d.check("seq", e.seq, a.seq);
  d.check("ack", e.ack, a.ack);
  if (e.window) d.check("win", *e.window, a.window.value_or(0));
  d.check("urg", e.urgent, a.urgent);
  compare_options(e, a, rules, d);
  return d.take();
}

std::string join_burst(PacketSpec& whole, const PacketSpec& next, const PacketSpec& script) {
  Differences d;
  d.check("seq of the next part", whole.seq + whole.payload, next.seq);
  d.check("ack of the next part", whole.ack, next.ack);
  d.check("win of the next part", whole.window.value_or(0), next.window.value_or(0));
  constexpr uint8_t kMaySit = wire::kTcpPsh | wire::kTcpFin | wire::kTcpCwr;
  d.check("flags of the next part", whole.flags & ~kMaySit, next.flags & ~kMaySit);
  if (whole.payload + next.payload > script.payload) {
    d.check("payload bytes", script.payload, whole.payload + next.payload);
  }
  if (!script.any_options && options_length(whole.options) != options_length(next.options)) {
    d.add("options of the next part", to_string_options(whole.options), to_string_options(next.options));
  }
  whole.payload += next.payload;
  constexpr uint8_t kOfTheLast = wire::kTcpPsh | wire::kTcpFin;
  whole.flags = static_cast<uint8_t>((whole.flags & ~kOfTheLast) | (next.flags & kOfTheLast));
  return d.take();
}

}  // namespace leat::drill
