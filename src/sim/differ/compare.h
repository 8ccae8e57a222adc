// Is this segment of leat's the one that the kernel sent? Sequence numbers are relative to each one's first, time
// stamps within two milliseconds.
#pragma once

#include <string>

#include "sim/differ/segment.h"

namespace leat::differ {

struct Numbering {  // where the numbers of each begin
  uint32_t seq = 0, ts = 0;
};

// Names of the fields that differ, "seq len win"; empty: equal. Time stamps may be so many ms apart.
std::string compare(const Segment& kernel, const Numbering& kernel_base, const Segment& leat,
                    const Numbering& leat_base, int stamp_slack);

}  // namespace leat::differ
