// Runs a scenario to its end: the transfer under watch, then the network heals, and two minutes later nothing may be
// left of it (TIME_WAIT takes one).
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <memory>

#include "sim/dice.h"
#include "sim/scenario.h"
#include "sim/stall_watch.h"
#include "stack/stack_impl.h"

namespace leat::sim {
namespace {

constexpr uint16_t kPort = 5000;
constexpr Duration kAfterlife = Duration::from_s(120);
constexpr Duration kLongestRun = Duration::from_s(7 * 24 * 3600);

StackConfig config_of(const Scenario& s, uint64_t purpose) {
  StackConfig c;
  c.seed = make_seed(s.number, purpose);
  c.sysctls = s.sysctls;
  c.ehash_entries = 256;
  return c;
}

uint64_t bad_packets(const ImpairStats& s) {
  return s.lost + s.queue_drops + s.corrupted;
}

class Run {
 public:
  explicit Run(const Scenario& s);
  Outcome finish();

 private:
  // A connection with an Exchange at each end, left and right.
  struct Connection {
    std::unique_ptr<Exchange> ends[2];
    std::unique_ptr<Acceptor> acceptor;
    std::unique_ptr<Dialer> dialer;
    bool is_over() const { return ends[0]->is_done() && ends[1]->is_done(); }
  };
  void add_connection(uint16_t port, bool left_listens, uint64_t to_right, uint64_t to_left);
  std::unique_ptr<Exchange> make_end(size_t end, uint16_t port, const uint64_t bytes[2]);
  void set_up(Socket& s) const;
  void add_watch(Exchange& from, Exchange& to);
  Host& host(size_t end) { return simulation_.host(end); }
  bool is_over() const;
  std::string failure() const;
  void wind_up(Outcome& o);
  void count(Outcome& o);

