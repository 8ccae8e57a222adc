// The commands between backquotes. There is no shell: a few commands are understood, anything else is an error that
// says so.
//
//   sysctl -q -w NAME=VALUE …     ip route change …, ip tcp_metrics flush all, tc qdisc …, ethtool …
//   nstat > /dev/null             remembers the counters; nstat | grep TcpExtX [N]: X has grown (by N) since
//   nstat -a | grep TcpExtX [N]   X is not zero (is N) at all
//   sleep SECONDS, true, echo …   FILE.sh with such commands, set_sysctls.py /proc/sys/net/…=VALUE …
//
// They may be joined by newlines, ;, && and ||; redirections are passed over.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sim/drill/target.h"

namespace leat::drill {

class Commands {
 public:
  // directory: of the script, to which files are relative.
  Commands(Target& target, std::string directory) : target_(target), directory_(std::move(directory)) {}
  // The last one's status, as a shell has it. Throws std::runtime_error for what is not understood.
  bool run(const std::string& text);
  const std::string& why() const { return why_; }    // when run() gave false
  bool was_counter() const { return was_counter_; }  // it was nstat | grep: what the script wants to know

 private:
  bool run_one(std::vector<std::string> words);
  bool run_sysctl(const std::vector<std::string>& words);
  bool run_set_sysctls(const std::vector<std::string>& words);
  bool run_nstat(const std::string& line);
  bool run_file(const std::string& name);
  bool fail(const std::string& why) {
    why_ = why;
    return false;
  }

  Target& target_;
  std::string directory_;
  std::string why_;
  bool was_counter_ = false;
  std::map<std::string, uint64_t> counters_;  // as the last nstat saw them; what is not here was zero
  int depth_ = 0;
};

}  // namespace leat::drill
