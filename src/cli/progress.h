// A line on the terminal that says how far a transfer, or whatever takes its time, is.
#pragma once

#include <cstdint>
#include <string>

#include "leat/time.h"

namespace leat::cli {

class Progress {
 public:
  enum class Unit : uint8_t { kBytes, kThings };
  Progress(std::string name, bool is_shown, Time start, Unit unit = Unit::kBytes)
      : name_(std::move(name)), is_shown_(is_shown), unit_(unit), start_(start) {}
  // total 0: not known.
  void update(uint64_t done, uint64_t total, Time now);
  void clear();  // the line goes away

 private:
  std::string name_;
  std::string amount(uint64_t done, Duration elapsed) const;
  bool is_shown_;
  Unit unit_;
  Time start_;
  Time last_;
  bool is_drawn_ = false;
};

std::string count_text(uint64_t n);                  // "1,234,567"
std::string bytes_text(double bytes);                // "1.5 MB"
std::string rate_text(uint64_t bytes, Duration in);  // "123.4 MB/s"

}  // namespace leat::cli
