// The SPEC text of impair_options.h: one table row a key, with the reader of its value and the words for the error.
#include <charconv>
#include <cmath>
#include <iterator>
#include <span>

#include "link/impair_options.h"

namespace leat {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};
constexpr Unit kTimeUnits[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
constexpr Unit kRateUnits[] = {{"bit", 1}, {"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}};
constexpr Unit kByteUnits[] = {{"", 1}, {"b", 1}, {"kb", 1024}, {"mb", 1024.0 * 1024}, {"gb", 1024.0 * 1024 * 1024}};
constexpr Unit kPercentUnits[] = {{"%", 0.01}};
constexpr Unit kCountUnits[] = {{"", 1}};

// A number that is not negative, its unit right behind it, at most `max` in the smallest unit. Zero needs no unit.
bool parse_amount(std::string_view text, std::span<const Unit> units, double max, double& out) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, status] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (status != std::errc{} || !std::isfinite(number) || number < 0) return false;
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  if (unit.empty() && number == 0) {
    out = 0;
    return true;
  }
  for (const Unit& u : units) {
    if (u.name != unit) continue;
    out = number * u.factor;
    return out <= max;
  }
  return false;
}

bool set_duration(std::string_view text, Duration& out) {
  double ns = 0;
  if (!parse_amount(text, kTimeUnits, 3.6e12, ns)) return false;
  out = Duration::from_ns(std::llround(ns));
  return true;
}
bool set_chance(std::string_view text, double& out) {
  return parse_amount(text, kPercentUnits, 1, out);
}
bool set_rate(std::string_view text, uint64_t& out) {
  double bits = 0;
  if (!parse_amount(text, kRateUnits, 1e12, bits) || bits < 1) return false;
  out = static_cast<uint64_t>(bits);
  return true;
}
bool set_bytes(std::string_view text, uint64_t& out) {
  double bytes = 0;
  if (!parse_amount(text, kByteUnits, 1e12, bytes) || bytes < 1) return false;
  out = static_cast<uint64_t>(bytes);
  return true;
}
bool set_count(std::string_view text, uint32_t& out) {
  double count = 0;
  if (!parse_amount(text, kCountUnits, 1e6, count) || count < 1 || count != std::floor(count)) return false;
  out = static_cast<uint32_t>(count);
  return true;
}
bool set_bool(std::string_view text, bool& out) {
  out = text == "yes";
  return text == "yes" || text == "no";
}
bool set_direction(std::string_view text, ImpairDirection& out) {
  out = text == "out" ? ImpairDirection::kTransmit : text == "in" ? ImpairDirection::kReceive : ImpairDirection::kBoth;
  return text == "out" || text == "in" || text == "both";
}

// p[/r[/1-h[/1-k]]]; as in tc, r defaults to 1-p, 1-h to 100% and 1-k to 0.
bool set_gemodel(std::string_view text, ImpairOptions& o) {
  double parts[4];
  size_t n = 0;
  for (bool more = true; more; ++n) {
    const size_t slash = text.find('/');
    more = slash != std::string_view::npos;
    if (n == std::size(parts) || !set_chance(text.substr(0, slash), parts[n])) return false;
    if (more) text.remove_prefix(slash + 1);
  }
  o.has_gilbert_elliott = true;
  o.gilbert_elliott = {parts[0], n > 1 ? parts[1] : 1 - parts[0], n > 2 ? parts[2] : 1, n > 3 ? parts[3] : 0};
  return true;
}

struct Key {
  std::string_view name;
  bool (*set)(std::string_view value, ImpairOptions& o);
  const char* expected;
};
using Text = std::string_view;
using Options = ImpairOptions;
constexpr const char* kDurationText = "a duration up to one hour with its unit (ns, us, ms, s), like 10ms";
constexpr const char* kChanceText = "a percentage from 0% to 100%, like 0.5%";
constexpr const char* kBytesText = "a size in bytes (b, kb, mb, gb; a kb is 1024 bytes), like 100kb";
constexpr const char* kCountText = "a number of packets from 1 to 1000000, like 1000";
constexpr Key kKeys[] = {
    {"delay", [](Text v, Options& o) { return set_duration(v, o.delay); }, kDurationText},
    {"jitter", [](Text v, Options& o) { return set_duration(v, o.jitter); }, kDurationText},
    {"keep_order", [](Text v, Options& o) { return set_bool(v, o.keep_order); }, "yes or no"},
    {"loss", [](Text v, Options& o) { return set_chance(v, o.loss); }, kChanceText},
    {"gemodel", set_gemodel, "one to four percentages p/r/1-h/1-k, like 1%/10%/70%/0.1%"},
    {"rate", [](Text v, Options& o) { return set_rate(v, o.rate); },
     "a rate above zero with its unit (bit, kbit, mbit, gbit; a kbit is 1000 bits a second), like 50mbit"},
    {"reorder", [](Text v, Options& o) { return set_chance(v, o.reorder); }, kChanceText},
    {"reorder_delay", [](Text v, Options& o) { return set_duration(v, o.reorder_delay); }, kDurationText},
    {"duplicate", [](Text v, Options& o) { return set_chance(v, o.duplicate); }, kChanceText},
    {"corrupt", [](Text v, Options& o) { return set_chance(v, o.corrupt); }, kChanceText},
    {"limit", [](Text v, Options& o) { return set_count(v, o.limit_packets); }, kCountText},
    {"limit_bytes", [](Text v, Options& o) { return set_bytes(v, o.limit_bytes); }, kBytesText},
    {"ecn", [](Text v, Options& o) { return set_bytes(v, o.ecn_bytes); }, kBytesText},
    {"ecn_packets", [](Text v, Options& o) { return set_count(v, o.ecn_packets); }, kCountText},
    {"direction", [](Text v, Options& o) { return set_direction(v, o.direction); }, "out, in or both"},
};

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && s.front() == ' ')
    s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ')
    s.remove_suffix(1);
  return s;
}

