// SOL_SOCKET (socket(7); Linux's sk_setsockopt and sk_getsockopt).
#include <net/if.h>
#include <netinet/in.h>
#include <sys/time.h>

#include <linux/sock_diag.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ip/netif.h"
#include "socket/cmsg.h"
#include "socket/options.h"
#include "tcp/conn.h"

namespace leat::socket {
namespace {

using enum OptionStatus;
using T = OptionType;

// Numbers of newer kernels, which the libc's headers may lack.
constexpr int kBufLock = 72, kRcvTimeoNew = 66, kSndTimeoNew = 67, kMemInfo = 55, kBindToIfindex = 62, kCookie = 57;
constexpr int kMinSndbuf = 4608, kMinRcvbuf = 2304;  // SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF

Result<int> get_type(OptionCall& c) {
  return c.is_tcp() ? SOCK_STREAM : SOCK_DGRAM;
}
Result<int> get_protocol(OptionCall& c) {
  return c.is_tcp() ? IPPROTO_TCP : IPPROTO_UDP;
}
Result<int> get_domain(OptionCall& c) {
  return static_cast<int>(static_cast<Family>(c.sock.family));
}
Result<int> get_error(OptionCall& c) {
  return c.is_tcp() ? c.tcp().take_error(c.file.tcp()) : c.udp().take_error(c.file.udp());
}
Result<int> get_acceptconn(OptionCall& c) {
  return c.sock.get_state() == inet::State::kListen ? 1 : 0;
}
Result<int> get_reuse_address(OptionCall& c) {
  return int{c.sock.reuse_address};
}
Result<void> set_reuse_address(OptionCall& c, int v) {
  c.sock.reuse_address = static_cast<uint8_t>(v);
  return {};
}
Result<int> get_reuse_port(OptionCall& c) {
  return int{c.sock.reuse_port};
}
Result<void> set_reuse_port(OptionCall& c, int v) {
  c.sock.reuse_port = static_cast<uint8_t>(v);
  return {};
}
Result<int> get_keepalive(OptionCall& c) {
  return c.sock.keepalive ? 1 : 0;
}
Result<void> set_keepalive(OptionCall& c, int v) {
  c.sock.keepalive = v != 0;
  return {};
}
Result<int> get_oobinline(OptionCall& c) {
  return c.sock.oob_inline ? 1 : 0;
}
Result<void> set_oobinline(OptionCall& c, int v) {
  c.sock.oob_inline = v != 0;
  return {};
}

// --- buffers: the value is doubled, for what the packets cost beyond their bytes (socket(7)) -----------------------

Result<int> get_sndbuf(OptionCall& c) {
  return c.sock.sndbuf;
}
Result<int> get_rcvbuf(OptionCall& c) {
  return c.sock.rcvbuf;
}
void store_sndbuf(OptionCall& c, int64_t v) {
  c.sock.buf_lock = (c.sock.buf_lock | inet::kBufLockSend) & 3;
  c.sock.sndbuf = static_cast<int32_t>(std::max<int64_t>(std::min<int64_t>(v, INT32_MAX / 2) * 2, kMinSndbuf));
}
void store_rcvbuf(OptionCall& c, int64_t v) {
  c.sock.buf_lock = (c.sock.buf_lock | inet::kBufLockReceive) & 3;
  c.sock.rcvbuf = static_cast<int32_t>(std::max<int64_t>(std::min<int64_t>(v, INT32_MAX / 2) * 2, kMinRcvbuf));
}
// A negative value counts as unsigned, hence as more than the most.
Result<void> set_sndbuf(OptionCall& c, int v) {
  store_sndbuf(c, std::min<int64_t>(static_cast<uint32_t>(v), c.ns().sysctl.wmem_max));
  return {};
}
Result<void> set_rcvbuf(OptionCall& c, int v) {
  store_rcvbuf(c, std::min<int64_t>(static_cast<uint32_t>(v), c.ns().sysctl.rmem_max));
  return {};
}
Result<void> set_sndbuf_force(OptionCall& c, int v) {
  if (!c.is_privileged()) return err(EPERM);
  store_sndbuf(c, std::max(v, 0));
  return {};
}
Result<void> set_rcvbuf_force(OptionCall& c, int v) {
  if (!c.is_privileged()) return err(EPERM);
  store_rcvbuf(c, std::max(v, 0));
  return {};
}
Result<int> get_buf_lock(OptionCall& c) {
  return int{c.sock.buf_lock};
}
Result<void> set_buf_lock(OptionCall& c, int v) {
  if ((v & ~(inet::kBufLockSend | inet::kBufLockReceive)) != 0) return err(EINVAL);
  c.sock.buf_lock = static_cast<uint8_t>(v) & 3;
  return {};
}
Result<int> get_sndlowat(OptionCall&) {
  return 1;
}
Result<void> set_rcvlowat(OptionCall& c, int v) {
  return set_member<&inet::SockOptions::rcvlowat>(c, v < 0 ? INT32_MAX : v == 0 ? 1 : v);
}

// --- what needs rights
// ------------------------------------------------------------------------------------------------

Result<void> set_priority(OptionCall& c, int v) {
  if ((v < 0 || v > 6) && !c.is_privileged()) return err(EPERM);
  return set_member<&inet::SockOptions::priority>(c, v);
}
Result<void> set_mark(OptionCall& c, int v) {
  if (!c.is_privileged()) return err(EPERM);
  return set_member<&inet::SockOptions::mark>(c, v);
}

// --- structures
// -------------------------------------------------------------------------------------------------------

Result<size_t> get_linger(OptionCall& c) {
  return write_option(c, linger{c.options().linger_on ? 1 : 0, std::max(c.options().linger_s, 0)});
}
Result<void> set_linger(OptionCall& c) {
  const auto l = read_option<linger>(c);
  const auto o = c.own();
  if (!l || !o) return std::unexpected(l ? o.error() : l.error());
  (*o)->linger_on = l->l_onoff != 0;
  if (l->l_onoff != 0) (*o)->linger_s = l->l_linger < 0 ? INT32_MAX : l->l_linger;
  return {};
}

template <auto Member>
Result<size_t> get_timeout(OptionCall& c) {
  const Duration d = c.options().*Member;
  timeval t{};
  if (d != Duration::infinite()) t = {d.s(), d.us() % 1'000'000};
  return write_option(c, t);
}
// Zero is no time-out; a negative one is over at once.
template <auto Member>
Result<void> set_timeout(OptionCall& c) {
  const auto t = read_option<timeval>(c);
  const auto o = c.own();
  if (!t || !o) return std::unexpected(t ? o.error() : t.error());
  if (t->tv_usec < 0 || t->tv_usec >= 1'000'000) return err(EDOM);
  constexpr int64_t kLongest = 1'000'000'000;  // 31 years
  if (t->tv_sec < 0) {
    (*o)->*Member = Duration();
  } else if ((t->tv_sec == 0 && t->tv_usec == 0) || t->tv_sec > kLongest) {
    (*o)->*Member = Duration::infinite();
  } else {
    (*o)->*Member = Duration::from_s(t->tv_sec) + Duration::from_us(t->tv_usec);
  }
  return {};
}

Result<size_t> get_pacing_rate(OptionCall& c) {
  const uint64_t rate = c.options().max_pacing_rate;
  if (c.out.size() >= sizeof rate) return write_option(c, rate);
  return write_option(c, static_cast<uint32_t>(std::min<uint64_t>(rate, UINT32_MAX)));
}
Result<void> set_pacing_rate(OptionCall& c) {
  uint64_t rate = 0;
  if (c.value.size() >= sizeof rate) {
    rate = *read_option<uint64_t>(c);
  } else {
    const auto narrow = read_option<uint32_t>(c);
    if (!narrow) return std::unexpected(narrow.error());
    rate = *narrow == UINT32_MAX ? ~uint64_t{0} : *narrow;
  }
  const auto o = c.own();
  if (!o) return std::unexpected(o.error());
  (*o)->max_pacing_rate = rate;
  return {};
}

Result<void> bind_device(OptionCall& c, uint16_t ifindex) {
  if (c.sock.bound_ifindex != 0 && !c.is_privileged()) return err(EPERM);
  c.sock.bound_ifindex = ifindex;
  return {};
}
Result<void> set_device(OptionCall& c) {
  const size_t n = std::min<size_t>(c.value.size(), IFNAMSIZ - 1);
  const std::string name(reinterpret_cast<const char*>(c.value.data()),
                         strnlen(reinterpret_cast<const char*>(c.value.data()), n));
  if (name.empty()) return bind_device(c, 0);
  const ip::Netif* device = c.ip().interface(name);
  return device == nullptr ? err(ENODEV) : bind_device(c, device->ifindex());
}
Result<size_t> get_device(OptionCall& c) {
  const ip::Netif* n = c.ip().interface(c.sock.bound_ifindex);
  if (c.sock.bound_ifindex == 0 || n == nullptr) return size_t{0};
  if (c.out.size() < IFNAMSIZ) return err(EINVAL);
  const size_t size = n->name().size() + 1;
  std::memcpy(c.out.data(), n->name().c_str(), size);
  return size;
}
Result<int> get_ifindex(OptionCall& c) {
  return int{c.sock.bound_ifindex};
}
Result<void> set_ifindex(OptionCall& c, int v) {
  if (v < 0) return err(EINVAL);
  if (v > UINT16_MAX) return err(ENODEV);
  return bind_device(c, static_cast<uint16_t>(v));  // it need not be there yet
}

Result<size_t> get_cookie(OptionCall& c) {
  if (c.out.size() < sizeof(uint64_t)) return err(EINVAL);
  return write_option(c, uint64_t{c.sock.cookie});
}

Result<size_t> get_meminfo(OptionCall& c) {
  uint32_t info[SK_MEMINFO_VARS] = {};
  info[SK_MEMINFO_RCVBUF] = static_cast<uint32_t>(c.sock.rcvbuf);
  info[SK_MEMINFO_SNDBUF] = static_cast<uint32_t>(c.sock.sndbuf);
  info[SK_MEMINFO_BACKLOG] = c.sock.backlog_bytes.load(std::memory_order_relaxed);
  if (!c.is_tcp()) {
    info[SK_MEMINFO_RMEM_ALLOC] = c.file.udp().rmem;
    info[SK_MEMINFO_DROPS] = c.file.udp().drops;
  } else if (c.sock.kind == inet::Kind::kConnection && c.file.tcp().conn != nullptr) {
    const tcp::Conn& conn = *c.file.tcp().conn;
    info[SK_MEMINFO_RMEM_ALLOC] = conn.rmem_alloc;
    info[SK_MEMINFO_FWD_ALLOC] = static_cast<uint32_t>(conn.forward_alloc);
    info[SK_MEMINFO_WMEM_QUEUED] = static_cast<uint32_t>(conn.wmem_queued);
  }
  return write_option(c, info);
}

using O = inet::SockOptions;

// Of TCP only: UDP has no MSG_ZEROCOPY here.
Result<void> set_zerocopy(OptionCall& c, int v) {
  if (!c.is_tcp()) return err(ENOPROTOOPT);
  if (v < 0 || v > 1) return err(EINVAL);
  return set_member<&O::zerocopy>(c, v);
}

// --- time stamps ----------------------------------------------------------------------------------------------------

// What is not built (docs/COMPLIANCE.md), or does not exist: OPT_CMSG, OPT_STATS, OPT_PKTINFO, BIND_PHC, TX_COMPLETION.
constexpr uint32_t kBindPhc = 1 << 15;
constexpr uint32_t kStampFlags = 0x7ffff & ~(kBindPhc | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 18);

template <inet::StampUnit Unit, bool IsNew>
Result<int> get_receive_stamp(OptionCall& c) {
  return c.options().receive_stamp == Unit && c.options().stamps_are_new == IsNew ? 1 : 0;
}
template <inet::StampUnit Unit, bool IsNew>
Result<void> set_receive_stamp(OptionCall& c, int v) {
  const auto o = c.own();
  if (!o) return std::unexpected(o.error());
  (*o)->receive_stamp = v != 0 ? Unit : inet::StampUnit::kNone;
  if (v != 0) (*o)->stamps_are_new = IsNew;  // off leaves what SO_TIMESTAMPING chose
  return {};
}

Result<size_t> get_timestamping(OptionCall& c) {
  struct {
    uint32_t flags, phc;
  } value{c.options().timestamping, 0};
  if (c.name == kTimestampingNew && !c.options().stamps_are_new) value.flags = 0;
  return write_option(c, value);
}
Result<void> set_timestamping(OptionCall& c) {
  const auto flags = read_option<uint32_t>(c);
  if (!flags) return std::unexpected(flags.error());
  if ((*flags & ~kStampFlags) != 0) return err((*flags & kBindPhc) != 0 ? EOPNOTSUPP : EINVAL);
  if ((*flags & inet::kStampOptIdTcp) != 0 && (*flags & inet::kStampOptId) == 0) return err(EINVAL);
  const uint32_t old = c.options().timestamping;
  if (c.is_tcp()) {
    if (auto ok = c.tcp().set_timestamping(c.file.tcp(), old, *flags); !ok) return ok;
  } else if ((*flags & inet::kStampOptId) != 0 && (old & inet::kStampOptId) == 0) {
    c.file.udp().stamp_key = 0;
  }
  const auto o = c.own();
  if (!o) return std::unexpected(o.error());
  (*o)->timestamping = *flags;
  (*o)->stamps_are_new = c.name == kTimestampingNew;
  return {};
}

constexpr auto kMicroseconds = inet::StampUnit::kMicroseconds, kNanoseconds = inet::StampUnit::kNanoseconds;

constexpr OptionRow kRows[] = {
    {SOL_SOCKET, SO_DEBUG, "SO_DEBUG", T::kInt},
    {SOL_SOCKET, SO_REUSEADDR, "SO_REUSEADDR", T::kBool, kWorks, 0, get_reuse_address, set_reuse_address},
    {SOL_SOCKET, SO_TYPE, "SO_TYPE", T::kInt, kReadOnly, 0, get_type},
    {SOL_SOCKET, SO_ERROR, "SO_ERROR", T::kInt, kReadOnly, 0, get_error, nullptr, nullptr, nullptr, true},
    {SOL_SOCKET, SO_DONTROUTE, "SO_DONTROUTE", T::kInt},
    {SOL_SOCKET, SO_BROADCAST, "SO_BROADCAST", T::kBool, kWorks, 0, get_member<&O::broadcast>,
     set_member<&O::broadcast>},
    {SOL_SOCKET, SO_SNDBUF, "SO_SNDBUF", T::kInt, kWorks, 0, get_sndbuf, set_sndbuf},
    {SOL_SOCKET, SO_RCVBUF, "SO_RCVBUF", T::kInt, kWorks, 0, get_rcvbuf, set_rcvbuf},
    {SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE", T::kBool, kWorks, 0, get_keepalive, set_keepalive},
    {SOL_SOCKET, SO_OOBINLINE, "SO_OOBINLINE", T::kBool, kWorks, 0, get_oobinline, set_oobinline},
    {SOL_SOCKET, SO_NO_CHECK, "SO_NO_CHECK", T::kInt},
    {SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY", T::kInt, kWorks, 0, get_member<&O::priority>, set_priority},
    {SOL_SOCKET, SO_LINGER, "SO_LINGER", T::kBytes, kWorks, 0, nullptr, nullptr, get_linger, set_linger},
    {SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT", T::kBool, kWorks, 0, get_reuse_port, set_reuse_port},
    {SOL_SOCKET, SO_PASSCRED, "SO_PASSCRED", T::kInt, kFails, EOPNOTSUPP},
    {SOL_SOCKET, SO_PEERCRED, "SO_PEERCRED", T::kBytes},
    {SOL_SOCKET, SO_RCVLOWAT, "SO_RCVLOWAT", T::kInt, kWorks, 0, get_member<&O::rcvlowat>, set_rcvlowat},
    {SOL_SOCKET, SO_SNDLOWAT, "SO_SNDLOWAT", T::kInt, kReadOnly, 0, get_sndlowat},
    {SOL_SOCKET, SO_RCVTIMEO, "SO_RCVTIMEO", T::kBytes, kWorks, 0, nullptr, nullptr, get_timeout<&O::receive_timeout>,
     set_timeout<&O::receive_timeout>},
    {SOL_SOCKET, SO_SNDTIMEO, "SO_SNDTIMEO", T::kBytes, kWorks, 0, nullptr, nullptr, get_timeout<&O::send_timeout>,
     set_timeout<&O::send_timeout>},
    {SOL_SOCKET, kRcvTimeoNew, "SO_RCVTIMEO_NEW", T::kBytes, kWorks, 0, nullptr, nullptr,
     get_timeout<&O::receive_timeout>, set_timeout<&O::receive_timeout>},
    {SOL_SOCKET, kSndTimeoNew, "SO_SNDTIMEO_NEW", T::kBytes, kWorks, 0, nullptr, nullptr, get_timeout<&O::send_timeout>,
     set_timeout<&O::send_timeout>},
    {SOL_SOCKET, SO_BINDTODEVICE, "SO_BINDTODEVICE", T::kBytes, kWorks, 0, nullptr, nullptr, get_device, set_device},
    {SOL_SOCKET, SO_ATTACH_FILTER, "SO_ATTACH_FILTER", T::kBytes},
    {SOL_SOCKET, SO_DETACH_FILTER, "SO_DETACH_FILTER", T::kNone},
    {SOL_SOCKET, SO_TIMESTAMP, "SO_TIMESTAMP", T::kBool, kWorks, 0, get_receive_stamp<kMicroseconds, false>,
     set_receive_stamp<kMicroseconds, false>},
    {SOL_SOCKET, kTimestampNew, "SO_TIMESTAMP_NEW", T::kBool, kWorks, 0, get_receive_stamp<kMicroseconds, true>,
     set_receive_stamp<kMicroseconds, true>},
    {SOL_SOCKET, SO_ACCEPTCONN, "SO_ACCEPTCONN", T::kInt, kReadOnly, 0, get_acceptconn},
    {SOL_SOCKET, SO_SNDBUFFORCE, "SO_SNDBUFFORCE", T::kInt, kWorks, 0, nullptr, set_sndbuf_force},
    {SOL_SOCKET, SO_RCVBUFFORCE, "SO_RCVBUFFORCE", T::kInt, kWorks, 0, nullptr, set_rcvbuf_force},
    {SOL_SOCKET, SO_TIMESTAMPNS, "SO_TIMESTAMPNS", T::kBool, kWorks, 0, get_receive_stamp<kNanoseconds, false>,
     set_receive_stamp<kNanoseconds, false>},
    {SOL_SOCKET, kTimestampnsNew, "SO_TIMESTAMPNS_NEW", T::kBool, kWorks, 0, get_receive_stamp<kNanoseconds, true>,
     set_receive_stamp<kNanoseconds, true>},
    {SOL_SOCKET, SO_MARK, "SO_MARK", T::kInt, kWorks, 0, get_member<&O::mark>, set_mark},
    {SOL_SOCKET, SO_TIMESTAMPING, "SO_TIMESTAMPING", T::kBytes, kWorks, 0, nullptr, nullptr, get_timestamping,
     set_timestamping},
    {SOL_SOCKET, kTimestampingNew, "SO_TIMESTAMPING_NEW", T::kBytes, kWorks, 0, nullptr, nullptr, get_timestamping,
     set_timestamping},
    {SOL_SOCKET, SO_PROTOCOL, "SO_PROTOCOL", T::kInt, kReadOnly, 0, get_protocol},
    {SOL_SOCKET, SO_DOMAIN, "SO_DOMAIN", T::kInt, kReadOnly, 0, get_domain},
    {SOL_SOCKET, SO_RXQ_OVFL, "SO_RXQ_OVFL", T::kInt},
    {SOL_SOCKET, SO_PEEK_OFF, "SO_PEEK_OFF", T::kInt},
    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, "SO_SELECT_ERR_QUEUE", T::kInt},
    {SOL_SOCKET, SO_BUSY_POLL, "SO_BUSY_POLL", T::kInt},
    {SOL_SOCKET, SO_MAX_PACING_RATE, "SO_MAX_PACING_RATE", T::kUint64, kWorks, 0, nullptr, nullptr, get_pacing_rate,
     set_pacing_rate},
    {SOL_SOCKET, SO_INCOMING_CPU, "SO_INCOMING_CPU", T::kInt},
    {SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, "SO_ATTACH_REUSEPORT_CBPF", T::kBytes},
    {SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, "SO_ATTACH_REUSEPORT_EBPF", T::kInt},
    {SOL_SOCKET, kMemInfo, "SO_MEMINFO", T::kBytes, kReadOnly, 0, nullptr, nullptr, get_meminfo},
    {SOL_SOCKET, kCookie, "SO_COOKIE", T::kUint64, kReadOnly, 0, nullptr, nullptr, get_cookie},
    {SOL_SOCKET, SO_ZEROCOPY, "SO_ZEROCOPY", T::kInt, kWorks, 0, get_member<&O::zerocopy>, set_zerocopy},
    {SOL_SOCKET, SO_TXTIME, "SO_TXTIME", T::kBytes},
    {SOL_SOCKET, kBindToIfindex, "SO_BINDTOIFINDEX", T::kInt, kWorks, 0, get_ifindex, set_ifindex},
    {SOL_SOCKET, kBufLock, "SO_BUF_LOCK", T::kInt, kWorks, 0, get_buf_lock, set_buf_lock},
};

}  // namespace

std::span<const OptionRow> socket_options() {
  return kRows;
}

}  // namespace leat::socket
