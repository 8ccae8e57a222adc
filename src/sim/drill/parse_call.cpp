// System calls:  accept(3, ..., ...) = 4      ...0.5 read(4, ..., 10) = -1 EAGAIN (Resource temporarily unavailable)
#include <cstdlib>

#include "sim/drill/parser.h"

namespace leat::drill {
namespace {

class CallParser {
 public:
  CallParser(Cursor& c, const Definitions& definitions) : c_(c), definitions_(definitions) {}

  CallSpec run() {
    CallSpec call;
    if (c_.take("...")) call.blocks_us = c_.microseconds("the time until which the call may block");
    c_.skip();
    call.place = c_.place();
    call.name = c_.word("a system call's name");
    c_.expect("(", "a system call");
    call.arguments = list(")");
    c_.expect("=", "a system call, which needs a result: name(…) = 0");
    call.result = expr();
    if (c_.at_word()) call.errno_name = c_.word("an errno");
    note();
    return call;
  }

 private:
  Expr expr();
  Expr primary();
  Expr word();
  Expr braces(Expr e);
  std::vector<Expr> list(const char* end);
  void note();
  Expr start(Expr::Kind kind) {
    c_.skip();
    Expr e;
    e.kind = kind;
    e.place = c_.place();
    return e;
  }

  static constexpr int kMostNested = 50;

  Cursor& c_;
  const Definitions& definitions_;
  int depth_ = 0;
};

// (Operation now in progress), (flags O_RDWR): for the reader only.
void CallParser::note() {
  if (!c_.take("(")) return;
  c_.until(")", "this note");
}

std::vector<Expr> CallParser::list(const char* end) {
  std::vector<Expr> items;
  if (c_.take(end)) return items;
  do {
    items.push_back(expr());
  } while (c_.take(","));
  c_.expect(end, "a list of expressions");
  return items;
}

Expr CallParser::expr() {
  if (++depth_ > kMostNested) c_.fail("an expression that is nested less deeply");
  Expr first = primary();
  --depth_;
  if (!c_.is_next("|")) return first;
  Expr all = start(Expr::Kind::kOr);
  all.place = first.place;
  all.items.push_back(std::move(first));
  while (c_.take("|"))
    all.items.push_back(primary());
  return all;
}

Expr CallParser::word() {
  Expr e = start(Expr::Kind::kWord);
  e.text = c_.word("a word");
  if (const auto d = definitions_.find(e.text); d != definitions_.end()) {
    const std::string& value = d->second;
    char* end = nullptr;
    e.number = std::strtoll(value.c_str(), &end, 0);
    if (!value.empty() && (value[0] == '"' || value[0] == '`')) {
      e.kind = Expr::Kind::kString;
      e.text = value.substr(1, value.size() - 2);
    } else if (!value.empty() && *end == '\0') {
      e.kind = Expr::Kind::kInt;
    } else {
      e.text = value;
    }
    return e;
  }
  if (!c_.take("(")) return e;
  e.kind = Expr::Kind::kCall;
  e.items = list(")");
  return e;
}

// {a, b} or {name=value, name(n)=value}; what stands in the parentheses of a name goes by.
Expr CallParser::braces(Expr e) {
  e.kind = Expr::Kind::kBraces;
  if (c_.take("}")) return e;
  do {
    c_.skip();
    const size_t from = c_.offset();
    if (c_.at_word()) {
      std::string name = c_.word("a field's name");
      if (c_.take("(")) c_.until(")", "this field's parenthesis");
      if (c_.take("=")) {
        e.fields.emplace_back(std::move(name), expr());
        continue;
      }
      c_.rewind(from);
    }
    e.items.push_back(expr());
  } while (c_.take(","));
  c_.expect("}", "a structure");
  return e;
}

Expr CallParser::primary() {
  if (c_.is_next("\"")) {
    Expr e = start(Expr::Kind::kString);
    while (c_.is_next("\""))
      e.text += c_.quoted('"', "a string");
    e.is_prefix = c_.take("...");
    return e;
  }
  Expr e = start(Expr::Kind::kEllipsis);
  if (c_.take("...")) return e;
  if (c_.at_number()) {
    e.kind = Expr::Kind::kInt;
    e.number = c_.integer("a number");
    return e;
  }
  if (c_.at_word()) return word();
  if (c_.take("[")) {
    e.kind = Expr::Kind::kList;
    e.items = list("]");
    return e;
  }
  if (c_.take("{")) return braces(std::move(e));
  c_.fail("an expression: a number, a NAME, \"text\", [list], {structure} or ...");
}

}  // namespace

CallSpec parse_call(Cursor& c, const Definitions& definitions) {
  return CallParser(c, definitions).run();
}

}  // namespace leat::drill
