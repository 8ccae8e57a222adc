// An HTTP/1.1 server of files (RFC 9110, RFC 9112) for one event loop and thousands of connections: keep-alive,
// pipelining, GET, HEAD, ranges, and PUT where it is allowed. Memory a connection is bounded: files stream through one
// buffer that all connections share, and what a client pipelines waits in its TCP window.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "cli/event_loop.h"
#include "cli/site.h"
#include "leat/socket.h"

namespace leat::cli {

class HttpConnection;

class HttpServer final : public Watcher {
 public:
  struct Options {
    uint16_t port = 80;
    bool is_writable = false;
    bool logs = false;  // a line a request on stdout
    Duration idle = Duration::from_s(75);
  };
  HttpServer(EventLoop& loop, const Site& site, const Options& options);  // throws Failure
  ~HttpServer() override;

  void on_ready(uint32_t events) override;  // of the listener
  size_t connections() const { return connections_.size(); }

 private:
  friend class HttpConnection;
  using Connections = std::list<HttpConnection*>;  // the one that has been idle longest first

  Connections::iterator add(HttpConnection& c) { return connections_.insert(connections_.end(), &c); }
  void touch(Connections::iterator i) { connections_.splice(connections_.end(), connections_, i); }
  void close_idle();
  void arm();

  EventLoop& loop_;
  const Site& site_;
  const Options options_;
  Socket listener_;
  Connections connections_;
  std::vector<char> buffer_;  // what is being read or written right now, by whoever's turn it is
  EventLoop::AlarmId alarm_{}, retry_{};
  bool is_armed_ = false;
  bool is_paused_ = false;  // no descriptors left: accepting waits for one
};

}  // namespace leat::cli
