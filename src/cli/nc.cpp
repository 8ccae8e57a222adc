// leat nc: standard input and output through a TCP connection or UDP, as client or as server.
//
//   stdin → input_ → socket        the socket is read only while standard output takes it, and the other way round
//   socket → output_ → stdout
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/host.h"
#include "cli/output.h"
#include "cli/url.h"

namespace leat::cli {
namespace {

constexpr size_t kMaxDatagram = 65536;
constexpr Duration kUdpLinger = Duration::from_s(1);

// Calls a function when its descriptor is ready.
class Ready final : public Watcher {
 public:
  explicit Ready(std::function<void(uint32_t)> f) : f_(std::move(f)) {}
  void on_ready(uint32_t events) override { f_(events); }

 private:
  std::function<void(uint32_t)> f_;
};

class Netcat {
 public:
  Netcat(Host& host, const NcOptions& o);
  ~Netcat();
  void finish();  // after the loop; throws Failure

 private:
  void connect(const Endpoint& to);
  void listen(const Endpoint& at);
  void accept();
  void on_socket(uint32_t events);
  void read_stdin();
  void send_input();
  void receive();
  void flush_output();
  void end_input();
  void end_connection();
  void fail(std::string line);
  void update();
  void watch_socket(uint32_t events);
  void watch_stdin(bool on);
  void watch_stdout(bool on);
  bool has_peer() const { return socket_.is_open() && is_connected_; }

