// Time as leat knows it: handed in by the caller, never read from a clock.
// Both types count nanoseconds in 64 bits. A Time is a point on the caller's clock, whose zero means nothing;
// Time::never() is later than everything.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace leat {

class Duration {
 public:
  constexpr Duration() = default;
  static constexpr Duration from_ns(int64_t n) { return Duration(n); }
  static constexpr Duration from_us(int64_t n) { return Duration(n * 1'000); }
  static constexpr Duration from_ms(int64_t n) { return Duration(n * 1'000'000); }
  static constexpr Duration from_s(int64_t n) { return Duration(n * 1'000'000'000); }
  static constexpr Duration infinite() { return Duration(std::numeric_limits<int64_t>::max()); }

  constexpr int64_t ns() const { return ns_; }
  constexpr int64_t us() const { return ns_ / 1'000; }
  constexpr int64_t ms() const { return ns_ / 1'000'000; }
  constexpr int64_t s() const { return ns_ / 1'000'000'000; }

  constexpr auto operator<=>(const Duration&) const = default;
  constexpr Duration operator+(Duration o) const { return Duration(ns_ + o.ns_); }
  constexpr Duration operator-(Duration o) const { return Duration(ns_ - o.ns_); }
  constexpr Duration operator*(int64_t n) const { return Duration(ns_ * n); }
  constexpr Duration operator/(int64_t n) const { return Duration(ns_ / n); }
  constexpr Duration operator<<(int n) const { return Duration(ns_ << n); }
  constexpr Duration& operator+=(Duration o) { return *this = *this + o; }
  constexpr Duration& operator-=(Duration o) { return *this = *this - o; }

 private:
  constexpr explicit Duration(int64_t n) : ns_(n) {}
  int64_t ns_ = 0;
};

class Time {
 public:
  constexpr Time() = default;
  static constexpr Time from_ns(int64_t n) { return Time(n); }
  static constexpr Time from_us(int64_t n) { return Time(n * 1'000); }
  static constexpr Time never() { return Time(std::numeric_limits<int64_t>::max()); }

  constexpr int64_t ns() const { return ns_; }
  constexpr int64_t us() const { return ns_ / 1'000; }
  constexpr int64_t ms() const { return ns_ / 1'000'000; }
  // Linux's tcp_jiffies32 with HZ=1000: milliseconds that wrap after 49 days.
  constexpr uint32_t jiffies() const { return static_cast<uint32_t>(ns_ / 1'000'000); }

  constexpr auto operator<=>(const Time&) const = default;
  constexpr Time operator+(Duration d) const { return *this == never() ? never() : Time(ns_ + d.ns()); }
  constexpr Time operator-(Duration d) const { return Time(ns_ - d.ns()); }
  constexpr Duration operator-(Time o) const { return Duration::from_ns(ns_ - o.ns_); }

 private:
  constexpr explicit Time(int64_t n) : ns_(n) {}
  int64_t ns_ = 0;
};

}  // namespace leat
