// Text to Script. Everything that can be wrong with a script before it runs is found here, with its place.
#pragma once

#include <string>
#include <string_view>

#include "sim/drill/cursor.h"
#include "sim/drill/script.h"

namespace leat::drill {

// Throws ScriptError. definitions: those of the command line; the script's own --define are added.
Script parse_script(const std::string& path, std::string_view text, const Definitions& definitions = {});

// The parts, each of which begins where the cursor stands.
PacketSpec parse_packet(Cursor& c);                              // after the time, at < or >
CallSpec parse_call(Cursor& c, const Definitions& definitions);  // at the name, or at `...0.3 name`

}  // namespace leat::drill
