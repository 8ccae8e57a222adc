// leat fetch: one GET over one connection (RFC 9112), its body to a file or to standard output.
#include <fmt/format.h>
#include <http_parser.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/host.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/url.h"

namespace leat::cli {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;
constexpr size_t kTurnBytes = 1024 * 1024;
constexpr size_t kMaxLocation = 2048;

std::string hex(std::span<const unsigned char> bytes) {
  std::string text(bytes.size() * 2 + 1, 0);
  sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
  text.pop_back();
  return text;
}

class Fetch final : public Watcher {
 public:
  Fetch(Host& host, const FetchOptions& o, const Url& url, const Endpoint& to);
  ~Fetch() override;
  void on_ready(uint32_t events) override;
  void finish();  // after the loop; throws Failure

 private:
  class Pipe final : public Watcher {  // standard output has room again
   public:
    explicit Pipe(Fetch& f) : fetch_(f) {}
    void on_ready(uint32_t) override { fetch_.on_output_ready(); }

   private:
    Fetch& fetch_;
  };

  static Fetch& of(http_parser* p) { return *static_cast<Fetch*>(p->data); }
  void send_request();
  void receive();
  void parse(std::string_view bytes);
  void on_body(std::string_view bytes);
  int on_headers();
  void on_output_ready();
  void watch_progress();
  void fail(std::string line);

  Host& host_;
  const FetchOptions& o_;
  const Url& url_;
  const Endpoint to_;
  Socket socket_;
  Pipe pipe_;
  http_parser parser_{};
  http_parser_settings settings_{};
  std::string request_;
  size_t request_sent_ = 0;
  std::vector<char> buffer_;
  std::optional<FileOutput> file_;
  std::optional<HostOutput> stdout_;
  bool is_pipe_watched_ = false;
  crypto_hash_sha256_state sha_{};
  Progress progress_;
  const Time start_;
  Time last_progress_;
  uint64_t received_ = 0;
  uint64_t total_ = 0;
  bool is_connected_ = false, is_complete_ = false, is_location_ = false;
  std::string location_;
  std::string error_;
};

Fetch::Fetch(Host& host, const FetchOptions& o, const Url& url, const Endpoint& to)
    : host_(host),
      o_(o),
      url_(url),
      to_(to),
      pipe_(*this),
      buffer_(kBufferBytes),
      progress_(url.target, !o.quiet && isatty(STDERR_FILENO) == 1, EventLoop::clock()),
      start_(EventLoop::clock()),
      last_progress_(start_) {
  crypto_hash_sha256_init(&sha_);
  if (o.output.empty() || o.output == "-") {
    stdout_.emplace(STDOUT_FILENO);
  } else {
    file_.emplace(o.output);
  }
  http_parser_init(&parser_, HTTP_RESPONSE);
  parser_.data = this;
  http_parser_settings_init(&settings_);
  settings_.on_header_field = [](http_parser* p, const char* at, size_t n) {
    of(p).is_location_ = std::string_view(at, n) == "Location" || std::string_view(at, n) == "location";
    return 0;
  };
  settings_.on_header_value = [](http_parser* p, const char* at, size_t n) {
    Fetch& f = of(p);
    if (f.is_location_ && f.location_.size() < kMaxLocation) f.location_.append(at, std::min(n, kMaxLocation));
    return 0;
  };
  settings_.on_headers_complete = [](http_parser* p) { return of(p).on_headers(); };
  settings_.on_body = [](http_parser* p, const char* at, size_t n) {
    of(p).on_body({at, n});
    return of(p).error_.empty() ? 0 : 1;
  };
  settings_.on_message_complete = [](http_parser* p) {
    // An interim answer (100, 103) is followed by the real one.
    of(p).is_complete_ = p->status_code >= 200;
    return 0;
  };
  request_ =
      fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: leat/{}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
                  url.target, url.host_header, LEAT_VERSION);
  auto socket = Socket::create(host.stack(), to.family(), SOCK_STREAM | SOCK_NONBLOCK);
  if (!socket) throw failed("cannot make a socket: " + reason(socket.error()));
  socket_ = std::move(*socket);
  if (const auto ok = socket_.connect(to); !ok && ok.error() != Errno{EINPROGRESS}) {
    const bool has_no_way = ok.error() == Errno{ENETUNREACH};
    throw failed("cannot connect to " + to.to_string() + ": " + reason(ok.error()) +
                 (has_no_way ? " (no --address is in its subnet, and there is no --gateway)" : ""));
  }
  host.loop().watch(socket_.fd(), EPOLLOUT, *this);
  watch_progress();
}

Fetch::~Fetch() {
  if (socket_.is_open()) host_.loop().unwatch(socket_.fd(), *this);
}

void Fetch::fail(std::string line) {
  if (error_.empty()) error_ = std::move(line);
  host_.loop().stop(kExitFailed);
}

void Fetch::watch_progress() {
  const Duration patience = Duration::from_ns(static_cast<int64_t>(o_.timeout * 1e9));
  host_.loop().call_at(last_progress_ + patience, [this, patience] {
    if (host_.loop().now() - last_progress_ < patience) return watch_progress();
    fail(fmt::format("{}: {} for {:g} s", to_.to_string(), is_connected_ ? "nothing came" : "no answer", o_.timeout));
  });
}

void Fetch::on_ready(uint32_t) {
  if (!is_connected_) {
    if (const int e = socket_.error(); e != 0) {
      return fail("cannot connect to " + to_.to_string() + ": " + strerror(e));
    }
    is_connected_ = true;
  }
  if (request_sent_ < request_.size()) return send_request();
  receive();
}

