// What a control socket answers: the tools ss, nstat, sysctl and proc, run within the process of the Stack.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "diag/nstat.h"
#include "leat/stack.h"

namespace leat::diag {

struct Answer {
  int status = 0;     // the tool's exit code
  std::string out;    // its standard output
  std::string error;  // its standard error
};

class Commands {
 public:
  explicit Commands(Stack& stack) : stack_(stack) {}
  Answer run(std::string_view verb, std::span<const std::string> words);

 private:
  Answer ss(std::span<const std::string> words);
  Answer nstat(std::span<const std::string> words);
  Answer sysctl(std::span<const std::string> words);
  Answer proc(std::span<const std::string> words);

  Stack& stack_;
  NstatHistory history_;
};

std::string sysctl_help();
std::string proc_help();

}  // namespace leat::diag
