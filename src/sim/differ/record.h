// Plays a case on a target in real or virtual time, with the model peer at the other end, and writes down what happens.
#pragma once

#include <string>

#include "sim/differ/case.h"
#include "sim/differ/trace.h"
#include "sim/drill/target.h"

namespace leat::differ {

// false: `why` says what could not be set up.
bool record(const Case& c, drill::Target& target, Trace& out, std::string& why);

}  // namespace leat::differ
