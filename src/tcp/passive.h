// Between the files of the passive open: listen.cpp, request.cpp, synack.cpp, child.cpp, syncookie.cpp.
//
// A listener's lock guards its requests and its queues. Order of locks: listener, its queue_lock, child.
#pragma once

#include "tcp/doors.h"

namespace leat::tcp {

inline bool is_accept_queue_full(const Listener& l) {
  return l.ack_backlog > l.backlog;
}
inline bool is_request_queue_full(const Listener& l) {
  return l.request_count > l.backlog;
}

// A SYN's options, as far as the sysctls and the listener let them count.
struct Offer {
  uint16_t mss = kMssDefault;
  bool tstamp_ok = false;
  uint32_t tsval = 0;
  bool sack_ok = false;
  bool wscale_ok = false;
  uint8_t snd_wscale = 0;
};

// --- request.cpp ---
Request* make_request(Tcp& tcp, TcpSock& listener, const inet::FourTuple& t, const Segment& seg);  // refs is 0
void free_request(Tcp& tcp, Request& r);  // one that was never hashed
// Off the listener's list, the timer stopped, the table's reference given up; it is not hashed any more.
void forget_request(Tcp& tcp, TcpSock& listener, Request& r);
Result<ip::Route> route_of(Tcp& tcp, const TcpSock& listener, const Request& r);
// rcv_wnd, window clamp, scale: what the SYN-ACK offers (tcp_openreq_init_rwin). r.advmss is set.
void select_request_window(Tcp& tcp, TcpSock& listener, Request& r, const ip::Route& route, uint32_t mss);
void on_syn(Tcp& tcp, TcpSock& listener, const inet::FourTuple& tuple, Segment& seg, Seq time_wait_isn);

// --- synack.cpp --- (`s` is the listener, or the child of Fast Open)
Duration request_timeout(const Request& r);  // from now to the next SYN-ACK
void arm_request(Tcp& tcp, Request& r);
uint32_t synack_window(const Request& r);
// route: the way back, if it was just looked up.
bool send_synack(Tcp& tcp, TcpSock& s, Request& r, const wire::FastOpenCookie* cookie = nullptr,
                 const ip::Route* route = nullptr);
bool resend_synack(Tcp& tcp, TcpSock& s, Request& r);
void send_request_ack(Tcp& tcp, TcpSock& s, Request& r, const Segment& seg, Seq seq);
uint32_t defer_timeouts(const Tcp& tcp, const TcpSock& listener);  // TCP_DEFER_ACCEPT in time-outs of the SYN-ACK

// --- child.cpp ---
// The connection of a finished handshake, in the request's place in ehash and in the accept queue: locked, with a
// reference for the caller. nullptr: no room or no memory, counted.
TcpSock* make_child(Tcp& tcp, TcpSock& listener, Request& r, const Segment& seg);
// The same for Fast Open, before the handshake is over; in no accept queue yet.
TcpSock* make_unconfirmed_child(Tcp& tcp, TcpSock& listener, Request& r, const Segment& seg);

// --- syncookie.cpp ---
Seq make_syn_cookie(Tcp& tcp, const inet::FourTuple& t, Seq peer_isn, uint16_t& mss);     // mss: rounded down
uint16_t check_syn_cookie(Tcp& tcp, const inet::FourTuple& t, Seq peer_isn, Seq cookie);  // the MSS; 0: not a cookie
uint32_t make_cookie_timestamp(const Request& r, uint32_t now_ms);
void note_overflow(Tcp& tcp, Listener& l);
// The third segment of a handshake whose SYN-ACK carried a cookie. *is_cookie: false: answer as if there were none.
TcpSock* on_cookie_ack(Tcp& tcp, TcpSock& listener, const inet::FourTuple& tuple, const Segment& seg, bool& is_cookie);

}  // namespace leat::tcp
