// What a running script is talking to: the target, its addresses in this variant, descriptors by the script's numbers,
// and conversations, of which the current one is the socket under test.
#pragma once

#include <list>
#include <map>
#include <string>

#include "sim/drill/conversation.h"
#include "sim/drill/target.h"

namespace leat::drill {

enum class Variant : uint8_t { kIpv4, kIpv6, kMapped };
const char* to_string(Variant v);  // "ipv4", "ipv6", "ipv4-mapped-ipv6"

struct Session {
  Target& target;
  Variant variant = Variant::kIpv4;
  IpAddress local, remote;  // as on the wire
  uint16_t bind_port = 8080, connect_port = 8080;
  uint16_t next_remote_port = 40000;
  std::map<int, int> fds;  // script to target
  std::list<Conversation> conversations;
  Conversation* current = nullptr;

  Conversation& open(PacketSpec::Protocol protocol);
  Conversation* find_fd(int script_fd);
  int descriptor_under_test() const;  // the target's; before accept(): the listener's; -1: there is none
  Conversation& accept_peer();        // for a SYN that comes in
  // Of a script with several peers, which names their ports in its packets (`40001>8080`).
  Conversation* find_peer(uint16_t remote_port);
  bool is_of_another_peer(const LivePacket& p) const;  // whom the script has named and will come to
};

}  // namespace leat::drill
