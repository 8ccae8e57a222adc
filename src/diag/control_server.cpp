// A few clients at a time, each with a bounded line and a time to be served in; who is slow or silent is let go. Long
// answers are made a piece at a time, when the last one has been taken.
#include "diag/control_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

namespace leat::diag {
namespace {

using nlohmann::json;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof a.sun_path) return err(ENAMETOOLONG);
  std::memcpy(a.sun_path, path.c_str(), path.size() + 1);
  return a;
}

// 0: somebody listens; else why not (ECONNREFUSED: a file that was left behind).
int probe(const sockaddr_un& a) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  const int why = connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0 ? 0 : errno;
  close(fd);
  return why == EAGAIN ? 0 : why;  // a full backlog is a listener's
}

std::string to_line(const Answer& a) {
  const json reply = {{"status", a.status}, {"out", a.out}, {"err", a.error}};
  return reply.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

// A piece of an answer; the line with the status is the last.
std::string to_piece(const std::string& out) {
  const json reply = {{"out", out}, {"more", true}};
  return reply.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

bool parse_request(std::string_view line, std::string& verb, std::vector<std::string>& words) {
  const json request = json::parse(line, nullptr, false);
  if (!request.is_object()) return false;
  const auto v = request.find("verb");
  if (v == request.end() || !v->is_string()) return false;
  verb = v->get<std::string>();
  const auto args = request.find("args");
  if (args == request.end()) return true;
  if (!args->is_array()) return false;
  for (const json& word : *args) {
    if (!word.is_string()) return false;
    words.push_back(word.get<std::string>());
  }
  return true;
}

}  // namespace

struct ControlServer::Client {
  int fd = -1;
  bool is_writing = false;
  bool is_last = false;  // the answer under way is the last one
  bool is_dropped = false;
  Time deadline;
  std::string in;
  std::string out;
  size_t sent = 0;
  size_t total = 0;                        // sent of all answers
  std::function<bool(std::string&)> more;  // of the answer under way
};

Result<std::unique_ptr<ControlServer>> ControlServer::open(const std::string& path, Run run, std::string& error) {
  std::unique_ptr<ControlServer> server(new ControlServer(path, std::move(run)));
  if (auto ok = server->start(error); !ok) return std::unexpected(ok.error());
  return server;
}

ControlServer::ControlServer(std::string path, Run run) : path_(std::move(path)), run_(std::move(run)) {}

ControlServer::~ControlServer() {
  for (const auto& c : clients_)
    close(c->fd);
  if (epoll_ >= 0) close(epoll_);
  if (listener_ >= 0) close(listener_);
  struct stat s{};
  if (inode_ != 0 && lstat(path_.c_str(), &s) == 0 && s.st_ino == inode_ && s.st_dev == device_) unlink(path_.c_str());
}

Result<void> ControlServer::start(std::string& error) {
  auto fail = [&](int why, const char* what) {
    error = std::string(what) + " '" + path_ + "': " + strerror(why);
    return err(why);
  };
  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (listener_ < 0 || epoll_ < 0) return fail(errno, "cannot make control socket");
  // The file takes its permissions from the socket's inode: it is never open to others, not even for a moment.
  if (fchmod(listener_, 0600) != 0) return fail(errno, "cannot make control socket");
  if (auto ok = take_path(error); !ok) return ok;
  struct stat s{};
  if (lstat(path_.c_str(), &s) != 0) return fail(errno, "cannot look at control socket");
  device_ = s.st_dev;
  inode_ = s.st_ino;
  if (::listen(listener_, 64) != 0) return fail(errno, "cannot listen on control socket");
  watch_listener(true);
  return {};
}

Result<void> ControlServer::take_path(std::string& error) {
  const auto address = address_of(path_);
  auto fail = [&](int why, const std::string& text) {
    error = "cannot make control socket '" + path_ + "': " + text;
    return err(why);
  };
  if (!address) return fail(ENAMETOOLONG, "the path must have 1 to 107 bytes");
  const auto* where = reinterpret_cast<const sockaddr*>(&*address);
  if (::bind(listener_, where, sizeof *address) == 0) return {};
  if (errno != EADDRINUSE) return fail(errno, strerror(errno));
  struct stat s{};
  if (lstat(path_.c_str(), &s) != 0 || !S_ISSOCK(s.st_mode)) return fail(EEXIST, "there is a file that is no socket");
  const int why = probe(*address);
  if (why == 0) return fail(EADDRINUSE, "another leat uses it (choose with --name or --control)");
  if (why != ECONNREFUSED) return fail(why, strerror(why));
  unlink(path_.c_str());
  if (::bind(listener_, where, sizeof *address) != 0) return fail(errno, strerror(errno));
  return {};
}

void ControlServer::watch_listener(bool on) {
  if (on == is_listening_) return;
  epoll_event e{.events = EPOLLIN, .data = {.ptr = nullptr}};
  epoll_ctl(epoll_, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listener_, &e);
  is_listening_ = on;
}

void ControlServer::watch(Client& c, bool writes) {
  if (c.is_writing == writes) return;
  c.is_writing = writes;
  epoll_event e{.events = writes ? EPOLLOUT : EPOLLIN, .data = {.ptr = &c}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, c.fd, &e);
}

void ControlServer::serve(Time now) {
  epoll_event events[kMaxClients + 1];
  const int n = epoll_wait(epoll_, events, std::size(events), 0);
  for (int i = 0; i < n; ++i) {
    if (events[i].data.ptr == nullptr) {
      accept_clients(now);
    } else {
      on_client(*static_cast<Client*>(events[i].data.ptr), now);
    }
  }
  for (const auto& c : clients_) {
    if (!c->is_dropped && c->deadline <= now) drop(*c);
  }
  std::erase_if(clients_, [](const auto& c) { return c->is_dropped; });
  watch_listener(clients_.size() < kMaxClients);
}

void ControlServer::accept_clients(Time now) {
  while (clients_.size() < kMaxClients) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) break;
    auto c = std::make_unique<Client>();
    c->fd = fd;
    c->deadline = now + kPatience;
    epoll_event e{.events = EPOLLIN, .data = {.ptr = c.get()}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) != 0) {
      close(fd);
      continue;
    }
    clients_.push_back(std::move(c));
  }
}

