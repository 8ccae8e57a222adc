// Drawn a few times a second, over itself, and only where standard error is a terminal.
#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace leat::cli {
namespace {

int terminal_width() {
  winsize w{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

}  // namespace

std::string bytes_text(double bytes) {
  static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  for (; bytes >= 1000 && unit < 4; ++unit)
    bytes /= 1000;
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

std::string count_text(uint64_t n) {
  std::string text = std::to_string(n);
  for (size_t at = text.size(); at > 3; at -= 3)
    text.insert(at - 3, 1, ',');
  return text;
}

std::string rate_text(uint64_t bytes, Duration in) {
  const double seconds = std::max(static_cast<double>(in.ns()) / 1e9, 1e-9);
  return bytes_text(static_cast<double>(bytes) / seconds) + "/s";
}

std::string Progress::amount(uint64_t done, Duration elapsed) const {
  if (unit_ == Unit::kBytes)
    return fmt::format(" {} {}", bytes_text(static_cast<double>(done)), rate_text(done, elapsed));
  const double seconds = std::max(static_cast<double>(elapsed.ns()) / 1e9, 1e-9);
  return fmt::format(" {} {}/s", count_text(done),
                     count_text(static_cast<uint64_t>(static_cast<double>(done) / seconds)));
}

void Progress::update(uint64_t done, uint64_t total, Time now) {
  constexpr Duration kInterval = Duration::from_ms(100);
  if (!is_shown_ || now - last_ < kInterval) return;
  last_ = now;
  const Duration elapsed = now - start_;
  std::string right = amount(done, elapsed);
  std::string line = name_;
  if (total != 0) {
    const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    if (share > 0.01) {
      const double left = static_cast<double>(elapsed.ns()) / 1e9 * (1 - share) / share;
      right += fmt::format(" {:.0f} s left", left);
    }
    const int used = static_cast<int>(line.size() + right.size()) + 9;
    const int bar = std::clamp(terminal_width() - used, 0, 50);
    const int full = static_cast<int>(share * bar);
    line += fmt::format(" {:3.0f}% ", share * 100);
    if (bar >= 10)
      line +=
          "[" + std::string(static_cast<size_t>(full), '#') + std::string(static_cast<size_t>(bar - full), '.') + "]";
  }
  std::fprintf(stderr, "\r\033[K%s", (line + right).c_str());
  std::fflush(stderr);
  is_drawn_ = true;
}

void Progress::clear() {
  if (!is_drawn_) return;
  std::fprintf(stderr, "\r\033[K");
  std::fflush(stderr);
  is_drawn_ = false;
}

}  // namespace leat::cli
