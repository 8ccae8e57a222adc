// Runs a Stack on a thread of its own, so that blocking calls from any thread just work. The clock is
// CLOCK_MONOTONIC.
//
//   leat::Worker worker(*stack);
//   worker.start().value();
//   …  stack->connect(…); stack->recv(…);   from any thread, blocking as on Linux
//
// Waits on the links' poll_fd()s, on the Stack's next deadline, and on kicks. Destroy or stop() it before the Stack.
// stop() interrupts calls that block (EINTR).
#pragma once

#include <memory>

#include "leat/errno.h"
#include "leat/stack.h"

namespace leat {

class Worker {
 public:
  explicit Worker(Stack& stack);
  ~Worker();  // stops
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  Result<void> start();  // EMFILE, EAGAIN (no thread); EALREADY
  void stop();
  // Something may have become ready that the Worker cannot wait for by a descriptor: a frame in a memory link. Any
  // thread, cheap. A link was added: it must be kicked, too.
  void kick();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace leat
