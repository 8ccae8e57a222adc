// Ethernet and ARP.
#include <gtest/gtest.h>

#include "bytes_of.h"
#include "wire/arp.h"
#include "wire/ethernet.h"

namespace leat::wire {
namespace {

using test::Bytes;
using test::hex;
using test::ip;

const MacAddress kA{{2, 0, 0, 0, 0, 1}};
const MacAddress kB{{2, 0, 0, 0, 0, 2}};

TEST(MacAddress, KnowsGroupsAndPrints) {
  EXPECT_EQ(kA.to_string(), "02:00:00:00:00:01");
  EXPECT_EQ(MacAddress::broadcast().to_string(), "ff:ff:ff:ff:ff:ff");
  EXPECT_TRUE(MacAddress::broadcast().is_multicast());
  EXPECT_TRUE(MacAddress::broadcast().is_broadcast());
  EXPECT_FALSE(kA.is_multicast());
  EXPECT_TRUE(MacAddress{}.is_zero());
}

TEST(MacAddress, IsDerivedFromMulticastGroups) {
  EXPECT_EQ(MacAddress::for_multicast(ip("224.0.0.1")).to_string(), "01:00:5e:00:00:01");
  EXPECT_EQ(MacAddress::for_multicast(ip("239.255.1.2")).to_string(), "01:00:5e:7f:01:02");
  EXPECT_EQ(MacAddress::for_multicast(ip("ff02::1:ff00:2")).to_string(), "33:33:ff:00:00:02");
}

TEST(Ethernet, ReadsAndWritesTheHeader) {
  const Bytes frame = hex("020000000001 020000000002 0800 45");
  const auto h = parse_ethernet(frame);
  ASSERT_TRUE(h.has_value());
  EXPECT_EQ(*h, (EthernetHeader{kA, kB, kEthertypeIpv4}));
  Bytes out(14);
  EXPECT_EQ(emit_ethernet(*h, out), 14u);
  EXPECT_EQ(out, Bytes(frame.begin(), frame.begin() + 14));
}

TEST(Ethernet, RefusesARunt) {
  for (size_t n = 0; n < 14; ++n)
    EXPECT_FALSE(parse_ethernet(Bytes(n)));
}

const char kRequest[] = "0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002";

TEST(Arp, ReadsAndWritesARequest) {
  const auto a = parse_arp(hex(kRequest));
  ASSERT_TRUE(a.has_value());
  EXPECT_EQ(*a, (ArpPacket{ArpOperation::kRequest, kA, ip("10.0.0.1"), MacAddress{}, ip("10.0.0.2")}));
  Bytes out(28);
  EXPECT_EQ(emit_arp(*a, out), 28u);
  EXPECT_EQ(out, hex(kRequest));
}

TEST(Arp, IgnoresPaddingAndTakesHardwareTypeSix) {
  Bytes b = hex(kRequest);
  b.resize(46);
  EXPECT_TRUE(parse_arp(b).has_value());
  b[1] = 6;
  EXPECT_TRUE(parse_arp(b).has_value());
  b[7] = 2;
  EXPECT_EQ(parse_arp(b)->operation, ArpOperation::kReply);
}

TEST(Arp, RefusesEverythingThatIsNotIpv4OverEthernet) {
  const struct {
    size_t at;
    uint8_t value;
  } lies[] = {{0, 1}, {1, 0}, {1, 2}, {2, 0}, {3, 1}, {4, 5}, {4, 0}, {5, 16}, {5, 0}, {6, 1}, {7, 0}, {7, 3}, {7, 8}};
  for (const auto& lie : lies) {
    Bytes b = hex(kRequest);
    b[lie.at] = lie.value;
    EXPECT_FALSE(parse_arp(b)) << lie.at << " = " << int{lie.value};
  }
  const Bytes whole = hex(kRequest);
  for (size_t n = 0; n < 28; ++n)
    EXPECT_FALSE(parse_arp(ByteView(whole).first(n)));
}

}  // namespace
}  // namespace leat::wire
