// leat drill: scripts of the packetdrill language against leat in virtual time, or against the host's kernel.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cli/commands.h"
#include "cli/failure.h"
#include "sim/drill/leat_target.h"
#include "sim/drill/runner.h"
#include "sim/kernel/kernel_target.h"

namespace leat::cli {
namespace {

using drill::Outcome;
using drill::Variant;

std::vector<std::string> find_scripts(const std::vector<std::string>& given) {
  namespace fs = std::filesystem;
  std::vector<std::string> out;
  for (const std::string& path : given) {
    if (!fs::is_directory(path)) {
      if (!std::ifstream(path)) throw usage("cannot read '" + path + "': " + std::string(strerror(errno)));
      out.push_back(path);
      continue;
    }
    std::vector<std::string> inside;
    for (const auto& f : fs::recursive_directory_iterator(path)) {
      if (f.path().extension() == ".pkt") inside.push_back(f.path().string());
    }
    if (inside.empty()) throw failed("there is no .pkt file in " + path);
    std::sort(inside.begin(), inside.end());
    out.insert(out.end(), inside.begin(), inside.end());
  }
  return out;
}

std::vector<Variant> variants_of(const DrillOptions& o) {
  std::vector<Variant> all;
  for (const Variant v : {Variant::kIpv4, Variant::kIpv6, Variant::kMapped}) {
    const bool is_named = std::find(o.variants.begin(), o.variants.end(), drill::to_string(v)) != o.variants.end();
    if (o.variants.empty() || is_named) all.push_back(v);
  }
  return all;
}

// What LeatOptions and KernelOptions have in common.
template <class Options>
Options options_of(const drill::Network& n) {
  Options o;
  o.local = n.local + "/" + std::to_string(n.prefix);
  o.remote = n.remote;
  o.local6 = n.local6 + "/" + std::to_string(n.prefix6);
  o.remote6 = n.remote6;
  o.mtu = n.mtu;
  return o;
}

std::unique_ptr<drill::Target> make_leat(const drill::Network& n, std::string&) {
  auto o = options_of<drill::LeatOptions>(n);
  o.rx_gso_size = n.rx_gso_size;
  return drill::make_leat_target(o);
}

drill::RunOptions run_options(const DrillOptions& o) {
  drill::RunOptions r;
  for (const std::string& d : o.definitions) {
    const auto eq = d.find('=');
    if (eq == std::string::npos) throw usage("--define needs NAME=VALUE, not '" + d + "'");
    r.definitions[d.substr(0, eq)] = d.substr(eq + 1);
  }
  r.print = [verbose = o.verbose](const std::string& line) {
    if (verbose) std::printf("  print: %s\n", line.c_str());
  };
  // The kernel's timers tick every 1 to 10 ms, and this process is not alone on the machine.
  r.extra_tolerance_us = o.tolerance_us >= 0 ? o.tolerance_us : o.kernel ? 20'000 : 0;
  r.is_real_time = o.kernel;
  r.make_target = make_leat;
  if (!o.kernel) return r;
  r.make_target = [may_set = o.machine_sysctls](const drill::Network& n, std::string& why) {
    auto k = options_of<drill::KernelOptions>(n);
    k.may_set_machine = may_set;
    return drill::KernelTarget::create(k, why);
  };
  return r;
}

// In real time a busy machine may be late: then once more, five times at most. A failure may be its fault as well.
Outcome run_patiently(const std::string& script, const drill::RunOptions& options) {
  constexpr int kTries = 5;
  Outcome outcome = drill::run_script(script, options);
  for (int i = 1; i < kTries && options.is_real_time; ++i) {
    if (!outcome.is_late && outcome.kind != Outcome::Kind::kFailed) break;
    outcome = drill::run_script(script, options);
  }
  return outcome;
}

void tell(const DrillOptions& o, const std::string& script, Variant v, const Outcome& outcome) {
  static constexpr const char* kWords[] = {"ok  ", "FAIL", "skip"};
  const bool has_failed = outcome.kind == Outcome::Kind::kFailed;
  if (o.quiet && !has_failed) return;
  std::printf("%s %s (%s)%s%s\n", kWords[static_cast<int>(outcome.kind)], script.c_str(), drill::to_string(v),
              outcome.kind == Outcome::Kind::kSkipped ? ": " : "",
              outcome.kind == Outcome::Kind::kSkipped ? outcome.report.c_str() : "");
  if (o.verbose) {
    for (const std::string& line : outcome.trace)
      std::printf("%s\n", line.c_str());
  }
  if (has_failed) std::printf("%s\n", outcome.report.c_str());
  std::fflush(stdout);
}

}  // namespace

int drill(const DrillOptions& o) {
  drill::RunOptions options = run_options(o);
  size_t counts[3] = {};
  for (const std::string& script : find_scripts(o.scripts)) {
    for (const Variant v : variants_of(o)) {
      options.variant = v;
      const Outcome outcome = run_patiently(script, options);
      ++counts[static_cast<int>(outcome.kind)];
      tell(o, script, v, outcome);
    }
  }
  std::printf("%zu passed, %zu failed", counts[0], counts[1]);
  std::printf(counts[2] == 0 ? "\n" : ", %zu skipped\n", counts[2]);
  return counts[1] == 0 ? 0 : kExitFailed;
}

}  // namespace leat::cli
