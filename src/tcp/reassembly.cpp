// The out-of-order queue and the SACK blocks that tell the peer about it (RFC 2018, RFC 2883). Bounded by the receive
// buffer; under pressure what was only sacked is thrown away again, newest sequence first.
#include <algorithm>

#include "tcp/doors.h"
#include "tcp/memory.h"
#include "tcp/reassembly.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

using wire::SackBlock;

bool extend(SackBlock& b, Seq seq, Seq end) {
  if (after(seq, b.end) || after(b.start, end)) return false;
  b.start = seq_min(b.start, seq);
  b.end = seq_max(b.end, end);
  return true;
}

void erase_block(Conn& c, size_t i) {
  --c.rx_opt.num_sacks;
  for (; i < c.rx_opt.num_sacks; ++i)
    c.selective_acks[i] = c.selective_acks[i + 1];
}

// The first block has grown: it may have reached others.
void coalesce_blocks(Conn& c) {
  for (size_t i = 1; i < c.rx_opt.num_sacks;) {
    if (extend(c.selective_acks[0], c.selective_acks[i].start, c.selective_acks[i].end)) {
      erase_block(c, i);
    } else {
      ++i;
    }
  }
}

// RFC 2018 §4: the block of the segment that has just come goes first.
void note_sack(Conn& c, Seq seq, Seq end) {
  auto& blocks = c.selective_acks;
  const size_t count = c.rx_opt.num_sacks;
  constexpr size_t kExpected = 2;  // more holes than that are worth an ACK each: no compression across them
  for (size_t i = 0; i < count; ++i) {
    if (!extend(blocks[i], seq, end)) continue;
    if (i >= kExpected) flush_compressed_acks(c);
    std::rotate(blocks.begin(), blocks.begin() + static_cast<ptrdiff_t>(i),
                blocks.begin() + static_cast<ptrdiff_t>(i) + 1);
    coalesce_blocks(c);
    return;
  }
  if (count >= kExpected) flush_compressed_acks(c);
  const size_t keep = std::min<size_t>(count, blocks.size() - 1);
  for (size_t i = keep; i > 0; --i)
    blocks[i] = blocks[i - 1];
  blocks[0] = {seq, end};
  c.rx_opt.num_sacks = static_cast<uint8_t>(keep + 1);
}

void drop_ofo(Conn& c, RxSegment& r) {
  c.out_of_order.erase(&r);
  uncharge_received(c, r.packet().truesize);
  PacketPtr owner(&r.packet());
}

// Inserts r, which is not covered by what is there; drops what it covers. Nothing is trimmed: the reader skips what it
// has read already, so the bytes that came first win.
void insert_ofo(Conn& c, RxSegment& r) {
  c.out_of_order.insert(&r);
  RxSegment* next = nullptr;
  while ((next = c.out_of_order.next(&r)) != nullptr) {
    if (!after(r.end_seq, next->seq)) break;
    if (before(r.end_seq, next->end_seq)) {
      extend_dsack(c, next->seq, r.end_seq);
      break;
    }
    extend_dsack(c, next->seq, next->end_seq);
    c.tcp.count(Mib::TcpExtTCPOFOMerge);
    drop_ofo(c, *next);
  }
  if (next == nullptr) c.ooo_last = &r;
}

// Whether r itself is in the queue now.
enum class Placed : uint8_t { kQueued, kMerged, kDuplicate };

Placed place_ofo(Conn& c, RxSegment& r) {
  RxSegment* prev = c.out_of_order.find_last([&](const RxSegment& x) { return !after(x.seq, r.seq); });
  if (prev != nullptr && before(r.seq, prev->end_seq)) {
    if (!after(r.end_seq, prev->end_seq)) {
      set_dsack(c, r.seq, r.end_seq);
      c.tcp.count(Mib::TcpExtTCPOFOMerge);
      return Placed::kDuplicate;
    }
    if (after(r.seq, prev->seq)) {
      set_dsack(c, r.seq, prev->end_seq);
    } else {  // same start, longer: it replaces the shorter one
      extend_dsack(c, prev->seq, prev->end_seq);
      c.tcp.count(Mib::TcpExtTCPOFOMerge);
      if (c.ooo_last == prev) c.ooo_last = nullptr;
      drop_ofo(c, *prev);
      prev = nullptr;
    }
  }
  if (prev != nullptr && prev->end_seq == r.seq && try_merge_out_of_order(c, prev->packet(), r.packet())) {
    return Placed::kMerged;
  }
  insert_ofo(c, r);
  return Placed::kQueued;
}

}  // namespace

void set_dsack(Conn& c, Seq seq, Seq end) {
  if (c.is_reno() || c.tcp.ns.sysctl.tcp_dsack == 0) return;
  c.tcp.count(before(seq, c.rcv_nxt) ? Mib::TcpExtTCPDSACKOldSent : Mib::TcpExtTCPDSACKOfoSent);
  c.has_dsack = true;
  c.duplicate_sack = {seq, end};
}

