// What `leat million` says: what ss -s, slabtop and top would, and what a look-up costs.
#pragma once

#include "cli/million_pair.h"

namespace leat::cli {

void report_opened(const MillionPair& pair, Duration took);
void report_state(MillionPair& pair);
void report_closed(MillionPair& pair, Duration took);

}  // namespace leat::cli
