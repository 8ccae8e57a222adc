// TCP of one namespace: what the socket room calls, and what the rooms of tcp share.
//
// Thread rule: any thread may call any function; each locks the socket that it is given (SockLock). Nothing blocks:
// what would is EAGAIN or EINPROGRESS, and the file is told by SockEvents when it is worth trying again.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <memory>
#include <span>

#include "base/slab.h"
#include "base/timer_wheel.h"
#include "inet/ports.h"
#include "inet/sock_options.h"
#include "inet/tables.h"
#include "inet/tuple_hash.h"
#include "ip/ip.h"
#include "tcp/conn.h"
#include "tcp/dormant.h"

namespace leat::tcp {

// What recv tells besides the bytes.
struct ReceiveInfo {
  bool is_oob = false;   // MSG_OOB out
  bool has_inq = false;  // TCP_INQ asked for
  uint32_t inq = 0;
  Time received;  // when the last packet of what was read came; zero: none was
};

struct Destination {
  IpAddress address;
  uint16_t port = 0;
};

struct OpenWithData {
  size_t copied = 0;  // went with the SYN
  int error = 0;      // 0: connected. EINPROGRESS, EALREADY: being connected; or why it cannot be
};

struct ZeroCopyRange {  // numbers of sends, both included
  uint32_t first = 0;
  uint32_t last = 0;
};

struct Counts {  // /proc/net/sockstat, ss -s
  std::atomic<uint64_t> orphans{0};
  std::atomic<uint64_t> time_waits{0};
  std::atomic<uint64_t> allocated{0};
  std::atomic<int64_t> memory_pages{0};
  std::atomic<bool> under_pressure{false};
  std::atomic<int64_t> pressure_since_ms{0};
};

class Tcp final : public ip::Transport {
 public:
  struct Config {
    uint32_t ehash_entries = 65536;
  };
  Tcp(Netns& ns, PacketPool& pool, ip::Ip& ip, const Config& config);
  ~Tcp() override;

  // --- the user's calls: POSIX names and errnos, without blocking -------------------------------------------------
  Result<TcpSock*> create(Family family);  // one reference, the caller's. ENOMEM, EAFNOSUPPORT
  Result<void> bind(TcpSock& s, const IpAddress& address, uint16_t port, bool privileged);
  Result<void> listen(TcpSock& s, int backlog);
  Result<TcpSock*> accept(TcpSock& listener);  // one reference; EAGAIN, EINVAL, or the socket's error
  Result<void> connect(TcpSock& s, const IpAddress& address, uint16_t port);  // EINPROGRESS while the SYN is out
  Result<void> disconnect(TcpSock& s);                                        // connect(AF_UNSPEC)
  Result<size_t> send(TcpSock& s, std::span<const iovec> data, int flags);  // EINPROGRESS: open_with_data is to be used
  // Fast Open: connects (`to` is looked at if it is not connecting yet) with as much of the data as the SYN takes.
  OpenWithData open_with_data(TcpSock& s, const Result<Destination>& to, std::span<const iovec> data);
  // MSG_ZEROCOPY: one send is done with the user's memory. Its number goes to the error queue, where SO_ZEROCOPY is on.
  void complete_zerocopy(TcpSock& s);
  Result<ZeroCopyRange> take_zerocopy(TcpSock& s);                          // MSG_ERRQUEUE; EAGAIN
  Result<StampReport> take_stamp(TcpSock& s);                               // the same, of SO_TIMESTAMPING
  Result<void> set_timestamping(TcpSock& s, uint32_t old, uint32_t flags);  // with its lock held; EINVAL
  void count_pending_write(TcpSock& s, bool begins);  // a writer waits for the connection to be made
  void flush_metrics();                               // `ip tcp_metrics flush all`
  Result<size_t> receive(TcpSock& s, std::span<const iovec> into, int flags, ReceiveInfo* info);
  Result<void> shutdown(TcpSock& s, int how);  // SHUT_RD, SHUT_WR, SHUT_RDWR
  // The file is gone. The connection goes on closing as an orphan; the caller's reference is given up. With SO_LINGER
  // the socket room waits first (is_closed_for_linger) and calls this afterwards.
  void close(TcpSock& s);
  void release(TcpSock& s);                         // drops a reference
  uint32_t poll_events(TcpSock& s);                 // EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLPRI
  int take_error(TcpSock& s);                       // SO_ERROR: read and cleared
  void attach(TcpSock& s, inet::SockEvents* file);  // who is told of events
  bool has_unsent_data(TcpSock& s);                 // for SO_LINGER
  // SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK. EINVAL on a listener.
  Result<int> ioctl(TcpSock& s, unsigned long request);
  // IPPROTO_TCP level; SOL_SOCKET and IP levels are in the socket room. ENOPROTOOPT, EINVAL, …
  Result<void> set_option(TcpSock& s, int name, std::span<const uint8_t> value);
  Result<size_t> get_option(TcpSock& s, int name, std::span<uint8_t> value);  // bytes written
  // The user changed SO_SNDBUF, SO_RCVBUF, SO_RCVLOWAT, SO_KEEPALIVE, SO_MAX_PACING_RATE, TOS, …: act on it.
  void on_option_changed(TcpSock& s, int level, int name);
  Result<void> destroy(TcpSock& s, int error);  // SOCK_DESTROY (ss -K): ECONNABORTED

