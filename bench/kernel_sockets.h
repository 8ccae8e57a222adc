// What the programs share that open very many of the kernel's sockets: a network namespace of their own, and processes
// that hold what one may not (the hard limit of descriptors is often 20,000 and cannot be raised).
#pragma once

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

namespace leat::bench {

// A namespace whose loopback is up. False: no rights.
inline bool enter_namespace() {
  if (unshare(CLONE_NEWNET) != 0) return false;
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  close(fd);
  return up;
}

inline bool set_sysctl(const std::string& path, const char* value) {
  std::ofstream file("/proc/sys/" + path);
  file << value << std::flush;
  return file.good();
}

// The sockets that are open. Where a process may not have more, a child takes over those that it has: a descriptor of
// the child keeps a socket open as well as one's own.
class OpenSockets {
 public:
  OpenSockets() {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    room_ = static_cast<size_t>(files.rlim_max) - 100;
  }
  ~OpenSockets() {
    close_own();
    for (const pid_t child : children_)
      kill(child, SIGKILL);
    for (const pid_t child : children_)
      waitpid(child, nullptr, 0);
  }
  OpenSockets(const OpenSockets&) = delete;
  OpenSockets& operator=(const OpenSockets&) = delete;

  // Call it before what is timed begins; false: no child, and no room.
  bool make_room(size_t sockets) {
    if (fds_.size() + sockets <= room_) return true;
    const pid_t child = fork();
    if (child < 0) return false;
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (;;)
        pause();
    }
    children_.push_back(child);
    close_own();
    return true;
  }
  void add(int fd) { fds_.push_back(fd); }
  size_t processes() const { return children_.size() + 1; }

 private:
  void close_own() {
    for (const int fd : fds_)
      close(fd);
    fds_.clear();
  }
  size_t room_;
  std::vector<int> fds_;
  std::vector<pid_t> children_;
};

}  // namespace leat::bench
