#include "wire/checksum.h"

#include <gtest/gtest.h>

#include <random>

#include "bytes_of.h"

namespace leat::wire {
namespace {

using test::Bytes;
using test::hex;
using test::ip;

// RFC 1071 §4.1, word by word.
uint16_t naive(ByteView bytes, uint32_t start = 0) {
  uint64_t sum = start;
  for (size_t i = 0; i < bytes.size(); ++i)
    sum += static_cast<uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

Bytes random_bytes(std::mt19937& rng, size_t n) {
  Bytes b(n);
  for (uint8_t& x : b)
    x = static_cast<uint8_t>(rng());
  return b;
}

TEST(Checksum, GivesTheExampleOfRfc1071) {
  EXPECT_EQ(checksum_fold(checksum_add(0, hex("00 01 f2 03 f4 f5 f6 f7"))), 0x220d);
}

TEST(Checksum, GivesTheKnownSumOfAnIpv4Header) {
  EXPECT_EQ(checksum_fold(checksum_add(0, hex("45000073000040004011 0000 c0a80001c0a800c7"))), 0xb861);
  EXPECT_EQ(checksum_fold(checksum_add(0, hex("45000073000040004011 b861 c0a80001c0a800c7"))), 0);
}

TEST(Checksum, PadsAnOddEndWithAZero) {
  EXPECT_EQ(checksum_fold(checksum_add(0, hex("ab"))), 0x54ff);
  EXPECT_EQ(checksum_fold(checksum_add(0, hex("0001 ab"))), 0x54fe);
  EXPECT_EQ(checksum_fold(checksum_add(0, {})), 0xffff);
}

TEST(Checksum, CarriesAroundTheEnd) {
  for (size_t n : {2u, 8u, 32u, 64u, 1500u, 65536u}) {
    EXPECT_EQ(checksum_fold(checksum_add(0, Bytes(n, 0xff))), 0) << n;
  }
  EXPECT_EQ(checksum_fold(checksum_add(UINT64_MAX, hex("0001"))), 0xfffe);
  EXPECT_EQ(checksum_fold(UINT64_MAX), 0);
  EXPECT_EQ(checksum_fold(0x1fffe), 0);
  EXPECT_EQ(checksum_fold(0), 0xffff);
}

TEST(Checksum, AgreesWithTheNaiveOneForAnyBytesAtAnyAlignment) {
  std::mt19937 rng(1);
  for (int round = 0; round < 3000; ++round) {
    const Bytes b = random_bytes(rng, rng() % 200 + 8);
    const size_t from = rng() % 8;
    const ByteView view = ByteView(b).subspan(from, rng() % (b.size() - from + 1));
    const uint32_t start = static_cast<uint32_t>(rng() & 0xffff);
    ASSERT_EQ(checksum_fold(checksum_add(start, view)), naive(view, start)) << "round " << round;
  }
}

TEST(Checksum, SumsOfPiecesMayBeAdded) {
  std::mt19937 rng(2);
  for (int round = 0; round < 1000; ++round) {
    const Bytes b = random_bytes(rng, rng() % 300);
    const size_t cut = rng() % (b.size() / 2 + 1) * 2;
    const uint64_t sum = checksum_add(0, ByteView(b).first(cut)) + checksum_add(0, ByteView(b).subspan(cut));
    ASSERT_EQ(checksum_fold(sum), naive(b));
  }
}

TEST(PseudoHeader, CoversAddressesProtocolAndLengthOfIpv4) {
  // 10.0.0.1 → 10.0.0.2, TCP, 20 bytes: 0a00+0001+0a00+0002+0006+0014
  EXPECT_EQ(pseudo_header_sum(ip("10.0.0.1"), ip("10.0.0.2"), 6, 20), 0x141du);
}

TEST(PseudoHeader, CoversAddressesProtocolAndA32BitLengthOfIpv6) {
  const Bytes header = hex("fd000000000000000000000000000001 fd000000000000000000000000000002 00012345 0000003a");
  EXPECT_EQ(checksum_fold(pseudo_header_sum(ip("fd00::1"), ip("fd00::2"), 58, 0x12345)), naive(header));
}

TEST(PseudoHeader, VerifiesARealUdpDatagram) {
  // 10.0.0.1.1234 > 10.0.0.2.53, payload "abc"
  Bytes udp = hex("04d2 0035 000b 0000 616263");
  const uint64_t sum = pseudo_header_sum(ip("10.0.0.1"), ip("10.0.0.2"), 17, 11);
  store_be16(udp.data() + 6, checksum_fold(checksum_add(sum, udp)));
  EXPECT_EQ(load_be16(udp.data() + 6), 0x226c);
  EXPECT_EQ(checksum_fold(checksum_add(sum, udp)), 0);
}

class PacketChecksum : public ::testing::Test {
 protected:
  // Adds `bytes` as a fragment of its own, which begins at `misalignment` in its buffer.
  void add(Packet& p, const Bytes& bytes, uint32_t misalignment) {
    Buffer* b = pool.make_buffer(static_cast<uint32_t>(bytes.size()) + misalignment);
    ASSERT_NE(b, nullptr);
    if (!bytes.empty()) std::memcpy(b->bytes() + misalignment, bytes.data(), bytes.size());
    p.add_fragment(b, misalignment, static_cast<uint32_t>(bytes.size()));
    PacketPool::unref(b);
  }
  PacketPool pool;
};

TEST_F(PacketChecksum, IsTheSameHoweverTheBytesLie) {
  std::mt19937 rng(3);
  for (int round = 0; round < 300; ++round) {
    Bytes all = random_bytes(rng, rng() % 60);
    PacketPtr p = pool.make_copy(all);
    for (uint32_t i = static_cast<uint32_t>(rng() % 6); i > 0; --i) {
      const Bytes piece = random_bytes(rng, rng() % 40 + 1);
      all.insert(all.end(), piece.begin(), piece.end());
      if (p->more != nullptr || rng() % 4 == 0) {
        p->append(pool.make_copy(piece));
      } else {
        add(*p, piece, static_cast<uint32_t>(rng() % 9));
      }
    }
    ASSERT_EQ(p->length, all.size());
    const uint32_t offset = static_cast<uint32_t>(rng() % (p->length + 2));
    const ByteView covered = ByteView(all).subspan(std::min<size_t>(offset, all.size()));
    ASSERT_EQ(checksum_fold(checksum_packet(7, *p, offset)), naive(covered, 7)) << "round " << round;
  }
}

}  // namespace
}  // namespace leat::wire
