// Sysctls by name, in the text form of /proc/sys. The table is made from sysctl.def.
// Text is parsed as Linux's proc_dointvec does: values between blanks, decimal, 0x hexadecimal or 0 octal; fewer values
// than there are set the first ones.
#include <algorithm>
#include <charconv>
#include <cstddef>

#include "base/check.h"
#include "netns/netns.h"

namespace leat {
namespace {

struct Row {
  const char* name;
  size_t offset;  // of the first Tunable in Sysctls
  size_t count;
  int64_t lo, hi;
  bool is_read_only() const { return lo > hi; }
};

constexpr Row kRows[] = {
#define LEAT_SYSCTL(field, name, def, lo, hi) {name, offsetof(Sysctls, field), 1, lo, hi},
#define LEAT_SYSCTL2(field, name, d0, d1, lo, hi) {name, offsetof(Sysctls, field), 2, lo, hi},
#define LEAT_SYSCTL3(field, name, d0, d1, d2, lo, hi) {name, offsetof(Sysctls, field), 3, lo, hi},
#include "netns/sysctl.def"
#undef LEAT_SYSCTL
#undef LEAT_SYSCTL2
#undef LEAT_SYSCTL3
};
constexpr size_t kMaxValues = 3;

Tunable* tunables(Sysctls& s, const Row& row) {
  return reinterpret_cast<Tunable*>(reinterpret_cast<uint8_t*>(&s) + row.offset);
}
const Tunable* tunables(const Sysctls& s, const Row& row) {
  return reinterpret_cast<const Tunable*>(reinterpret_cast<const uint8_t*>(&s) + row.offset);
}

// "net/ipv4/tcp_sack" and "net.ipv4.tcp_sack" are the same name.
bool is_name(std::string_view given, std::string_view name) {
  return std::equal(given.begin(), given.end(), name.begin(), name.end(),
                    [](char g, char n) { return g == n || (g == '/' && n == '.'); });
}

const Row* find_row(std::string_view name) {
  for (const Row& row : kRows) {
    if (is_name(name, row.name)) return &row;
  }
  return nullptr;
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n';
}

std::string_view next_word(std::string_view* text) {
  while (!text->empty() && is_blank(text->front()))
    text->remove_prefix(1);
  size_t n = 0;
  while (n < text->size() && !is_blank((*text)[n]))
    ++n;
  const std::string_view word = text->substr(0, n);
  text->remove_prefix(n);
  return word;
}

bool parse_number(std::string_view word, int64_t* out) {
  const bool is_negative = !word.empty() && word.front() == '-';
  if (is_negative) word.remove_prefix(1);
  int base = 10;
  if (word.size() > 1 && word[0] == '0') {
    base = word[1] == 'x' || word[1] == 'X' ? 16 : 8;
    word.remove_prefix(base == 16 ? 2 : 1);
  }
  uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), magnitude, base);
  if (error != std::errc() || end != word.data() + word.size() || magnitude > INT64_MAX) return false;
  *out = is_negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
  return true;
}

// How many values there were; 0: not well formed, or one is out of the row's range.
size_t parse_values(const Row& row, std::string_view text, int64_t (&values)[kMaxValues]) {
  size_t n = 0;
  for (std::string_view word = next_word(&text); !word.empty(); word = next_word(&text)) {
    if (n == row.count || !parse_number(word, &values[n])) return 0;
    if (values[n] < row.lo || values[n] > row.hi) return 0;
    ++n;
  }
  return n;
}

// What Linux checks of one value against another.
bool is_consistent(const Sysctls& s, const Tunable* target, const int64_t (&v)[kMaxValues], size_t n) {
  if (target == s.ip_local_port_range) {
    const int64_t high = n == 2 ? v[1] : int64_t{s.ip_local_port_range[1]};
    return v[0] <= high && v[0] >= s.ip_unprivileged_port_start;
  }
  if (target == &s.tcp_reordering) return v[0] <= s.tcp_max_reordering;
  if (target == &s.ip_unprivileged_port_start) return v[0] <= s.ip_local_port_range[0];
  if (target == &s.ipfrag_high_thresh) return v[0] >= s.ipfrag_low_thresh;
  if (target == &s.ipfrag_low_thresh) return v[0] <= s.ipfrag_high_thresh;
  if (target == &s.ip6frag_high_thresh) return v[0] >= s.ip6frag_low_thresh;
  if (target == &s.ip6frag_low_thresh) return v[0] <= s.ip6frag_high_thresh;
  return true;
}

}  // namespace

Result<std::string> Netns::get_sysctl(std::string_view name) const {
  if (const Row* row = find_row(name)) {
    const Tunable* t = tunables(sysctl, *row);
    std::string text = std::to_string(int64_t{t[0]});
    for (size_t i = 1; i < row->count; ++i)
      text += '\t' + std::to_string(int64_t{t[i]});
    return text;
  }
  for (const StringSysctl& s : string_sysctls_) {
    if (is_name(name, s.name)) return s.get(s.context);
  }
  return err(ENOENT);
}

Result<void> Netns::set_sysctl(std::string_view name, std::string_view value) {
  if (const Row* row = find_row(name)) {
    if (row->is_read_only()) return err(EACCES);
    int64_t values[kMaxValues];
    const size_t n = parse_values(*row, value, values);
    Tunable* t = tunables(sysctl, *row);
    if (n == 0 || !is_consistent(sysctl, t, values, n)) return err(EINVAL);
    for (size_t i = 0; i < n; ++i)
      t[i].set(values[i]);
    return {};
  }
  for (const StringSysctl& s : string_sysctls_) {
    if (!is_name(name, s.name)) continue;
    return s.set == nullptr ? Result<void>(err(EACCES)) : s.set(s.context, value);
  }
  return err(ENOENT);
}

std::vector<std::string> Netns::sysctl_names() const {
  std::vector<std::string> names;
  for (const Row& row : kRows)
    names.emplace_back(row.name);
  for (const StringSysctl& s : string_sysctls_)
    names.push_back(s.name);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace leat
