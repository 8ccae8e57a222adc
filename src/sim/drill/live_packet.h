// Whole IP packets as they are on the wire, and PacketSpec, which is how the script sees them. The numbers in the spec
// are the wire's here; conversation.h maps them to the script's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "leat/time.h"
#include "sim/drill/script.h"
#include "sim/drill/target.h"
#include "wire/ip_address.h"

namespace leat::drill {

struct Endpoints {
  IpAddress local, remote;
  uint16_t local_port = 0, remote_port = 0;
};

struct LivePacket {
  Time at;
  IpAddress src, dst;
  PacketSpec spec;
  bool is_tcp() const { return spec.protocol == PacketSpec::Protocol::kTcp; }
};

std::optional<LivePacket> read_packet(const SentPacket& sent);  // nullopt: not TCP, UDP or ICMP
std::string checksum_fault(const SentPacket& sent);             // empty: all checksums are right

// From the remote side to the local one, checksums and all. Ports that the spec does not name are the endpoints'.
// Throws ScriptError (at no place) for an ICMP type that this family does not have.
std::vector<uint8_t> build_packet(const PacketSpec& spec, const Endpoints& ends);

// ICMP types and codes by name; nullopt: unknown.
std::optional<uint8_t> icmp_type_number(Family family, const std::string& name);
std::optional<uint8_t> icmp_code_number(Family family, const std::string& type, const std::string& name);

std::string to_string_spec(const PacketSpec& p);  // as a script would write it

}  // namespace leat::drill
