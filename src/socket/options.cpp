// setsockopt and getsockopt: which table, which row, and the lengths, by level as Linux has them.
#include "socket/options.h"

#include <netinet/in.h>

#include <algorithm>

#include "inet/sock_options.h"

namespace leat::socket {
namespace {

// The socket's lock for a row.
class OptionLock {
 public:
  OptionLock(OptionCall& c, bool is_needed) : call_(c), is_needed_(is_needed) {
    if (is_needed_) c.sock.lock.lock();
  }
  ~OptionLock() {
    if (!is_needed_) return;
    call_.sock.lock.unlock();
    call_.process_missed();
  }
  OptionLock(const OptionLock&) = delete;
  OptionLock& operator=(const OptionLock&) = delete;

 private:
  OptionCall& call_;
  bool is_needed_;
};

const OptionRow* find_row(std::span<const OptionRow> rows, int name) {
  const auto it = std::find_if(rows.begin(), rows.end(), [&](const OptionRow& r) { return r.name == name; });
  return it == rows.end() ? nullptr : &*it;
}

// nullptr: Linux does not know it, or not for this socket.
const OptionRow* row_of(const OptionCall& c) {
  switch (c.level) {
    case SOL_SOCKET:
      return find_row(socket_options(), c.name);
    case IPPROTO_IP:
      return find_row(ip_options(), c.name);
    case IPPROTO_IPV6:
      return c.sock.family == Family::kIpv6 ? find_row(ipv6_options(), c.name) : nullptr;
    case IPPROTO_UDP:
      return c.is_tcp() ? nullptr : find_row(udp_options(), c.name);
    default:
      return nullptr;
  }
}

// A level that is no level of the socket: IPv4's get says so in a way of its own.
int no_such_level(const OptionCall& c) {
  const bool has_level =
      c.level == SOL_SOCKET || c.level == IPPROTO_IP || c.level == (c.is_tcp() ? IPPROTO_TCP : IPPROTO_UDP);
  return !has_level && c.sock.family == Family::kIpv4 ? EOPNOTSUPP : ENOPROTOOPT;
}

// IPPROTO_IP takes a byte for an int, and two options of IPv6 nothing for zero; the others want all four.
Result<int> read_int(const OptionCall& c) {
  if (c.value.size() >= sizeof(int)) return read_option<int>(c);
  if (c.level == IPPROTO_IPV6 && (c.name == IPV6_DONTFRAG || c.name == kAutoFlowLabel)) return 0;
  if (c.level != IPPROTO_IP) return err(EINVAL);
  if (c.value.empty()) return c.name == IP_FREEBIND || c.name == IP_TRANSPARENT ? Result<int>(err(EINVAL)) : 0;
  return int{c.value[0]};
}

// IPPROTO_IP gives a byte to who has room for less than an int.
Result<size_t> write_int(OptionCall& c, int v) {
  if (c.level == IPPROTO_IP && c.out.size() < sizeof v && !c.out.empty() && v >= 0 && v <= 255) {
    c.out[0] = static_cast<uint8_t>(v);
    return size_t{1};
  }
  return write_option(c, v);
}

Result<void> set_by_row(OptionCall& c, const OptionRow& row) {
  if (row.status != OptionStatus::kWorks) return err(row.fails_with != 0 ? row.fails_with : ENOPROTOOPT);
  OptionLock lock(c, !row.without_lock);
  if (row.set_bytes != nullptr) return row.set_bytes(c);
  const auto value = read_int(c);
  if (!value) return std::unexpected(value.error());
  return row.set(c, row.type == OptionType::kBool ? *value != 0 : *value);
}

Result<size_t> get_by_row(OptionCall& c, const OptionRow& row) {
  if (row.status == OptionStatus::kFails || (row.get == nullptr && row.get_bytes == nullptr)) {
    return err(row.fails_with != 0 ? row.fails_with : ENOPROTOOPT);
  }
  OptionLock lock(c, !row.without_lock);
  if (row.get_bytes != nullptr) return row.get_bytes(c);
  const auto value = row.get(c);
  return value ? write_int(c, *value) : std::unexpected(value.error());
}

}  // namespace

Result<inet::SockOptions*> OptionCall::own() const {
  inet::SockOptions* o = inet::own_options(sock);
  if (o == nullptr) return err(ENOMEM);
  return o;
}

Result<void> Sockets::setsockopt(int fd, int level, int name, const void* value, socklen_t length) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  if (static_cast<int>(length) < 0) return err(EINVAL);
  if (value == nullptr && length != 0) return err(EFAULT);
  const ByteView bytes(static_cast<const uint8_t*>(value), length);
  if (level == IPPROTO_TCP && f->kind == FileKind::kTcp) return tcp_.set_option(f->tcp(), name, bytes);
  OptionCall c{*this, *f, f->sock(), level, name, bytes, {}};
  const bool wants_int = level == SOL_SOCKET ? name != SO_BINDTODEVICE : level == IPPROTO_UDP && !c.is_tcp();
  if (wants_int && length < sizeof(int)) return err(EINVAL);  // even for what there is not
  const OptionRow* row = row_of(c);
  if (row == nullptr) return err(ENOPROTOOPT);
  const auto done = set_by_row(c, *row);
  if (done && f->kind == FileKind::kTcp) tcp_.on_option_changed(f->tcp(), level, name);
  return done;
}

Result<void> Sockets::getsockopt(int fd, int level, int name, void* value, socklen_t* length) {
  Call call(*this);
  FileRef f(*this, fd);
  if (!f) return err(EBADF);
  if (!f->is_socket()) return err(ENOTSOCK);
  if (length == nullptr) return err(EFAULT);
  if (static_cast<int>(*length) < 0) return err(EINVAL);
  if (value == nullptr && *length != 0) return err(EFAULT);
  OptionCall c{*this, *f, f->sock(), level, name, {}, {static_cast<uint8_t*>(value), *length}};
  Result<size_t> written = err(no_such_level(c));
  if (level == IPPROTO_TCP && f->kind == FileKind::kTcp) {
    written = tcp_.get_option(f->tcp(), name, c.out);
  } else if (const OptionRow* row = row_of(c)) {
    written = get_by_row(c, *row);
  }
  if (!written) return std::unexpected(written.error());
  *length = static_cast<socklen_t>(*written);
  return {};
}

}  // namespace leat::socket
