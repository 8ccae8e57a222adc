// What a segment, a timer or a user's call has asked for; one flush_effects() carries it out (design decision 6).
#pragma once

#include <cstdint>

namespace leat::tcp {

struct Effects {
  bool send_data = false;    // the window or the congestion window may have opened: push new segments
  bool check_ack = false;    // data was received: decide whether to acknowledge now, later or compressed
  bool check_space = false;  // room in the send buffer: wake writers, grow the buffer
  uint32_t events = 0;       // epoll events to report to the file
};

}  // namespace leat::tcp
