// A network namespace of the calling thread's own with a TUN in it, for kernel_target.h.
#pragma once

#include <string>

#include "sim/kernel/kernel_target.h"

namespace leat::drill {

class Namespace {
 public:
  ~Namespace();  // the thread goes back to where it was
  Namespace() = default;
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;

  // Moves the calling thread. An empty string, or what went wrong.
  std::string enter(const KernelOptions& options);
  int tun() const { return tun_; }
  int device() const { return device_; }
  bool has_ipv6() const { return has_ipv6_; }
  int before() const { return before_; }  // the namespace that the thread came from

 private:
  std::string unshare_network();
  std::string open_tun();
  std::string add_ipv4(const KernelOptions& options);
  void add_ipv6(const KernelOptions& options);
  int before_ = -1;
  int tun_ = -1;
  int device_ = 0;
  bool has_ipv6_ = false;
};

// A file of /proc/sys in the calling thread's namespace; the errno, or 0.
int write_file(const std::string& path, const std::string& text);

}  // namespace leat::drill
