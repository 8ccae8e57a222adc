// A TCP segment as the differ sees it: fields in host order, payload by its length only (it is all zeros). Built and
// read here without leat's own codecs, so that a mistake in those is a difference too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace leat::differ {

inline constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16, kUrg = 32, kEce = 64, kCwr = 128;

struct Range {
  uint32_t from = 0, to = 0;
  bool operator==(const Range&) const = default;
};

struct Segment {
  bool is_v6 = false;
  uint8_t tos = 0;  // DSCP and ECN bits
  uint8_t ttl = 64;
  uint16_t source = 0, destination = 0;
  uint32_t seq = 0, ack = 0;
  uint8_t flags = 0;
  bool is_ns = false;  // the bit before CWR
  uint16_t window = 0;
  uint16_t urgent = 0;
  std::optional<uint16_t> mss;
  std::optional<uint8_t> wscale;
  bool sack_ok = false;
  bool has_ts = false;
  uint32_t ts_value = 0, ts_echo = 0;
  std::vector<Range> sacks;
  uint32_t length = 0;           // of the payload
  std::string option_order;      // one letter an option, as read: m w s t S n . ?
  bool is_checksum_good = true;  // as read

  bool has(uint8_t flag) const { return (flags & flag) != 0; }
  uint32_t space() const { return length + (has(kSyn) ? 1 : 0) + (has(kFin) ? 1 : 0); }
  uint32_t end() const { return seq + space(); }
};

inline bool before(uint32_t a, uint32_t b) {
  return static_cast<int32_t>(a - b) < 0;
}

// From the script's end to the stack under test, unless is_from_stack.
std::vector<uint8_t> build(const Segment& s);
// Nothing when it is not TCP.
std::optional<Segment> parse(const std::vector<uint8_t>& packet);
// "P. 1:1001(1000) ack 1 win 65535 <nop,nop,TS val 3 ecr 4>", with sequence numbers relative to these.
std::string describe(const Segment& s, uint32_t own_base, uint32_t other_base, uint32_t ts_base, uint32_t echo_base);

}  // namespace leat::differ
