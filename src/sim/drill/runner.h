// Runs a script against a target, event by event, and says what differed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/drill/cursor.h"
#include "sim/drill/script.h"
#include "sim/drill/session.h"
#include "sim/drill/target.h"

namespace leat::drill {

// What the script's options and the variant make of the network.
struct Network {
  Variant variant = Variant::kIpv4;
  std::string local = "192.168.0.1", remote = "192.0.2.1";
  std::string local6 = "fd3d:0a0b:17d6::1", remote6 = "fd3d:fa7b:d17d::1";
  int prefix = 16, prefix6 = 48;
  unsigned mtu = 1500;
  unsigned rx_gso_size = 0;
};

struct RunOptions {
  Variant variant = Variant::kIpv4;
  Definitions definitions;
  bool is_real_time = false;  // events may be late, and time cannot be waited for at no cost
  int64_t extra_tolerance_us = 0;
  bool shows_trace = false;                       // everything that happened, whether or not it failed
  std::function<void(const std::string&)> print;  // print() of the script's code; default: standard output
  // nullptr: `why` says what is missing.
  std::function<std::unique_ptr<Target>(const Network&, std::string& why)> make_target;
};

struct Outcome {
  enum class Kind : uint8_t { kPassed, kFailed, kSkipped };
  Kind kind = Kind::kPassed;
  bool is_late = false;  // kSkipped: the machine was too busy for the script's times; another run may do
  std::string report;    // kFailed: FILE:LINE:COLUMN: what, with the trace; kSkipped: why
  std::vector<std::string> trace;
  size_t events = 0;
};

Outcome run_script(const std::string& path, const RunOptions& options);  // reads the file
Outcome run_text(const std::string& path, std::string_view text, const RunOptions& options);

}  // namespace leat::drill
