// Code's text to statements: a lexer that knows Python's rules for lines, and one function for each level of binding.
#include <cctype>
#include <cerrno>
#include <cstdlib>

#include "sim/drill/code.h"

namespace leat::drill {
namespace {

struct Token {
  enum class Kind : uint8_t { kEnd, kNewline, kNumber, kFloat, kString, kName, kSymbol };
  Kind kind = Kind::kEnd;
  std::string text;
  Place place;
  size_t from = 0, to = 0;
};

class Lexer {
 public:
  Lexer(std::string_view text, Place at) : text_(text), place_(at) {}

  std::vector<Token> run() {
    std::vector<Token> tokens;
    do {
      tokens.push_back(next());
    } while (tokens.back().kind != Token::Kind::kEnd);
    return tokens;
  }

 private:
  char peek(size_t n = 0) const { return at_ + n < text_.size() ? text_[at_ + n] : '\0'; }
  void step() {
    if (peek() == '\n') {
      ++place_.line;
      place_.column = 1;
    } else {
      ++place_.column;
    }
    ++at_;
  }
  void skip();
  Token next();
  void lex_string(Token& t);
  void lex_number(Token& t);
  void lex_symbol(Token& t);

  std::string_view text_;
  size_t at_ = 0;
  Place place_;
  int depth_ = 0;  // of parentheses, within which a line's end is a blank
};

void Lexer::skip() {
  for (;;) {
    if (peek() == '#') {
      while (at_ < text_.size() && peek() != '\n')
        step();
    } else if (peek() == '\\' && peek(1) == '\n') {
      step();
      step();
    } else if (peek() == ' ' || peek() == '\t' || peek() == '\r' || (peek() == '\n' && depth_ > 0)) {
      step();
    } else {
      return;
    }
  }
}

void Lexer::lex_string(Token& t) {
  const char quote = peek();
  t.kind = Token::Kind::kString;
  for (step(); peek() != quote; step()) {
    if (peek() == '\0' || peek() == '\n') throw ScriptError(t.place, "this string has no end");
    if (peek() == '\\') step();
    t.text += peek();
  }
  step();
}

void Lexer::lex_number(Token& t) {
  t.kind = Token::Kind::kNumber;
  const bool is_hex = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
  while (std::isalnum(static_cast<unsigned char>(peek())) != 0 || peek() == '_' || (peek() == '.' && !is_hex)) {
    if (peek() == '.') t.kind = Token::Kind::kFloat;
    if (peek() != '_') t.text += peek();
    step();
  }
  char* end = nullptr;
  errno = 0;
  if (t.kind == Token::Kind::kNumber) (void)std::strtoull(t.text.c_str(), &end, is_hex ? 16 : 10);
  if (t.kind == Token::Kind::kFloat) (void)std::strtod(t.text.c_str(), &end);
  if (*end != '\0' || errno == ERANGE) throw ScriptError(t.place, "'" + t.text + "' is not a number");
}

void Lexer::lex_symbol(Token& t) {
  static constexpr const char* kSymbols[] = {"<<=", ">>=", "//=", "==", "!=", "<=", ">=", "<<", ">>", "//",
                                             "+=",  "-=",  "*=",  "/=", "%=", "|=", "&=", "^=", "+",  "-",
                                             "*",   "/",   "%",   "|",  "&",  "^",  "~",  "<",  ">",  "=",
                                             "(",   ")",   ",",   "[",  ":",  ".",  "{",  "}",  "]"};
  t.kind = Token::Kind::kSymbol;
  for (const char* s : kSymbols) {
    if (!text_.substr(at_).starts_with(s)) continue;
    t.text = s;
    for (size_t i = 0; i < t.text.size(); ++i)
      step();
    if (t.text == "(") ++depth_;
    if (t.text == ")") --depth_;
    return;
  }
  throw ScriptError(place_, std::string("'") + peek() + "' has no meaning in code");
}

Token Lexer::next() {
  skip();
  Token t;
  t.place = place_;
  t.from = at_;
  const char c = peek();
  if (c == '\0') {
    t.kind = Token::Kind::kEnd;
  } else if (c == '\n' || c == ';') {
    t.kind = Token::Kind::kNewline;
    step();
  } else if (c == '\'' || c == '"') {
    lex_string(t);
  } else if (std::isdigit(static_cast<unsigned char>(c)) != 0 ||
             (c == '.' && std::isdigit(static_cast<unsigned char>(peek(1))) != 0)) {
    lex_number(t);
  } else if (std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_') {
    t.kind = Token::Kind::kName;
    while (std::isalnum(static_cast<unsigned char>(peek())) != 0 || peek() == '_') {
      t.text += peek();
      step();
    }
  } else {
    lex_symbol(t);
  }
  t.to = at_;
  return t;
}

using Kind = CodeNode::Kind;

class CodeParser {
 public:
  CodeParser(std::string_view text, Place at) : text_(text), tokens_(Lexer(text, at).run()) {}

