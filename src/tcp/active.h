// Between the files of the active open and the close.
#pragma once

#include "tcp/tcp.h"

namespace leat::tcp {

void init_conn(Conn& c);  // what attach_conn does to a fresh one
// tcp_disconnect: CLOSE at once, with a RST where the peer must know, and a Conn as new.
void disconnect_locked(Conn& c);
// The end of a time-wait that is no longer hashed: the table's reference is given up.
void retire_time_wait(Tcp& tcp, TimeWait& t);
// What flow labels and the receiver's load balancing hash; h is not 0.
void set_txhash(Conn& c, uint32_t h);
// tcp_shutdown(SEND_SHUTDOWN): the FIN of shutdown(2).
void shutdown_send(Conn& c);

// Linux's tcp_paws_reject for a timestamp `tsval` against what was stored.
inline bool is_paws_reject(uint32_t ts_recent, uint32_t ts_recent_stamp, uint32_t tsval, bool is_rst, uint32_t now_s) {
  if (ts_recent == 0 || static_cast<int32_t>(ts_recent - tsval) <= 0) return false;
  if (static_cast<int32_t>(now_s - (ts_recent_stamp + kPawsWrap)) >= 0) return false;
  // A RST may come without memory of the clock that the connection had (RFC 7323 §5.2).
  return !(is_rst && static_cast<int32_t>(now_s - (ts_recent_stamp + kPawsMsl)) >= 0);
}

// Linux's tcp_in_window.
inline bool is_in_window(Seq seq, Seq end_seq, Seq start, Seq end) {
  if (seq == start) return true;
  if (after(end_seq, start) && before(seq, end)) return true;
  return seq == end && seq == end_seq;
}

// Seconds for the age of timestamps; never 0, which says "none".
inline uint32_t stamp_s(const Tcp& tcp) {
  const auto s = static_cast<uint32_t>(tcp.now().ns() / 1'000'000'000);
  return s == 0 ? 1 : s;
}

inline uint32_t clock_ms(const Tcp& tcp) {
  return static_cast<uint32_t>(tcp.now().ms());
}

}  // namespace leat::tcp
