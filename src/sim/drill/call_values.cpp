// See call_values.h.
#include "sim/drill/call_values.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "sim/drill/symbols.h"

namespace leat::drill {
namespace {

void append(std::vector<uint8_t>& out, int64_t value, size_t bytes) {
  const auto* p = reinterpret_cast<const uint8_t*>(&value);
  out.insert(out.end(), p, p + bytes);
}

[[noreturn]] void fail(const Expr& e, const std::string& what) {
  throw ScriptError(e.place, what);
}

// "\x01" and the like; everything else is itself.
std::string unescape(const Expr& e) {
  const std::string& text = e.text;
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 >= text.size()) {
      out += text[i];
    } else if (text[i + 1] == 'x') {
      const std::string digits = text.substr(i + 2, 2);
      if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos || digits.size() != 2)
        fail(e, "\\x needs two hexadecimal digits, not '" + digits + "'");
      out += static_cast<char>(std::stoi(digits, nullptr, 16));
      i += 3;
    } else {
      ++i;
      out += text[i] == 'n' ? '\n' : text[i] == 't' ? '\t' : text[i] == '0' ? '\0' : text[i];
    }
  }
  return out;
}

// [1, 2]: as 32-bit numbers, the rest as bytes.
std::string words_of(const std::vector<uint8_t>& bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    const size_t n = bytes.size() - i >= 4 ? 4 : 1;
    uint32_t v = 0;
    std::memcpy(&v, bytes.data() + i, n);
    out += (out.empty() ? "[" : ", ") + std::to_string(v);
    i += n;
  }
  return out.empty() ? "nothing" : out + "]";
}

}  // namespace

int64_t to_number(const Expr& e) {
  switch (e.kind) {
    case Expr::Kind::kInt:
      return e.number;
    case Expr::Kind::kWord: {
      const auto v = symbol(e.text);
      if (!v) fail(e, "'" + e.text + "' is not a constant that this runner knows");
      return *v;
    }
    case Expr::Kind::kOr: {
      int64_t v = 0;
      for (const Expr& item : e.items)
        v |= to_number(item);
      return v;
    }
    case Expr::Kind::kCall:
      if (e.text == "htons" && e.items.size() == 1) return htons(static_cast<uint16_t>(to_number(e.items[0])));
      if (e.text == "inet_addr" && e.items.size() == 1) return inet_addr(to_text(e.items[0]).c_str());
      fail(e, "'" + e.text + "(…)' is not a number; there are htons(port) and inet_addr(\"address\")");
    default:
      fail(e, "a number is expected here");
  }
}

std::string to_text(const Expr& e) {
  if (e.kind != Expr::Kind::kString) fail(e, "a \"string\" is expected here");
  return unescape(e);
}

const Expr& inside(const Expr& e) {
  return e.kind == Expr::Kind::kList && e.items.size() == 1 ? e.items[0] : e;
}

std::vector<uint8_t> to_bytes(const Expr& given, size_t wanted) {
  std::vector<uint8_t> out;
  const Expr& e = inside(given);
  if (e.kind == Expr::Kind::kString) {
    const std::string text = to_text(e);
    out.assign(text.begin(), text.end());
    out.push_back(0);  // a C string has it, whether or not the length counts it
  } else if (const Expr* onoff = e.field("onoff")) {
    append(out, to_number(*onoff), 4);
    const Expr* linger = e.field("linger");
    append(out, linger == nullptr ? 0 : to_number(*linger), 4);
  } else if (e.kind == Expr::Kind::kList || e.kind == Expr::Kind::kBraces) {
    if (!e.fields.empty()) fail(e, "this structure is not known here");
    const size_t each = !e.items.empty() && wanted == e.items.size() * 8 ? 8 : 4;
    for (const Expr& item : e.items)
      append(out, to_number(item), each);
  } else {
    append(out, to_number(e), wanted == 8 || wanted == 1 ? wanted : 4);
  }
  return out;
}

void check_number(const Expr& e, int64_t actual, const std::string& what) {
  if (is_any(e)) return;
  const int64_t expected = to_number(e);
  if (expected != actual) fail(e, what + ": expected " + std::to_string(expected) + ", was " + std::to_string(actual));
}

void check_bytes(const Expr& given, const std::vector<uint8_t>& bytes) {
  const Expr& e = inside(given);
  if (is_any(e)) return;
  if (e.kind == Expr::Kind::kString) {
    const std::string expected = to_text(e);
    std::string actual(bytes.begin(), bytes.end());
    if (!e.is_prefix)
      actual = actual.substr(
          0, actual.find('\0') == std::string::npos ? actual.size() : std::max(actual.find('\0'), expected.size()));
    const bool is_same = e.is_prefix ? actual.starts_with(expected) : actual == expected;
    if (!is_same) fail(e, "the value: expected \"" + expected + "\", was \"" + std::string(actual.c_str()) + "\"");
    return;
  }
  if (e.kind != Expr::Kind::kList && e.kind != Expr::Kind::kBraces) {
    int64_t v = 0;
    std::memcpy(&v, bytes.data(), std::min<size_t>(bytes.size(), 8));
    // Signed or not: 32 bits that are the same are the same.
    const bool is_word = bytes.size() == 4;
    if (is_word && static_cast<int32_t>(to_number(e)) == static_cast<int32_t>(v)) return;
    return check_number(e, is_word ? static_cast<int32_t>(v) : v, "the value");
  }
  const std::vector<uint8_t> expected = to_bytes(e, bytes.size());
  if (expected != bytes) fail(e, "the value: expected " + words_of(expected) + ", was " + words_of(bytes));
}

Address make_address(const Session& s, const IpAddress& ip, uint16_t port) {
  Address a;
  a.ip = ip;
  a.port = port;
  if (s.variant == Variant::kIpv4 && ip.is_v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, ip.v4_bytes(), 4);
    std::memcpy(&a.storage, &in, sizeof in);
    a.length = sizeof in;
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    const IpAddress mapped = ip.to_v4_mapped();
    std::memcpy(&in.sin6_addr, mapped.bytes(), 16);
    std::memcpy(&a.storage, &in, sizeof in);
    a.length = sizeof in;
  }
  return a;
}

Address to_address(const Session& s, const Expr& e, const IpAddress& ip, uint16_t port) {
  if (is_any(e)) return make_address(s, ip, port);
  const Expr* family = e.field("sa_family");
  if (e.kind == Expr::Kind::kWord) family = &e;  // AF_UNSPEC alone
  if (family == nullptr)
    fail(e, "an address: ... or {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"…\")}");
  if (to_number(*family) == AF_UNSPEC) {
    Address a;
    a.is_unspecified = true;
    a.length = sizeof(sockaddr_in6);
    return a;
  }
  IpAddress own = ip;
  if (const Expr* address = e.field("sin_addr"); address != nullptr && !address->items.empty()) {
    const auto parsed = IpAddress::parse(to_text(address->items[0]));
    if (!parsed) fail(*address, "this is not an address");
    own = parsed->from_v4_mapped();
  }
  const Expr* p = e.field("sin_port");
  const bool has_port = p != nullptr && p->kind == Expr::Kind::kCall && !p->items.empty();
  return make_address(s, own, has_port ? static_cast<uint16_t>(to_number(p->items[0])) : port);
}

}  // namespace leat::drill
