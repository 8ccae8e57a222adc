// Options, then events: `time what`. See parser.h; packets and calls have files of their own.
#include "sim/drill/parser.h"

#include "sim/drill/code.h"

namespace leat::drill {
namespace {

class Parser {
 public:
  Parser(const std::string& path, std::string_view text, const Definitions& definitions)
      : definitions_(definitions), c_(text, definitions_) {
    script_.path = path;
  }

  Script run() {
    while (c_.is_next("--"))
      option();
    if (c_.is_next("`")) {
      script_.init_place = c_.place();
      script_.init_command = c_.quoted('`', "a command");
    }
    while (!c_.at_end() && !c_.is_next("`"))
      event();
    if (!c_.at_end()) {
      script_.cleanup_place = c_.place();
      script_.cleanup_command = c_.quoted('`', "a command");
      if (!c_.at_end()) c_.fail("the end of the script, because an event has a time: a command without is the last");
    }
    return std::move(script_);
  }

 private:
  void option();
  void event();
  EventTime time();
  void action(Event& e);

  Definitions definitions_;
  Cursor c_;
  Script script_;
};

// In one line, and not too long.
std::string one_line(std::string_view text) {
  constexpr size_t kMost = 100;
  std::string out;
  for (const char c : text) {
    const bool is_blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!is_blank) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
    if (out.size() > kMost) return out + "…";
  }
  while (!out.empty() && out.back() == ' ')
    out.pop_back();
  return out;
}

// --name or --name=value; the value ends at a blank.
void Parser::option() {
  ScriptOption o;
  o.place = c_.place();
  c_.take("--");
  o.name = c_.word("an option's name after --");
  if (c_.peek() == '=') {
    c_.take("=");
    o.value = c_.to_blank();
  }
  if (o.name == "define" || o.name == "D") {
    const auto eq = o.value.find('=');
    if (eq == std::string::npos) throw ScriptError(o.place, "--define must be --define=NAME=VALUE");
    definitions_.insert_or_assign(o.value.substr(0, eq), o.value.substr(eq + 1));
  }
  script_.options.push_back(std::move(o));
}

EventTime Parser::time() {
  EventTime t;
  if (c_.take("*")) {
    t.kind = EventTime::Kind::kAny;
    return t;
  }
  const bool is_relative = c_.take("+");
  t.kind = is_relative ? EventTime::Kind::kRelative : EventTime::Kind::kAbsolute;
  t.us = c_.microseconds("an event's time: 0.1, +0.1, 0.1~0.2, +0.1~+0.2 or *");
  if (!c_.take("~")) return t;
  if (is_relative) c_.expect("+", "a range of relative times (+0.1~+0.2)");
  t.kind = is_relative ? EventTime::Kind::kRelativeRange : EventTime::Kind::kAbsoluteRange;
  const size_t at = c_.offset();
  t.end_us = c_.microseconds("the range's end");
  if (t.end_us < t.us) c_.fail_at(at, "the range ends before it begins");
  return t;
}

void Parser::action(Event& e) {
  if (c_.is_next("<") || c_.is_next(">")) {
    e.kind = Event::Kind::kPacket;
    e.packet = parse_packet(c_);
  } else if (c_.is_next("`")) {
    e.kind = Event::Kind::kCommand;
    e.command = c_.quoted('`', "a command");
  } else if (c_.take("%{")) {
    e.kind = Event::Kind::kCode;
    const Place at = c_.place();
    e.code = parse_code(c_.until("}%", "this code"), at);
  } else if (c_.is_next("...") || c_.at_word()) {
    e.kind = Event::Kind::kCall;
    e.call = parse_call(c_, definitions_);
  } else {
    c_.fail("a packet (< or >), a system call, a `command` or %{ code }%");
  }
}

void Parser::event() {
  c_.skip();
  Event e;
  e.place = c_.place();
  e.time = time();
  c_.skip();
  const size_t at = c_.offset();
  action(e);
  e.source = one_line(c_.text_from(at));
  const bool is_expectation = e.kind == Event::Kind::kPacket && !e.packet.is_inbound;
  const bool is_exact = e.time.kind == EventTime::Kind::kAbsolute || e.time.kind == EventTime::Kind::kRelative;
  if (!is_exact && !is_expectation)
    c_.fail_at(at, "only a packet that is expected (>) may have * or a range as its time");
  script_.events.push_back(std::move(e));
}

}  // namespace

const Expr* Expr::field(const std::string& name) const {
  for (const auto& [key, value] : fields) {
    if (key == name) return &value;
  }
  return nullptr;
}

Script parse_script(const std::string& path, std::string_view text, const Definitions& definitions) {
  return Parser(path, text, definitions).run();
}

}  // namespace leat::drill
