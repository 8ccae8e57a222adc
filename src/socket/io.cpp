// sendmsg and recvmsg, which all the other ways of reading and writing come down to.
#include <algorithm>
#include <climits>
#include <cstring>
#include <utility>

#include "socket/cmsg.h"
#include "socket/sockets.h"

namespace leat::socket {
namespace {

constexpr size_t kMaxIovecs = 1024;    // UIO_MAXIOV
constexpr int kTcpCmInq = 36;          // TCP_CM_INQ: not in every libc's headers
constexpr int kFastOpen = 0x20000000;  // MSG_FASTOPEN

// EMSGSIZE: more pieces than Linux takes. EINVAL: a total above SSIZE_MAX.
Result<size_t> check_iovecs(const msghdr& m) {
  if (m.msg_iovlen > kMaxIovecs) return err(EMSGSIZE);
  if (m.msg_iovlen != 0 && m.msg_iov == nullptr) return err(EFAULT);
  size_t total = 0;
  for (size_t i = 0; i < m.msg_iovlen; ++i) {
    if (m.msg_iov[i].iov_len > static_cast<size_t>(SSIZE_MAX) - total) return err(EINVAL);
    total += m.msg_iov[i].iov_len;
    if (m.msg_iov[i].iov_base == nullptr && m.msg_iov[i].iov_len != 0) return err(EFAULT);
  }
  return total;
}

}  // namespace

// What is left of the pieces after some bytes. Few calls have more than a handful of pieces.
class Pieces {
 public:
  Pieces(const msghdr& m, size_t total) : total_(total) {
    if (m.msg_iovlen <= kInline) {
      std::copy_n(m.msg_iov, m.msg_iovlen, inline_);
      rest_ = {inline_, m.msg_iovlen};
    } else {
      many_.assign(m.msg_iov, m.msg_iov + m.msg_iovlen);
      rest_ = many_;
    }
  }
  Pieces(const Pieces&) = delete;
  Pieces& operator=(const Pieces&) = delete;
  std::span<const iovec> rest() const { return rest_; }
  size_t left() const { return total_ - done_; }
  size_t done() const { return done_; }
  bool is_finished() const { return is_finished_ || (left() == 0 && done_ != 0); }
  void finish() { is_finished_ = true; }  // what is done has to do
  void advance(size_t n) {
    done_ += n;
    while (n != 0) {
      iovec& v = rest_.front();
      const size_t step = std::min(n, v.iov_len);
      v.iov_base = static_cast<uint8_t*>(v.iov_base) + step;
      v.iov_len -= step;
      n -= step;
      if (v.iov_len == 0) rest_ = rest_.subspan(1);
    }
  }

 private:
  static constexpr size_t kInline = 8;
  iovec inline_[kInline];
  std::vector<iovec> many_;
  std::span<iovec> rest_;
  size_t total_;
  size_t done_ = 0;
  bool is_finished_ = false;
};

namespace {

// A writer who waits for the connection to be made: the ACK of the SYN-ACK may then ride on its data.
class PendingWrite {
 public:
  PendingWrite(tcp::Tcp& tcp, tcp::TcpSock& s) : tcp_(tcp), sock_(s) {}
  ~PendingWrite() {
    if (is_counted_) tcp_.count_pending_write(sock_, false);
  }
  PendingWrite(const PendingWrite&) = delete;
  PendingWrite& operator=(const PendingWrite&) = delete;
  void begin() {
    if (is_counted_ || sock_.get_state() == inet::State::kEstablished) return;
    is_counted_ = true;
    tcp_.count_pending_write(sock_, true);
  }

 private:
  tcp::Tcp& tcp_;
  tcp::TcpSock& sock_;
  bool is_counted_ = false;
};

// What a Fast Open has sent, or why it failed.
Result<size_t> sent_or(const Result<void>& ok, const Pieces& pieces) {
  if (!ok) return std::unexpected(ok.error());
  return pieces.done();
}

}  // namespace

Result<size_t> Sockets::sendmsg(int fd, const msghdr& m, int flags) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  if (f->kind != FileKind::kTcp) return send_datagram(*f, m, flags);
  const auto sent = send_stream(*f, m, flags);
  if (sent && *sent != 0 && (flags & MSG_ZEROCOPY) != 0) tcp_.complete_zerocopy(f->tcp());
  return sent;
}

