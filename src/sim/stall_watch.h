// Watches one direction of a connection for stalls: does it go on as soon as the rules of the retransmission time-out
// (RFC 6298 §5, and RFC 9293 §3.8.6.1 for a closed window) make sure that it does? Going on means that the receiver is
// given new bytes, or that the sender learns of them: either restarts the timer, and neither can happen for ever.
//
// While the sender has something that is not acknowledged or not sent:
//   silence   some timer of its host is due within the time-out in force (TCP_INFO's rto, which has the back-off in it,
//             and an RTT, by which pacing may put it off; the probe's when the window is closed), or within one that
//             was when the timer was set. A connection that nobody will wake fails at once.
//   progress  a gap in which it does not go on takes no longer than
//                 the sum of the time-outs that expired in it, each as long as it was (a tail-loss probe puts the
//                 time-out off once and counts as one), or the time until a SACK brought news: of what was sent before
//                 the head was sent last it starts the timer anew, as in Linux (FLAG_SET_XMIT_TIMER); with a closed
//                 window and nothing in flight whatever the peer sends does that (tcp_ack_probe)
//               + one more, in force, and one for each retransmission that was found lost
//               + two round trips of a packet in the longest queue (a tail-loss probe goes out, its SACK comes back,
//               what
//                 was lost is sent again, RFC 8985 §7), and the pause of a slow reader
//             so a gap is as long as the back-off makes it, and no longer.
//   back-off  a time-out doubles the next one, up to two minutes (RFC 6298 §5.5).
//   reason    who sends again and again is heard: each time-out in a gap, but for two and for those that come before a
//             packet can have made its way, needs a packet that the network has lost or broken in this gap.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sim/party.h"
#include "sim/wire.h"

namespace leat::sim {

class StallWatch {
 public:
  struct Options {
    Duration round_trip;               // the longest: Wire::longest_way there and back
    Duration pause;                    // of the reader
    std::function<uint64_t()> losses;  // packets that the network has lost or broken so far, both ways
  };
  StallWatch(const Clock& clock, Exchange& sender, Exchange& receiver, const Options& options);

  void observe();  // after each instant
  const std::string& failure() const { return failure_; }
  Duration longest_gap() const { return longest_gap_; }
  Duration longest_timeout() const { return longest_timeout_; }

 private:
  struct Seen {
    bool is_busy = false;
    uint64_t progress = 0;  // bytes delivered, and bytes acknowledged
    Duration timeout;       // in force, with what pacing adds
    Duration rto;
    uint32_t backoff = 0;
    uint64_t timeouts = 0;
    uint64_t probes = 0;       // of a closed window
    uint64_t loss_probes = 0;  // of the tail, of the whole host
    uint64_t lost_retransmissions = 0;
    uint32_t sacked = 0;
    uint32_t segments = 0;  // that came
    bool is_in_flight = false;
  };
  Seen look();
  bool puts_timer_off(const Seen& seen) const;
  void begin_gap(const Seen& seen);
  void check_silence(const Seen& seen);
  void count_timeout(const Seen& seen);
  void check_back_off(const Seen& seen);
  void check_gap();
  void fail(const std::string& what);

  const Clock& clock_;
  Exchange& sender_;
  Exchange& receiver_;
  const Options options_;
  Seen last_;
  Time gap_began_;
  Time wakes_by_;     // no timer may be set for later
  Duration expired_;  // the sum of the time-outs in this gap
  Duration longest_in_gap_;
  uint64_t losses_before_ = 0;
  uint64_t late_timeouts_ = 0;  // in this gap, when every packet had had its time
  Duration longest_gap_;
  Duration longest_timeout_;
  uint64_t repairs_lost_ = 0;
  std::string failure_;
};

}  // namespace leat::sim