  std::shared_ptr<const Code> run() {
    auto code = std::make_shared<Code>();
    while (now().kind != Token::Kind::kEnd) {
      if (now().kind == Token::Kind::kNewline) {
        ++at_;
        continue;
      }
      code->statements.push_back(statement());
      if (now().kind != Token::Kind::kNewline && now().kind != Token::Kind::kEnd) fail("the end of the statement");
    }
    return code;
  }

 private:
  const Token& now() const { return tokens_[at_]; }
  bool is(std::string_view text) const {
    return (now().kind == Token::Kind::kSymbol || now().kind == Token::Kind::kName) && now().text == text;
  }
  bool take(std::string_view text) {
    if (!is(text)) return false;
    ++at_;
    return true;
  }
  [[noreturn]] void fail(const std::string& expected) const {
    const Token& t = now();
    const bool is_end = t.kind == Token::Kind::kEnd || t.kind == Token::Kind::kNewline;
    throw ScriptError(t.place, "found " + (is_end ? "the end" : "'" + t.text + "'") + "; expected " + expected);
  }
  CodeStatement statement();
  void call_arguments(std::vector<CodeNode>& out);
  CodeNode expression();
  CodeNode disjunction();
  CodeNode conjunction();
  CodeNode negation();
  CodeNode comparison();
  CodeNode binary(size_t level);
  CodeNode unary();
  CodeNode primary();
  CodeNode node(Kind kind) const {
    CodeNode n;
    n.kind = kind;
    n.place = now().place;
    return n;
  }

  // Of what calls itself: a text full of brackets is refused before it has filled the program's own stack.
  class Nesting {
   public:
    explicit Nesting(CodeParser& p) : parser_(p) {
      if (++p.depth_ > kMostNested) p.fail("code that is nested less deeply");
    }
    ~Nesting() { --parser_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    CodeParser& parser_;
  };
  static constexpr int kMostNested = 100;

