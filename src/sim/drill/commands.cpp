// See commands.h.
#include "sim/drill/commands.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "sim/drill/code.h"

namespace leat::drill {
namespace {

// "$((15*1024))" to "15360".
std::string expand_arithmetic(std::string text) {
  for (size_t at = text.find("$(("); at != std::string::npos; at = text.find("$((")) {
    const size_t end = text.find("))", at);
    if (end == std::string::npos) throw std::runtime_error("$(( without ))");
    const std::string inner = text.substr(at + 3, end - at - 3);
    Variables variables;
    Code::Context context{variables, [](const std::string&) { return std::nullopt; }, [](const std::string&) {}};
    parse_code("x = " + inner, {})->run(context);
    text.replace(at, end + 2 - at, to_string_value(variables["x"]));
  }
  return text;
}

struct Simple {
  std::string join;  // what stood before it: "", ";", "&&", "||"
  std::string text;
};

// Splits at newlines, ;, && and ||, outside of quotes; drops comments.
std::vector<Simple> split_commands(const std::string& text) {
  std::vector<Simple> out{{}};
  char quote = '\0';
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != '\0' || c == '"' || c == '\'') {
      if (quote == '\0') {
        quote = c;
      } else if (c == quote) {
        quote = '\0';
      }
      out.back().text += c;
    } else if (c == '#' && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '\n' || text[i - 1] == '\t')) {
      while (i + 1 < text.size() && text[i + 1] != '\n')
        ++i;
    } else if (c == '\\' && i + 1 < text.size() && text[i + 1] == '\n') {
      ++i;
    } else if (c == '\n' || c == ';') {
      out.push_back({";", ""});
    } else if ((text.compare(i, 2, "&&") == 0 || text.compare(i, 2, "||") == 0)) {
      out.push_back({text.substr(i, 2), ""});
      ++i;
    } else {
      out.back().text += c;
    }
  }
  return out;
}

// Words without their quotes, and without redirections (> file, 2>&1, &> file).
std::vector<std::string> split_words(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  bool has_word = false;
  char quote = '\0';
  for (size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ' ';
    if (quote != '\0' && i < text.size()) {
      if (c == quote) {
        quote = '\0';
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      has_word = true;
    } else if (c == ' ' || c == '\t') {
      if (has_word || !word.empty()) words.push_back(word);
      word.clear();
      has_word = false;
    } else {
      word += c;
    }
  }
  std::vector<std::string> kept;
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t arrow = words[i].find('>');
    const bool is_redirection = arrow != std::string::npos && arrow <= 1 && !words[i].starts_with("->");
    if (!is_redirection) {
      kept.push_back(words[i]);
    } else if (arrow + 1 == words[i].size()) {
      ++i;  // the file is a word of its own
    }
  }
  return kept;
}

std::string base_name(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

}  // namespace

bool Commands::run(const std::string& text) {
  bool ok = true;
  for (const Simple& c : split_commands(expand_arithmetic(text))) {
    if ((c.join == "&&" && !ok) || (c.join == "||" && ok)) continue;
    was_counter_ = c.text.find('|') != std::string::npos;
    if (was_counter_) {
      ok = run_nstat(c.text);
      continue;
    }
    std::vector<std::string> words = split_words(c.text);
    if (!words.empty()) ok = run_one(std::move(words));
  }
  return ok;
}

bool Commands::run_one(std::vector<std::string> words) {
  const std::string program = base_name(words[0]);
  if (program == "sysctl") return run_sysctl(words);
  if (program == "set_sysctls.py") return run_set_sysctls(words);
  if (program == "nstat") return run_nstat("nstat");
  if (program == "true" || program == ":" || program == "echo") return true;
  if (program.starts_with("sysctl_restore_")) return true;  // each run has a stack of its own
  if (program == "sleep" && words.size() == 2) {
    const Time until =
        target_.now() + Duration::from_us(static_cast<int64_t>(std::strtod(words[1].c_str(), nullptr) * 1e6));
    target_.run_until(until);
    return true;
  }
  if (program.ends_with(".sh") && words.size() == 1) return run_file(words[0]);
  if (program == "ip" || program == "tc" || program == "ethtool") {
    std::string command = program, why;
    for (size_t i = 1; i < words.size(); ++i)
      command += " " + words[i];
    return target_.configure(command, why) || fail(why);
  }
  throw std::runtime_error("'" + words[0] +
                           "' is not understood here, because there is no shell; there are sysctl, ip route, ip "
                           "tcp_metrics, tc qdisc, ethtool, nstat, sleep and files of such commands");
}

