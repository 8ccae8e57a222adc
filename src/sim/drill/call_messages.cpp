// See call_messages.h.
#include "sim/drill/call_messages.h"

#include <linux/errqueue.h>

#include <cstring>

#include "sim/drill/symbols.h"

namespace leat::drill {
namespace {

constexpr size_t kControlBytes = 4096;
constexpr int64_t kTimestampToleranceNs = 20'000'000;

const Expr& required(const Expr& e, const char* name) {
  if (const Expr* f = e.field(name)) return *f;
  throw ScriptError(e.place, std::string("'") + name + "' is missing in this structure");
}

const Expr& vectors_of(const Expr& e) {
  if (e.kind != Expr::Kind::kBraces)
    throw ScriptError(e.place, "a message {msg_name(...)=..., msg_iov(1)=[{..., 10}], msg_flags=0}");
  return required(e, "msg_iov");
}

void check_extended_error(const Expr& e, const uint8_t* data, size_t size) {
  sock_extended_err ee{};
  if (size < sizeof ee) throw ScriptError(e.place, "the control message has no sock_extended_err");
  std::memcpy(&ee, data, sizeof ee);
  check_number(required(e, "ee_errno"), ee.ee_errno, "ee_errno");
  check_number(required(e, "ee_origin"), ee.ee_origin, "ee_origin");
  check_number(required(e, "ee_type"), ee.ee_type, "ee_type");
  check_number(required(e, "ee_code"), ee.ee_code, "ee_code");
  check_number(required(e, "ee_info"), ee.ee_info, "ee_info");
  check_number(required(e, "ee_data"), ee.ee_data, "ee_data");
}

void check_timestamp(const Session& s, const Expr& e, const uint8_t* data, size_t size) {
  int64_t ts[2];
  if (size < sizeof ts) throw ScriptError(e.place, "the control message has no time");
  std::memcpy(ts, data, sizeof ts);
  if (s.target.epoch() == Duration::infinite()) return;
  const int64_t actual = ts[0] * 1'000'000'000 + ts[1] - s.target.epoch().ns();
  const int64_t expected = to_number(required(e, "scm_sec")) * 1'000'000'000 + to_number(required(e, "scm_nsec"));
  if (std::abs(actual - expected) > kTimestampToleranceNs) {
    throw ScriptError(e.place, "the time: expected " + std::to_string(expected) + " ns, was " + std::to_string(actual));
  }
}

void check_control(const Session& s, const Expr& e, const cmsghdr& c) {
  check_number(required(e, "cmsg_level"), c.cmsg_level, "cmsg_level");
  check_number(required(e, "cmsg_type"), c.cmsg_type, "cmsg_type");
  const Expr& data = required(e, "cmsg_data");
  const uint8_t* bytes = CMSG_DATA(const_cast<cmsghdr*>(&c));
  const size_t size = c.cmsg_len - CMSG_LEN(0);
  if (is_any(data)) return;
  if (data.field("ee_errno") != nullptr) return check_extended_error(data, bytes, size);
  if (data.field("scm_sec") != nullptr) return check_timestamp(s, data, bytes, size);
  check_bytes(data, {bytes, bytes + size});
}

}  // namespace

IoVectors::IoVectors(const Expr& list) {
  if (list.kind != Expr::Kind::kList)
    throw ScriptError(list.place, "a list of buffers is expected here: [{..., 1000}]");
  for (const Expr& e : list.items) {
    if (e.kind != Expr::Kind::kBraces || e.items.size() != 2) throw ScriptError(e.place, "a buffer is {..., size}");
    const int64_t n = to_number(e.items[1]);
    if (n < 0 || n > 1 << 28) throw ScriptError(e.items[1].place, "a buffer's size is from 0 to 268435456");
    bytes_.emplace_back(static_cast<size_t>(n));
  }
  for (std::vector<uint8_t>& b : bytes_)
    vectors_.push_back({b.data(), b.size()});
}

ScriptMessage::ScriptMessage(const Session& s, const Expr& e) : vectors_(vectors_of(e)) {
  address_ = make_address(s, s.remote, s.connect_port);
  header_.msg_iov = vectors_.data();
  header_.msg_iovlen = vectors_.size();
  if (const Expr* control = e.field("msg_control")) {
    for (const Expr& c : control->items)
      add_control(c);
  }
  control_length_ = control_.size();
}

// For sendmsg: data that are numbers.
void ScriptMessage::add_control(const Expr& e) {
  const Expr& data = required(e, "cmsg_data");
  if (data.kind == Expr::Kind::kBraces || is_any(data)) return;
  const std::vector<uint8_t> value = to_bytes(data, 4);
  const size_t at = control_.size();
  control_.resize(at + CMSG_SPACE(value.size()));
  cmsghdr h{};
  h.cmsg_len = CMSG_LEN(value.size());
  h.cmsg_level = static_cast<int>(to_number(required(e, "cmsg_level")));
  h.cmsg_type = static_cast<int>(to_number(required(e, "cmsg_type")));
  std::memcpy(control_.data() + at, &h, sizeof h);
  std::memcpy(control_.data() + at + CMSG_LEN(0), value.data(), value.size());
}

msghdr* ScriptMessage::to_send(bool is_addressed) {
  header_.msg_name = is_addressed ? &address_.storage : nullptr;
  header_.msg_namelen = is_addressed ? address_.length : 0;
  header_.msg_control = control_length_ == 0 ? nullptr : control_.data();
  header_.msg_controllen = control_length_;
  return &header_;
}

msghdr* ScriptMessage::to_receive() {
  control_.assign(kControlBytes, 0);
  header_.msg_name = &name_;
  header_.msg_namelen = sizeof name_;
  header_.msg_control = control_.data();
  header_.msg_controllen = control_.size();
  return &header_;
}

void ScriptMessage::check(const Session& s, const Expr& e) const {
  if (const Expr* flags = e.field("msg_flags")) check_number(*flags, header_.msg_flags, "msg_flags");
  const Expr* expected = e.field("msg_control");
  size_t i = 0;
  auto* h = const_cast<msghdr*>(&header_);
  for (cmsghdr* c = CMSG_FIRSTHDR(h); c != nullptr; c = CMSG_NXTHDR(h, c), ++i) {
    if (expected == nullptr || i >= expected->items.size()) {
      throw ScriptError(expected == nullptr ? e.place : expected->place,
                        "a control message more than expected: level " + std::to_string(c->cmsg_level) + ", type " +
                            std::to_string(c->cmsg_type));
    }
    check_control(s, expected->items[i], *c);
  }
  if (expected != nullptr && i < expected->items.size()) {
    throw ScriptError(expected->items[i].place, "this control message did not come");
  }
}

}  // namespace leat::drill
