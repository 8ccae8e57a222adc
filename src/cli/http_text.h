// Small pieces of HTTP's text: dates, ranges, percent signs, types of files, escaping for HTML.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace leat::cli {

std::string http_date(time_t t);                                   // RFC 9110 §5.6.7
std::optional<std::string> percent_decode(std::string_view text);  // nullopt: malformed, or a NUL
std::string percent_encode_path(std::string_view name);            // for a link to a file of this name
std::string html_escape(std::string_view text);
std::string_view content_type(std::string_view path);

// RFC 9110 §13.1.2: whether If-None-Match's list, or "*", names this strong tag. W/ in front makes no difference.
bool names_etag(std::string_view list, std::string_view etag);

// RFC 9110 §14.2 for one range of a file of `size` bytes. More than one range, or none that is understood, is no range:
// the whole file is the answer.
struct ByteRange {
  enum class Kind : uint8_t { kNone, kValid, kUnsatisfiable } kind = Kind::kNone;
  uint64_t first = 0;
  uint64_t last = 0;  // inclusive
};
ByteRange parse_range(std::string_view header, uint64_t size);

}  // namespace leat::cli
