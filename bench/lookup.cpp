// What finding a connection costs among many: ns a look-up, hit and miss, one by one and in batches of 32, by one and
// two threads, and with a third of the load being changes (a connection leaves the table, and comes back). By CPU time.
//   bench_lookup [connections...]     1000 1000000 10000000
// The table is the stack's own, with objects of the size of the stack's sockets, in its slabs. Tuples are drawn at
// random over all connections, before the clock runs.
//
// Beside the times, for one thread: how many cache lines a hit touches, counted one by one in a table of the same kind
// at the same load; and how often the processor says that L2 (or L1) had not what was asked for, from all causes, the
// list of tuples and the pages' tables among them, where it counts such things.
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "base/rcu.h"
#include "base/slab.h"
#include "inet/nulls_table.h"
#include "inet/tables.h"
#include "miss_counter.h"
#include "tcp/conn.h"

namespace {

using namespace leat;
constexpr size_t kBatch = 32;
constexpr size_t kQueries = 1u << 20;
constexpr uint16_t kPort = 80;

inet::FourTuple tuple_of(uint64_t i, uint16_t local_port) {
  inet::FourTuple t;
  t.local = IpAddress::from_v4(0x0a000001);
  t.remote = IpAddress::from_v4(static_cast<uint32_t>(0x0b000000 + i / 60000));
  t.local_port = local_port;
  t.remote_port = static_cast<uint16_t>(1024 + i % 60000);
  return t;
}

template <class Table = inet::EstablishedTable>
struct World {
  Rng rng{Seed{1}};
  Table table{rng, 65536};
  Slab<tcp::TcpSock> slab{"TCP"};
  std::vector<tcp::TcpSock*> socks;

