// A failed CHECK leaves what, where in a place that a core dump shows, and stops. The core may not write to a file.
#include "base/check.h"

#include <cstdlib>

namespace leat {
namespace {
struct LastCheck {
  const char* what;
  const char* file;
  int line;
};
volatile LastCheck last_check;  // for the debugger only
}  // namespace

void check_failed(const char* what, const char* file, int line) {
  last_check.what = what;
  last_check.file = file;
  last_check.line = line;
  std::abort();
}
}  // namespace leat
