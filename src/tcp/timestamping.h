// SO_TIMESTAMPING of what a stream sends: when its bytes went to the link, and when the peer acknowledged them (Linux's
// Documentation/networking/timestamping.rst; tcp_tx_timestamp, skb_tstamp_tx, tcp_ack_tstamp).
//
// A write marks its last byte. The mark is a place in the stream, so that segments may be split and joined around it;
// a retransmission is reported again. What is reported waits in the error queue of the socket, within its receive
// buffer. Hardware stamps nothing here: its flags are taken as for a device that cannot.
#pragma once

#include <deque>

#include "base/errno.h"
#include "leat/time.h"
#include "tcp/seq.h"

namespace leat::tcp {

struct Conn;
struct TxSegment;

enum class StampKind : uint8_t { kSent = 0, kScheduled = 1, kAcked = 2 };  // SCM_TSTAMP_SND, _SCHED, _ACK

struct StampReport {
  StampKind kind;
  uint32_t key;  // OPT_ID: of the write's last byte, counted from where the option was set; else 0
  Time at;
};

struct Stamping {
  struct Mark {
    Seq last;
    uint32_t flags;  // those of the socket at the write
  };
  Seq first = 0;  // key 0
  std::deque<Mark> marks;
  std::deque<StampReport> reports;
};

// The user sets the flags (inet::kStamp*), which were `old`. EINVAL: keys cannot be counted in this state.
Result<void> start_stamping(Conn& c, uint32_t old, uint32_t flags);
void stamp_write(Conn& c);  // what write_seq ends now is a write's last byte
void stamp_sent(Conn& c, const TxSegment& t);
bool is_stamped(const Conn& c, const TxSegment& t);  // a mark lies in it
void stamp_acked(Conn& c);                           // snd_una has moved

}  // namespace leat::tcp
