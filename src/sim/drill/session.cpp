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

int Session::descriptor_under_test() const {
  if (current == nullptr) return -1;
  if (current->live_fd >= 0 || current->is_accepted) return current->live_fd;
  for (const Conversation& c : conversations) {
    if (c.state == Conversation::State::kListening) return c.live_fd;
  }
  return -1;
}

Conversation& Session::accept_peer() {
  Conversation& c = open(PacketSpec::Protocol::kTcp);
  c.state = Conversation::State::kSynReceived;
  c.ends.local_port = bind_port;
  c.ends.remote_port = next_remote_port++;
  return c;
}

Conversation* Session::find_peer(uint16_t remote_port) {
  for (auto c = conversations.rbegin(); c != conversations.rend(); ++c) {
    if (c->protocol == PacketSpec::Protocol::kTcp && c->ends.remote_port == remote_port) return &*c;
  }
  return nullptr;
}

bool Session::is_of_another_peer(const LivePacket& p) const {
  for (const Conversation& c : conversations) {
    if (&c != current && c.is_named && c.is_from_here(p)) return true;
  }
  return false;
}

}  // namespace leat::drill