  std::string_view text_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

void CodeParser::call_arguments(std::vector<CodeNode>& out) {
  if (take(")")) return;
  do {
    out.push_back(expression());
  } while (take(","));
  if (!take(")")) fail("')'");
}

CodeStatement CodeParser::statement() {
  static constexpr const char* kRefused[] = {"if",  "for",    "while", "def",   "class",  "import", "from",
                                             "try", "return", "with",  "raise", "global", "lambda"};
  for (const char* word : kRefused) {
    if (is(word))
      throw ScriptError(now().place,
                        "'" + now().text + "' is not in this runner's code, which has assert, print and NAME = value");
  }
  CodeStatement s;
  s.place = now().place;
  const size_t from = now().from;
  if (take("assert")) {
    s.kind = CodeStatement::Kind::kAssert;
    s.values.push_back(expression());
    s.source = std::string(text_.substr(from, tokens_[at_ - 1].to - from));
    if (take(",")) s.values.push_back(expression());
  } else if (is("print") && tokens_[at_ + 1].text == "(") {
    at_ += 2;
    s.kind = CodeStatement::Kind::kPrint;
    call_arguments(s.values);
  } else if (now().kind == Token::Kind::kName && tokens_[at_ + 1].kind == Token::Kind::kSymbol &&
             tokens_[at_ + 1].text.back() == '=' && tokens_[at_ + 1].text != "==" && tokens_[at_ + 1].text != "<=" &&
             tokens_[at_ + 1].text != ">=" && tokens_[at_ + 1].text != "!=") {
    s.kind = CodeStatement::Kind::kAssign;
    s.name = now().text;
    s.op = tokens_[at_ + 1].text;
    s.op.pop_back();
    at_ += 2;
    s.values.push_back(expression());
  } else {
    s.values.push_back(expression());
  }
  return s;
}

CodeNode CodeParser::expression() {
  const Nesting nesting(*this);
  CodeNode value = disjunction();
  if (!is("if")) return value;
  CodeNode n = node(Kind::kIfElse);
  take("if");
  n.operands.push_back(disjunction());
  if (!take("else")) fail("'else'");
  n.operands.push_back(std::move(value));
  n.operands.push_back(expression());
  return n;
}

CodeNode CodeParser::disjunction() {
  CodeNode first = conjunction();
  if (!is("or")) return first;
  CodeNode n = node(Kind::kOr);
  n.operands.push_back(std::move(first));
  while (take("or"))
    n.operands.push_back(conjunction());
  return n;
}

CodeNode CodeParser::conjunction() {
  CodeNode first = negation();
  if (!is("and")) return first;
  CodeNode n = node(Kind::kAnd);
  n.operands.push_back(std::move(first));
  while (take("and"))
    n.operands.push_back(negation());
  return n;
}

CodeNode CodeParser::negation() {
  if (!is("not")) return comparison();
  const Nesting nesting(*this);
  CodeNode n = node(Kind::kNot);
  take("not");
  n.operands.push_back(negation());
  return n;
}

CodeNode CodeParser::comparison() {
  CodeNode first = binary(0);
  CodeNode n = node(Kind::kCompare);
  n.place = first.place;
  n.operands.push_back(std::move(first));
  for (;;) {
    const std::string& op = now().text;
    if (now().kind != Token::Kind::kSymbol ||
        (op != "==" && op != "!=" && op != "<" && op != "<=" && op != ">" && op != ">=")) {
      break;
    }
    n.ops.push_back(op);
    ++at_;
    n.operands.push_back(binary(0));
  }
  return n.ops.empty() ? std::move(n.operands[0]) : n;
}

CodeNode CodeParser::binary(size_t level) {
  static const std::vector<std::vector<std::string>> kLevels = {{"|"},        {"^"},      {"&"},
                                                                {"<<", ">>"}, {"+", "-"}, {"*", "//", "/", "%"}};
  if (level == kLevels.size()) return unary();
  CodeNode left = binary(level + 1);
  for (;;) {
    bool found = false;
    for (const std::string& op : kLevels[level]) {
      if (now().kind != Token::Kind::kSymbol || !is(op)) continue;
      CodeNode n = node(Kind::kBinary);
      n.text = op;
      ++at_;
      n.operands.push_back(std::move(left));
      n.operands.push_back(binary(level + 1));
      left = std::move(n);
      found = true;
      break;
    }
    if (!found) return left;
  }
}

CodeNode CodeParser::unary() {
  if (!is("-") && !is("+") && !is("~")) return primary();
  const Nesting nesting(*this);
  CodeNode n = node(Kind::kUnary);
  n.text = now().text;
  ++at_;
  n.operands.push_back(unary());
  return n;
}

CodeNode CodeParser::primary() {
  CodeNode n = node(Kind::kNumber);
  const Token t = now();
  switch (t.kind) {
    case Token::Kind::kNumber:
      n.number = static_cast<int64_t>(std::strtoull(t.text.c_str(), nullptr, t.text.starts_with("0x") ? 16 : 10));
      break;
    case Token::Kind::kFloat:
      n.kind = Kind::kFloat;
      n.real = std::strtod(t.text.c_str(), nullptr);
      break;
    case Token::Kind::kString:
      n.kind = Kind::kString;
      n.text = t.text;
      break;
    case Token::Kind::kName:
      n.kind = Kind::kName;
      n.text = t.text;
      ++at_;
      if (n.text == "True" || n.text == "False") {
        n.kind = Kind::kNumber;
        n.number = n.text == "True";
      } else if (take("(")) {
        n.kind = Kind::kCall;
        call_arguments(n.operands);
      }
      return n;
    default:
      if (!take("(")) fail("a value");
      n = expression();
      if (take(",")) {  // a tuple: only behind %, where its elements are the arguments
        CodeNode tuple = node(Kind::kCall);
        tuple.text = "tuple";
        tuple.operands.push_back(std::move(n));
        if (is(")")) {
          take(")");
        } else {
          call_arguments(tuple.operands);
        }
        return tuple;
      }
      if (!take(")")) fail("')'");
      return n;
  }
  ++at_;
  return n;
}

}  // namespace

std::shared_ptr<const Code> parse_code(std::string_view text, Place at) {
  return CodeParser(text, at).run();
}

}  // namespace leat::drill
