#include "sim/party.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace leat::sim {

// --- Party --------------------------------------------------------------------------------------------------------

Party::~Party() {
  if (socket_.is_open()) host_.poller().remove(socket_.fd());
}

void Party::start(Socket socket) {
  socket_ = std::move(socket);
  wait_for(EPOLLIN | EPOLLOUT);
}

void Party::on_ready(uint32_t events) {
  if ((events & EPOLLERR) != 0) {
    if (const int error = socket_.error(); error != 0) fail(std::strerror(error));
  }
  const uint32_t next = failure_.empty() ? on_events(events) : kThrough;
  if (next == kThrough) return stop();
  if (next != waits_for_) wait_for(next);
}

void Party::wait_for(uint32_t events) {
  Poller& poller = host_.poller();
  if (events == kNone) {
    poller.remove(socket_.fd());
  } else if (waits_for_ == kNone) {
    LEAT_CHECK(poller.add(socket_, events, [this](uint32_t e) { on_ready(e); }).has_value());
  } else {
    LEAT_CHECK(poller.change(socket_.fd(), events).has_value());
  }
  waits_for_ = events;
  host_.touch();
}

uint32_t Party::fail(const std::string& what) {
  if (failure_.empty()) failure_ = host_.name() + ": " + what;
  return 0;
}

void Party::stop() {
  host_.poller().remove(socket_.fd());
  (void)socket_.close();
  is_done_ = true;
  host_.touch();
}

// --- Exchange -----------------------------------------------------------------------------------------------------

Exchange::Exchange(Simulation& simulation, Host& host, const Options& o)
    : Party(host),
      simulation_(simulation),
      sender_(o.out, o.send_bytes, o.chunk),
      receiver_(o.in, o.receive_bytes),
      pace_(o.pace) {}

uint32_t Exchange::on_events(uint32_t) {
  if (!receiver_.is_done() && !is_looking_away_) {
    if (const int error = receiver_.read_from(socket(), pace_.bytes))
      return fail(std::string("read: ") + std::strerror(error));
    if (!receiver_.wrong().empty()) return fail(receiver_.wrong());
    if (pace_.is_slow() && !receiver_.is_done()) look_away();
  }
  if (!sender_.is_done()) {
    if (const int error = sender_.write_to(socket())) return fail(std::string("write: ") + std::strerror(error));
  }
  if (sender_.is_done() && receiver_.is_done()) return kThrough;
  if (is_looking_away_) return kNone;
  return (receiver_.is_done() ? 0u : EPOLLIN) | (sender_.is_done() ? 0u : EPOLLOUT);
}

void Exchange::look_away() {
  is_looking_away_ = true;
  simulation_.after(pace_.pause, [this, alive = std::weak_ptr(is_alive_)] {
    if (alive.expired() || is_done()) return;
    is_looking_away_ = false;
    wait_for(EPOLLIN | (sender_.is_done() ? 0u : EPOLLOUT));
  });
}

// --- Talk ---------------------------------------------------------------------------------------------------------

Talk::Talk(Host& host, const Options& options) : Party(host), options_(options), is_speaking_(options.asks) {}

uint32_t Talk::on_events(uint32_t) {
  for (;;) {
    if (is_speaking_) {
      if (is_through() && options_.asks) return kThrough;
      if (const uint32_t waits = speak(); waits != EPOLLIN) return waits;
    } else if (!listen()) {
      return !failure().empty() || has_ended_ ? kThrough : uint32_t{EPOLLIN};
    }
  }
}

uint32_t Talk::speak() {
  const uint64_t unit = options_.asks ? options_.question_bytes : options_.answer_bytes;
  const uint64_t end = (said_ / unit + 1) * unit;
  std::vector<uint8_t> bytes(end - said_);
  (options_.asks ? options_.questions : options_.answers).fill(said_, bytes);
  const auto n = socket().write(bytes);
  if (!n)
    return n.error() == Errno{EAGAIN} ? uint32_t{EPOLLOUT}
                                      : fail(std::string("write: ") + std::strerror(to_int(n.error())));
  said_ += *n;
  if (said_ < end) return EPOLLOUT;
  is_speaking_ = false;
  if (!options_.asks) ++rounds_;
  return EPOLLIN;
}

bool Talk::listen() {
  const uint64_t unit = options_.asks ? options_.answer_bytes : options_.question_bytes;
  const uint64_t end = (heard_ / unit + 1) * unit;
  uint8_t buffer[4096];
  while (heard_ < end) {
    const auto n =
        socket().read(std::span(buffer).first(static_cast<size_t>(std::min<uint64_t>(end - heard_, sizeof buffer))));
    if (!n) {
      if (n.error() != Errno{EAGAIN}) fail(std::string("read: ") + std::strerror(to_int(n.error())));
      return false;
    }
    if (*n == 0) {
      has_ended_ = true;
      if (!is_through()) fail("the end came in the middle of a talk");
      return false;
    }
    if ((options_.asks ? options_.answers : options_.questions).count_matching(heard_, std::span(buffer).first(*n)) !=
        *n) {
      fail("a wrong byte behind " + std::to_string(heard_));
      return false;
    }
    heard_ += *n;
  }
  is_speaking_ = true;
  if (options_.asks) ++rounds_;
  return true;
}

// --- Acceptor, Dialer ---------------------------------------------------------------------------------------------

Acceptor::Acceptor(Host& host, std::string_view address, uint16_t port, std::function<void(Socket)> on_socket)
    : host_(host),
      socket_(Socket::listen(host.stack(), address, port, 128, SOCK_NONBLOCK).value()),
      on_socket_(std::move(on_socket)) {
  LEAT_CHECK(host_.poller()
                 .add(socket_, EPOLLIN,
                      [this](uint32_t) {
                        if (auto s = socket_.accept(SOCK_NONBLOCK)) on_socket_(std::move(*s));
                      })
                 .has_value());
}

Acceptor::~Acceptor() {
  close();
}

void Acceptor::close() {
  if (!socket_.is_open()) return;
  host_.poller().remove(socket_.fd());
  (void)socket_.close();
  host_.touch();
}

Dialer::Dialer(Simulation& simulation, Host& host, std::string_view address, uint16_t port,
               std::function<void(Socket)> on_socket)
    : simulation_(simulation), host_(host), address_(address), port_(port), on_socket_(std::move(on_socket)) {}

Dialer::~Dialer() {
  if (socket_.is_open()) host_.poller().remove(socket_.fd());
}

void Dialer::dial() {
  const Endpoint to = Endpoint::parse(address_, port_).value();
  socket_ = Socket::create(host_.stack(), to.family(), SOCK_STREAM | SOCK_NONBLOCK).value();
  if (set_up_) set_up_(socket_);
  const auto begun = socket_.connect(to);
  if (!begun && begun.error() != Errno{EINPROGRESS}) return on_failure(to_int(begun.error()));
  LEAT_CHECK(host_.poller().add(socket_, EPOLLOUT, [this](uint32_t) { on_ready(); }).has_value());
  host_.touch();
}

void Dialer::on_ready() {
  host_.poller().remove(socket_.fd());
  if (const int error = socket_.error(); error != 0) return on_failure(error);
  on_socket_(std::move(socket_));
}

void Dialer::on_failure(int error) {
  constexpr uint32_t kTries = 10;
  (void)socket_.close();
  if (++failures_ >= kTries) {
    failure_ = host_.name() + ": connect: " + std::strerror(error);
    return;
  }
  simulation_.after(Duration::from_s(1), [this, alive = std::weak_ptr(is_alive_)] {
    if (!alive.expired()) dial();
  });
}

}  // namespace leat::sim
