// See session.h.
#include "sim/drill/session.h"

namespace leat::drill {

const char* to_string(Variant v) {
  static constexpr const char* kNames[] = {"ipv4", "ipv6", "ipv4-mapped-ipv6"};
  return kNames[static_cast<int>(v)];
}

Conversation& Session::open(PacketSpec::Protocol protocol) {
  Conversation& c = conversations.emplace_back();
  c.protocol = protocol;
  c.ends.local = local;
  c.ends.remote = remote;
  current = &c;
  return c;
}

Conversation* Session::find_fd(int script_fd) {
  for (Conversation& c : conversations) {
    if (c.script_fd == script_fd) return &c;
  }
  return nullptr;
}

Conversation& Session::accept_peer() {
  Conversation& c = open(PacketSpec::Protocol::kTcp);
  c.state = Conversation::State::kSynReceived;
  c.ends.local_port = bind_port;
  c.ends.remote_port = next_remote_port++;
  return c;
}

}  // namespace leat::drill
