// Accepts, and closes who has made no progress for a while: connections stand in a list by the time of their last.
#include "cli/http_server.h"

#include <sys/epoll.h>

#include "cli/failure.h"
#include "cli/http_connection.h"

namespace leat::cli {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;
constexpr int kAcceptBatch = 64;
constexpr Duration kRetryAccept = Duration::from_ms(100);

}  // namespace

HttpServer::HttpServer(EventLoop& loop, const Site& site, const Options& options)
    : loop_(loop), site_(site), options_(options), buffer_(kBufferBytes) {
  auto listener = Socket::listen(loop.stack(), "::", options.port, 4096, SOCK_NONBLOCK);
  if (!listener) {
    throw failed("cannot listen on port " + std::to_string(options.port) + ": " + reason(listener.error()));
  }
  listener_ = std::move(*listener);
  loop_.watch(listener_.fd(), EPOLLIN, *this);
}

HttpServer::~HttpServer() {
  loop_.unwatch(listener_.fd(), *this);
  (void)listener_.close();
  while (!connections_.empty())
    connections_.front()->close();
  if (is_armed_) loop_.cancel(alarm_);
  if (is_paused_) loop_.cancel(retry_);
}

void HttpServer::on_ready(uint32_t) {
  for (int i = 0; i < kAcceptBatch; ++i) {
    Endpoint peer;
    auto socket = listener_.accept(SOCK_NONBLOCK, &peer);
    if (!socket) {
      const Errno e = socket.error();
      const bool is_full = e == Errno{EMFILE} || e == Errno{ENFILE} || e == Errno{ENOMEM} || e == Errno{ENOBUFS};
      if (is_full && !is_paused_) {
        is_paused_ = true;
        loop_.change(listener_.fd(), 0, *this);
        retry_ = loop_.call_at(loop_.now() + kRetryAccept, [this] {
          is_paused_ = false;
          loop_.change(listener_.fd(), EPOLLIN, *this);
        });
      }
      if (e == Errno{ECONNABORTED}) continue;
      return;
    }
    new HttpConnection(*this, std::move(*socket), peer);  // is its own: see HttpConnection::close
  }
  arm();
}

void HttpServer::arm() {
  if (is_armed_ || connections_.empty()) return;
  is_armed_ = true;
  alarm_ = loop_.call_at(connections_.front()->last_progress() + options_.idle, [this] {
    is_armed_ = false;
    close_idle();
  });
}

void HttpServer::close_idle() {
  while (!connections_.empty() && connections_.front()->last_progress() + options_.idle <= loop_.now()) {
    connections_.front()->close();
  }
  arm();
}

}  // namespace leat::cli