bool Commands::run_sysctl(const std::vector<std::string>& words) {
  bool ok = true, ignores_unknown = false;
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i].starts_with("-")) {
      ignores_unknown |= words[i] == "-e";
      continue;
    }
    const auto eq = words[i].find('=');
    if (eq == std::string::npos) throw std::runtime_error("sysctl: '" + words[i] + "' should be NAME=VALUE");
    std::string why;
    const bool is_set = target_.set_sysctl(words[i].substr(0, eq), words[i].substr(eq + 1), why);
    if (!is_set && !ignores_unknown) ok = fail(why);
  }
  return ok;
}

// /proc/sys/net/ipv4/tcp_timestamps=0
bool Commands::run_set_sysctls(const std::vector<std::string>& words) {
  bool ok = true;
  for (size_t i = 1; i < words.size(); ++i) {
    const auto eq = words[i].find('=');
    if (eq == std::string::npos || !words[i].starts_with("/proc/sys/")) {
      throw std::runtime_error("set_sysctls.py: '" + words[i] + "' should be /proc/sys/NAME=VALUE");
    }
    std::string name = words[i].substr(10, eq - 10), why;
    std::replace(name.begin(), name.end(), '/', '.');
    if (!target_.set_sysctl(name, words[i].substr(eq + 1), why)) ok = fail(why);
  }
  return ok;
}

// "nstat", or "nstat | grep [-q] NAME [N]". The pattern may be quoted.
bool Commands::run_nstat(const std::string& line) {
  const auto bar = line.find('|');
  const std::vector<std::string> left = split_words(line.substr(0, bar));
  if (left.empty() || base_name(left[0]) != "nstat")
    throw std::runtime_error("'" + line + "': the only pipe that is understood is nstat | grep COUNTER");
  if (bar == std::string::npos) {
    counters_ = target_.all_counters();
    return true;
  }
  std::string pattern;
  const std::vector<std::string> right = split_words(line.substr(bar + 1));
  for (size_t i = 1; i < right.size(); ++i) {
    if (!right[i].starts_with("-")) pattern += (pattern.empty() ? "" : " ") + right[i];
  }
  std::istringstream in(pattern);
  std::string name, number;
  in >> name >> number;
  if (right.empty() || right[0] != "grep" || name.empty())
    throw std::runtime_error("'" + line + "': the only pipe that is understood is nstat | grep COUNTER [N]");
  const bool is_absolute = left.size() > 1 && left[1].starts_with("-") && left[1].find('a') != std::string::npos;
  const uint64_t grown = target_.counter(name) - (is_absolute ? 0 : counters_[name]);
  counters_ = target_.all_counters();
  if (number.empty() || !std::isdigit(static_cast<unsigned char>(number[0]))) {
    return grown != 0 || fail(name + " has not grown");
  }
  return grown == std::strtoull(number.c_str(), nullptr, 10) ||
         fail(name + " has grown by " + std::to_string(grown) + ", not by " + number);
}

bool Commands::run_file(const std::string& name) {
  const std::string path = name.starts_with("/") ? name : directory_ + "/" + name;
  std::ifstream in(path);
  if (!in) throw std::runtime_error("there is no " + path);
  if (++depth_ > 8) throw std::runtime_error(path + " runs itself");
  std::stringstream text;
  text << in.rdbuf();
  (void)run(text.str());  // as with bash, whose status is the last command's: files set more than every kernel has
  --depth_;
  return true;
}

}  // namespace leat::drill