  explicit World(size_t n) {
    table.set_release([](void*, inet::SockCommon*) {}, nullptr);
    socks.reserve(n);
    for (size_t i = 0; i < n; ++i) {
      tcp::TcpSock* s = slab.create();
      const inet::FourTuple t = tuple_of(i, kPort);
      s->kind = inet::Kind::kConnection;
      s->family = Family::kIpv4;
      s->set_addresses(t.local, t.remote);
      s->local_port = t.local_port;
      s->remote_port = t.remote_port;
      s->refs.store(1, std::memory_order_release);
      table.insert(s);
      socks.push_back(s);
      if (i % 64 == 0) table.grow_if_needed();
    }
    for (size_t i = 0; i < 2 * n / 256 + 100; ++i)
      table.grow_if_needed();
  }
  ~World() {
    for (tcp::TcpSock* s : socks) {
      table.remove(s);
      slab.destroy(s);
    }
  }
};

std::vector<inet::FourTuple> queries(size_t n, uint16_t port, uint8_t seed) {
  Rng rng{Seed{seed}};
  std::vector<inet::FourTuple> all(kQueries);
  for (auto& t : all)
    t = tuple_of(rng.below(static_cast<uint32_t>(n)), port);
  return all;
}

size_t look_one_by_one(World<>& w, const std::vector<inet::FourTuple>& q) {
  size_t found = 0;
  for (const auto& t : q) {
    inet::SockCommon* s = w.table.lookup(t, 1);
    if (s == nullptr) continue;
    ++found;
    (void)s->put();
  }
  return found;
}

size_t look_in_batches(World<>& w, const std::vector<inet::FourTuple>& q) {
  size_t found = 0;
  inet::SockCommon* out[kBatch];
  for (size_t i = 0; i + kBatch <= q.size(); i += kBatch) {
    w.table.lookup_batch(std::span(q).subspan(i, kBatch), 1, out);
    for (inet::SockCommon* s : out) {
      if (s == nullptr) continue;
      ++found;
      (void)s->put();
    }
    rcu_quiescent();
  }
  return found;
}

// Two look-ups, then one change. Each thread changes connections of its own.
size_t look_and_change(World<>& w, const std::vector<inet::FourTuple>& q, size_t thread, size_t threads) {
  size_t found = 0, next = thread;
  tcp::TcpSock* out_of_table = nullptr;
  for (size_t i = 0; i + 2 < q.size(); i += 3) {
    for (size_t k = 0; k < 2; ++k) {
      inet::SockCommon* s = w.table.lookup(q[i + k], 1);
      if (s == nullptr) continue;
      ++found;
      (void)s->put();
    }
    if (out_of_table != nullptr) {
      w.table.insert(out_of_table);
      out_of_table = nullptr;
    } else {
      next = (next + 7919 * threads) % (w.socks.size() / threads * threads);
      next = next / threads * threads + thread;
      out_of_table = w.socks[next];
      w.table.remove(out_of_table);
    }
    if (i % 96 == 0) rcu_quiescent();
  }
  if (out_of_table != nullptr) w.table.insert(out_of_table);
  return found;
}

// The objects on whose first 32 bytes a reader stood. They never straddle two lines.
struct CountingHooks : inet::NoReaderHooks {
  static inline size_t objects = 0;
  static void on_object(const inet::SockCommon* s) {
    static_assert(offsetof(inet::SockCommon, kind) < 32);
    LEAT_CHECK((reinterpret_cast<uintptr_t>(s) & 63) <= 32);
    ++objects;
  }
};

// The bucket's line, and that of each object that was looked at, up to the one that it is.
void count_lines(size_t n) {
  auto world = std::make_unique<World<inet::NullsTable<CountingHooks>>>(n);
  size_t of_lines[5] = {}, sum = 0;
  for (const auto& t : queries(n, kPort, 1)) {
    CountingHooks::objects = 0;
    inet::SockCommon* s = world->table.lookup(world->table.hash_of(t), t, 1);
    LEAT_CHECK(s != nullptr);
    (void)s->put();
    const size_t lines = 1 + CountingHooks::objects;
    sum += lines;
    ++of_lines[lines < 5 ? lines : 5 - 1];
  }
  const auto percent = [](size_t part) { return 100.0 * static_cast<double>(part) / kQueries; };
  std::printf("| %zu | %.2f | %.1f %% | %.1f %% | %.1f %% | %.1f bytes |\n", n, static_cast<double>(sum) / kQueries,
              percent(of_lines[2]), percent(of_lines[3]), percent(of_lines[4]),
              static_cast<double>(world->table.bytes()) / static_cast<double>(n));
}

// Of this thread's CPU time, so that what else runs on the machine counts for less.
double thread_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// ns an operation of one thread, the slower one's of two.
template <class F>
double measure(size_t threads, F&& f) {
  std::vector<double> ns(threads);
  auto run = [&](size_t i) {
    const RcuThread reader;
    const double start = thread_ns();
    f(i);
    ns[i] = (thread_ns() - start) / static_cast<double>(kQueries);
  };
  if (threads == 1) {
    run(0);
    return ns[0];
  }
  std::thread other(run, size_t{1});
  run(0);
  other.join();
  return ns[0] > ns[1] ? ns[0] : ns[1];
}

void measure_size(size_t n) {
  auto world = std::make_unique<World<>>(n);
  for (const size_t threads : {size_t{1}, size_t{2}}) {
    std::vector<std::vector<inet::FourTuple>> hits, misses;
    for (size_t i = 0; i < threads; ++i) {
      hits.push_back(queries(n, kPort, static_cast<uint8_t>(i + 1)));
      misses.push_back(queries(n, kPort + 1, static_cast<uint8_t>(i + 11)));
    }
    const double hit = measure(threads, [&](size_t i) { look_one_by_one(*world, hits[i]); });
    const double hit_batched = measure(threads, [&](size_t i) { look_in_batches(*world, hits[i]); });
    const double miss = measure(threads, [&](size_t i) { look_one_by_one(*world, misses[i]); });
    const double miss_batched = measure(threads, [&](size_t i) { look_in_batches(*world, misses[i]); });
    const double mixed = measure(threads, [&](size_t i) { look_and_change(*world, hits[i], i, threads); });
    std::printf("| %zu | %zu | %.1f | %.1f | %.1f | %.1f | %.1f |", n, threads, hit, hit_batched, miss, miss_batched,
                mixed);
    if (threads == 1) {
      for (const bench::Miss kind : {bench::Miss::kL2, bench::Miss::kL1}) {
        const bench::MissCounter counter(kind);
        look_one_by_one(*world, hits[0]);
        counter.print_per(kQueries);
      }
    } else {
      std::printf(" | |");
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<size_t> sizes;
  for (int i = 1; i < argc; ++i)
    sizes.push_back(std::strtoull(argv[i], nullptr, 10));
  if (sizes.empty()) sizes = {1000, 1000000, 10000000};
  std::printf(
      "| connections | threads | hit | hit, batched | miss | miss, batched | a third changes | L2 misses a hit | "
      "L1 misses a hit |\n|---|---|---|---|---|---|---|---|---|\n");
  for (const size_t n : sizes)
    measure_size(n);
  std::printf(
      "\n| connections | cache lines a hit touches, mean | two | three | four or more | table for each connection |\n"
      "|---|---|---|---|---|---|\n");
  for (const size_t n : sizes)
    count_lines(n);
  return 0;
}
