// The code between %{ and }%: statements of a small part of Python, evaluated here.
//
//   assert 10 <= tcpi_snd_cwnd < 20 and not tcpi_lost, tcpi_snd_cwnd
//   print(tcpi_rtt, 'us')      cwnd = tcpi_snd_cwnd; cwnd += 1
//
// Integers, floats and strings; or and not, comparisons (chained), | ^ & << >> + - * / // % ~, if-else expressions,
// min max abs int. No other statements: a script that needs them is refused when it is read, with the place.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/drill/script.h"

namespace leat::drill {

using Value = std::variant<int64_t, double, std::string>;
using Variables = std::map<std::string, Value>;

std::string to_string_value(const Value& v);
bool is_true(const Value& v);

struct CodeNode {
  enum class Kind : uint8_t {
    kNumber,
    kFloat,
    kString,
    kName,
    kUnary,
    kBinary,
    kCompare,
    kAnd,
    kOr,
    kNot,
    kCall,
    kIfElse
  };
  Kind kind = Kind::kNumber;
  Place place;
  int64_t number = 0;
  double real = 0;
  std::string text;              // kString, kName, kCall; the operator of kUnary and kBinary
  std::vector<std::string> ops;  // kCompare: one fewer than the operands
  std::vector<CodeNode> operands;
};

struct CodeStatement {
  enum class Kind : uint8_t { kAssert, kPrint, kAssign, kExpression };
  Kind kind = Kind::kExpression;
  Place place;
  std::string source;            // as written, for the message of an assertion
  std::string name, op;          // kAssign; op is "" for =, "+" for +=
  std::vector<CodeNode> values;  // kAssert: condition and, perhaps, message
};

class Code {
 public:
  std::vector<CodeStatement> statements;

  struct Context {
    Variables& variables;
    std::function<std::optional<Value>(const std::string&)> lookup;  // fields and constants
    std::function<void(const std::string&)> print;
  };
  void run(Context& context) const;  // throws ScriptError: an assertion that does not hold, an unknown name, …
};

// `at`: where the text begins in its script. Throws ScriptError.
std::shared_ptr<const Code> parse_code(std::string_view text, Place at);

}  // namespace leat::drill
