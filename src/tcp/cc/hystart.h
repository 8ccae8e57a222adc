// HyStart (Ha and Rhee, "Taming the elephants"): slow start ends before the queue overflows, as soon as either the
// ACKs of one round trip arrive as a train longer than half the path's delay, or the round trip has become longer by
// an eighth. What ended it stands in Sender::hystart_exit, for the counters.
#pragma once

#include <cstdint>

#include "tcp/cc/congestion.h"

namespace leat::tcp::cc {

class HyStart {
 public:
  void start_round(const Sender& s);
  void forget() { found_ = false; }
  // Nothing is in flight: the next ACK starts a round, whatever this one has seen.
  void settle() {
    round_start_ = last_ack_ = end_seq_ = curr_rtt_ = 0;
    sample_count_ = kNoRound;
  }
  bool has_found() const { return found_; }
  // An RTT sample in slow start; both in µs. Sets ssthresh when it is time.
  void on_sample(Sender& s, uint32_t delay, uint32_t delay_min);

 private:
  void watch_train(Sender& s, uint32_t delay_min);
  void watch_delay(Sender& s, uint32_t delay, uint32_t delay_min);
  void leave_slow_start(Sender& s, uint8_t reason);

  static constexpr uint8_t kNoRound = 255;
  uint32_t round_start_ = 0;  // µs
  uint32_t last_ack_ = 0;     // µs, when the train's last ACK came
  Seq end_seq_ = 0;           // the round is over when this is acknowledged
  uint32_t curr_rtt_ = ~0u;   // smallest of this round
  uint8_t sample_count_ = 0;
  bool found_ = false;
};

}  // namespace leat::tcp::cc