std::string quoted(std::string_view s) {
  return "'" + std::string(s) + "'";
}

std::string key_names() {
  std::string names;
  for (const Key& k : kKeys)
    names += (names.empty() ? "" : ", ") + std::string(k.name);
  return names;
}

// One "key=value"; `seen` has a bit for each row. The error, or an empty text.
std::string parse_part(std::string_view part, uint32_t& seen, ImpairOptions& o) {
  const size_t equals = part.find('=');
  if (equals == std::string_view::npos) return quoted(part) + " has no '=': expected key=value, like delay=10ms";
  const std::string_view name = trimmed(part.substr(0, equals));
  const std::string_view value = trimmed(part.substr(equals + 1));
  for (const Key& k : kKeys) {
    if (k.name != name) continue;
    const uint32_t bit = 1u << (&k - kKeys);
    if ((seen & bit) != 0) return quoted(name) + " is given twice";
    seen |= bit;
    if (k.set(value, o)) return {};
    return std::string(name) + ": " + quoted(value) + " is wrong: expected " + k.expected;
  }
  return "unknown key " + quoted(name) + ": expected one of " + key_names();
}

// Settings that would do nothing are errors: no silent success.
std::string check_combination(const ImpairOptions& o) {
  if (o.rate == 0 && (o.ecn_bytes != 0 || o.ecn_packets != 0))
    return "ecn needs rate: without a bottleneck no queue builds up";
  if (o.reorder > 0 && o.delay == Duration{} && o.reorder_delay == Duration{})
    return "reorder needs delay (which a reordered packet skips) or reorder_delay (which it waits in addition)";
  if (o.reorder == 0 && o.reorder_delay != Duration{})
    return "reorder_delay needs reorder, the share of packets to hold";
  return {};
}

}  // namespace

Result<ImpairOptions> parse_impair(std::string_view text, std::string& error) {
  ImpairOptions o;
  uint32_t seen = 0;
  error.clear();
  text = trimmed(text);
  while (!text.empty() && error.empty()) {
    const size_t comma = text.find(',');
    error = parse_part(trimmed(text.substr(0, comma)), seen, o);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (trimmed(text).empty() && error.empty()) error = "the text ends with a comma: expected key=value behind it";
  }
  if (error.empty()) error = check_combination(o);
  if (!error.empty()) return err(EINVAL);
  return o;
}

}  // namespace leat
