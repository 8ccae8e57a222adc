// The capture: byte for byte, readable by others, honest about errors.
#include "link/pcap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "frames.h"
#include "link/impair.h"
#include "link/memory_link.h"

namespace leat {
namespace {

using namespace leat::test;

struct Capture {
  explicit Capture(const PcapOptions& options, MemoryPairOptions pair = {}) {
    auto [near, far_end] = make_memory_pair(pair);
    std::string error;
    auto opened = PcapLink::open(std::move(near), options, error);
    EXPECT_TRUE(opened.has_value()) << error;
    link = std::move(*opened);
    far = std::move(far_end);
  }
  PacketPool pool;
  std::unique_ptr<PcapLink> link;
  std::unique_ptr<Link> far;
};

uint32_t le32(const std::vector<uint8_t>& b, size_t at) {
  uint32_t v;
  std::memcpy(&v, &b[at], 4);
  return v;
}

TEST(Pcap, WritesBothDirectionsWithNanosecondsAndTheBaseTime) {
  std::vector<uint8_t> file;
  Capture c({.memory = &file, .base_ns = 1'700'000'000'000'000'000});
  send(*c.link, make_udp(c.pool, {.payload = 100, .id = 1}), Time::from_ns(5'000'000'007));
  send(*c.far, make_udp(c.pool, {.payload = 50, .id = 2}), Time::from_ns(6'000'000'000));
  ASSERT_NE(receive(*c.link, c.pool, Time::from_ns(6'000'000'008)), nullptr);
  ASSERT_NE(receive(*c.far, c.pool, Time::from_ns(6'000'000'009)), nullptr);  // still passes on
  EXPECT_EQ(c.link->written(), 2u);
  ASSERT_TRUE(c.link->flush().has_value());
  ASSERT_EQ(file.size(), 24u + 16 + 128 + 16 + 78);
  EXPECT_EQ(le32(file, 0), 0xa1b23c4du);  // nanoseconds
  EXPECT_EQ(le32(file, 20), 101u);        // LINKTYPE_RAW
  EXPECT_EQ(le32(file, 24), 1'700'000'005u);
  EXPECT_EQ(le32(file, 28), 7u);
  EXPECT_EQ(le32(file, 32), 128u);
  EXPECT_EQ(le32(file, 24 + 144), 1'700'000'006u);
  EXPECT_EQ(le32(file, 28 + 144), 8u);
}

TEST(Pcap, AnEthernetLinkIsWrittenAsEthernet) {
  std::vector<uint8_t> file;
  Capture c({.memory = &file}, {.kind = LinkKind::kEthernet});
  c.link.reset();
  EXPECT_EQ(le32(file, 20), 1u);  // LINKTYPE_ETHERNET
}

TEST(Pcap, AnUnfinishedChecksumIsFinishedInTheCopyOnlyWhicheverWayItGoes) {
  std::vector<uint8_t> file;
  Capture c({.memory = &file});
  send(*c.link, make_udp(c.pool, {.payload = 101, .partial = true}), at_us(1));
  PacketPtr passed = receive(*c.far, c.pool, at_us(1));
  EXPECT_TRUE(has_partial_checksum(*passed));
  send(*c.far, make_udp(c.pool, {.payload = 101, .partial = true}), at_us(1));
  PacketPtr received = receive(*c.link, c.pool, at_us(1));
  EXPECT_FALSE(has_good_checksum(*received));
  c.link.reset();
  ASSERT_EQ(file.size(), 24u + 2 * (16 + 129));
  for (const size_t at : {size_t{40}, size_t{40 + 145}}) {
    PacketPtr written = c.pool.make_copy(ByteView(file).subspan(at, 129));
    EXPECT_TRUE(has_good_checksum(*written));
  }
}

TEST(Pcap, ASuperSegmentIsWrittenWhole) {
  std::vector<uint8_t> file;
  Capture c({.memory = &file});
  PacketPtr super = make_udp(c.pool, {.payload = 9000, .partial = true});
  super->gso_size = 900;
  super->gso_type = GsoType::kUdp;
  send(*c.link, std::move(super), at_us(1));
  c.link.reset();
  EXPECT_EQ(le32(file, 32), 9028u);
  EXPECT_EQ(file.size(), 24u + 16 + 9028);
}

TEST(Pcap, TheSameSeedGivesTheSameCaptureByteForByte) {
  const auto run = [](uint8_t seed) {
    std::vector<uint8_t> file;
    std::string error;
    PacketPool pool;
    auto [near, far] = make_memory_pair();
    auto captured = PcapLink::open(std::move(near), {.memory = &file}, error);
    const auto options = parse_impair("delay=5ms,jitter=4ms,keep_order=no,loss=5%,duplicate=5%,corrupt=5%", error);
    ImpairLink link(std::move(*captured), *options, seed_of(seed));
    for (uint16_t i = 0; i < 300; ++i)
      send(link, make_udp(pool, {.partial = true, .id = i}), at_us(i * 100));
    while (link.next_event() != Time::never())
      receive(link, pool, link.next_event());
    static_cast<PcapLink&>(link.inner()).flush().value();
    return file;
  };
  const auto first = run(7);
  EXPECT_GT(first.size(), 300u * 128);
  EXPECT_EQ(first, run(7));
  EXPECT_NE(first, run(8));
}

TEST(Pcap, SaysWhyAFileCannotBeCreated) {
  std::string error;
  auto opened = PcapLink::open(make_memory_pair().first, {.path = "/nonexistent/x.pcap"}, error);
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error(), Errno{ENOENT});
  EXPECT_EQ(error, "cannot create the capture file '/nonexistent/x.pcap': No such file or directory");
}

TEST(Pcap, AFullDiskIsReportedByFlushAndTheLinkGoesOn) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "/dev/full cannot be written here";
  Capture c({.path = "/dev/full"});
  send(*c.link, make_udp(c.pool, {}), at_us(1));
  EXPECT_EQ(c.link->flush().error(), Errno{EIO});
  EXPECT_NE(receive(*c.far, c.pool, at_us(1)), nullptr);
}

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  char line[256];
  while (pipe != nullptr && fgets(line, sizeof line, pipe) != nullptr)
    out += line;
  if (pipe != nullptr) pclose(pipe);
  return out;
}

TEST(Pcap, TsharkReadsTheFileAndFindsTheChecksumsGood) {
  if (std::system("tshark --version > /dev/null 2>&1") != 0) GTEST_SKIP() << "tshark is not installed";
  char path[] = "/tmp/leat-pcap-XXXXXX";
  close(mkstemp(path));
  {
    Capture c({.path = path, .base_ns = 1'700'000'000'000'000'000});
    send(*c.link, make_udp(c.pool, {.payload = 10, .partial = true}), Time::from_ns(1'000'000'001));
    send(*c.link, make_udp(c.pool, {.payload = 11, .partial = true, .ipv6 = true}), Time::from_ns(2'000'000'002));
  }
  const std::string out = output_of(std::string("timeout 60 tshark -o udp.check_checksum:TRUE -r ") + path +
                                    " -T fields -e frame.time_epoch -e udp.length -e udp.checksum.status 2>/dev/null");
  unlink(path);
  EXPECT_EQ(out, "1700000001.000000001\t18\t1\n1700000002.000000002\t19\t1\n");
}

}  // namespace
}  // namespace leat
