// Ancillary data: what sendmsg is told and what recvmsg tells besides the bytes (cmsg(3)).
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "base/errno.h"
#include "inet/sock.h"
#include "udp/udp_sock.h"

namespace leat::socket {

// SO_TIMESTAMP_NEW and its like, options and control messages: newer than some libc's headers.
inline constexpr int kTimestampNew = 63, kTimestampnsNew = 64, kTimestampingNew = 65;

// SockOptions::receive_flags.
inline constexpr uint32_t kRecvPktinfo = 1, kRecvTtl = 2, kRecvTos = 4, kRecvOrigDst = 8, kRecvPktinfo6 = 16,
                          kRecvHopLimit = 32, kRecvTclass = 64, kRecvOrigDst6 = 128;

// Fills msg_control; MSG_CTRUNC when something did not fit. finish() sets msg_controllen to what was written.
class ControlWriter {
 public:
  explicit ControlWriter(msghdr& m);
  void put(int level, int type, const void* data, size_t size);
  template <class T>
  void put_value(int level, int type, const T& value) {
    put(level, type, &value, sizeof value);
  }
  int finish();  // the flags to add to msg_flags

 private:
  msghdr& message_;
  uint8_t* at_;
  size_t left_;
  int flags_ = 0;
};

// EINVAL: malformed, or a type that is unknown at a level that the socket knows.
Result<void> parse_datagram_control(const msghdr& m, const inet::Sock& s, udp::SendTo& to);
Result<void> check_stream_control(const msghdr& m);
void put_datagram_control(ControlWriter& out, const inet::Sock& s, uint32_t flags, const udp::Received& what);
// When a message came, or, from the error queue, when it left: SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING.
// epoch: what the wall clock shows when the stack's is at zero.
void put_stamp_control(ControlWriter& out, const inet::SockOptions& o, Time at, Duration epoch, bool is_error);
// sock_extended_err of a time stamp: SCM_TSTAMP_* and OPT_ID's key.
void put_stamp_kind_control(ControlWriter& out, const inet::Sock& s, uint32_t kind, uint32_t key);
// What MSG_ZEROCOPY's sends `first` to `last` have come to: their bytes were copied.
void put_zerocopy_control(ControlWriter& out, const inet::Sock& s, uint32_t first, uint32_t last);
void put_error_control(ControlWriter& out, const inet::Sock& s, const udp::Datagram& d);

}  // namespace leat::socket
