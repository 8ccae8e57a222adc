// A recursive descent into a small tree, with a bound on its depth, which is asked about each row.
#include "diag/ss_filter.h"

#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <optional>
#include <vector>

namespace leat::diag {

enum class Op : uint8_t { kAnd, kOr, kNot, kPort, kHost, kDevice };
enum class Relation : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual };

struct SsFilter::Node {
  Op op = Op::kAnd;
  bool is_local = false;  // sport, src
  Relation relation = Relation::kEqual;
  uint16_t port = 0;
  bool has_port = false;  // kHost
  std::optional<Cidr> prefix;
  std::string device;
  std::unique_ptr<Node> left, right;
};

namespace {

using Node = SsFilter::Node;
using NodePtr = std::unique_ptr<Node>;
constexpr int kMaxDepth = 200;

std::vector<std::string> tokenize(std::span<const std::string> words) {
  std::vector<std::string> tokens;
  auto push = [&](std::string& word) {
    if (!word.empty()) tokens.push_back(std::move(word));
    word.clear();
  };
  for (const std::string& text : words) {
    std::string word;
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (std::string_view("()!=<>&|").find(c) != std::string_view::npos) {
        push(word);
        word = c;
        const bool is_doubled = i + 1 < text.size() &&
                                ((std::string_view("=!<>").find(c) != std::string_view::npos && text[i + 1] == '=') ||
                                 ((c == '&' || c == '|') && text[i + 1] == c));
        if (is_doubled) word += text[++i];
        push(word);
      } else if (c == ' ' || c == '\t' || c == '\n') {
        push(word);
      } else {
        word += c;
      }
    }
    push(word);
  }
  return tokens;
}

std::optional<Relation> relation_of(std::string_view t) {
  if (t == "=" || t == "==" || t == "eq") return Relation::kEqual;
  if (t == "!=" || t == "ne" || t == "neq") return Relation::kNotEqual;
  if (t == "<" || t == "lt") return Relation::kLess;
  if (t == "<=" || t == "le" || t == "leq") return Relation::kLessEqual;
  if (t == ">" || t == "gt") return Relation::kGreater;
  if (t == ">=" || t == "ge" || t == "geq") return Relation::kGreaterEqual;
  return {};
}

class Parser {
 public:
  Parser(std::vector<std::string> tokens, std::string& error) : tokens_(std::move(tokens)), error_(error) {}

  NodePtr parse() {
    NodePtr n = parse_or();
    if (n != nullptr && at_ < tokens_.size()) return fail("'" + tokens_[at_] + "' is not expected here");
    return n;
  }

 private:
  NodePtr fail(std::string why) {
    if (error_.empty()) error_ = std::move(why);
    return nullptr;
  }
  bool is_end() const { return at_ == tokens_.size(); }
  std::string_view peek() const { return is_end() ? std::string_view() : tokens_[at_]; }
  bool take(std::initializer_list<std::string_view> any) {
    for (std::string_view t : any) {
      if (peek() == t && !is_end()) return ++at_, true;
    }
    return false;
  }

  static NodePtr join(Op op, NodePtr left, NodePtr right) {
    auto n = std::make_unique<Node>();
    n->op = op;
    n->left = std::move(left);
    n->right = std::move(right);
    return n;
  }

  NodePtr parse_or() {
    NodePtr left = parse_and();
    while (left != nullptr && take({"or", "||", "|"})) {
      NodePtr right = parse_and();
      if (right == nullptr) return nullptr;
      left = join(Op::kOr, std::move(left), std::move(right));
    }
    return left;
  }

  NodePtr parse_and() {
    NodePtr left = parse_unary();
    while (left != nullptr) {
      const bool is_said = take({"and", "&&", "&"});
      if (!is_said && (is_end() || peek() == ")" || peek() == "or" || peek() == "||" || peek() == "|")) break;
      NodePtr right = parse_unary();
      if (right == nullptr) return nullptr;
      left = join(Op::kAnd, std::move(left), std::move(right));
    }
    return left;
  }

