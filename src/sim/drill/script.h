// A script of the packetdrill language, as parsed: what is to happen, in order. No addresses, no live numbers; those
// are the runner's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace leat::drill {

struct Place {
  int line = 1;
  int column = 1;
};

// A script that cannot be read, or does not hold. `what()` has no place in it.
class ScriptError : public std::runtime_error {
 public:
  ScriptError(Place where, const std::string& what) : std::runtime_error(what), place(where) {}
  Place place;
};

// An argument or result of a system call.
struct Expr {
  enum class Kind : uint8_t { kEllipsis, kInt, kWord, kString, kOr, kList, kBraces, kCall };
  Kind kind = Kind::kEllipsis;
  Place place;
  int64_t number = 0;
  std::string text;                                  // kWord, kString, kCall: its name
  bool is_prefix = false;                            // kString: "abc"... matches what begins so
  std::vector<Expr> items;                           // kOr: operands; kList and kBraces: elements; kCall: arguments
  std::vector<std::pair<std::string, Expr>> fields;  // kBraces with names: {fd=3, events=POLLIN}
  const Expr* field(const std::string& name) const;
};

struct TcpOption {
  uint8_t kind = 0;
  std::vector<uint8_t> value;  // without kind and length
  bool operator==(const TcpOption&) const = default;
};

// What an ICMP error quotes.
struct IcmpEcho {
  enum class Kind : uint8_t { kNone, kTcp, kUdp, kRaw };
  Kind kind = Kind::kNone;
  uint32_t seq = 0;
  uint32_t bytes = 0;
};

// One packet, in the script's numbers: relative sequence numbers, no addresses. The same shape holds what was seen.
struct PacketSpec {
  enum class Protocol : uint8_t { kTcp, kUdp, kIcmp };
  enum class TosCheck : uint8_t { kNone, kEcn, kEitherEct, kTos };
  bool is_inbound = false;
  Protocol protocol = Protocol::kTcp;
  TosCheck tos_check = TosCheck::kNone;
  uint8_t tos = 0;
  uint32_t flow_label = 0;              // 0: any
  uint8_t ttl = 0;                      // 0: any
  uint16_t src_port = 0, dst_port = 0;  // 0: the conversation's
  // TCP
  uint8_t flags = 0;  // kTcp*
  bool ae = false;
  bool has_ace = false;  // ae, CWR and ECE were given as one number
  uint32_t seq = 0;
  uint32_t payload = 0;  // UDP too
  uint32_t ack = 0;
  std::optional<uint16_t> window;
  uint16_t urgent = 0;
  bool any_options = false;  // <...>
  std::vector<TcpOption> options;
  // ICMP
  std::string icmp_type, icmp_code;
  std::optional<uint32_t> icmp_mtu;
  uint16_t icmp_id = 0;
  IcmpEcho icmp_echo;
};

struct CallSpec {
  Place place;  // of the name
  std::string name;
  std::vector<Expr> arguments;
  Expr result;
  std::string errno_name;            // empty: none
  std::optional<int64_t> blocks_us;  // `...0.3`: it may block until then
};

struct EventTime {
  enum class Kind : uint8_t { kAbsolute, kRelative, kAny, kAbsoluteRange, kRelativeRange };
  Kind kind = Kind::kAbsolute;
  int64_t us = 0;
  int64_t end_us = 0;  // ranges
};

class Code;

struct Event {
  enum class Kind : uint8_t { kPacket, kCall, kCommand, kCode };
  Kind kind = Kind::kPacket;
  Place place;
  std::string source;  // its text in one line, for the trace
  EventTime time;
  PacketSpec packet;
  CallSpec call;
  std::string command;
  std::shared_ptr<const Code> code;
};

struct ScriptOption {
  Place place;
  std::string name, value;
};

struct Script {
  std::string path;
  std::vector<ScriptOption> options;
  std::string init_command, cleanup_command;
  Place init_place, cleanup_place;
  std::vector<Event> events;
};

}  // namespace leat::drill
