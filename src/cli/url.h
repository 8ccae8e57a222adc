// http://HOST[:PORT][/PATH], and names: literals and /etc/hosts. There is no DNS here.
#pragma once

#include <string>
#include <string_view>

#include "leat/socket.h"

namespace leat::cli {

struct Url {
  std::string host;  // without brackets
  uint16_t port = 80;
  std::string target;  // path and query, beginning with '/'
  std::string host_header;
};

Url parse_url(const std::string& text);  // throws Failure (usage)

enum class WantedFamily : uint8_t { kAny, kV4, kV6 };

// The first address that fits: the literal, or the name's in /etc/hosts. Throws Failure.
Endpoint resolve(const std::string& host, uint16_t port, WantedFamily family = WantedFamily::kAny);

uint16_t parse_port_option(const std::string& text);  // throws Failure (usage)

}  // namespace leat::cli
