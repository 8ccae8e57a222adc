// What Linux takes from memory at start, for machines of several sizes.
#include "netns/memory_limits.h"

#include <gtest/gtest.h>

namespace leat {
namespace {

constexpr uint64_t kMiB = 1 << 20, kGiB = 1 << 30;

class MemoryLimitsTest : public testing::Test {
 protected:
  void machine_of(uint64_t bytes) { set_defaults(ns.sysctl, memory_limits(bytes)); }
  std::string get(const char* name) { return ns.get_sysctl(name).value(); }
  Netns ns{Seed{}};
};

TEST_F(MemoryLimitsTest, of_one_gigabyte) {
  machine_of(1 * kGiB);
  EXPECT_EQ(get("net.ipv4.tcp_mem"), "11496\t15328\t22992");
  EXPECT_EQ(get("net.ipv4.tcp_rmem"), "4096\t131072\t7847936");
  EXPECT_EQ(get("net.ipv4.tcp_wmem"), "4096\t16384\t4194304");
  EXPECT_EQ(get("net.ipv4.tcp_max_orphans"), "4096");
  EXPECT_EQ(get("net.ipv4.tcp_max_tw_buckets"), "4096");
  EXPECT_EQ(get("net.ipv4.tcp_max_syn_backlog"), "128");
  EXPECT_EQ(get("fs.file-max"), "104857");
}

TEST_F(MemoryLimitsTest, of_four_gigabytes) {
  machine_of(4 * kGiB);
  EXPECT_EQ(get("net.ipv4.tcp_mem"), "47964\t63952\t95928");
  EXPECT_EQ(get("net.ipv4.tcp_rmem"), "4096\t131072\t32743424");
  EXPECT_EQ(get("net.ipv4.tcp_wmem"), "4096\t16384\t4194304");
  EXPECT_EQ(get("net.ipv4.tcp_max_orphans"), "16384");
  EXPECT_EQ(get("net.ipv4.tcp_max_tw_buckets"), "16384");
  EXPECT_EQ(get("net.ipv4.tcp_max_syn_backlog"), "256");
  EXPECT_EQ(get("fs.file-max"), "419430");
}

TEST_F(MemoryLimitsTest, of_sixteen_gigabytes) {
  machine_of(16 * kGiB);
  EXPECT_EQ(get("net.ipv4.tcp_mem"), "195420\t260560\t390840");
  EXPECT_EQ(get("net.ipv4.tcp_rmem"), "4096\t131072\t33554432");
  EXPECT_EQ(get("net.ipv4.tcp_wmem"), "4096\t16384\t4194304");
  EXPECT_EQ(get("net.ipv4.tcp_max_orphans"), "65536");
  EXPECT_EQ(get("net.ipv4.tcp_max_tw_buckets"), "65536");
  EXPECT_EQ(get("net.ipv4.tcp_max_syn_backlog"), "1024");
  EXPECT_EQ(get("fs.file-max"), "1677721");
}

// A machine whose MemTotal is 24,684,096 kB; Linux 6.18 said 287901 383869 575802, and 2466193 files.
TEST_F(MemoryLimitsTest, of_a_machine_that_was_asked) {
  machine_of(uint64_t{24'684'096} * 1024);
  EXPECT_EQ(get("net.ipv4.tcp_mem"), "287895\t383861\t575790");
  EXPECT_EQ(get("net.ipv4.tcp_rmem"), "4096\t131072\t33554432");
  EXPECT_EQ(get("net.ipv4.tcp_wmem"), "4096\t16384\t4194304");
  EXPECT_EQ(get("net.ipv4.tcp_max_orphans"), "131072");
  EXPECT_EQ(get("net.ipv4.tcp_max_tw_buckets"), "131072");
  EXPECT_EQ(get("net.ipv4.tcp_max_syn_backlog"), "2048");
  EXPECT_EQ(get("fs.file-max"), "2468409");
}

TEST_F(MemoryLimitsTest, a_machine_of_a_few_megabytes_has_what_linux_has_at_least) {
  machine_of(8 * kMiB);
  EXPECT_EQ(get("net.ipv4.tcp_mem"), "96\t128\t192");
  EXPECT_EQ(get("net.ipv4.tcp_rmem"), "4096\t131072\t131072");
  EXPECT_EQ(get("net.ipv4.tcp_wmem"), "4096\t16384\t65536");
  EXPECT_EQ(get("net.ipv4.tcp_max_orphans"), "32");
  EXPECT_EQ(get("net.ipv4.tcp_max_tw_buckets"), "32");
  EXPECT_EQ(get("net.ipv4.tcp_max_syn_backlog"), "128");
  EXPECT_EQ(get("fs.file-max"), "8192");
}

TEST_F(MemoryLimitsTest, the_largest_and_the_smallest_number_do_not_wrap) {
  EXPECT_EQ(memory_limits(UINT64_MAX).ehash_entries, 524288u);
  EXPECT_GT(memory_limits(UINT64_MAX).tcp_mem[0], memory_limits(1ull << 45).tcp_mem[0]);
  EXPECT_EQ(memory_limits(0).ehash_entries, 1u);
  EXPECT_EQ(memory_limits(0).tcp_max_orphans, 0);
  EXPECT_EQ(memory_limits(0).tcp_mem[2], 192);
}

}  // namespace
}  // namespace leat
