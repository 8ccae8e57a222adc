// The application of a case: the same calls on the kernel and on leat. Nothing blocks.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/differ/case.h"
#include "sim/drill/target.h"

namespace leat::differ {

class App {
 public:
  struct Plan {
    bool is_v6 = false, is_passive = false;
    std::string congestion;
    std::vector<Op> options_before;
  };
  explicit App(drill::Calls& calls) : calls_(calls) {}
  int64_t open(const Plan& plan);  // a listener on port 40000, or a connect from there
  int64_t accept();
  // The call's result; a socket that is closed or was not accepted gives -EBADF. `info` gets TCP_INFO and SO_MEMINFO
  // for kInfo.
  int64_t run(const Op& op, std::vector<uint8_t>& info);

 private:
  int64_t set_options(int fd, const std::vector<Op>& options);
  int64_t set_option(int fd, const Op& op);
  int64_t write(const Op& op, int flags);
  void add_memory(std::vector<uint8_t>& info);
  drill::Calls& calls_;
  int listener_ = -1, fd_ = -1;
};

}  // namespace leat::differ
