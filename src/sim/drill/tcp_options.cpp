// See tcp_options.h.
#include "sim/drill/tcp_options.h"

#include <cstdio>

namespace leat::drill {
namespace {

uint32_t load(const std::vector<uint8_t>& v, size_t at, size_t bytes) {
  uint32_t n = 0;
  for (size_t i = 0; i < bytes; ++i)
    n = n << 8 | v[at + i];
  return n;
}

void store(std::vector<uint8_t>& v, uint32_t n, int bytes) {
  for (int i = bytes - 1; i >= 0; --i)
    v.push_back(static_cast<uint8_t>(n >> (8 * i)));
}

std::string hex(const std::vector<uint8_t>& v, size_t from = 0) {
  std::string s;
  char digits[3];
  for (size_t i = from; i < v.size(); ++i) {
    std::snprintf(digits, sizeof digits, "%02x", v[i]);
    s += digits;
  }
  return s;
}

std::string to_string_accecn(const TcpOption& o) {
  static constexpr const char* kNames[2][3] = {{" e0b ", " ceb ", " e1b "}, {" e1b ", " ceb ", " e0b "}};
  std::string s = "ECN";
  for (size_t i = 0; i < 3 && i * 3 + 3 <= o.value.size(); ++i)
    s += kNames[o.kind == kOptAccEcn1][i] + std::to_string(load(o.value, i * 3, 3));
  return s;
}

std::string to_string_option(const TcpOption& o) {
  const size_t n = o.value.size();
  if (o.kind == kOptEol) return "eol";
  if (o.kind == kOptNop) return "nop";
  if (o.kind == kOptMss && n == 2) return "mss " + std::to_string(load(o.value, 0, 2));
  if (o.kind == kOptWscale && n == 1) return "wscale " + std::to_string(o.value[0]);
  if (o.kind == kOptSackOk && n == 0) return "sackOK";
  if (o.kind == kOptTimestamp && n == 8) {
    return "TS val " + std::to_string(load(o.value, 0, 4)) + " ecr " + std::to_string(load(o.value, 4, 4));
  }
  if (o.kind == kOptFastOpen) return n == 0 ? "FO" : "FO " + hex(o.value);
  if (o.kind == kOptExperimental && n >= 2 && load(o.value, 0, 2) == 0xf989) return "FOEXP " + hex(o.value, 2);
  if (o.kind == kOptMd5) return "md5 " + hex(o.value);
  if (o.kind == kOptAccEcn0 || o.kind == kOptAccEcn1) return to_string_accecn(o);
  if (o.kind == kOptSack && n > 0 && n % 8 == 0) {
    std::string s = "sack";
    for (const wire::SackBlock& b : sack_blocks(o))
      s += " " + std::to_string(b.start) + ":" + std::to_string(b.end);
    return s;
  }
  return "kind " + std::to_string(o.kind) + " 0x" + hex(o.value);
}

}  // namespace

TcpOption number_option(uint8_t kind, uint32_t value, int bytes) {
  TcpOption o{kind, {}};
  store(o.value, value, bytes);
  return o;
}

TcpOption sack_option(const std::vector<wire::SackBlock>& blocks) {
  TcpOption o{kOptSack, {}};
  for (const wire::SackBlock& b : blocks) {
    store(o.value, b.start, 4);
    store(o.value, b.end, 4);
  }
  return o;
}

TcpOption timestamp_option(uint32_t val, uint32_t ecr) {
  TcpOption o{kOptTimestamp, {}};
  store(o.value, val, 4);
  store(o.value, ecr, 4);
  return o;
}

std::vector<wire::SackBlock> sack_blocks(const TcpOption& o) {
  std::vector<wire::SackBlock> blocks;
  for (size_t i = 0; i + 8 <= o.value.size(); i += 8)
    blocks.push_back({load(o.value, i, 4), load(o.value, i + 4, 4)});
  return blocks;
}

bool read_timestamp(const std::vector<TcpOption>& options, uint32_t& val, uint32_t& ecr) {
  for (const TcpOption& o : options) {
    if (o.kind != kOptTimestamp || o.value.size() != 8) continue;
    val = load(o.value, 0, 4);
    ecr = load(o.value, 4, 4);
    return true;
  }
  return false;
}

void write_timestamp(std::vector<TcpOption>& options, uint32_t val, uint32_t ecr) {
  for (TcpOption& o : options) {
    if (o.kind == kOptTimestamp && o.value.size() == 8) o = timestamp_option(val, ecr);
  }
}

size_t options_length(const std::vector<TcpOption>& options) {
  size_t n = 0;
  for (const TcpOption& o : options)
    n += o.kind <= kOptNop ? 1 : 2 + o.value.size();
  return n;
}

void append_options(const std::vector<TcpOption>& options, std::vector<uint8_t>& out) {
  const size_t from = out.size();
  for (const TcpOption& o : options) {
    out.push_back(o.kind);
    if (o.kind <= kOptNop) continue;
    out.push_back(static_cast<uint8_t>(2 + o.value.size()));
    out.insert(out.end(), o.value.begin(), o.value.end());
  }
  while ((out.size() - from) % 4 != 0)
    out.push_back(kOptEol);
}

std::vector<TcpOption> split_options(std::span<const uint8_t> bytes) {
  std::vector<TcpOption> options;
  for (size_t i = 0; i < bytes.size();) {
    TcpOption o{bytes[i], {}};
    size_t length = 1;
    if (o.kind > kOptNop) {
      length = i + 1 < bytes.size() ? bytes[i + 1] : 0;
      if (length < 2 || i + length > bytes.size()) break;
      o.value.assign(bytes.begin() + static_cast<ptrdiff_t>(i) + 2, bytes.begin() + static_cast<ptrdiff_t>(i + length));
    }
    options.push_back(std::move(o));
    i += length;
  }
  return options;
}

std::string to_string_options(const std::vector<TcpOption>& options) {
  std::string s;
  for (const TcpOption& o : options)
    s += (s.empty() ? "<" : ",") + to_string_option(o);
  return s.empty() ? s : s + ">";
}

}  // namespace leat::drill
