// The Harness: clock, link, and the host's user. Peer and segments: peer.cpp.
#include "segment/harness.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "diag/snapshot.h"
#include "link/memory_link.h"
#include "stack/stack_impl.h"
#include "tcp/doors.h"
#include "wire/checksum.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/print.h"

namespace leat::segment {
namespace {

constexpr const char* kHost4 = "10.0.0.1";
constexpr const char* kHost6 = "fd00::1";
constexpr const char* kPeer4 = "10.0.0.2";
constexpr const char* kPeer6 = "fd00::2";

StackConfig with_defaults(StackConfig c) {
  if (c.seed == decltype(c.seed){}) c.seed.fill(7);
  c.ehash_entries = 64;  // a test has few connections, and a table of its own
  return c;
}

}  // namespace

std::string stream(uint32_t seq, size_t n) {
  std::string s(n, '\0');
  for (size_t i = 0; i < n; ++i) {
    const auto at = static_cast<uint32_t>(seq + i);
    s[i] = static_cast<char>(at * 131 + (at >> 8) * 17 + (at >> 16) * 29);
  }
  return s;
}

Harness::Harness(Family f, StackConfig config)
    : family(f), stack_(Stack::create(with_defaults(std::move(config))).value()), peer(new_peer(kPeerPort)) {
  stack_->impl().ns.start_tracing();
  MemoryPairOptions options;
  options.verifies_checksums = false;
  options.takes_partial_checksums = false;
  options.max_gso_bytes = 0;
  options.queue_packets = 1 << 20;
  auto [theirs, ours] = make_memory_pair(options);
  link_ = std::move(ours);
  const int ifindex = stack_->add_link("mem0", std::move(theirs)).value();
  EXPECT_TRUE(stack_->add_address(ifindex, std::string(is_v6() ? kHost6 : kHost4) + (is_v6() ? "/64" : "/24")));
  set_clock();
  settle();
  others.clear();  // what an interface says when it gets an address
}

Harness::~Harness() = default;

// The clock starts where select_iss gives kHostIss for the default peer.
void Harness::set_clock() {
  const auto address = [this](const char* v4, const char* v6) { return IpAddress::parse(is_v6() ? v6 : v4).value(); };
  const inet::FourTuple t{address(kHost4, kHost6), address(kPeer4, kPeer6), kHostPort, kPeerPort};
  now = Time::from_ns(0);
  const uint32_t at_zero = tcp::select_iss(stack_->impl().tcp, t);
  now = Time::from_ns(static_cast<int64_t>(kHostIss - at_zero) << 6);
  if (now < Time::from_ns(0) + Duration::from_s(10)) now = now + Duration::from_ns(int64_t{1} << 38);  // a whole turn
}

// Everything that is still there must end by itself within an hour, without an answer from anybody.
void Harness::TearDown() {
  for (auto& [port, p] : peers_) {
    if (!HasFailure() && p->has_sent()) {
      ADD_FAILURE() << "left over for port " << port << ": " << wire::to_string_packet(p->received_.front().packet)
                    << "\n"
                    << traces();
    }
  }
  for (int fd = 0; fd < 64; ++fd)
    (void)stack_->close(fd);
  advance(Duration::from_s(3600));
  EXPECT_EQ(connections(), 0u);
  EXPECT_EQ(requests(), 0u);
  EXPECT_EQ(time_waits(), 0u);
  EXPECT_EQ(packets(), 0u) << "packets were not given back";
}

// ---- time and wire ----

void Harness::settle() {
  for (int i = 0; i < 1000; ++i) {
    const bool more = stack_->poll(now);
    collect();
    if (!more && stack_->next_deadline() > now) return;
  }
  ADD_FAILURE() << "no rest at " << now.ns() << "\n" << traces();
}

void Harness::advance(Duration d) {
  const Time end = now + d;
  settle();
  for (int i = 0; i < 1000000; ++i) {
    const Time next = stack_->next_deadline();
    if (next > end) break;
    now = std::max(now, next);
    settle();
  }
  now = end;
  settle();
}

void Harness::collect() {
  Packet* batch[64];
  while (const size_t n = link_->receive_batch(batch, pool_, now)) {
    for (size_t i = 0; i < n; ++i) {
      const PacketPtr p(batch[i]);
      std::vector<uint8_t> bytes(p->length);
      p->copy_out(0, bytes.data(), p->length);
      dispatch(std::move(bytes));
    }
  }
}

void Harness::dispatch(std::vector<uint8_t> packet) {
  ByteView payload;
  IpAddress src, dst;
  uint8_t protocol = 0;
  if (auto h4 = wire::check_ipv4(packet, static_cast<uint32_t>(packet.size())); h4) {
    src = h4->src, dst = h4->dst, protocol = h4->protocol;
    payload = ByteView(packet).subspan(h4->header_length);
  } else if (auto h6 = wire::parse_ipv6(packet); h6) {
    src = h6->src, dst = h6->dst, protocol = h6->next_header;
    payload = ByteView(packet).subspan(wire::kIpv6HeaderBytes);
  } else {
    ADD_FAILURE() << "not an IP packet: " << wire::to_string_packet(packet);
    return;
  }
  const auto h = protocol == 6 ? wire::parse_tcp(payload) : std::nullopt;
  const auto to = h ? peers_.find(h->dst_port) : peers_.end();
  if (to == peers_.end() || to->second->host_port != h->src_port) {
    others.push_back(std::move(packet));
    return;
  }
  const uint64_t sum = wire::pseudo_header_sum(src, dst, 6, static_cast<uint32_t>(payload.size()));
  EXPECT_EQ(wire::checksum_fold(wire::checksum_add(sum, payload)), 0) << "TCP checksum";
  const ByteView text = payload.subspan(h->header_length);
  to->second->receive(packet, *h, text);
}

void Harness::inject(const std::vector<uint8_t>& ip_packet) {
  PacketPtr p = pool_.make_copy(ip_packet);
  ASSERT_NE(p, nullptr);
  Packet* one = p.release();
  link_->transmit_batch({&one, 1}, now);
  settle();
}

Peer& Harness::new_peer(uint16_t port, uint16_t host_port) {
  auto& slot = peers_[port];
  slot = std::make_unique<Peer>(*this, port, host_port);
  return *slot;
}

// ---- what there is ----

size_t Harness::packets() const {
  return pool_.packets_in_use() + stack_->impl().pool.packets_in_use();
}
size_t Harness::connections() const {
  return stack_->impl().tcp.conns.in_use();
}
size_t Harness::requests() const {
  return stack_->impl().tcp.requests.in_use() + stack_->impl().tcp.requests6.in_use();
}
size_t Harness::time_waits() const {
  return stack_->impl().tcp.time_waits.in_use() + stack_->impl().tcp.time_waits6.in_use();
}

State Harness::state(const Peer& p) {
  for (const diag::SocketRow& row : diag::snapshot(*stack_)) {
    if (!row.is_udp && row.remote_port == p.port && row.local_port == p.host_port) return row.state;
  }
  return State::kClose;
}

std::string Harness::traces() const {
  static constexpr const char* kKinds[] = {"none",    "in",    "out",        "drop", "state",
                                           "castate", "timer", "retransmit", "undo", "cwnd"};
  std::string text = "last events (time before now, kind, numbers):\n";
  for (const TraceEvent& e : stack_->impl().ns.last_traces(24)) {
    char line[200];
    const auto kind = static_cast<size_t>(e.kind);
    if (e.kind == TraceKind::kDrop) {
      std::snprintf(line, sizeof line, "  -%lld us drop %s\n", static_cast<long long>((now - e.at).us()),
                    drop_reason_name(static_cast<DropReason>(e.a8)));
    } else {
      std::snprintf(line, sizeof line, "  -%lld us %s %#x %u: %u %u %u\n", static_cast<long long>((now - e.at).us()),
                    kKinds[kind], e.a8, e.a16, e.a, e.b, e.c);
    }
    text += line;
  }
  return text;
}

Endpoint Harness::host_endpoint(uint16_t port) const {
  return Endpoint::parse(is_v6() ? kHost6 : kHost4, port).value();
}
Endpoint Harness::peer_endpoint(uint16_t port) const {
  return Endpoint::parse(is_v6() ? kPeer6 : kPeer4, port).value();
}

// ---- the user ----

int Harness::socket() {
  return stack_->socket(is_v6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).value();
}

int Harness::listen(int backlog, uint16_t port) {
  const int fd = socket();
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  const Endpoint at = host_endpoint(port);
  EXPECT_TRUE(stack_->bind(fd, at.data(), at.length()));
  EXPECT_TRUE(stack_->listen(fd, backlog));
  return listener_ = fd;
}

int Harness::accept(int listener) {
  const auto fd = stack_->accept4(listener < 0 ? listener_ : listener, nullptr, nullptr, SOCK_NONBLOCK);
  EXPECT_TRUE(fd) << "accept: errno " << to_int(fd.error()) << "\n" << traces();
  settle();
  return fd.value_or(-1);
}

bool Harness::can_accept(int listener) {
  return (events(listener < 0 ? listener_ : listener) & POLLIN) != 0;
}

int Harness::connect_to(Peer& p, int fd) {
  if (fd < 0) fd = socket();
  const Endpoint from = host_endpoint(p.host_port);
  const Endpoint to = peer_endpoint(p.port);
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  EXPECT_TRUE(stack_->bind(fd, from.data(), from.length()));
  EXPECT_EQ(stack_->connect(fd, to.data(), to.length()).error(), Errno{EINPROGRESS});
  settle();
  return fd;
}

size_t Harness::write(int fd, size_t n, int flags) {
  uint32_t& at = written_.try_emplace(fd, 1).first->second;
  const std::string text = stream(at, n);
  const auto done = stack_->send(fd, text.data(), n, flags);
  at += static_cast<uint32_t>(done.value_or(0));
  settle();
  return done.value_or(0);
}

std::string Harness::read(int fd, size_t most) {
  std::string all;
  while (all.size() < most) {
    char buffer[65536];
    const auto n = stack_->recv(fd, buffer, std::min(most - all.size(), sizeof buffer), 0);
    if (n.value_or(0) == 0) break;
    all.append(buffer, *n);
  }
  settle();
  return all;
}

int Harness::read_error(int fd) {
  char byte;
  const auto n = stack_->recv(fd, &byte, 1, 0);
  settle();
  if (!n) return to_int(n.error());
  return *n == 0 ? -1 : 0;
}

int Harness::write_error(int fd) {
  const auto n = stack_->send(fd, "x", 1, 0);
  settle();
  return n ? 0 : to_int(n.error());
}

int Harness::error(int fd) {
  int e = -1;
  socklen_t length = sizeof e;
  EXPECT_TRUE(stack_->getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &length));
  return e;
}

