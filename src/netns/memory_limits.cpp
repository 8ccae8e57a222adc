#include "netns/memory_limits.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace leat {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMiB = 1 << 20;

// The sum over the zones: what is kept free at least, and twice the step from one watermark to the next, which is a
// quarter of that or 0.1 % of the memory.
uint64_t high_watermark(uint64_t pages, uint64_t min_free) {
  return min_free + 2 * std::max(min_free / 4, pages / 1000);
}

uint64_t above(uint64_t pages, uint64_t watermark) {
  return pages > watermark ? pages - watermark : 0;
}

// What Linux keeps free: four times the square root of the memory, both in KiB; more for transparent huge pages, which
// want eleven blocks of 2 MiB in each zone, but no more than a twentieth of the memory for them. Beyond 3 GiB a PC has
// a third zone.
uint64_t min_free_pages(uint64_t pages) {
  const auto root = static_cast<uint64_t>(std::sqrt(static_cast<double>(pages * kPage / 1024 * 16)));
  const uint64_t plain = std::clamp<uint64_t>(root, 128, 262144) * 1024 / kPage;
  const uint64_t zones = pages * kPage > 3072 * kMiB ? 3 : 2;
  const uint64_t huge = 11 * zones * (2 * kMiB / kPage);
  return std::max(plain, std::min(huge, above(pages, high_watermark(pages, plain)) / 20));
}

uint64_t free_buffer_pages(uint64_t pages) {
  return above(pages, high_watermark(pages, min_free_pages(pages)));
}

}  // namespace

MemoryLimits memory_limits(uint64_t memory_bytes) {
  constexpr uint64_t kMostBuckets = 512 * 1024;
  constexpr uint64_t kMostMemory = uint64_t{1} << 52;  // sums stay far from wrapping
  const uint64_t pages = std::min(memory_bytes, kMostMemory) / kPage;
  const uint64_t buffers = free_buffer_pages(pages);
  const auto buckets = static_cast<uint32_t>(std::bit_ceil(std::clamp<uint64_t>(pages * kPage >> 17, 1, kMostBuckets)));
  const auto pressure = static_cast<int64_t>(std::max<uint64_t>(buffers / 16, 128));
  const uint64_t share = buffers * kPage / 128;
  return {
      .ehash_entries = buckets,
      .tcp_mem = {pressure / 4 * 3, pressure, pressure / 4 * 6},
      .tcp_rmem_max = static_cast<int64_t>(std::clamp<uint64_t>(share, 131072, 32 * kMiB)),
      .tcp_wmem_max = static_cast<int64_t>(std::clamp<uint64_t>(share, 65536, 4 * kMiB)),
      .tcp_max_orphans = buckets / 2,
      .tcp_max_tw_buckets = buckets / 2,
      .tcp_max_syn_backlog = std::max<int64_t>(buckets / 128, 128),
      .file_max = static_cast<int64_t>(std::max<uint64_t>(pages * (kPage / 1024) / 10, 8192)),
  };
}

void set_defaults(Sysctls& sysctl, const MemoryLimits& limits) {
  for (size_t i = 0; i < 3; ++i)
    sysctl.tcp_mem[i].set(limits.tcp_mem[i]);
  sysctl.tcp_rmem[2].set(limits.tcp_rmem_max);
  sysctl.tcp_wmem[2].set(limits.tcp_wmem_max);
  sysctl.tcp_max_orphans.set(limits.tcp_max_orphans);
  sysctl.tcp_max_tw_buckets.set(limits.tcp_max_tw_buckets);
  sysctl.tcp_max_syn_backlog.set(limits.tcp_max_syn_backlog);
  sysctl.file_max.set(limits.file_max);
}

}  // namespace leat
