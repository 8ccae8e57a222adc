// See cursor.h.
#include "sim/drill/cursor.h"

#include <cctype>
#include <cerrno>
#include <cstdlib>

namespace leat::drill {
namespace {

bool is_word_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

void Cursor::skip() {
  for (;;) {
    const char c = peek();
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at_;
    } else if (c == '#' || (c == '/' && peek(1) == '/')) {
      while (at_ < text_.size() && peek() != '\n')
        ++at_;
    } else if (c == '/' && peek(1) == '*') {
      const size_t end = text_.find("*/", at_ + 2);
      if (end == std::string_view::npos) fail_at(at_, "this comment has no end; expected */");
      at_ = end + 2;
    } else {
      return;
    }
  }
}

bool Cursor::at_end() {
  skip();
  return at_ >= text_.size();
}

Place Cursor::place_of(size_t offset) const {
  Place p;
  for (size_t i = 0; i < offset && i < text_.size(); ++i) {
    if (text_[i] == '\n') {
      ++p.line;
      p.column = 1;
    } else {
      ++p.column;
    }
  }
  return p;
}

Place Cursor::place() const {
  return place_of(at_);
}

bool Cursor::is_next(std::string_view literal) {
  skip();
  return text_.substr(at_).starts_with(literal);
}

bool Cursor::take(std::string_view literal) {
  if (!is_next(literal)) return false;
  at_ += literal.size();
  return true;
}

bool Cursor::take_word(std::string_view word) {
  if (!is_next(word) || is_word_char(peek(word.size()))) return false;
  at_ += word.size();
  return true;
}

void Cursor::expect(std::string_view literal, std::string_view in) {
  if (!take(literal)) fail("'" + std::string(literal) + "' in " + std::string(in));
}

bool Cursor::at_word() {
  skip();
  return std::isalpha(static_cast<unsigned char>(peek())) != 0 || peek() == '_';
}

bool Cursor::at_number() {
  skip();
  if (peek() == '-') return is_digit(peek(1)) || peek(1) == '.';
  return is_digit(peek()) || (peek() == '.' && is_digit(peek(1)));
}

std::string Cursor::raw_word() {
  const size_t from = at_;
  while (is_word_char(peek()))
    ++at_;
  return std::string(text_.substr(from, at_ - from));
}

std::string Cursor::word(std::string_view what) {
  if (!at_word()) fail(what);
  return raw_word();
}

std::string Cursor::peek_word() {
  skip();
  const size_t from = at_;
  std::string w = raw_word();
  at_ = from;
  return w;
}

std::string Cursor::defined(std::string_view what) {
  const auto d = definitions_.find(peek_word());
  if (d == definitions_.end()) fail(what);
  raw_word();
  return d->second;
}

int64_t Cursor::defined_integer(std::string_view what) {
  const size_t from = at_;
  const std::string value = defined(what);
  char* end = nullptr;
  errno = 0;
  const int64_t number = std::strtoll(value.c_str(), &end, 0);
  if (value.empty() || *end != '\0' || errno == ERANGE)
    fail_at(from, "'" + value + "', which this word stands for, is not a number; expected " + std::string(what));
  return number;
}

int64_t Cursor::integer(std::string_view what) {
  skip();
  if (at_word()) return defined_integer(what);
  if (!at_number()) fail(what);
  const size_t from = at_;
  const bool is_negative = peek() == '-';
  if (is_negative) ++at_;
  const bool is_hex = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
  const std::string digits = raw_word();
  char* end = nullptr;
  errno = 0;
  const int64_t value = std::strtoll(digits.c_str(), &end, is_hex ? 16 : 10);
  if (*end != '\0' || digits.empty()) fail_at(from, "'" + digits + "' is not a number; expected " + std::string(what));
  if (errno == ERANGE) fail_at(from, digits + " does not fit into 64 bits");
  return is_negative ? -value : value;
}

int64_t Cursor::integer(std::string_view what, int64_t max) {
  skip();
  const size_t from = at_;
  const int64_t value = integer(what);
  if (value >= 0 && value <= max) return value;
  fail_at(from, std::string(what) + " must be from 0 to " + std::to_string(max) + ", not " + std::to_string(value));
}

int64_t Cursor::microseconds(std::string_view what) {
  skip();
  if (peek() == '-') fail(std::string(what) + ", which is not negative");
  if (!at_number()) fail(what);
  constexpr int64_t kMostSeconds = 1'000'000'000;
  const size_t from = at_;
  int64_t us = 0;
  while (is_digit(peek())) {
    us = us * 10 + (text_[at_++] - '0');
    if (us > kMostSeconds) fail_at(from, std::string(what) + " must be below 1000000000 seconds");
  }
  us *= 1'000'000;
  if (peek() != '.' || peek(1) == '.') return us;  // "0...0.1": the dots are the range's
  ++at_;
  for (int64_t unit = 100'000; is_digit(peek()); unit /= 10)
    us += (text_[at_++] - '0') * unit;
  return us;
}

std::string Cursor::quoted(char quote, std::string_view what) {
  skip();
  if (peek() != quote) fail(what);
  const size_t from = at_++;
  std::string out;
  while (at_ < text_.size() && peek() != quote) {
    if (peek() == '\\' && peek(1) != '\0') out += text_[at_++];
    out += text_[at_++];
  }
  if (at_ >= text_.size()) fail_at(from, std::string(what) + " has no end; expected " + quote);
  ++at_;
  return out;
}

std::string Cursor::until(std::string_view end, std::string_view what) {
  const size_t to = text_.find(end, at_);
  if (to == std::string_view::npos) fail_at(at_, std::string(what) + " has no end; expected " + std::string(end));
  std::string out(text_.substr(at_, to - at_));
  at_ = to + end.size();
  return out;
}

std::string Cursor::to_blank() {
  std::string out;
  char quote = '\0';
  while (at_ < text_.size() && (quote != '\0' || std::isspace(static_cast<unsigned char>(peek())) == 0)) {
    const char c = text_[at_++];
    if (quote == '\0' && (c == '"' || c == '`')) {
      quote = c;
    } else if (c == quote) {
      quote = '\0';
    }
    out += c;
  }
  return out;
}

std::string Cursor::shown() const {
  if (at_ >= text_.size()) return "the end of the script";
  if (!is_word_char(peek())) return std::string("'") + peek() + "'";
  size_t to = at_;
  while (to < text_.size() && is_word_char(text_[to]) && to - at_ < 40)
    ++to;
  return "'" + std::string(text_.substr(at_, to - at_)) + "'";
}

void Cursor::fail(std::string_view expected) {
  skip();
  fail_at(at_, "found " + shown() + "; expected " + std::string(expected));
}

void Cursor::fail_at(size_t offset, const std::string& what) const {
  throw ScriptError(place_of(offset), what);
}

}  // namespace leat::drill
