// The storeys that every socket shares: SockCommon (what a table compares) → Sock (lock, owner, options, errors).
// Linux's sock_common → sock → inet_sock, cut so that an idle connection pays for little (design decision 10).
//
// Kinds before states (decision 5): one look-up yields a connection, a request, a time-wait or a listener; all of them
// begin with a SockCommon and live in type-stable slabs.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/list.h"
#include "base/spinlock.h"
#include "base/timer_wheel.h"
#include "inet/reused.h"
#include "pkt/packet.h"
#include "wire/ip_address.h"

namespace leat::inet {

enum class Kind : uint8_t { kConnection, kRequest, kTimeWait, kListener, kUdp };

// Linux's numbers (include/net/tcp_states.h).
enum class State : uint8_t {
  kEstablished = 1,
  kSynSent = 2,
  kSynRecv = 3,
  kFinWait1 = 4,
  kFinWait2 = 5,
  kTimeWait = 6,
  kClose = 7,
  kCloseWait = 8,
  kLastAck = 9,
  kListen = 10,
  kClosing = 11,
  kNewSynRecv = 12,
  kBoundInactive = 13
};

// The identity of a connection, as packets carry it and as hashes eat it. Host order. No padding surprises: hash
// functions take the fields, never the bytes.
struct FourTuple {
  IpAddress local;
  IpAddress remote;
  uint16_t local_port = 0;
  uint16_t remote_port = 0;
};

// IPv4 addresses lie in place; IPv6 ones behind the object, where `v6_addresses` of the concrete type says (both
// behind local()/remote()). The first word is the hash chain and survives a free (Slab keeps it): a reader that was
// on this object when it was freed still finds his way to some chain's end, or no way, and notices there.
//
// Who makes one: constructs it, fills it in, and stores `refs` once, from 0 to what it holds; from then on refs is
// only added to and taken from, because a reader who remembers the memory's last life may hold a reference already.
//
// The first 32 bytes are all that finding an IPv4 connection looks at. Connections lie 32 bytes apart or a multiple of
// it, so that they are in one cache line.
struct SockCommon {
  using ReadAfterFree = void;  // says so to Slab::create, which then leaves what has no initialiser as it was
  Reused<uintptr_t>
      chain;              // 0: not hashed; odd: in a slot or a chain's last; else the next SockCommon*: ehash_bucket.h
  Reused<uint32_t> refs;  // 0: free or dying; a look-up takes a reference only if it is not 0
  Reused<uint32_t> hash;  // 0: not hashed
  Reused<uint32_t> remote_v4;  // host order
  Reused<uint32_t> local_v4;
  Reused<uint16_t> local_port;  // host order
  Reused<uint16_t> remote_port;
  Reused<uint16_t> bound_ifindex;  // SO_BINDTODEVICE; 0: any
  Reused<uint8_t> addresses_are_v6;
  Kind kind = Kind::kConnection;

  Reused<uint8_t> state{7};  // State
  Reused<Family> family;     // of the socket: a v6 socket may hold v4-mapped peers, then addresses are v4
  Reused<uint8_t> v6only;
  Reused<uint8_t> reuse_address;  // SO_REUSEADDR
  Reused<uint8_t> reuse_port;     // SO_REUSEPORT
  Reused<uint8_t> v4only;         // a v6 socket bound to ::ffff:0.0.0.0: any address, but IPv4 alone
  Reused<uint16_t> v6_offset;     // bytes from this to {remote, local} of 16 bytes each, a multiple of 8; 0: no room

  State get_state() const { return static_cast<State>(state.load(std::memory_order_relaxed)); }
  IpAddress local() const { return addresses_are_v6 ? load_v6(2) : IpAddress::from_v4(local_v4); }
  IpAddress remote() const { return addresses_are_v6 ? load_v6(0) : IpAddress::from_v4(remote_v4); }
  // Same family, or either any(). A v4-mapped address becomes the IPv4 one.
  void set_addresses(const IpAddress& local, const IpAddress& remote);
  FourTuple tuple() const { return {local(), remote(), local_port, remote_port}; }
  bool matches(const FourTuple& t, uint16_t ifindex) const;  // all four, and the device when bound to one

  bool try_get() {  // Linux's refcount_inc_not_zero
    for (;;) {
      uint32_t r = refs.load(std::memory_order_acquire);  // who sees 0 sees what its owner did before
      if (r == 0) return false;
      if (swap_if(refs, r, r + 1)) return true;
    }
  }
  void get() { count_up(refs, 1u); }
  bool put() { return count_down(refs, 1u, std::memory_order_acq_rel) == 1; }  // true: the caller destroys

 private:
  // The 32 bytes of IPv6 addresses as four words: remote 0 and 1, local 2 and 3.
  std::atomic_ref<uint64_t> v6_word(size_t i) const {
    const auto at = reinterpret_cast<uintptr_t>(this) + v6_offset + i * sizeof(uint64_t);
    return std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(at));
  }
  IpAddress load_v6(size_t first) const;
  void store_v6(size_t first, const IpAddress& a);
  bool v6_equal(size_t first, const IpAddress& a) const;
};

// What has a local port: connections, listeners, time-waits, UDP sockets. Filled by inet/ports.
struct BindBucket;
struct BoundSock : SockCommon {
  ListNode bind_node;  // in its bucket's list of owners
  BindBucket* bind_bucket = nullptr;
};

