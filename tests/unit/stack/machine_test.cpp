// Limits that Linux takes from the machine's memory: what StackConfig makes of it, and whether this machine's kernel
// finds the same for itself.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "two_stacks.h"

namespace leat {
namespace {

std::vector<int64_t> numbers(std::istream&& text) {
  std::vector<int64_t> found;
  for (int64_t n; text >> n;)
    found.push_back(n);
  return found;
}

std::vector<int64_t> of_kernel(const std::string& name) {
  return numbers(std::ifstream("/proc/sys/net/ipv4/" + name));
}

std::unique_ptr<Stack> stack_of(uint64_t memory) {
  StackConfig config = config_with_seed(1);
  config.memory = memory;
  return Stack::create(config).value();
}

std::vector<int64_t> of_leat(const Stack& stack, const std::string& name) {
  return numbers(std::istringstream(stack.get_sysctl("net.ipv4." + name).value()));
}

// dmesg of Linux: "TCP established hash table entries".
TEST(MachineTest, TheTableOfConnectionsIsAsLargeAsLinuxMakesItForTheMemory) {
  EXPECT_EQ(ehash_entries_for(1ull << 30), 8192u);
  EXPECT_EQ(ehash_entries_for(4ull << 30), 32768u);
  EXPECT_EQ(ehash_entries_for(24'600'000'000), 262144u);
  EXPECT_EQ(ehash_entries_for(256ull << 30), 524288u);
  EXPECT_EQ(ehash_entries_for(0), 1u);
}

TEST(MachineTest, TheDefaultsFollowTheMemoryThatWasGiven) {
  const auto stack = stack_of(1ull << 30);
  EXPECT_EQ(stack->get_sysctl("net.ipv4.tcp_mem"), "11496\t15328\t22992");
  EXPECT_EQ(stack->get_sysctl("net.ipv4.tcp_rmem"), "4096\t131072\t7847936");
  EXPECT_EQ(stack->get_sysctl("net.ipv4.tcp_max_orphans"), "4096");
  EXPECT_EQ(stack->get_sysctl("fs.file-max"), "104857");
}

TEST(MachineTest, WithoutMemoryTheyAreThoseOfAMachineOf24GBAndWithoutALimitOfFiles) {
  const auto stack = stack_of(0);
  EXPECT_EQ(stack->get_sysctl("net.ipv4.tcp_mem"), "287898\t383867\t575796");
  EXPECT_EQ(stack->get_sysctl("net.ipv4.tcp_rmem"), "4096\t131072\t33554432");
  EXPECT_EQ(stack->get_sysctl("net.ipv4.tcp_wmem"), "4096\t16384\t4194304");
  EXPECT_EQ(stack->get_sysctl("net.ipv4.tcp_max_orphans"), "131072");
  EXPECT_EQ(stack->get_sysctl("net.ipv4.tcp_max_tw_buckets"), "131072");
  EXPECT_EQ(stack->get_sysctl("net.ipv4.tcp_max_syn_backlog"), "2048");
  EXPECT_EQ(stack->get_sysctl("fs.file-max"), "9223372036854775807");
}

TEST(MachineTest, WhatTheCallerSetsIsStrongerThanTheMemory) {
  StackConfig config = config_with_seed(1);
  config.memory = 1ull << 30;
  config.sysctls = {{"net.ipv4.tcp_max_orphans", "7"}, {"fs.file-max", "1073741816"}};
  const auto stack = Stack::create(config).value();
  EXPECT_EQ(stack->get_sysctl("net.ipv4.tcp_max_orphans"), "7");
  EXPECT_EQ(stack->get_sysctl("fs.file-max"), "1073741816");
}

// Set by hand, it is no longer in Linux's proportion: 3/4, 1, 3/2.
TEST(MachineTest, TheKernelOfThisMachineFindsTheSameTcpMem) {
  const auto theirs = of_kernel("tcp_mem");
  const uint64_t memory = memory_of_machine();
  if (memory == 0 || theirs.size() != 3) GTEST_SKIP() << "skipped: memory or /proc/sys/net/ipv4/tcp_mem is not told";
  if (theirs[0] != theirs[1] / 4 * 3 || theirs[2] != theirs[0] * 2) GTEST_SKIP() << "skipped: tcp_mem was set by hand";
  const auto ours = of_leat(*stack_of(memory), "tcp_mem");
  for (size_t i = 0; i < 3; ++i)
    EXPECT_LT(std::abs(static_cast<double>(ours[i] - theirs[i])), 0.01 * static_cast<double>(theirs[i])) << i;
}

// tcp_ehash_entries is below zero where the table is shared with other namespaces. Linux counts the memory before it
// has taken its own part, so that a machine just below a power of two has the next table.
TEST(MachineTest, TheKernelOfThisMachineHasTheSameTableAndWhatFollowsFromIt) {
  const auto entries = of_kernel("tcp_ehash_entries");
  const uint64_t memory = memory_of_machine();
  if (memory == 0 || entries.size() != 1) GTEST_SKIP() << "skipped: memory or tcp_ehash_entries is not told";
  const uint64_t theirs = static_cast<uint64_t>(std::abs(entries[0]));
  EXPECT_TRUE(theirs == ehash_entries_for(memory) || theirs == ehash_entries_for(memory / 20 * 21)) << theirs;
  if (theirs != ehash_entries_for(memory)) return;
  const auto stack = stack_of(memory);
  const int64_t backlog = std::max<int64_t>(128, std::abs(entries[0]) / 128);
  for (const auto& [name, untouched] :
       {std::pair{"tcp_max_tw_buckets", std::abs(entries[0]) / 2}, std::pair{"tcp_max_syn_backlog", backlog}}) {
    if (of_kernel(name) != std::vector{untouched}) GTEST_SKIP() << "skipped: " << name << " was set by hand";
    EXPECT_EQ(of_leat(*stack, name), of_kernel(name)) << name;
  }
}

}  // namespace
}  // namespace leat
