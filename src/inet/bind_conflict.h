// May two sockets have one port? The rules of bind(2) and listen(2) as Linux has them, over two sockets and nothing
// else. SO_REUSEPORT on Linux also asks for the same effective user: a Stack knows no users, so all are the same.
#pragma once

#include "inet/sock.h"

namespace leat::inet {

enum class BindFor {
  kGivenPort,  // bind() to a port, listen(): SO_REUSEADDR and SO_REUSEPORT count
  kAnyPort,    // bind() to port 0: wants a port of its own
  kAnyReused,  // the same when none was left, under ip_autobind_reuse: SO_REUSEADDR counts
};

bool conflicts(const BoundSock& binding, const BoundSock& owner, BindFor purpose);
// Do their local addresses overlap, a wildcard overlapping with all?
bool addresses_overlap(const BoundSock& binding, const BoundSock& owner);

}  // namespace leat::inet