// MSG_FASTOPEN: connects, with data in the SYN where there is a cookie. A blocking call waits for the connection, even
// when all data are on their way. An error: what the user gets; for what is on its way without blocking it is none.
Result<void> Sockets::open_with_data(File& f, const msghdr& m, Pieces& pieces, bool may_block) {
  const auto* name = static_cast<const sockaddr*>(m.msg_name);
  const bool has_family = name != nullptr && m.msg_namelen >= sizeof name->sa_family;
  if (has_family && name->sa_family == AF_UNSPEC) return err(EOPNOTSUPP);
  Result<tcp::Destination> to = err(EINVAL);
  if (has_family) {
    const auto parsed = parse_address(name, m.msg_namelen, f.sock(), AddressUse::kConnectStream);
    to = parsed ? Result<tcp::Destination>({parsed->address, parsed->port}) : std::unexpected(parsed.error());
    if (parsed && parsed->scope != 0 && f.sock().bound_ifindex == 0) {
      f.sock().bound_ifindex = static_cast<uint16_t>(parsed->scope);
    }
  }
  const auto opened = tcp_.open_with_data(f.tcp(), to, pieces.rest());
  pieces.advance(opened.copied);
  if (opened.error == 0) return {};
  const bool goes_on = opened.error == EINPROGRESS || opened.error == EALREADY;
  if (!goes_on) return err(opened.error);
  if (may_block && runner() != nullptr) {
    const auto connected = wait_for_connection(f, pieces.left() != 0);
    if (connected || connected.error() != Errno{EAGAIN}) return connected;  // EAGAIN: SO_SNDTIMEO is over
  }
  if (opened.copied == 0) return err(opened.error);
  pieces.finish();
  return {};
}

Result<void> Sockets::wait_for_connection(File& f, bool has_data) {
  PendingWrite pending(tcp_, f.tcp());
  if (has_data) pending.begin();
  for (Wait wait(*this, f, EPOLLOUT, Wait::Limit::kSendTimeout);;) {
    const auto result = tcp_.connect(f.tcp(), {}, 0);
    const bool goes_on = !result && (result.error() == Errno{EINPROGRESS} || result.error() == Errno{EALREADY});
    if (!goes_on) return result;
    if (auto again = wait.wait(); !again) return again;
  }
}

// A blocking send comes back when all is queued; what went before an error counts.
Result<size_t> Sockets::send_stream(File& f, const msghdr& m, int flags) {
  const auto total = check_iovecs(m);
  if (!total) return total;
  if (auto ok = check_stream_control(m); !ok) return std::unexpected(ok.error());
  Pieces pieces(m, *total);
  const bool may_block = f.is_blocking() && (flags & MSG_DONTWAIT) == 0;
  if ((flags & kFastOpen) != 0) {
    if (auto ok = open_with_data(f, m, pieces, may_block); !ok || pieces.is_finished()) return sent_or(ok, pieces);
  }
  PendingWrite pending(tcp_, f.tcp());
  for (Wait wait(*this, f, EPOLLOUT, Wait::Limit::kSendTimeout, may_block);;) {
    const auto sent = tcp_.send(f.tcp(), pieces.rest(), flags);
    if (sent) pieces.advance(*sent);
    if (sent && pieces.left() == 0) return pieces.done();
    Errno error = sent ? Errno{EAGAIN} : sent.error();
    if (error == Errno{EINPROGRESS}) {  // TCP_FASTOPEN_CONNECT has kept the SYN for this
      if (auto ok = open_with_data(f, m, pieces, may_block); !ok || pieces.is_finished()) return sent_or(ok, pieces);
      continue;
    }
    if (error == Errno{EAGAIN}) {
      if (may_block && runner() != nullptr) pending.begin();
      const auto again = wait.wait();
      if (again) continue;
      error = again.error();
    }
    if (pieces.done() != 0) return pieces.done();
    return std::unexpected(error);
  }
}

Result<size_t> Sockets::send_datagram(File& f, const msghdr& m, int flags) {
  const auto total = check_iovecs(m);
  if (!total) return total;
  udp::SendTo to;
  if (m.msg_name != nullptr && m.msg_namelen != 0) {
    const auto address =
        parse_address(static_cast<const sockaddr*>(m.msg_name), m.msg_namelen, f.sock(), AddressUse::kSend);
    if (!address) return std::unexpected(address.error());
    to.has_address = true;
    to.address = address->address;
    to.port = address->port;
    to.ifindex = static_cast<uint16_t>(address->scope);
  }
  if (auto ok = parse_datagram_control(m, f.sock(), to); !ok) return std::unexpected(ok.error());
  return udp_.send(f.udp(), {m.msg_iov, m.msg_iovlen}, flags, to);
}

Result<size_t> Sockets::recvmsg(int fd, msghdr& m, int flags) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  if (auto ok = check_iovecs(m); !ok) return ok;
  if (m.msg_name != nullptr && static_cast<int>(m.msg_namelen) < 0) return err(EINVAL);
  const int given = std::exchange(m.msg_flags, 0);
  const auto received = f->kind == FileKind::kTcp ? receive_stream(*f, m, flags) : receive_datagram(*f, m, flags);
  m.msg_flags = received ? m.msg_flags | (flags & MSG_CMSG_CLOEXEC) : given;  // a call that fails writes nothing
  return received;
}

// The socket's SOF_TIMESTAMPING_* flags.
uint32_t Sockets::put_stamp(File& f, ControlWriter& control, Time at, bool is_error) {
  return with_options(f, [&](const inet::SockOptions& o) {
    put_stamp_control(control, o, at, epoch_, is_error);
    return o.timestamping;
  });
}

