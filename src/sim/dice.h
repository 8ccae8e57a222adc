// What a scenario is drawn from: one number in, the same choices out on every machine.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/rng.h"
#include "base/time.h"

namespace leat::sim {

// A seed for each purpose of one numbered run.
Seed make_seed(uint64_t number, uint64_t purpose);

class Dice {
 public:
  Dice(uint64_t number, uint64_t purpose) : rng_(make_seed(number, purpose)) {}

  bool one_in(uint32_t n) { return rng_.below(n) == 0; }
  uint32_t between(uint32_t low, uint32_t high) { return low + rng_.below(high - low + 1); }
  double uniform(double low, double high) { return low + (high - low) * fraction(); }
  // Each power of ten between them is as likely as any other.
  double spread(double low, double high) { return std::exp(uniform(std::log(low), std::log(high))); }
  Duration spread(Duration low, Duration high) {
    return Duration::from_ns(
        static_cast<int64_t>(spread(static_cast<double>(low.ns()), static_cast<double>(high.ns()))));
  }
  uint64_t next64() { return rng_.next64(); }

 private:
  double fraction() { return rng_.next32() * 0x1p-32; }
  Rng rng_;
};

}  // namespace leat::sim
