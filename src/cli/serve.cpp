// leat serve: a folder over HTTP/1.1, until a signal comes.
#include <cstdio>

#include "cli/commands.h"
#include "cli/host.h"
#include "cli/http_server.h"

namespace leat::cli {
namespace {

std::string url_of(const std::string& cidr, uint16_t port) {
  const std::string address = cidr.substr(0, cidr.find('/'));
  const bool is_v6 = address.find(':') != std::string::npos;
  std::string url = "http://" + (is_v6 ? "[" + address + "]" : address);
  if (port != 80) url += ":" + std::to_string(port);
  return url + "/";
}

}  // namespace

int serve(const ServeOptions& o) {
  const Site site(o.directory);
  Host host(o.common);
  int code = 0;
  {
    HttpServer server(host.loop(), site, {.port = o.port, .is_writable = o.writable, .logs = o.verbose});
    std::string urls;
    for (const std::string& cidr : o.common.addresses)
      urls += " " + url_of(cidr, o.port);
    std::printf("serving %s%s on %s:%s\n", o.directory.c_str(), o.writable ? " (writable)" : "", host.device().c_str(),
                urls.c_str());
    std::fflush(stdout);
    setvbuf(stdout, nullptr, _IOLBF, 0);
    code = host.loop().run();
  }
  host.drain(Duration::from_ms(300));
  return code;
}

}  // namespace leat::cli