  NodePtr parse_unary() {
    if (++depth_ > kMaxDepth) return fail("the filter is too long");
    if (take({"not", "!"})) {
      NodePtr of = parse_unary();
      return of == nullptr ? nullptr : join(Op::kNot, std::move(of), nullptr);
    }
    if (take({"("})) {
      NodePtr inner = parse_or();
      if (inner != nullptr && !take({")"})) return fail("')' is missing");
      return inner;
    }
    return parse_test();
  }

  NodePtr parse_test() {
    if (is_end()) return fail("the filter ends too early");
    const std::string what = tokens_[at_++];
    auto n = std::make_unique<Node>();
    n->is_local = what == "sport" || what == "src";
    if (what == "sport" || what == "dport") return parse_port_test(std::move(n));
    if (what == "src" || what == "dst") return parse_host_test(std::move(n));
    if (what == "dev") return parse_device_test(std::move(n));
    return fail("'" + what + "' is not a test: wanted sport, dport, src, dst or dev");
  }

  // It may be left out. false: it is one of order, and `is_equality` says that there is none.
  bool parse_relation(Node& n, bool is_equality) {
    const auto r = relation_of(peek());
    if (!r || is_end()) return true;
    n.relation = *r;
    if (is_equality && *r != Relation::kEqual && *r != Relation::kNotEqual) {
      fail("'" + tokens_[at_] + "' is not expected here: wanted = or !=");
      return false;
    }
    ++at_;
    return true;
  }

  NodePtr parse_port_test(NodePtr n) {
    n->op = Op::kPort;
    if (!parse_relation(*n, false) || is_end()) return fail("a port is missing");
    const std::string text = tokens_[at_++];
    if (!parse_port(text.substr(text.rfind(':') == std::string::npos ? 0 : text.rfind(':')), n->port)) {
      return fail("'" + text + "' is not a port");
    }
    return n;
  }

  NodePtr parse_host_test(NodePtr n) {
    n->op = Op::kHost;
    if (!parse_relation(*n, true) || is_end()) return fail("a host is missing");
    const std::string text = tokens_[at_++];
    if (!parse_host(text, *n)) return fail("'" + text + "' is not ADDRESS[/PREFIX][:PORT]");
    return n;
  }

  NodePtr parse_device_test(NodePtr n) {
    n->op = Op::kDevice;
    if (!parse_relation(*n, true) || is_end()) return fail("a device is missing");
    n->device = tokens_[at_++];
    return n;
  }

  // 10.0.0.1  10.0.0.0/8:80  [fd00::1]:80  [fd00::]/64  fd00::1  *:80  :80
  static bool parse_host(std::string_view text, Node& n) {
    for (std::string_view prefix : {"inet:", "inet6:"}) {
      if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
    }
    std::string host(text);
    const size_t bracket = text.find(']');
    const size_t colon = text.rfind(':');
    const bool is_bare_v6 = bracket == std::string_view::npos && text.find(':') != colon;
    if (colon != std::string_view::npos && !is_bare_v6 && (bracket == std::string_view::npos || colon > bracket)) {
      host = text.substr(0, colon);
      n.has_port = text.substr(colon + 1) != "*";
      if (n.has_port && !parse_port(text.substr(colon + 1), n.port)) return false;
    }
    std::erase_if(host, [](char c) { return c == '[' || c == ']'; });
    if (host.empty() || host == "*") return true;
    const auto cidr = Cidr::parse(host);
    if (cidr) n.prefix = *cidr;
    return cidr.has_value();
  }

  std::vector<std::string> tokens_;
  std::string& error_;
  size_t at_ = 0;
  int depth_ = 0;
};

bool compare(uint16_t port, Relation r, uint16_t with) {
  switch (r) {
    case Relation::kEqual:
      return port == with;
    case Relation::kNotEqual:
      return port != with;
    case Relation::kLess:
      return port < with;
    case Relation::kLessEqual:
      return port <= with;
    case Relation::kGreater:
      return port > with;
    case Relation::kGreaterEqual:
      return port >= with;
  }
  return false;
}

