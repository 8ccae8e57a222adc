// Each tool takes its words and gives its text and exit status; long tables come in pieces, so that a million rows are
// never held at once.
#include "diag/commands.h"

#include <fmt/format.h>

#include <cstring>
#include <deque>
#include <iterator>
#include <utility>

#include "diag/proc_net.h"
#include "diag/ss.h"

namespace leat::diag {
namespace {

constexpr int kUsage = 2;

bool is_help(std::span<const std::string> words) {
  return !words.empty() && (words[0] == "--help" || words[0] == "-h");
}

struct SysctlOptions {
  bool all = false, names_only = false, values_only = false, quiet = false, writes = false;
  std::vector<std::string> names;
};

bool parse_sysctl_options(std::span<const std::string> words, SysctlOptions& o, std::string& error) {
  for (const std::string& word : words) {
    if (!word.starts_with('-')) {
      o.names.push_back(word);
      continue;
    }
    for (char c : std::string_view(word).substr(1)) {
      bool* flag = c == 'a'   ? &o.all
                   : c == 'N' ? &o.names_only
                   : c == 'n' ? &o.values_only
                   : c == 'q' ? &o.quiet
                   : c == 'w' ? &o.writes
                              : nullptr;
      if (flag == nullptr) {
        error = "sysctl: there is no option " + word + " (leat sysctl --help)";
        return false;
      }
      *flag = true;
    }
  }
  return true;
}

std::string as_file(std::string name) {
  for (char& c : name) {
    if (c == '.') c = '/';
  }
  return "/proc/sys/" + name;
}

void show(Stack& stack, const SysctlOptions& o, const std::string& name, Answer& answer) {
  const auto value = stack.get_sysctl(name);
  if (!value) {
    answer.error += fmt::format("sysctl: cannot stat {}: No such file or directory\n", as_file(name));
    answer.status = 1;
    return;
  }
  if (o.names_only) {
    answer.out += name + "\n";
  } else {
    answer.out += o.values_only ? *value + "\n" : fmt::format("{} = {}\n", name, *value);
  }
}

Result<void> set_all(const std::vector<Stack*>& stacks, const std::string& name, const std::string& value) {
  Result<void> ok;
  for (Stack* stack : stacks) {
    if (ok) ok = stack->set_sysctl(name, value);
  }
  return ok;
}

void write(const std::vector<Stack*>& stacks, const SysctlOptions& o, const std::string& name, const std::string& value,
           Answer& answer) {
  if (const auto ok = set_all(stacks, name, value); !ok) {
    const bool is_unknown = ok.error() == Errno{ENOENT};
    answer.error += is_unknown ? fmt::format("sysctl: cannot stat {}: No such file or directory\n", as_file(name))
                               : fmt::format("sysctl: setting key \"{}\": {}\n", name, strerror(to_int(ok.error())));
    answer.status = 1;
  } else if (!o.quiet) {
    answer.out += o.values_only ? value + "\n" : fmt::format("{} = {}\n", name, value);
  }
}

std::string trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

}  // namespace

Answer Commands::run(std::string_view verb, std::span<const std::string> words) {
  if (verb == "ss") return ss(words);
  if (verb == "nstat") return nstat(words);
  if (verb == "sysctl") return sysctl(words);
  if (verb == "proc") return proc(words);
  return {kUsage, "", "there is no verb '" + std::string(verb.substr(0, 64)) + "'\n", {}};
}

// Few are sorted; of many, neither rows nor text are ever there all at once.
bool Commands::has_many_sockets() const {
  constexpr size_t kMany = 20'000;
  size_t count = 0;
  for (Stack* stack : stacks_)
    count += count_sockets(*stack);
  return count > kMany;
}

Answer Commands::all_sockets(std::shared_ptr<SsOptions> options) {
  if (!has_many_sockets()) {
    std::vector<SocketRow> rows;
    for (Stack* stack : stacks_) {
      auto more = snapshot(*stack);
      rows.insert(rows.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    }
    return {0, format_sockets(*options, rows), "", {}};
  }
  auto walk = std::make_shared<RowWalk>(stacks_);
  auto table = std::make_shared<SocketTable>(*options);
  return {0, "", "", [options, walk, table](std::string& out) {
            out += table->format(walk->next());
            return !walk->is_done();
          }};
}

Answer Commands::ss(std::span<const std::string> words) {
  auto options = std::make_shared<SsOptions>();
  SsOptions& o = *options;
  std::string error;
  if (!parse_ss_options(words, o, error)) return {kUsage, "", error + "\n", {}};
  if (o.help) return {0, ss_help(), "", {}};
  if (o.summary) return {0, format_summary(sum_of_totals()), "", {}};
  if (!o.kill) return all_sockets(std::move(options));
  std::vector<SocketRow> rows;
  for (Stack* stack : stacks_) {
    auto more = destroy_sockets(*stack, [&](const SocketRow& r) { return is_wanted(o, r); });
    rows.insert(rows.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }
  return {0, format_sockets(o, rows), "", {}};
}

SocketTotals Commands::sum_of_totals() const {
  SocketTotals sum;
  for (Stack* stack : stacks_)
    sum += totals(*stack);
  return sum;
}

std::vector<Counter> Commands::sum_of_counters() const {
  std::vector<Counter> sum = stacks_[0]->counters();
  for (size_t i = 1; i < stacks_.size(); ++i) {
    const std::vector<Counter> more = stacks_[i]->counters();
    for (size_t n = 0; n < sum.size(); ++n)
      sum[n].value += more[n].value;
  }
  return sum;
}

Answer Commands::nstat(std::span<const std::string> words) {
  NstatOptions o;
  std::string error;
  if (!parse_nstat_options(words, o, error)) return {kUsage, "", error + "\n", {}};
  if (o.help) return {0, nstat_help(), "", {}};
  return {0, format_nstat(o, sum_of_counters(), history_), "", {}};
}

Answer Commands::sysctl(std::span<const std::string> words) {
  if (is_help(words)) return {0, sysctl_help(), "", {}};
  SysctlOptions o;
  Answer answer;
  if (!parse_sysctl_options(words, o, answer.error)) {
    answer.error += "\n";
    answer.status = kUsage;
    return answer;
  }
  if (o.writes && o.names.empty()) {
    answer.error = "sysctl: -w needs NAME=VALUE\n";
    answer.status = kUsage;
    return answer;
  }
  if (o.all || o.names.empty()) o.names = stacks_[0]->sysctl_names();
  for (const std::string& word : o.names) {
    const size_t equals = word.find('=');
    if (equals != std::string::npos) {
      write(stacks_, o, trim(word.substr(0, equals)), trim(word.substr(equals + 1)), answer);
    } else if (o.writes) {
      answer.error += fmt::format("sysctl: \"{}\" must be of the form name=value\n", word);
      answer.status = 1;
    } else {
      show(*stacks_[0], o, word, answer);
    }
  }
  return answer;
}

Answer Commands::proc(std::span<const std::string> words) {
  if (words.empty() || is_help(words)) return {0, proc_help(), "", {}};
  if (has_many_sockets()) return proc_in_pieces(words);
  Answer answer;
  for (const std::string& path : words) {
    std::string text;
    bool is_there = true;
    for (Stack* stack : stacks_) {
      text.clear();
      is_there &= read_proc(*stack, path, text);
      answer.out += text;
    }
    if (!is_there) {
      answer.error += fmt::format("proc: there is no file '{}' (leat proc lists them)\n", path);
      answer.status = 1;
    }
  }
  return answer;
}

// The same where a table may be of millions: file after file, Stack after Stack, a piece of a table a call.
Answer Commands::proc_in_pieces(std::span<const std::string> words) {
  struct Part {
    std::string text;  // of a file that is short
    std::function<bool(std::string&)> walk;
  };
  auto parts = std::make_shared<std::deque<Part>>();
  for (const std::string& path : words) {
    for (Stack* stack : stacks_) {
      auto walk = walk_proc(*stack, path);
      std::string text;
      if (!walk && !read_proc(*stack, path, text)) {
        return {1, "", fmt::format("proc: there is no file '{}' (leat proc lists them)\n", path), {}};
      }
      parts->push_back({std::move(text), std::move(walk)});
    }
  }
  return {0, "", "", [parts](std::string& out) {
            Part& part = parts->front();
            out += std::exchange(part.text, {});
            const bool has_more = part.walk && part.walk(out);
            if (!has_more) parts->pop_front();
            return !parts->empty();
          }};
}

std::string sysctl_help() {
  return "Usage: leat sysctl [-a] [-n] [-N] [-q] [-w] [NAME | NAME=VALUE]...\n"
         "The settings of a leat that runs, under Linux's names; without a name: all.\n\n"
         "  -n  values without names      -N  names without values      -q  silent when writing\n"
         "  --control PATH, --name NAME   which leat; not needed when one runs alone\n\n"
         "Examples:\n"
         "  leat sysctl net.ipv4.tcp_congestion_control\n"
         "  leat sysctl -w net.ipv4.tcp_sack=0\n";
}

std::string proc_help() {
  std::string text =
      "Usage: leat proc FILE...\n"
      "Files of /proc for a leat that runs, as the kernel writes its own.\n\nFiles:";
  for (std::string_view path : proc_files())
    text += fmt::format(" {}", path);
  return text + "\n\nExample:\n  leat proc net/sockstat\n";
}

}  // namespace leat::diag
