// What the rooms of one network namespace share: the clock as handed in, randomness, sysctls, counters, drop reasons
// and the trace ring. Everything here may be read and counted from any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/errno.h"
#include "base/lone.h"
#include "base/rng.h"
#include "base/siphash.h"
#include "base/time.h"

namespace leat {

// Counters under the names that nstat prints: Mib::TcpExtTCPTimeouts, Mib::IpInReceives, Mib::Udp6InDatagrams.
enum class Mib : uint16_t {
#define LEAT_MIB(group, name) group##name,
#include "netns/mib.def"
#undef LEAT_MIB
  kCount
};
struct MibInfo {
  const char* group;  // "TcpExt"
  const char* name;   // "TCPTimeouts"
};
const MibInfo& mib_info(Mib m);

enum class DropReason : uint8_t {
#define LEAT_DROP_REASON(name, text) name,
#include "netns/drop_reason.def"
#undef LEAT_DROP_REASON
  kCount
};
const char* drop_reason_name(DropReason r);  // "NO_SOCKET", Linux's names where Linux has the reason
const char* drop_reason_text(DropReason r);

// One integer of a sysctl: written by an administrator while any thread reads.
class Tunable {
 public:
  constexpr explicit Tunable(int64_t v) : value_(v) {}
  operator int64_t() const { return value_.load(std::memory_order_relaxed); }
  template <class T = int>
  T as() const {
    return static_cast<T>(value_.load(std::memory_order_relaxed));
  }
  void set(int64_t v) { value_.store(v, std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_;
};

// Fields are named like the last part of the Linux name: sysctl.tcp_rmem[2], sysctl.ip_local_port_range[0].
// A string sysctl (tcp_congestion_control) is a std::string under Netns::string_sysctls.
struct Sysctls {
#define LEAT_SYSCTL(field, name, def, lo, hi) Tunable field{def};
#define LEAT_SYSCTL3(field, name, d0, d1, d2, lo, hi) Tunable field[3]{Tunable(d0), Tunable(d1), Tunable(d2)};
#define LEAT_SYSCTL2(field, name, d0, d1, lo, hi) Tunable field[2]{Tunable(d0), Tunable(d1)};
#include "netns/sysctl.def"
#undef LEAT_SYSCTL
#undef LEAT_SYSCTL3
#undef LEAT_SYSCTL2
};

// Trace events: what a failing test shows of the recent past. Recorded once somebody has asked for them.
enum class TraceKind : uint8_t {
  kNone,
  kSegmentIn,
  kSegmentOut,
  kDrop,
  kState,
  kCaState,
  kTimer,
  kRetransmit,
  kUndo,
  kCwnd
};
struct TraceEvent {
  Time at;
  TraceKind kind = TraceKind::kNone;
  uint8_t a8 = 0;  // flags, state, reason: by kind
  uint16_t a16 = 0;
  uint32_t socket = 0;  // the socket's cookie, 0: none
  uint32_t a = 0, b = 0, c = 0;
};

class Netns {
 public:
  explicit Netns(const Seed& seed);

  // The caller's clock; stands still during a turn. Never goes back.
  Time now() const { return Time::from_ns(now_.load(std::memory_order_relaxed)); }
  void set_now(Time t);  // an earlier time than now() is ignored

  void count(Mib m, uint64_t n = 1) { count_up(counters_[static_cast<size_t>(m)], n); }
  void uncount(Mib m, uint64_t n = 1) {  // gauges: TcpCurrEstab
    count_down(counters_[static_cast<size_t>(m)], n);
  }
  uint64_t counter(Mib m) const { return counters_[static_cast<size_t>(m)].load(std::memory_order_relaxed); }

  [[gnu::cold]] void drop(DropReason r);  // counts and traces
  uint64_t drops(DropReason r) const { return drops_[static_cast<size_t>(r)].load(std::memory_order_relaxed); }

  // Records make()'s event, at now(). While nobody traces nothing is made: it costs a look at one flag.
  template <class Make>
  void trace(Make&& make) {
    if (is_tracing_.load(std::memory_order_acquire)) [[unlikely]]
      record(make());
  }
  void start_tracing();                                 // from now on, the last thousand
  std::vector<TraceEvent> last_traces(size_t n) const;  // oldest first; none before start_tracing()

  // By Linux's name, "net.ipv4.tcp_rmem" (or with slashes): values separated by tabs, as /proc prints them.
  // ENOENT: no such name. EINVAL: not a number, out of range, none or too many; fewer than there are set the first
  // ones, as on Linux. EACCES: read only.
  Result<std::string> get_sysctl(std::string_view name) const;
  Result<void> set_sysctl(std::string_view name, std::string_view value);
  std::vector<std::string> sysctl_names() const;  // sorted

  // Sysctls that are not plain integers register here (tcp_congestion_control, ip_local_reserved_ports, …).
  struct StringSysctl {
    std::string name;
    void* context;
    std::string (*get)(void* context);
    Result<void> (*set)(void* context, std::string_view value);  // nullptr: read only
  };
  void add_string_sysctl(StringSysctl s) { string_sysctls_.push_back(std::move(s)); }

  Sysctls sysctl;
  Rng rng;
  uint32_t next_cookie() { return count_up(cookie_, 1u) + 1; }

 private:
  [[gnu::cold]] void record(TraceEvent e);

  static constexpr size_t kTraces = 1024;
  std::atomic<int64_t> now_{0};
  std::array<std::atomic<uint64_t>, static_cast<size_t>(Mib::kCount)> counters_{};
  std::array<std::atomic<uint64_t>, static_cast<size_t>(DropReason::kCount)> drops_{};
  std::atomic<bool> is_tracing_{false};
  std::vector<TraceEvent> traces_;  // kTraces, or none; under trace_lock_, as is the count of all that were recorded
  uint64_t trace_count_ = 0;
  mutable SpinLock trace_lock_;
  std::vector<StringSysctl> string_sysctls_;
  std::atomic<uint32_t> cookie_{0};
};

}  // namespace leat
