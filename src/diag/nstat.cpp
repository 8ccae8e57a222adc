// What was shown last is the caller's to keep (NstatHistory); nstat has a file for it.
#include "diag/nstat.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>

namespace leat::diag {
namespace {

// The order in which nstat reads /proc/net/snmp, snmp6 and netstat.
constexpr std::string_view kGroups[] = {"Ip", "Icmp", "Tcp", "Udp", "Ip6", "Icmp6", "Udp6", "TcpExt", "IpExt"};

// Settings and gauges: their differences say nothing, and nstat does not show them.
constexpr std::string_view kNotCounted[] = {"IpForwarding", "IpDefaultTTL", "TcpRtoAlgorithm", "TcpRtoMin",
                                            "TcpRtoMax",    "TcpMaxConn",   "TcpCurrEstab"};

bool is_wanted(const NstatOptions& o, const std::string& name) {
  if (std::ranges::find(kNotCounted, name) != std::end(kNotCounted)) return false;
  if (o.patterns.empty()) return true;
  return std::ranges::any_of(o.patterns,
                             [&](const std::string& p) { return fnmatch(p.c_str(), name.c_str(), FNM_CASEFOLD) == 0; });
}

struct Line {
  std::string name;
  uint64_t value;
};

std::vector<Line> lines_of(const NstatOptions& o, std::span<const Counter> counters, NstatHistory& history) {
  std::vector<Line> lines;
  NstatHistory fresh = history;
  for (std::string_view group : kGroups) {
    for (const Counter& c : counters) {
      if (c.group != group) continue;
      const std::string name = c.group + c.name;
      const auto before = history.find(name);
      const uint64_t since = before == history.end() || before->second > c.value ? 0 : before->second;
      const uint64_t value = o.absolute ? c.value : c.value - since;
      if (is_wanted(o, name) && (value != 0 || o.zeros)) lines.push_back({name, value});
      fresh[name] = c.value;
    }
  }
  if (!o.keep) history = std::move(fresh);
  return lines;
}

struct Flag {
  char letter;
  std::string_view name;
  bool NstatOptions::* member;
};
constexpr Flag kFlags[] = {
    {'a', "ignore", &NstatOptions::absolute}, {'z', "zeros", &NstatOptions::zeros},
    {'s', "noupdate", &NstatOptions::keep},   {'r', "reset", &NstatOptions::reset},
    {'n', "nooutput", &NstatOptions::silent}, {'j', "json", &NstatOptions::json},
    {'h', "help", &NstatOptions::help},
};

bool set_flag(NstatOptions& o, char letter, std::string_view name, std::string& error) {
  for (const Flag& f : kFlags) {
    if (letter != 0 ? f.letter == letter : f.name == name) {
      o.*f.member = true;
      return true;
    }
  }
  const std::string said = letter != 0 ? std::string("-") + letter : "--" + std::string(name);
  error = "nstat: there is no option " + said + " (leat nstat --help)";
  return false;
}

}  // namespace

bool parse_nstat_options(std::span<const std::string> words, NstatOptions& out, std::string& error) {
  for (const std::string& word : words) {
    if (word.starts_with("--") && word.size() > 2) {
      if (!set_flag(out, 0, std::string_view(word).substr(2), error)) return false;
    } else if (word.starts_with('-') && word.size() > 1) {
      for (char c : std::string_view(word).substr(1)) {
        if (!set_flag(out, c, {}, error)) return false;
      }
    } else {
      out.patterns.push_back(word);
    }
  }
  return true;
}

std::string format_nstat(const NstatOptions& o, std::span<const Counter> counters, NstatHistory& history) {
  if (o.reset) history.clear();
  const std::vector<Line> lines = lines_of(o, counters, history);
  if (o.silent) return "";
  std::string out = o.json ? "{\"kernel\":{" : "#kernel\n";
  for (const Line& line : lines) {
    if (o.json) {
      out += fmt::format("{}\"{}\":{}", &line == lines.data() ? "" : ",", line.name, line.value);
    } else {
      out += fmt::format("{:<32}{:<16}{:6.1f}\n", line.name, line.value, 0.0);
    }
  }
  if (o.json) out += "}}\n";
  return out;
}

std::string nstat_help() {
  return "Usage: leat nstat [OPTIONS] [PATTERN]...\n"
         "The counters of a leat that runs, as nstat(8) shows the kernel's: what was counted since the last time.\n\n"
         "  -a, --ignore     since the start\n"
         "  -z, --zeros      those that are 0, too\n"
         "  -s, --noupdate   do not remember what was shown\n"
         "  -r, --reset      forget what was shown before\n"
         "  -n, --nooutput   only remember\n"
         "  -j, --json\n"
         "      --control PATH, --name NAME   which leat; not needed when one runs alone\n\n"
         "Examples:\n"
         "  leat nstat -az              all counters\n"
         "  leat nstat -a 'TcpExt*' 'Tcp*Segs'\n"
         "  leat nstat                  what happened since the last time\n";
}

}  // namespace leat::diag
