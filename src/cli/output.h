// Where a command writes what it receives: a file that appears when it is complete, or standard output, which may be a
// pipe that takes its time.
#pragma once

#include <string>
#include <string_view>

#include "cli/site.h"

namespace leat::cli {

// Bytes for a descriptor of the host that are written without waiting, as far as its kind allows. (A pipe or terminal
// is opened anew, because O_NONBLOCK on the inherited description would be everybody's.)
class HostOutput {
 public:
  explicit HostOutput(int fd);
  ~HostOutput();
  HostOutput(const HostOutput&) = delete;
  HostOutput& operator=(const HostOutput&) = delete;

  int fd() const { return fd_; }
  void add(std::string_view bytes) { pending_.append(bytes); }
  bool flush();  // false: nobody reads any more
  bool has_pending() const { return at_ < pending_.size(); }

 private:
  int fd_;
  bool is_own_ = false;
  std::string pending_;
  size_t at_ = 0;
};

// A file written under a temporary name beside its own. Devices (/dev/null) are written to directly.
class FileOutput {
 public:
  explicit FileOutput(std::string path);  // throws Failure
  ~FileOutput();
  void write(std::string_view bytes);  // throws Failure
  void finish();                       // throws Failure

 private:
  std::string path_;
  std::string temporary_;  // empty: written directly
  HostFd fd_;
};

}  // namespace leat::cli
