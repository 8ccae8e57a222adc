// Between receive.cpp and reassembly.cpp: the two queues of a receiver.
#pragma once

#include "tcp/input.h"
#include "tcp/output.h"

namespace leat::tcp {

// reassembly.cpp
void queue_out_of_order(Conn& c, Segment& seg);  // takes the packet, or drops it
void take_in_order(Conn& c);                     // tcp_ofo_queue
void remove_sacks(Conn& c);                      // blocks that rcv_nxt has reached
void purge_out_of_order(Conn& c);
bool prune_out_of_order(Conn& c);
void set_dsack(Conn& c, Seq seq, Seq end);
void extend_dsack(Conn& c, Seq seq, Seq end);

// receive.cpp
bool has_receive_room(Conn& c, const Packet& p);  // tcp_try_rmem_schedule: prunes when it must
void advance_rcv_nxt(Conn& c, Seq end);

}  // namespace leat::tcp
