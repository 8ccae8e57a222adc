// System calls of scripts: arguments to bytes, the call, and what it wrote back to the script's values.
#pragma once

#include <functional>

#include "sim/drill/script.h"
#include "sim/drill/session.h"

namespace leat::drill {

struct PreparedCall {
  std::function<int64_t(Calls&)> invoke;  // owns all memory that it needs; may run in another thread
  // With the result: descriptors and conversations follow, and what was written back is compared. Throws ScriptError.
  std::function<void(int64_t result)> conclude;
  bool makes_fd = false;  // the result is a descriptor: any that is not negative will do
};

// Throws ScriptError: an unknown call, argument or constant.
PreparedCall prepare_call(Session& session, const CallSpec& spec);

}  // namespace leat::drill
