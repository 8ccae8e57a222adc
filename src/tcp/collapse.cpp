// What a receiver does when its buffer is full of packets that cost more than they carry: it copies their bytes
// together into packets of a page (tcp_collapse). The stream stays what it was; bytes that were there twice go.
#include <algorithm>

#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/reassembly.h"

namespace leat::tcp {
namespace {

constexpr uint32_t kPayloadOfPage = 4096 - 320;  // less skb_shared_info

bool is_special(Packet& p) {
  return rx_segment(p).flags & (wire::kTcpSyn | wire::kTcpFin);
}

// A run of packets, each beginning within the one before it or at its end, of the bytes from start to end.
class Collapse {
 public:
  Collapse(Conn& c, PacketQueue& queue, Seq start, Seq end) : c_(c), in_(queue), start_(start), end_(end) {}

  void run() {
    skip_what_is_dense();
    if (!in_.is_empty() && !is_special(*in_.front())) {
      while (before(start_, end_) && fill_one()) {
      }
    }
    while (PacketPtr p = in_.pop_front())
      out_.push_back(std::move(p));
    while (PacketPtr p = out_.pop_front())
      in_.push_back(std::move(p));
  }

 private:
  void drop_front() {
    PacketPtr p = in_.pop_front();
    uncharge_received(c_, p->truesize);
    c_.tcp.count(Mib::TcpExtTCPRcvCollapsed);
  }

  void skip_what_is_dense() {
    while (Packet* p = in_.front()) {
      const RxSegment& r = rx_segment(*p);
      if (!before(start_, r.end_seq)) {  // nothing that is not there already
        drop_front();
        continue;
      }
      if (!is_special(*p) && (window_from_space(c_, p->truesize) > p->length || before(r.seq, start_))) return;
      Packet* next = in_.next(p);
      if (next != nullptr && r.end_seq != rx_segment(*next).seq) return;  // they overlap
      start_ = r.end_seq;
      out_.push_back(in_.pop_front());
    }
  }

  // One new packet. False: what follows stays as it is.
  bool fill_one() {
    const uint32_t room = std::min(kPayloadOfPage, end_ - start_);
    PacketPtr fresh = c_.tcp.pool.make(room, 0);
    if (fresh == nullptr) return false;
    const RxSegment& first = rx_segment(*in_.front());
    RxSegment& r = make_rx_segment(*fresh);
    r.seq = r.end_seq = start_;
    r.flags = first.flags;
    r.dsfield = first.dsfield;
    fresh->received = in_.front()->received;
    charge_received(c_, fresh->truesize);
    const bool goes_on = copy_into(*fresh, room);
    out_.push_back(std::move(fresh));
    return goes_on;
  }

  bool copy_into(Packet& to, uint32_t room) {
    RxSegment& r = rx_segment(to);
    while (room > 0) {
      Packet& from = *in_.front();
      const RxSegment& f = rx_segment(from);
      if (before(start_, f.seq)) return false;
      const uint32_t offset = start_ - f.seq;
      if (offset < from.length) {
        const uint32_t n = std::min(room, from.length - offset);
        from.copy_out(offset, to.put(n), n);
        r.end_seq += n;
        room -= n;
        start_ += n;
      }
      if (before(start_, f.end_seq)) continue;
      drop_front();
      if (in_.is_empty() || is_special(*in_.front())) return false;
    }
    return true;
  }

  Conn& c_;
  PacketQueue& in_;
  PacketQueue out_;
  Seq start_;
  const Seq end_;
};

// The packets from head to before tail of the out-of-order queue.
void collapse_run(Conn& c, RxSegment* head, const RxSegment* tail, Seq start, Seq end) {
  PacketQueue run;
  for (RxSegment* r = head; r != tail;) {
    RxSegment* next = c.out_of_order.next(r);
    c.out_of_order.erase(r);
    run.push_back(PacketPtr(&r->packet()));
    r = next;
  }
  Collapse(c, run, start, end).run();
  while (PacketPtr p = run.pop_front())
    c.out_of_order.insert(&rx_segment(*p.release()));
}

}  // namespace

void collapse_receive_queue(Conn& c) {
  Collapse(c, c.receive_queue, c.copied_seq, c.rcv_nxt).run();
}

void collapse_out_of_order(Conn& c) {
  uint32_t tiny = 0;
  for (RxSegment* head = c.out_of_order.first(); head != nullptr;) {
    Seq start = head->seq, end = head->end_seq;
    uint32_t truesize = head->packet().truesize;
    RxSegment* next = c.out_of_order.next(head);
    const uint32_t alone = truesize;
    for (; next != nullptr && !after(next->seq, end) && !before(next->end_seq, start);
         next = c.out_of_order.next(next)) {
      truesize += next->packet().truesize;
      start = seq_min(start, next->seq);
      end = seq_max(end, next->end_seq);
    }
    if (truesize != alone || end - start >= kPayloadOfPage) {
      collapse_run(c, head, next, start, end);
    } else {
      tiny += truesize;
      if (tiny > static_cast<uint32_t>(c.sk.rcvbuf) >> 3) break;
    }
    head = next;
  }
  c.ooo_last = c.out_of_order.last();
}

}  // namespace leat::tcp
