// Text of addresses: strict as inet_pton reads it, canonical as RFC 5952 writes it. Zone names ("%eth0") are not known
// here, and neither are the old classful spellings of IPv4 ("127.1").
#include "wire/ip_address.h"

#include <algorithm>
#include <optional>

namespace leat {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// A decimal number without sign or leading zeros; nullopt when there is none or it exceeds `max`.
std::optional<int> parse_decimal(std::string_view text, int max) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  int value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  if (value > max) return std::nullopt;
  return value;
}

bool parse_v4(std::string_view text, uint8_t* out) {
  for (int i = 0; i < 4; ++i) {
    const size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return false;
    const std::optional<int> octet = parse_decimal(text.substr(0, dot), 255);
    if (!octet) return false;
    out[i] = static_cast<uint8_t>(*octet);
    text.remove_prefix(i < 3 ? dot + 1 : dot);
  }
  return true;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool parse_group(std::string_view text, uint8_t* out) {
  if (text.empty() || text.size() > 4) return false;
  unsigned value = 0;
  for (char c : text) {
    const int digit = hex_digit(c);
    if (digit < 0) return false;
    value = value << 4 | static_cast<unsigned>(digit);
  }
  store_be16(out, static_cast<uint16_t>(value));
  return true;
}

// Groups separated by single colons, the last one possibly a dotted IPv4 address, which ends the whole address.
// Gives the number of bytes read; nullopt when malformed or more than `room`.
std::optional<size_t> parse_groups(std::string_view text, uint8_t* out, size_t room, bool may_end_in_v4) {
  size_t used = 0;
  if (text.empty()) return used;
  for (;;) {
    const size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    if (colon == std::string_view::npos && may_end_in_v4 && group.find('.') != std::string_view::npos) {
      if (used + 4 > room || !parse_v4(group, out + used)) return std::nullopt;
      return used + 4;
    }
    if (used + 2 > room || !parse_group(group, out + used)) return std::nullopt;
    used += 2;
    if (colon == std::string_view::npos) return used;
    text.remove_prefix(colon + 1);
  }
}

bool parse_v6(std::string_view text, uint8_t* out) {
  const size_t gap = text.find("::");
  if (gap == std::string_view::npos) return parse_groups(text, out, 16, true) == 16u;
  // "::" stands for at least one group of zeros (RFC 4291 §2.2).
  uint8_t behind[14];
  const std::optional<size_t> before = parse_groups(text.substr(0, gap), out, 14, false);
  if (!before) return false;
  const std::optional<size_t> after = parse_groups(text.substr(gap + 2), behind, 14 - *before, true);
  if (!after) return false;
  std::memset(out + *before, 0, 16 - *before - *after);
  if (*after != 0) std::memcpy(out + 16 - *after, behind, *after);
  return true;
}

std::string v4_text(const uint8_t* p) {
  return std::to_string(p[0]) + "." + std::to_string(p[1]) + "." + std::to_string(p[2]) + "." + std::to_string(p[3]);
}

void append_hex(std::string& out, uint16_t group) {
  static constexpr char kDigits[] = "0123456789abcdef";
  bool seen = false;
  for (int shift = 12; shift >= 0; shift -= 4) {
    const unsigned digit = group >> shift & 15u;
    seen = seen || digit != 0 || shift == 0;
    if (seen) out += kDigits[digit];
  }
}

struct Run {
  int first = -1;
  int count = 0;
};

// The first of the longest runs of at least two zero groups (RFC 5952 §4.2).
Run longest_zero_run(const uint8_t* p) {
  Run best, run;
  for (int i = 0; i < 8; ++i) {
    if (load_be16(p + 2 * i) != 0) {
      run = {};
      continue;
    }
    if (run.count++ == 0) run.first = i;
    if (run.count > best.count) best = run;
  }
  return best.count >= 2 ? best : Run{};
}

std::string v6_text(const uint8_t* p) {
  const Run zeros = longest_zero_run(p);
  std::string out;
  for (int i = 0; i < 8; ++i) {
    if (i == zeros.first) {
      out += "::";
      i += zeros.count - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    append_hex(out, load_be16(p + 2 * i));
  }
  return out;
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress a;
  if (text.find(':') == std::string_view::npos) {
    a.family_ = Family::kIpv4;
    if (!parse_v4(text, a.bytes_.data() + 12)) return err(EINVAL);
    return a;
  }
  a.family_ = Family::kIpv6;
  if (!parse_v6(text, a.bytes_.data())) return err(EINVAL);
  return a;
}

bool IpAddress::is_link_local() const {
  if (is_v4()) return bytes_[12] == 169 && bytes_[13] == 254;
  return is_v6() && bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_v4_mapped() const {
  return is_v6() && std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes_.begin());
}

IpAddress IpAddress::to_v4_mapped() const {
  if (!is_v4()) return *this;
  IpAddress a = *this;
  a.family_ = Family::kIpv6;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), a.bytes_.begin());
  return a;
}

IpAddress IpAddress::from_v4_mapped() const {
  return is_v4_mapped() ? from_v4(v4()) : *this;
}

bool IpAddress::has_v6_prefix(const IpAddress& net, int prefix_bits) const {
  const size_t prefix = static_cast<size_t>(std::clamp(prefix_bits, 0, bits()));
  const size_t whole = prefix / 8, rest = prefix % 8;
  if (std::memcmp(bytes_.data(), net.bytes_.data(), whole) != 0) return false;
  return rest == 0 || (bytes_[whole] ^ net.bytes_[whole]) >> (8 - rest) == 0;
}

std::string IpAddress::to_string() const {
  if (is_v4()) return v4_text(v4_bytes());
  if (!is_v6()) return "none";
  if (is_v4_mapped()) return "::ffff:" + v4_text(v4_bytes());  // RFC 5952 §5
  return v6_text(bytes());
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const Result<IpAddress> address = IpAddress::parse(text.substr(0, slash));
  if (!address) return err(EINVAL);
  if (slash == std::string_view::npos) return Cidr{*address, address->bits()};
  const std::optional<int> prefix = parse_decimal(text.substr(slash + 1), address->bits());
  if (!prefix) return err(EINVAL);
  return Cidr{*address, *prefix};
}

std::string Cidr::to_string() const {
  return address.to_string() + "/" + std::to_string(prefix);
}

}  // namespace leat
