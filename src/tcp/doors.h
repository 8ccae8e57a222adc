// How connections come and go: listen.cpp, request.cpp, syncookie.cpp, fastopen.cpp, time_wait.cpp (Linux's minisocks),
// connect.cpp, syn_sent.cpp, close.cpp.
#pragma once

#include "tcp/tcp.h"
#include "tcp/verdict.h"

namespace leat::tcp {

// --- conn life (close.cpp) -------------------------------------------------------------------------------------------
Conn* attach_conn(Tcp& tcp, TcpSock& s);      // allocates and initialises (tcp_init_sock); nullptr: no memory
void set_state(Conn& c, State fresh);         // counters, hashes (CLOSE unhashes), trace
void done(Conn& c);                           // tcp_done: CLOSE, timers off, the user is told
void reset_by_peer(Conn& c);                  // tcp_reset: error by state, tell the user, done
[[gnu::cold]] void fail(Conn& c, int error);  // sk_err = error, EPOLLERR, done
void process_fin(Conn& c);                    // a FIN has become the next byte (tcp_fin)
void enter_time_wait(Conn& c, State substate, Duration timeout);  // tcp_time_wait; the Conn is done afterwards
// Too many orphans, or no memory for what this one still has to send (tcp_check_oom). At a time-out each counts for
// 2^shift.
bool is_orphan_too_much(const Conn& c, int shift);
void purge_queues(Conn& c);       // write, retransmit, receive, out-of-order: all memory given back
void purge_send_queues(Conn& c);  // tcp_write_queue_purge
void assign_congestion(Conn& c);  // the algorithm that the socket's options name, else the namespace's
void init_congestion(Conn& c);
void release_congestion(Conn& c);
TcpSock* make_sock(Tcp& tcp, Family family);  // without Conn and options; refs is 0. nullptr: no memory

// --- listeners and requests (listen.cpp, request.cpp, syncookie.cpp) -------------------------------------------------
// These lock the listener: the caller holds a reference and no lock.
// A segment for a listener: SYN → request or cookie; ACK → cookie check; RST → nothing; else reset.
// time_wait_isn: from on_time_wait_segment when a time-wait gave way to this SYN; else 0.
void on_listener_segment(Tcp& tcp, TcpSock& listener, const inet::FourTuple& tuple, Segment& seg,
                         Seq time_wait_isn = 0);
// A segment for a request (tcp_check_req). Returns the new connection's socket, locked and with a reference, when the
// segment completes the handshake and must now be processed by it as an ordinary segment; nullptr when it is done.
TcpSock* on_request_segment(Tcp& tcp, Request& r, const inet::FourTuple& tuple, Segment& seg);
void drop_request(Tcp& tcp, Request& r);    // unhash, unlink, give up references
void stop_listening(Tcp& tcp, TcpSock& s);  // CLOSE; closes requests and what was not accepted. Locked by the caller
// Places a child in the accept queue with a reference of its own; false: nobody listens any more.
bool queue_accepted(TcpSock& listener, TcpSock& child);

// --- time-wait (time_wait.cpp) ---------------------------------------------------------------------------------------
// What a segment for a time-wait does (tcp_timewait_state_process). kSyn: a fresh SYN may open a new connection: the
// caller looks for a listener (isn then holds the sequence number to start from).
enum class TimeWaitAnswer : uint8_t { kSuccess, kReset, kAck, kSyn };
TimeWaitAnswer on_time_wait_segment(Tcp& tcp, TimeWait& t, Segment& seg, Seq& isn);
void send_time_wait_ack(Tcp& tcp, TimeWait& t, const Segment& seg);
void put_request(Tcp& tcp, Request& r);  // drops a reference
void put_time_wait(Tcp& tcp, TimeWait& t);
void kill_time_wait(Tcp& tcp, TimeWait& t);                            // unhash, cancel, give up its references
bool may_reuse_time_wait(Tcp& tcp, const TimeWait& t, bool is_bound);  // tcp_twsk_unique for connect()

// --- active open -----------------------------------------------------------------------------------------------------
// A segment in SYN_SENT (RFC 9293 §3.10.7.3).
Verdict on_syn_sent_segment(Conn& c, Segment& seg);
void finish_connect(Conn& c, const Segment* seg);  // tcp_finish_connect: ESTABLISHED by a SYN-ACK
void init_transfer(Conn& c);                       // tcp_init_transfer: metrics, cwnd, congestion control, buffers
// Keyed initial sequence numbers and timestamp offsets (RFC 6528).
Seq select_iss(Tcp& tcp, const inet::FourTuple& t);
uint32_t select_ts_offset(Tcp& tcp, const inet::FourTuple& t);

}  // namespace leat::tcp
