// A scenario: two hosts, the wire between them, what they send each other, and what must hold. A number draws one.
//
// The number is all that is needed to see a run again: leat-simulate --seed N --pcap /tmp/n.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sim/clock.h"
#include "sim/party.h"
#include "sim/wire.h"

namespace leat::sim {

struct Scenario {
  uint64_t number = 0;
  bool is_ipv6 = false;
  Duration granularity = Duration::from_us(1);
  Tick tick = Tick::kWakeup;
  WireOptions wire;
  // From left to right and from right to left, over one connection or over one each.
  std::array<uint64_t, 2> bytes = {1 << 20, 1 << 20};
  bool has_two_connections = false;
  bool left_listens = false;
  std::array<size_t, 2> chunk = {65536, 65536};
  std::array<Pace, 2> pace;                      // of the readers, left and right
  uint32_t send_buffer = 0, receive_buffer = 0;  // SO_SNDBUF, SO_RCVBUF; 0: they tune themselves
  bool has_nodelay = false;
  std::vector<std::pair<std::string, std::string>> sysctls;  // of both hosts

  std::string describe() const;
};

// Two hosts on a link impaired at random move 1 MiB each way.
Scenario draw_transfer(uint64_t number);
// Fewer bytes over harder paths: RTT 10 µs to 1 s, a clock of 1 µs to 10 ms, up to 20 % of loss each way, reordering,
// lost and bunched ACKs, small buffers.
Scenario draw_stall(uint64_t number);

struct Outcome {
  std::string failure;  // empty: all held
  Duration took;        // until both ends had closed
  Duration longest_gap, longest_timeout;
  uint64_t instants = 0;
  uint64_t packets[2] = {}, lost[2] = {};  // left to right, right to left; lost: dropped by a queue included
  uint64_t timeouts = 0, retransmissions = 0;
  std::vector<uint8_t> captures[2];
};
Outcome run(const Scenario& scenario);

}  // namespace leat::sim