  Host& host_;
  EventLoop& loop_;
  const NcOptions& o_;
  Ready on_listener_, on_socket_, on_stdin_, on_stdout_;
  Socket listener_, socket_;
  Endpoint to_;
  HostOutput output_;
  std::string input_;
  std::vector<uint8_t> buffer_;
  bool is_connected_ = false;
  bool is_input_over_ = false, is_shut_ = false, is_peer_over_ = false;
  bool is_stdin_file_ = false, is_stdin_watched_ = false, is_stdout_watched_ = false, is_socket_watched_ = false;
  uint32_t socket_events_ = 0;
  std::string error_;
};

WantedFamily family_of(const NcOptions& o) {
  return o.v4 ? WantedFamily::kV4 : o.v6 ? WantedFamily::kV6 : WantedFamily::kAny;
}

Netcat::Netcat(Host& host, const NcOptions& o)
    : host_(host),
      loop_(host.loop()),
      o_(o),
      on_listener_([this](uint32_t) { accept(); }),
      on_socket_([this](uint32_t events) { on_socket(events); }),
      on_stdin_([this](uint32_t) { read_stdin(); }),
      on_stdout_([this](uint32_t) { flush_output(); }),
      output_(STDOUT_FILENO),
      buffer_(kMaxDatagram) {
  const uint16_t port = parse_port_option(o.port);
  const std::string any = o.v4 ? "0.0.0.0" : "::";
  to_ = resolve(o.host.empty() ? any : o.host, port, family_of(o));
  if (o.listen) {
    listen(to_);
  } else {
    connect(to_);
  }
}

Netcat::~Netcat() {
  watch_stdin(false);
  watch_stdout(false);
  if (is_socket_watched_) loop_.unwatch(socket_.fd(), on_socket_);
  if (listener_.is_open()) loop_.unwatch(listener_.fd(), on_listener_);
}

void Netcat::connect(const Endpoint& to) {
  auto socket = Socket::create(host_.stack(), to.family(), (o_.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK);
  if (!socket) throw failed("cannot make a socket: " + reason(socket.error()));
  socket_ = std::move(*socket);
  if (const auto ok = socket_.connect(to); !ok && ok.error() != Errno{EINPROGRESS}) {
    throw failed("cannot connect to " + to.to_string() + ": " + reason(ok.error()));
  }
  is_connected_ = o_.udp;
  if (!o_.udp) {
    loop_.call_at(loop_.now() + Duration::from_ns(static_cast<int64_t>(o_.timeout * 1e9)), [this] {
      if (!is_connected_) fail("cannot connect to " + to_.to_string() + ": no answer");
    });
  }
  update();
}

void Netcat::listen(const Endpoint& at) {
  auto socket = o_.udp ? Socket::bind_udp(host_.stack(), at.host(), at.port(), SOCK_NONBLOCK)
                       : Socket::listen(host_.stack(), at.host(), at.port(), 16, SOCK_NONBLOCK);
  if (!socket) throw failed("cannot listen on " + at.to_string() + ": " + reason(socket.error()));
  if (o_.udp) {
    socket_ = std::move(*socket);  // connected to the first who sends
    return update();
  }
  listener_ = std::move(*socket);
  loop_.watch(listener_.fd(), EPOLLIN, on_listener_);
}

void Netcat::accept() {
  auto socket = listener_.accept(SOCK_NONBLOCK);
  if (!socket) return;
  socket_ = std::move(*socket);
  is_connected_ = true;
  is_shut_ = is_peer_over_ = false;
  if (o_.keep) {
    loop_.change(listener_.fd(), 0, on_listener_);  // one at a time
  } else {
    loop_.unwatch(listener_.fd(), on_listener_);
    (void)listener_.close();
  }
  if (is_input_over_) end_input();  // standard input ended while it was another's
  update();
}

// What is wanted of each side, in one place.
void Netcat::update() {
  const bool may_read_stdin = has_peer() && !is_input_over_ && input_.empty();
  watch_stdin(may_read_stdin);
  watch_stdout(output_.has_pending());
  if (!socket_.is_open()) return;
  uint32_t events = 0;
  const bool is_waiting = !is_connected_ && !o_.udp;
  if (is_waiting || !input_.empty() || (may_read_stdin && is_stdin_file_)) events |= EPOLLOUT;
  if (!is_waiting && !is_peer_over_ && !output_.has_pending()) events |= EPOLLIN;
  watch_socket(events);
}

void Netcat::watch_socket(uint32_t events) {
  if (is_socket_watched_ && events == socket_events_) return;
  if (is_socket_watched_) {
    loop_.change(socket_.fd(), events, on_socket_);
  } else {
    loop_.watch(socket_.fd(), events, on_socket_);
  }
  is_socket_watched_ = true;
  socket_events_ = events;
}

void Netcat::watch_stdin(bool on) {
  if (is_stdin_file_ || on == is_stdin_watched_) return;
  if (!on) {
    loop_.unwatch_host(STDIN_FILENO, on_stdin_);
  } else if (const auto ok = loop_.watch_host(STDIN_FILENO, EPOLLIN, on_stdin_); !ok) {
    is_stdin_file_ = true;  // a file is always ready: it is read when the socket is
    return;
  }
  is_stdin_watched_ = on;
}

void Netcat::watch_stdout(bool on) {
  if (on == is_stdout_watched_) return;
  if (on && !loop_.watch_host(output_.fd(), EPOLLOUT, on_stdout_)) return fail("cannot wait for standard output");
  if (!on) loop_.unwatch_host(output_.fd(), on_stdout_);
  is_stdout_watched_ = on;
}

void Netcat::on_socket(uint32_t events) {
  if (!is_connected_ && !o_.udp) {
    if (const int e = socket_.error(); e != 0) {
      return fail("cannot connect to " + to_.to_string() + ": " + strerror(e));
    }
    is_connected_ = true;
    return update();
  }
  if ((socket_events_ & EPOLLIN) != 0) {
    receive();
  } else if ((events & (EPOLLERR | EPOLLHUP)) != 0 && !o_.udp) {
    const int e = socket_.error();
    return e != 0 ? fail(to_.to_string() + ": " + strerror(e)) : end_connection();
  }
  if (!socket_.is_open() || !error_.empty()) return;
  if (!input_.empty()) send_input();
  if (is_stdin_file_ && input_.empty() && !is_input_over_ && has_peer()) return read_stdin();
  update();
}

void Netcat::read_stdin() {
  // A read is a datagram; none may be longer than UDP carries.
  const size_t most = o_.udp ? 65507 : buffer_.size();
  const ssize_t n = read(STDIN_FILENO, buffer_.data(), most);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) return fail(std::string("cannot read standard input: ") + strerror(errno));
  if (n == 0) {
    is_input_over_ = true;
    end_input();
  } else {
    input_.assign(reinterpret_cast<const char*>(buffer_.data()), static_cast<size_t>(n));
    send_input();
  }
  if (error_.empty()) update();
}

void Netcat::send_input() {
  const auto n = socket_.write(input_);
  if (!n && n.error() == Errno{EAGAIN}) return;
  if (!n && o_.udp && n.error() == Errno{ECONNREFUSED}) return input_.clear();
  if (!n) return fail(to_.to_string() + ": " + reason(n.error()));
  input_.erase(0, *n);
}

// Nothing more comes from standard input. TCP says so to the peer and goes on listening to it.
void Netcat::end_input() {
  if (!o_.udp && !is_shut_) {
    is_shut_ = true;
    (void)socket_.shutdown(SHUT_WR);
    if (is_peer_over_) return end_connection();
  }
  if (o_.quit < 0 && !o_.udp) return;
  const Duration after = o_.quit < 0 ? kUdpLinger : Duration::from_ns(static_cast<int64_t>(o_.quit * 1e9));
  loop_.call_at(loop_.now() + after, [this] { loop_.stop(0); });
}

void Netcat::receive() {
  if (o_.udp && !is_connected_) {
    Endpoint from;
    const auto n = socket_.receive_from(buffer_, from);
    if (!n) return;
    (void)socket_.connect(from);
    to_ = from;
    is_connected_ = true;
    output_.add({reinterpret_cast<const char*>(buffer_.data()), *n});
    return flush_output();
  }
  const auto n = socket_.read(buffer_);
  if (!n && (n.error() == Errno{EAGAIN} || (o_.udp && n.error() == Errno{ECONNREFUSED}))) return;
  if (!n) return fail(to_.to_string() + ": " + reason(n.error()));
  if (*n == 0 && !o_.udp) {
    is_peer_over_ = true;
    // The peer has said all. What comes from a file or a pipe still goes to it; a person need not say the end.
    if (is_shut_ || isatty(STDIN_FILENO) == 1) return end_connection();
    return;
  }
  output_.add({reinterpret_cast<const char*>(buffer_.data()), *n});
  flush_output();
}

void Netcat::flush_output() {
  if (!output_.flush()) return fail("nobody reads standard output any more");
  update();
}

void Netcat::end_connection() {
  loop_.unwatch(socket_.fd(), on_socket_);
  is_socket_watched_ = false;
  (void)socket_.close();
  is_connected_ = false;
  input_.clear();  // it was for this peer
  watch_stdin(false);
  if (!o_.keep || !listener_.is_open()) return loop_.stop(0);
  loop_.change(listener_.fd(), EPOLLIN, on_listener_);
}

void Netcat::fail(std::string line) {
  if (error_.empty()) error_ = std::move(line);
  loop_.stop(kExitFailed);
}

void Netcat::finish() {
  if (is_socket_watched_) loop_.unwatch(socket_.fd(), on_socket_);
  is_socket_watched_ = false;
  (void)socket_.close();
  if (loop_.signal_seen() == SIGINT) throw Failure(kExitInterrupted, "interrupted");
  if (!error_.empty()) throw failed(error_);
}

}  // namespace

int nc(const NcOptions& o) {
  NcOptions resolved = o;
  if (o.listen && o.port.empty()) {
    resolved.port = o.host;  // leat nc -l PORT
    resolved.host.clear();
  }
  if (resolved.port.empty()) throw usage("which port? leat nc HOST PORT, or leat nc -l [ADDRESS] PORT");
  Host host(o.common);
  Netcat netcat(host, resolved);
  if (o.listen) {
    std::fprintf(stderr, "listening on port %s\n", resolved.port.c_str());
  }
  const int code = host.loop().run();
  try {
    netcat.finish();
  } catch (...) {
    host.drain(Duration::from_ms(300));
    throw;
  }
  host.drain(Duration::from_s(2));
  return code;
}

}  // namespace leat::cli
