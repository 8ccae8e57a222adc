// Bytes leave: from the write queue to the network layer. output.cpp decides what may go, build.cpp writes headers,
// mtu.cpp knows sizes.
#pragma once

#include "tcp/tcp.h"

namespace leat::tcp {

// --- mtu.cpp ---------------------------------------------------------------------------------------------------------
uint32_t mtu_to_mss(const Conn& c, uint32_t pmtu);    // payload of a segment without options, TCP options excluded
uint32_t segment_room(const Conn& c, uint32_t pmtu);  // mtu_to_mss, TCP options included (__tcp_mtu_to_mss)
uint32_t mss_to_mtu(const Conn& c, uint32_t mss);
uint32_t sync_mss(Conn& c, uint32_t pmtu);  // sets mss_cache from the path MTU; returns it
uint32_t current_mss(Conn& c);              // mss_cache less what the options of now take
bool refresh_route(Conn& c);                // looks the route up again when it is stale; false: unreachable
uint32_t path_mtu(Conn& c);
uint32_t advertised_mss(const Conn& c);      // of the route: what the SYN offers (tcp_advertise_mss)
void on_mtu_reduced(Conn& c, uint32_t mtu);  // ICMP: smaller segments from now on, resend what was too big
void simple_retransmit(Conn& c);             // what is longer than mss_cache now; cwnd does not pay

// --- mtu_probe.cpp ---------------------------------------------------------------------------------------------------
enum class MtuProbe : uint8_t { kNone, kWait, kSent };  // kWait: nothing else may leave before it
void init_mtu_search(Conn& c);                          // tcp_mtup_init
MtuProbe send_mtu_probe(Conn& c);                       // tcp_mtu_probe, where it is enabled
bool on_mtu_probe_lost(Conn& c);                        // the head is lost. True: it was the probe, and is sent again
void on_mtu_probe_acked(Conn& c);                       // snd_una has moved: perhaps over the probe
void on_mtu_black_hole(Conn& c);                        // time-outs in a row (tcp_mtu_probing)

// --- window.cpp ------------------------------------------------------------------------------------------------------
// The window to offer in a SYN or SYN-ACK (tcp_select_initial_window).
struct InitialWindow {
  uint32_t rcv_wnd;
  uint32_t window_clamp;
  uint8_t rcv_wscale;
};
InitialWindow select_initial_window(Netns& ns, int space, uint32_t mss, uint32_t window_clamp, bool wscale_ok,
                                    uint32_t init_rcv_wnd);
uint16_t select_window(Conn& c);                           // the window field of the segment being sent, scaled
uint32_t window_from_space(const Conn& c, int64_t space);  // payload that fits `space` bytes of truesize
int full_space(const Conn& c);                             // of sk_rcvbuf, as payload
int free_space(const Conn& c);                             // what is left of it
void initialize_rcv_mss(Conn& c);
void init_buffer_space(Conn& c);  // entering ESTABLISHED
void grow_window(Conn& c, const Packet& p, bool adjust);
void clamp_window(Conn& c);
void rcv_space_adjust(Conn& c);                      // the user has read: receive-buffer auto-tuning
void grow_receive_buffer(Conn& c, uint32_t copied);  // tcp_rcvbuf_grow: `copied` bytes were read in the last RTT
void expand_send_buffer(Conn& c);                    // tcp_sndbuf_expand
uint32_t select_new_window(Conn& c);                 // __tcp_select_window: bytes, silly-window avoidance included

// --- build.cpp -------------------------------------------------------------------------------------------------------
// Sends one queued segment: `clone` shares its bytes and leaves it in its queue; updates counters, timestamps, ECN.
// Returns the network layer's errno, 0 when it left.
int transmit_segment(Conn& c, TxSegment& t, bool keep);
// A segment without payload that no queue remembers: ACK, probe, RST.
int transmit_control(Conn& c, Seq seq, uint8_t flags);
// A segment that no connection keeps: RST, ACK of a time-wait or a request, SYN-ACK. All fields as they go on the wire.
struct BareSegment {
  inet::FourTuple tuple;   // local is the sender
  uint16_t ifindex = 0;    // to go out by; 0: by route
  wire::TcpHeader header;  // ports are filled in from the tuple
  uint8_t tos = 0;
  uint8_t ttl = 0;
  uint32_t mark = 0;
  ByteView payload;
  const ip::Route* route = nullptr;  // just looked up; nullptr: look it up
};
Result<void> send_bare(Tcp& tcp, const BareSegment& b);
// RST for a segment that belongs to nobody, or that asks for one (RFC 9293 §3.10.7.1). Never in answer to a RST.
void send_reset_for(Tcp& tcp, const inet::FourTuple& tuple, const Segment& seg);

// --- output.cpp ------------------------------------------------------------------------------------------------------
void send_ack(Conn& c);                                                 // a pure ACK now (tcp_send_ack)
void send_ack_for(Conn& c, Seq rcv_nxt);                                // __tcp_send_ack
void send_fin(Conn& c);                                                 // queues a FIN and pushes
void send_active_reset(Conn& c);                                        // tcp_send_active_reset
Result<void> send_syn(Conn& c, struct SynData* data);                   // tcp_connect: first SYN, timers armed
bool send_synack_of_sync_open(Conn& c);                                 // crossed SYNs (tcp_send_synack)
void push_pending(Conn& c, uint32_t mss, uint8_t nonagle);              // __tcp_push_pending_frames
void push_pending(Conn& c);                                             // tcp_push_pending_frames
bool write_xmit(Conn& c, uint32_t mss, uint8_t nonagle, int push_one);  // true: all is blocked and nothing in flight
void push_one(Conn& c, uint32_t mss);
bool may_send_now(Conn& c);
uint32_t max_burst_segs(Conn& c, uint32_t mss);  // tcp_tso_segs
inline bool is_paced(const Conn& c) {
  return c.pacing_status != 0 || c.tcp.paces_all.load(std::memory_order_relaxed);
}
bool must_wait_for_pacing(Conn& c);                      // arms the pacing timer when it says yes
void arm_persist(Conn& c);                               // zero-window probe timer with its back-off
void arm_first_persist(Conn& c);                         // without (tcp_check_probe_timer)
bool is_writable(const Conn& c);                         // room in the send buffer, worth an EPOLLOUT
TxSegment* make_queued_segment(Conn& c, uint8_t flags);  // an empty one at the end of the write queue
// Up to `most` bytes behind segment t, in the last of the queue; how many.
size_t append_bytes(Conn& c, TxSegment& t, std::span<const iovec> data, size_t most);
void check_space(Conn& c);               // wakes writers, grows the send buffer
void send_probe0(Conn& c);               // zero-window probe
int write_wakeup(Conn& c, Mib counter);  // probe or keepalive segment
bool fragment(Conn& c, bool in_rtx_queue, TxSegment& t, uint32_t length,
              uint32_t mss);                // splits t; false: no memory or limit
void set_segs(TxSegment& t, uint32_t mss);  // pcount and mss from its length
void new_data_sent(Conn& c, TxSegment& t);  // write queue → retransmit queue
void slow_start_after_idle(Conn& c);        // tcp_slow_start_after_idle_check
void cwnd_restart(Conn& c, Duration idle);
void chrono_start(Conn& c, uint8_t type);
void chrono_stop(Conn& c, uint8_t type);
void flush_effects(Conn& c);  // the one exit (design decision 6)

}  // namespace leat::tcp
