// See symbols.h. Values that the C library's headers may not have yet are written out.
#include "sim/drill/symbols.h"

#include <fcntl.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <map>

namespace leat::drill {
namespace {

#define N(name) {#name, static_cast<int64_t>(name)}

const std::map<std::string, int64_t>& table() {
  static const std::map<std::string, int64_t> kTable = {N(AF_INET),
                                                        N(AF_INET6),
                                                        N(AF_UNSPEC),
                                                        N(SOCK_STREAM),
                                                        N(SOCK_DGRAM),
                                                        N(SOCK_RAW),
                                                        N(SOCK_NONBLOCK),
                                                        N(SOCK_CLOEXEC),
                                                        N(IPPROTO_TCP),
                                                        N(IPPROTO_UDP),
                                                        N(IPPROTO_IP),
                                                        N(IPPROTO_IPV6),
                                                        N(IPPROTO_ICMP),
                                                        N(IPPROTO_ICMPV6),
                                                        N(SOL_SOCKET),
                                                        {"SOL_IP", IPPROTO_IP},
                                                        {"SOL_IPV6", IPPROTO_IPV6},
                                                        {"SOL_TCP", IPPROTO_TCP},
                                                        {"SOL_UDP", IPPROTO_UDP},
                                                        {"NULL", 0},
                                                        // SOL_SOCKET
                                                        N(SO_ACCEPTCONN),
                                                        N(SO_BINDTODEVICE),
                                                        N(SO_BROADCAST),
                                                        N(SO_DEBUG),
                                                        N(SO_DOMAIN),
                                                        N(SO_DONTROUTE),
                                                        N(SO_ERROR),
                                                        N(SO_INCOMING_CPU),
                                                        N(SO_KEEPALIVE),
                                                        N(SO_LINGER),
                                                        N(SO_MARK),
                                                        N(SO_NO_CHECK),
                                                        N(SO_OOBINLINE),
                                                        N(SO_PRIORITY),
                                                        N(SO_PROTOCOL),
                                                        N(SO_RCVBUF),
                                                        N(SO_RCVBUFFORCE),
                                                        N(SO_RCVLOWAT),
                                                        N(SO_RCVTIMEO),
                                                        N(SO_REUSEADDR),
                                                        N(SO_REUSEPORT),
                                                        N(SO_SNDBUF),
                                                        N(SO_SNDBUFFORCE),
                                                        N(SO_SNDLOWAT),
                                                        N(SO_SNDTIMEO),
                                                        N(SO_TIMESTAMP),
                                                        N(SO_TIMESTAMPNS),
                                                        N(SO_TIMESTAMPING),
                                                        N(SO_TYPE),
                                                        N(SO_MAX_PACING_RATE),
                                                        N(SO_ZEROCOPY),
                                                        N(SO_MEMINFO),
                                                        N(SO_BUSY_POLL),
                                                        N(SO_COOKIE),
                                                        N(SO_TXTIME),
                                                        {"SO_TXREHASH", 74},
                                                        N(SO_EE_ORIGIN_NONE),
                                                        N(SO_EE_ORIGIN_LOCAL),
                                                        N(SO_EE_ORIGIN_ICMP),
                                                        N(SO_EE_ORIGIN_ICMP6),
                                                        N(SO_EE_ORIGIN_TIMESTAMPING),
                                                        N(SO_EE_ORIGIN_ZEROCOPY),
                                                        N(SO_EE_CODE_ZEROCOPY_COPIED),
                                                        N(SOF_TIMESTAMPING_TX_HARDWARE),
                                                        N(SOF_TIMESTAMPING_TX_SOFTWARE),
                                                        N(SOF_TIMESTAMPING_RX_HARDWARE),
                                                        N(SOF_TIMESTAMPING_RX_SOFTWARE),
                                                        N(SOF_TIMESTAMPING_SOFTWARE),
                                                        N(SOF_TIMESTAMPING_SYS_HARDWARE),
                                                        N(SOF_TIMESTAMPING_RAW_HARDWARE),
                                                        N(SOF_TIMESTAMPING_OPT_ID),
                                                        N(SOF_TIMESTAMPING_TX_SCHED),
                                                        N(SOF_TIMESTAMPING_TX_ACK),
                                                        N(SOF_TIMESTAMPING_OPT_CMSG),
                                                        N(SOF_TIMESTAMPING_OPT_TSONLY),
                                                        N(SOF_TIMESTAMPING_OPT_STATS),
                                                        {"SOF_TIMESTAMPING_OPT_ID_TCP", 1 << 16},
                                                        {"SCM_TIMESTAMPING", SO_TIMESTAMPING},
                                                        N(SCM_TSTAMP_SND),
                                                        N(SCM_TSTAMP_SCHED),
                                                        N(SCM_TSTAMP_ACK),
                                                        {"SCM_TIMESTAMPING_OPT_STATS", 54},
                                                        // IPPROTO_IP, IPPROTO_IPV6
                                                        N(IP_TOS),
                                                        N(IP_TTL),
                                                        N(IP_MTU),
                                                        N(IP_MTU_DISCOVER),
                                                        N(IP_PMTUDISC_WANT),
                                                        N(IP_PMTUDISC_DONT),
                                                        N(IP_PMTUDISC_DO),
                                                        N(IP_PMTUDISC_PROBE),
                                                        N(IP_RECVERR),
                                                        N(IP_RECVTOS),
                                                        N(IP_RECVTTL),
                                                        N(IP_PKTINFO),
                                                        N(IP_FREEBIND),
                                                        N(IP_BIND_ADDRESS_NO_PORT),
                                                        {"IP_LOCAL_PORT_RANGE", 51},
                                                        N(IP_TRANSPARENT),
                                                        N(IP_MINTTL),
                                                        N(IPV6_MTU_DISCOVER),
                                                        N(IPV6_RECVERR),
                                                        N(IPV6_MTU),
                                                        N(IPV6_TCLASS),
                                                        N(IPV6_RECVTCLASS),
                                                        N(IPV6_UNICAST_HOPS),
                                                        N(IPV6_HOPLIMIT),
                                                        N(IPV6_V6ONLY),
                                                        N(IPV6_RECVPKTINFO),
                                                        // TCP
                                                        N(TCP_NODELAY),
                                                        N(TCP_MAXSEG),
                                                        N(TCP_CORK),
                                                        N(TCP_KEEPIDLE),
                                                        N(TCP_KEEPINTVL),
                                                        N(TCP_KEEPCNT),
                                                        N(TCP_SYNCNT),
                                                        N(TCP_LINGER2),
                                                        N(TCP_DEFER_ACCEPT),
                                                        N(TCP_WINDOW_CLAMP),
                                                        N(TCP_INFO),
                                                        N(TCP_QUICKACK),
                                                        N(TCP_CONGESTION),
                                                        N(TCP_MD5SIG),
                                                        N(TCP_THIN_LINEAR_TIMEOUTS),
                                                        N(TCP_THIN_DUPACK),
                                                        N(TCP_USER_TIMEOUT),
                                                        N(TCP_REPAIR),
                                                        N(TCP_FASTOPEN),
                                                        N(TCP_TIMESTAMP),
                                                        N(TCP_NOTSENT_LOWAT),
                                                        N(TCP_CC_INFO),
                                                        N(TCP_SAVE_SYN),
                                                        N(TCP_SAVED_SYN),
                                                        N(TCP_FASTOPEN_CONNECT),
                                                        N(TCP_FASTOPEN_KEY),
                                                        N(TCP_FASTOPEN_NO_COOKIE),
                                                        N(TCP_INQ),
                                                        N(TCP_CM_INQ),
                                                        N(TCP_TX_DELAY),
                                                        {"TCP_IS_MPTCP", 43},
                                                        {"TCP_RTO_MAX_MS", 44},
                                                        {"TCP_RTO_MIN_US", 45},
                                                        {"TCP_DELACK_MAX_US", 46},
                                                        {"TCPI_OPT_TIMESTAMPS", 1},
                                                        {"TCPI_OPT_SACK", 2},
                                                        {"TCPI_OPT_WSCALE", 4},
                                                        {"TCPI_OPT_ECN", 8},
                                                        {"TCPI_OPT_ECN_SEEN", 16},
                                                        {"TCPI_OPT_SYN_DATA", 32},
                                                        {"TCPI_OPT_USEC_TS", 64},
                                                        {"TCPI_OPT_TFO_CHILD", 128},
                                                        {"TCP_INFINITE_SSTHRESH", 0x7fffffff},
                                                        {"TCP_CA_Open", 0},
                                                        {"TCP_CA_Disorder", 1},
                                                        {"TCP_CA_CWR", 2},
                                                        {"TCP_CA_Recovery", 3},
                                                        {"TCP_CA_Loss", 4},
                                                        {"TCP_CA_OPEN", 0},
                                                        {"TCP_CA_DISORDER", 1},
                                                        {"TCP_CA_RECOVERY", 3},
                                                        {"TCP_CA_LOSS", 4},
                                                        {"TCP_ESTABLISHED", 1},
                                                        {"TCP_SYN_SENT", 2},
                                                        {"TCP_SYN_RECV", 3},
                                                        {"TCP_FIN_WAIT1", 4},
                                                        {"TCP_FIN_WAIT2", 5},
                                                        {"TCP_TIME_WAIT", 6},
                                                        {"TCP_CLOSE", 7},
                                                        {"TCP_CLOSE_WAIT", 8},
                                                        {"TCP_LAST_ACK", 9},
                                                        {"TCP_LISTEN", 10},
                                                        {"TCP_CLOSING", 11},
                                                        {"TCP_NEW_SYN_RECV", 12},
                                                        // flags of files and messages
                                                        N(O_RDONLY),
                                                        N(O_WRONLY),
                                                        N(O_RDWR),
                                                        N(O_NONBLOCK),
                                                        N(O_CREAT),
                                                        N(O_TRUNC),
                                                        N(O_APPEND),
                                                        N(F_GETFL),
                                                        N(F_SETFL),
                                                        N(F_GETFD),
                                                        N(F_SETFD),
                                                        N(F_DUPFD),
                                                        N(FD_CLOEXEC),
                                                        N(MSG_OOB),
                                                        N(MSG_DONTROUTE),
                                                        N(MSG_PEEK),
                                                        N(MSG_CTRUNC),
                                                        N(MSG_EOR),
                                                        N(MSG_WAITALL),
                                                        N(MSG_TRUNC),
                                                        N(MSG_ERRQUEUE),
                                                        N(MSG_DONTWAIT),
                                                        N(MSG_CONFIRM),
                                                        N(MSG_FIN),
                                                        N(MSG_SYN),
                                                        N(MSG_RST),
                                                        N(MSG_NOSIGNAL),
                                                        N(MSG_MORE),
                                                        N(MSG_CMSG_CLOEXEC),
                                                        N(MSG_FASTOPEN),
                                                        N(MSG_ZEROCOPY),
                                                        {"SIOCINQ", FIONREAD},
                                                        {"SIOCOUTQ", TIOCOUTQ},
                                                        {"SIOCOUTQNSD", SIOCOUTQNSD},
                                                        N(FIONREAD),
                                                        {"SIOCATMARK", 0x8905},
                                                        {"SHUT_RD", 0},
                                                        {"SHUT_WR", 1},
                                                        {"SHUT_RDWR", 2},
                                                        N(POLLIN),
                                                        N(POLLPRI),
                                                        N(POLLOUT),
                                                        N(POLLRDNORM),
                                                        N(POLLRDBAND),
                                                        N(POLLWRNORM),
                                                        N(POLLWRBAND),
                                                        {"POLLRDHUP", 0x2000},
                                                        N(POLLERR),
                                                        N(POLLHUP),
                                                        N(POLLNVAL),
                                                        N(EPOLLIN),
                                                        N(EPOLLPRI),
                                                        N(EPOLLOUT),
                                                        N(EPOLLRDNORM),
                                                        N(EPOLLRDBAND),
                                                        N(EPOLLWRNORM),
                                                        N(EPOLLWRBAND),
                                                        N(EPOLLMSG),
                                                        N(EPOLLERR),
                                                        N(EPOLLHUP),
                                                        N(EPOLLRDHUP),
                                                        N(EPOLLONESHOT),
                                                        N(EPOLLET),
                                                        N(EPOLLEXCLUSIVE),
                                                        N(EPOLL_CTL_ADD),
                                                        N(EPOLL_CTL_MOD),
                                                        N(EPOLL_CTL_DEL)};
  return kTable;
}
#undef N

struct Field {
  const char* name;
  uint16_t offset;
  uint8_t bytes;
  uint8_t shift = 0, bits = 0;  // bit-fields
};

// Where the fields of struct tcp_info lie (linux/tcp.h of 6.18).
constexpr Field kFields[] = {{"state", 0, 1},
                             {"ca_state", 1, 1},
                             {"retransmits", 2, 1},
                             {"probes", 3, 1},
                             {"backoff", 4, 1},
                             {"options", 5, 1},
                             {"snd_wscale", 6, 1, 0, 4},
                             {"rcv_wscale", 6, 1, 4, 4},
                             {"delivery_rate_app_limited", 7, 1, 0, 1},
                             {"fastopen_client_fail", 7, 1, 1, 2},
                             {"rto", 8, 4},
                             {"ato", 12, 4},
                             {"snd_mss", 16, 4},
                             {"rcv_mss", 20, 4},
                             {"unacked", 24, 4},
                             {"sacked", 28, 4},
                             {"lost", 32, 4},
                             {"retrans", 36, 4},
                             {"fackets", 40, 4},
                             {"last_data_sent", 44, 4},
                             {"last_ack_sent", 48, 4},
                             {"last_data_recv", 52, 4},
                             {"last_ack_recv", 56, 4},
                             {"pmtu", 60, 4},
                             {"rcv_ssthresh", 64, 4},
                             {"rtt", 68, 4},
                             {"rttvar", 72, 4},
                             {"snd_ssthresh", 76, 4},
                             {"snd_cwnd", 80, 4},
                             {"advmss", 84, 4},
                             {"reordering", 88, 4},
                             {"rcv_rtt", 92, 4},
                             {"rcv_space", 96, 4},
                             {"total_retrans", 100, 4},
                             {"pacing_rate", 104, 8},
                             {"max_pacing_rate", 112, 8},
                             {"bytes_acked", 120, 8},
                             {"bytes_received", 128, 8},
                             {"segs_out", 136, 4},
                             {"segs_in", 140, 4},
                             {"notsent_bytes", 144, 4},
                             {"min_rtt", 148, 4},
                             {"data_segs_in", 152, 4},
                             {"data_segs_out", 156, 4},
                             {"delivery_rate", 160, 8},
                             {"busy_time", 168, 8},
                             {"rwnd_limited", 176, 8},
                             {"sndbuf_limited", 184, 8},
                             {"delivered", 192, 4},
                             {"delivered_ce", 196, 4},
                             {"bytes_sent", 200, 8},
                             {"bytes_retrans", 208, 8},
                             {"dsack_dups", 216, 4},
                             {"reord_seen", 220, 4},
                             {"rcv_ooopack", 224, 4},
                             {"snd_wnd", 228, 4},
                             {"rcv_wnd", 232, 4},
                             {"rehash", 236, 4},
                             {"total_rto", 240, 2},
                             {"total_rto_recoveries", 242, 2},
                             {"total_rto_time", 244, 4},
                             {"received_ce", 248, 4},
                             {"delivered_e1_bytes", 252, 4},
                             {"delivered_e0_bytes", 256, 4},
                             {"delivered_ce_bytes", 260, 4},
                             {"received_e1_bytes", 264, 4},
                             {"received_e0_bytes", 268, 4},
                             {"received_ce_bytes", 272, 4}};

constexpr const char* kMeminfo[] = {"RMEM_ALLOC",  "RCVBUF", "WMEM_ALLOC", "SNDBUF", "FWD_ALLOC",
                                    "WMEM_QUEUED", "OPTMEM", "BACKLOG",    "DROPS"};

int64_t load_native(ByteView bytes, size_t offset, size_t size) {
  uint64_t v = 0;  // x86 and ARM store the low byte first
  std::memcpy(&v, bytes.data() + offset, size);
  return static_cast<int64_t>(v);
}

}  // namespace

std::optional<int64_t> symbol(const std::string& name) {
  if (const auto s = table().find(name); s != table().end()) return s->second;
  if (name.empty() || name[0] != 'E') return std::nullopt;
  if (name == "EWOULDBLOCK") return EAGAIN;
  if (name == "ENOTSUP") return EOPNOTSUPP;
  for (int e = 1; e < 134; ++e) {
    const char* known = strerrorname_np(e);
    if (known != nullptr && name == known) return e;
  }
  return std::nullopt;
}

std::string errno_name(int number) {
  if (number == EOPNOTSUPP) return "EOPNOTSUPP";
  const char* known = strerrorname_np(number);
  return known == nullptr ? "errno " + std::to_string(number) : known;
}

std::optional<int64_t> tcp_info_field(const std::string& name, ByteView info) {
  if (!name.starts_with("tcpi_")) return std::nullopt;
  for (const Field& f : kFields) {
    if (name.compare(5, std::string::npos, f.name) != 0) continue;
    if (f.offset + f.bytes > info.size()) return std::nullopt;
    const int64_t v = load_native(info, f.offset, f.bytes);
    return f.bits == 0 ? v : (v >> f.shift) & ((1 << f.bits) - 1);
  }
  return std::nullopt;
}

std::optional<int64_t> meminfo_field(const std::string& name, ByteView meminfo) {
  if (!name.starts_with("SK_MEMINFO_")) return std::nullopt;
  for (size_t i = 0; i < std::size(kMeminfo); ++i) {
    if (name.compare(11, std::string::npos, kMeminfo[i]) == 0 && i * 4 + 4 <= meminfo.size()) {
      return load_native(meminfo, i * 4, 4);
    }
  }
  return std::nullopt;
}

}  // namespace leat::drill