void extend_dsack(Conn& c, Seq seq, Seq end) {
  if (!c.has_dsack) {
    set_dsack(c, seq, end);
  } else {
    extend(c.duplicate_sack, seq, end);
  }
}

void queue_out_of_order(Conn& c, Segment& seg) {
  ecn_check_ce(c, seg.dsfield);
  if (!has_receive_room(c, seg)) {
    c.tcp.count(Mib::TcpExtTCPOFODrop);
    c.tcp.ns.drop(DropReason::kTcpOfoDrop);
    return;
  }
  measure_rcv_mss(c, seg);
  c.may_predict = false;
  schedule_ack(c);
  c.rcv_ooopack += std::max<uint32_t>(1, seg.packet->gso_segs);
  c.tcp.count(Mib::TcpExtTCPOFOQueue);
  const bool first = c.out_of_order.is_empty();
  Placed placed = Placed::kQueued;
  RxSegment& r = describe_received(seg);
  PacketPtr packet = std::move(seg.packet);
  if (first) {
    if (!c.is_reno()) {
      c.rx_opt.num_sacks = 1;
      c.selective_acks[0] = {r.seq, r.end_seq};
    }
    c.out_of_order.insert(&r);
    c.ooo_last = &r;
  } else {
    const Seq start = r.seq, end = r.end_seq;
    placed = place_ofo(c, r);
    if (!c.is_reno()) note_sack(c, start, end);
  }
  // Without SACK the window stays, so that duplicate ACKs are recognised as such.
  if (placed != Placed::kDuplicate && !c.is_reno()) grow_window(c, *packet, placed == Placed::kMerged);
  if (placed == Placed::kQueued) {
    charge_received(c, packet->truesize);
    (void)packet.release();
  }
  if (c.sk.events != nullptr) grow_receive_buffer(c, c.rcvq_space);  // not for who is not accepted yet, or orphaned
}

// What has become next in sequence moves to the receive queue.
void take_in_order(Conn& c) {
  const Seq dsack_high = c.rcv_nxt;
  while (RxSegment* r = c.out_of_order.first()) {
    if (after(r->seq, c.rcv_nxt)) break;
    if (before(r->seq, dsack_high)) {
      extend_dsack(c, r->seq, before(r->end_seq, dsack_high) ? r->end_seq : dsack_high);
    }
    if (c.ooo_last == r) c.ooo_last = nullptr;
    if (!after(r->end_seq, c.rcv_nxt)) {
      drop_ofo(c, *r);
      continue;
    }
    c.out_of_order.erase(r);
    advance_rcv_nxt(c, r->end_seq);
    const bool is_fin = r->is_fin();
    PacketPtr packet(&r->packet());
    if (try_merge_in_order(c, *packet)) {
      uncharge_received(c, packet->truesize);
    } else {
      c.receive_queue.push_back(std::move(packet));  // charged already
    }
    if (is_fin) {
      process_fin(c);
      return;  // which has emptied the queue
    }
  }
}

void remove_sacks(Conn& c) {
  if (c.out_of_order.is_empty()) {
    c.rx_opt.num_sacks = 0;
    return;
  }
  for (size_t i = 0; i < c.rx_opt.num_sacks;) {
    if (!before(c.rcv_nxt, c.selective_acks[i].start)) {
      erase_block(c, i);
    } else {
      ++i;
    }
  }
}

void purge_out_of_order(Conn& c) {
  while (RxSegment* r = c.out_of_order.first())
    drop_ofo(c, *r);
  c.ooo_last = nullptr;
}

// Frees what was only sacked, from the end, an eighth of the buffer at a time (RFC 2018 §8 allows it), but nothing that
// is ahead of what has just come. False: nothing.
bool prune_out_of_order(Conn& c, const Segment& incoming) {
  bool any = false;
  const int64_t step = c.sk.rcvbuf >> 3;
  int64_t goal = step;
  while (RxSegment* r = c.out_of_order.last()) {
    if (after(incoming.seq, r->seq)) break;
    any = true;
    goal -= r->packet().truesize;
    drop_ofo(c, *r);
    c.tcp.ns.drop(DropReason::kTcpOfoQueuePrune);
    if (!c.out_of_order.is_empty() && goal > 0) continue;
    if (has_buffer_left(c)) break;
    goal = step;
  }
  c.ooo_last = c.out_of_order.last();
  if (!any) return false;
  c.tcp.count(Mib::TcpExtOfoPruned);
  // What we said we have we no longer have: the blocks must not say so again.
  c.rx_opt.num_sacks = 0;
  return true;
}

}  // namespace leat::tcp
