// The verbs of the command. Each gives the exit code or throws Failure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/common_options.h"

namespace leat::cli {

struct ServeOptions {
  CommonOptions common;
  std::string directory = ".";
  uint16_t port = 80;
  bool writable = false;
  bool verbose = false;
};
int serve(const ServeOptions& o);

struct FetchOptions {
  CommonOptions common;
  std::string url;
  std::string output;  // empty or "-": standard output
  std::string sha256;
  double timeout = 30;  // seconds without progress
  bool quiet = false;
};
int fetch(const FetchOptions& o);

struct NcOptions {
  CommonOptions common;
  std::string host;  // with -l: an address to bind
  std::string port;
  bool listen = false, udp = false, v4 = false, v6 = false, keep = false;
  double quit = -1;     // seconds after the end of standard input; < 0: not before the peer
  double timeout = 30;  // of connecting
};
int nc(const NcOptions& o);

struct PingOptions {
  CommonOptions common;
  std::string host;
  uint32_t count = 0;  // 0: until interrupted
  double interval = 1, wait = 1;
  uint32_t size = 56;
  uint32_t ttl = 0;
  bool v4 = false, v6 = false, quiet = false;
};
int ping(const PingOptions& o);

struct DrillOptions {
  std::vector<std::string> scripts;      // files, or folders with .pkt files
  std::vector<std::string> variants;     // empty: all three
  std::vector<std::string> definitions;  // NAME=VALUE
  bool kernel = false;
  bool machine_sysctls = false;  // scripts may set what all the kernel's namespaces share
  int64_t tolerance_us = -1;     // < 0: none more for leat, 20 ms for the kernel
  bool verbose = false, quiet = false;
};
int drill(const DrillOptions& o);

struct MillionOptions {
  uint64_t connections = 1'000'000;
  std::string strategy = "source-addresses";
  bool hold = false;
  double hold_seconds = -1;  // < 0: until interrupted
  uint64_t sample = 1000;    // connections that are asked for an echo
  bool close = false;        // at the end, and say what memory went back
  bool quiet = false;
  std::string control;
  std::string name = "million";
  std::vector<std::string> sysctls;
};
int million(const MillionOptions& o);

// ss, nstat, sysctl, proc: the words behind the verb.
int ask_running(const std::string& verb, std::vector<std::string> words);

}  // namespace leat::cli