void Harness::shutdown(int fd, int how) {
  EXPECT_TRUE(stack_->shutdown(fd, how));
  settle();
}

void Harness::close(int fd) {
  EXPECT_TRUE(stack_->close(fd));
  written_.erase(fd);
  settle();
}

void Harness::set(int fd, int level, int name, int value) {
  EXPECT_TRUE(stack_->setsockopt(fd, level, name, &value, sizeof value)) << "option " << level << "/" << name;
}

void Harness::set_linger(int fd, bool on, int seconds) {
  const linger l{on ? 1 : 0, seconds};
  EXPECT_TRUE(stack_->setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
}

tcp::TcpInfo Harness::info(int fd) {
  tcp::TcpInfo i{};
  socklen_t length = sizeof i;
  EXPECT_TRUE(stack_->getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &length));
  return i;
}

short Harness::events(int fd) {
  pollfd p{fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
  EXPECT_TRUE(stack_->poll(&p, 1, 0));
  return p.revents;
}

// ---- states ----

int Harness::establish() {
  return establish(peer);
}

int Harness::establish(Peer& p) {
  if (listener_ < 0) listen(128, p.host_port);
  p.syn();
  p.expect(Seg("S.", 0, 1));
  p.send(Seg(".", 1, 1));
  p.expect_nothing();
  return accept();
}

int Harness::establish_active() {
  return establish_active(peer);
}

int Harness::establish_active(Peer& p) {
  const int fd = connect_to(p);
  p.expect(Seg("S", 0));
  p.synack();
  p.expect(Seg(".", 1, 1));
  EXPECT_EQ(error(fd), 0);
  return fd;
}

int Harness::reach(State s) {
  switch (s) {
    case State::kListen:
      return listen();
    case State::kNewSynRecv:
      listen();
      peer.syn();
      peer.expect(Seg("S.", 0, 1));
      return -1;
    case State::kSynSent: {
      const int fd = connect_to(peer);
      peer.expect(Seg("S", 0));
      return fd;
    }
    case State::kSynRecv: {  // crossed SYNs
      const int fd = reach(State::kSynSent);
      peer.syn();
      peer.expect(Seg("S.", 0, 1));
      return fd;
    }
    case State::kClose:
      return socket();
    default:
      break;
  }
  const int fd = establish();
  if (s == State::kEstablished) return fd;
  if (s == State::kCloseWait || s == State::kLastAck) {
    peer.send(Seg("F.", 1, 1));
    advance(Duration::from_ms(200));
    peer.expect(Seg(".", 1, 2));
    if (s == State::kCloseWait) return fd;
    shutdown(fd, SHUT_WR);
    peer.expect(Seg("F.", 1, 2));
    return fd;
  }
  shutdown(fd, SHUT_WR);
  peer.expect(Seg("F.", 1, 1));
  if (s == State::kFinWait1) return fd;
  if (s == State::kClosing) {
    peer.send(Seg("F.", 1, 1));
    peer.expect(Seg(".", 2, 2));
    return fd;
  }
  peer.send(Seg(".", 1, 2));
  if (s == State::kFinWait2) return fd;
  peer.send(Seg("F.", 1, 2));  // kTimeWait
  peer.expect(Seg(".", 2, 2));
  return fd;
}

std::string name_of(State s) {
  static constexpr const char* kNames[] = {"?",        "Established", "SynSent",   "SynRecv",   "FinWait1",
                                           "FinWait2", "TimeWait",    "Close",     "CloseWait", "LastAck",
                                           "Listen",   "Closing",     "NewSynRecv"};
  return kNames[static_cast<size_t>(s)];
}

std::string name_of_family(const testing::TestParamInfo<Family>& i) {
  return i.param == Family::kIpv6 ? "v6" : "v4";
}

std::string name_of_both(const testing::TestParamInfo<FamilyAndState>& i) {
  return std::string(std::get<0>(i.param) == Family::kIpv6 ? "v6" : "v4") + name_of(std::get<1>(i.param));
}

}  // namespace leat::segment
