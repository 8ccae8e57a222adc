// One socket under test as packets know it: addresses and ports, and how the script's sequence numbers and timestamps
// map to the live ones. The script's remote side sends what the script says; the local side chose its own numbers.
#pragma once

#include <map>
#include <optional>

#include "sim/drill/live_packet.h"
#include "sim/drill/script.h"

namespace leat::drill {

class Conversation {
 public:
  enum class State : uint8_t { kInit, kListening, kConnecting, kSynSent, kSynReceived, kSynAckSent, kOpen };
  State state = State::kInit;
  PacketSpec::Protocol protocol = PacketSpec::Protocol::kTcp;
  int script_fd = -1;
  int live_fd = -1;
  bool is_named = false;     // by its remote port, in the script's packets
  bool is_accepted = false;  // accept() has given its descriptor, which may be closed again
  Endpoints ends;

  void set_remote_isn(uint32_t isn) { remote_isn_ = isn; }
  bool is_from_here(const LivePacket& p) const;  // sent by this socket (ports that are not known yet match)
  // What the packet says of this conversation that was not known: its port, its first sequence number.
  void learn(const LivePacket& live, const PacketSpec& script);

  // Into the script's numbers. `script` is the packet that is expected, whose timestamp names the live one from now on.
  PacketSpec to_script(const LivePacket& live) const;
  void map_timestamp(PacketSpec& seen, const PacketSpec& script);
  // And back, for what the script injects. Throws ScriptError (at no place).
  PacketSpec to_live(const PacketSpec& script, bool interpolates_ecr);
  std::vector<uint8_t> build_reset() const;  // takes the connection down when the script is over
  void note_injected(const PacketSpec& live);

 private:
  uint32_t local_offset(bool is_syn) const { return is_syn ? local_isn_ - script_isn_ : local_isn_; }
  uint32_t remote_offset(bool is_syn) const { return is_syn ? 0 : remote_isn_; }

  uint32_t local_isn_ = 0, script_isn_ = 0, remote_isn_ = 0;
  std::map<uint32_t, uint32_t> timestamps_;  // script to live
  std::optional<std::pair<uint32_t, uint32_t>> first_timestamp_;
  std::optional<PacketSpec> last_injected_, last_sent_;  // live
};

struct MatchRules {
  uint32_t ts_tick_us = 0;  // 0: outbound timestamps are free
  int64_t ts_tolerance_us = 0;
};

// Empty: `seen` is what `script` expects. Otherwise what differs, one thing a line.
std::string difference(const PacketSpec& script, const PacketSpec& seen, const MatchRules& rules);

// Joins `next` behind `whole` (both live) as parts of one burst that `script` writes as one packet. Empty: done.
std::string join_burst(PacketSpec& whole, const PacketSpec& next, const PacketSpec& script);

}  // namespace leat::drill
