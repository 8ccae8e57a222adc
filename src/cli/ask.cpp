// leat ss, nstat, sysctl, proc: the words go to a running leat, its answer is printed.
#include <cstdio>

#include "cli/commands.h"
#include "cli/failure.h"
#include "diag/control_client.h"
#include "diag/nstat.h"
#include "diag/ss.h"

namespace leat::cli {
namespace {

// Takes "--option VALUE" and "--option=VALUE" out of the words.
std::string take_option(std::vector<std::string>& words, const std::string& option) {
  std::string value;
  for (size_t i = 0; i < words.size();) {
    if (words[i].starts_with(option + "=")) {
      value = words[i].substr(option.size() + 1);
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (words[i] == option) {
      if (i + 1 == words.size()) throw usage(option + " wants a value");
      value = words[i + 1];
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(i), words.begin() + static_cast<std::ptrdiff_t>(i) + 2);
    } else {
      ++i;
    }
  }
  return value;
}

std::string find_path(const std::string& control, const std::string& name) {
  if (!control.empty()) return control;
  if (!name.empty()) return diag::control_path(name);
  const std::vector<std::string> paths = diag::find_instances();
  if (paths.size() == 1) return paths[0];
  if (paths.empty()) {
    throw failed("no leat runs (none answers at " + diag::control_path("*") + "); name its socket with --control PATH");
  }
  std::string all;
  for (const std::string& path : paths)
    all += (all.empty() ? "" : ", ") + path;
  throw failed("more than one leat runs; choose with --control PATH: " + all);
}

std::string help_of(const std::string& verb) {
  if (verb == "ss") return diag::ss_help();
  if (verb == "nstat") return diag::nstat_help();
  return verb == "sysctl" ? diag::sysctl_help() : diag::proc_help();
}

}  // namespace

int ask_running(const std::string& verb, std::vector<std::string> words) {
  const std::string control = take_option(words, "--control");
  const std::string name = take_option(words, "--name");
  for (const std::string& word : words) {
    if (word == "--help" || word == "-h") {
      std::fputs(help_of(verb).c_str(), stdout);
      return 0;
    }
  }
  if (verb == "proc" && words.empty()) {
    std::fputs(help_of(verb).c_str(), stdout);
    return kExitUsage;
  }
  std::string why;
  const auto print = [](std::string_view out) { return std::fwrite(out.data(), 1, out.size(), stdout) == out.size(); };
  const auto answer = diag::ask(find_path(control, name), verb, words, why, print);
  if (!answer) throw failed(why);
  std::fputs(answer->error.c_str(), stderr);
  if (std::fwrite(answer->out.data(), 1, answer->out.size(), stdout) != answer->out.size() ||
      std::fflush(stdout) != 0) {
    throw failed("cannot write standard output");
  }
  return answer->status;
}

}  // namespace leat::cli
