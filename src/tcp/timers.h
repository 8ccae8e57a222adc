// Time: deadlines of a connection on one wheel timer, and what happens when each is due.
#pragma once

#include "tcp/tcp.h"

namespace leat::tcp {

// Callbacks of the three wheels; the context is the Tcp.
void on_sock_timer(void* tcp, Timer& timer);
void on_request_wheel_timer(void* tcp, Timer& timer);
void on_time_wait_wheel_timer(void* tcp, Timer& timer);
void prepare_time_wait_timer(void* tcp, Timer& timer);  // fetches what the one above will touch
// Two kinds of the loss timer are due (retransmit_timer.cpp).
void on_retransmit_timer(Conn& c);
void on_persist_timer(Conn& c);

void arm_loss_timer(Conn& c, LossTimer kind, Duration after);  // inet_csk_reset_xmit_timer; capped at rto_max
void disarm_loss_timer(Conn& c);
void arm_delack(Conn& c, Duration after);
void disarm_delack(Conn& c);
void arm_keepalive(Conn& c, Duration after);  // keepalive, FIN_WAIT2, orphan, SYN_RECV of a crossed open
void disarm_keepalive(Conn& c);
void arm_sleep(Conn& c);                          // looks after kSleepAfter whether the connection idles
void keep_wheel_for(TcpSock& s, Time keepalive);  // a sleeping connection has this deadline only, or none
void arm_pacing(Conn& c, Time at);
void arm_compressed_ack(Conn& c, Duration after);
void disarm_compressed_ack(Conn& c);
void disarm_all(Conn& c);             // tcp_clear_xmit_timers
void reset_keepalive_timer(Conn& c);  // SO_KEEPALIVE switched on or its knobs changed

Duration rto_min(const Conn& c);
Duration delack_max(const Conn& c);  // an ACK must not wait for the peer's RTO, which is guessed to be as ours
Duration rto_max(const Conn& c);
Duration keepalive_time(const Conn& c);
Duration keepalive_interval(const Conn& c);
uint32_t keepalive_probes(const Conn& c);
Duration fin_timeout(const Conn& c);
// Fails the connection with ETIMEDOUT or its soft error (tcp_write_err).
[[gnu::cold]] void write_error(Conn& c);
// Wheel timers of requests and time-waits come here (request.cpp, time_wait.cpp).
void on_request_timer(Tcp& tcp, Request& r);
void on_time_wait_timer(Tcp& tcp, TimeWait& t);

}  // namespace leat::tcp