  // --- the turn ---------------------------------------------------------------------------------------------------
  void on_packet(PacketPtr&& packet, const ip::PacketInfo& info) override;
  void expect(std::span<Packet* const> frames, uint32_t link_header_bytes) override;
  void on_icmp_error(const ip::IcmpError& e) override;
  bool recognizes(const ip::IcmpError& e) override;
  void on_time(Time now);  // fires what is due
  Time next_deadline() const;
  void end_turn();          // frees what died, grows tables
  bool give_memory_back();  // of a burst that is over, asked once a second; true: there will be more

  uint32_t jiffy_mask = ~0u;  // see cc::Sender

  // --- shared by the rooms of tcp ---------------------------------------------------------------------------------
  Time now() const { return ns.now(); }
  void count(Mib m, uint64_t n = 1) { ns.count(m, n); }
  void destroy_sock(TcpSock& s);  // the last reference is gone

  Netns& ns;
  PacketPool& pool;
  ip::Ip& ip;
  inet::EstablishedTable established;
  inet::ListenTable listeners;
  inet::Ports ports;
  // One wheel a kind of object, so that a timer knows whose it is.
  TimerWheel wheel;            // TcpSock::timer
  TimerWheel request_wheel;    // Request::timer
  TimerWheel time_wait_wheel;  // TimeWait::timer
  Counts counts;
  // Keyed secrets: initial sequence numbers and timestamp offsets (RFC 6528), SYN cookies.
  inet::SecretHash isn_hash;
  inet::SecretHash ts_hash;
  SipKey syncookie_keys[2];
  inet::OptionsCache options_cache;
  inet::SockOptions* default_options;          // what a socket is created with; shared until it changes one
  std::atomic<uint8_t> default_congestion{0};  // index in the registry (tcp_congestion_control)
  std::atomic<bool> paces_all{false};          // net.core.default_qdisc is fq
  std::atomic<uint32_t> challenge_timestamp{0};
  std::atomic<uint32_t> challenge_count{0};

  Slab<TcpSock> socks;
  Slab<TcpSock6> socks6;
  Slab<Conn> conns;
  DormantSlabs dormants;
  Slab<Request> requests;
  Slab<Request6> requests6;
  Slab<TimeWait> time_waits;
  Slab<TimeWait6> time_waits6;
  std::unique_ptr<struct FastOpen> fastopen;  // fastopen.cpp
};

void register_sysctls(Tcp& tcp);  // sysctl.cpp: those that are words

}  // namespace leat::tcp
