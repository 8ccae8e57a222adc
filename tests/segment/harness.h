// One host on a memory link; the test is everybody else. It sends segments, says which it expects, and turns the clock.
//
//   peer.syn();                              // SYN, seq 0
//   peer.expect(Seg("S.", 0, 1));            // numbers are relative to each end's first, as tcpdump shows them
//   peer.send(Seg(".", 1, 1));
//   const int fd = accept();
//   peer.send(Seg("P.", 1, 1, 1000));        // 1000 bytes of the stream's pattern
//   peer.expect(Seg(".", 1, 1001));
//
// Both ends' first sequence numbers lie just below 2^32: the peer's by choice, the host's because the clock is set to
// where the keyed hash gives that. A state is reached only by segments and by the user's calls, and seen only through
// getsockopt and diag. Every segment that leaves is parsed, its checksums are verified and its payload is compared with
// what the user wrote; a test fails when one is left over, or when an object or a packet is left at its end.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "inet/sock.h"
#include "leat/socket.h"
#include "leat/stack.h"
#include "link/link.h"
#include "pkt/packet.h"
#include "tcp/info.h"
#include "wire/tcp.h"

namespace leat::segment {

using inet::State;

inline constexpr uint16_t kHostPort = 80;
inline constexpr uint16_t kPeerPort = 5000;
inline constexpr uint32_t kPeerIsn = 0xffffff00;  // 256 bytes before the wrap
inline constexpr uint32_t kHostIss = 0xfffffe00;  // 512 bytes before it

// A segment in relative numbers. What is not set is not sent, or not looked at; SACK blocks are always looked at.
struct Seg {
  Seg() = default;
  // flags as tcpdump writes them: "S", "S.", ".", "P.", "F.", "R", "R.", "FP.", with U, E and W for URG, ECE and CWR.
  Seg(const char* f, uint32_t s, uint32_t a = 0, uint32_t n = 0) : flags(f), seq(s), ack(a), length(n) {}

  Seg& win(uint16_t w) { return window = w, *this; }
  Seg& sack(std::vector<wire::SackBlock> b) { return sacks = std::move(b), *this; }
  Seg& ts(uint32_t val, uint32_t ecr) { return has_ts = true, tsval = val, tsecr = ecr, *this; }
  Seg& no_ts() { return without_ts = true, *this; }
  Seg& mss(uint16_t m) { return mss_option = m, *this; }
  Seg& ws(int w) { return wscale = w, *this; }
  Seg& sack_ok() { return sack_permitted = true, *this; }
  Seg& bytes(std::string d) { return length = static_cast<uint32_t>(d.size()), data = std::move(d), *this; }
  Seg& urg(uint16_t u) { return urgent = u, *this; }
  // The Fast Open option; without bytes the request for a cookie.
  Seg& fo(const std::vector<uint8_t>& bytes = {}, bool experimental = false);
  Seg& no_fo() { return without_fo = true, *this; }
  Seg& raw(std::vector<uint8_t> o) { return raw_options = std::move(o), *this; }

  std::string flags;
  uint32_t seq = 0;
  uint32_t ack = 0;
  uint32_t length = 0;
  std::optional<std::string> data;  // else the stream's pattern
  std::optional<uint16_t> window;   // as on the wire
  std::vector<wire::SackBlock> sacks;
  bool has_ts = false, without_ts = false;
  uint32_t tsval = 0, tsecr = 0;
  std::optional<uint16_t> mss_option;
  std::optional<int> wscale;
  bool sack_permitted = false;
  std::optional<uint16_t> urgent;
  uint32_t flow_label = 0;  // of what came from the host; IPv6
  std::optional<wire::FastOpenCookie> cookie;
  bool without_fo = false;
  std::vector<uint8_t> raw_options;  // instead of all others; padded with zeros
  Time at;                           // of a received one: when it left
};

// What a stream carries at a relative sequence number (the first byte has 1), either way.
std::string stream(uint32_t seq, size_t n);

class Harness;

// The far end of one connection.
class Peer {
 public:
  Peer(Harness& h, uint16_t p, uint16_t hp) : port(p), host_port(hp), harness_(h) {}

  // What it says by default; change before its SYN.
  uint16_t mss = 1000;
  bool sack = true;
  int wscale = -1;          // -1: no option
  bool timestamps = false;  // then every segment has one: tsval from the clock, tsecr what the host said last
  uint16_t window = 65535;
  const uint16_t port;
  const uint16_t host_port;
  uint32_t isn = kPeerIsn;
  std::optional<uint32_t> host_iss;  // known from the host's first SYN

  void send(const Seg& s);
  void send_damaged(const Seg& s);                           // with a wrong checksum
  void send_with_offset(const Seg& s, uint8_t data_offset);  // the header's length as told, the checksum right
  void syn();                                                // SYN, seq 0, with all options
  void synack();                                             // SYN and ACK of the host's SYN
  // The next segment that the host has sent must be this one; gives it.
  Seg expect(const Seg& s);
  // Nothing for so long, and then this one (to the millisecond). The clock stays there.
  Seg expect_after(Duration d, const Seg& s);
  void expect_nothing();
  void expect_nothing_for(Duration d);
  void expect_reset(uint32_t seq) { expect(Seg("R", seq)); }
  bool has_sent() const { return !received_.empty(); }
  std::optional<Seg> next();                           // the next one, whatever it is
  std::vector<Seg> drain();                            // all that there are
  uint32_t clock() const;                              // of its timestamps
  uint32_t last_tsval() const { return last_tsval_; }  // the host's

