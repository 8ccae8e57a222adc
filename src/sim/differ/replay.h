// Plays what a trace says the kernel was given, at the same times to the microsecond, on a leat Stack, and compares
// what leat sends, answers and tells with what the kernel did. Because round trips are the kernel's own, windows and
// estimates come out alike although the kernel ran on a busy machine.
//
// Timers are the one thing that is not alike: the kernel's fire up to a jiffy and an eighth late (HZ=250, and the wheel
// rounds up), leat's are exact. So here leat's timers fire when the trace shows that the kernel's did, and only the
// time for which they were armed is compared; a timer that the kernel never fired fires when it is overdue.
#pragma once

#include <string>

#include "sim/differ/trace.h"

namespace leat::differ {

struct Difference {
  size_t index = 0;  // of the trace's event
  std::string text;  // expected and actual, one above the other; empty: there is none
  // What differs, without numbers: "segment: win", "info: snd_cwnd", "call write", "missing", "extra", "late".
  std::string kind;
  bool is_equal() const { return text.empty(); }
};

Difference replay(const Trace& trace);

}  // namespace leat::differ
