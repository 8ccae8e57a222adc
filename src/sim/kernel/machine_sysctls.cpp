#include "sim/kernel/machine_sysctls.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "sim/kernel/namespace.h"

namespace leat::drill {
namespace {

// The calling thread is in another network namespace as long as this lives.
class Visit {
 public:
  explicit Visit(int there) : home_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    has_failed_ = home_ < 0 || setns(there, CLONE_NEWNET) != 0;
  }
  ~Visit() {
    if (home_ < 0) return;
    (void)setns(home_, CLONE_NEWNET);
    close(home_);
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  bool has_failed() const { return has_failed_; }

 private:
  int home_;
  bool has_failed_ = true;
};

}  // namespace

bool MachineSysctls::has(const std::string& name) {
  return name == "net.ipv4.tcp_max_orphans" || name == "net.ipv4.tcp_mem";
}

MachineSysctls::~MachineSysctls() {
  for (FILE* guard : guards_)
    pclose(guard);
}

int MachineSysctls::remember(int first_namespace) {
  const Visit visit(first_namespace);
  if (visit.has_failed()) return errno;
  for (const char* name : {"tcp_max_orphans", "tcp_mem"}) {
    if (const int error = guard(std::string("/proc/sys/net/ipv4/") + name); error != 0) return error;
  }
  return 0;
}

int MachineSysctls::set(int first_namespace, const std::string& path, const std::string& value) {
  const Visit visit(first_namespace);
  return visit.has_failed() ? errno : write_file(path, value);
}

// A shell that waits for our end, whichever it is, and then writes what was there before. Signals of the terminal do
// not reach it.
int MachineSysctls::guard(const std::string& path) {
  std::ifstream in(path);
  std::string before;
  if (!std::getline(in, before)) return ENOENT;
  const bool is_plain = before.find_first_not_of("0123456789\t ") == std::string::npos;
  if (!is_plain) return EINVAL;
  const std::string command = "trap '' INT TERM HUP; read -r line; echo '" + before + "' > " + path;
  FILE* process = popen(command.c_str(), "we");
  if (process == nullptr) return errno;
  guards_.push_back(process);
  return 0;
}

}  // namespace leat::drill
