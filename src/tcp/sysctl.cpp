// The sysctls of TCP that are words, not numbers, or that do something when they are set.
#include <charconv>

#include "tcp/fastopen.h"

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

// ---- Fast Open ----

std::string get_fastopen_key(void* context) {
  return print_fastopen_keys(of(context));
}

Result<void> set_fastopen_key(void* context, std::string_view text) {
  return parse_fastopen_keys(of(context), text);
}

std::string get_blackhole_timeout(void* context) {
  return std::to_string(of(context).fastopen->blackhole_timeout_s.load(std::memory_order_relaxed));
}

// Whatever it is set to, what was feared so far is forgotten.
Result<void> set_blackhole_timeout_s(void* context, std::string_view text) {
  int32_t seconds = -1;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, seconds);
  if (error != std::errc() || (stop != end && *stop != '\n') || seconds < 0) return err(EINVAL);
  set_blackhole_timeout(of(context), static_cast<uint32_t>(seconds));
  return {};
}

}  // namespace

void register_sysctls(Tcp& tcp) {
  Netns& ns = tcp.ns;
  ns.add_string_sysctl({"net.ipv4.tcp_congestion_control", &tcp, &get_default_congestion, &set_default_congestion});
  ns.add_string_sysctl({"net.ipv4.tcp_available_congestion_control", &tcp, &get_available_congestion, nullptr});
  ns.add_string_sysctl({"net.ipv4.tcp_fastopen_key", &tcp, &get_fastopen_key, &set_fastopen_key});
  ns.add_string_sysctl(
      {"net.ipv4.tcp_fastopen_blackhole_timeout_sec", &tcp, &get_blackhole_timeout, &set_blackhole_timeout_s});
  ns.add_string_sysctl({"net.core.default_qdisc", &tcp, &get_default_qdisc, &set_default_qdisc});
}

}  // namespace leat::tcp
