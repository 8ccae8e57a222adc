// A Stack on a device of the host, as the common options want it, with its loop and its control socket.
#pragma once

#include <memory>
#include <string>

#include "cli/common_options.h"
#include "cli/event_loop.h"
#include "diag/commands.h"
#include "leat/stack.h"

namespace leat::cli {

class ControlWatcher;

class Host {
 public:
  explicit Host(const CommonOptions& options);  // throws Failure
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  Stack& stack() { return *stack_; }
  EventLoop& loop() { return *loop_; }
  const std::string& device() const { return device_; }
  uint16_t ifindex() const { return static_cast<uint16_t>(ifindex_); }
  // Lets connections that are being closed say so to their peers; not longer than `at_most`.
  void drain(Duration at_most);

 private:
  std::unique_ptr<Link> open_link(const CommonOptions& o);
  void configure(const CommonOptions& o);
  void open_control(const CommonOptions& o);

  std::string device_;
  int ifindex_ = 0;
  std::unique_ptr<Stack> stack_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<diag::Commands> commands_;
  std::unique_ptr<ControlWatcher> control_;
};

}  // namespace leat::cli
