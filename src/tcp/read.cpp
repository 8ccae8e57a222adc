// recv: from the receive queue to the user, and the window update that follows (Linux's tcp_recvmsg, tcp_cleanup_rbuf).
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

#include "inet/sock_lock.h"
#include "tcp/input.h"
#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"
#include "tcp/urgent.h"

namespace leat::tcp {
namespace {

// Where the next byte goes in the user's buffers.
class Sink {
 public:
  explicit Sink(std::span<const iovec> into, bool discard) : iov_(into), discard_(discard) {}
  size_t room() const {
    size_t n = 0;
    for (size_t i = index_; i < iov_.size(); ++i)
      n += iov_[i].iov_len;
    return n - offset_;
  }
  void put(ByteView bytes) {
    while (!bytes.empty()) {
      const iovec& v = iov_[index_];
      const size_t n = std::min(bytes.size(), v.iov_len - offset_);
      if (!discard_ && n != 0) std::memcpy(static_cast<uint8_t*>(v.iov_base) + offset_, bytes.data(), n);
      bytes = bytes.subspan(n);
      offset_ += n;
      if (offset_ == v.iov_len) {
        ++index_;
        offset_ = 0;
      }
    }
  }

 private:
  std::span<const iovec> iov_;
  size_t index_ = 0;
  size_t offset_ = 0;
  bool discard_;
};

Result<size_t> receive_urgent(Conn& c, std::span<const iovec> into, int flags, ReceiveInfo* info) {
  if (c.sk.oob_inline || c.urg_data == 0 || c.urg_data == kUrgRead) return err(EINVAL);
  if (c.state() == State::kClose && !c.sock_done) return err(ENOTCONN);
  if (c.urg_data & kUrgValid) {
    const auto byte = static_cast<uint8_t>(c.urg_data);
    if (!(flags & MSG_PEEK)) c.urg_data = kUrgRead;
    if (info != nullptr) info->is_oob = true;
    Sink sink(into, flags & MSG_TRUNC);
    if (sink.room() == 0) return size_t{0};
    sink.put(ByteView(&byte, 1));
    return size_t{1};
  }
  if (c.state() == State::kClose || (c.sk.shutdown & inet::kRcvShutdown)) return size_t{0};
  return err(EAGAIN);
}

// Why there is nothing to read: end of the stream, an error, or nothing yet.
Result<size_t> no_data(Conn& c) {
  if (c.sock_done) return size_t{0};
  if (c.sk.error != 0) {
    const int e = c.sk.error;
    c.sk.error = 0;
    return err(e);
  }
  if (c.sk.shutdown & inet::kRcvShutdown) return size_t{0};
  if (c.state() == State::kClose) return err(ENOTCONN);
  return err(EAGAIN);
}

void drop_front(Conn& c) {
  PacketPtr p = c.receive_queue.pop_front();
  uncharge_received(c, p->truesize);
}

class Reader {
 public:
  Reader(Conn& c, Sink& sink, int flags)
      : c_(c), sink_(sink), peek_(flags & MSG_PEEK), seq_(c.copied_seq), left_(sink.room()) {}

  Time received() const { return received_; }
  size_t run() {
    Packet* p = c_.receive_queue.front();
    while (p != nullptr && left_ != 0 && !stop_) {
      Packet* next = c_.receive_queue.next(p);
      read_packet(*p);
      p = next;
    }
    return copied_;
  }

