// nstat(8) of a Stack: its counters under Linux's names and in Linux's order.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "leat/stack.h"

namespace leat::diag {

// What nstat remembers between two runs: the values that were shown last.
using NstatHistory = std::map<std::string, uint64_t>;

struct NstatOptions {
  bool absolute = false;  // -a: not since the last time
  bool zeros = false;     // -z
  bool keep = false;      // -s: the history stays as it was
  bool reset = false;     // -r: the history is forgotten first
  bool silent = false;    // -n: only remember
  bool json = false;      // -j
  bool help = false;
  std::vector<std::string> patterns;  // as of the shell, without regard to case; none: all
};

bool parse_nstat_options(std::span<const std::string> words, NstatOptions& out, std::string& error);
std::string format_nstat(const NstatOptions& options, std::span<const Counter> counters, NstatHistory& history);
std::string nstat_help();

}  // namespace leat::diag
