// A case in words.
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "sim/differ/case.h"

namespace leat::differ {
namespace {

std::string option_name(int level, int name) {
  struct Named {
    int level, name;
    const char* text;
  };
  static constexpr Named kNames[] = {
      {IPPROTO_TCP, TCP_MAXSEG, "TCP_MAXSEG"},
      {IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY"},
      {IPPROTO_TCP, TCP_CORK, "TCP_CORK"},
      {IPPROTO_TCP, TCP_QUICKACK, "TCP_QUICKACK"},
      {IPPROTO_TCP, TCP_CONGESTION, "TCP_CONGESTION"},
      {IPPROTO_TCP, TCP_NOTSENT_LOWAT, "TCP_NOTSENT_LOWAT"},
      {IPPROTO_TCP, TCP_WINDOW_CLAMP, "TCP_WINDOW_CLAMP"},
      {IPPROTO_TCP, TCP_USER_TIMEOUT, "TCP_USER_TIMEOUT"},
      {IPPROTO_TCP, TCP_DEFER_ACCEPT, "TCP_DEFER_ACCEPT"},
      {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, "TCP_THIN_LINEAR_TIMEOUTS"},
      {SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF"},
      {SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF"},
      {SOL_SOCKET, SO_LINGER, "SO_LINGER"},
  };
  for (const Named& n : kNames) {
    if (n.level == level && n.name == name) return n.text;
  }
  return fmt::format("option {}/{}", level, name);
}

std::string fates(const std::map<uint32_t, Fate>& map) {
  std::string out;
  for (const auto& [ordinal, f] : map) {
    out += fmt::format(" {}", ordinal);
    if (f.is_dropped) out += "x";
    if (f.is_doubled) out += "2";
    if (f.delay > Duration()) out += fmt::format("+{}ms", f.delay.ms());
  }
  return out;
}

}  // namespace

std::string describe(const Op& op) {
  switch (op.kind) {
    case Op::kWrite:
      return fmt::format("write {}", op.value);
    case Op::kWriteMore:
      return fmt::format("write {} MSG_MORE", op.value);
    case Op::kRead:
      return fmt::format("read {}", op.value);
    case Op::kPeek:
      return fmt::format("peek {}", op.value);
    case Op::kShutdown:
      return fmt::format("shutdown {}", op.value == SHUT_RD ? "RD" : op.value == SHUT_WR ? "WR" : "RDWR");
    case Op::kClose:
      return "close";
    case Op::kOption:
      return fmt::format("setsockopt {} {}", option_name(op.level, op.name), op.value);
    case Op::kPoll:
      return "poll";
    case Op::kInfo:
      return "info";
  }
  return "?";
}

std::string Case::describe() const {
  std::string out = fmt::format(
      "case {}: {} {} open, {}; peer: mss {}, wscale {}, sack {:d}, dsack {:d}, timestamps {:d}, ecn {:d}, window {}, "
      "rtt {} ms, an ACK every {} or {} ms\n",
      number, is_v6 ? "IPv6" : "IPv4", is_passive ? "passive" : "active", congestion, peer_mss,
      peer_wscale ? std::to_string(*peer_wscale) : "none", peer_sack, peer_dsack, peer_ts, peer_ecn, peer_window,
      rtt.ms(), ack_every, ack_delay.ms());
  if (syn_drops > 0) out += fmt::format("  SYNs lost: {}\n", syn_drops);
  for (const auto& [name, value] : sysctls)
    out += fmt::format("  {} = {}\n", name, value);
  for (const Op& op : options_before)
    out += fmt::format("  before: {}\n", leat::differ::describe(op));
  if (!data_fates.empty()) out += fmt::format("  data:{}\n", fates(data_fates));
  if (!ack_fates.empty()) out += fmt::format("  ACKs:{}\n", fates(ack_fates));
  if (zero_window_from != Duration::infinite())
    out += fmt::format("  window 0 from {} to {} ms\n", zero_window_from.ms(), zero_window_to.ms());
  return out;
}

}  // namespace leat::differ
