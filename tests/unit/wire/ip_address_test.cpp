#include "wire/ip_address.h"

#include <gtest/gtest.h>

#include "bytes_of.h"

namespace leat {
namespace {

using test::ip;

TEST(IpAddress, ReadsAndWritesDottedQuads) {
  const IpAddress a = ip("192.0.2.1");
  EXPECT_TRUE(a.is_v4());
  EXPECT_EQ(a.v4(), 0xc0000201u);
  EXPECT_EQ(a.v4_bytes()[0], 192);
  EXPECT_EQ(a.bits(), 32);
  EXPECT_EQ(a.to_string(), "192.0.2.1");
  EXPECT_EQ(ip("255.255.255.255").v4(), 0xffffffffu);
  EXPECT_EQ(IpAddress::from_v4(0x0a000001), ip("10.0.0.1"));
}

TEST(IpAddress, RefusesWhatInetPtonRefuses) {
  for (const char* text : {"",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.256",
                           "1.2.3.-4",
                           "1.2.3.",
                           ".1.2.3",
                           "1..2.3",
                           "01.2.3.4",
                           "1.2.3.4 ",
                           " 1.2.3.4",
                           "1.2.3.0004",
                           "0x1.2.3.4",
                           "1.2.3.a",
                           ":",
                           ":::",
                           "1::2::3",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7::8",
                           "::1:2:3:4:5:6:7:8",
                           "12345::",
                           "g::",
                           "1:",
                           ":1",
                           "::1:",
                           ":1::",
                           "fe80::1%eth0",
                           "::1.2.3",
                           "::1.2.3.4:5",
                           "1.2.3.4::",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "::ffff:1.2.3.256",
                           "1:2:3:4:5:6:7:8:"}) {
    const Result<IpAddress> a = IpAddress::parse(text);
    ASSERT_FALSE(a.has_value()) << text << " became " << a->to_string();
    EXPECT_EQ(to_int(a.error()), EINVAL) << text;
  }
}

TEST(IpAddress, WritesIpv6AsRfc5952Does) {
  const struct {
    const char* in;
    const char* out;
  } cases[] = {
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"},
      {"2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"},  // the first of two equal runs
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},                           // the longer one
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},                  // one group alone stays
      {"0:0:1:2:3:4:5:6", "::1:2:3:4:5:6"},
      {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
      {"::ffff:c000:0201", "::ffff:192.0.2.1"},
      {"::192.0.2.1", "::c000:201"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},  // stands for one group
      {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const auto& c : cases) {
    ASSERT_TRUE(IpAddress::parse(c.in)) << c.in;
    EXPECT_EQ(ip(c.in).to_string(), c.out);
    EXPECT_EQ(ip(c.out), ip(c.in)) << c.out;
  }
}

TEST(IpAddress, KnowsTheSpecialRanges) {
  EXPECT_TRUE(ip("127.255.0.1").is_loopback());
  EXPECT_FALSE(ip("128.0.0.1").is_loopback());
  EXPECT_TRUE(ip("::1").is_loopback());
  EXPECT_FALSE(ip("::").is_loopback());
  EXPECT_FALSE(ip("100::1").is_loopback());
  EXPECT_TRUE(ip("224.0.0.1").is_multicast());
  EXPECT_TRUE(ip("239.255.255.255").is_multicast());
  EXPECT_FALSE(ip("240.0.0.1").is_multicast());
  EXPECT_TRUE(ip("ff02::1").is_multicast());
  EXPECT_TRUE(ip("255.255.255.255").is_broadcast());
  EXPECT_FALSE(ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").is_broadcast());
  EXPECT_TRUE(ip("169.254.1.1").is_link_local());
  EXPECT_TRUE(ip("fe80::1").is_link_local());
  EXPECT_TRUE(ip("febf::1").is_link_local());
  EXPECT_FALSE(ip("fec0::1").is_link_local());
  EXPECT_TRUE(ip("0.0.0.0").is_any());
  EXPECT_TRUE(IpAddress::any(Family::kIpv6).is_any());
  EXPECT_FALSE(IpAddress().is_loopback());
  EXPECT_FALSE(IpAddress().is_multicast());
  EXPECT_EQ(IpAddress().to_string(), "none");
  EXPECT_NE(ip("0.0.0.0"), ip("::"));
}

TEST(IpAddress, MapsIpv4IntoIpv6AndBack) {
  const IpAddress mapped = ip("10.0.0.1").to_v4_mapped();
  EXPECT_TRUE(mapped.is_v4_mapped());
  EXPECT_EQ(mapped.to_string(), "::ffff:10.0.0.1");
  EXPECT_EQ(mapped.from_v4_mapped(), ip("10.0.0.1"));
  EXPECT_EQ(mapped.to_v4_mapped(), mapped);
  EXPECT_FALSE(ip("10.0.0.1").is_v4_mapped());
  EXPECT_FALSE(ip("::10.0.0.1").is_v4_mapped());
  EXPECT_EQ(ip("::10.0.0.1").from_v4_mapped(), ip("::10.0.0.1"));
}

TEST(IpAddress, ComparesPrefixesBitByBit) {
  EXPECT_TRUE(ip("10.1.2.3").has_prefix(ip("10.0.0.0"), 8));
  EXPECT_TRUE(ip("10.127.0.1").has_prefix(ip("10.0.0.0"), 9));
  EXPECT_FALSE(ip("10.128.0.1").has_prefix(ip("10.0.0.0"), 9));
  EXPECT_TRUE(ip("10.1.2.3").has_prefix(ip("99.0.0.0"), 0));
  EXPECT_TRUE(ip("10.1.2.3").has_prefix(ip("10.1.2.3"), 32));
  EXPECT_FALSE(ip("10.1.2.3").has_prefix(ip("10.1.2.2"), 32));
  EXPECT_TRUE(ip("10.1.2.3").has_prefix(ip("10.1.2.2"), 31));
  EXPECT_FALSE(ip("10.1.2.3").has_prefix(ip("::"), 0));
  EXPECT_TRUE(ip("fe80::1").has_prefix(ip("fe80::"), 10));
  EXPECT_FALSE(ip("2001:db8:8000::1").has_prefix(ip("2001:db8::"), 33));
  EXPECT_TRUE(ip("2001:db8:7fff::1").has_prefix(ip("2001:db8::"), 33));
}

TEST(Cidr, ReadsAnAddressWithAndWithoutAPrefix) {
  EXPECT_EQ(Cidr::parse("10.0.0.1/24")->prefix, 24);
  EXPECT_EQ(Cidr::parse("10.0.0.1/24")->address, ip("10.0.0.1"));
  EXPECT_EQ(Cidr::parse("10.0.0.1")->prefix, 32);
  EXPECT_EQ(Cidr::parse("fd00::1")->prefix, 128);
  EXPECT_EQ(Cidr::parse("fd00::1/64")->to_string(), "fd00::1/64");
  EXPECT_EQ(Cidr::parse("0.0.0.0/0")->prefix, 0);
  EXPECT_TRUE(Cidr::parse("10.0.0.1/24")->contains(ip("10.0.0.77")));
  EXPECT_FALSE(Cidr::parse("10.0.0.1/24")->contains(ip("10.0.1.77")));
  for (const char* text : {"10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/024", "/24", "fd00::/129", "10.0.0.1/a",
                           "10.0.0.1/24/24", "fd00::/1280"}) {
    EXPECT_FALSE(Cidr::parse(text)) << text;
  }
}

}  // namespace
}  // namespace leat
