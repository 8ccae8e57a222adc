// sockaddr in and out, with Linux's errors: inet_bind, inet6_bind and the connect and sendmsg of each protocol.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>

#include "base/errno.h"
#include "inet/sock.h"
#include "wire/ip_address.h"

namespace leat::socket {

struct SockAddress {
  IpAddress address;
  uint16_t port = 0;
  uint32_t scope = 0;           // sin6_scope_id
  bool is_unspecified = false;  // AF_UNSPEC
};

enum class AddressUse : uint8_t { kBind, kConnectStream, kConnectDatagram, kSend };

// EFAULT, EINVAL (short, or what cannot be), EAFNOSUPPORT, ENETUNREACH (IPv4 on a socket that is IPv6 only).
Result<SockAddress> parse_address(const sockaddr* a, socklen_t length, const inet::Sock& s, AddressUse use);

// As much as fits is written; *length becomes the whole length. EFAULT, EINVAL (negative).
Result<void> write_address(const SockAddress& from, Family family, sockaddr* to, socklen_t* length);
// The sockaddr of this address as a socket of `family` shows it; its length.
socklen_t make_sockaddr(const SockAddress& from, Family family, sockaddr_storage& out);

SockAddress local_address(const inet::Sock& s);
SockAddress remote_address(const inet::Sock& s);

}  // namespace leat::socket
