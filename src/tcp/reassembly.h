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
bool prune_out_of_order(Conn& c, const Segment& incoming);
void set_dsack(Conn& c, Seq seq, Seq end);
void extend_dsack(Conn& c, Seq seq, Seq end);

// collapse.cpp
void collapse_receive_queue(Conn& c);
void collapse_out_of_order(Conn& c);

// receive.cpp
bool has_buffer_left(const Conn& c);                 // it may still outgrow the receive buffer with what has come
bool has_receive_room(Conn& c, const Segment& seg);  // tcp_try_rmem_schedule: prunes when it must
void advance_rcv_nxt(Conn& c, Seq end);
RxSegment& describe_received(Segment& seg);  // its place in the stream, as its packet's control block
// Copies a packet behind the one that it follows, when that costs no memory (tcp_try_coalesce). True: `from` may go.
bool try_merge_in_order(Conn& c, Packet& from);
bool try_merge_out_of_order(Conn& c, Packet& to, Packet& from);

}  // namespace leat::tcp
