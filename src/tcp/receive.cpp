// Seventh step of RFC 9293 §3.10.7.4: the segment's text goes to the receive queue, to the out-of-order queue, or is
// refused; and sixth, the urgent pointer.
#include "tcp/reassembly.h"

#include <sys/epoll.h>

#include <algorithm>

#include "tcp/doors.h"
#include "tcp/memory.h"
#include "tcp/recovery/recovery.h"
#include "tcp/urgent.h"

namespace leat::tcp {
namespace {

void refuse(Conn& c, DropReason reason) {
  enter_quickack_mode(c, kMaxQuickAcks);
  schedule_ack(c);
  c.tcp.ns.drop(reason);
}

void report_readable(Conn& c) {
  const auto available = static_cast<int32_t>(c.rcv_nxt - c.copied_seq);
  const bool is_end = c.sock_done || (c.sk.shutdown & inet::kRcvShutdown);
  if (available >= std::max(c.sk.options->rcvlowat, 1) || is_end ||
      c.rmem_alloc > static_cast<uint32_t>(c.sk.rcvbuf - (c.sk.rcvbuf >> 3)) || c.receive_window() <= c.ack.rcv_mss) {
    c.effects.events |= EPOLLIN | EPOLLRDNORM;
  }
}

// A few bytes cost less to copy behind those that wait than to keep as a packet. As in Linux's tcp_try_coalesce, what
// has room in the allocation that is charged already costs nothing more; what has not is a packet of its own.
bool may_merge(const Conn& c, Packet& to, Packet& from) {
  const RxSegment& r = rx_segment(to);
  return from.length <= c.tcp.pool.uncharged_room(to) && r.end_seq == rx_segment(from).seq && !r.is_fin();
}

void note_merged(Conn& c, Packet& to, Packet& from) {
  RxSegment& r = rx_segment(to);
  r.end_seq = rx_segment(from).end_seq;
  r.flags = static_cast<uint8_t>(r.flags | (rx_segment(from).flags & wire::kTcpFin));
  to.received = from.received;
  c.tcp.count(Mib::TcpExtTCPRcvCoalesce);
}

// No memory: offer no window, wake the reader; an empty queue takes it all the same. False: dropped.
bool take_in_spite_of_memory(Conn& c, const Segment& seg) {
  c.ack.pending |= kAckNoMem | kAckNow;
  schedule_ack(c);
  c.effects.events |= EPOLLIN | EPOLLRDNORM;
  if (c.receive_queue.is_empty() || seg.length == 0) {
    reserve_memory(c, seg.packet->truesize);
    return true;
  }
  c.tcp.count(Mib::TcpExtTCPRcvQDrop);
  c.tcp.ns.drop(DropReason::kProtoMem);
  return false;
}

}  // namespace

RxSegment& describe_received(Segment& seg) {
  RxSegment& r = make_rx_segment(*seg.packet);
  r.seq = seg.seq;
  r.end_seq = seg.end_seq;
  r.flags = seg.header.flags;
  r.dsfield = seg.dsfield;
  return r;
}

bool try_merge_in_order(Conn& c, Packet& from) {
  Packet* last = c.receive_queue.back();
  if (last == nullptr || !may_merge(c, *last, from) || !c.receive_queue.merge_into_back(from)) return false;
  note_merged(c, *last, from);
  return true;
}

bool try_merge_out_of_order(Conn& c, Packet& to, Packet& from) {
  if (!may_merge(c, to, from) || !to.append_copy(from)) return false;
  note_merged(c, to, from);
  c.tcp.count(Mib::TcpExtTCPOFOMerge);
  return true;
}

void advance_rcv_nxt(Conn& c, Seq end) {
  c.bytes_received += end - c.rcv_nxt;
  c.rcv_nxt = end;
}

// What has come may outgrow the buffer, what is there may not: 6.18.44 has gone back to that.
bool has_buffer_left(const Conn& c) {
  return c.rmem_alloc <= static_cast<uint32_t>(c.sk.rcvbuf);
}

namespace {

// tcp_prune_queue: the buffer grows, or what is in it is packed closer, or what is out of order goes.
bool make_room(Conn& c, const Segment& seg) {
  c.tcp.count(Mib::TcpExtPruneCalled);
  clamp_window(c);
  if (has_buffer_left(c)) return true;
  collapse_out_of_order(c);
  collapse_receive_queue(c);
  if (has_buffer_left(c)) return true;
  prune_out_of_order(c, seg);
  if (has_buffer_left(c)) return true;
  c.tcp.count(Mib::TcpExtRcvPruned);
  c.may_predict = false;
  return false;
}

bool make_room_in_memory(Conn& c, const Segment& seg) {
  c.tcp.count(Mib::TcpExtPruneCalled);
  prune_out_of_order(c, seg);
  if (may_queue_received(c)) return true;
  c.tcp.count(Mib::TcpExtRcvPruned);
  return false;
}

}  // namespace

bool has_receive_room(Conn& c, const Segment& seg) {
  if (!may_queue_received(c)) {
    if (!make_room_in_memory(c, seg)) return false;
  } else if (!has_buffer_left(c) && !make_room(c, seg)) {
    return false;
  }
  reserve_memory(c, seg.packet->truesize);
  return true;
}

void queue_in_order(Conn& c, Segment& seg) {
  const bool is_fin = seg.header.fin();
  describe_received(seg);
  const bool merged = try_merge_in_order(c, *seg.packet);
  if (!merged) charge_received(c, seg.packet->truesize);
  advance_rcv_nxt(c, seg.end_seq);
  if (seg.length != 0) on_data_received(c, seg);
  if (!merged) c.receive_queue.push_back(std::move(seg.packet));
  if (is_fin) process_fin(c);
  if (!c.out_of_order.is_empty()) {
    take_in_order(c);
    if (c.out_of_order.is_empty()) c.ack.pending |= kAckNow;  // RFC 5681 §4.2: a gap has been filled
  }
  if (c.rx_opt.num_sacks != 0) remove_sacks(c);
  check_prediction(c);
  report_readable(c);
}

void process_data(Conn& c, Segment& seg) {
  if (seg.seq == seg.end_seq) return;
  if (seg.seq == c.rcv_nxt || (before(seg.seq, c.rcv_nxt) && after(seg.end_seq, c.rcv_nxt))) {
    if (seg.seq != c.rcv_nxt) set_dsack(c, seg.seq, c.rcv_nxt);  // its head came before
    if (c.receive_window() == 0 && !(seg.seq == c.rcv_nxt && seg.length == 0 && seg.header.fin())) {
      c.tcp.count(Mib::TcpExtTCPZeroWindowDrop);
      refuse(c, DropReason::kTcpZerowindow);
      return;
    }
    if (!has_receive_room(c, seg) && !take_in_spite_of_memory(c, seg)) return;
    queue_in_order(c, seg);
    return;
  }
  if (!after(seg.end_seq, c.rcv_nxt)) {  // a retransmission of what we have: tell at once
    c.tcp.count(Mib::TcpExtDelayedACKLost);
    set_dsack(c, seg.seq, seg.end_seq);
    refuse(c, DropReason::kTcpOldData);
    return;
  }
  if (!before(seg.seq, c.rcv_nxt + c.receive_window())) {
    refuse(c, DropReason::kTcpOverwindow);
    return;
  }
  queue_out_of_order(c, seg);
}

// The answer to a segment that is not acceptable: what we have, and that this was a duplicate.
void send_dup_ack_with_dsack(Conn& c, const Segment& seg) {
  if (seg.end_seq != seg.seq && before(seg.seq, c.rcv_nxt)) {
    c.tcp.count(Mib::TcpExtDelayedACKLost);
    enter_quickack_mode(c, kMaxQuickAcks);
    if (!c.is_reno() && c.tcp.ns.sysctl.tcp_dsack != 0) set_dsack(c, seg.seq, seq_min(seg.end_seq, c.rcv_nxt));
  }
  send_ack(c);
}

// RFC 6093: the urgent pointer names the byte behind the urgent one, as everybody implements it (tcp_stdurg: 0).
void process_urgent(Conn& c, Segment& seg) {
  if (!(seg.header.flags & wire::kTcpUrg)) {
    read_urgent_byte(c, seg);
    return;
  }
  uint32_t offset = seg.header.urgent;
  if (offset != 0 && c.tcp.ns.sysctl.tcp_stdurg == 0) --offset;
  const Seq at = seg.seq + offset;
  if (!after(c.copied_seq, at) && !before(at, c.rcv_nxt) && (c.urg_data == 0 || after(at, c.urg_seq))) {
    c.effects.events |= EPOLLPRI;
    // An urgent byte that nobody read in time becomes ordinary data: it must not be delivered twice.
    if (c.urg_seq == c.copied_seq && c.urg_data != 0 && !c.sk.oob_inline && c.copied_seq != c.rcv_nxt) {
      if (Packet* p = c.receive_queue.front(); p != nullptr && !before(c.copied_seq, rx_segment(*p).seq))
        ++c.copied_seq;
    }
    c.urg_data = kUrgNotYet;
    c.may_predict = false;
    c.urg_seq = at;
  }
  read_urgent_byte(c, seg);
}

void read_urgent_byte(Conn& c, const Segment& seg) {
  if (c.urg_data != kUrgNotYet) return;
  const uint32_t offset = c.urg_seq - seg.seq;
  if (offset >= seg.length) return;
  uint8_t byte;
  seg.packet->copy_out(offset, &byte, 1);
  c.urg_data = static_cast<uint16_t>(kUrgValid | byte);
  c.effects.events |= EPOLLPRI;
}

}  // namespace leat::tcp
