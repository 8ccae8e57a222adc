// Written from rows (snapshot.h) and totals. Files of sockets can be read a piece at a time (walk_proc).
#include "diag/proc_net.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <utility>

#include "diag/snapshot.h"
#include "ip/netif.h"
#include "stack/stack_impl.h"

namespace leat::diag {
namespace {

using inet::State;

// "Tcp: RtoAlgorithm …\nTcp: 1 …\n"
void append_group(std::string& out, const std::vector<Counter>& counters, std::string_view group) {
  std::string names(group);
  std::string values(group);
  names += ':';
  values += ':';
  for (const Counter& c : counters) {
    if (c.group != group) continue;
    names += ' ' + c.name;
    // The one that may be -1 is printed as what it is.
    values += c.name == "MaxConn" ? fmt::format(" {}", static_cast<int64_t>(c.value)) : fmt::format(" {}", c.value);
  }
  out += names + '\n' + values + '\n';
}

uint32_t raw_v4(const IpAddress& a) {
  uint32_t word;
  std::memcpy(&word, a.v4_bytes(), 4);
  return word;
}

// Four words of the machine, as the kernel prints an IPv6 address here.
std::string address_text(const IpAddress& a, Family family) {
  if (family == Family::kIpv4) return fmt::format("{:08X}", raw_v4(a));
  uint32_t words[4];
  std::memcpy(words, a.to_v4_mapped().bytes(), 16);
  return fmt::format("{:08X}{:08X}{:08X}{:08X}", words[0], words[1], words[2], words[3]);
}

IpAddress socket_address(const IpAddress& a, Family family) {
  return family == Family::kIpv6 && a.is_any() ? IpAddress::any(Family::kIpv6) : a;
}

int64_t clock_ticks(int64_t ms) {
  return ms / 10;  // USER_HZ is 100
}

std::string endpoints(const SocketRow& row) {
  return fmt::format("{}:{:04X} {}:{:04X}", address_text(socket_address(row.local, row.family), row.family),
                     row.local_port, address_text(socket_address(row.remote, row.family), row.family), row.remote_port);
}

std::string tcp_tail(const SocketRow& row) {
  if (!row.has_info) return "";
  const tcp::TcpInfo& i = row.info;
  const bool is_listener = row.state == State::kListen;
  const bool is_initial = i.snd_ssthresh >= 0x7fffffff;
  const uint32_t quick = (row.is_quick_ack ? 2u : 0u) | (row.is_pingpong ? 1u : 0u);
  return fmt::format(" {} {} {} {} {}", clock_ticks(is_listener ? 1000 : i.rto / 1000), clock_ticks(i.ato / 1000),
                     quick, i.snd_cwnd,
                     is_listener  ? 0
                     : is_initial ? -1
                                  : static_cast<int64_t>(i.snd_ssthresh));
}

std::string tcp_line(const SocketRow& row, size_t number) {
  const uint32_t recv_q = row.recv_q;
  const uint32_t send_q = row.state == State::kListen ? 0 : row.send_q;
  return fmt::format("{:4}: {} {:02X} {:08X}:{:08X} {:02X}:{:08X} {:08X} {:5} {:8} {} {} {:016x}{}", number,
                     endpoints(row), static_cast<int>(row.state), send_q, recv_q, static_cast<int>(row.timer),
                     clock_ticks(row.timer_ms), row.timer_retrans, 0, 0, row.has_file ? row.cookie : 0, row.refs,
                     row.cookie, tcp_tail(row));
}

std::string udp_line(const SocketRow& row) {
  return fmt::format("{:5}: {} {:02X} {:08X}:{:08X} {:02X}:{:08X} {:08X} {:5} {:8} {} {} {:016x} {}", row.local_port,
                     endpoints(row), static_cast<int>(row.state), row.send_q, row.recv_q, 0, 0, 0, 0, 0,
                     row.has_file ? row.cookie : 0, row.refs, row.cookie, row.memory.drops);
}

constexpr std::string_view kColumns4 =
    "local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
constexpr std::string_view kColumns6 =
    "local_address                         remote_address                        st tx_queue rx_queue tr tm->when"
    " retrnsmt   uid  timeout inode";

struct Table {
  bool is_udp = false;
  Family family = Family::kIpv4;

