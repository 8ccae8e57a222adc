// The sysctls of TCP that are words, not numbers.
#include "tcp/tcp.h"

namespace leat::tcp {
namespace {

Tcp& of(void* context) {
  return *static_cast<Tcp*>(context);
}

Result<void> set_default_congestion(void* context, std::string_view name) {
  const cc::Algorithm* a = cc::find(name);
  if (a == nullptr) return err(ENOENT);
  of(context).default_congestion.store(cc::index_of(*a), std::memory_order_relaxed);
  return {};
}

std::string get_default_congestion(void* context) {
  const cc::Algorithm* a = cc::at(of(context).default_congestion.load(std::memory_order_relaxed));
  return a == nullptr ? std::string() : std::string(a->name);
}

std::string get_available_congestion(void*) {
  std::string names;
  for (const cc::Algorithm* a : cc::available()) {
    if (!names.empty()) names += ' ';
    names += a->name;
  }
  return names;
}

// There is no qdisc here. fq is the one that TCP can feel: its pacing, which is done inside (pacing_status).
Result<void> set_default_qdisc(void* context, std::string_view name) {
  if (name != "fq" && name != "pfifo_fast" && name != "pfifo") return err(ENOENT);
  of(context).paces_all.store(name == "fq", std::memory_order_relaxed);
  return {};
}

std::string get_default_qdisc(void* context) {
  return of(context).paces_all.load(std::memory_order_relaxed) ? "fq" : "pfifo_fast";
}

}  // namespace

void register_sysctls(Tcp& tcp) {
  Netns& ns = tcp.ns;
  ns.add_string_sysctl({"net.ipv4.tcp_congestion_control", &tcp, &get_default_congestion, &set_default_congestion});
  ns.add_string_sysctl({"net.ipv4.tcp_available_congestion_control", &tcp, &get_available_congestion, nullptr});
  ns.add_string_sysctl({"net.core.default_qdisc", &tcp, &get_default_qdisc, &set_default_qdisc});
}

}  // namespace leat::tcp