// A v4 prefix matches a v6 socket's v4 peer, and a v4-mapped prefix the same.
bool is_in(const IpAddress& a, const Cidr& prefix) {
  return a.has_prefix(prefix.address, prefix.prefix) || a.to_v4_mapped().has_prefix(prefix.address, prefix.prefix);
}

bool matches_node(const Node& n, const SocketRow& row) {
  const uint16_t port = n.is_local ? row.local_port : row.remote_port;
  const IpAddress& address = n.is_local ? row.local : row.remote;
  switch (n.op) {
    case Op::kAnd:
      return matches_node(*n.left, row) && matches_node(*n.right, row);
    case Op::kOr:
      return matches_node(*n.left, row) || matches_node(*n.right, row);
    case Op::kNot:
      return !matches_node(*n.left, row);
    case Op::kPort:
      return compare(port, n.relation, n.port);
    case Op::kDevice:
      return (row.device == n.device) == (n.relation == Relation::kEqual);
    case Op::kHost: {
      const bool is_match = (!n.has_port || port == n.port) && (!n.prefix || is_in(address, *n.prefix));
      return is_match == (n.relation == Relation::kEqual);
    }
  }
  return false;
}

}  // namespace

SsFilter::SsFilter() = default;
SsFilter::~SsFilter() = default;
SsFilter::SsFilter(SsFilter&&) noexcept = default;
SsFilter& SsFilter::operator=(SsFilter&&) noexcept = default;

bool SsFilter::parse(std::span<const std::string> words, SsFilter& out, std::string& error) {
  error.clear();
  out.root_.reset();
  std::vector<std::string> tokens = tokenize(words);
  if (tokens.empty()) return true;
  out.root_ = Parser(std::move(tokens), error).parse();
  return out.root_ != nullptr;
}

bool SsFilter::matches(const SocketRow& row) const {
  return root_ == nullptr || matches_node(*root_, row);
}

uint32_t states_of_name(std::string_view name) {
  using inet::State;
  struct Row {
    std::string_view name;
    State state;
  };
  static constexpr Row kRows[] = {
      {"established", State::kEstablished},
      {"syn-sent", State::kSynSent},
      {"syn-recv", State::kSynRecv},
      {"fin-wait-1", State::kFinWait1},
      {"fin-wait-2", State::kFinWait2},
      {"time-wait", State::kTimeWait},
      {"closed", State::kClose},
      {"unconnected", State::kClose},
      {"close-wait", State::kCloseWait},
      {"last-ack", State::kLastAck},
      {"listening", State::kListen},
      {"listen", State::kListen},
      {"closing", State::kClosing},
  };
  uint32_t all = 0;
  for (const Row& row : kRows) {
    if (row.name == name) return state_bit(row.state);
    all |= state_bit(row.state);
  }
  const uint32_t connected = all & ~(state_bit(State::kClose) | state_bit(State::kListen));
  const uint32_t bucket = state_bit(State::kSynRecv) | state_bit(State::kTimeWait);
  if (name == "all") return all;
  if (name == "connected") return connected;
  if (name == "synchronized") return connected & ~state_bit(State::kSynSent);
  if (name == "bucket") return bucket;
  if (name == "big") return all & ~bucket;
  return 0;
}

bool parse_port(std::string_view text, uint16_t& port) {
  if (text.starts_with(':')) text.remove_prefix(1);
  if (text == "*") {
    port = 0;
    return true;
  }
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value <= 65535) {
    port = static_cast<uint16_t>(value);
    return true;
  }
  servent entry{}, *found = nullptr;
  char buffer[1024];
  const std::string name(text);
  if (getservbyname_r(name.c_str(), nullptr, &entry, buffer, sizeof buffer, &found) != 0 || !found) return false;
  port = ntohs(static_cast<uint16_t>(found->s_port));
  return true;
}

}  // namespace leat::diag
