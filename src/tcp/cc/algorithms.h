// One row an algorithm, for the registry.
#pragma once

#include "tcp/cc/congestion.h"

namespace leat::tcp::cc {

extern const Algorithm kReno;
extern const Algorithm kCubic;
extern const Algorithm kDctcp;
extern const Algorithm kDctcpReno;  // what it becomes without ECN; nobody can ask for it
extern const Algorithm kVegas;
extern const Algorithm kWestwood;
extern const Algorithm kBbr;

}  // namespace leat::tcp::cc