  const Scenario scenario_;
  std::unique_ptr<Wire> wire_;  // outlives the hosts, whose links write into its captures
  Simulation simulation_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<StallWatch>> watches_;
};

Run::Run(const Scenario& s) : scenario_(s), simulation_(s.granularity, s.tick) {
  Host& left = simulation_.add_host("left", config_of(s, 1));
  Host& right = simulation_.add_host("right", config_of(s, 2));
  wire_ = std::make_unique<Wire>(left, right, s.wire, s.number);
  if (s.has_two_connections) {
    add_connection(kPort, s.left_listens, s.bytes[0], 0);
    add_connection(kPort + 1, !s.left_listens, 0, s.bytes[1]);
  } else {
    add_connection(kPort, s.left_listens, s.bytes[0], s.bytes[1]);
  }
  simulation_.watch([this] {
    for (const auto& watch : watches_)
      watch->observe();
  });
}

void Run::add_connection(uint16_t port, bool left_listens, uint64_t to_right, uint64_t to_left) {
  auto connection = std::make_unique<Connection>();
  Connection& c = *connection;
  const uint64_t bytes[2] = {to_right, to_left};
  for (size_t end = 0; end < 2; ++end)
    c.ends[end] = make_end(end, port, bytes);
  if (to_right != 0) add_watch(*c.ends[0], *c.ends[1]);
  if (to_left != 0) add_watch(*c.ends[1], *c.ends[0]);
  const size_t server = left_listens ? 0 : 1;
  static constexpr std::string_view kAddresses[2][2] = {{"10.0.0.1", "10.0.0.2"}, {"fd00::1", "fd00::2"}};
  const std::string_view address = kAddresses[scenario_.is_ipv6][server];
  c.acceptor = std::make_unique<Acceptor>(host(server), address, port, [this, &c, server](Socket s) {
    if (c.ends[server]->has_started()) return;
    set_up(s);
    c.ends[server]->start(std::move(s));
  });
  set_up(c.acceptor->socket());
  c.dialer = std::make_unique<Dialer>(simulation_, host(1 - server), address, port,
                                      [&c, server](Socket s) { c.ends[1 - server]->start(std::move(s)); });
  c.dialer->set_up([this](Socket& s) { set_up(s); });
  c.dialer->dial();
  connections_.push_back(std::move(connection));
}

std::unique_ptr<Exchange> Run::make_end(size_t end, uint16_t port, const uint64_t bytes[2]) {
  const uint64_t base = scenario_.number * 1000 + port;
  const Pattern patterns[2] = {Pattern(base), Pattern(~base)};  // of what the left and the right end send
  return std::make_unique<Exchange>(simulation_, host(end),
                                    Exchange::Options{patterns[end], patterns[1 - end], bytes[end], bytes[1 - end],
                                                      scenario_.chunk[end], scenario_.pace[end]});
}

void Run::set_up(Socket& s) const {
  if (scenario_.send_buffer != 0) (void)s.set_option(SOL_SOCKET, SO_SNDBUF, static_cast<int>(scenario_.send_buffer));
  if (scenario_.receive_buffer != 0)
    (void)s.set_option(SOL_SOCKET, SO_RCVBUF, static_cast<int>(scenario_.receive_buffer));
  if (scenario_.has_nodelay) (void)s.set_option(IPPROTO_TCP, TCP_NODELAY, 1);
}

void Run::add_watch(Exchange& from, Exchange& to) {
  StallWatch::Options o;
  o.round_trip = Wire::longest_way(scenario_.wire.to_right, scenario_.wire.mtu) +
                 Wire::longest_way(scenario_.wire.to_left, scenario_.wire.mtu);
  o.pause = scenario_.pace[0].pause + scenario_.pace[1].pause;
  o.losses = [this] { return bad_packets(wire_->to_right()) + bad_packets(wire_->to_left()); };
  watches_.push_back(std::make_unique<StallWatch>(simulation_.clock(), from, to, o));
}

bool Run::is_over() const {
  return !failure().empty() ||
         std::all_of(connections_.begin(), connections_.end(), [](const auto& c) { return c->is_over(); });
}

std::string Run::failure() const {
  for (const auto& watch : watches_)
    if (!watch->failure().empty()) return watch->failure();
  for (const auto& c : connections_) {
    for (const auto& end : c->ends)
      if (!end->failure().empty()) return end->failure();
    if (!c->dialer->failure().empty()) return c->dialer->failure();
  }
  return {};
}

Outcome Run::finish() {
  Outcome o;
  const Time began = simulation_.clock().now();
  const auto end = simulation_.run([this] { return is_over(); }, began + kLongestRun);
  o.took = simulation_.clock().now() - began;
  o.failure = failure();
  if (o.failure.empty() && end != Simulation::End::kDone) o.failure = std::string("not over: ") + to_string(end);
  count(o);
  if (o.failure.empty()) wind_up(o);
  for (size_t i = 0; i < 2; ++i)
    o.captures[i] = wire_->capture(i);
  return o;
}

// What is closed may still have a FIN to repeat, on the time-out that it has come to.
void Run::wind_up(Outcome& o) {
  wire_->heal();
  for (const auto& c : connections_)
    c->acceptor->close();
  simulation_.run_for(kAfterlife + o.longest_timeout);
  for (size_t end = 0; end < 2; ++end) {
    const std::string left = host(end).objects_left();
    if (!left.empty() && o.failure.empty()) o.failure = host(end).name() + ": left after two minutes:" + left;
  }
}

void Run::count(Outcome& o) {
  o.instants = simulation_.instants();
  for (const auto& watch : watches_) {
    o.longest_gap = std::max(o.longest_gap, watch->longest_gap());
    o.longest_timeout = std::max(o.longest_timeout, watch->longest_timeout());
  }
  const ImpairStats stats[2] = {wire_->to_right(), wire_->to_left()};
  for (size_t i = 0; i < 2; ++i) {
    o.packets[i] = stats[i].packets;
    o.lost[i] = stats[i].lost + stats[i].queue_drops;
    const Netns& ns = host(i).stack().impl().ns;
    o.timeouts += ns.counter(Mib::TcpExtTCPTimeouts);
    o.retransmissions += ns.counter(Mib::TcpRetransSegs);
  }
}

}  // namespace

Outcome run(const Scenario& scenario) {
  Run r(scenario);
  return r.finish();
}

}  // namespace leat::sim
