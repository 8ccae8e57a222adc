// leat-simulate: runs numbered scenarios in virtual time and says which of them fail, and how to see one again.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "sim/scenario.h"

namespace {

using namespace leat;
using namespace leat::sim;

struct Options {
  std::string kind = "transfer";
  uint64_t first = 0, count = 1000;
  std::string pcap;
  bool is_verbose = false;
};

Scenario draw(const Options& o, uint64_t number) {
  Scenario s = o.kind == "stall" ? draw_stall(number) : draw_transfer(number);
  s.wire.is_captured = !o.pcap.empty();
  s.wire.capture_path = o.pcap;
  return s;
}

void tell(const Options& o, const Scenario& s, const Outcome& outcome) {
  const bool has_failed = !outcome.failure.empty();
  std::printf(
      "%s seed %llu: %s%llu ms, longest gap %lld ms, longest time-out %lld ms, %llu time-outs, "
      "%llu retransmissions, %llu+%llu packets, %llu+%llu lost\n",
      has_failed ? "FAIL" : "ok", static_cast<unsigned long long>(s.number),
      has_failed ? (outcome.failure + "; ").c_str() : "", static_cast<unsigned long long>(outcome.took.ms()),
      static_cast<long long>(outcome.longest_gap.ms()), static_cast<long long>(outcome.longest_timeout.ms()),
      static_cast<unsigned long long>(outcome.timeouts), static_cast<unsigned long long>(outcome.retransmissions),
      static_cast<unsigned long long>(outcome.packets[0]), static_cast<unsigned long long>(outcome.packets[1]),
      static_cast<unsigned long long>(outcome.lost[0]), static_cast<unsigned long long>(outcome.lost[1]));
  if (has_failed || o.is_verbose) std::printf("  %s\n", s.describe().c_str());
  if (has_failed)
    std::printf("  again: leat-simulate %s --seed %llu --pcap /tmp/seed\n", o.kind.c_str(),
                static_cast<unsigned long long>(s.number));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Runs numbered scenarios of two hosts on an impaired link in virtual time."};
  app.footer(
      "Examples:\n  leat-simulate transfer --seeds 1000\n  leat-simulate stall --seeds 10000\n"
      "  leat-simulate stall --seed 17 --verbose --pcap /tmp/seed17");
  app.add_option("KIND", o.kind, "transfer: 1 MiB each way. stall: hard paths, coarse clocks, small buffers")
      ->check(CLI::IsMember({"transfer", "stall"}));
  app.add_option("--seeds", o.count, "how many")->capture_default_str();
  app.add_option("--first", o.first, "the first of them")->capture_default_str();
  auto* seed =
      app.add_option_function<uint64_t>("--seed", [&o](uint64_t n) { o.first = n, o.count = 1; }, "just this one");
  app.add_option("--pcap", o.pcap, "captures of both ends, at PATH.left.pcap and PATH.right.pcap")->needs(seed);
  app.add_flag("--verbose,-v", o.is_verbose, "a line for each, with the scenario");
  CLI11_PARSE(app, argc, argv);

  const auto began = std::chrono::steady_clock::now();
  uint64_t failed = 0, packets = 0;
  for (uint64_t n = o.first; n < o.first + o.count; ++n) {
    const Scenario s = draw(o, n);
    const Outcome outcome = run(s);
    failed += outcome.failure.empty() ? 0 : 1;
    packets += outcome.packets[0] + outcome.packets[1];
    if (!outcome.failure.empty() || o.is_verbose) tell(o, s, outcome);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  std::printf("%llu of %llu seeds failed (%s, %llu packets, %.1f s)\n", static_cast<unsigned long long>(failed),
              static_cast<unsigned long long>(o.count), o.kind.c_str(), static_cast<unsigned long long>(packets),
              seconds);
  return failed == 0 ? 0 : 1;
}
