// send: from the user to the write queue (Linux's tcp_sendmsg). Bytes are copied once, into buffers that the queue, the
// retransmissions and the packets on their way all share.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

#include "inet/sock_lock.h"
#include "tcp/doors.h"
#include "tcp/input.h"
#include "tcp/memory.h"
#include "tcp/output.h"
#include "tcp/recovery/recovery.h"

namespace leat::tcp {
namespace {

inline constexpr uint32_t kLargePage = 34816 - sizeof(Buffer);
inline constexpr uint32_t kSmallPage = 2048 - sizeof(Buffer);
inline constexpr uint32_t kGsoMaxBytes = 65536;

uint64_t notsent_lowat(const Conn& c) {
  const uint32_t own = c.sk.options->notsent_lowat;
  return own != 0 ? own : static_cast<uint64_t>(static_cast<int64_t>(c.tcp.ns.sysctl.tcp_notsent_lowat));
}

bool has_send_room(const Conn& c) {
  return c.wmem_queued < c.sk.sndbuf && uint64_t{c.write_seq - c.snd_nxt} < notsent_lowat(c);
}

// How large a segment may grow in the queue: as many whole MSS as one burst can have.
uint32_t size_goal(const Conn& c, uint32_t mss, int flags) {
  if (flags & MSG_OOB) return mss;
  uint32_t most = kGsoMaxBytes - 1 - c.tcp.pool.charges.header;
  const uint32_t cutoff = c.max_window > kMssDefault ? c.max_window >> 1 : c.max_window;
  if (cutoff != 0 && most > cutoff) most = std::max<uint32_t>(cutoff, 68u - c.tcp_header_len);
  return std::max(most / mss * mss, mss);
}

bool must_push(const Conn& c) {
  return after(c.write_seq, c.pushed_seq + (c.max_window >> 1));
}

void mark_push(Conn& c, TxSegment& t) {
  t.flags |= wire::kTcpPsh;
  c.pushed_seq = c.write_seq;
}

class Source {
 public:
  explicit Source(std::span<const iovec> data) : iov_(data) {
    for (const iovec& v : data)
      left_ += v.iov_len;
  }
  size_t left() const { return left_; }
  size_t left_of_piece() {
    while (left_ != 0 && offset_ == iov_[index_].iov_len) {
      ++index_;
      offset_ = 0;
    }
    return left_ == 0 ? 0 : iov_[index_].iov_len - offset_;
  }
  void take(uint8_t* out, size_t n) {
    left_ -= n;
    while (n != 0) {
      const iovec& v = iov_[index_];
      const size_t k = std::min(n, v.iov_len - offset_);
      if (k != 0) std::memcpy(out, static_cast<const uint8_t*>(v.iov_base) + offset_, k);
      out += k;
      n -= k;
      offset_ += k;
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
  size_t left_ = 0;
};

// Room for some bytes in the socket's page; a new page when the old one is full. 0: no memory.
uint32_t page_room(Conn& c, size_t wanted) {
  if (c.send_page != nullptr && c.send_page_used < c.send_page->capacity) {
    return c.send_page->capacity - c.send_page_used;
  }
  if (c.send_page != nullptr) PacketPool::unref(c.send_page);
  c.send_page = c.tcp.pool.make_buffer(wanted <= kSmallPage ? kSmallPage : kLargePage);
  c.send_page_used = 0;
  return c.send_page != nullptr ? c.send_page->capacity : 0;
}

enum class Append : uint8_t { kDone, kFull, kNoMemory };

// Up to `most` bytes behind segment t. kFull: it has no place for another fragment. `by_piece`: each of the user's
// pieces takes a fragment of its own, as it does where its pages are sent and not copied.
Append append(Conn& c, TxSegment& t, Source& from, size_t most, bool by_piece = false) {
  const size_t want = std::min(by_piece ? from.left_of_piece() : from.left(), most);
  if (by_piece && c.send_page != nullptr) ++c.send_page_used;  // not to be joined with the last
  const uint32_t room = page_room(c, want);
  if (room == 0) return Append::kNoMemory;
  const auto n = static_cast<uint32_t>(std::min<size_t>(want, room));
  Packet& p = t.packet();
  if (!p.can_add_fragment(c.send_page, c.send_page_used)) return Append::kFull;
  from.take(c.send_page->bytes() + c.send_page_used, n);
  const uint32_t truesize = p.truesize;
  p.add_fragment(c.send_page, c.send_page_used, n);
  p.truesize = truesize + n;
  c.send_page_used += n;
  reserve_memory(c, n);
  charge_to_send(c, n);
  t.end_seq += n;
  c.write_seq += n;
  t.segs = 0;  // set when it is about to leave
  return Append::kDone;
}

void drop_empty_tail(Conn& c) {
  Packet* p = c.write_queue.back();
  if (p == nullptr || p->length != 0 || (tx_segment(*p).flags & (wire::kTcpSyn | wire::kTcpFin))) return;
  uncharge_to_send(c, p->truesize);
  PacketList::erase(p);
  PacketPtr owner(p);
}

// tcp_push: marks the end of the write and lets go what may.
void push(Conn& c, int flags, uint32_t mss, uint8_t nonagle) {
  Packet* tail = c.write_queue.back();
  if (tail == nullptr) return;
  if (!(flags & MSG_MORE) || must_push(c)) mark_push(c, tx_segment(*tail));
  if (flags & MSG_OOB) {
    c.urg_mode = true;
    c.snd_up = c.write_seq;
  }
  if (flags & MSG_MORE) nonagle = kNagleCork;
  push_pending(c, mss, nonagle);
}

Result<size_t> why_nothing(Conn& c, int error) {
  if (error == EAGAIN) c.nospace = true;
  return err(error);
}

// Whether the state allows sending at all.
Result<void> check_sendable(Conn& c) {
  const State state = c.state();
  if (c.sk.error != 0) {
    const int e = c.sk.error;
    c.sk.error = 0;
    return err(e);
  }
  if (c.sk.shutdown & inet::kSendShutdown) return err(EPIPE);
  if (state == State::kSynRecv && c.fastopen_request != nullptr) return {};
  if (c.defer_connect) return err(EINPROGRESS);
  if (in_state(state, {State::kSynSent, State::kSynRecv})) {
    c.nospace = true;
    return err(EAGAIN);
  }
  if (!in_state(state, {State::kEstablished, State::kCloseWait})) return err(EPIPE);
  return {};
}

struct Progress {
  size_t copied = 0;
  int error = 0;  // why it stopped before the end
};

Progress fill_queue(Conn& c, Source& from, uint32_t mss, int flags) {
  Progress done;
  const bool by_piece = (flags & MSG_ZEROCOPY) != 0 && c.sk.options->zerocopy;
  const uint32_t goal = size_goal(c, mss, flags);
  while (from.left() != 0) {
    Packet* tail = c.write_queue.back();
    TxSegment* t = tail != nullptr ? &tx_segment(*tail) : nullptr;
    const bool is_full = t == nullptr || t->length() >= goal || t->eor || (t->flags & wire::kTcpFin);
    if (is_full) {
      if (!has_send_room(c) || !may_queue_to_send(c)) {
        done.error = EAGAIN;
        break;
      }
      t = make_queued_segment(c, wire::kTcpAck);
      if (t == nullptr) {
        done.error = EAGAIN;
        break;
      }
      c.nonagle &= static_cast<uint8_t>(~kNaglePush);  // TCP_NODELAY pushed what waited then
      slow_start_after_idle(c);
    }
    if (done.copied == 0) t->flags &= static_cast<uint8_t>(~wire::kTcpPsh);  // no longer the end of a write
    const size_t before_left = from.left();
    const Append r = append(c, *t, from, goal - t->length(), by_piece);
    done.copied += before_left - from.left();
    if (r == Append::kNoMemory) {
      done.error = EAGAIN;
      break;
    }
    if (r == Append::kFull) {  // seventeen fragments: the next segment takes over
      mark_push(c, *t);
      if (!has_send_room(c) || make_queued_segment(c, wire::kTcpAck) == nullptr) {
        done.error = EAGAIN;
        break;
      }
      continue;
    }
    if (from.left() == 0 && (flags & MSG_EOR)) t->eor = true;
    if (t->length() < goal || (flags & MSG_OOB)) continue;
    if (must_push(c)) {
      mark_push(c, *t);
      push_pending(c, mss, kNaglePush);
    } else if (t == c.send_head()) {
      push_one(c, mss);
    }
  }
  return done;
}

}  // namespace

size_t append_bytes(Conn& c, TxSegment& t, std::span<const iovec> data, size_t most) {
  Source from(data);
  size_t done = 0;
  while (done < most) {
    const size_t left = from.left();
    if (append(c, t, from, most - done) != Append::kDone || left == from.left()) break;
    done += left - from.left();
  }
  return done;
}

// Linux's sk_stream_is_writeable: a third of the buffer is free, and little is unsent.
bool is_writable(const Conn& c) {
  const int32_t room = c.sk.sndbuf - c.wmem_queued;
  if (room < c.wmem_queued >> 1 || c.wmem_queued >= c.sk.sndbuf) return false;
  return uint64_t{c.write_seq - c.snd_nxt} * 2 < notsent_lowat(c);
}

Result<size_t> Tcp::send(TcpSock& s, std::span<const iovec> data, int flags) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* awake = wake(s);
  if (awake == nullptr) return err(ENOBUFS);
  if (s.get_state() == State::kListen) return err(EPIPE);
  Conn& c = *awake;
  refresh_time(c);
  if (auto ok = check_sendable(c); !ok) return std::unexpected(ok.error());
  rate_check_app_limited(c);
  Source from(data);
  const uint32_t mss = current_mss(c);
  if (flags & MSG_OOB) {
    c.urg_mode = true;  // where it ends is known at the push
    c.snd_up = c.write_seq + static_cast<uint32_t>(from.left());
  }
  const Progress done = fill_queue(c, from, mss, flags);
  if (done.error != 0) {
    drop_empty_tail(c);
    c.nospace = true;
  }
  if (done.copied != 0) {
    const bool full = done.error != 0;
    stamp_write(c);
    push(c, full ? flags & ~MSG_MORE : flags, mss, full ? kNaglePush : c.nonagle);
  }
  flush_effects(c);
  if (done.copied == 0 && done.error != 0) return why_nothing(c, done.error);
  return done.copied;
}

// Nothing of the user's memory is kept: the bytes have been copied, and that is said at once (Linux says it when it had
// to copy). Numbers follow each other, so all that are untold are one range.
void Tcp::complete_zerocopy(TcpSock& s) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* c = wake(s);
  if (c == nullptr || !s.options->zerocopy) return;
  ++c->zerocopy_next;
  c->effects.events |= EPOLLERR;
  flush_effects(*c);
}

Result<ZeroCopyRange> Tcp::take_zerocopy(TcpSock& s) {
  inet::SockLock lock(s, &drain_backlog);
  Conn* c = s.conn;  // who sleeps has told all
  if (c == nullptr || c->zerocopy_untold == c->zerocopy_next) return err(EAGAIN);
  const ZeroCopyRange range{c->zerocopy_untold, c->zerocopy_next - 1};
  c->zerocopy_untold = c->zerocopy_next;
  return range;
}

bool Tcp::has_unsent_data(TcpSock& s) {
  inet::SockLock lock(s, &drain_backlog);
  if (s.conn == nullptr) return false;
  return in_state(s.conn->state(), {State::kFinWait1, State::kClosing, State::kLastAck});
}

}  // namespace leat::tcp
