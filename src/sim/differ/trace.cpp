// See trace.h.
#include "sim/differ/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "sim/differ/info.h"

namespace leat::differ {
namespace {

std::string to_hex(const std::vector<uint8_t>& bytes, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i)
    out += fmt::format("{:02x}", bytes[i]);
  return out.empty() ? "-" : out;
}

std::vector<uint8_t> from_hex(const std::string& text) {
  std::vector<uint8_t> out;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out.push_back(static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return out;
}

// The headers only; the payload is so many zeros.
std::string packet_text(const Segment& s) {
  const auto bytes = build(s);
  return fmt::format("{} {}", to_hex(bytes, bytes.size() - s.length), s.length);
}

bool read_packet(std::istream& in, Segment& out) {
  std::string hex;
  uint32_t length = 0;
  if (!(in >> hex >> length)) return false;
  auto bytes = from_hex(hex);
  bytes.resize(bytes.size() + length);
  const auto s = parse(bytes);
  if (!s) return false;
  out = *s;
  out.is_checksum_good = true;
  return true;
}

std::string op_text(const Op& op) {
  return fmt::format("{} {} {} {}", static_cast<int>(op.kind), op.value, op.level, op.name);
}
bool read_op(std::istream& in, Op& op) {
  int kind = 0;
  if (!(in >> kind >> op.value >> op.level >> op.name)) return false;
  op.kind = static_cast<Op::Kind>(kind);
  return true;
}

constexpr const char* kWords[] = {"in", "out", "open", "accept", "call"};

std::string event_text(const TraceEvent& e) {
  std::string out = fmt::format("{} {}", kWords[e.kind], e.at.ns() / 1000);
  if (e.kind == TraceEvent::kIn || e.kind == TraceEvent::kOut) return out + " " + packet_text(e.segment);
  out += fmt::format(" {}", e.result);
  if (e.kind == TraceEvent::kCall) out += fmt::format(" {} {}", op_text(e.op), to_hex(e.info, e.info.size()));
  return out;
}

bool read_event(const std::string& word, std::istream& in, Trace& out) {
  const auto found = std::find(std::begin(kWords), std::end(kWords), word);
  if (found == std::end(kWords)) return false;
  TraceEvent e;
  e.kind = static_cast<TraceEvent::Kind>(found - std::begin(kWords));
  int64_t us = 0;
  if (!(in >> us)) return false;
  e.at = Time::from_us(us);
  bool is_good = true;
  if (e.kind == TraceEvent::kIn || e.kind == TraceEvent::kOut) {
    is_good = read_packet(in, e.segment);
  } else {
    is_good = static_cast<bool>(in >> e.result);
    std::string hex;
    if (e.kind == TraceEvent::kCall) is_good = read_op(in, e.op) && (in >> hex);
    if (hex != "-") e.info = from_hex(hex);
  }
  if (is_good) out.events.push_back(std::move(e));
  return is_good;
}

bool read_line(const std::string& line, Trace& out) {
  std::istringstream in(line);
  std::string word, value;
  int64_t us = 0;
  if (!(in >> word) || word[0] == '#') return true;
  if (word == "case") return static_cast<bool>(in >> out.number);
  if (word == "v6") return static_cast<bool>(in >> out.is_v6);
  if (word == "passive") return static_cast<bool>(in >> out.is_passive);
  if (word == "congestion") return static_cast<bool>(in >> out.congestion);
  if (word == "clock") return static_cast<bool>(in >> out.clock_us >> out.jiffy_us);
  if (word == "end") return (in >> us) && ((out.end = Time::from_us(us)), true);
  if (word == "sysctl") {
    std::string name;
    in >> name;
    std::getline(in >> std::ws, value);
    out.sysctls.emplace_back(name, value);
    return true;
  }
  if (word == "option") {
    Op op;
    const bool is_good = read_op(in, op);
    out.options_before.push_back(op);
    return is_good;
  }
  return read_event(word, in, out);
}

struct Bases {
  uint32_t stack = 0, peer = 0, stack_ts = 0, peer_ts = 0;
};

Bases bases_of(const Trace& t) {
  Bases b;
  bool has_stack = false, has_peer = false;
  for (const TraceEvent& e : t.events) {
    if (e.kind == TraceEvent::kIn && !has_peer) {
      has_peer = true;
      b.peer = e.segment.seq;
      b.peer_ts = e.segment.ts_value;
    } else if (e.kind == TraceEvent::kOut && !has_stack) {
      has_stack = true;
      b.stack = e.segment.seq;
      b.stack_ts = e.segment.ts_value;
    }
  }
  return b;
}

}  // namespace

std::string Trace::to_text() const {
  std::string out = fmt::format("case {}\nv6 {:d}\npassive {:d}\ncongestion {}\nclock {} {}\n", number, is_v6,
                                is_passive, congestion, clock_us, jiffy_us);
  for (const auto& [name, value] : sysctls)
    out += fmt::format("sysctl {} {}\n", name, value);
  for (const Op& op : options_before)
    out += fmt::format("option {}\n", op_text(op));
  for (const TraceEvent& e : events)
    out += event_text(e) + "\n";
  return out + fmt::format("end {}\n", end.ns() / 1000);
}

bool Trace::from_text(const std::string& text, Trace& out, std::string& why) {
  out = Trace{};
  std::istringstream in(text);
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (read_line(line, out)) continue;
    why = fmt::format("line {}: {}", number, line.substr(0, 60));
    return false;
  }
  return true;
}

std::string describe(const Trace& t, size_t count) {
  const Bases b = bases_of(t);
  std::string out;
  for (size_t i = 0; i < std::min(count, t.events.size()); ++i) {
    const TraceEvent& e = t.events[i];
    out += fmt::format("{:10.3f} ", static_cast<double>(e.at.us()) / 1000);
    if (e.kind == TraceEvent::kIn) out += "< " + describe(e.segment, b.peer, b.stack, b.peer_ts, b.stack_ts);
    if (e.kind == TraceEvent::kOut) out += "> " + describe(e.segment, b.stack, b.peer, b.stack_ts, b.peer_ts);
    if (e.kind == TraceEvent::kOpen)
      out += fmt::format("  open {} = {}", t.is_passive ? "listener" : "connect", e.result);
    if (e.kind == TraceEvent::kAccept) out += fmt::format("  accept = {}", e.result);
    if (e.kind == TraceEvent::kCall) out += fmt::format("  {} = {}", describe(e.op), e.result);
    if (!e.info.empty()) out += " " + describe_info(e.info);
    out += "\n";
  }
  return out;
}

}  // namespace leat::differ
