// One numbered case: what the network and the peer will do to a connection, and what the application calls.
// A case is open: what really happens also depends on what the stack under test sends (see peer.h).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "leat/time.h"

namespace leat::differ {

// A call of the application, so long after the connection is there.
struct Op {
  enum Kind : uint8_t { kWrite, kWriteMore, kRead, kShutdown, kClose, kOption, kInfo, kPoll, kPeek };
  Kind kind = kInfo;
  Duration at;
  int64_t value = 0;  // a size, how, or the option's value
  int level = 0, name = 0;
};

// What the peer sends on its own account.
struct PeerSend {
  enum Kind : uint8_t {
    kData,         // its stream from offset, so many bytes; with the FIN when it is the end of the stream and has_fin
    kReset,        // exactly at rcv_nxt
    kResetInside,  // in the window but not at rcv_nxt
    kSyn,          // on a connection: asks for a challenge ACK
    kOldAck,       // offset bytes below what it has acknowledged
    kFutureAck,    // of what was never sent
    kWindow,       // a bare ACK, with the window of the time
    kKeepalive,    // one byte below snd_nxt, empty
  };
  Kind kind = kData;
  Duration at;
  uint32_t offset = 0, length = 0;
  bool has_push = false, has_fin = false, is_ce = false;
};

struct Fate {  // of one packet on its way
  bool is_dropped = false, is_doubled = false;
  Duration delay;
};

struct Case {
  uint64_t number = 0;
  bool is_v6 = false, is_passive = false;
  std::string congestion = "cubic";
  uint16_t peer_mss = 1460;
  std::optional<uint8_t> peer_wscale;
  bool peer_sack = true, peer_ts = true, peer_ecn = false, peer_dsack = true;
  uint32_t peer_window = 1 << 20;  // bytes
  Duration zero_window_from = Duration::infinite(), zero_window_to = Duration::infinite();
  Duration rtt = Duration::from_ms(50);
  uint32_t ack_every = 1;
  Duration ack_delay = Duration::from_ms(40);  // of what ack_every leaves
  uint32_t syn_drops = 0;
  std::map<uint32_t, Fate> data_fates, ack_fates;  // by ordinal: the n-th segment with data or FIN; the n-th ACK
  std::set<uint32_t> ce_marks;                     // data segments that pass a congested router
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::vector<Op> options_before;  // kOption only; on the listener when passive
  std::vector<Op> ops;
  std::vector<PeerSend> sends;
  Duration length = Duration::from_s(2);  // from the connection on

  std::string describe() const;
};

Case draw(uint64_t number);
std::string describe(const Op& op);

}  // namespace leat::differ
