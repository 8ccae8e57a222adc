// The one question to the system on the way to a StackConfig. Host code: no Stack asks it.
#include <unistd.h>

#include "leat/stack.h"

namespace leat {

uint64_t memory_of_machine() {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page) : 0;
}

}  // namespace leat
