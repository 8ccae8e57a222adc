// Evaluating code; see code.h.
#include "sim/drill/code.h"

#include <cmath>
#include <cstdio>

namespace leat::drill {
namespace {

using Kind = CodeNode::Kind;

class Evaluation {
 public:
  explicit Evaluation(Code::Context& context) : context_(context) {}
  Value value(const CodeNode& n);
  void run(const CodeStatement& s);
  Value binary(const CodeNode& at, const std::string& op, const Value& a, const Value& b);

 private:
  Value name(const CodeNode& n);
  Value compare(const CodeNode& n);
  Value call(const CodeNode& n);
  Value unary(const CodeNode& n);
  Value integers(const CodeNode& at, const std::string& op, int64_t a, int64_t b);
  Value reals(const CodeNode& at, const std::string& op, double a, double b);
  std::string fields_of(const CodeNode& n);
  [[noreturn]] static void fail(const CodeNode& n, const std::string& what) { throw ScriptError(n.place, what); }

  Code::Context& context_;
};

bool is_text(const Value& v) {
  return std::holds_alternative<std::string>(v);
}
double real_of(const Value& v) {
  return std::holds_alternative<double>(v) ? std::get<double>(v) : static_cast<double>(std::get<int64_t>(v));
}

int order(const Value& a, const Value& b) {
  if (is_text(a)) {
    const int c = std::get<std::string>(a).compare(std::get<std::string>(b));
    return (c > 0) - (c < 0);
  }
  if (std::holds_alternative<int64_t>(a) && std::holds_alternative<int64_t>(b)) {
    return (std::get<int64_t>(a) > std::get<int64_t>(b)) - (std::get<int64_t>(a) < std::get<int64_t>(b));
  }
  return (real_of(a) > real_of(b)) - (real_of(a) < real_of(b));
}

// The % of strings: each %… takes the next argument and shows it in the plainest way.
std::string format(const std::string& text, const std::vector<Value>& arguments) {
  std::string out;
  size_t next = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    if (text[++i] == '%') {
      out += '%';
      continue;
    }
    while (i < text.size() && std::string("-+ #0123456789.l").find(text[i]) != std::string::npos)
      ++i;
    if (next < arguments.size()) out += to_string_value(arguments[next++]);
  }
  return out;
}

Value Evaluation::name(const CodeNode& n) {
  if (const auto v = context_.variables.find(n.text); v != context_.variables.end()) return v->second;
  if (const auto v = context_.lookup(n.text)) return *v;
  fail(n, "there is no '" + n.text + "': neither a variable, nor a field of tcp_info, nor a constant");
}

Value Evaluation::compare(const CodeNode& n) {
  Value left = value(n.operands[0]);
  for (size_t i = 0; i < n.ops.size(); ++i) {
    Value right = value(n.operands[i + 1]);
    const std::string& op = n.ops[i];
    bool holds = false;
    if (is_text(left) != is_text(right)) {
      if (op != "==" && op != "!=") fail(n, "a string and a number have no order");
      holds = op == "!=";
    } else {
      const int c = order(left, right);
      holds = (op == "==" && c == 0) || (op == "!=" && c != 0) || (op == "<" && c < 0) || (op == "<=" && c <= 0) ||
              (op == ">" && c > 0) || (op == ">=" && c >= 0);
    }
    if (!holds) return int64_t{0};
    left = std::move(right);
  }
  return int64_t{1};
}

int64_t floor_divide(int64_t a, int64_t b) {
  const int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

Value Evaluation::integers(const CodeNode& at, const std::string& op, int64_t a, int64_t b) {
  const auto ua = static_cast<uint64_t>(a), ub = static_cast<uint64_t>(b);
  if (op == "+") return static_cast<int64_t>(ua + ub);
  if (op == "-") return static_cast<int64_t>(ua - ub);
  if (op == "*") return static_cast<int64_t>(ua * ub);
  if (op == "|") return a | b;
  if (op == "&") return a & b;
  if (op == "^") return a ^ b;
  if (op == "<<" || op == ">>") {
    if (b < 0 || b > 63) fail(at, "a shift by " + std::to_string(b));
    return op == "<<" ? static_cast<int64_t>(ua << b) : a >> b;
  }
  if (b == 0) fail(at, "a division by zero");
  if (op == "/") return static_cast<double>(a) / static_cast<double>(b);
  if (b == -1) return op == "//" ? static_cast<int64_t>(0 - ua) : int64_t{0};
  const int64_t q = floor_divide(a, b);
  return op == "//" ? q : a - q * b;
}

Value Evaluation::reals(const CodeNode& at, const std::string& op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op != "/" && op != "//" && op != "%") fail(at, "'" + op + "' is for integers");
  if (b == 0) fail(at, "a division by zero");
  if (op == "/") return a / b;
  return op == "//" ? std::floor(a / b) : a - b * std::floor(a / b);
}

Value Evaluation::binary(const CodeNode& at, const std::string& op, const Value& a, const Value& b) {
  if (is_text(a) && op == "%") return format(std::get<std::string>(a), {b});
  if (is_text(a) && is_text(b) && op == "+") return std::get<std::string>(a) + std::get<std::string>(b);
  if (is_text(a) || is_text(b)) fail(at, "'" + op + "' is not for strings");
  if (std::holds_alternative<int64_t>(a) && std::holds_alternative<int64_t>(b)) {
    return integers(at, op, std::get<int64_t>(a), std::get<int64_t>(b));
  }
  return reals(at, op, real_of(a), real_of(b));
}

Value Evaluation::unary(const CodeNode& n) {
  const Value v = value(n.operands[0]);
  if (is_text(v)) fail(n, "'" + n.text + "' is not for strings");
  if (std::holds_alternative<double>(v)) {
    if (n.text == "~") fail(n, "'~' is for integers");
    return n.text == "-" ? -std::get<double>(v) : std::get<double>(v);
  }
  const int64_t i = std::get<int64_t>(v);
  if (n.text == "~") return ~i;
  return n.text == "-" ? static_cast<int64_t>(0 - static_cast<uint64_t>(i)) : i;
}

Value Evaluation::call(const CodeNode& n) {
  std::vector<Value> a;
  for (const CodeNode& o : n.operands)
    a.push_back(value(o));
  if ((n.text == "min" || n.text == "max") && !a.empty()) {
    Value best = a[0];
    for (const Value& v : a) {
      if (is_text(v) != is_text(best)) fail(n, "a string and a number have no order");
      if (n.text == "min" ? order(v, best) < 0 : order(v, best) > 0) best = v;
    }
    return best;
  }
  if (n.text == "str" && a.size() == 1) return to_string_value(a[0]);
  if (a.size() == 1 && !is_text(a[0])) {
    const bool is_real = std::holds_alternative<double>(a[0]);
    if (n.text == "abs" && order(a[0], int64_t{0}) >= 0) return a[0];
    if (n.text == "abs") return is_real ? Value(-real_of(a[0])) : integers(n, "-", 0, std::get<int64_t>(a[0]));
    if (n.text == "int" && is_real && !(std::abs(real_of(a[0])) < 9e18)) fail(n, "this does not fit into 64 bits");
    if (n.text == "int") return is_real ? Value(static_cast<int64_t>(real_of(a[0]))) : a[0];
  }
  fail(n, "there is no function '" + n.text + "' for this; there are min, max, abs, int and str");
}

Value Evaluation::value(const CodeNode& n) {
  switch (n.kind) {
    case Kind::kNumber:
      return n.number;
    case Kind::kFloat:
      return n.real;
    case Kind::kString:
      return n.text;
    case Kind::kName:
      return name(n);
    case Kind::kUnary:
      return unary(n);
    case Kind::kCompare:
      return compare(n);
    case Kind::kCall:
      return call(n);
    case Kind::kNot:
      return int64_t{!is_true(value(n.operands[0]))};
    case Kind::kIfElse:
      return value(n.operands[is_true(value(n.operands[0])) ? 1 : 2]);
    case Kind::kBinary: {
      const Value left = value(n.operands[0]);
      const CodeNode& right = n.operands[1];
      if (n.text == "%" && is_text(left) && right.kind == Kind::kCall && right.text == "tuple") {
        std::vector<Value> a;
        for (const CodeNode& o : right.operands)
          a.push_back(value(o));
        return format(std::get<std::string>(left), a);
      }
      return binary(n, n.text, left, value(right));
    }
    case Kind::kAnd:
    case Kind::kOr: {
      Value v = int64_t{0};
      for (const CodeNode& o : n.operands) {
        v = value(o);
        if (is_true(v) == (n.kind == Kind::kOr)) break;
      }
      return v;
    }
  }
  return int64_t{0};
}

// "tcpi_snd_cwnd is 7, tcpi_lost is 1": the names of a condition that did not hold.
std::string Evaluation::fields_of(const CodeNode& n) {
  std::string s;
  if (n.kind == Kind::kName) s = n.text + " is " + to_string_value(name(n));
  for (const CodeNode& o : n.operands) {
    const std::string more = fields_of(o);
    if (!more.empty() && s.find(more) == std::string::npos) s += (s.empty() ? "" : ", ") + more;
  }
  return s;
}

void Evaluation::run(const CodeStatement& s) {
  if (s.kind == CodeStatement::Kind::kAssign) {
    Value v = value(s.values[0]);
    if (!s.op.empty()) {
      CodeNode target;
      target.kind = Kind::kName;
      target.place = s.place;
      target.text = s.name;
      v = binary(target, s.op, name(target), v);
    }
    context_.variables[s.name] = std::move(v);
  } else if (s.kind == CodeStatement::Kind::kPrint) {
    std::string line;
    for (const CodeNode& n : s.values)
      line += (line.empty() ? "" : " ") + to_string_value(value(n));
    context_.print(line);
  } else if (s.kind == CodeStatement::Kind::kExpression) {
    (void)value(s.values[0]);
  } else if (!is_true(value(s.values[0]))) {
    std::string what = "does not hold: " + s.source;
    if (const std::string f = fields_of(s.values[0]); !f.empty()) what += "\n  " + f;
    if (s.values.size() > 1 && s.values[1].kind != Kind::kName) what += "\n  " + to_string_value(value(s.values[1]));
    throw ScriptError(s.place, what);
  }
}

}  // namespace

std::string to_string_value(const Value& v) {
  if (is_text(v)) return std::get<std::string>(v);
  if (std::holds_alternative<int64_t>(v)) return std::to_string(std::get<int64_t>(v));
  char text[64];
  std::snprintf(text, sizeof text, "%g", std::get<double>(v));
  return text;
}

bool is_true(const Value& v) {
  if (is_text(v)) return !std::get<std::string>(v).empty();
  return real_of(v) != 0;
}

void Code::run(Context& context) const {
  Evaluation e(context);
  for (const CodeStatement& s : statements)
    e.run(s);
}

}  // namespace leat::drill
