// Counters, drop reasons, the trace ring and the namespace itself. Sysctls by name are in sysctl.cpp.
#include "netns/netns.h"

namespace leat {
namespace {

constexpr MibInfo kMibs[] = {
#define LEAT_MIB(group, name) {#group, #name},
#include "netns/mib.def"
#undef LEAT_MIB
};
static_assert(std::size(kMibs) == static_cast<size_t>(Mib::kCount));

// A row says "NAME: text"; the two are taken apart at compile time.
struct DropRow {
  char name[32] = {};
  const char* text = nullptr;
  constexpr explicit DropRow(const char* row) {
    size_t n = 0;
    for (; row[n] != ':'; ++n)
      name[n] = row[n];
    text = row + n + 2;
  }
};
constexpr DropRow kDrops[] = {
#define LEAT_DROP_REASON(name, text) DropRow(text),
#include "netns/drop_reason.def"
#undef LEAT_DROP_REASON
};
static_assert(std::size(kDrops) == static_cast<size_t>(DropReason::kCount));

}  // namespace

const MibInfo& mib_info(Mib m) {
  return kMibs[static_cast<size_t>(m)];
}
const char* drop_reason_name(DropReason r) {
  return kDrops[static_cast<size_t>(r)].name;
}
const char* drop_reason_text(DropReason r) {
  return kDrops[static_cast<size_t>(r)].text;
}

Netns::Netns(const Seed& seed) : rng(seed) {
  // What SNMP calls counters and never changes; the values are Linux's.
  count(Mib::IpForwarding, 2);
  count(Mib::IpDefaultTTL, 64);
  count(Mib::TcpRtoAlgorithm, 1);
  count(Mib::TcpRtoMin, 200);
  count(Mib::TcpRtoMax, 120000);
  uncount(Mib::TcpMaxConn, 1);  // printed as -1: no limit
}

void Netns::set_now(Time t) {
  int64_t seen = now_.load(std::memory_order_relaxed);
  while (t.ns() > seen && !now_.compare_exchange_weak(seen, t.ns(), std::memory_order_relaxed)) {
  }
}

void Netns::drop(DropReason r) {
  drops_[static_cast<size_t>(r)].fetch_add(1, std::memory_order_relaxed);
  trace([&] { return TraceEvent{.kind = TraceKind::kDrop, .a8 = static_cast<uint8_t>(r)}; });
}

void Netns::start_tracing() {
  Guard guard(trace_lock_);
  traces_.resize(kTraces);
  is_tracing_.store(true, std::memory_order_release);
}

void Netns::record(TraceEvent e) {
  e.at = now();
  Guard guard(trace_lock_);
  traces_[trace_count_++ % kTraces] = e;
}

std::vector<TraceEvent> Netns::last_traces(size_t n) const {
  std::vector<TraceEvent> out;
  Guard guard(trace_lock_);
  uint64_t have = trace_count_ < kTraces ? trace_count_ : kTraces;
  if (have > n) have = n;
  out.reserve(have);
  for (uint64_t i = trace_count_ - have; i != trace_count_; ++i)
    out.push_back(traces_[i % kTraces]);
  return out;
}

}  // namespace leat
