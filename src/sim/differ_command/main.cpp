// leat-differ: plays numbered cases against the host's kernel, each in a process and a network namespace of its own,
// and what the kernel did against leat. Waiting, not computing, is what takes time, so many run at once. A difference
// counts when it shows in every attempt.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "sim/differ/record.h"
#include "sim/differ/replay.h"
#include "sim/kernel/kernel_target.h"

namespace {

using namespace leat;
using namespace leat::differ;

constexpr int kEqual = 0, kDifferent = 1, kUnsteady = 2, kNotRun = 77;

struct Options {
  uint64_t first = 1, count = 100;
  unsigned jobs = 30, attempts = 3;
  uint64_t allowed = 0;
  size_t context = 12;
  bool is_shown = false;
  std::string keep;
  std::vector<std::string> files;
};

std::string tell(const Options& o, const Trace& trace, const Difference& d) {
  const std::string all = describe(trace, o.is_shown ? trace.events.size() : d.index + 1);
  std::vector<std::string> lines;
  std::istringstream in(all);
  for (std::string line; std::getline(in, line);)
    lines.push_back(line);
  std::string out;
  const size_t from = o.is_shown || d.index < o.context ? 0 : d.index - o.context;
  for (size_t i = from; i < lines.size(); ++i) {
    out += lines[i] + "\n";
    if (i == d.index && !d.is_equal()) out += d.text;
  }
  if (d.index >= lines.size()) out += d.text;
  return out;
}

void save(const Options& o, const Trace& trace) {
  if (!o.keep.empty()) std::ofstream(fmt::format("{}/{}.trace", o.keep, trace.number)) << trace.to_text();
}

int run_case(const Options& o, uint64_t number, std::string& text) {
  const Case c = draw(number);
  for (unsigned attempt = 0; attempt < o.attempts; ++attempt) {
    std::string why;
    Trace trace;
    const auto target = drill::KernelTarget::create({}, why);
    if (target == nullptr || !record(c, *target, trace, why)) {
      text = why + "\n";
      return kNotRun;
    }
    const Difference d = replay(trace);
    if (o.is_shown && d.is_equal()) text = c.describe() + tell(o, trace, d);
    if (d.is_equal()) {
      if (attempt == 0 && o.is_shown) save(o, trace);
      return attempt == 0 ? kEqual : kUnsteady;
    }
    if (attempt == 0) {
      save(o, trace);
      text = fmt::format("FAIL case {}: {}\n{}{}", number, d.kind, c.describe(), tell(o, trace, d));
    }
  }
  return kDifferent;
}

int replay_files(const Options& o) {
  int worst = 0;
  size_t different = 0;
  for (const std::string& name : o.files) {
    std::ifstream in(name);
    std::stringstream text;
    text << in.rdbuf();
    Trace trace;
    std::string why;
    if (!Trace::from_text(text.str(), trace, why)) {
      fmt::print("{}: {}\n", name, why);
      worst = 2;
      continue;
    }
    const Difference d = replay(trace);
    if (!d.is_equal()) fmt::print("FAIL {}: {}\n", name, d.kind);
    if (!d.is_equal() || o.is_shown) fmt::print("{}", tell(o, trace, d));
    different += d.is_equal() ? 0 : 1;
  }
  fmt::print("{} of {} traces differ\n", different, o.files.size());
  return different > 0 ? 1 : worst;
}

// One case in a child; what it has to say comes through a file without a name.
struct Child {
  uint64_t number;
  FILE* said;
};

class Pool {
 public:
  explicit Pool(const Options& o) : options_(o) {}

  int run() {
    uint64_t next = options_.first;
    const uint64_t end = options_.first + options_.count;
    while ((next < end && !is_impossible_) || !children_.empty()) {
      if (next < end && !is_impossible_ && children_.size() < options_.jobs)
        start(next++);
      else
        collect();
    }
    if (is_impossible_) return kNotRun;
    summary();
    return counts_[kDifferent] > options_.allowed ? 1 : 0;
  }

 private:
  void start(uint64_t number) {
    FILE* said = std::tmpfile();
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
      std::string text;
      const int status = run_case(options_, number, text);
      std::fwrite(text.data(), 1, text.size(), said);
      std::fflush(said);
      _exit(status);
    }
    children_[pid] = {number, said};
    usleep(15'000);  // namespaces are made under one lock: not all at once
  }

  void collect() {
    int status = 0;
    const pid_t pid = wait(&status);
    const auto child = children_.extract(pid);
    if (child.empty()) return;
    std::string text;
    std::rewind(child.mapped().said);
    char buffer[4096];
    for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, child.mapped().said)) > 0;)
      text.append(buffer, n);
    std::fclose(child.mapped().said);
    int outcome = WIFEXITED(status) ? WEXITSTATUS(status) : kDifferent;
    if (!WIFEXITED(status)) text = fmt::format("FAIL case {}: the process died\n", child.mapped().number);
    if (outcome == kNotRun) is_impossible_ = true;
    ++counts_[outcome];
    if (outcome == kDifferent) ++kinds_[text.substr(0, text.find('\n')).substr(text.find(": ") + 2)];
    if (outcome != kUnsteady)
      fmt::print("{}", text);
    else
      fmt::print("not every time: case {}: {}\n", child.mapped().number, text.substr(0, text.find('\n')));
    std::fflush(stdout);
  }

  void summary() {
    for (const auto& [kind, n] : kinds_)
      fmt::print("{:5} {}\n", n, kind);
    fmt::print("{} cases: {} equal, {} different, {} different but not every time\n", options_.count, counts_[kEqual],
               counts_[kDifferent], counts_[kUnsteady]);
  }

  const Options& options_;
  std::map<pid_t, Child> children_;
  std::map<int, uint64_t> counts_;
  std::map<std::string, uint64_t> kinds_;
  bool is_impossible_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Plays numbered cases on the host's kernel, replays them on leat, and shows the first difference."};
  app.footer(
      "Needs root, or unprivileged user namespaces, and /dev/net/tun; exit code 77 without.\n"
      "Examples:\n  leat-differ --cases 1000\n  leat-differ --case 17 --show\n  leat-differ --replay kept/17.trace");
  app.add_option("--cases,-n", o.count, "how many")->capture_default_str();
  app.add_option("--seed,-s", o.first, "the number of the first")->capture_default_str();
  app.add_option_function<uint64_t>("--case,-c", [&o](uint64_t n) { o.first = n, o.count = 1; }, "just this one");
  app.add_flag("--show", o.is_shown, "all events, also when there is no difference");
  app.add_option("--jobs,-j", o.jobs, "at once")->capture_default_str();
  app.add_option("--attempts", o.attempts, "a difference must show in each of so many runs")->capture_default_str();
  app.add_option("--allow", o.allowed, "so many cases may differ")->capture_default_str();
  app.add_option("--context", o.context, "events shown before a difference")->capture_default_str();
  app.add_option("--keep", o.keep, "a folder for the traces of cases that differ")->check(CLI::ExistingDirectory);
  app.add_option("--replay", o.files, "traces kept before, against leat only: needs no rights");
  CLI11_PARSE(app, argc, argv);
  return o.files.empty() ? Pool(o).run() : replay_files(o);
}
