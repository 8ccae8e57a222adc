// One request, one answer in pieces, each a line of JSON; without --control the only leat that runs is asked.
#include "diag/control_client.h"

#include <glob.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace leat::diag {
namespace {

using nlohmann::json;
constexpr time_t kTimeoutSeconds = 15;
constexpr size_t kMaxAnswer = size_t{1} << 30;

class Connection {
 public:
  ~Connection() {
    if (fd_ >= 0) close(fd_);
  }
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int open(const std::string& path) {  // 0 or an errno
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    if (path.size() >= sizeof a.sun_path) return ENAMETOOLONG;
    std::memcpy(a.sun_path, path.c_str(), path.size() + 1);
    fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return errno;
    const timeval patience{kTimeoutSeconds, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return connect(fd_, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0 ? 0 : errno;
  }
  // In a directory that others write to, a socket may be anybody's.
  bool is_trusted() const {
    ucred peer{};
    socklen_t n = sizeof peer;
    if (getsockopt(fd_, SOL_SOCKET, SO_PEERCRED, &peer, &n) != 0) return false;
    return peer.uid == geteuid() || peer.uid == 0;
  }
  bool send_all(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  bool receive_line(std::string& line) {
    char buffer[65536];
    line = std::exchange(rest_, {});
    if (const size_t end = line.find('\n'); end != std::string::npos) {
      rest_ = line.substr(end + 1);
      line.resize(end + 1);
      return true;
    }
    while (line.size() < kMaxAnswer) {
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      line.append(buffer, static_cast<size_t>(n));
      const size_t end = line.find('\n', line.size() - static_cast<size_t>(n));
      if (end == std::string::npos) continue;
      rest_ = line.substr(end + 1);
      line.resize(end + 1);
      return true;
    }
    return false;
  }

 private:
  int fd_ = -1;
  std::string rest_;  // of what came, behind the line
};

std::string directory() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  return runtime != nullptr && *runtime != 0 ? runtime : "/tmp";
}

}  // namespace

std::string control_path(std::string_view name) {
  return directory() + "/leat-" + std::string(name) + ".sock";
}

std::vector<std::string> find_instances() {
  std::vector<std::string> paths;
  glob_t found{};
  if (glob((directory() + "/leat-*.sock").c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      Connection c;
      if (c.open(found.gl_pathv[i]) == 0 && c.is_trusted()) paths.emplace_back(found.gl_pathv[i]);
    }
  }
  globfree(&found);
  return paths;
}

namespace {

bool is_text(const json& reply, const char* name) {
  return reply.contains(name) && reply[name].is_string();
}

Result<Answer> no_answer(const std::string& path, std::string& error) {
  error = "the leat at '" + path + "' does not answer: is it stopped, or busy?";
  return err(ETIMEDOUT);
}

}  // namespace

Result<Answer> ask(const std::string& path, std::string_view verb, std::span<const std::string> words,
                   std::string& error, const OnPiece& on_piece) {
  Connection c;
  if (const int why = c.open(path); why != 0) {
    error = "no leat answers at '" + path + "': " + strerror(why);
    return err(why);
  }
  if (!c.is_trusted()) {
    error = "'" + path + "' belongs to another user's process";
    return err(EPERM);
  }
  const json request = {{"verb", verb}, {"args", std::vector<std::string>(words.begin(), words.end())}};
  if (!c.send_all(request.dump(-1, ' ', false, json::error_handler_t::replace) + "\n")) return no_answer(path, error);
  std::string joined;
  for (std::string line;;) {
    if (!c.receive_line(line)) return no_answer(path, error);
    const json reply = json::parse(line, nullptr, false);
    const bool is_piece = reply.is_object() && reply.contains("more") && is_text(reply, "out");
    if (is_piece) {
      const auto& out = reply["out"].get_ref<const std::string&>();
      if (!on_piece) joined += out;
      if (on_piece && !on_piece(out)) return Answer{};
      continue;
    }
    if (!reply.is_object() || !reply.contains("status") || !reply["status"].is_number_integer() ||
        !is_text(reply, "out") || !is_text(reply, "err")) {
      error = "what answers at '" + path + "' is no leat";
      return err(EPROTO);
    }
    return Answer{
        reply["status"].get<int>(), joined + reply["out"].get<std::string>(), reply["err"].get<std::string>(), {}};
  }
}

}  // namespace leat::diag
