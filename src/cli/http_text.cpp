// Each of them takes any bytes, and what it does not understand is as if it were not there.
#include "cli/http_text.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace leat::cli {
namespace {

std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string http_date(time_t t) {
  // Not strftime: HTTP's names are English in every locale.
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  tm d{};
  gmtime_r(&t, &d);
  char text[64];
  std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[d.tm_wday % 7], d.tm_mday,
                kMonths[d.tm_mon % 12], d.tm_year + 1900, d.tm_hour, d.tm_min, d.tm_sec);
  return text;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return {};
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == 0) return {};
    out += c;
  }
  return out;
}

std::string percent_encode_path(std::string_view name) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : name) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                          std::string_view("-._~/").find(c) != std::string_view::npos;
    if (is_plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string html_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string_view content_type(std::string_view path) {
  struct Row {
    std::string_view suffix, type;
  };
  static constexpr Row kRows[] = {
      {".html", "text/html; charset=utf-8"},
      {".htm", "text/html; charset=utf-8"},
      {".txt", "text/plain; charset=utf-8"},
      {".md", "text/plain; charset=utf-8"},
      {".css", "text/css"},
      {".js", "text/javascript"},
      {".json", "application/json"},
      {".xml", "application/xml"},
      {".pdf", "application/pdf"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".jpg", "image/jpeg"},
      {".jpeg", "image/jpeg"},
      {".gif", "image/gif"},
      {".webp", "image/webp"},
      {".mp4", "video/mp4"},
      {".gz", "application/gzip"},
      {".zip", "application/zip"},
      {".wasm", "application/wasm"},
      {".ico", "image/x-icon"},
  };
  for (const Row& row : kRows) {
    if (path.ends_with(row.suffix)) return row.type;
  }
  return "application/octet-stream";
}

bool names_etag(std::string_view list, std::string_view etag) {
  const auto skip = [&list](std::string_view characters) {
    list.remove_prefix(std::min(list.find_first_not_of(characters), list.size()));
  };
  skip(" \t");
  if (list.starts_with('*')) return true;
  while (!list.empty()) {
    skip(" \t,");
    if (list.starts_with("W/")) list.remove_prefix(2);
    const size_t end = list.starts_with('"') ? list.find('"', 1) : std::string_view::npos;
    if (end == std::string_view::npos) return false;  // the rest is no list of tags
    if (list.substr(0, end + 1) == etag) return true;
    list.remove_prefix(end + 1);
  }
  return false;
}

ByteRange parse_range(std::string_view header, uint64_t size) {
  if (!header.starts_with("bytes=")) return {};
  header.remove_prefix(6);
  const size_t dash = header.find('-');
  if (dash == std::string_view::npos || header.find(',') != std::string_view::npos) return {};
  const std::string_view left = header.substr(0, dash);
  const std::string_view right = header.substr(dash + 1);
  const ByteRange unsatisfiable{ByteRange::Kind::kUnsatisfiable, 0, 0};
  if (left.empty()) {  // the last n bytes
    const auto n = number(right);
    if (!n) return {};
    if (*n == 0 || size == 0) return unsatisfiable;
    return {ByteRange::Kind::kValid, *n >= size ? 0 : size - *n, size - 1};
  }
  const auto first = number(left);
  const auto last = right.empty() ? std::optional<uint64_t>(UINT64_MAX) : number(right);
  if (!first || !last || *last < *first) return {};
  if (*first >= size) return unsatisfiable;
  return {ByteRange::Kind::kValid, *first, std::min(*last, size - 1)};
}

}  // namespace leat::cli
