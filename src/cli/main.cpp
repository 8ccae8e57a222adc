// The leat command: Linux's TCP/IP in a process of its own. Wrong arguments: exit code 2 and one line; failures: 1.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <new>

#include "cli/commands.h"
#include "cli/failure.h"

namespace leat::cli {
namespace {

constexpr const char* kDevice =
    "--tun leat0 --address 10.9.0.2/24 --address fd09::2/64 \\\n"
    "      --peer-address 10.9.0.1/24 --peer-address fd09::1/64";

std::string examples(std::initializer_list<std::string> lines) {
  std::string text = "\nExamples (as root: they make a device):\n";
  for (const std::string& line : lines)
    text += "  " + line + "\n";
  return text;
}

CLI::App* add_serve(CLI::App& app, ServeOptions& o) {
  auto* s = app.add_subcommand("serve", "serves a folder over HTTP/1.1");
  s->add_option("DIR", o.directory, "the folder")->required();
  s->add_option("--port", o.port, "of TCP")->capture_default_str()->check(CLI::Range(1, 65535));
  s->add_flag("--writable", o.writable, "PUT may make and replace files");
  s->add_flag("-v,--verbose", o.verbose, "a line for each request");
  add_common_options(*s, o.common);
  s->footer(examples({std::string("leat serve ") + kDevice + " /srv/files", "curl http://10.9.0.2/",
                      "leat serve --tun leat0 --address 10.9.0.2/24 --peer-address 10.9.0.1/24 \\",
                      "    --impair delay=20ms,loss=1% --pcap serve.pcap /srv/files"}));
  return s;
}

CLI::App* add_fetch(CLI::App& app, FetchOptions& o) {
  auto* s = app.add_subcommand("fetch", "gets a URL over HTTP/1.1");
  s->add_option("URL", o.url, "http://HOST[:PORT]/PATH; HOST an address, [IPv6], or a name of /etc/hosts")->required();
  s->add_option("-o,--output", o.output, "instead of standard output")->type_name("FILE");
  s->add_option("--sha256", o.sha256, "what comes must have this sum")->type_name("HEX");
  s->add_option("--timeout", o.timeout, "seconds without progress")->capture_default_str()->check(CLI::Range(0.1, 1e6));
  s->add_flag("-q,--quiet", o.quiet, "no progress, no last line");
  add_common_options(*s, o.common);
  s->footer(examples({std::string("leat fetch ") + kDevice + " \\", "    http://10.9.0.1:8000/file -o file"}));
  return s;
}

CLI::App* add_nc(CLI::App& app, NcOptions& o) {
  auto* s = app.add_subcommand("nc", "connects standard input and output to a socket");
  s->add_option("HOST", o.host, "an address or a name of /etc/hosts; with -l: where to listen, may be left out");
  s->add_option("PORT", o.port, "a number or a name of /etc/services");
  s->add_flag("-l,--listen", o.listen, "waits for a connection instead of making one");
  auto* keep = s->add_flag("-k,--keep", o.keep, "with -l: the next one after it")->needs("--listen");
  s->add_flag("-u,--udp", o.udp, "UDP: what one read gives is a datagram")->excludes(keep);
  auto* v4 = s->add_flag("-4", o.v4, "IPv4 only");
  s->add_flag("-6", o.v6, "IPv6 only")->excludes(v4);
  s->add_option("-q", o.quit, "ends so many seconds after standard input; UDP: 1")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 1e6));
  s->add_option("-w", o.timeout, "for connecting")
      ->capture_default_str()
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, 1e6));
  add_common_options(*s, o.common);
  s->footer(examples({std::string("leat nc -l 5000 ") + kDevice, "nc 10.9.0.2 5000"}));
  return s;
}

CLI::App* add_ping(CLI::App& app, PingOptions& o) {
  auto* s = app.add_subcommand("ping", "sends ICMP echo requests");
  s->add_option("HOST", o.host, "an address or a name of /etc/hosts")->required();
  s->add_option("-c", o.count, "how many; 0: until interrupted")->capture_default_str()->type_name("N");
  s->add_option("-i", o.interval, "between two")
      ->capture_default_str()
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, 3600.0));
  s->add_option("-W", o.wait, "for the last answer")
      ->capture_default_str()
      ->type_name("SECONDS")
      ->check(CLI::Range(0.0, 3600.0));
  s->add_option("-s", o.size, "bytes of data")->capture_default_str()->check(CLI::Range(0, 65527));
  s->add_option("-t", o.ttl, "time to live; 0: net.ipv4.ip_default_ttl")->check(CLI::Range(0, 255));
  auto* v4 = s->add_flag("-4", o.v4, "IPv4 only");
  s->add_flag("-6", o.v6, "IPv6 only")->excludes(v4);
  s->add_flag("-q,--quiet", o.quiet, "only the summary");
  add_common_options(*s, o.common);
  s->footer(examples({std::string("leat ping -c 3 ") + kDevice + " 10.9.0.1"}));
  return s;
}

