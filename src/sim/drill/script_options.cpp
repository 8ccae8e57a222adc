// See script_options.h.
#include "sim/drill/script_options.h"

#include <cstdlib>

namespace leat::drill {
namespace {

int64_t number_of(const ScriptOption& o, int64_t max, int64_t min = 0) {
  char* end = nullptr;
  const long long v = std::strtoll(o.value.c_str(), &end, 0);
  if (o.value.empty() || *end != '\0' || v < min || v > max) {
    throw ScriptError(o.place, "--" + o.name + " needs a number from " + std::to_string(min) + " to " +
                                   std::to_string(max) + ", not '" + o.value + "'");
  }
  return v;
}

double percent_of(const ScriptOption& o) {
  char* end = nullptr;
  const double v = std::strtod(o.value.c_str(), &end);
  if (o.value.empty() || *end != '\0' || !(v >= 0 && v <= 1000))
    throw ScriptError(o.place, "--" + o.name + " needs a percentage from 0 to 1000, not '" + o.value + "'");
  return v;
}

}  // namespace

Settings::Settings(Variant variant) {
  network_.variant = variant;
  if (variant == Variant::kIpv6) network_.mtu = 1520;  // so that the MSS is the same as over IPv4
}

Definitions Settings::definitions(const Definitions& own) const {
  const bool is_v6 = network_.variant == Variant::kIpv6;
  const bool is_plain = network_.variant == Variant::kIpv4;
  Definitions d = own;
  d.emplace("TFO_COOKIE", is_v6 ? "c1d1e9742a47a9bc" : "3021b9d889017eeb");
  d.emplace("CODE", is_v6 ? "address_unreachable" : "host_unreachable");
  d.emplace("CMSG_LEVEL_IP", is_plain ? "SOL_IP" : "SOL_IPV6");
  d.emplace("CMSG_TYPE_RECVERR", is_plain ? "IP_RECVERR" : "IPV6_RECVERR");
  return d;
}

IpAddress Settings::local() const {
  return IpAddress::parse(network_.variant == Variant::kIpv6 ? network_.local6 : network_.local).value();
}
IpAddress Settings::remote() const {
  return IpAddress::parse(network_.variant == Variant::kIpv6 ? network_.remote6 : network_.remote).value();
}

void Settings::apply(const ScriptOption& o) {
  const bool is_v6 = network_.variant == Variant::kIpv6;
  if (o.name == "local_ip" || o.name == "remote_ip") {
    const auto ip = IpAddress::parse(o.value);
    if (!ip) throw ScriptError(o.place, "--" + o.name + " needs an address, not '" + o.value + "'");
    if (ip->is_v6() != is_v6) why_not_ = "its addresses are of IPv" + std::string(ip->is_v6() ? "6" : "4");
    std::string& where = o.name == "local_ip" ? (ip->is_v6() ? network_.local6 : network_.local)
                                              : (ip->is_v6() ? network_.remote6 : network_.remote);
    where = o.value;
  } else if (o.name == "ip_version") {
    if (o.value != "ipv4" && o.value != "ipv6" && o.value != "ipv4-mapped-ipv6") {
      throw ScriptError(o.place, "--ip_version is ipv4, ipv6 or ipv4-mapped-ipv6, not '" + o.value + "'");
    }
    if (o.value != to_string(network_.variant)) why_not_ = "it is for " + o.value + " only";
  } else if (o.name == "tolerance_usecs") {
    tolerance_us = number_of(o, 60'000'000);
  } else if (o.name == "tolerance_percent") {
    tolerance_percent = percent_of(o);
  } else if (o.name == "mss") {
    network_.rx_gso_size = static_cast<unsigned>(number_of(o, 65535));
  } else if (o.name == "mtu") {
    network_.mtu = static_cast<unsigned>(number_of(o, 65535, 68));
  } else if (o.name == "bind_port") {
    bind_port = static_cast<uint16_t>(number_of(o, 65535));
  } else if (o.name == "connect_port") {
    connect_port = static_cast<uint16_t>(number_of(o, 65535));
  } else if (o.name == "tcp_ts_tick_usecs") {
    ts_tick_us = static_cast<uint32_t>(number_of(o, 1'000'000));
  } else if (o.name == "tcp_ts_ecr_scaled") {
    ts_ecr_scaled = true;
  } else if (o.name == "strict_segments") {
    strict_segments = true;
  } else if (o.name != "define" && o.name != "gateway_ip" && o.name != "netmask_ip") {
    throw ScriptError(o.place, "there is no option --" + o.name +
                                   " in this runner; there are ip_version, local_ip, remote_ip, gateway_ip, "
                                   "netmask_ip, mtu, mss, bind_port, connect_port, tolerance_usecs, tolerance_percent, "
                                   "strict_segments, tcp_ts_tick_usecs, tcp_ts_ecr_scaled and define");
  }
}

bool Settings::read(const Script& script) {
  for (const ScriptOption& o : script.options)
    apply(o);
  return why_not_.empty();
}

}  // namespace leat::drill
