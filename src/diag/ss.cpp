// The table of ss: a row's cells, then columns as wide as their widest cell.
#include "diag/ss.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>

namespace leat::diag {
namespace {

using inet::State;

enum Column : size_t { kNetid, kState, kRecvQ, kSendQ, kLocal, kLocalPort, kPeer, kPeerPort, kProcess, kColumns };
using Cells = std::array<std::string, kColumns>;

const char* state_name(const SocketRow& row) {
  static constexpr const char* kNames[] = {"UNKNOWN",    "ESTAB",     "SYN-SENT", "SYN-RECV",   "FIN-WAIT-1",
                                           "FIN-WAIT-2", "TIME-WAIT", "UNCONN",   "CLOSE-WAIT", "LAST-ACK",
                                           "LISTEN",     "CLOSING",   "SYN-RECV", "UNCONN"};
  const auto n = static_cast<size_t>(row.state);
  return n < std::size(kNames) ? kNames[n] : kNames[0];
}

std::string host_text(const SocketRow& row, const IpAddress& a, bool is_any_of_both) {
  std::string text;
  if (is_any_of_both) {
    text = "*";
  } else {
    text = a.is_v6() ? "[" + a.to_string() + "]" : a.to_string();
  }
  if (!row.device.empty()) text += "%" + row.device;
  return text + ":";
}

std::string port_text(uint16_t port, bool is_udp, bool is_numeric) {
  if (port == 0) return "*";
  if (!is_numeric) {
    servent entry{}, *found = nullptr;
    char buffer[1024];
    const char* protocol = is_udp ? "udp" : "tcp";
    if (getservbyport_r(htons(port), protocol, &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) {
      return found->s_name;
    }
  }
  return std::to_string(port);
}

// "200ms", "1.500ms", "59sec", "1min5sec", "119min": how ss writes the time that a timer has left.
std::string timer_text(int64_t ms) {
  ms = std::max<int64_t>(ms, 0);
  int64_t s = ms / 1000;
  const int64_t min = s / 60;
  s %= 60;
  ms %= 1000;
  std::string text;
  if (min != 0) {
    text += fmt::format("{}min", min);
    ms = 0;
    if (min > 9) s = 0;
  }
  if (s != 0) {
    if (s > 9) ms = 0;
    text += fmt::format("{}{}", s, ms != 0 ? "." : "sec");
  }
  if (ms != 0) text += fmt::format("{:03}ms", ms);
  return text;
}

std::string timer_field(const SocketRow& row) {
  static constexpr const char* kNames[] = {"off", "on", "keepalive", "timewait", "persist"};
  if (row.timer == RowTimer::kOff) return "";
  return fmt::format(" timer:({},{},{})", kNames[static_cast<size_t>(row.timer)], timer_text(row.timer_ms),
                     row.timer_retrans);
}

// Numbers of sockets are all that leat has for Linux's inode and cookie.
std::string extended_fields(const SocketRow& row) {
  std::string text = fmt::format(" ino:{} sk:{:x}", row.has_file ? row.cookie : 0, row.cookie);
  if (row.mark != 0) text += fmt::format(" fwmark:{:#x}", row.mark);
  const bool is_unconnected = row.state == State::kListen || row.state == State::kClose;
  if (row.family == Family::kIpv6 && is_unconnected) text += fmt::format(" v6only:{}", row.v6only ? 1 : 0);
  if (row.has_details) {
    // As iproute2 draws it: '<' while receiving is open, '>' while sending is.
    text += fmt::format(" {}-{}", (row.shutdown & inet::kRcvShutdown) == 0 ? '<' : '-',
                        (row.shutdown & inet::kSendShutdown) == 0 ? '>' : '-');
  }
  return text;
}

std::string memory_field(const RowMemory& m) {
  return fmt::format(" skmem:(r{},rb{},t{},tb{},f{},w{},o{},bl{},d{})", m.rmem, m.rcvbuf, m.wmem, m.sndbuf, m.forward,
                     m.wmem_queued, m.optmem, m.backlog, m.drops);
}

std::string process_cell(const SsOptions& o, const SocketRow& row) {
  std::string text;
  if (o.options) text += timer_field(row);
  if (o.extended) text += extended_fields(row);
  if (o.tos && row.has_details) text += fmt::format(" tos:{:#x}", row.tos);
  if (!o.memory && !o.info) return text;
  if (!o.one_line) text += "\n\t";
  if (o.memory && row.has_details) text += memory_field(row.memory);
  if (o.info && row.has_info) text += format_tcp_info(row, o.options, o.human);
  return text;
}

Cells cells_of(const SsOptions& o, const SocketRow& row) {
  const IpAddress local = row.shown_local();
  const IpAddress remote = row.shown_remote();
  // A v6 socket without v6only and without an address is for both families: "*".
  const bool is_dual = row.family == Family::kIpv6 && !row.v6only;
  const bool is_local_any = is_dual && row.local.is_any() && row.local.is_v6();
  const bool is_remote_any = is_dual && row.remote.is_any() && row.remote_port == 0;
  SocketRow no_device;
  Cells c;
  c[kNetid] = row.is_udp ? "udp" : "tcp";
  c[kState] = state_name(row);
  c[kRecvQ] = std::to_string(row.recv_q);
  c[kSendQ] = std::to_string(row.send_q);
  c[kLocal] = host_text(row, local, is_local_any);
  c[kLocalPort] = port_text(row.local_port, row.is_udp, o.numeric);
  c[kPeer] = host_text(no_device, remote, is_remote_any);
  c[kPeerPort] = port_text(row.remote_port, row.is_udp, o.numeric);
  c[kProcess] = process_cell(o, row);
  return c;
}

struct Layout {
  std::array<size_t, kColumns> width{};
  bool has_netid = true, has_state = true;

  void widen(const Cells& c) {
    for (size_t i = 0; i < kColumns; ++i)
      width[i] = std::max(width[i], c[i].size());
  }
  bool is_shown(size_t column) const { return (column != kNetid || has_netid) && (column != kState || has_state); }
  void append(std::string& out, const Cells& c) const {
    const size_t begin = out.size();
    for (size_t i = 0; i < kProcess; ++i) {
      if (!is_shown(i)) continue;
      const bool is_joined = i == kLocalPort || i == kPeerPort;
      if (out.size() != begin && !is_joined) out += ' ';
      const size_t blanks = width[i] - c[i].size();
      const bool is_right = i == kLocal || i == kPeer;
      if (is_right) out.append(blanks, ' ');
      out += c[i];
      if (!is_right) out.append(blanks, ' ');
    }
    out += c[kProcess];
    out.erase(out.find_last_not_of(" \t\n") + 1);
    out += '\n';
  }
};

Layout make_layout(const SsOptions& o) {
  Layout layout;
  layout.has_netid = o.tcp == o.udp;
  const uint32_t udp_states = state_bit(State::kEstablished) | state_bit(State::kClose);
  const uint32_t states = o.udp && !o.tcp ? o.states & udp_states : o.states;
  layout.has_state = (states & (states - 1)) != 0;
  return layout;
}

}  // namespace

struct SocketTable::State {
  const SsOptions& options;
  Layout layout;
  bool has_begun = false;
};

SocketTable::SocketTable(const SsOptions& o) : state_(std::make_unique<State>(State{o, make_layout(o)})) {}
SocketTable::~SocketTable() = default;

std::string SocketTable::format(std::span<const SocketRow> rows) {
  static const Cells kHeader = {
      "Netid", "State", "Recv-Q", "Send-Q", "Local Address:", "Port", "Peer Address:", "Port", "Process"};
  const SsOptions& o = state_->options;
  Layout& layout = state_->layout;
  const bool needs_header = !o.no_header && !state_->has_begun;
  if (needs_header) layout.widen(kHeader);
  std::vector<Cells> table;
  for (const SocketRow& row : rows) {
    if (!is_wanted(o, row)) continue;
    table.push_back(cells_of(o, row));
    layout.widen(table.back());
  }
  std::string out;
  if (needs_header) layout.append(out, kHeader);
  state_->has_begun = true;
  for (const Cells& c : table)
    layout.append(out, c);
  return out;
}

std::string format_sockets(const SsOptions& o, std::span<const SocketRow> rows) {
  return SocketTable(o).format(rows);
}

std::string format_summary(const SocketTotals& t) {
  const uint64_t tcp = t.tcp_inuse4 + t.tcp_inuse6;
  const uint64_t udp = t.udp_inuse4 + t.udp_inuse6;
  const uint64_t closed = t.allocated + t.time_waits > tcp ? t.allocated + t.time_waits - tcp : 0;
  std::string out = fmt::format("Total: {}\nTCP:   {} (estab {}, closed {}, orphaned {}, timewait {})\n\n", t.used,
                                t.allocated + t.time_waits, t.established, closed, t.orphans, t.time_waits);
  auto line = [&](const char* name, uint64_t total, uint64_t v4, uint64_t v6) {
    out += fmt::format("{}\t  {:<10}{:<10}{}\n", name, total, v4, v6);
  };
  out += "Transport Total     IP        IPv6\n";
  line("RAW", 0, 0, 0);
  line("UDP", udp, t.udp_inuse4, t.udp_inuse6);
  line("TCP", tcp, t.tcp_inuse4, t.tcp_inuse6);
  line("INET", udp + tcp, t.udp_inuse4 + t.tcp_inuse4, t.udp_inuse6 + t.tcp_inuse6);
  line("FRAG", t.frag4 + t.frag6, t.frag4, t.frag6);
  return out + "\n";
}

}  // namespace leat::diag
