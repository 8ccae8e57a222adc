// What is counted (sockets, slabs) is asked of the Stack; what is judged from outside (VmRSS) of /proc/self.
#include "cli/million_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <map>

#include "base/rcu.h"
#include "cli/event_loop.h"
#include "cli/progress.h"
#include "diag/snapshot.h"
#include "diag/ss.h"
#include "stack/stack_impl.h"

namespace leat::cli {
namespace {

size_t resident_bytes() {
  FILE* f = std::fopen("/proc/self/statm", "r");
  if (f == nullptr) return 0;
  size_t pages = 0, resident = 0;
  if (std::fscanf(f, "%zu %zu", &pages, &resident) != 2) resident = 0;
  std::fclose(f);
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

double seconds(Duration d) {
  return static_cast<double>(d.ns()) / 1e9;
}

// The slabs of both Stacks, largest first.
void print_slabs(MillionPair& pair) {
  std::map<std::string, diag::SlabRow> sums;
  for (Stack* stack : {&pair.server(), &pair.client()}) {
    for (const diag::SlabRow& row : diag::slabs(*stack)) {
      diag::SlabRow& sum = sums[row.name];
      sum.in_use += row.in_use;
      sum.bytes += row.bytes;
      sum.object_bytes = row.object_bytes;
    }
  }
  std::multimap<uint64_t, std::pair<std::string, diag::SlabRow>, std::greater<>> sorted;
  for (const auto& [name, row] : sums)
    sorted.emplace(row.bytes, std::pair(name, row));
  fmt::print("\n{:>10} {:>8} {:>11} {:>8}  {}\n", "OBJS", "OBJ SIZE", "SIZE", "AN END", "NAME");
  for (const auto& [bytes, entry] : sorted) {
    const auto& [name, row] = entry;
    if (bytes == 0) continue;
    const std::string size = row.object_bytes == 0 ? "" : fmt::format("{} B", row.object_bytes);
    fmt::print("{:>10} {:>8} {:>11} {:>8.1f}  {}\n", row.in_use, size, bytes_text(static_cast<double>(bytes)),
               static_cast<double>(bytes) / (2.0 * static_cast<double>(pair.opened())), name);
  }
}

// Tuples of connections that are there, spread over the table.
std::vector<inet::FourTuple> some_tuples(const inet::EstablishedTable& table, size_t at_most) {
  std::vector<inet::FourTuple> tuples;
  const size_t step = std::max<size_t>(table.count() / at_most, 1);
  size_t seen = 0;
  tuples.reserve(at_most + 1);
  table.for_each([&](inet::SockCommon& s) {
    if (seen++ % step == 0 && tuples.size() < at_most) tuples.push_back(s.tuple());
  });
  return tuples;
}

template <class F>
double ns_each(size_t count, F&& f) {
  const Time start = EventLoop::clock();
  f();
  return static_cast<double>((EventLoop::clock() - start).ns()) / static_cast<double>(count);
}

void print_lookups(Stack& stack) {
  constexpr size_t kAtMost = 200'000, kBatch = 32;
  const RcuThread reader;
  const inet::EstablishedTable& table = stack.impl().tcp.established;
  std::vector<inet::FourTuple> tuples = some_tuples(table, kAtMost);
  std::vector<inet::SockCommon*> found(kBatch);
  if (tuples.empty()) return;
  for (size_t i = tuples.size() - 1; i > 0; --i)  // out of the table's order
    std::swap(tuples[i], tuples[i * 2654435761u % (i + 1)]);
  auto put = [&](inet::SockCommon* s) {
    if (s != nullptr) stack.impl().tcp.release(static_cast<tcp::TcpSock&>(*s));
  };
  const double hit = ns_each(tuples.size(), [&] {
    for (const auto& t : tuples)
      put(table.lookup(t, 2));
  });
  const double batched = ns_each(tuples.size(), [&] {
    for (size_t i = 0; i < tuples.size(); i += kBatch) {
      const size_t n = std::min(kBatch, tuples.size() - i);
      table.lookup_batch(std::span(tuples).subspan(i, n), 2, found);
      for (size_t k = 0; k < n; ++k)
        put(found[k]);
    }
  });
  for (auto& t : tuples)
    t.remote_port = 1;  // nobody's
  const double miss = ns_each(tuples.size(), [&] {
    for (const auto& t : tuples)
      put(table.lookup(t, 2));
  });
  fmt::print("\nLook-up among {} connections: {:.0f} ns a hit ({:.0f} ns in batches of {}), {:.0f} ns a miss\n",
             count_text(table.count()), hit, batched, kBatch, miss);
}

}  // namespace

void report_opened(const MillionPair& pair, Duration took) {
  const double s = seconds(took);
  fmt::print("{} connections from {} address{} to {} in {:.2f} s: {} a second, with 64 bytes each way\n",
             count_text(pair.opened()), pair.client_addresses(), pair.client_addresses() == 1 ? "" : "es",
             pair.server_addresses(), s, count_text(static_cast<uint64_t>(static_cast<double>(pair.opened()) / s)));
  std::fflush(stdout);
}

void report_state(MillionPair& pair) {
  const size_t resident = resident_bytes();
  const double ends = 2.0 * static_cast<double>(pair.opened());
  diag::SocketTotals sum = diag::totals(pair.server());
  const uint64_t server = sum.established;
  sum += diag::totals(pair.client());
  fmt::print("\n{}", diag::format_summary(sum));
  fmt::print("ESTAB: {} at the server, {} at the client\n", count_text(server), count_text(sum.established - server));
  print_slabs(pair);
  fmt::print("\nVmRSS {} for {} ends: {:.1f} bytes an end\n", bytes_text(static_cast<double>(resident)),
             count_text(static_cast<uint64_t>(ends)), static_cast<double>(resident) / ends);
  print_lookups(pair.server());
  std::fflush(stdout);
}

void report_closed(MillionPair& pair, Duration took) {
  const double s = seconds(took);
  fmt::print("\n{} connections closed in {:.2f} s: {} a second; VmRSS {}\n", count_text(pair.opened()), s,
             count_text(static_cast<uint64_t>(static_cast<double>(pair.opened()) / s)),
             bytes_text(static_cast<double>(resident_bytes())));
  std::fflush(stdout);
}

}  // namespace leat::cli
