// The message headers of sendmsg and recvmsg:
//   {msg_name(...)=..., msg_iov(2)=[{..., 1000}, {..., 10}], msg_flags=0, msg_control=[{cmsg_level=…, …}]}
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <vector>

#include "sim/drill/call_values.h"

namespace leat::drill {

class IoVectors {
 public:
  explicit IoVectors(const Expr& list);  // [{..., 1000}, {..., 10}]
  iovec* data() { return vectors_.data(); }
  size_t size() const { return vectors_.size(); }

 private:
  std::vector<std::vector<uint8_t>> bytes_;
  std::vector<iovec> vectors_;
};

class ScriptMessage {
 public:
  ScriptMessage(const Session& s, const Expr& e);
  const Address& address() const { return address_; }
  msghdr* to_send(bool is_addressed);
  msghdr* to_receive();
  void check(const Session& s, const Expr& e) const;  // what recvmsg wrote; throws ScriptError

 private:
  void add_control(const Expr& e);
  IoVectors vectors_;
  Address address_;
  sockaddr_storage name_{};
  std::vector<uint8_t> control_;
  size_t control_length_ = 0;
  msghdr header_{};
};

}  // namespace leat::drill
