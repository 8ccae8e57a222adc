// http_parser takes a URL apart; names are looked up in /etc/hosts, the first that fits. What is wrong is told in one
// line.
#include "cli/url.h"

#include <http_parser.h>

#include <fstream>
#include <sstream>

#include "cli/failure.h"
#include "diag/ss_filter.h"

namespace leat::cli {
namespace {

bool fits(const Endpoint& e, WantedFamily family) {
  return family == WantedFamily::kAny || e.family() == (family == WantedFamily::kV4 ? AF_INET : AF_INET6);
}

}  // namespace

Url parse_url(const std::string& text) {
  const std::string whole = text.find("://") == std::string::npos ? "http://" + text : text;
  http_parser_url parts;
  http_parser_url_init(&parts);
  const bool is_url = http_parser_parse_url(whole.data(), whole.size(), 0, &parts) == 0;
  auto part = [&](int which) {
    const auto& p = parts.field_data[which];
    return (parts.field_set & (1 << which)) != 0 ? whole.substr(p.off, p.len) : std::string();
  };
  if (!is_url || part(UF_HOST).empty()) {
    throw usage("'" + text + "' is not a URL like http://10.9.0.1/file or http://[fd09::1]:8080/file");
  }
  if (part(UF_SCHEMA) != "http") throw usage("'" + text + "': only http:// is spoken here");
  Url url;
  url.host = part(UF_HOST);
  if (parts.port != 0) url.port = parts.port;
  url.target = part(UF_PATH).empty() ? "/" : part(UF_PATH);
  if (const std::string query = part(UF_QUERY); !query.empty()) url.target += "?" + query;
  url.host_header = url.host.find(':') != std::string::npos ? "[" + url.host + "]" : url.host;
  if (url.port != 80) url.host_header += ":" + std::to_string(url.port);
  return url;
}

Endpoint resolve(const std::string& host, uint16_t port, WantedFamily family) {
  if (auto literal = Endpoint::parse(host, port)) {
    if (!fits(*literal, family)) throw usage("'" + host + "' is of the other family");
    return *literal;
  }
  std::ifstream hosts("/etc/hosts");
  for (std::string line; std::getline(hosts, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string address;
    words >> address;
    for (std::string name; words >> name;) {
      if (name != host) continue;
      const auto found = Endpoint::parse(address, port);
      if (found && fits(*found, family)) return *found;
    }
  }
  throw failed("'" + host + "' is no address and not in /etc/hosts (there is no DNS here)");
}

uint16_t parse_port_option(const std::string& text) {
  uint16_t port = 0;
  if (!diag::parse_port(text, port) || port == 0) throw usage("'" + text + "' is not a port");
  return port;
}

}  // namespace leat::cli
