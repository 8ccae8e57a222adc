// The option lines at a script's head (--tolerance_usecs=10000), and what they make of the network and of the rules.
#pragma once

#include "sim/drill/runner.h"

namespace leat::drill {

class Settings {
 public:
  explicit Settings(Variant variant);
  // What --define need not say: TFO_COOKIE, CMSG_LEVEL_IP and the like differ between the variants. `own` goes first.
  Definitions definitions(const Definitions& own) const;
  bool read(const Script& script);  // false: this variant is not for the script. Throws ScriptError
  const std::string& why_not() const { return why_not_; }

  const Network& network() const { return network_; }
  IpAddress local() const;
  IpAddress remote() const;

  int64_t tolerance_us = 4000;
  double tolerance_percent = 12.5;
  bool strict_segments = false;
  bool ts_ecr_scaled = false;
  uint32_t ts_tick_us = 0;
  uint16_t bind_port = 8080, connect_port = 8080;

 private:
  void apply(const ScriptOption& o);
  Network network_;
  std::string why_not_;
};

}  // namespace leat::drill