CLI::App* add_drill(CLI::App& app, DrillOptions& o) {
  auto* s = app.add_subcommand("drill", "runs packetdrill scripts against leat, in virtual time and without rights");
  s->add_option("SCRIPT", o.scripts, "scripts, or folders of them (*.pkt)")->required();
  s->add_option("--variant", o.variants, "ipv4, ipv6, ipv4-mapped-ipv6; all three when left out")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"ipv4", "ipv6", "ipv4-mapped-ipv6"}));
  s->add_option("-D,--define", o.definitions, "a word of the script and what it stands for")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  s->add_flag("--kernel", o.kernel, "against this machine's kernel, in a namespace of its own (root) and real time");
  s->add_flag(
      "--machine-sysctls", o.machine_sysctls,
      "with --kernel: let scripts set tcp_max_orphans and tcp_mem, which are the whole machine's, while they run");
  s->add_option("--tolerance-usecs", o.tolerance_us, "more than the script allows; with --kernel 20000")
      ->type_name("US")
      ->check(CLI::Range(int64_t{0}, int64_t{60'000'000}));
  auto* verbose = s->add_flag("-v,--verbose", o.verbose, "all that happens, with times");
  s->add_flag("-q,--quiet", o.quiet, "only what fails, and the last line")->excludes(verbose);
  s->footer(
      "\nExamples:\n  leat drill tests/scripts\n  leat drill --variant ipv4 -v tests/scripts/open/passive.pkt\n"
      "  leat drill --kernel tests/scripts/loss\nThe language: docs/DRILL.md");
  return s;
}

CLI::App* add_million(CLI::App& app, MillionOptions& o) {
  auto* s = app.add_subcommand("million", "opens a million connections between two stacks of this process");
  s->add_option("--connections", o.connections, "how many; each has two ends here")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t{1}, uint64_t{50'000'000}));
  s->add_option("--strategy", o.strategy, "past the 65,535 ports: source-addresses or destinations; bound mixes badly")
      ->capture_default_str()
      ->check(CLI::IsMember({"source-addresses", "destinations", "bound"}));
  s->add_option("--hold", o.hold_seconds, "keeps them open, for so long or until interrupted, to be looked at")
      ->expected(0, 1)
      ->type_name("[SECONDS]")
      ->default_str("-1");
  s->add_option("--sample", o.sample, "connections that are asked for an echo")->capture_default_str();
  s->add_flag("--close", o.close, "closes them at the end, and says what memory went back");
  s->add_flag("-q,--quiet", o.quiet, "no progress");
  s->add_option("--control", o.control, "path of the control socket, for leat ss, nstat, sysctl")->type_name("PATH");
  s->add_option("--name", o.name, "of the control socket, if it has no path")->capture_default_str();
  s->add_option("--sysctl", o.sysctls, "of both stacks")->type_name("NAME=VALUE");
  s->footer(
      "\nNothing but memory is needed: no device, no rights.\n"
      "  source-addresses  one destination, and a further address here for each 50,000 connections\n"
      "  destinations      one address here, and a further destination for each 50,000: ports are shared\n"
      "  bound             bind() before connect(): each takes a port for itself, which nobody shares\n"
      "\nExamples:\n"
      "  leat million\n"
      "  leat million --connections 100000 --strategy destinations --close\n"
      "  leat million --hold --control /tmp/m &\n"
      "  leat ss --control /tmp/m -s;  leat ss --control /tmp/m -tn | wc -l;  leat nstat --control /tmp/m\n");
  return s;
}

// Their words belong to the running leat; here they are only listed.
void add_asking(CLI::App& app) {
  app.add_subcommand("ss", "sockets of a leat that runs, as ss(8)")->group("Looking into a leat that runs");
  app.add_subcommand("nstat", "its counters, as nstat(8)")->group("Looking into a leat that runs");
  app.add_subcommand("sysctl", "its settings, as sysctl(8)")->group("Looking into a leat that runs");
  app.add_subcommand("proc", "its /proc/net/snmp, netstat, sockstat, tcp, …")->group("Looking into a leat that runs");
}

int run(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "ss" || verb == "nstat" || verb == "sysctl" || verb == "proc") {
    return ask_running(verb, std::vector<std::string>(argv + 2, argv + argc));
  }
  CLI::App app("Linux's TCP/IP in a process of its own, on a TUN or TAP device.\n", "leat");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("leat ") + LEAT_VERSION);
  app.footer("\nleat VERB --help has the options and examples of a verb.\n");
  ServeOptions serve_options;
  FetchOptions fetch_options;
  NcOptions nc_options;
  PingOptions ping_options;
  DrillOptions drill_options;
  MillionOptions million_options;
  const auto* serve_app = add_serve(app, serve_options);
  const auto* fetch_app = add_fetch(app, fetch_options);
  const auto* nc_app = add_nc(app, nc_options);
  const auto* ping_app = add_ping(app, ping_options);
  const auto* drill_app = add_drill(app, drill_options);
  const auto* million_app = add_million(app, million_options);
  add_asking(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    if (!verb.empty() && app.get_subcommands().empty() && !verb.starts_with("-"))
      throw usage("there is no verb '" + verb + "' (leat --help lists them)");
    std::string line = e.what();
    std::replace(line.begin(), line.end(), '\n', ' ');
    throw usage(line + (verb.empty() ? " (leat --help)" : " (leat " + verb + " --help)"));
  }
  if (*serve_app) return serve(serve_options);
  if (*fetch_app) return fetch(fetch_options);
  if (*nc_app) return nc(nc_options);
  if (*ping_app) return ping(ping_options);
  if (*drill_app) return drill(drill_options);
  if (*million_app) {
    million_options.hold = million_app->count("--hold") != 0;
    return million(million_options);
  }
  return kExitUsage;
}

}  // namespace
}  // namespace leat::cli

int main(int argc, char** argv) {
  try {
    return leat::cli::run(argc, argv);
  } catch (const leat::cli::Failure& f) {
    std::fprintf(stderr, "leat: %s\n", f.what());
    return f.code();
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "leat: memory is out\n");
    return leat::cli::kExitFailed;
  } catch (const std::exception& e) {  // std::filesystem's, for one: a folder that may not be read
    std::fprintf(stderr, "leat: %s\n", e.what());
    return leat::cli::kExitFailed;
  }
}