// The error queue of a stream: what MSG_ZEROCOPY's sends have come to, and when bytes left and were acknowledged. The
// packet that Linux gives back with a time stamp is not: it is cut off (docs/COMPLIANCE.md).
Result<size_t> Sockets::receive_stream_error(File& f, msghdr& m) {
  ControlWriter control(m);
  if (const auto range = tcp_.take_zerocopy(f.tcp())) {
    put_zerocopy_control(control, f.sock(), range->first, range->last);
  } else {
    const auto stamp = tcp_.take_stamp(f.tcp());
    if (!stamp) return std::unexpected(stamp.error());
    if ((put_stamp(f, control, stamp->at, true) & inet::kStampOptTsOnly) == 0) m.msg_flags |= MSG_TRUNC;
    put_stamp_kind_control(control, f.sock(), static_cast<uint32_t>(stamp->kind), stamp->key);
  }
  m.msg_flags |= MSG_ERRQUEUE | control.finish();
  m.msg_namelen = 0;
  return size_t{0};
}

// MSG_WAITALL waits for all of it, and otherwise SO_RCVLOWAT says how much is worth coming back for.
Result<size_t> Sockets::receive_stream(File& f, msghdr& m, int flags) {
  if ((flags & MSG_ERRQUEUE) != 0) return receive_stream_error(f, m);
  const auto total = check_iovecs(m);
  Pieces pieces(m, *total);
  const bool may_block = f.is_blocking() && (flags & MSG_DONTWAIT) == 0 && runner() != nullptr;
  size_t target = may_block ? *total : std::min<size_t>(*total, 1);  // with MSG_WAITALL, and without blocking
  if (may_block && (flags & MSG_WAITALL) == 0) {
    const int low = with_options(f, [](const inet::SockOptions& o) { return std::max(o.rcvlowat, 1); });
    target = std::min(*total, static_cast<size_t>(low));
  }
  const bool peeks = (flags & MSG_PEEK) != 0;
  tcp::ReceiveInfo info;
  size_t got = 0;
  Errno error{};
  for (Wait wait(*this, f, EPOLLIN | EPOLLRDHUP | EPOLLPRI, Wait::Limit::kReceiveTimeout, may_block);;) {
    const auto received = tcp_.receive(f.tcp(), pieces.rest(), flags, &info);
    if (received) {
      got = peeks ? *received : got + *received;
      if (!peeks) pieces.advance(*received);
      if (*received == 0 || got >= target || (flags & MSG_OOB) != 0) break;
    } else if (received.error() != Errno{EAGAIN}) {
      error = received.error();
      break;
    }
    if (const auto again = wait.wait(); !again) {
      error = again.error();
      break;
    }
  }
  if (got == 0 && error != Errno{}) return std::unexpected(error);
  m.msg_namelen = 0;
  if (info.is_oob) m.msg_flags |= MSG_OOB;
  ControlWriter control(m);
  if (info.received != Time()) put_stamp(f, control, info.received, false);
  if (info.has_inq) control.put_value(IPPROTO_TCP, kTcpCmInq, static_cast<int>(info.inq));
  m.msg_flags |= control.finish();
  return got;
}

Result<size_t> Sockets::receive_datagram(File& f, msghdr& m, int flags) {
  udp::UdpSock& s = f.udp();
  udp::Received what;
  const bool wants_error = (flags & MSG_ERRQUEUE) != 0;
  const bool may_block = f.is_blocking() && (flags & MSG_DONTWAIT) == 0 && !wants_error;
  Result<size_t> got = err(EAGAIN);
  for (Wait wait(*this, f, EPOLLIN | EPOLLRDHUP, Wait::Limit::kReceiveTimeout, may_block);;) {
    got = udp_.receive(s, {m.msg_iov, m.msg_iovlen}, flags, what);
    if (got || got.error() != Errno{EAGAIN}) break;
    if (may_block && (s.shutdown & inet::kRcvShutdown) != 0 && runner() != nullptr) return size_t{0};
    if (const auto again = wait.wait(); !again) return std::unexpected(again.error());
  }
  if (!got) return got;
  m.msg_flags |= what.flags;
  const udp::Datagram& d = what.datagram;
  if (d.is_stamp()) m.msg_namelen = 0;
  if (m.msg_name != nullptr && !d.is_stamp()) {
    const IpAddress& shown = wants_error ? d.info.dst : d.info.src;
    sockaddr_storage a{};
    const uint32_t scope = shown.is_v6() && shown.is_link_local() ? d.info.ifindex : 0u;
    const socklen_t whole = make_sockaddr({shown, d.port, scope, false}, s.family, a);
    std::memcpy(m.msg_name, &a, std::min(m.msg_namelen, whole));
    m.msg_namelen = whole;
  }
  ControlWriter control(m);
  if (what.at != Time()) put_stamp(f, control, what.at, wants_error);
  if (wants_error) put_error_control(control, s, d);
  if (what.receive_flags != 0 && !wants_error) put_datagram_control(control, s, what.receive_flags, what);
  m.msg_flags |= control.finish();
  return got;
}

}  // namespace leat::socket
