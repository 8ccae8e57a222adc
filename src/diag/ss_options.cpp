// The command line of ss: letters may be joined ("-tuanie"); then states; then a filter.
#include <fmt/format.h>

#include "diag/ss.h"

namespace leat::diag {
namespace {

struct Flag {
  char letter;
  std::string_view name;
  bool SsOptions::* member;
  const char* help;
};

constexpr Flag kFlags[] = {
    {'h', "help", &SsOptions::help, "this text"},
    {'n', "numeric", &SsOptions::numeric, "ports as numbers"},
    {'a', "all", &SsOptions::all, "listening ones, too"},
    {'l', "listening", &SsOptions::listening, "listening ones only"},
    {'t', "tcp", &SsOptions::tcp, "TCP only"},
    {'u', "udp", &SsOptions::udp, "UDP only"},
    {'4', "ipv4", &SsOptions::v4, "sockets of IPv4 only"},
    {'6', "ipv6", &SsOptions::v6, "sockets of IPv6 only"},
    {'o', "options", &SsOptions::options, "timers"},
    {'e', "extended", &SsOptions::extended, "timers, number of the socket, half-closed directions"},
    {'m', "memory", &SsOptions::memory, "bytes charged to the socket"},
    {'i', "info", &SsOptions::info, "what TCP knows of the connection"},
    {0, "tos", &SsOptions::tos, "type of service"},
    {'s', "summary", &SsOptions::summary, "counts only"},
    {'H', "no-header", &SsOptions::no_header, "without the first line"},
    {'O', "oneline", &SsOptions::one_line, "one line a socket"},
    {'K', "kill", &SsOptions::kill, "close those that match (SOCK_DESTROY), and show them"},
    {0, "human-readable", &SsOptions::human, "rates in K, M and G"},
};

bool set_letter(SsOptions& o, char letter, std::string& error) {
  for (const Flag& f : kFlags) {
    if (f.letter == letter) {
      o.*f.member = true;
      return true;
    }
  }
  // -p and -r are known to everybody's fingers: say why they are not here.
  if (letter == 'p') error = "ss: -p is not here: every socket belongs to the process of this leat";
  if (letter == 'r') error = "ss: -r is not here: nothing resolves addresses to names";
  if (error.empty()) error = fmt::format("ss: there is no option -{} (leat ss --help)", letter);
  return false;
}

bool set_name(SsOptions& o, std::string_view name, std::string& error) {
  for (const Flag& f : kFlags) {
    if (f.name == name) {
      o.*f.member = true;
      return true;
    }
  }
  error = "ss: there is no option --" + std::string(name) + " (leat ss --help)";
  return false;
}

bool parse_letters(SsOptions& o, std::string_view letters, std::string& error) {
  for (char c : letters) {
    if (!set_letter(o, c, error)) return false;
  }
  return true;
}

// Words of "state NAME" and "exclude NAME", however many; `at` moves on behind them.
bool parse_states(std::span<const std::string> words, size_t& at, uint32_t& states, std::string& error) {
  uint32_t included = 0;
  for (; at + 1 < words.size() && (words[at] == "state" || words[at] == "exclude"); at += 2) {
    const uint32_t named = states_of_name(words[at + 1]);
    if (named == 0) {
      error = "ss: '" + words[at + 1] + "' is not a state";
      return false;
    }
    if (words[at] == "state") {
      included |= named;
      states = included;
    } else {
      states &= ~named;
    }
  }
  if (at < words.size() && (words[at] == "state" || words[at] == "exclude")) {
    error = "ss: the name of a state is missing behind '" + words[at] + "'";
    return false;
  }
  return true;
}

uint32_t default_states(const SsOptions& o) {
  using inet::State;
  const uint32_t idle = state_bit(State::kListen) | state_bit(State::kClose);
  if (o.all) return states_of_name("all");
  if (o.listening) return idle;
  return states_of_name("connected") & ~states_of_name("bucket");
}

}  // namespace

bool parse_ss_options(std::span<const std::string> words, SsOptions& out, std::string& error) {
  error.clear();
  // As with getopt, options may stand anywhere.
  std::vector<std::string> rest;
  for (const std::string& word : words) {
    const bool is_long = word.starts_with("--") && word.size() > 2;
    const bool is_short = !is_long && word.starts_with('-') && word.size() > 1;
    if (is_long && !set_name(out, std::string_view(word).substr(2), error)) return false;
    if (is_short && !parse_letters(out, std::string_view(word).substr(1), error)) return false;
    if (!is_long && !is_short) rest.push_back(word);
  }
  if (out.extended) out.options = true;  // as ss does
  out.states = default_states(out);
  size_t at = 0;
  if (!parse_states(rest, at, out.states, error)) return false;
  if (!SsFilter::parse(std::span(rest).subspan(at), out.filter, error)) {
    error = "ss: " + error;
    return false;
  }
  return true;
}

bool is_wanted(const SsOptions& o, const SocketRow& row) {
  if ((o.tcp || o.udp) && !(row.is_udp ? o.udp : o.tcp)) return false;
  if ((o.v4 || o.v6) && !(row.family == Family::kIpv4 ? o.v4 : o.v6)) return false;
  return (o.states & state_bit(row.state)) != 0 && o.filter.matches(row);
}

std::string ss_help() {
  std::string text =
      "Usage: leat ss [OPTIONS] [state NAME | exclude NAME]... [FILTER]\n"
      "The sockets of a leat that runs, as ss(8) shows the kernel's.\n\n";
  for (const Flag& f : kFlags) {
    std::string left = f.letter != 0 ? std::string("  -") + f.letter + ", --" : std::string("      --");
    left += f.name;
    left.resize(26, ' ');
    text += left + f.help + "\n";
  }
  text +=
      "      --control PATH      which leat; not needed when one runs alone\n"
      "      --name NAME         the same by its --name\n\n"
      "States: established syn-sent syn-recv fin-wait-1 fin-wait-2 time-wait closed close-wait last-ack listening\n"
      "closing, and all connected synchronized bucket big\n\n"
      "Examples:\n"
      "  leat ss -tan                               all of TCP, as numbers\n"
      "  leat ss -ti state established              and what TCP knows of each\n"
      "  leat ss -tn '( dport = :80 or sport = :80 )' dst 10.0.0.0/8\n"
      "  leat ss -K dst 10.0.0.7 dport = :5000      reset them\n";
  return text;
}

}  // namespace leat::diag
