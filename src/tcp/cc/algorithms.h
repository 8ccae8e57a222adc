// One row an algorithm, for the registry.
#pragma once

#include "tcp/cc/congestion.h"

namespace leat::tcp::cc {

extern const Algorithm kReno;
extern const Algorithm kCubic;

}  // namespace leat::tcp::cc
