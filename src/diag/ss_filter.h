// The filter language of ss: "sport = :80 and ( dst 10.0.0.0/8 or dst [fd00::]/64 ) and not dport > :1024".
//
//   or    ← and { "or" | "||" | "|" and }
//   and   ← unary { [ "and" | "&&" | "&" ] unary }
//   unary ← ( "not" | "!" ) unary | "(" or ")" | test
//   test  ← ("sport" | "dport") relation port | ("src" | "dst") [ "=" | "!=" ] host | "dev" [ "=" | "!=" ] name
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "diag/socket_row.h"

namespace leat::diag {

class SsFilter {
 public:
  SsFilter();
  ~SsFilter();
  SsFilter(SsFilter&&) noexcept;
  SsFilter& operator=(SsFilter&&) noexcept;

  // The words of a command line; none: everything matches. On failure `error` says what is wrong, on one line.
  static bool parse(std::span<const std::string> words, SsFilter& out, std::string& error);
  bool matches(const SocketRow& row) const;

  struct Node;

 private:
  std::unique_ptr<Node> root_;
};

// "established", "listening", "connected", …: the states that ss means by it, as state_bit()s; 0: no such name.
uint32_t states_of_name(std::string_view name);

// Port of "80", ":80", ":http", "*" (0); false: none.
bool parse_port(std::string_view text, uint16_t& port);

}  // namespace leat::diag
