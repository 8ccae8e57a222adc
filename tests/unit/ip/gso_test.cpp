// Splitting super-segments.
#include "ip/gso.h"

#include "net.h"

namespace leat::ip {
namespace {

using namespace leat::test;

constexpr uint32_t kSeq = 0xfffffff0;  // wraps within the payload

struct Super {
  bool is_v6 = false;
  uint8_t flags = wire::kTcpAck | wire::kTcpPsh | wire::kTcpFin | wire::kTcpCwr;
  uint32_t payload = 2500;
  uint16_t gso_size = 1000;
  uint32_t options = 12;
};

Bytes headers(const Super& s) {
  Bytes tcp(20 + s.options);
  store_be16(&tcp[0], 80);
  store_be16(&tcp[2], 5000);
  store_be32(&tcp[4], kSeq);
  store_be32(&tcp[8], 77);
  tcp[12] = static_cast<uint8_t>(tcp.size() / 4 << 4);
  tcp[13] = s.flags;
  store_be16(&tcp[14], 1234);
  Bytes filler(s.payload);
  if (s.is_v6) {
    Bytes all = v6({.src = "fd00::1", .dst = "fd00::2", .next = 6}, tcp + filler);
    all.resize(40 + tcp.size());
    return all;
  }
  Bytes all = v4({.src = "10.0.0.1", .dst = "10.0.0.2", .protocol = 6, .id = 0xfffe, .df = true}, tcp + filler);
  all.resize(20 + tcp.size());
  return all;
}

// Payload in fragments of `piece` bytes, each in a buffer of its own.
PacketPtr make_super(PacketPool& pool, const Super& s, uint32_t piece = 700) {
  const Bytes head = headers(s);
  PacketPtr p = pool.make_copy(head);
  p->set_network_header();
  p->transport_offset = static_cast<uint16_t>(p->network_offset + (s.is_v6 ? 40 : 20));
  const Bytes payload = counting(s.payload);
  for (uint32_t at = 0; at < s.payload; at += piece) {
    const uint32_t n = std::min(piece, s.payload - at);
    Buffer* b = pool.make_buffer(n);
    std::memcpy(b->bytes(), &payload[at], n);
    p->add_fragment(b, 0, n);
    PacketPool::unref(b);
  }
  p->gso_size = s.gso_size;
  p->gso_segs = static_cast<uint16_t>((s.payload + s.gso_size - 1u) / s.gso_size);
  p->gso_type = s.is_v6 ? GsoType::kTcp6 : GsoType::kTcp4;
  p->checksum = Checksum::kPartial;
  return p;
}

void expect_good_tcp(const Bytes& b) {
  const bool is_v6 = b[0] >> 4 == 6;
  const size_t at = is_v6 ? 40 : 20;
  const IpAddress src = is_v6 ? IpAddress::from_v6_bytes(&b[8]) : IpAddress::from_v4_bytes(&b[12]);
  const IpAddress dst = is_v6 ? IpAddress::from_v6_bytes(&b[24]) : IpAddress::from_v4_bytes(&b[16]);
  uint64_t sum = wire::pseudo_header_sum(src, dst, 6, static_cast<uint32_t>(b.size() - at));
  EXPECT_EQ(wire::checksum_fold(wire::checksum_add(sum, ByteView(b).subspan(at))), 0);
  if (!is_v6) {
    EXPECT_EQ(wire::ipv4_checksum({b.data(), 20}), 0);
  }
}

TEST(Gso, SplitsIpv4WithRunningIdsAndSequenceNumbersThatWrap) {
  PacketPool pool;
  PacketQueue out;
  ASSERT_TRUE(gso_split(*make_super(pool, {}), pool, false, out));
  ASSERT_EQ(out.count(), 3u);
  const Bytes payload = counting(2500);
  const uint32_t sizes[] = {1000, 1000, 500};
  const uint16_t ids[] = {0xfffe, 0xffff, 0x0000};
  const uint8_t flags[] = {wire::kTcpAck | wire::kTcpCwr, wire::kTcpAck, wire::kTcpAck | wire::kTcpPsh | wire::kTcpFin};
  for (uint32_t i = 0; i < 3; ++i) {
    PacketPtr s = out.pop_front();
    const Bytes b = bytes_of(*s);
    ASSERT_EQ(b.size(), 52 + sizes[i]);
    expect_good_tcp(b);
    EXPECT_EQ(load_be16(&b[2]), b.size());
    EXPECT_EQ(load_be16(&b[4]), ids[i]);
    EXPECT_EQ(load_be32(&b[24]), static_cast<uint32_t>(kSeq + i * 1000));
    EXPECT_EQ(load_be32(&b[28]), 77u);
    EXPECT_EQ(b[33], flags[i]);
    EXPECT_EQ(Bytes(b.begin() + 52, b.end()), Bytes(payload.begin() + i * 1000, payload.begin() + i * 1000 + sizes[i]));
    EXPECT_EQ(s->gso_size, 0);
    EXPECT_EQ(s->checksum, Checksum::kNone);
    EXPECT_EQ(s->linear_length(), 52u);  // the payload was not copied
  }
}

TEST(Gso, SplitsIpv6) {
  PacketPool pool;
  PacketQueue out;
  ASSERT_TRUE(gso_split(*make_super(pool, {.is_v6 = true}), pool, false, out));
  ASSERT_EQ(out.count(), 3u);
  uint32_t i = 0;
  while (PacketPtr s = out.pop_front()) {
    const Bytes b = bytes_of(*s);
    expect_good_tcp(b);
    EXPECT_EQ(load_be16(&b[4]), b.size() - 40);
    EXPECT_EQ(load_be32(&b[44]), static_cast<uint32_t>(kSeq + 1000 * i++));
  }
}

TEST(Gso, LeavesPartialChecksumsToALinkThatFinishesThem) {
  PacketPool pool;
  PacketQueue out;
  ASSERT_TRUE(gso_split(*make_super(pool, {}), pool, true, out));
  PacketPtr s = out.pop_front();
  EXPECT_EQ(s->checksum, Checksum::kPartial);
  EXPECT_EQ(s->csum_start, s->transport_offset);
  EXPECT_EQ(s->csum_offset, 16);
  const uint64_t pseudo = wire::pseudo_header_sum(addr("10.0.0.1"), addr("10.0.0.2"), 6, 1032);
  EXPECT_EQ(load_be16(s->transport_header() + 16), static_cast<uint16_t>(~wire::checksum_fold(pseudo)));
}

TEST(Gso, EachUdpSegmentIsADatagram) {
  PacketPool pool;
  Bytes all = v4({.src = "10.0.0.1", .dst = "10.0.0.2", .id = 9}, udp(7, 8, counting(250)));
  PacketPtr p = pool.make_copy(all);
  p->set_network_header();
  p->transport_offset = static_cast<uint16_t>(p->network_offset + 20);
  p->gso_size = 100;
  p->gso_type = GsoType::kUdp;
  PacketQueue out;
  ASSERT_TRUE(gso_split(*p, pool, false, out));
  ASSERT_EQ(out.count(), 3u);
  const uint16_t lengths[] = {108, 108, 58};
  for (uint16_t length : lengths) {
    const Bytes b = bytes_of(*out.pop_front());
    EXPECT_EQ(load_be16(&b[24]), length);
    const uint64_t sum = wire::pseudo_header_sum(addr("10.0.0.1"), addr("10.0.0.2"), 17, length);
    EXPECT_EQ(wire::checksum_fold(wire::checksum_add(sum, ByteView(b).subspan(20))), 0);
  }
}

TEST(Gso, ManyTinyFragmentsFitIntoEverySegment) {
  PacketPool pool;
  // 16 fragments of 7 bytes for a segment of 112: with its neighbours' ends, 17 pieces or more.
  PacketPtr p = make_super(pool, {.payload = 7 * 17, .gso_size = 119}, 7);
  PacketPtr more = pool.make(0);
  const Bytes tail = counting(300, 119);
  for (uint32_t at = 0; at < 300; at += 20) {
    Buffer* b = pool.make_buffer(20);
    std::memcpy(b->bytes(), &tail[at], 20);
    more->add_fragment(b, 0, 20);
    PacketPool::unref(b);
  }
  p->length += more->length;
  p->more = more.release();
  p->gso_size = 400;
  PacketQueue out;
  ASSERT_TRUE(gso_split(*p, pool, false, out));
  ASSERT_EQ(out.count(), 2u);
  Bytes joined;
  while (PacketPtr s = out.pop_front()) {
    const Bytes b = bytes_of(*s);
    expect_good_tcp(b);
    joined.insert(joined.end(), b.begin() + 52, b.end());
  }
  EXPECT_EQ(joined, counting(7 * 17) + tail);
}

TEST(Gso, HeadersThatMakeNoSenseAreRefused) {
  PacketPool pool;
  PacketQueue out;
  PacketPtr p = make_super(pool, {});
  p->data[32] = 0x40;  // a TCP header of 16 bytes
  EXPECT_FALSE(gso_split(*p, pool, false, out));
  p->data[32] = 0xf0;  // of 60, but 32 are linear
  EXPECT_FALSE(gso_split(*p, pool, false, out));
  EXPECT_TRUE(out.is_empty());
}

TEST(Gso, ASegmentThatIsSmallEnoughComesOutAsOne) {
  PacketPool pool;
  PacketQueue out;
  ASSERT_TRUE(gso_split(*make_super(pool, {.payload = 1000}), pool, false, out));
  ASSERT_EQ(out.count(), 1u);
  EXPECT_EQ(bytes_of(*out.front())[33], (Super{}.flags));
}

}  // namespace
}  // namespace leat::ip