void ControlServer::on_client(Client& c, Time now) {
  if (c.is_dropped) return;
  const size_t before = c.total;
  const bool is_well = c.is_writing ? write_answer(c) : read_request(c);
  if (!is_well) return drop(c);
  if (c.total != before || !c.is_writing) c.deadline = now + kPatience;
}

bool ControlServer::read_request(Client& c) {
  char buffer[16384];
  const ssize_t n = recv(c.fd, buffer, sizeof buffer, 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  c.in.append(buffer, static_cast<size_t>(n));
  const size_t end = c.in.find('\n');
  if (end == std::string::npos && c.in.size() <= kMaxRequest) return true;
  answer(c, end == std::string::npos ? std::string_view() : std::string_view(c.in).substr(0, end));
  c.in.erase(0, end == std::string::npos ? c.in.size() : end + 1);
  return write_answer(c);
}

void ControlServer::answer(Client& c, std::string_view line) {
  std::string verb;
  std::vector<std::string> words;
  c.sent = 0;
  if (line.size() <= kMaxRequest && parse_request(line, verb, words)) {
    Answer a = run_(verb, words);
    c.more = std::move(a.more);
    if (!c.more) c.out = to_line(a);
  } else {
    c.out = to_line({2, "", "wanted one line of JSON: {\"verb\": \"ss\", \"args\": []}\n", {}});
    c.is_last = true;
  }
}

bool ControlServer::write_answer(Client& c) {
  while (c.sent < c.out.size()) {
    const ssize_t n = send(c.fd, c.out.data() + c.sent, c.out.size() - c.sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return false;
    if (n < 0) {
      watch(c, true);
      return true;
    }
    c.sent += static_cast<size_t>(n);
    c.total += static_cast<size_t>(n);
  }
  std::string().swap(c.out);
  c.sent = 0;
  if (c.more) return next_piece(c);
  if (c.is_last) return false;
  // Requests that came along with the last one.
  if (const size_t end = c.in.find('\n'); end != std::string::npos) {
    answer(c, std::string_view(c.in).substr(0, end));
    c.in.erase(0, end + 1);
    watch(c, true);
    return true;
  }
  watch(c, false);
  return true;
}

// One a call: the Stacks go on in between.
bool ControlServer::next_piece(Client& c) {
  std::string out;
  const bool has_more = c.more(out);
  c.out = to_piece(out);
  if (!has_more) {
    c.out += to_line({0, "", "", {}});
    c.more = nullptr;
  }
  watch(c, true);
  return true;
}

void ControlServer::drop(Client& c) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, c.fd, nullptr);
  close(c.fd);
  c.is_dropped = true;
}

Time ControlServer::next_deadline() const {
  Time first = Time::never();
  for (const auto& c : clients_)
    first = std::min(first, c->deadline);
  return first;
}

}  // namespace leat::diag
