// Opened in bursts, so that look-ups and segments have company; then turned by hand until the last has fallen asleep.
#include "cli/million_pair.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "cli/event_loop.h"
#include "cli/failure.h"
#include "cli/host.h"
#include "link/memory_link.h"

namespace leat::cli {
namespace {

constexpr uint16_t kPort = 80;
constexpr size_t kMessage = 64;
constexpr int kNoPort = 24;                                                                 // IP_BIND_ADDRESS_NO_PORT
constexpr int kLocalPortRange = 51;                                                         // IP_LOCAL_PORT_RANGE
constexpr uint32_t kServerNet = 0x0a010000, kClientNet = 0x0a020000, kMixNet = 0x0a030000;  // 10.1, 10.2, 10.3
constexpr Duration kPatience = Duration::from_s(30);

uint32_t nth_address(uint32_t net, uint64_t n) {
  return net + static_cast<uint32_t>(n / 250 << 8 | (n % 250 + 1));
}

sockaddr_in endpoint(uint32_t address, uint16_t port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(address);
  return a;
}

std::string cidr_text(uint32_t a) {
  return fmt::format("{}.{}.{}.{}/8", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

template <class T>
T value_of(Result<T> r, const char* what) {
  if (!r) throw failed(std::string(what) + ": " + reason(r.error()));
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

const sockaddr* plain(const sockaddr_in& a) {
  return reinterpret_cast<const sockaddr*>(&a);
}

// Each connection says who it is, so that an answer that came from elsewhere is noticed.
void fill_message(uint8_t (&bytes)[kMessage], int fd) {
  std::memset(bytes, fd & 0xff, kMessage);
  std::memcpy(bytes, &fd, sizeof fd);
}

}  // namespace

MillionPair::MillionPair(const PairOptions& o) : options_(o) {
  const uint64_t addresses = (o.connections + kPerAddress - 1) / kPerAddress;
  (o.strategy == Strategy::kDestinations ? destinations_ : sources_) = std::max<uint64_t>(addresses, 1);
  make_stacks(o);
  add_addresses();
  listen_on_server();
}

void MillionPair::make_stacks(const PairOptions& o) {
  auto links = make_memory_pair({});
  for (const bool is_server : {true, false}) {
    StackConfig config;
    if (getrandom(config.seed.data(), config.seed.size(), 0) != static_cast<ssize_t>(config.seed.size())) {
      throw failed("no randomness");
    }
    config.memory = memory_of_machine();
    config.max_files = static_cast<uint32_t>(o.connections) + 4096;
    config.sysctls = {
        {"fs.nr_open", "1073741816"}, {"fs.file-max", "1073741816"}, {"net.ipv4.ip_local_port_range", "1024 65535"}};
    auto& stack = is_server ? server_ : client_;
    stack = value_of(Stack::create(config), "cannot make a stack");
    for (const std::string& text : o.sysctls) {
      const size_t equals = text.find('=');
      if (equals == std::string::npos) throw usage("--sysctl '" + text + "': wanted NAME=VALUE");
      const auto ok = stack->set_sysctl(text.substr(0, equals), text.substr(equals + 1));
      if (!ok) throw usage("--sysctl '" + text + "': " + reason(ok.error()));
    }
    auto& link = is_server ? links.first : links.second;
    (is_server ? server_if_ : client_if_) = value_of(stack->add_link("mem0", std::move(link)), "cannot add a link");
  }
}

void MillionPair::add_addresses() {
  for (uint64_t i = 0; i < sources_; ++i)
    value_of(client_->add_address(client_if_, cidr_text(nth_address(kClientNet, i))), "cannot add an address");
  value_of(client_->add_address(client_if_, cidr_text(nth_address(kMixNet, 0))), "cannot add an address");
  for (uint64_t i = 0; i < std::max<uint64_t>(destinations_, 2); ++i)
    value_of(server_->add_address(server_if_, cidr_text(nth_address(kServerNet, i))), "cannot add an address");
}

void MillionPair::listen_on_server() {
  server_->poll(now());
  client_->poll(now());
  server_poller_ = value_of(server_->epoll_create1(0), "epoll");
  client_poller_ = value_of(client_->epoll_create1(0), "epoll");
  listener_ = value_of(server_->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
  const sockaddr_in any = endpoint(INADDR_ANY, kPort);
  value_of(server_->bind(listener_, plain(any), sizeof any), "bind");
  value_of(server_->listen(listener_, 4096), "listen");
  epoll_event e{.events = EPOLLIN, .data = {.fd = listener_}};
  value_of(server_->epoll_ctl(server_poller_, EPOLL_CTL_ADD, listener_, &e), "epoll_ctl");
}

Time MillionPair::now() const {
  return EventLoop::clock() + skipped_;
}

Time MillionPair::next_deadline() const {
  return std::min(server_->next_deadline(), client_->next_deadline());
}

void MillionPair::turn() {
  const Time t = now();
  client_->poll(t);
  server_->poll(t);
  serve_events();
  client_->poll(t);
  read_answers();
}

// ---- opening ----

void MillionPair::enlist(Stack& stack, int poller, int fd) {
  const int one = 1;
  value_of(stack.setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one), "SO_KEEPALIVE");
  epoll_event e{.events = EPOLLIN | EPOLLRDHUP, .data = {.fd = fd}};
  value_of(stack.epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e), "epoll_ctl");
}

int MillionPair::open_one() {
  const int fd = value_of(client_->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
  if (first_fd_ < 0) first_fd_ = fd;
  if (options_.strategy != Strategy::kDestinations) {
    const int one = 1;
    if (options_.strategy == Strategy::kSourceAddresses) {
      value_of(client_->setsockopt(fd, IPPROTO_IP, kNoPort, &one, sizeof one), "IP_BIND_ADDRESS_NO_PORT");
    }
    const sockaddr_in from = endpoint(nth_address(kClientNet, opened_ % sources_), 0);
    value_of(client_->bind(fd, plain(from), sizeof from), "bind");
  }
  enlist(*client_, client_poller_, fd);
  const sockaddr_in to = endpoint(nth_address(kServerNet, opened_ % destinations_), kPort);
  const auto begun = client_->connect(fd, plain(to), sizeof to);
  if (!begun && begun.error() != Errno{EINPROGRESS}) {
    throw failed(fmt::format("connect() of connection {}: {}", opened_ + 1, reason(begun.error())));
  }
  ++opened_;
  return fd;
}

void MillionPair::try_send(Flight& f) {
  uint8_t bytes[kMessage];
  fill_message(bytes, f.fd);
  const auto sent = client_->send(f.fd, bytes, sizeof bytes, 0);
  if (!sent && sent.error() != Errno{EAGAIN}) throw failed("a connection ended: " + reason(sent.error()));
  f.is_sent = sent.has_value();
}

void MillionPair::open_some(uint64_t at_most) {
  std::vector<Flight> batch;
  const uint64_t wanted = answered_ + std::min(at_most, kBatch);
  for (uint64_t n = std::min(at_most, kBatch); n != 0; --n)
    batch.push_back({open_one(), false});
  auto is_done = [&] {
    for (Flight& f : batch) {
      if (!f.is_sent) try_send(f);
    }
    return answered_ >= wanted;
  };
  pump(is_done, "open connections");
}

void MillionPair::pump(const std::function<bool()>& is_done, const char* what) {
  const Time end = now() + kPatience;
  while (!is_done()) {
    turn();
    if (now() > end) throw failed(fmt::format("cannot {}: no progress for {} s", what, kPatience.s()));
  }
}

// ---- what the pollers report ----

void MillionPair::accept_all() {
  for (;;) {
    const auto fd = server_->accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
    if (!fd && fd.error() == Errno{EAGAIN}) return;
    enlist(*server_, server_poller_, value_of(fd, "accept"));
    ++accepted_;
  }
}

void MillionPair::serve_events() {
  epoll_event events[kBatch];
  for (int n = kBatch; n == kBatch;) {
    n = value_of(server_->epoll_wait(server_poller_, events, kBatch, 0), "epoll_wait");
    for (int i = 0; i < n; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener_) {
        accept_all();
        continue;
      }
      uint8_t bytes[4 * kMessage];
      const auto got = server_->recv(fd, bytes, sizeof bytes, 0);
      if (got && *got != 0) {
        value_of(server_->send(fd, bytes, *got, 0), "send");
      } else if (got || got.error() != Errno{EAGAIN}) {
        (void)server_->close(fd);
        ++closed_;
      }
    }
  }
}

void MillionPair::read_answers() {
  epoll_event events[kBatch];
  for (int n = kBatch; n == kBatch;) {
    n = value_of(client_->epoll_wait(client_poller_, events, kBatch, 0), "epoll_wait");
    for (int i = 0; i < n; ++i) {
      uint8_t bytes[kMessage], wanted[kMessage];
      fill_message(wanted, events[i].data.fd);
      const auto got = client_->recv(events[i].data.fd, bytes, sizeof bytes, 0);
      if (!got && got.error() == Errno{EAGAIN}) continue;
      if (!got || *got == 0) throw failed("a connection ended: " + (got ? "end of file" : reason(got.error())));
      if (*got != kMessage || std::memcmp(bytes, wanted, kMessage) != 0) ++wrong_;
      ++answered_;
    }
  }
}

// ---- what is done with them ----

uint64_t MillionPair::echo_on(uint64_t count) {
  const uint64_t answered = answered_, wrong = wrong_;
  for (uint64_t done = 0; done < count;) {
    const uint64_t batch = std::min(count - done, kBatch);
    for (uint64_t i = 0; i < batch; ++i) {
      chosen_ = chosen_ * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX
      const bool is_all = count == opened_;
      Flight f{first_fd_ + static_cast<int>(is_all ? done + i : (chosen_ >> 33) % opened_), false};
      try_send(f);
      if (!f.is_sent) throw failed("a connection takes no bytes");
      if (!is_all) pump([&, want = answered + done + i + 1] { return answered_ >= want; }, "hear the echo");
    }
    done += batch;
    pump([&] { return answered_ >= answered + done; }, "hear the echo");
  }
  return answered_ - answered - (wrong_ - wrong);
}

void MillionPair::close_all(const std::function<void(uint64_t)>& on_closed) {
  for (uint64_t i = 0; i < opened_; ++i) {
    (void)client_->close(first_fd_ + static_cast<int>(i));
    if (i % kBatch != kBatch - 1 && i + 1 != opened_) continue;
    pump([&] { return closed_ > i; }, "close connections");
    on_closed(i + 1);
  }
  skip(Duration::from_s(61));  // what waits in TIME_WAIT has waited
  turn();
  for (int i = 0; i < 200; ++i) {  // tables shrink, and memory goes back, a piece a turn
    skip(Duration::from_ms(100));
    turn();
  }
}

MillionPair::Mix MillionPair::mix(int ports, int bound) {
  constexpr uint32_t kFirstPort = 30'000;
  Mix result{.ports = ports};
  std::vector<int> fds;
  const uint32_t range = static_cast<uint32_t>(kFirstPort + static_cast<uint32_t>(ports) - 1) << 16 | kFirstPort;
  const int one = 1;
  auto open = [&](bool binds, uint64_t destination) {
    const int fd = value_of(client_->socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
    fds.push_back(fd);
    value_of(client_->setsockopt(fd, IPPROTO_IP, kLocalPortRange, &range, sizeof range), "IP_LOCAL_PORT_RANGE");
    if (!binds) value_of(client_->setsockopt(fd, IPPROTO_IP, kNoPort, &one, sizeof one), "IP_BIND_ADDRESS_NO_PORT");
    const sockaddr_in from = endpoint(nth_address(kMixNet, 0), 0);
    value_of(client_->bind(fd, plain(from), sizeof from), "bind");
    const sockaddr_in to = endpoint(nth_address(kServerNet, destination), kPort + 1);  // nobody listens there
    const auto begun = client_->connect(fd, plain(to), sizeof to);
    return begun ? 0 : to_int(begun.error());
  };
  while (result.bound < bound && open(true, 0) == EINPROGRESS)
    ++result.bound;
  for (uint64_t destination : {0u, 1u}) {
    while ((result.error = open(false, destination)) == EINPROGRESS)
      ++result.shared;
  }
  for (const int fd : fds)
    (void)client_->close(fd);
  turn();
  return result;
}

}  // namespace leat::cli