// Towards the user: what the socket room learns from a transport. Called with the socket's lock held.
class SockEvents {
 public:
  virtual void on_events(uint32_t epoll_events) = 0;  // something may have become ready: EPOLLIN, EPOLLOUT, …

 protected:
  ~SockEvents() = default;
};

// SO_TIMESTAMPING's flags (SOF_TIMESTAMPING_*).
inline constexpr uint32_t kStampTxSoftware = 1 << 1, kStampRxSoftware = 1 << 3, kStampSoftware = 1 << 4,
                          kStampOptId = 1 << 7, kStampTxSched = 1 << 8, kStampTxAck = 1 << 9, kStampOptTsOnly = 1 << 11,
                          kStampOptIdTcp = 1 << 16, kStampOptRxFilter = 1 << 17;
inline constexpr uint32_t kStampTx = kStampTxSoftware | kStampTxSched | kStampTxAck;
enum class StampUnit : uint8_t { kNone, kMicroseconds, kNanoseconds };  // SO_TIMESTAMP, SO_TIMESTAMPNS

// Options that hardly any connection changes. One block is shared by all that have the same values (accepted
// connections share their listener's), and copied by the first who changes one: see Sock::own_options().
struct SockOptions {
  std::atomic<uint32_t> refs{1};
  uint8_t tos = 0;
  uint8_t ttl = 0;  // 0: the namespace's default
  uint8_t min_ttl = 0;
  uint8_t pmtu_discover = 1;  // IP_PMTUDISC_WANT
  bool freebind = false;
  bool transparent = false;
  bool bind_address_no_port = false;
  bool recv_error = false;  // IP_RECVERR
  bool broadcast = false;
  uint32_t timestamping = 0;                   // kStamp*
  StampUnit receive_stamp = StampUnit::kNone;  // what a message brings with it
  bool stamps_are_new = false;                 // SO_TIMESTAMP_NEW and its like: control messages have their numbers
  bool wants_receive_stamps() const {
    return receive_stamp != StampUnit::kNone || (timestamping & kStampSoftware) != 0;
  }
  bool auto_flow_label = true;
  uint32_t mark = 0;
  uint32_t priority = 0;        // SO_PRIORITY, any int
  uint16_t local_port_low = 0;  // IP_LOCAL_PORT_RANGE
  uint16_t local_port_high = 0;
  Duration receive_timeout = Duration::infinite();
  Duration send_timeout = Duration::infinite();
  uint64_t max_pacing_rate = ~uint64_t{0};
  int32_t rcvlowat = 1;
  int32_t linger_s = -1;  // SO_LINGER off
  bool linger_on = false;
  // TCP
  uint32_t keepidle_s = 0;  // 0: the sysctl
  uint32_t keepintvl_s = 0;
  uint8_t keepcnt = 0;
  uint8_t syncnt = 0;
  uint16_t defer_accept_s = 0;
  uint8_t save_syn = 0;
  int32_t linger2_s = 0;  // 0: tcp_fin_timeout; < 0: none
  uint32_t user_timeout_ms = 0;
  uint32_t notsent_lowat = 0;  // 0: the sysctl
  uint16_t user_mss = 0;
  uint32_t window_clamp = 0;
  uint32_t rto_max_ms = 0;  // 0: the sysctl
  uint32_t rto_min_us = 0;
  uint32_t delack_max_us = 0;
  uint8_t congestion = 0;  // index in the registry; 0: the namespace's default
  bool thin_linear_timeouts = false;
  bool fastopen_connect = false;
  bool fastopen_no_cookie = false;
  bool zerocopy = false;  // SO_ZEROCOPY
  bool inq = false;       // TCP_INQ
  // Ancillary data that recvmsg gives (kRecv*, socket/cmsg.h), kept for read-back where TCP gives none.
  uint32_t receive_flags = 0;
  bool dont_fragment6 = false;  // IPV6_DONTFRAG
};

inline constexpr uint8_t kRcvShutdown = 1, kSendShutdown = 2;
inline constexpr uint8_t kBufLockSend = 1, kBufLockReceive = 2;
inline constexpr uint8_t kBindLockAddress = 1, kBindLockPort = 2;

struct Sock : BoundSock {
  // The connection's lock. A segment that finds it taken is pushed on `backlog` and processed by the holder at
  // release (decision 4): see SockLock in inet/sock_lock.h.
  SpinLock lock;
  uint8_t error = 0;           // sk_err: given to the user once
  uint8_t soft_error = 0;      // sk_err_soft
  uint8_t shutdown = 0;        // kRcvShutdown | kSendShutdown
  uint8_t buf_lock : 2 = 0;    // kBufLock*: SO_SNDBUF / SO_RCVBUF were set by the user
  uint8_t bind_lock : 2 = 0;   // kBindLock*: the user bound it, connect() did not choose it
  bool keepalive : 1 = false;  // SO_KEEPALIVE
  bool oob_inline : 1 = false;
  std::atomic<Packet*> backlog{nullptr};
  SockEvents* events = nullptr;  // the file; nullptr once closed (an orphan)
  SockOptions* options = nullptr;
  int32_t sndbuf = 0;
  int32_t rcvbuf = 0;
  uint32_t cookie = 0;
  std::atomic<uint32_t> backlog_bytes{0};
};

}  // namespace leat::inet
