// The host's kernel as a drill::Target: a network namespace of its own with one TUN, whose far end is the script. Time
// is real. What leaves is seen on a packet socket, behind software GSO and with finished checksums, so each packet is
// as it would be on the wire, with the kernel's own time stamp.
//
// The namespace belongs to the thread that created the target: make all its calls from there (begin() makes threads
// that inherit it). It needs root, or unprivileged user namespaces in a process that has no other thread yet.
#pragma once

#include <memory>
#include <string>

#include "sim/drill/target.h"

namespace leat::drill {

struct KernelOptions {
  std::string local = "192.168.0.1/16";
  std::string remote = "192.0.2.1";
  std::string local6 = "fd3d:0a0b:17d6::1/48";
  std::string remote6 = "fd3d:fa7b:d17d::1";
  std::string gateway = "192.168.0.2";
  std::string gateway6 = "fd3d:0a0b:17d6:8888::1";
  unsigned mtu = 1500;
  std::string congestion = "cubic";  // of every TCP socket made by calls(); empty: as the host has it
  // set_sysctl may set what all namespaces share (machine_sysctls.h); it is put back when the target ends.
  bool may_set_machine = false;
};

class KernelTarget : public Target {
 public:
  // nullptr: `why` says what is missing (rights, /dev/net/tun).
  static std::unique_ptr<KernelTarget> create(const KernelOptions& options, std::string& why);
  // A shell command in the namespace ("ip route change …"); its exit status. From the creating thread.
  virtual int shell(const std::string& command) = 0;
};

}  // namespace leat::drill