 private:
  void read_packet(Packet& p) {
    const RxSegment& r = rx_segment(p);
    uint32_t offset = seq_ - r.seq;
    if (r.flags & wire::kTcpSyn) --offset;
    if (offset < p.length) {
      auto n = static_cast<uint32_t>(std::min<size_t>(p.length - offset, left_));
      n = stop_at_urgent(n, offset);
      p.for_each_piece(offset, n, [this](ByteView b) { sink_.put(b); });
      advance(n);
      offset += n;
      if (!peek_) {
        c_.copied_seq = seq_;
        received_ = p.received;
        rcv_space_adjust(c_);  // per packet: what one read takes at once is no measure of a round trip
      }
    }
    if (offset < p.length || stop_) return;
    const bool is_fin = r.is_fin();
    if (is_fin) {
      ++seq_;
      stop_ = true;
    }
    if (peek_) return;
    c_.copied_seq = seq_;
    drop_front(c_);
  }
  // A read ends before the urgent byte; the next one skips it, unless it is inline.
  uint32_t stop_at_urgent(uint32_t n, uint32_t& offset) {
    if (c_.urg_data == 0) return n;
    const uint32_t distance = c_.urg_seq - seq_;
    if (distance >= n) return n;
    if (distance != 0) {
      stop_ = true;
      return distance;
    }
    if (c_.sk.oob_inline) return n;
    ++seq_;
    ++offset;
    if (!peek_) c_.copied_seq = seq_;
    return std::min<uint32_t>(n - 1, n);
  }
  void advance(uint32_t n) {
    seq_ += n;
    copied_ += n;
    left_ -= n;
    if (!peek_) c_.copied_seq = seq_;
    if (c_.urg_data != 0 && after(c_.copied_seq, c_.urg_seq) && !peek_) {
      c_.urg_data = 0;
      check_prediction(c_);
    }
  }

  Conn& c_;
  Sink& sink_;
  bool peek_;
  bool stop_ = false;
  Seq seq_;
  size_t left_;
  size_t copied_ = 0;
  Time received_;
};

}  // namespace

// After a read: an ACK that was waiting for it, or news of a window that has opened enough.
void cleanup_receive_buffer(Conn& c, uint32_t copied) {
  bool time_to_ack = false;
  if (c.ack.pending & kAckScheduled) {
    if (c.rcv_nxt - c.rcv_wup > c.ack.rcv_mss ||
        (copied > 0 && ((c.ack.pending & kAckPushed2) || ((c.ack.pending & kAckPushed) && !in_pingpong(c))) &&
         c.rmem_alloc == 0)) {
      time_to_ack = true;
    }
  }
  if (copied > 0 && !time_to_ack && !(c.sk.shutdown & inet::kRcvShutdown)) {
    const uint32_t window = c.receive_window();
    if (2 * window <= c.window_clamp) {  // RFC 9293 §3.8.6.2.2: worth telling when it at least doubles
      const uint32_t fresh = select_new_window(c);
      if (fresh != 0 && fresh >= 2 * window) time_to_ack = true;
    }
  }
  if (time_to_ack) send_ack(c);
}

Result<size_t> Tcp::receive(TcpSock& s, std::span<const iovec> into, int flags, ReceiveInfo* info) {
  inet::SockLock lock(s, &drain_backlog);
  if (s.get_state() == State::kListen) return err(ENOTCONN);
  if (is_dormant(s) && !(flags & MSG_OOB)) return err(EAGAIN);  // what sleeps has nothing to read
  Conn* awake = wake(s);
  if (awake == nullptr) return err(ENOBUFS);
  Conn& c = *awake;
  refresh_time(c);
  if (flags & MSG_OOB) return receive_urgent(c, into, flags, info);
  Sink sink(into, flags & MSG_TRUNC);
  const size_t wanted = sink.room();
  Reader reader(c, sink, flags);
  const size_t copied = reader.run();
  if (!(flags & MSG_PEEK) && c.state() != State::kClose) {
    cleanup_receive_buffer(c, static_cast<uint32_t>(copied));
    flush_effects(c);
  }
  if (info != nullptr) {
    if (copied != 0 && s.options->wants_receive_stamps()) info->received = reader.received();
    info->has_inq = s.options->inq;
    info->inq = c.rcv_nxt - c.copied_seq;
    if (info->inq == 0 && c.sock_done) info->inq = 1;  // the end of the stream is worth another read
  }
  if (copied != 0 || wanted == 0) return copied;
  return no_data(c);
}

}  // namespace leat::tcp