 private:
  friend class Harness;
  struct Received {
    Seg seg;
    std::vector<uint8_t> packet;
  };
  void receive(const std::vector<uint8_t>& packet, const wire::TcpHeader& h, ByteView payload);
  std::vector<uint8_t> to_packet(const Seg& s, bool from_host) const;
  std::string compare(const Seg& expected, const Received& actual) const;
  void report(const std::string& why, const std::string& expected, const std::string& actual) const;
  void fill_defaults(Seg& s) const;

  Harness& harness_;
  std::deque<Received> received_;
  uint32_t last_tsval_ = 0;
};

class Harness : public testing::Test {
 protected:
  explicit Harness(Family f, StackConfig config = {});
  ~Harness() override;
  void TearDown() override;

 public:
  // --- the host's user: not blocking, and what came of it has left when the call returns ----------------------------
  int socket();
  int listen(int backlog = 128, uint16_t port = kHostPort);
  int accept(int listener = -1);  // of the last listen(); the test fails when there is none
  bool can_accept(int listener = -1);
  int connect_to(Peer& p, int fd = -1);             // SYN has left, not yet expected; a new socket when fd is -1
  size_t write(int fd, size_t n, int flags = 0);    // the next n bytes of its stream; what was taken
  std::string read(int fd, size_t most = 1 << 20);  // what there is
  int read_error(int fd);                           // errno; 0: data; -1: the end of the stream
  int write_error(int fd);
  int error(int fd);  // SO_ERROR
  void shutdown(int fd, int how);
  void close(int fd);
  void set(int fd, int level, int name, int value);
  void set_linger(int fd, bool on, int seconds);
  tcp::TcpInfo info(int fd);
  short events(int fd);  // poll(2)

  // --- from nothing to a state ---------------------------------------------------------------------------------------
  int establish();  // passive; the peer's SYN with its options
  int establish(Peer& p);
  int establish_active();  // the host's connect()
  int establish_active(Peer& p);
  // Of the default peer. A fd, or -1 where the user has closed or there is none. States of requests and time-waits
  // included; kListen leaves only the listener.
  int reach(State s);
  State state(const Peer& p);  // kClose: there is nothing for its ports
  State state() { return state(peer); }

  // --- time and wire -------------------------------------------------------------------------------------------------
  void settle();  // until nothing happens at this time any more
  void advance(Duration d);
  void inject(const std::vector<uint8_t>& ip_packet);
  Peer& new_peer(uint16_t port, uint16_t host_port = kHostPort);
  uint64_t counter(const char* name) const { return stack_->counter(name); }
  size_t packets() const;  // that exist anywhere: queues of the host, and what it holds of ours
  size_t connections() const;
  size_t requests() const;
  size_t time_waits() const;
  std::string traces() const;
  Stack& stack() { return *stack_; }
  bool is_v6() const { return family == Family::kIpv6; }
  uint32_t headers() const { return is_v6() ? 60 : 40; }
  Result<void> sysctl(const char* name, const char* value) { return stack_->set_sysctl(name, value); }
  Endpoint host_endpoint(uint16_t port = kHostPort) const;
  Endpoint peer_endpoint(uint16_t port) const;

  const Family family;
  Time now;

 private:
  friend class Peer;
  void collect();
  void dispatch(std::vector<uint8_t> packet);
  void set_clock();

  PacketPool pool_;  // the test's packets; outlives the Stack, which holds some
  std::unique_ptr<Stack> stack_;
  std::unique_ptr<Link> link_;  // our end
  std::map<uint16_t, std::unique_ptr<Peer>> peers_;
  std::map<int, uint32_t> written_;
  int listener_ = -1;

 public:
  std::deque<std::vector<uint8_t>> others;  // packets that are no TCP segments to a known peer
  Peer& peer;
};

// Tests of both families: struct OpenTest : SegmentTest {}; LEAT_BOTH_FAMILIES(OpenTest); TEST_P(OpenTest, …).
class SegmentTest : public Harness, public testing::WithParamInterface<Family> {
 protected:
  SegmentTest() : Harness(GetParam()) {}
  explicit SegmentTest(StackConfig config) : Harness(GetParam(), std::move(config)) {}
};

// … and of some states each: GetParam() is {family, state}.
using FamilyAndState = std::tuple<Family, State>;
class StateTest : public Harness, public testing::WithParamInterface<FamilyAndState> {
 protected:
  StateTest() : Harness(std::get<0>(GetParam())) {}
  State wanted() const { return std::get<1>(GetParam()); }
};

std::string name_of(State s);
std::string name_of_family(const testing::TestParamInfo<Family>& i);
std::string name_of_both(const testing::TestParamInfo<FamilyAndState>& i);

#define LEAT_BOTH_FAMILIES(suite) \
  INSTANTIATE_TEST_SUITE_P(, suite, testing::Values(Family::kIpv4, Family::kIpv6), name_of_family)
#define LEAT_STATES(suite, ...)                                                                               \
  INSTANTIATE_TEST_SUITE_P(                                                                                   \
      , suite, testing::Combine(testing::Values(Family::kIpv4, Family::kIpv6), testing::Values(__VA_ARGS__)), \
      name_of_both)

}  // namespace leat::segment
