// What Linux takes from memory at start, for machines of several sizes.
#include "netns/memory_limits.h"

#include <gtest/gtest.h>

namespace leat {
namespace {

constexpr uint64_t kMiB = 1 << 20, kGiB = 1 << 30;

struct Machine {
  const char* name;
  uint64_t bytes;
  const char* tcp_mem;
  const char* tcp_rmem;
  const char* tcp_wmem;
  const char* tcp_max_orphans;  // and tcp_max_tw_buckets
  const char* tcp_max_syn_backlog;
  const char* file_max;
};

constexpr Machine kMachines[] = {
    {"of_one_gigabyte", 1 * kGiB, "11496\t15328\t22992", "4096\t131072\t7847936", "4096\t16384\t4194304", "4096", "128",
     "104857"},
    {"of_four_gigabytes", 4 * kGiB, "47964\t63952\t95928", "4096\t131072\t32743424", "4096\t16384\t4194304", "16384",
     "256", "419430"},
    {"of_sixteen_gigabytes", 16 * kGiB, "195420\t260560\t390840", "4096\t131072\t33554432", "4096\t16384\t4194304",
     "65536", "1024", "1677721"},
    // MemTotal is 24,684,096 kB; Linux 6.18 said 287901 383869 575802, and 2466193 files.
    {"that_was_asked", uint64_t{24'684'096} * 1024, "287895\t383861\t575790", "4096\t131072\t33554432",
     "4096\t16384\t4194304", "131072", "2048", "2468409"},
    // What Linux has at least.
    {"of_eight_megabytes", 8 * kMiB, "96\t128\t192", "4096\t131072\t131072", "4096\t16384\t65536", "32", "128", "8192"},
};

class MemoryLimitsTest : public testing::TestWithParam<Machine> {};

TEST_P(MemoryLimitsTest, are_those_that_linux_takes) {
  const Machine& m = GetParam();
  Netns ns{Seed{}};
  set_defaults(ns.sysctl, memory_limits(m.bytes));
  const auto get = [&ns](const char* name) { return ns.get_sysctl(name).value(); };
  EXPECT_EQ(get("net.ipv4.tcp_mem"), m.tcp_mem);
  EXPECT_EQ(get("net.ipv4.tcp_rmem"), m.tcp_rmem);
  EXPECT_EQ(get("net.ipv4.tcp_wmem"), m.tcp_wmem);
  EXPECT_EQ(get("net.ipv4.tcp_max_orphans"), m.tcp_max_orphans);
  EXPECT_EQ(get("net.ipv4.tcp_max_tw_buckets"), m.tcp_max_orphans);
  EXPECT_EQ(get("net.ipv4.tcp_max_syn_backlog"), m.tcp_max_syn_backlog);
  EXPECT_EQ(get("fs.file-max"), m.file_max);
}

INSTANTIATE_TEST_SUITE_P(machine, MemoryLimitsTest, testing::ValuesIn(kMachines),
                         [](const auto& machine) { return machine.param.name; });

TEST(MemoryLimits, the_largest_and_the_smallest_number_do_not_wrap) {
  EXPECT_EQ(memory_limits(UINT64_MAX).ehash_entries, 524288u);
  EXPECT_GT(memory_limits(UINT64_MAX).tcp_mem[0], memory_limits(1ull << 45).tcp_mem[0]);
  EXPECT_EQ(memory_limits(0).ehash_entries, 1u);
  EXPECT_EQ(memory_limits(0).tcp_max_orphans, 0);
  EXPECT_EQ(memory_limits(0).tcp_mem[2], 192);
}

}  // namespace
}  // namespace leat
