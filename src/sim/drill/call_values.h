// From a script's expressions to numbers, bytes and addresses, and back: comparing what a call wrote.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "sim/drill/script.h"
#include "sim/drill/session.h"

namespace leat::drill {

inline bool is_any(const Expr& e) {
  return e.kind == Expr::Kind::kEllipsis;
}
int64_t to_number(const Expr& e);  // throws ScriptError: not a number, an unknown constant
std::string to_text(const Expr& e);

// The first element of [x], or x itself.
const Expr& inside(const Expr& e);

// A socket option's value as bytes: [1], [A|B], [1, 2], "cubic", {onoff=1, linger=5}. wanted: the length argument.
std::vector<uint8_t> to_bytes(const Expr& e, size_t wanted);
// Throws when `bytes` are not what `e` says.
void check_bytes(const Expr& e, const std::vector<uint8_t>& bytes);
void check_number(const Expr& e, int64_t actual, const std::string& what);

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  bool is_unspecified = false;  // AF_UNSPEC
  IpAddress ip;                 // as on the wire
  uint16_t port = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
Address make_address(const Session& s, const IpAddress& ip, uint16_t port);
// ... is `ip` and `port`; {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")} says it itself.
Address to_address(const Session& s, const Expr& e, const IpAddress& ip, uint16_t port);

}  // namespace leat::drill
