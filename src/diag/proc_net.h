// The texts of /proc/net/… for a Stack, byte for byte as Linux writes them where leat has the value. `pointer` columns
// hold the socket's number, uid is 0.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "leat/stack.h"

namespace leat::diag {

std::string proc_net_snmp(Stack& stack);
std::string proc_net_snmp6(Stack& stack);
std::string proc_net_netstat(Stack& stack);
std::string proc_net_sockstat(Stack& stack);
std::string proc_net_sockstat6(Stack& stack);
std::string proc_net_tcp(Stack& stack);
std::string proc_net_tcp6(Stack& stack);
std::string proc_net_udp(Stack& stack);
std::string proc_net_udp6(Stack& stack);
std::string proc_net_dev(Stack& stack);
std::string proc_slabinfo(Stack& stack);  // name, objects in use, bytes of an object, bytes taken from the system
std::string proc_drops(Stack& stack);     // reason, count, what it means; those that are not 0

// "net/snmp", with or without "/proc/" before it. false: there is no such file.
bool read_proc(Stack& stack, std::string_view path, std::string& out);
// net/tcp, tcp6, udp and udp6 piece by piece, for a Stack with so many sockets that neither rows nor text should be
// there all at once: each call appends some, and is false when that was all. Empty: another file.
std::function<bool(std::string& out)> walk_proc(Stack& stack, std::string_view path);
std::vector<std::string_view> proc_files();

}  // namespace leat::diag
