// What a control socket answers: the tools ss, nstat, sysctl and proc, run within the process of the Stack.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "diag/nstat.h"
#include "diag/snapshot.h"
#include "leat/stack.h"

namespace leat::diag {

struct SsOptions;

struct Answer {
  int status = 0;     // the tool's exit code
  std::string out;    // its standard output
  std::string error;  // its standard error
  // There is more standard output than one would want to hold: appends some of it, and is false when that was all.
  std::function<bool(std::string& out)> more;
};

class Commands {
 public:
  explicit Commands(Stack& stack) : stacks_{&stack} {}
  // Several Stacks of one program as if they were one: all sockets, sums of counters, settings of all.
  explicit Commands(std::vector<Stack*> stacks) : stacks_(std::move(stacks)) {}
  Answer run(std::string_view verb, std::span<const std::string> words);

 private:
  Answer all_sockets(std::shared_ptr<SsOptions> options);
  Answer ss(std::span<const std::string> words);
  Answer nstat(std::span<const std::string> words);
  Answer sysctl(std::span<const std::string> words);
  Answer proc(std::span<const std::string> words);
  Answer proc_in_pieces(std::span<const std::string> words);
  bool has_many_sockets() const;

  SocketTotals sum_of_totals() const;
  std::vector<Counter> sum_of_counters() const;

  std::vector<Stack*> stacks_;  // at least one
  NstatHistory history_;
};

std::string sysctl_help();
std::string proc_help();

}  // namespace leat::diag
