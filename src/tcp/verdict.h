// What a receive step decides (design decision 6).
#pragma once

#include "netns/netns.h"

namespace leat::tcp {

struct [[nodiscard]] Verdict {
  enum Kind : uint8_t {
    kContinue,  // next step
    kConsumed,  // the segment has been dealt with in full
    kDrop,      // count it under `reason` and forget it
    kReset,     // answer with RST, then drop
  };
  Kind kind = kContinue;
  DropReason reason{};

  static Verdict go_on() { return {kContinue, {}}; }
  static Verdict consumed() { return {kConsumed, {}}; }
  static Verdict drop(DropReason r) { return {kDrop, r}; }
  static Verdict reset(DropReason r) { return {kReset, r}; }
  bool is_continue() const { return kind == kContinue; }
};

}  // namespace leat::tcp