  // Rows of IPv4 are filled with blanks to a fixed width, which old readers count on; those of IPv6 are not.
  void line(std::string& out, std::string text) const {
    const size_t width = family != Family::kIpv4 ? 0 : is_udp ? 127 : 149;
    if (text.size() < width) text.resize(width, ' ');
    out += text + '\n';
  }
  void head(std::string& out) const {
    const bool is_v4 = family == Family::kIpv4;
    line(out, fmt::format("  {}{} {}{}", is_udp && is_v4 ? " " : "", "sl ", is_v4 ? kColumns4 : kColumns6,
                          is_udp ? " ref pointer drops" : ""));
  }
  void rows(std::string& out, const std::vector<SocketRow>& rows, size_t& number) const {
    for (const SocketRow& row : rows) {
      if (row.is_udp != is_udp || row.family != family) continue;
      line(out, is_udp ? udp_line(row) : tcp_line(row, number++));
    }
  }
};

std::string whole(Stack& stack, const Table& table) {
  std::string out;
  size_t number = 0;
  table.head(out);
  table.rows(out, snapshot(stack), number);
  return out;
}

std::optional<Table> table_of(std::string_view path) {
  if (path == "net/tcp") return Table{false, Family::kIpv4};
  if (path == "net/tcp6") return Table{false, Family::kIpv6};
  if (path == "net/udp") return Table{true, Family::kIpv4};
  if (path == "net/udp6") return Table{true, Family::kIpv6};
  return {};
}

std::string_view without_proc(std::string_view path) {
  if (path.starts_with("/proc/")) path.remove_prefix(6);
  return path;
}

struct File {
  std::string_view path;
  std::string (*read)(Stack&);
};
constexpr File kFiles[] = {
    {"net/snmp", proc_net_snmp},           {"net/snmp6", proc_net_snmp6},
    {"net/netstat", proc_net_netstat},     {"net/sockstat", proc_net_sockstat},
    {"net/sockstat6", proc_net_sockstat6}, {"net/tcp", proc_net_tcp},
    {"net/tcp6", proc_net_tcp6},           {"net/udp", proc_net_udp},
    {"net/udp6", proc_net_udp6},           {"net/dev", proc_net_dev},
    {"slabinfo", proc_slabinfo},           {"drops", proc_drops},
};

}  // namespace

std::string proc_net_snmp(Stack& stack) {
  const std::vector<Counter> counters = stack.counters();
  std::string out;
  for (std::string_view group : {"Ip", "Icmp", "Tcp", "Udp"})
    append_group(out, counters, group);
  return out;
}

std::string proc_net_netstat(Stack& stack) {
  const std::vector<Counter> counters = stack.counters();
  std::string out;
  for (std::string_view group : {"TcpExt", "IpExt"})
    append_group(out, counters, group);
  return out;
}

std::string proc_net_snmp6(Stack& stack) {
  std::string out;
  const std::vector<Counter> counters = stack.counters();
  for (std::string_view group : {"Ip6", "Icmp6", "Udp6"}) {
    for (const Counter& c : counters) {
      if (c.group == group) out += fmt::format("{:<32}\t{}\n", c.group + c.name, c.value);
    }
  }
  return out;
}

std::string proc_net_sockstat(Stack& stack) {
  const SocketTotals t = totals(stack);
  return fmt::format(
      "sockets: used {}\nTCP: inuse {} orphan {} tw {} alloc {} mem {}\nUDP: inuse {} mem {}\nUDPLITE: inuse 0\n"
      "RAW: inuse 0\nFRAG: inuse {} memory {}\n",
      t.used, t.tcp_inuse4, t.orphans, t.time_waits, t.allocated, t.tcp_pages, t.udp_inuse4, t.udp_pages, t.frag4,
      t.frag4_memory);
}

std::string proc_net_sockstat6(Stack& stack) {
  const SocketTotals t = totals(stack);
  return fmt::format("TCP6: inuse {}\nUDP6: inuse {}\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse {} memory {}\n",
                     t.tcp_inuse6, t.udp_inuse6, t.frag6, t.frag6_memory);
}

std::string proc_net_tcp(Stack& stack) {
  return whole(stack, {false, Family::kIpv4});
}
std::string proc_net_tcp6(Stack& stack) {
  return whole(stack, {false, Family::kIpv6});
}
std::string proc_net_udp(Stack& stack) {
  return whole(stack, {true, Family::kIpv4});
}
std::string proc_net_udp6(Stack& stack) {
  return whole(stack, {true, Family::kIpv6});
}

std::string proc_net_dev(Stack& stack) {
  std::string out =
      "Inter-|   Receive                                                |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier"
      " compressed\n";
  const ip::Ip& ip = stack.impl().ip;
  for (size_t i = 1; i <= ip.interface_count(); ++i) {
    const ip::Netif* n = ip.interface(static_cast<uint16_t>(i));
    if (n == nullptr) continue;
    const ip::NetifCounters& c = n->counters();
    out += fmt::format("{:>6}: {:7} {:7} {:4} {:4} {:4} {:5} {:10} {:9} {:8} {:7} {:4} {:4} {:4} {:5} {:7} {:10}\n",
                       n->name(), c.rx_bytes.load(), c.rx_packets.load(), 0, c.rx_dropped.load(), 0, 0, 0,
                       c.multicast.load(), c.tx_bytes.load(), c.tx_packets.load(), 0,
                       c.tx_dropped.load() + n->link().dropped(), 0, 0, 0, 0);
  }
  return out;
}

std::string proc_slabinfo(Stack& stack) {
  std::string out = "# name            <active_objs> <objsize> <bytes>\n";
  for (const SlabRow& s : slabs(stack)) {
    out += fmt::format("{:<18} {:>12} {:>9} {:>9}\n", s.name, s.in_use, s.object_bytes, s.bytes);
  }
  return out;
}

std::string proc_drops(Stack& stack) {
  std::string out;
  for (int i = 0; i < static_cast<int>(DropReason::kCount); ++i) {
    const auto r = static_cast<DropReason>(i);
    const uint64_t n = stack.impl().ns.drops(r);
    if (n != 0) out += fmt::format("{:<32}{:<16}{}\n", drop_reason_name(r), n, drop_reason_text(r));
  }
  return out;
}

bool read_proc(Stack& stack, std::string_view path, std::string& out) {
  path = without_proc(path);
  for (const File& f : kFiles) {
    if (f.path == path) {
      out = f.read(stack);
      return true;
    }
  }
  return false;
}

std::function<bool(std::string& out)> walk_proc(Stack& stack, std::string_view path) {
  const auto table = table_of(without_proc(path));
  if (!table) return {};
  auto walk = std::make_shared<RowWalk>(std::vector<Stack*>{&stack});
  return [table, walk, number = size_t{0}, has_begun = false](std::string& out) mutable {
    if (!std::exchange(has_begun, true)) table->head(out);
    table->rows(out, walk->next(), number);
    return !walk->is_done();
  };
}

std::vector<std::string_view> proc_files() {
  std::vector<std::string_view> paths;
  for (const File& f : kFiles)
    paths.push_back(f.path);
  return paths;
}

}  // namespace leat::diag
