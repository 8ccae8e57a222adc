// Sysctls that only the machine's first network namespace has: the limits of all TCP together. Set while a script runs,
// and put back whatever ends it.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

namespace leat::drill {

class MachineSysctls {
 public:
  MachineSysctls() = default;
  ~MachineSysctls();  // when they are as they were
  MachineSysctls(const MachineSysctls&) = delete;
  MachineSysctls& operator=(const MachineSysctls&) = delete;

  static bool has(const std::string& name);  // "net.ipv4.tcp_mem"
  // Remembers what is set now. Before there are sockets: processes that it starts would keep them open. Both want the
  // first namespace as a descriptor, and give the errno, or 0.
  int remember(int first_namespace);
  int set(int first_namespace, const std::string& path, const std::string& value);

 private:
  int guard(const std::string& path);
  std::vector<FILE*> guards_;
};

}  // namespace leat::drill
