// What happened in one run on the kernel: packets both ways, calls and their results, TCP_INFO, each with its time.
// It is all that a replay needs; as text it is a file that can be kept (tests/differ/).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "leat/time.h"
#include "sim/differ/case.h"
#include "sim/differ/segment.h"

namespace leat::differ {

struct TraceEvent {
  enum Kind : uint8_t { kIn, kOut, kOpen, kAccept, kCall };
  Kind kind = kIn;
  Time at;
  Segment segment;            // kIn, kOut
  Op op;                      // kCall
  int64_t result = 0;         // of a call, or -errno
  std::vector<uint8_t> info;  // TCP_INFO
};

struct Trace {
  uint64_t number = 0;
  bool is_v6 = false, is_passive = false;
  std::string congestion;
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::vector<Op> options_before;
  std::vector<TraceEvent> events;
  Time end;
  // The kernel's clocks: CLOCK_MONOTONIC at the trace's zero, on which milliseconds and jiffies begin, and a jiffy.
  int64_t clock_us = 0, jiffy_us = 1000;

  std::string to_text() const;
  static bool from_text(const std::string& text, Trace& out, std::string& why);
};

// One line an event, as tcpdump and packetdrill would say it; times in ms. Numbers are relative to the first of each.
std::string describe(const Trace& t, size_t count);

}  // namespace leat::differ
