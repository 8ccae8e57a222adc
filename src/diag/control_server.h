// The control socket of a running leat: `leat ss|nstat|sysctl|proc` ask through it. Host code, driven by the program's
// own loop: watch poll_fd() for input and call serve(), which never blocks.
//
// A line of JSON each way, on an AF_UNIX stream:
//   {"verb": "ss", "args": ["-tan"]}
//   {"status": 0, "out": "State …", "err": ""}
// An answer that is long comes in pieces, {"out": "…", "more": true}, before the line with the status.
// What is not such a line is answered with status 2 and the connection is closed. Requests are bounded, clients are
// few, and one that does not take its answer is dropped after a while, so that nobody can make a leat grow or stand.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "diag/commands.h"
#include "leat/errno.h"
#include "leat/time.h"

namespace leat::diag {

class ControlServer {
 public:
  using Run = std::function<Answer(std::string_view verb, std::span<const std::string> words)>;

  // Permissions 0600. A socket file that nobody listens on any more is replaced. EADDRINUSE: another leat has it;
  // ENAMETOOLONG, EACCES, ….
  static Result<std::unique_ptr<ControlServer>> open(const std::string& path, Run run, std::string& error);
  ~ControlServer();  // removes the file, if it is still the own one
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  const std::string& path() const { return path_; }
  int poll_fd() const { return epoll_; }  // readable when serve() has something to do
  void serve(Time now);
  Time next_deadline() const;  // of a client that takes too long
  size_t clients() const { return clients_.size(); }

  static constexpr size_t kMaxClients = 16;  // further ones wait in the backlog
  static constexpr size_t kMaxRequest = 65536;
  static constexpr Duration kPatience = Duration::from_s(10);

 private:
  struct Client;
  ControlServer(std::string path, Run run);
  Result<void> start(std::string& error);
  Result<void> take_path(std::string& error);
  void accept_clients(Time now);
  void on_client(Client& c, Time now);
  bool read_request(Client& c);  // false: the client is done for
  bool write_answer(Client& c);
  bool next_piece(Client& c);
  void answer(Client& c, std::string_view line);
  void drop(Client& c);
  void watch(Client& c, bool writes);
  void watch_listener(bool on);

  const std::string path_;
  const Run run_;
  int listener_ = -1;
  int epoll_ = -1;
  bool is_listening_ = false;  // the listener is in epoll_
  uint64_t device_ = 0, inode_ = 0;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace leat::diag
