// ss(8) of a Stack: its columns, its options, its filters. Output is iproute2's, without the blanks at the ends of
// lines.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "diag/snapshot.h"
#include "diag/ss_filter.h"

namespace leat::diag {

struct SsOptions {
  bool tcp = false, udp = false;  // neither: both
  bool v4 = false, v6 = false;    // neither: both
  bool all = false, listening = false;
  bool numeric = false, options = false, extended = false, memory = false, info = false, tos = false;
  bool summary = false, no_header = false, one_line = false, kill = false, help = false, human = false;
  uint32_t states = 0;  // state_bit()s that are shown
  SsFilter filter;
};

// The words behind `ss`. On failure `error` is one line.
bool parse_ss_options(std::span<const std::string> words, SsOptions& out, std::string& error);

bool is_wanted(const SsOptions& options, const SocketRow& row);
std::string format_sockets(const SsOptions& options, std::span<const SocketRow> rows);
// A table that is too long to be held: its columns are as wide as what was met so far, as ss itself has it.
class SocketTable {
 public:
  explicit SocketTable(const SsOptions& options);  // which outlive it
  ~SocketTable();
  SocketTable(const SocketTable&) = delete;
  SocketTable& operator=(const SocketTable&) = delete;
  std::string format(std::span<const SocketRow> rows);  // the header stands before the first

 private:
  struct State;
  std::unique_ptr<State> state_;
};
std::string format_summary(const SocketTotals& totals);
// The line behind -i, with a blank before each field: " ts sack cubic wscale:7,7 rto:204 …".
std::string format_tcp_info(const SocketRow& row, bool shows_options, bool is_human);
std::string ss_help();

}  // namespace leat::diag
