// The two ends of a byte stream: a Sender writes a pattern, a Receiver checks every byte of one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "leat/socket.h"
#include "sim/pattern.h"

namespace leat::sim {

class Sender {
 public:
  // chunk: what it offers to the socket at once.
  Sender(Pattern pattern, uint64_t bytes, size_t chunk) : pattern_(pattern), bytes_(bytes), chunk_(chunk) {}
  // Writes until the socket takes no more, and then, at the end, a FIN. An errno that ends the connection, or 0.
  int write_to(Socket& s);
  bool is_done() const { return has_fin_; }
  uint64_t sent() const { return sent_; }

 private:
  size_t prepare();

  const Pattern pattern_;
  const uint64_t bytes_;
  const size_t chunk_;
  uint64_t sent_ = 0;
  bool has_fin_ = false;
  std::vector<uint8_t> buffer_;
  size_t left_ = 0;  // at the buffer's end, not taken yet
};

class Receiver {
 public:
  Receiver(Pattern pattern, uint64_t bytes) : pattern_(pattern), bytes_(bytes) {}
  // Reads at most `budget` bytes, as far as there are any. An errno that ends the connection, or 0.
  int read_from(Socket& s, size_t budget);
  bool is_done() const { return has_ended_; }  // the FIN was read
  uint64_t received() const { return received_; }
  const std::string& wrong() const { return wrong_; }  // what was not as it should be; empty: nothing

 private:
  void check(std::span<const uint8_t> bytes);

  const Pattern pattern_;
  const uint64_t bytes_;
  uint64_t received_ = 0;
  bool has_ended_ = false;
  std::string wrong_;
};

}  // namespace leat::sim
