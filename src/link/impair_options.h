// What an impaired link does to its packets, and the text that says so:
//   delay=10ms,jitter=2ms,loss=1%,gemodel=1%/10%/70%/0.1%,rate=50mbit,reorder=0.1%,duplicate=0.5%,corrupt=0.5%,
//   limit=1000,limit_bytes=1mb,ecn=100kb
// Meanings and units follow tc-netem(8) and tc(8): a kbit is 1000 bits, a kb is 1024 bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/errno.h"
#include "base/time.h"

namespace leat {

enum class ImpairDirection : uint8_t { kTransmit, kReceive, kBoth };

// Two states, good and bad; each packet is lost with the state's probability, then the state may change.
struct GilbertElliott {
  double good_to_bad = 0;   // p
  double bad_to_good = 1;   // r
  double loss_in_bad = 1;   // 1-h
  double loss_in_good = 0;  // 1-k
};

struct ImpairOptions {
  ImpairDirection direction = ImpairDirection::kTransmit;  // direction=out | in | both
  uint64_t rate = 0;                                       // bits a second; 0: no bottleneck
  Duration delay;                                          // of every packet, after the bottleneck
  Duration jitter;         // uniform in [delay - jitter, delay + jitter], never below zero
  bool keep_order = true;  // jitter does not reorder: a packet waits for the one before. keep_order=no
  double loss = 0;         // probabilities are in [0, 1]
  bool has_gilbert_elliott = false;
  GilbertElliott gilbert_elliott;  // gemodel=p/r/1-h/1-k; in addition to `loss`
  double reorder = 0;      // such a packet does not wait for `delay`, or, with reorder_delay, waits longer by that
  Duration reorder_delay;  // reorder_delay=5ms
  double duplicate = 0;
  double corrupt = 0;  // one bit flips
  // Tail drop. With a rate they count what has not left the bottleneck (whatever is being sent included); without
  // one, what is delayed, as netem's limit does. 0: 1000 packets with a rate, a million without; no limit in bytes.
  uint32_t limit_packets = 0;  // limit=1000
  uint64_t limit_bytes = 0;    // limit_bytes=1mb
  // A packet that finds more than this in the bottleneck is marked CE if it is ECT. 0: never.
  uint64_t ecn_bytes = 0;    // ecn=100kb
  uint32_t ecn_packets = 0;  // ecn_packets=50
};

// EINVAL: `error` says which part is wrong and what was expected. An empty text impairs nothing.
Result<ImpairOptions> parse_impair(std::string_view text, std::string& error);

}  // namespace leat
