// Where the parser stands in a script's text: it passes over blanks and comments (//, /* */, #), knows line and column,
// and says what it expected. Words that --define names are replaced as they are read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "sim/drill/script.h"

namespace leat::drill {

using Definitions = std::map<std::string, std::string>;

class Cursor {
 public:
  Cursor(std::string_view text, const Definitions& definitions) : text_(text), definitions_(definitions) {}

  void skip();  // blanks and comments
  bool at_end();
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  Place place() const;
  size_t offset() const { return at_; }
  void rewind(size_t offset) { at_ = offset; }
  std::string_view text_from(size_t offset) const { return text_.substr(offset, at_ - offset); }

  bool is_next(std::string_view literal);  // after blanks
  bool take(std::string_view literal);     // exactly these characters
  bool take_word(std::string_view word);   // and no letter, digit or _ behind it
  void expect(std::string_view literal, std::string_view in);

  bool at_word();
  bool at_number();
  std::string word(std::string_view what);
  std::string peek_word();
  bool is_at_defined() { return at_word() && definitions_.contains(peek_word()); }
  std::string defined(std::string_view what);  // the value of a word that --define names
  int64_t integer(std::string_view what);
  int64_t integer(std::string_view what, int64_t max);             // 0 to max
  int64_t microseconds(std::string_view what);                     // "1.5": seconds, not negative
  std::string quoted(char quote, std::string_view what);           // \" stays as it is within
  std::string until(std::string_view end, std::string_view what);  // verbatim; `end` is passed over
  std::string to_blank();                                          // verbatim; quotes may hold blanks

  [[noreturn]] void fail(std::string_view expected);
  [[noreturn]] void fail_at(size_t offset, const std::string& what) const;

 private:
  Place place_of(size_t offset) const;
  std::string shown() const;  // what stands here, for a message
  std::string raw_word();
  int64_t defined_integer(std::string_view what);
  std::string_view text_;
  const Definitions& definitions_;
  size_t at_ = 0;
};

}  // namespace leat::drill
