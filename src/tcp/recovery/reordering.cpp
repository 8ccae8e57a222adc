// How far this path reorders, in segments (tcp_reordering … tcp_max_reordering).
#include <algorithm>

#include "tcp/recovery/recovery.h"

namespace leat::tcp {

void check_sack_reordering(Conn& c, Seq low_seq, bool by_timestamp) {
  const Seq fack = highest_sack_seq(c);
  if (!before(low_seq, fack)) return;
  const uint32_t metric = fack - low_seq;
  const uint32_t mss = c.mss_cache;
  if (mss != 0 && metric > c.reordering * mss) {
    c.reordering = std::min((metric + mss - 1) / mss, static_cast<uint32_t>(c.tcp.ns.sysctl.tcp_max_reordering));
  }
  ++c.reord_seen;
  c.tcp.count(by_timestamp ? Mib::TcpExtTCPTSReorder : Mib::TcpExtTCPSACKReorder);
}

// More duplicates than segments could have left the network: some were late, not lost.
void check_reno_reordering(Conn& c, uint32_t addend) {
  const uint32_t holes = std::min(std::max(c.lost_out, 1u), c.packets_out);
  if (c.sacked_out + holes <= c.packets_out) return;
  c.sacked_out = c.packets_out - holes;
  c.reordering = std::min(c.packets_out + addend, static_cast<uint32_t>(c.tcp.ns.sysctl.tcp_max_reordering));
  ++c.reord_seen;
  c.tcp.count(Mib::TcpExtTCPRenoReorder);
}

}  // namespace leat::tcp