void Fetch::send_request() {
  const auto n = socket_.write(std::string_view(request_).substr(request_sent_));
  if (!n && n.error() == Errno{EAGAIN}) return;
  if (!n) return fail(to_.to_string() + ": " + reason(n.error()));
  request_sent_ += *n;
  if (request_sent_ == request_.size()) host_.loop().change(socket_.fd(), EPOLLIN, *this);
}

void Fetch::receive() {
  for (size_t turn = 0; turn < kTurnBytes && error_.empty() && !is_complete_;) {
    if (is_pipe_watched_) return;
    const auto n = socket_.read({reinterpret_cast<uint8_t*>(buffer_.data()), buffer_.size()});
    if (!n && n.error() == Errno{EAGAIN}) break;
    if (!n) return fail(fmt::format("{}: {} after {} bytes", to_.to_string(), reason(n.error()), received_));
    turn += *n;
    last_progress_ = host_.loop().now();
    parse({buffer_.data(), *n});
    if (*n == 0 && !is_complete_)
      return fail(fmt::format("{}: the answer ended after {} bytes", url_.target, received_));
  }
  progress_.update(received_, total_, host_.loop().now());
  if (is_complete_ && !is_pipe_watched_) host_.loop().stop(0);
}

void Fetch::parse(std::string_view bytes) {
  const size_t n = http_parser_execute(&parser_, &settings_, bytes.data(), bytes.size());
  if (bytes.empty() && !is_complete_ && error_.empty()) {
    return fail(fmt::format("{}: the answer ended after {} bytes", url_.target, received_));
  }
  if (is_complete_ || !error_.empty() || n == bytes.size()) return;
  fail(to_.to_string() + " does not speak HTTP: " + http_errno_description(HTTP_PARSER_ERRNO(&parser_)));
}

int Fetch::on_headers() {
  const unsigned status = parser_.status_code;
  if (status < 200) return 0;
  if (status >= 300) {
    const std::string hint = location_.empty() ? "" : " (it moved to " + location_ + ")";
    fail(fmt::format("{} answers {} {}{}", url_.target, status, http_status_str(static_cast<http_status>(status)),
                     hint));
    return -1;
  }
  if (parser_.content_length != UINT64_MAX) total_ = parser_.content_length;
  return 0;
}

void Fetch::on_body(std::string_view bytes) {
  received_ += bytes.size();
  crypto_hash_sha256_update(&sha_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  if (file_) {
    try {
      file_->write(bytes);
    } catch (const Failure& f) {  // not through the parser, which is C
      fail(f.what());
    }
    return;
  }
  stdout_->add(bytes);
  if (!stdout_->flush()) return fail("nobody reads standard output any more");
  if (!stdout_->has_pending() || is_pipe_watched_) return;
  // What comes meanwhile waits in the window.
  is_pipe_watched_ = true;
  host_.loop().change(socket_.fd(), 0, *this);
  if (!host_.loop().watch_host(stdout_->fd(), EPOLLOUT, pipe_)) fail("cannot wait for standard output");
}

void Fetch::on_output_ready() {
  last_progress_ = host_.loop().now();
  if (!stdout_->flush()) return fail("nobody reads standard output any more");
  if (stdout_->has_pending()) return;
  host_.loop().unwatch_host(stdout_->fd(), pipe_);
  is_pipe_watched_ = false;
  if (is_complete_) return host_.loop().stop(0);
  host_.loop().change(socket_.fd(), EPOLLIN, *this);
}

void Fetch::finish() {
  progress_.clear();
  const Duration took = EventLoop::clock() - start_;
  host_.loop().unwatch(socket_.fd(), *this);
  (void)socket_.close();
  if (host_.loop().signal_seen() != 0) throw Failure(kExitInterrupted, "interrupted");
  if (!error_.empty()) throw failed(error_);
  unsigned char digest[crypto_hash_sha256_BYTES];
  crypto_hash_sha256_final(&sha_, digest);
  std::string wanted = o_.sha256;
  std::ranges::transform(wanted, wanted.begin(), [](char c) { return static_cast<char>(std::tolower(c)); });
  if (!wanted.empty() && wanted != hex(digest)) {
    throw failed("sha256 of what came is " + hex(digest) + ", not " + wanted);
  }
  if (file_) file_->finish();
  if (o_.quiet) return;
  std::fprintf(stderr, "%s: %lu bytes in %.2f s, %s%s\n", file_ ? o_.output.c_str() : url_.target.c_str(), received_,
               static_cast<double>(took.ns()) / 1e9, rate_text(received_, took).c_str(),
               wanted.empty() ? "" : ", sha256 as wanted");
}

}  // namespace

int fetch(const FetchOptions& o) {
  if (sodium_init() < 0) throw failed("libsodium does not start");
  const Url url = parse_url(o.url);
  const bool is_hex = o.sha256.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (!o.sha256.empty() && (o.sha256.size() != 64 || !is_hex))
    throw usage("--sha256 wants 64 hexadecimal digits, not '" + o.sha256 + "'");
  const Endpoint to = resolve(url.host, url.port);
  Host host(o.common);
  Fetch fetch(host, o, url, to);
  host.loop().run();
  try {
    fetch.finish();
  } catch (...) {
    host.drain(Duration::from_ms(300));
    throw;
  }
  host.drain(Duration::from_ms(300));
  return 0;
}

}  // namespace leat::cli
