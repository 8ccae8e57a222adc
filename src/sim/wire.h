// A cable between two hosts with the vices of a network, each direction its own, and a tap at either end.
//
//   left's stack ─ Port ─ PcapLink ─ ImpairLink(→) ═ memory ═ ImpairLink(←) ─ PcapLink ─ Port ─ right's stack
//
// What a host sends is captured before anything happens to it, what it receives as it arrives.
#pragma once

#include <string>
#include <vector>

#include "link/impair.h"
#include "link/pcap.h"
#include "sim/host.h"

namespace leat::sim {

struct WireOptions {
  ImpairOptions to_right, to_left;
  uint32_t mtu = 1500;
  LinkKind kind = LinkKind::kIp;
  bool is_captured = false;  // into memory, unless there is a prefix of paths: PREFIX.left.pcap, PREFIX.right.pcap
  std::string capture_path;
};

class Wire {
 public:
  // The hosts get 10.0.0.1 and fd00::1, 10.0.0.2 and fd00::2. It must live as long as they do.
  Wire(Host& left, Host& right, const WireOptions& options, uint64_t number);
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  void heal();  // from now on packets pass unharmed and at once
  ImpairStats to_right() const { return ends_[0].impair->transmit_stats(); }
  ImpairStats to_left() const { return ends_[1].impair->transmit_stats(); }
  const std::vector<uint8_t>& capture(size_t end);  // what was captured in memory until now

  // The longest that a packet which is not lost can be under way.
  static Duration longest_way(const ImpairOptions& options, uint32_t mtu);

 private:
  struct End {
    ImpairLink* impair = nullptr;  // owned by the host's stack
    PcapLink* tap = nullptr;       // may be none
  };
  std::unique_ptr<Link> make_end(size_t end, std::unique_ptr<Link> inner, const WireOptions& options, uint64_t number);

  End ends_[2];
  std::vector<uint8_t> captures_[2];
};

}  // namespace leat::sim
