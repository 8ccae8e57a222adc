// What Linux takes from the machine's memory when it starts: the size of TCP's table of connections and the defaults of
// a few sysctls. The formulas are those of Linux 6.18; how much of the memory is its "free buffer pages" (what lies
// beyond the high watermarks of the zones) is worked out for a PC with pages of 4 KB and transparent huge pages, which
// is within a tenth of a percent of what such a kernel finds. Nothing here asks the system.
#pragma once

#include <cstdint>

#include "netns/netns.h"

namespace leat {

struct MemoryLimits {
  uint32_t ehash_entries;      // one for each 128 KiB, rounded up to a power of two, 524,288 at most
  int64_t tcp_mem[3];          // pages: 4.68, 6.25 and 9.37 % of the memory
  int64_t tcp_rmem_max;        // 1/128 of the memory, 32 MiB at most
  int64_t tcp_wmem_max;        // 1/128 of the memory, 4 MiB at most
  int64_t tcp_max_orphans;     // one for two buckets
  int64_t tcp_max_tw_buckets;  // one for two buckets
  int64_t tcp_max_syn_backlog;
  int64_t file_max;  // a tenth of the memory at 1 KiB each
};

MemoryLimits memory_limits(uint64_t memory_bytes);
void set_defaults(Sysctls& sysctl, const MemoryLimits& limits);

}  // namespace leat
