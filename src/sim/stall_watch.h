// Watches one direction of a connection for stalls: is the receiver given new bytes as soon as the rules of the
// retransmission time-out (RFC 6298 §5, and RFC 9293 §3.8.6.1 for a closed window) make sure that it is?
//
// While the sender has something that is not acknowledged or not sent:
//   silence   some timer of its host is due within the time-out in force (TCP_INFO's rto, which has the back-off in it;
//             the probe's when the window is closed). A connection that nobody will wake fails at once.
//   progress  between two deliveries pass no more than
//                 the sum of the time-outs that have expired in between, each as long as it was
//               + one more, which is what restarts at the last ACK, and one for each retransmission that was found lost
//               + the way there and back of a packet in the longest queue, and the pause of a slow reader
//             so a gap is as long as the back-off makes it, and no longer.
//   reason    each time-out but the first two in a gap needs a packet that the network has lost or held up meanwhile.
#pragma once

#include <cstdint>
#include <string>

#include "sim/party.h"
#include "sim/wire.h"

namespace leat::sim {

class StallWatch {
 public:
  struct Options {
    Duration round_trip;  // the longest: Wire::longest_way there and back
    Duration pause;       // of the reader
  };
  StallWatch(const Clock& clock, Exchange& sender, Exchange& receiver, const Options& options);

  void observe();  // after each instant
  const std::string& failure() const { return failure_; }
  Duration longest_gap() const { return longest_gap_; }
  Duration longest_timeout() const { return longest_timeout_; }

 private:
  struct Seen {
    bool is_busy = false;
    Duration timeout;  // in force
    uint64_t timeouts = 0;
    uint64_t probes = 0;
    uint64_t lost_retransmissions = 0;
  };
  Seen look();
  void begin_gap(const Seen& seen);
  void check_silence(const Seen& seen);
  void check_gap();
  void fail(const std::string& what);

  const Clock& clock_;
  Exchange& sender_;
  Exchange& receiver_;
  const Options options_;
  Seen last_;
  uint64_t delivered_ = 0;
  Time gap_began_;
  Duration expired_;  // the sum of the time-outs in this gap
  Duration longest_in_gap_;
  Duration longest_gap_;
  Duration longest_timeout_;
  uint64_t repairs_lost_ = 0;
  std::string failure_;
};

}  // namespace leat::sim
