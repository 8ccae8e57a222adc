// Sysctls by name: Linux's names, defaults, text form, ranges and errnos.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "netns/netns.h"

namespace leat {
namespace {

class SysctlTest : public testing::Test {
 protected:
  std::string get(const char* name) {
    const auto r = ns.get_sysctl(name);
    return r ? *r : "errno " + std::to_string(to_int(r.error()));
  }
  int set(const char* name, const char* value) {
    const auto r = ns.set_sysctl(name, value);
    return r ? 0 : to_int(r.error());
  }
  Netns ns{Seed{}};
};

TEST_F(SysctlTest, DefaultsAreLinuxs) {
  EXPECT_EQ(get("net.ipv4.tcp_rmem"), "4096\t131072\t33554432");
  EXPECT_EQ(get("net.ipv4.tcp_wmem"), "4096\t16384\t4194304");
  EXPECT_EQ(get("net.ipv4.tcp_mem"), "287898\t383867\t575796");
  EXPECT_EQ(get("net.ipv4.ip_local_port_range"), "32768\t60999");
  EXPECT_EQ(get("net.ipv4.tcp_notsent_lowat"), "4294967295");
  EXPECT_EQ(get("net.ipv4.tcp_ecn"), "2");
  EXPECT_EQ(get("net.ipv4.tcp_challenge_ack_limit"), "2147483647");
  EXPECT_EQ(get("net.core.rmem_max"), "4194304");
  EXPECT_EQ(get("net.ipv6.conf.all.hop_limit"), "64");
  EXPECT_EQ(get("fs.file-max"), "9223372036854775807");
}

TEST_F(SysctlTest, ValuesAreSetAndReadThroughFieldAndName) {
  EXPECT_EQ(set("net.ipv4.tcp_rmem", "8192 65536\t1048576\n"), 0);
  EXPECT_EQ(ns.sysctl.tcp_rmem[0], 8192);
  EXPECT_EQ(ns.sysctl.tcp_rmem[2], 1048576);
  EXPECT_EQ(get("net.ipv4.tcp_rmem"), "8192\t65536\t1048576");
  ns.sysctl.tcp_sack.set(0);
  EXPECT_EQ(get("net.ipv4.tcp_sack"), "0");
  EXPECT_EQ(ns.sysctl.tcp_retries2.as<uint8_t>(), 15);
}

TEST_F(SysctlTest, SlashesAreDots) {
  EXPECT_EQ(get("net/ipv4/tcp_fin_timeout"), "60");
  EXPECT_EQ(set("net/ipv4/tcp_fin_timeout", "30"), 0);
  EXPECT_EQ(get("net.ipv4.tcp_fin_timeout"), "30");
}

TEST_F(SysctlTest, FewerValuesSetTheFirstOnes) {
  EXPECT_EQ(set("net.ipv4.tcp_rmem", "5000"), 0);
  EXPECT_EQ(get("net.ipv4.tcp_rmem"), "5000\t131072\t33554432");
}

TEST_F(SysctlTest, HexadecimalAndOctalAreUnderstoodAsTheKernelDoes) {
  EXPECT_EQ(set("net.ipv4.icmp_ratemask", "0x1818"), 0);
  EXPECT_EQ(get("net.ipv4.icmp_ratemask"), "6168");
  EXPECT_EQ(set("net.ipv4.tcp_fin_timeout", "010"), 0);
  EXPECT_EQ(get("net.ipv4.tcp_fin_timeout"), "8");
}

TEST_F(SysctlTest, WhatIsNotANumberIsEinvalAndChangesNothing) {
  for (const char* bad : {"", " ", "x", "1x", "1 2", "0x", "1.5", "--1", "-", "99999999999999999999"}) {
    EXPECT_EQ(set("net.ipv4.tcp_fin_timeout", bad), EINVAL) << bad;
  }
  EXPECT_EQ(set("net.ipv4.tcp_rmem", "8192 x 9"), EINVAL);
  EXPECT_EQ(set("net.ipv4.tcp_rmem", "1 2 3 4"), EINVAL);
  EXPECT_EQ(get("net.ipv4.tcp_rmem"), "4096\t131072\t33554432");
  EXPECT_EQ(get("net.ipv4.tcp_fin_timeout"), "60");
}

TEST_F(SysctlTest, RangesAreLinuxs) {
  struct Case {
    const char *name, *lowest, *below, *highest, *above;
  };
  for (const Case& c : {Case{"net.ipv4.tcp_ecn", "0", "-1", "2", "3"},
                        {"net.ipv4.tcp_reordering", "1", "0", "300", "301"},
                        {"net.ipv4.tcp_max_reordering", "1", "0", "2147483647", "2147483648"},
                        {"net.ipv4.tcp_tw_reuse_delay", "1", "0", "60000", "60001"},
                        {"net.ipv4.tcp_sack", "0", "-1", "255", "256"},
                        {"net.ipv4.tcp_shrink_window", "0", "-1", "1", "2"},
                        {"net.ipv4.tcp_syn_retries", "1", "0", "127", "128"},
                        {"net.ipv4.tcp_rto_max_ms", "1000", "999", "120000", "120001"},
                        {"net.ipv4.tcp_min_snd_mss", "48", "47", "65535", "65536"},
                        {"net.ipv4.tcp_rmem", "1", "0", "2147483647", "2147483648"},
                        {"net.ipv4.tcp_notsent_lowat", "0", "-1", "4294967295", "4294967296"},
                        {"net.ipv4.ip_default_ttl", "1", "0", "255", "256"},
                        {"net.core.rmem_max", "2304", "2303", "2147483647", "2147483648"}}) {
    EXPECT_EQ(set(c.name, c.lowest), 0) << c.name;
    EXPECT_EQ(set(c.name, c.below), EINVAL) << c.name;
    EXPECT_EQ(set(c.name, c.highest), 0) << c.name;
    EXPECT_EQ(set(c.name, c.above), EINVAL) << c.name;
  }
}

TEST_F(SysctlTest, ValuesThatDependOnEachOtherAreChecked) {
  EXPECT_EQ(set("net.ipv4.ip_local_port_range", "50000 40000"), EINVAL);
  EXPECT_EQ(set("net.ipv4.ip_local_port_range", "1000 40000"), EINVAL);  // below ip_unprivileged_port_start
  EXPECT_EQ(set("net.ipv4.ip_unprivileged_port_start", "40000"), EINVAL);
  EXPECT_EQ(set("net.ipv4.ip_unprivileged_port_start", "0"), 0);
  EXPECT_EQ(set("net.ipv4.ip_local_port_range", "1000 40000"), 0);
  EXPECT_EQ(set("net.ipv4.ipfrag_high_thresh", "1000"), EINVAL);
  EXPECT_EQ(set("net.ipv4.ipfrag_low_thresh", "1000"), 0);
  EXPECT_EQ(set("net.ipv4.ipfrag_high_thresh", "1000"), 0);
}

TEST_F(SysctlTest, UnknownNamesAreEnoent) {
  EXPECT_EQ(get("net.ipv4.tcp_nonsense"), "errno " + std::to_string(ENOENT));
  EXPECT_EQ(get("net.ipv4.tcp_sac"), "errno " + std::to_string(ENOENT));
  EXPECT_EQ(set("", "1"), ENOENT);
}

// What leat has no code for is not there, instead of being accepted and ignored.
TEST_F(SysctlTest, WhatIsNotObeyedDoesNotExist) {
  for (const char* name : {"net.ipv4.ip_forward", "net.ipv4.tcp_autocorking", "net.ipv4.tcp_limit_output_bytes",
                           "net.core.busy_poll", "net.ipv4.tcp_no_metrics_save"}) {
    EXPECT_EQ(set(name, "1"), ENOENT) << name;
  }
}

TEST_F(SysctlTest, StringSysctlsAreTheirOwnersBusiness) {
  std::string value = "cubic";
  ns.add_string_sysctl({"net.ipv4.tcp_congestion_control", &value,
                        [](void* c) { return *static_cast<std::string*>(c); },
                        [](void* c, std::string_view v) -> Result<void> {
                          if (v == "nonsense") return err(ENOENT);
                          *static_cast<std::string*>(c) = v;
                          return {};
                        }});
  ns.add_string_sysctl({"net.ipv4.tcp_available_ulp", nullptr, [](void*) { return std::string("tls"); }, nullptr});
  EXPECT_EQ(set("net.ipv4.tcp_congestion_control", "reno"), 0);
  EXPECT_EQ(get("net/ipv4/tcp_congestion_control"), "reno");
  EXPECT_EQ(set("net.ipv4.tcp_congestion_control", "nonsense"), ENOENT);
  EXPECT_EQ(set("net.ipv4.tcp_available_ulp", "x"), EACCES);
  EXPECT_EQ(get("net.ipv4.tcp_available_ulp"), "tls");
}

TEST_F(SysctlTest, NamesAreSortedAndDistinctAndEachDefaultIsWithinItsRange) {
  const auto names = ns.sysctl_names();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  for (const std::string& name : names) {
    EXPECT_TRUE(ns.set_sysctl(name, *ns.get_sysctl(name)).has_value()) << name;
  }
}

}  // namespace
}  // namespace leat
