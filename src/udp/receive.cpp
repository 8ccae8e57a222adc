// recvmsg: the receive queue, and the error queue (MSG_ERRQUEUE).
#include <sys/socket.h>

#include <algorithm>

#include "udp/udp.h"

namespace leat::udp {
namespace {

size_t copy_to(const Packet& p, std::span<const iovec> into) {
  uint32_t copied = 0;
  for (const iovec& v : into) {
    const auto n = static_cast<uint32_t>(std::min<size_t>(v.iov_len, p.length - copied));
    if (n != 0) p.copy_out(copied, static_cast<uint8_t*>(v.iov_base), n);
    copied += n;
    if (copied == p.length) break;
  }
  return copied;
}

}  // namespace

// An error comes before the data (Linux's __skb_recv_udp). With MSG_TRUNC the real length is returned.
Result<size_t> Udp::receive(UdpSock& s, std::span<const iovec> into, int flags, Received& what) {
  if ((flags & MSG_OOB) != 0) return err(EOPNOTSUPP);
  if ((flags & MSG_ERRQUEUE) != 0) return receive_error(s, into, flags, what);
  PacketPtr p;
  bool wants_stamp = false;
  {
    Guard guard(s.lock);
    wants_stamp = s.options->wants_receive_stamps();
    if (s.error != 0) return err(std::exchange(s.error, uint8_t{0}));
    if (s.receive_queue.is_empty()) return err(EAGAIN);
    p = take(s, (flags & MSG_PEEK) != 0);
    what.receive_flags = s.options->receive_flags;
  }
  if (p == nullptr) return err(ENOMEM);
  what.datagram = datagram_of(*p);
  if (wants_stamp) what.at = p->received;
  const size_t copied = copy_to(*p, into);
  if (copied < p->length) what.flags |= MSG_TRUNC;
  if ((flags & MSG_PEEK) == 0) count(Mib::UdpInDatagrams, what.datagram.info.dst.is_v6());
  return (flags & MSG_TRUNC) != 0 ? p->length : copied;
}

// The next one, or a copy of it that shares the bytes.
PacketPtr Udp::take(UdpSock& s, bool peek) {
  if (peek) {
    PacketPtr copy = pool_.clone(*s.receive_queue.front(), 0);
    if (copy != nullptr) datagram_of(*copy) = datagram_of(*s.receive_queue.front());
    return copy;
  }
  PacketPtr p = s.receive_queue.pop_front();
  s.rmem -= p->truesize;
  return p;
}

// Taking one makes the next one's error pending, or clears it (Linux's sock_dequeue_err_skb).
Result<size_t> Udp::receive_error(UdpSock& s, std::span<const iovec> into, int flags, Received& what) {
  PacketPtr p;
  {
    Guard guard(s.lock);
    if (s.error_queue.is_empty()) return err(EAGAIN);
    p = s.error_queue.pop_front();
    s.rmem -= p->truesize;
    Packet* next = s.error_queue.front();
    if (!datagram_of(*p).is_stamp()) s.error = 0;
    if (next != nullptr && !datagram_of(*next).is_stamp()) s.error = static_cast<uint8_t>(datagram_of(*next).error);
  }
  what.datagram = datagram_of(*p);
  if (what.datagram.is_stamp()) what.at = p->received;
  what.flags |= MSG_ERRQUEUE;
  const size_t copied = copy_to(*p, into);
  if (copied < p->length) what.flags |= MSG_TRUNC;
  return (flags & MSG_TRUNC) != 0 ? p->length : copied;
}

}  // namespace leat::udp
