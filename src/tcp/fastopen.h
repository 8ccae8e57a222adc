// TCP Fast Open (RFC 7413): data in the SYN, for a client that shows a cookie which the server gave it earlier.
//
//   server  fastopen.cpp         keys, cookies, the limit of connections that began so and are not yet confirmed
//           fastopen_child.cpp   a connection in SYN_RECV that has data already and may send; its Request stays with it
//   client  fastopen_client.cpp  which SYN carries what, what its SYN-ACK means, when middleboxes are to be feared
//           fastopen_cache.h     cookies by destination
//
// Names follow Linux's fastopen_queue, fastopen_rsk, fastopen_req, tcp_fastopen_context.
#pragma once

#include <sys/uio.h>

#include <span>
#include <string>
#include <string_view>

#include "tcp/fastopen_cache.h"
#include "tcp/passive.h"

namespace leat::tcp {

// Bits of net.ipv4.tcp_fastopen.
inline constexpr int kFastOpenClient = 1, kFastOpenServer = 2, kFastOpenClientNoCookie = 4,
                     kFastOpenServerNoCookie = 0x200, kFastOpenAllListeners = 0x400;

// TCP_INFO's tcpi_fastopen_client_fail: why the SYN's data did not get through.
enum class FastOpenFail : uint8_t { kNone, kCookieUnavailable, kDataNotAcked, kSynRetransmitted };

// The first key makes cookies, both recognise them: so a key can be changed without a moment at which old cookies fail.
struct FastOpenKeys {
  uint8_t count = 0;
  std::array<SipKey, 2> keys{};
};

// What a listener and the unconfirmed connections of it share; it outlives the listener while one of them has it.
// A connection that a RST ended counts for a minute more, so that a flood of spoofed SYNs and RSTs stays bounded too.
struct FastOpenQueue {
  std::atomic<uint32_t> refs{1};
  mutable SpinLock lock;  // all below, and Request::is_accepted of the queue's requests
  uint32_t max_qlen = 0;  // TCP_FASTOPEN; 0: off
  uint32_t qlen = 0;
  FastOpenKeys keys;  // TCP_FASTOPEN_KEY; count 0: the namespace's
  List<Request, &Request::in_listener> reset;
};

// Of a namespace.
struct FastOpen {
  explicit FastOpen(Rng& rng) : cache(rng) {}
  SpinLock lock;
  FastOpenKeys keys;  // net.ipv4.tcp_fastopen_key; made up at the first use
  std::atomic<uint32_t> blackhole_timeout_s{0};
  std::atomic<uint32_t> disabled_times{0};
  std::atomic<uint32_t> disabled_at{0};  // jiffies
  FastOpenCache cache;
};

// --- server: fastopen.cpp ---
void put_queue(FastOpenQueue* q);
Result<void> set_fastopen_queue(Conn& c, uint32_t limit);  // TCP_FASTOPEN
Result<void> set_fastopen_keys(Conn& c, std::span<const uint8_t> keys);
size_t get_fastopen_keys(Conn& c, std::span<uint8_t> out);
void use_fastopen_keys(Tcp& tcp);  // makes them up when there are none
wire::FastOpenCookie make_cookie(const SipKey& key, const inet::FourTuple& t);
// A SYN with data or a cookie: the child, locked and with a reference, or nullptr: an ordinary request is to be made.
// `cookie` is what the SYN brought, and then what its SYN-ACK gives.
TcpSock* try_fastopen(Tcp& tcp, TcpSock& listener, Request& r, Segment& seg, wire::FastOpenCookie& cookie);
// The handshake of a child is over, one way or the other: its request goes (reqsk_fastopen_remove).
void remove_fastopen_request(Conn& c, bool was_reset);
void note_accepted(FastOpenQueue* q, Conn& child);     // by accept(2); q is the listener's
bool is_accepted(const Conn& c);                       // a child that is not confirmed, and has a user
void forget_reset_requests(Tcp& tcp, Conn& listener);  // it closes
std::string print_fastopen_keys(Tcp& tcp);
Result<void> parse_fastopen_keys(Tcp& tcp, std::string_view text);

// --- server: fastopen_child.cpp ---
TcpSock* make_fastopen_child(Tcp& tcp, TcpSock& listener, Request& r, Segment& seg);
void queue_syn_data(Conn& c, Segment& seg);  // tcp_fastopen_add_skb, also for what a SYN-ACK brings
// A segment for a child whose handshake goes on. true: it may be processed like any other.
bool check_fastopen_segment(Conn& c, Segment& seg);
void on_synack_timer(Conn& c);
void finish_fastopen(Conn& c);

// --- client: fastopen_client.cpp ---
// What a SYN is to carry (Linux's tcp_fastopen_request).
struct SynData {
  std::span<const iovec> data;
  size_t size = 0;
  size_t copied = 0;            // gone with the SYN
  wire::FastOpenCookie cookie;  // present: the option is sent
};
// Whether data may go with a SYN now, with which cookie and within which MSS.
bool check_cookie(Conn& c, uint16_t& mss, wire::FastOpenCookie& cookie);
bool may_defer_connect(Conn& c);  // TCP_FASTOPEN_CONNECT
int send_fastopen_syn(Conn& c, TxSegment& syn, SynData& data);
// The SYN-ACK of a Fast Open. true: data are to be sent again, and the segment's own is not wanted yet.
bool on_fastopen_synack(Conn& c, Segment& seg);
void disable_fastopen(Conn& c);
void detect_blackhole(Conn& c, bool expired);
void check_blackhole_at_end(Conn& c);
void set_blackhole_timeout(Tcp& tcp, uint32_t seconds);

}  // namespace leat::tcp
